//! What every provider has to keep to, whatever system it reads: its vectors, totality, and that nothing forged is
//! believed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

mod concealment;
mod damage;
mod effects;
mod examples;
mod forgery;
mod totality;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};
use tenure::provider::{
    Content, Decoded, Dedupe, PROVIDERS, Provider, Request, Secret, SourceContext, Verified,
    provider,
};
use tenure::{Instant, Outcome, Refusal, Rules, SourceName, SourceRules, Statement, UserChange};

/// Serves both as raw bytes and in the form Standard Webhooks want.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    about: String,
    provider: String,
    source: serde_json::Map<String, Value>,
    products: Value,
    secret: Option<String>,
    deliveries: Vec<Delivery>,
    windows: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivery {
    received_at: Instant,
    body: Value,
    query: Option<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    outcome: Outcome,
    kind: Option<String>,
    reason: Option<String>,
    field: Option<String>,
}

impl Delivery {
    fn request(&self) -> Request {
        let body = match &self.body {
            Value::String(text) => text.clone(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => self.body.to_string(),
        };
        Request {
            body: body.into_bytes(),
            headers: BTreeMap::new(),
            query: self.query.clone(),
        }
    }
}

fn folder(provider: &dyn Provider) -> PathBuf {
    let providers = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/provider");
    providers.join(provider.name())
}

fn vectors(provider: &dyn Provider) -> Vec<Vector> {
    let files = fs::read_dir(folder(provider).join("vectors")).expect("a folder of vectors");
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let read = |path: &PathBuf| -> Vec<Vector> {
        let text = fs::read_to_string(path).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    paths.iter().flat_map(read).collect()
}

/// A source as a decoder sees it.
struct Source {
    name: SourceName,
    rules: Rules,
}

impl Source {
    fn named(name: &str, provider: &str) -> Self {
        let rules = json!({"sources": {name: {"provider": provider}}});
        Self {
            name: name.parse().unwrap(),
            rules: serde_json::from_value(rules).unwrap(),
        }
    }

    fn of(vector: &Vector) -> Self {
        let mut source = vector.source.clone();
        source.insert("provider".to_owned(), json!(vector.provider));
        let rules = json!({"sources": {"shop": source}, "products": vector.products});
        Self {
            name: "shop".parse().unwrap(),
            rules: serde_json::from_value(rules).unwrap(),
        }
    }

    fn context(&self) -> SourceContext<'_> {
        SourceContext {
            name: &self.name,
            rules: self.own(),
            products: &self.rules,
        }
    }

    fn own(&self) -> Option<&SourceRules> {
        self.rules.sources.get(&self.name)
    }
}

/// Opens a request as one from a file and decodes it; a packet that cannot be opened is quarantined likewise.
fn read(
    provider: &dyn Provider,
    request: Request,
    secret: Option<&Secret>,
    source: &Source,
) -> Decoded {
    match Verified::trusted(provider, request, secret) {
        Ok(verified) => provider.decode(verified.text(), &source.context()),
        Err((_, refusal)) => Decoded {
            kind: None,
            dedupe: Dedupe::Text,
            content: Content::Quarantined(refusal),
        },
    }
}

fn refusal(content: &Content) -> Option<&Refusal> {
    match content {
        Content::Quarantined(refusal) => Some(refusal),
        Content::Events(_) | Content::Ignored => None,
    }
}

fn outcome(content: &Content) -> Outcome {
    match content {
        Content::Events(_) => Outcome::Applied,
        Content::Ignored => Outcome::Ignored,
        Content::Quarantined(_) => Outcome::Quarantined,
    }
}

#[test]
fn every_vector_is_read_as_it_says() {
    for provider in PROVIDERS.iter().copied() {
        for vector in vectors(provider) {
            assert_eq!(vector.provider, provider.name(), "{}", vector.about);
            let source = Source::of(&vector);
            let secret = vector.secret.as_deref().and_then(Secret::new);
            for (place, delivery) in vector.deliveries.iter().enumerate() {
                let read = read(provider, delivery.request(), secret.as_ref(), &source);
                let about = format!("{}, delivery {place}: {read:?}", vector.about);
                let expect = &delivery.expect;
                assert_eq!(read.kind, expect.kind, "{about}");
                // Whether it was there already only a store can say.
                if expect.outcome != Outcome::Duplicate {
                    assert_eq!(outcome(&read.content), expect.outcome, "{about}");
                }
                let refusal = refusal(&read.content);
                let reason = refusal.map(|refusal| refusal.reason.code());
                assert_eq!(reason, expect.reason.as_deref(), "{about}");
                let field = refusal.map(|refusal| refusal.field.as_str());
                assert_eq!(field, expect.field.as_deref(), "{about}");
            }
        }
    }
}

#[test]
fn deliveries_of_a_vector_are_in_order_and_only_applied_ones_open_windows() {
    for provider in PROVIDERS.iter().copied() {
        for vector in vectors(provider) {
            let times: Vec<Instant> = vector.deliveries.iter().map(|d| d.received_at).collect();
            assert!(
                times.windows(2).all(|pair| pair[0] < pair[1]),
                "{}",
                vector.about
            );
            let applied = |d: &Delivery| d.expect.outcome == Outcome::Applied;
            let any_applied = vector.deliveries.iter().any(applied);
            assert!(any_applied || vector.windows.is_empty(), "{}", vector.about);
        }
    }
}

#[test]
fn every_provider_has_a_readme_and_a_vector_for_each_of_its_events() {
    for provider in PROVIDERS.iter().copied() {
        let readme = fs::read_to_string(folder(provider).join("README.md")).expect("a README");
        let vectors = vectors(provider);
        let expected = |kind: &str| {
            let deliveries = vectors.iter().flat_map(|vector| &vector.deliveries);
            deliveries
                .filter(|delivery| delivery.expect.reason.is_none())
                .any(|delivery| delivery.expect.kind.as_deref() == Some(kind))
        };
        for kind in provider.kinds() {
            assert!(expected(kind), "{}: no vector for {kind}", provider.name());
            assert!(
                readme.contains(kind),
                "{}: README lacks {kind}",
                provider.name()
            );
        }
    }
}

#[test]
fn providers_are_found_by_their_own_names() {
    for known in PROVIDERS {
        assert_eq!(
            provider(known.name()).map(Provider::name),
            Some(known.name())
        );
    }
    assert!(provider("").is_none());
    assert_eq!(PROVIDERS.iter().filter(|p| p.speaks_for_staff()).count(), 1);
}

fn secret() -> Secret {
    Secret::new(SECRET).unwrap()
}

fn now() -> Instant {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

#[test]
fn an_event_id_in_capitals_is_the_same_only_as_a_guid() {
    let key = |provider: &dyn Provider, id: &str| {
        let body = json!({"id": id, "event": "member.login", "type": "invoice:created"});
        let source = Source::named("shop", provider.name());
        let read = provider.decode(body.to_string().as_bytes(), &source.context());
        assert_eq!(outcome(&read.content), Outcome::Ignored);
        match read.dedupe {
            Dedupe::Key(key) => key.as_str().to_owned(),
            other @ (Dedupe::Packet { .. } | Dedupe::Text) => panic!("{other:?}"),
        }
    };
    for name in ["gately", "tonos"] {
        let provider = provider(name).unwrap();
        let guid = "0A0B0C0D-0000-4000-8000-00000000000F";
        assert_eq!(key(provider, guid), guid.to_lowercase());
        assert_eq!(key(provider, "EVT_1"), "EVT_1");
    }
}

fn staff_says(event: &Value) -> Content {
    let speaks = PROVIDERS
        .iter()
        .copied()
        .find(|p| p.speaks_for_staff())
        .unwrap();
    let source = Source::named(SourceName::STAFF, speaks.name());
    let read = speaks.decode(event.to_string().as_bytes(), &source.context());
    assert!(matches!(read.dedupe, Dedupe::Key(key) if key.as_str() == "desk 1"));
    read.content
}

fn statement(content: Content) -> Statement {
    let Content::Events(mut events) = content else {
        panic!("an event expected: {content:?}")
    };
    assert_eq!(events.len(), 1);
    events.remove(0).statement
}

fn staff_event(kind: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "desk", "type": format!("tenure.{kind}"),
        "time": "2026-01-01T00:00:00Z", "subject": "u1", "data": data})
}

