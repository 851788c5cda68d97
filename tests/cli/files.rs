//! Files of deliveries: damaged lines, interruptions, export and import.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant as Clock};

use serde_json::{Value, json};
use tenure::provider::provider;
use tenure::{Position, Reader, Secret, SqliteReader, SqliteStore, Statistics, UserId};

use super::{KEY, Place, RULES};

/// A packet with that text, as a query.
fn packet(text: &str) -> String {
    let secret = Secret::new(KEY.trim_end()).unwrap();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let request = provider("piano")
        .unwrap()
        .seal(text.as_bytes(), Some(&secret), now);
    request.unwrap().query.unwrap()
}

fn purchase(user: &str, grant: &str, expires: &Value) -> String {
    json!({"event": "new_purchase", "aid": "AAAAAAAAAA", "uid": user, "rid": "pro", "access_id": grant,
        "expires": expires})
    .to_string()
}

fn app(query: &str) -> Vec<u8> {
    let line =
        json!({"source": "app", "received_at": "2026-01-01T00:00:00Z", "body": "", "query": query});
    line.to_string().into_bytes()
}

/// An envelope of the other source, with a body as text.
fn crm(body: &str) -> Vec<u8> {
    json!({"source": "crm", "body": body})
        .to_string()
        .into_bytes()
}

fn fact(id: &str, time: &Value, subject: &str, grant: &str) -> String {
    json!({"specversion": "1.0", "id": id, "source": "shop", "type": "tenure.granted", "time": time,
        "subject": subject, "data": {"grant": grant, "product": "news", "until": null}})
    .to_string()
}

