//! A token that is sent along is nowhere afterwards: not in the log, not in quarantine, not in what is shown, and not in
//! the bytes of the database.

use std::fs;

use serde_json::{Value, json};
use tenure::provider::{PROVIDERS, Proof, Provider, Request, VerifyError};
use tenure::{
    Delivery, Engine, EngineError, FileOptions, Instant, MemoryStore, Outcome, Position, Receipt,
    Rules, Secret, Secrets, SqliteStore, SqliteStoreOptions, Store, write_line,
};

/// With what has to be escaped in JSON and in a query.
const TOKEN: &str = "Zx9q7Lp/L\"m2 kWb7Tq5&+";
/// What it looks like in a query.
const ESCAPED: &str = "Zx9q7Lp%2FL%22m2%20kWb7Tq5%26%2B";
/// What none of its forms is without, and one that was valid before.
const TRACES: [&str; 3] = ["Zx9q7Lp", "kWb7Tq5", "oldToken"];

fn bytes_hold(bytes: &[u8], trace: &str) -> bool {
    bytes
        .windows(trace.len())
        .any(|part| part == trace.as_bytes())
}

fn assert_no_trace(bytes: &[u8], about: &str) {
    for trace in TRACES {
        assert!(!bytes_hold(bytes, trace), "{about} holds {trace}");
    }
}

fn now() -> Instant {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// A system whose token stands in the address it sends to, and that writes the address into its events.
fn provider() -> &'static dyn Provider {
    *PROVIDERS.iter().find(|it| it.name() == "abowire").unwrap()
}

fn event(name: &str, payload: &Value) -> Value {
    json!({"id": "w1", "eventArn": format!("arn:abowire:webhooks:eu:acct:{name}"), "userId": "op",
        "timestamp": "2026-01-01T00:00:00Z", "payload": payload,
        "destination": format!("https://me:oldToken@paywall.example.com/hooks?token={ESCAPED}&old=oldToken#{ESCAPED}")})
}

fn subscription() -> Value {
    event(
        "subscription:create",
        &json!({"id": "s1", "customer": {"id": "u1"}, "product": {"id": "pro"},
            "currentPeriodEnd": "2026-02-01T00:00:00Z", "note": TOKEN}),
    )
}

fn bodies() -> Vec<(Vec<u8>, Outcome)> {
    let text = |value: Value| value.to_string().into_bytes();
    let mut conflicting = subscription();
    conflicting["payload"]["currentPeriodEnd"] = json!("2027-01-01T00:00:00Z");
    let mut rotated = subscription();
    let address = "https://other:oldToken@paywall.example.com/hooks?token=oldToken#oldToken";
    rotated["destination"] = json!(address);
    let escaped = subscription()
        .to_string()
        .replace("https://", "https:\\/\\/");
    let broken = subscription().to_string().replace("\"userId\":", "");
    let mut not_utf8 = text(subscription());
    not_utf8.extend_from_slice(b"\xff");
    let mut twice = subscription().to_string();
    twice.insert_str(1, &format!("\"destination\":\"h?{ESCAPED}\","));
    vec![
        (text(subscription()), Outcome::Applied),
        (text(subscription()), Outcome::Duplicate),
        (text(rotated), Outcome::Duplicate),
        (
            text(event("product:create", &json!({"id": TOKEN}))),
            Outcome::Ignored,
        ),
        (text(event("unheard:of", &json!([TOKEN]))), Outcome::Ignored),
        (
            text(event("subscription:update", &json!({"id": "s1"}))),
            Outcome::Quarantined,
        ),
        (
            text(event(
                "subscription:update",
                &json!({"id": "s1", "status": TOKEN}),
            )),
            Outcome::Quarantined,
        ),
        (text(conflicting), Outcome::Quarantined),
        (escaped.into_bytes(), Outcome::Quarantined),
        (broken.into_bytes(), Outcome::Quarantined),
        (not_utf8, Outcome::Quarantined),
        (twice.into_bytes(), Outcome::Quarantined),
        (text(json!([subscription()])), Outcome::Quarantined),
        (
            format!("{{\"destination\":\"h?{ESCAPED}oldToken").into_bytes(),
            Outcome::Quarantined,
        ),
        (TOKEN.as_bytes().to_vec(), Outcome::Quarantined),
    ]
}