#[test]
fn staff_speak_of_their_own_grants_unless_they_name_another_source() {
    for (data, expected) in [
        (json!({"grant": "g1"}), "staff"),
        (json!({"grant": "g1", "grant_source": "shop"}), "shop"),
    ] {
        let Statement::Grant(stated) = statement(staff_says(&staff_event("revoked", &data))) else {
            panic!("a grant's statement expected")
        };
        assert_eq!(stated.grant.source.as_str(), expected);
    }
}

#[test]
fn staff_speak_of_the_users_of_the_source_they_name() {
    let event = staff_event("suspended", &json!({"grant_source": "shop", "by": "fraud"}));
    let Statement::User(stated) = statement(staff_says(&event)) else {
        panic!("a user's statement expected")
    };
    assert_eq!(stated.source.as_str(), "shop");
    assert!(
        matches!(stated.change, UserChange::Suspended { by: Some(by) } if by.as_str() == "fraud")
    );
}

#[test]
fn staff_may_withdraw_what_another_source_said() {
    for (data, expected) in [
        (json!({"id": "crm e1"}), "staff"),
        (json!({"id": "crm e1", "id_source": "shop"}), "shop"),
    ] {
        let Statement::Withdrawal { source, key } =
            statement(staff_says(&staff_event("withdrawn", &data)))
        else {
            panic!("a withdrawal expected")
        };
        assert_eq!((source.as_str(), key.as_str()), (expected, "crm e1"));
    }
}

#[test]
fn bytes_that_are_not_utf8_are_quarantined() {
    for provider in PROVIDERS.iter().copied() {
        let source = Source::named("shop", provider.name());
        for body in [
            &b"\xff"[..],
            b"{\"event\":\"\xff\"}",
            b"{\"x\":\"\xed\xa0\x80\"}",
        ] {
            let request = Request {
                body: body.to_vec(),
                ..Request::default()
            };
            let read = read(provider, request, None, &source);
            let refusal = refusal(&read.content).expect("quarantined");
            assert_eq!(
                (refusal.reason.code(), refusal.field.as_str()),
                ("not_utf8", "body")
            );
            assert_eq!(read.dedupe, Dedupe::Text);
        }
    }
}

#[test]
fn a_body_over_a_mebibyte_is_quarantined() {
    for provider in PROVIDERS.iter().copied() {
        let source = Source::named("shop", provider.name());
        let body = format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20));
        let request = Request {
            body: body.into(),
            ..Request::default()
        };
        let read = read(provider, request, None, &source);
        assert_eq!(refusal(&read.content).unwrap().reason.code(), "too_large");
    }
}
