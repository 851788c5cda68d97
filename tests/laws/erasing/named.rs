//! Erasures that once went wrong, by name.

use serde_json::json;
use tenure::rusqlite::Connection;
use tenure::{
    Delivery, Engine, ErasureGrounds, Instant, MemoryStore, Outcome, Question, Request, Rules,
    Secrets, SqliteStore, SqliteStoreOptions, Store, UserId,
};

use super::erase;
use crate::strategies::{at, engine, in_memory};

const GUID: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
const IN_CAPITALS: &str = "3F2504E0-4F89-11D3-9A0C-0305E82C3301";

fn rules() -> Rules {
    let source = json!({"provider": "cloudevents"});
    let prefixed = json!({"provider": "cloudevents", "user_prefix": "w:"});
    serde_json::from_value(json!({"sources": {"crm": source, "web": prefixed}})).unwrap()
}

fn now() -> Instant {
    at("2026-06-01T00:00:00Z")
}

fn event(id: &str, verb: &str, time: &str, user: &str, data: serde_json::Value) -> Vec<u8> {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "s", "type": format!("tenure.{verb}"),
        "time": time, "subject": user, "data": data,
    });
    event.to_string().into_bytes()
}

fn take<S: Store>(engine: &mut Engine<S>, source: &str, body: Vec<u8>) -> (Outcome, u64) {
    let request = Request {
        body,
        ..Request::default()
    };
    let delivery = Delivery::trusted(source.parse().unwrap(), request);
    let receipt = engine.ingest(delivery, now()).unwrap();
    (receipt.outcome, receipt.position.0)
}

/// What a user has, day by day, of two products.
fn access<S: Store>(engine: &Engine<S>, user: &UserId) -> Vec<bool> {
    let mut reader = engine.reader().unwrap();
    let mut found = Vec::new();
    for month in 1..6 {
        for day in [1, 10, 20, 28] {
            for resource in ["news", "pro"] {
                let question = Question {
                    user: user.clone(),
                    resource: resource.parse().unwrap(),
                    at: at(&format!("2026-{month:02}-{day:02}T12:00:00Z")),
                    as_of: None,
                };
                found.push(reader.check(&question).unwrap().verdict.is_allowed());
            }
        }
    }
    found
}

/// Keys that differ in nothing but how the id is spelled in them.
#[test]
fn keys_that_spell_the_id_in_two_ways_stay_two() {
    let first = "2026-01-01T00:00:00Z";
    let granted = |id: &str, user: &str, grant: &str, product: &str, until: &str| {
        let data = json!({"grant": grant, "product": product, "until": until});
        event(id, "granted", first, user, data)
    };
    let (january, february) = ("2026-01-20T00:00:00Z", "2026-02-20T00:00:00Z");
    let (g, u) = (GUID, IN_CAPITALS);
    let of_grant = |id: &str, verb: &str, time: &str, mut data: serde_json::Value| {
        data["grant"] = json!("g");
        event(id, verb, time, g, data)
    };
    let monthly = json!({"product": "news", "period": "P1M"});
    let cases: Vec<(&str, &str, Vec<Vec<u8>>)> = vec![
        (
            "crm",
            g,
            vec![
                granted(&format!("e-{g}"), g, "g1", "news", january),
                granted(&format!("e-{u}"), g, "g2", "pro", february),
            ],
        ),
        (
            "crm",
            g,
            vec![
                granted("1", g, &format!("sub-{g}"), "news", january),
                granted("2", g, &format!("sub-{u}"), "pro", february),
            ],
        ),
        (
            "web",
            "w:anna-smith",
            vec![
                granted("e-anna-smith", "anna-smith", "anna-smith", "news", january),
                granted(
                    "e-w:anna-smith",
                    "anna-smith",
                    "w:anna-smith",
                    "pro",
                    february,
                ),
            ],
        ),
        (
            "crm",
            g,
            vec![
                of_grant(
                    "1",
                    "granted",
                    first,
                    json!({"product": "news", "until": null}),
                ),
                of_grant(
                    "2",
                    "suspended",
                    "2026-01-02T00:00:00Z",
                    json!({"by": format!("x {g}")}),
                ),
                of_grant(
                    "3",
                    "suspended",
                    "2026-01-03T00:00:00Z",
                    json!({"by": format!("x {u}")}),
                ),
                of_grant(
                    "4",
                    "resumed",
                    "2026-01-04T00:00:00Z",
                    json!({"by": format!("x {u}")}),
                ),
            ],
        ),
        (
            "crm",
            g,
            vec![
                of_grant("1", "granted", first, monthly),
                of_grant(
                    "2",
                    "renewed",
                    "2026-01-31T00:00:00Z",
                    json!({"period_key": format!("i {g}")}),
                ),
                of_grant(
                    "3",
                    "renewed",
                    "2026-01-31T00:00:00Z",
                    json!({"period_key": format!("i {u}")}),
                ),
            ],
        ),
    ];
    for (number, (source, user, bodies)) in cases.into_iter().enumerate() {
        let mut engine = in_memory(&rules());
        for body in &bodies {
            let (outcome, _) = take(&mut engine, source, body.clone());
            assert_eq!(outcome, Outcome::Applied, "case {number}");
        }
        let user: UserId = user.parse().unwrap();
        let before = access(&engine, &user);
        assert!(before.contains(&true), "case {number}");
        let erased = erase(&mut engine, &user, now()).unwrap();
        assert_eq!(access(&engine, &erased.pseudonym), before, "case {number}");
        for body in bodies {
            let (outcome, _) = take(&mut engine, source, body);
            assert_eq!(outcome, Outcome::Duplicate, "case {number}");
        }
    }
}