/// Lines of a file, sound and broken, that hold the token in whatever else a line may have.
fn lines() -> Vec<(Value, Outcome)> {
    let body = || event("invoice:create", &json!({"id": "line"}));
    let with = |other: &Value| {
        let mut line = json!({"source": "shop", "received_at": "2026-05-01T00:00:00Z", "body": body(),
            "query": format!("token={ESCAPED}"), "headers": {"authorization": format!("Bearer {TOKEN}")}});
        for (name, value) in other.as_object().unwrap() {
            line[name] = value.clone();
        }
        line
    };
    vec![
        (with(&json!({})), Outcome::Ignored),
        (
            with(&json!({"body": body().to_string()})),
            Outcome::Duplicate,
        ),
        (with(&json!({"received_at": "never"})), Outcome::Quarantined),
        (
            with(&json!({"received_at": TOKEN, "body": body().to_string()})),
            Outcome::Quarantined,
        ),
        (with(&json!({"headers": TOKEN})), Outcome::Quarantined),
        (
            with(&json!({"headers": {"a": [TOKEN]}})),
            Outcome::Quarantined,
        ),
        (with(&json!({"query": [TOKEN]})), Outcome::Quarantined),
        (with(&json!({"body_encoding": TOKEN})), Outcome::Quarantined),
        (with(&json!({"source": [TOKEN]})), Outcome::Quarantined),
        (with(&json!({"source": "unheard-of"})), Outcome::Quarantined),
        (with(&json!({"source": null})), Outcome::Quarantined),
        (with(&json!({"unknown": 1})), Outcome::Quarantined),
    ]
}

fn take_requests<S: Store>(engine: &mut Engine<S>) -> Vec<Receipt> {
    let source = "shop".parse().unwrap();
    let mut receipts = Vec::new();
    for (body, expected) in bodies() {
        let mut request = provider()
            .seal(&body, Secret::new(TOKEN).as_ref(), now())
            .unwrap();
        assert_eq!(
            request.query.as_deref(),
            Some(format!("token={ESCAPED}").as_str())
        );
        assert!(!format!("{request:?}").contains("Zx9q7Lp"));
        let bearer = format!("Bearer {TOKEN}");
        request.headers.insert("authorization".to_owned(), bearer);
        let delivery = engine
            .verify_request(&source, request.clone(), now())
            .unwrap();
        assert!(!format!("{delivery:?}").contains("Zx9q7Lp"));
        let receipt = engine.ingest(delivery, now()).unwrap();
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(receipt.outcome, expected, "{shown}");
        receipts.push(receipt);
        // The same from a file is the same delivery.
        let again = engine
            .ingest(Delivery::trusted(source.clone(), request), now())
            .unwrap();
        let expected = match expected {
            Outcome::Applied | Outcome::Ignored | Outcome::Duplicate => Outcome::Duplicate,
            Outcome::Quarantined => Outcome::Quarantined,
        };
        assert_eq!(again.outcome, expected, "{shown}");
        receipts.push(again);
    }
    receipts
}

fn take_lines<S: Store>(engine: &mut Engine<S>) -> Vec<Receipt> {
    let mut file: Vec<String> = lines().iter().map(|(line, _)| line.to_string()).collect();
    let mut expected: Vec<Outcome> = lines().into_iter().map(|(_, outcome)| outcome).collect();
    file.push(lines()[1].0.to_string().replace("\"source\"", "source"));
    expected.push(Outcome::Quarantined);
    let mut receipts = Vec::new();
    engine
        .ingest_file(
            &mut file.join("\n").as_bytes(),
            &FileOptions::default(),
            &mut now,
            &mut |line| {
                receipts.push(line.receipt.clone());
                Ok(())
            },
        )
        .unwrap();
    let outcomes: Vec<Outcome> = receipts.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, expected);
    receipts
}