/// Lines with what is wrong with each, by its reason code, or its outcome where that is not the quarantine.
fn odd_lines() -> Vec<(&'static str, Vec<u8>)> {
    let whole = packet(&purchase("u1", "a1", &json!(1_800_000_000)));
    let cipher = whole.split("~~~").next().unwrap().to_owned();
    let other_mac = packet(&purchase("u2", "a2", &Value::Null));
    let other_mac = other_mac.split("~~~").nth(1).unwrap();
    let mac = whole.split("~~~").nth(1).unwrap();
    let expiring = |expires: &Value| app(&packet(&purchase("u3", "a3", expires)));
    let granted = |id: &str, user: &str, grant: &str| {
        crm(&fact(id, &json!("2026-01-01T00:00:00Z"), user, grant))
    };
    let timed = |id: &str, time: Value| crm(&fact(id, &time, "u1", "g1"));
    let long = "x".repeat(257);
    let elsewhere = purchase("u4", "a4", &Value::Null).replace("AAAAAAAAAA", "BBBBBBBBBB");
    let deep = format!("{}{}", "{\"a\":".repeat(70), "1") + &"}".repeat(70);
    let padded = fact(
        "big",
        &json!("2026-01-01T00:00:00Z"),
        &"u".repeat(2 << 20),
        "g1",
    );
    vec![
        ("applied", app(&whole)),
        ("duplicate", app(&whole)),
        ("bad_packet", app(&cipher)),
        ("bad_packet", app(&format!("{cipher}~~~"))),
        ("bad_signature", app(&format!("{cipher}~~~{other_mac}"))),
        ("bad_packet", app(&format!("{whole}~~~{mac}"))),
        ("bad_packet", app(&format!("{cipher}!!~~~{mac}"))),
        (
            "bad_packet",
            app(&format!(
                "{}~~~{mac}",
                cipher.get(..cipher.len() - 8).unwrap()
            )),
        ),
        ("wrong_tenant", app(&packet(&elsewhere))),
        ("negative_expires", expiring(&json!(-1))),
        ("time_out_of_range", expiring(&json!(i64::MAX))),
        ("negative_expires", expiring(&json!(i64::MIN))),
        ("bad_time", expiring(&json!(1.5))),
        (
            "ignored",
            app(&packet(r#"{"event":"brand_new_event","aid":"AAAAAAAAAA"}"#)),
        ),
        ("not_json", b"not JSON at all".to_vec()),
        ("missing_field", br#"{"specversion":"1.0"}"#.to_vec()),
        ("bad_field", br#"{"source":"nosuch","body":{}}"#.to_vec()),
        ("not_json", crm("{\"specversion\":")),
        ("not_an_object", crm("[1,2]")),
        ("not_an_object", crm("\"text\"")),
        ("too_deep", crm(&deep)),
        (
            "duplicate_key",
            crm(r#"{"specversion":"1.0","id":"e1","id":"e2"}"#),
        ),
        (
            "not_utf8",
            br#"{"source":"crm","body":"eyJhIjoi/yJ9","body_encoding":"base64"}"#.to_vec(),
        ),
        (
            "not_utf8",
            b"{\"source\":\"crm\",\"body\":{\"a\":\"\xff\"}}".to_vec(),
        ),
        ("bad_id", granted("e3", "u\0x", "g1")),
        ("bad_id", granted("e4", "", "g1")),
        ("bad_id", granted("e5", "u1", "")),
        ("bad_id", granted("e6", &long, "g1")),
        ("bad_id", granted("e7", "u1", &long)),
        ("bad_time", timed("e8", json!("yesterday"))),
        ("bad_time", timed("e9", json!(1.5))),
        ("time_out_of_range", timed("e10", json!(i64::MAX))),
        ("time_out_of_range", timed("e11", json!(i64::MIN))),
        (
            "time_out_of_range",
            timed("e12", json!("0000-01-01T00:00:00Z")),
        ),
        (
            "time_out_of_range",
            timed("e13", json!("10000-01-01T00:00:00Z")),
        ),
        ("too_large", crm(&padded)),
        (
            "ignored",
            crm(&fact("e14", &json!("2026-01-01T00:00:00Z"), "u1", "g1")
                .replace("tenure.granted", "com.example.x")),
        ),
        ("applied", granted("e15", "u1", "g1")),
        ("id_conflict", granted("e15", "u2", "g1")),
    ]
}

#[test]
fn no_line_stops_the_file() {
    let place = Place::new();
    place.write("tenure.toml", RULES);
    place.write("app.key", KEY);
    let lines = odd_lines();
    let mut file = Vec::new();
    for (_, line) in &lines {
        file.extend_from_slice(line);
        file.extend_from_slice(b"\n");
    }
    place.write("odd.jsonl", &file);
    let receipts = place.json(&["ingest", "any", "odd.jsonl", "--json"]);
    assert_eq!(receipts.len(), lines.len());
    for ((expected, line), receipt) in lines.iter().zip(&receipts) {
        let became = receipt["reason"].as_str().or(receipt["outcome"].as_str());
        let line = String::from_utf8_lossy(line);
        let line: String = line.chars().take(300).collect();
        assert_eq!(became, Some(*expected), "{receipt} {line}");
        assert!(
            receipt["reason"].is_null() || receipt["field"].is_string(),
            "{receipt}"
        );
    }
    // Again: nothing is recorded twice, and every line is accounted for.
    let again = place.json(&["ingest", "any", "odd.jsonl", "--json"]);
    assert!(again.iter().all(|receipt| receipt["outcome"] != "applied"));
    let figures = place.json(&["stats", "--json"]).remove(0);
    assert_eq!(figures["received"], 2 * lines.len());
    assert_eq!(figures["accounted"], true);
    assert_eq!(place.code(&["verify"]), 0);
    let parked = place.json(&["quarantine", "list", "--json"]);
    for entry in &parked {
        let position = entry["position"].to_string();
        assert_eq!(place.code(&["quarantine", "show", &position]), 0);
    }
    assert_eq!(place.code(&["quarantine", "retry"]), 3);
    assert_eq!(
        place.json(&["quarantine", "list", "--json"]).len(),
        parked.len()
    );
}

#[test]
fn a_summary_names_the_reasons() {
    let place = Place::with_history();
    insta::assert_snapshot!(place.transcript(&["ingest", "any", "history.jsonl"]));
}

#[test]
fn an_export_taken_in_again_answers_alike() {
    let place = Place::with_history();
    assert_eq!(place.code(&["export", "out.jsonl"]), 0);
    assert_eq!(place.code(&["export", "out.jsonl"]), 2);
    assert_eq!(
        place.code(&[
            "ingest",
            "any",
            "out.jsonl",
            "--backfill",
            "--db",
            "again.db"
        ]),
        3
    );
    for arguments in [
        &["windows", "u1", "--json"][..],
        &["windows", "u1", "--as-of", "2026-02-01", "--json"],
        &["grants", "u1", "--json"],
        &["anomalies", "--json"],
        &["export"],
    ] {
        let again = [arguments, &["--db", "again.db"]].concat();
        assert_eq!(
            place.run(arguments).stdout,
            place.run(&again).stdout,
            "{arguments:?}"
        );
    }
}

const LINES: usize = 20_000;
const USERS: usize = 300;

/// Two systems, with packets that are the same text and yet not the same packet, true repetitions, and damage.
fn long_file() -> Vec<u8> {
    let mut packets = BTreeMap::new();
    let mut file = Vec::new();
    for number in 0..LINES {
        let user = number * 7 % USERS;
        let round = number / USERS;
        let line = match number % 5 {
            0 | 1 => {
                // A grant, a revocation, the same grant again; each now and then twice in a row.
                let event = if (round / 2).is_multiple_of(2) {
                    "new_purchase"
                } else {
                    "access_revoked"
                };
                let query = packets.entry((event, user)).or_insert_with(|| {
                    let text = purchase(
                        &format!("u{user}"),
                        &format!("a{user}"),
                        &json!(1_900_000_000),
                    );
                    packet(&text.replace("new_purchase", event))
                });
                let second = number % 60;
                let minute = number / 60 % 60;
                let hour = number / 3_600;
                let at = format!("2026-01-01T{hour:02}:{minute:02}:{second:02}Z");
                json!({"source": "app", "received_at": at, "body": "", "query": query}).to_string()
            }
            2 | 3 => {
                let id = format!("e{}", number - number % 3);
                let at = json!(format!("2026-01-{:02}T00:00:00Z", 1 + number % 28));
                let body = fact(&id, &at, &format!("u{user}"), &format!("g{user}"));
                json!({"source": "crm", "body": serde_json::from_str::<Value>(&body).unwrap()})
                    .to_string()
            }
            _ => json!({"source": "crm", "body": format!("damaged {}", number % 500)}).to_string(),
        };
        file.extend_from_slice(line.as_bytes());
        file.push(b'\n');
    }
    file
}

fn reader(place: &Place, db: &str) -> Option<Reader<SqliteReader>> {
    SqliteStore::open_reader(&place.path(db))
        .ok()
        .map(Reader::new)
}

/// All that a reader can see but the times of this very run.
fn state(place: &Place, db: &str) -> (Vec<String>, Statistics, Vec<String>) {
    let mut reader = reader(place, db).unwrap();
    let mut users = Vec::new();
    for number in 0..USERS {
        let user = UserId::new(&format!("u{number}")).unwrap();
        let windows = reader.windows(&user, None).unwrap();
        let grants = reader.grants(&user, None).unwrap();
        users.push(format!("{windows:?} {grants:?}"));
    }
    let parked = reader.parked(Position::default(), LINES).unwrap();
    let parked = parked
        .iter()
        .map(|(parked, entry)| format!("{parked:?} {}", entry.repetitions))
        .collect();
    let statistics = Statistics {
        bytes: 0,
        ..reader.statistics().unwrap()
    };
    (users, statistics, parked)
}

#[test]
fn an_interrupted_import_goes_on_where_it_stopped() {
    let place = Place::new();
    place.write("tenure.toml", RULES);
    place.write("app.key", KEY);
    place.write("long.jsonl", long_file());
    let arguments = ["ingest", "any", "long.jsonl", "--json", "--db"];
    let at_once = place.json(&[&arguments[..], &["whole.db"]].concat());
    assert_eq!(at_once.len(), LINES);

    let mut command = place.command(&[&arguments[..], &["cut.db"]].concat());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let begun = Clock::now();
    let taken = loop {
        let head = reader(&place, "cut.db").and_then(|mut reader| reader.statistics().ok());
        let received = head.map_or(0, |figures| figures.received);
        if received >= 3_000 || begun.elapsed() > Duration::from_secs(60) {
            break received;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "killed, not ended");
    assert!(taken >= 3_000);
    let left = reader(&place, "cut.db").unwrap().statistics().unwrap();
    assert!(left.received < LINES as u64, "it was interrupted");

    let resumed = place.json(&[&arguments[..], &["cut.db"]].concat());
    assert_eq!(state(&place, "whole.db"), state(&place, "cut.db"));
    let without_mark = |receipts: &[Value]| -> Vec<Value> {
        let mut receipts = receipts.to_vec();
        for receipt in &mut receipts {
            receipt.as_object_mut().unwrap().remove("resumed");
        }
        receipts
    };
    assert_eq!(
        without_mark(&resumed),
        at_once,
        "the receipts are those it would have given"
    );
    let marked = resumed
        .iter()
        .filter(|receipt| receipt["resumed"] == true)
        .count();
    assert_eq!(u64::try_from(marked).unwrap(), left.received);
    assert_eq!(place.code(&["verify", "--db", "cut.db"]), 0);
}
