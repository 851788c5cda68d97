//! An export that is whole: what happened to the log comes back from its file.

use serde_json::{Value, json};

use super::{KEY, Place, shown};

const WITHOUT_PERIOD: &str = r#"
[sources.plans]
provider = "abowire"

[sources.crm]
provider = "cloudevents"
"#;

const WITH_PERIOD: &str = r#"
[sources.crm]
provider = "cloudevents"

[sources.crm.policy]
refund = "ignore"

[sources.late]
provider = "cloudevents"
user_prefix = "late-"

[products.pro]
includes = ["news/*"]
"#;

fn granted(id: &str, user: &str, grant: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "shop", "type": "tenure.granted",
        "time": "2026-01-01T00:00:00Z", "subject": user,
        "data": {"grant": grant, "product": "pro", "until": "2027-01-01T00:00:00Z", "period": "P1Y", "period_key": "k"}})
}

fn changed(id: &str, change: &str, grant: &str, time: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "shop", "type": format!("tenure.{change}"), "time": time,
        "data": {"grant": grant}})
}

fn line(source: &str, body: &Value) -> String {
    format!("{}\n", json!({"source": source, "body": body}))
}

/// Every row of the table of windows, as text.
fn windows(place: &Place, db: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(place.path(db)).unwrap();
    let mut statement = connection
        .prepare("SELECT * FROM windows ORDER BY 1, 2, 3, 4, 5, 6")
        .unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values =
            (0..columns).map(|column| row.get_ref(column).map(|value| format!("{value:?}")));
        values.collect::<Result<Vec<_>, _>>()
    });
    rows.unwrap().map(|row| row.unwrap().join("|")).collect()
}

/// A line always says when it was received, also if that was not claimed when it was recorded.
fn without_reception(lines: &str) -> String {
    let parked = lines.lines().map(|line| {
        let mut parked: Value = serde_json::from_str(line).unwrap();
        parked["received_at"].take();
        format!("{parked}\n")
    });
    parked.collect()
}