/// An edit that `verify` finds must not be vouched for by an erasure.
#[test]
fn what_was_edited_is_not_erased() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenure.db");
    let store = SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
    let mut engine = engine(store, &rules());
    let until = json!({"grant": "g", "product": "news", "until": "2026-02-01T00:00:00Z", "note": "for anna-smith"});
    take(
        &mut engine,
        "crm",
        event(
            "1",
            "granted",
            "2026-01-01T00:00:00Z",
            "anna-smith",
            until.clone(),
        ),
    );
    let others = json!({"grant": "h", "product": "news", "until": "2026-02-01T00:00:00Z", "note": "for anna-smith"});
    take(
        &mut engine,
        "crm",
        event("2", "granted", "2026-01-01T00:00:00Z", "bob-jones", others),
    );
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "DROP TRIGGER events_never_change;
             UPDATE events SET statement = replace(statement, '2026-02-01', '2036-02-01') WHERE grant_key = 'h';",
        )
        .unwrap();
    let anna: UserId = "anna-smith".parse().unwrap();
    let plan = engine.plan_erasure(&anna, &mut |_| {}).unwrap();
    let grounds = ErasureGrounds::new("staff", None).unwrap();
    let error = engine
        .erase(plan, &grounds, now(), &mut |_| {})
        .unwrap_err();
    assert!(error.to_string().contains("nothing was erased"), "{error}");
    let mut reader = engine.reader().unwrap();
    assert!(reader.verify(&mut |_| {}).unwrap().fault.is_some());
    assert_eq!(reader.head().unwrap().position.0, 3);
}

/// Two deliveries may lie in quarantine under one key. When one is erased, the other stays itself.
#[test]
fn a_parked_delivery_is_not_taken_for_an_erased_one_of_its_key() {
    let broken = |user: &str| {
        let data = json!({"grant": "g", "product": "news", "until": null});
        event("e2", "granted", "bogus", user, data)
    };
    let mut engine =
        Engine::<MemoryStore>::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap();
    engine.begin_with_rules(&rules()).unwrap();
    let (outcome, anna) = take(&mut engine, "crm", broken("anna-smith"));
    assert_eq!(outcome, Outcome::Quarantined);
    let erased = erase(&mut engine, &"anna-smith".parse().unwrap(), now());
    assert!(erased.is_some());
    // Sent again, it is known, and nothing of it is kept.
    assert_eq!(
        take(&mut engine, "crm", broken("anna-smith")),
        (Outcome::Quarantined, anna)
    );
    let (outcome, bob) = take(&mut engine, "crm", broken("bob-jones"));
    assert_eq!(outcome, Outcome::Quarantined);
    assert_ne!(bob, anna);
    assert_eq!(
        take(&mut engine, "crm", broken("bob-jones")),
        (Outcome::Quarantined, bob)
    );
}
