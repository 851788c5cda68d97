//! What the laws have found, each as small as it was found.

use serde_json::json;
use tenure::domain::decision::Question;
use tenure::rusqlite::Connection;
use tenure::store::SqliteStoreOptions;
use tenure::{Engine, Instant, MemoryStore, Secrets, SqliteStore};

use crate::strategies::{History, Line, at, engine, in_memory, plain_rules, recorded, tell};

const DAY: &str = "2024-01-31T00:00:00Z";

/// How many events an explanation of what was known at first lists, before and after more is recorded.
fn steps_before_and_after(user: &str, first: Line, later: Line) -> (usize, usize) {
    let mut engine = in_memory(&plain_rules());
    tell(&mut engine, &[first], 0);
    let question = Question {
        user: user.parse().unwrap(),
        resource: "pro".parse().unwrap(),
        at: Instant::LAST,
        as_of: recorded(&engine).times.last().copied(),
    };
    let steps = |engine: &Engine<MemoryStore>| {
        engine
            .reader()
            .unwrap()
            .explain(&question, None)
            .unwrap()
            .steps
            .len()
    };
    let before = steps(&engine);
    tell(&mut engine, &[later], 1);
    (before, steps(&engine))
}

#[test]
fn an_explanation_lists_a_grant_that_never_gave_anything_also_while_it_is_the_latest() {
    let orphan = Line::of_grant("crm", "renewed", "g", at(DAY)).for_user("u");
    let other = Line::of_grant("crm", "revoked", "h", at(DAY));
    assert_eq!(steps_before_and_after("u", orphan, other), (1, 1));
}

#[test]
fn an_explanation_of_the_past_leaves_out_a_grant_that_named_the_user_only_later() {
    let granted = Line::of_grant("crm", "granted", "g", at(DAY)).for_user("u");
    let granted = granted
        .with("product", json!("pro"))
        .with("until", json!(null));
    let naming = Line::of_grant("crm", "payment_failed", "g", at(DAY)).for_user("v");
    assert_eq!(steps_before_and_after("v", granted, naming), (0, 0));
}

#[test]
fn an_event_moved_to_another_recorded_time_does_not_verify() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenure.db");
    let history = History {
        rules: plain_rules(),
        lines: vec![Line::of_grant("crm", "revoked", "g", at(DAY))],
    };
    let open = || SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
    tell(&mut engine(open(), &history.rules), &history.lines, 0);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "DROP TRIGGER events_never_change; UPDATE events SET recorded_at = recorded_at + 1",
        )
        .unwrap();
    let engine = Engine::new(open(), Secrets::default()).unwrap();
    let verified = engine.reader().unwrap().verify(&mut |_| {}).unwrap();
    assert!(verified.fault.is_some());
}