/// Everything that is kept or shown of what came.
fn run(store: impl Store) {
    let rules = json!({"sources": {"shop": {"provider": provider().name()}}});
    let rules: Rules = serde_json::from_value(rules).unwrap();
    let secret = Secret::new(TOKEN).unwrap();
    let secrets = Secrets::default().with("shop".parse().unwrap(), secret);
    let mut engine = Engine::new(store, secrets).unwrap();
    engine.begin_with_rules(&rules).unwrap();
    let mut receipts = take_requests(&mut engine);
    receipts.extend(take_lines(&mut engine));
    assert_no_trace(format!("{receipts:?}").as_bytes(), "a receipt");
    for receipt in &receipts {
        if receipt.outcome == Outcome::Quarantined {
            let retried = engine.retry(receipt.position, now());
            assert_no_trace(format!("{retried:?}").as_bytes(), "a retry");
        }
    }
    let entries = engine
        .reader()
        .unwrap()
        .entries_after(Position(0), 1_000)
        .unwrap();
    assert!(entries.len() > 20);
    for entry in entries {
        let about = entry.position.to_string();
        let fact = &entry.fact;
        assert_no_trace(&fact.body, &about);
        let shown = format!(
            "{:?} {:?} {:?} {:?}",
            fact.headers, fact.query, fact.refusal, fact.event_name
        );
        assert_no_trace(shown.as_bytes(), &about);
        if fact.body.is_ascii() {
            assert_no_trace(write_line(&entry).as_bytes(), &about);
        }
    }
    let verification = engine.reader().unwrap().verify(&mut |_| {}).unwrap();
    assert_eq!(verification.fault, None);
}

#[test]
fn the_token_is_nowhere_in_memory() {
    run(MemoryStore::new().unwrap());
}

#[test]
fn the_token_is_nowhere_in_the_files_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenure.db");
    let keep = SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
    let reader = keep.reader().unwrap();
    run(keep);
    let mut all = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert_no_trace(&bytes, &path.display().to_string());
        all.extend(bytes);
    }
    // The rest of the address is there, so it was looked for in the right place.
    let kept = "[redacted]@paywall.example.com/hooks?[redacted]";
    assert!(bytes_hold(&all, kept));
    drop(reader);
}

#[test]
fn a_wrong_token_leaves_nothing_at_all() {
    let rules = json!({"sources": {"shop": {"provider": provider().name()}}});
    let rules: Rules = serde_json::from_value(rules).unwrap();
    let secret = Secret::new("another").unwrap();
    let secrets = Secrets::default().with("shop".parse().unwrap(), secret);
    let mut engine = Engine::new(MemoryStore::new().unwrap(), secrets).unwrap();
    engine.begin_with_rules(&rules).unwrap();
    for (body, _) in bodies() {
        let request = provider()
            .seal(&body, Secret::new(TOKEN).as_ref(), now())
            .unwrap();
        let error = engine
            .verify_request(&"shop".parse().unwrap(), request, now())
            .unwrap_err();
        assert!(matches!(
            error,
            EngineError::Verify(VerifyError::NotAuthentic)
        ));
    }
    let figures = engine.reader().unwrap().statistics().unwrap();
    assert_eq!(figures.received, 0);
}

#[test]
fn what_comes_with_a_token_is_concealed_by_every_system_that_sends_one() {
    for provider in PROVIDERS
        .iter()
        .filter(|it| it.sending().proof == Proof::Token)
    {
        let secret = Secret::new(TOKEN);
        let request = provider.seal(b"{}", secret.as_ref(), now()).unwrap();
        for known in [secret.as_ref(), None] {
            let concealed: Request = provider.conceal(request.clone(), known);
            let shown = format!("{:?} {:?}", concealed.query, concealed.headers);
            assert_no_trace(shown.as_bytes(), provider.name());
        }
    }
}