/// Exports, takes it in elsewhere, and holds both databases against each other. Gives the file.
fn comes_back(place: &Place, config: &str) -> Vec<Value> {
    assert_eq!(place.code(&["export", "all.jsonl"]), 0);
    place.write("elsewhere.toml", config);
    let elsewhere = ["--config", "elsewhere.toml", "--db", "again.db"];
    let taken = place.run(
        &[
            &elsewhere[..],
            &["ingest", "any", "--backfill", "all.jsonl"],
        ]
        .concat(),
    );
    assert!(
        matches!(taken.status.code(), Some(0 | 3)),
        "{}",
        shown(&taken)
    );
    assert_eq!(
        windows(place, "tenure.db"),
        windows(place, "again.db"),
        "{}",
        shown(&taken)
    );
    assert!(!windows(place, "tenure.db").is_empty());
    for arguments in [
        &["export"][..],
        &["windows", "u1", "--json"],
        &["windows", "late-u2", "--json"],
        &["grants", "u1", "--json"],
        &["anomalies", "--json"],
        &["quarantine", "list", "--all", "--json"],
        &["check", "u1", "news/1", "--at", "2026-06-01", "--json"],
        &["check", "late-u2", "pro", "--at", "2026-06-01", "--json"],
    ] {
        let there = [&elsewhere[..], arguments].concat();
        let text = |arguments: &[&str]| {
            let lines = String::from_utf8(place.run(arguments).stdout).unwrap();
            if arguments.contains(&"quarantine") {
                return without_reception(&lines);
            }
            lines
        };
        assert_eq!(text(arguments), text(&there), "{arguments:?}");
    }
    assert_eq!(place.code(&["verify", "--db", "again.db"]), 0);
    let file = std::fs::read_to_string(place.path("all.jsonl")).unwrap();
    file.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn own(file: &[Value]) -> Vec<&str> {
    let own = file.iter().filter(|line| line["source"] == "tenure");
    own.map(|line| line["body"]["tenure"].as_str().unwrap())
        .collect()
}

#[test]
fn rules_that_changed_come_back_and_so_does_a_retry() {
    let place = Place::new();
    place.write("tenure.toml", WITHOUT_PERIOD);
    place.write(
        "first.jsonl",
        line("crm", &granted("e1", "u1", "g1")) + &line("late", &granted("e2", "u2", "g2")),
    );
    assert_eq!(place.code(&["ingest", "any", "first.jsonl"]), 3);
    place.write("tenure.toml", WITH_PERIOD);
    assert_eq!(place.code(&["apply", "tenure.toml"]), 0);
    assert_eq!(place.code(&["quarantine", "retry"]), 0);
    let refund = changed("e3", "refunded", "g1", "2026-02-01T00:00:00Z");
    place.write("second.jsonl", line("crm", &refund));
    assert_eq!(place.code(&["ingest", "any", "second.jsonl"]), 0);
    let file = comes_back(&place, WITH_PERIOD);
    assert_eq!(own(&file), ["rules", "rules", "retry"]);
}

#[test]
fn rules_that_came_late_do_not_decode_what_came_before() {
    let place = Place::new();
    place.write("first.jsonl", format!("{}\n", granted("e1", "u1", "g1")));
    assert_eq!(place.code(&["ingest", "cloudevents", "first.jsonl"]), 0);
    place.write("tenure.toml", WITH_PERIOD);
    assert_eq!(place.code(&["apply", "tenure.toml"]), 0);
    let file = comes_back(&place, WITH_PERIOD);
    assert_eq!(own(&file), ["rules", "rules"]);
    assert_eq!(file[0]["body"]["rules"], Value::Null);
}

#[test]
fn rules_that_never_changed_stay_where_they_are() {
    let place = Place::with_history();
    assert_eq!(
        place.code(&["quarantine", "discard", "6", "--why", "a \"test\""]),
        0
    );
    let file = comes_back(&place, super::RULES);
    assert_eq!(own(&file), ["discard"]);
    let discard = file.last().unwrap();
    assert_eq!(discard["body"]["why"], "a \"test\"");
    // Nothing is taken twice.
    let again = ["ingest", "any", "--backfill", "all.jsonl", "--json"];
    let receipts = place.json(&again);
    let outcome = |outcome: &str| {
        receipts
            .iter()
            .filter(|it| it["outcome"] == outcome)
            .count()
    };
    assert_eq!(
        (outcome("applied"), outcome("ignored")),
        (0, 0),
        "{receipts:?}"
    );
}

#[test]
fn what_was_received_at_another_time_comes_back() {
    let place = Place::new();
    place.write("tenure.toml", super::RULES);
    place.write("app.key", KEY);
    let body = granted("e1", "u1", "g1");
    let at = |at: &str, body: &Value| {
        format!(
            "{}\n",
            json!({"source": "crm", "received_at": at, "body": body})
        )
    };
    let early = at("2020-01-01T00:00:00Z", &body);
    let future = at("2999-01-01T00:00:00Z", &granted("e2", "u1", "g2"));
    place.write("first.jsonl", early + &future);
    assert_eq!(place.code(&["ingest", "any", "first.jsonl"]), 0);
    // One that claimed too much is parked, and stays so.
    place.write(
        "third.jsonl",
        at("2998-01-01T00:00:00Z", &granted("e3", "u1", "g3")),
    );
    assert_eq!(
        place.code(&["ingest", "any", "--backfill", "third.jsonl"]),
        3
    );
    let file = comes_back(&place, super::RULES);
    assert_eq!(file[0]["received_at"], "2020-01-01T00:00:00Z");
    assert!(file[0]["recorded_at"].is_string());
    assert_eq!(file[2]["quarantined"]["reason"], "bad_time");
    assert!(own(&file).is_empty());
}

#[test]
fn broken_lines_come_back_as_they_were_broken() {
    let place = Place::new();
    place.write("tenure.toml", super::RULES);
    place.write("app.key", KEY);
    let sound = line("crm", &granted("e1", "u1", "g1"));
    let inside = granted("e2", "u1", "g2");
    let broken = [
        json!({"source": "crm", "received_at": "soon", "body": inside}).to_string(),
        json!({"source": "crm", "headers": 3, "body": inside}).to_string(),
        json!({"source": "nosuch", "body": inside}).to_string(),
        inside.to_string(),
        "not JSON".to_owned(),
    ];
    place.write("odd.jsonl", sound + &broken.join("\n") + "\n");
    assert_eq!(place.code(&["ingest", "any", "odd.jsonl"]), 3);
    let mine = granted("e9", "u1", "g9");
    place.write(
        "crm.jsonl",
        format!("{}\n", json!({"source": "app", "body": mine})),
    );
    assert_eq!(place.code(&["ingest", "crm", "crm.jsonl"]), 3);
    let file = comes_back(&place, super::RULES);
    let parked = file.iter().filter(|line| line["quarantined"].is_object());
    assert_eq!(parked.count(), 6);
}

#[test]
fn a_secret_that_came_later_does_not_open_a_delivery_earlier() {
    let place = Place::new();
    place.write("tenure.toml", super::RULES);
    place.write("app.key", KEY);
    let text = json!({"event": "new_purchase", "aid": "AAAAAAAAAA", "uid": "u1", "rid": "pro", "access_id": "a1",
        "expires": 1_800_000_000});
    let sent = ["trigger", "app", "new_purchase", "--user", "u1"];
    let delivery = place.run(&sent);
    assert_eq!(
        delivery.status.code(),
        Some(0),
        "{} {text}",
        shown(&delivery)
    );
    place.write("sent.jsonl", delivery.stdout);
    place.write("app.key", "another key of more than thirty-two bytes\n");
    place.write("first.jsonl", line("crm", &granted("e1", "u1", "g1")));
    assert_eq!(place.code(&["ingest", "any", "first.jsonl"]), 0);
    assert_eq!(place.code(&["ingest", "any", "sent.jsonl"]), 3);
    place.write("app.key", KEY);
    // With the right secret at hand, it is still in quarantine there.
    comes_back(&place, super::RULES);
    std::fs::remove_file(place.path("all.jsonl")).unwrap();
    std::fs::remove_file(place.path("again.db")).unwrap();
    assert_eq!(place.code(&["quarantine", "retry"]), 0);
    let file = comes_back(&place, super::RULES);
    assert_eq!(own(&file), ["retry"]);
}

#[test]
fn lines_of_tenure_are_only_obeyed_in_a_history() {
    let place = Place::with_history();
    let rules = json!({"tenure": "rules", "rules": {}});
    let discard = json!({"tenure": "discard", "source": "crm", "key": "shop e5", "why": "x"});
    let said = line("tenure", &rules) + &line("tenure", &discard);
    place.write("said.jsonl", &said);
    let windows_before = windows(&place, "tenure.db");
    for arguments in [
        &["ingest", "any", "said.jsonl", "--json"][..],
        &["ingest", "crm", "said.jsonl", "--json"],
        &["ingest", "crm", "--backfill", "said.jsonl", "--json"],
    ] {
        let receipts = place.json(arguments);
        assert_eq!(receipts.len(), 2);
        for receipt in receipts {
            let became = (
                receipt["outcome"].as_str(),
                receipt["reason"].as_str(),
                receipt["field"].as_str(),
            );
            assert_eq!(
                became,
                (Some("quarantined"), Some("bad_field"), Some("source")),
                "{arguments:?}"
            );
        }
    }
    assert_eq!(place.code(&["ingest", "tenure", "said.jsonl"]), 2);
    let nonsense = [
        json!({"tenure": "rules", "rules": {"sources": {"tenure": {"provider": "cloudevents"}}}}),
        json!({"tenure": "rules", "rules": {"nosuch": 1}}),
        json!({"tenure": "erase", "user": "u1"}),
        json!({"tenure": "retry", "source": "crm", "key": "nothing of that key"}),
    ];
    let nonsense: String = nonsense.iter().map(|body| line("tenure", body)).collect();
    place.write("nonsense.jsonl", nonsense);
    for receipt in place.json(&["ingest", "any", "--backfill", "nonsense.jsonl", "--json"]) {
        assert_eq!(receipt["reason"], "bad_field", "{receipt}");
    }
    assert_eq!(windows(&place, "tenure.db"), windows_before);
    assert_eq!(place.code(&["verify"]), 0);
    let shown = place.transcript(&["ingest", "any", "said.jsonl"]);
    assert!(
        shown.contains("4 quarantined") || shown.contains("2 quarantined"),
        "{shown}"
    );
}
