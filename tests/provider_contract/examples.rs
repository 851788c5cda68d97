//! What a provider writes itself: every kind of event it knows, as its system would send it.

use tenure::Outcome;
use tenure::provider::{Content, PROVIDERS, Particulars, Provider, Request};

use super::{Source, now, outcome, secret};

fn particulars(until: &str, tenant: Option<&str>) -> Particulars {
    Particulars {
        id: "evt-1".to_owned(),
        user: "u1".parse().unwrap(),
        product: "news".parse().unwrap(),
        grant: "g1".parse().unwrap(),
        at: now(),
        until: until.parse().unwrap(),
        tenant: tenant.map(str::to_owned),
    }
}

/// Whatever is to be spoken of: a month, a part of a second, an end before its beginning, more than can be said.
fn several() -> Vec<Particulars> {
    let mut several: Vec<Particulars> = [
        "2026-02-01T00:00:00Z",
        "2026-01-01T00:00:00.000001Z",
        "2025-12-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ]
    .map(|until| particulars(until, None))
    .into();
    several.push(particulars("2026-02-01T00:00:00Z", Some("publisher")));
    several.push(Particulars {
        at: "2026-01-01T12:34:56.789012Z".parse().unwrap(),
        ..particulars("2026-01-03T00:00:00Z", None)
    });
    several
}

/// The examples of all kinds of a provider. A kind without one is noted, and the others are looked at all the same.
fn examples(
    provider: &dyn Provider,
    particulars: &Particulars,
    missing: &mut Vec<String>,
) -> Vec<(&'static str, String)> {
    let mut examples = Vec::new();
    for kind in provider.kinds() {
        match provider.example(kind, particulars) {
            Some(text) => examples.push((*kind, text)),
            None => missing.push(format!("{}: {kind}", provider.name())),
        }
    }
    examples
}

#[test]
fn every_kind_has_an_example_that_is_read_as_that_kind() {
    let mut missing = Vec::new();
    for provider in PROVIDERS.iter().copied() {
        for particulars in several() {
            let mut source = Source::named("shop", provider.name());
            let name = source.name.clone();
            source.rules.sources.get_mut(&name).unwrap().tenant = particulars.tenant.clone();
            for (kind, text) in examples(provider, &particulars, &mut missing) {
                let read = provider.decode(text.as_bytes(), &source.context());
                let about = format!("{text}: {read:?}");
                assert_eq!(read.kind.as_deref(), Some(kind), "{about}");
                assert_ne!(outcome(&read.content), Outcome::Quarantined, "{about}");
            }
        }
    }
    assert!(missing.is_empty(), "no examples: {missing:?}");
}

#[test]
fn examples_speak_of_what_they_are_told() {
    let mut mute = Vec::new();
    for provider in PROVIDERS.iter().copied() {
        let source = Source::named("shop", provider.name());
        let speaks = |text: &str| {
            let read = provider.decode(text.as_bytes(), &source.context());
            let Content::Events(events) = read.content else {
                return false;
            };
            let shown = format!("{events:?}");
            shown.contains("\"u1\"") && shown.contains("\"news\"") && shown.contains("\"g1\"")
        };
        let particulars = particulars("2026-02-01T00:00:00Z", None);
        let examples = examples(provider, &particulars, &mut Vec::new());
        if !examples.iter().any(|(_, text)| speaks(text)) {
            mute.push(provider.name());
        }
    }
    assert!(mute.is_empty(), "{mute:?}");
}

#[test]
fn a_sealed_example_is_believed() {
    let mut missing = Vec::new();
    for provider in PROVIDERS.iter().copied() {
        let particulars = particulars("2026-02-01T00:00:00Z", None);
        for (_, text) in examples(provider, &particulars, &mut missing) {
            let sealed = provider.seal(text.as_bytes(), Some(&secret()), now());
            let verified = provider.verify(sealed.unwrap(), Some(&secret()), now());
            assert_eq!(verified.unwrap().text(), text.as_bytes());
        }
    }
    assert!(missing.is_empty(), "no examples: {missing:?}");
}

#[test]
fn there_is_no_example_of_what_is_no_kind() {
    for provider in PROVIDERS {
        let particulars = particulars("2026-02-01T00:00:00Z", None);
        for kind in ["", "nonsense", "member", "subscription:", "tenure."] {
            assert_eq!(provider.example(kind, &particulars), None, "{kind}");
        }
    }
}

/// The text of the secret, wherever it may stand in a request.
fn holds_the_secret(request: &Request) -> bool {
    let holds = |bytes: &[u8]| {
        let secret = super::SECRET.as_bytes();
        bytes.windows(secret.len()).any(|part| part == secret)
    };
    holds(&request.body)
        || holds(request.query.as_deref().unwrap_or_default().as_bytes())
        || request
            .headers
            .iter()
            .any(|(_, value)| holds(value.as_bytes()))
}

#[test]
fn nothing_of_the_secret_is_left_in_what_was_verified() {
    for provider in PROVIDERS {
        let sealed = provider.seal(b"{\"id\":\"e1\"}", Some(&secret()), now());
        let verified = provider.verify(sealed.unwrap(), Some(&secret()), now());
        assert!(!holds_the_secret(verified.unwrap().request()));
    }
}

#[test]
fn concealing_twice_is_the_same_as_once() {
    for provider in PROVIDERS {
        let sealed = provider.seal(b"{}", Some(&secret()), now()).unwrap();
        let mut beside = sealed.clone();
        beside.query = Some(format!("token={}&a=b&c", super::SECRET));
        let plain = Request {
            body: b"{}".to_vec(),
            ..Request::default()
        };
        for request in [sealed, beside, plain] {
            for secret in [Some(&secret()), None] {
                let once = provider.conceal(request.clone(), secret);
                assert_eq!(once.body, request.body);
                assert_eq!(provider.conceal(once.clone(), secret), once);
            }
        }
    }
}
