//! `erase`, run as a program: what it says, and that no file holds the id afterwards.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::{Value, json};
use tenure::{PROVIDERS, Request, Secret, Verified};

use super::{Place, shown};

const KEY: &str = "a key of more than thirty-two bytes, made up";

/// With what a command is run, as a person who is known would.
fn run(place: &Place, arguments: &[&str]) -> std::process::Output {
    let mut command = place.command(arguments);
    command
        .env("TENURE_ACTOR", "anna")
        .env("TENURE_PIANO_SECRET", KEY);
    command.output().unwrap()
}

fn said(place: &Place, arguments: &[&str]) -> String {
    let output = run(place, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(place, arguments)).unwrap()
}

/// What is drawn at random, and what hangs on it, by a word of its own.
fn plain(text: &str, erased: &Value) -> String {
    let text = text.replace(erased["pseudonym"].as_str().unwrap(), "PSEUDONYM");
    text.replace(erased["head"].as_str().unwrap(), "HEAD")
}

/// Every event of every provider about a user, as its system would send it, each about a grant of its own.
fn everything_about(place: &Place, user: &str, tag: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    for provider in PROVIDERS {
        for (number, kind) in provider.kinds().iter().enumerate() {
            let grant = format!("{tag}-{number}");
            let id = format!("{user}-event-{tag}-{number}");
            let options = [
                "--user",
                user,
                "--grant",
                &grant,
                "--id",
                &id,
                "--at",
                "2026-01-05",
            ];
            let made = run(
                place,
                &[&["trigger", provider.name(), kind], &options[..]].concat(),
            );
            // Not every id can be one of every system.
            if made.status.code() == Some(0) {
                lines.extend(made.stdout);
            }
        }
    }
    lines
}

fn files_that_hold(place: &Place, text: &str) -> Vec<String> {
    let wanted = text.to_ascii_lowercase();
    let mut found = Vec::new();
    for file in std::fs::read_dir(place.folder.path()).unwrap() {
        let file = file.unwrap();
        let bytes = std::fs::read(file.path()).unwrap().to_ascii_lowercase();
        if bytes
            .windows(wanted.len())
            .any(|it| it == wanted.as_bytes())
        {
            found.push(file.file_name().into_string().unwrap());
        }
    }
    found.sort();
    found
}

/// The texts of all deliveries, opened where they are encrypted.
fn opened(place: &Place, db: &str) -> String {
    let connection = Connection::open(place.path(db)).unwrap();
    let mut statement = connection
        .prepare("SELECT source, body, query FROM deliveries WHERE kind = 'delivery'")
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, Vec<u8>>(1)?,
            row.get(2)?,
        ))
    });
    let mut text = String::new();
    for row in rows.unwrap() {
        let (source, body, query) = row.unwrap();
        let request = Request {
            body,
            headers: BTreeMap::new(),
            query,
        };
        let provider = PROVIDERS.iter().find(|it| it.name() == source).unwrap();
        let secret = Secret::new(KEY.as_bytes().to_vec());
        if let Ok(verified) = Verified::trusted(*provider, request, secret.as_ref()) {
            text.push_str(&String::from_utf8_lossy(verified.text()).to_lowercase());
        }
    }
    text
}

/// Takes what all systems say of two users, erases one, and looks for the id in every file.
fn leaves_nothing_of(user: &str) {
    let place = Place::new();
    let (own, other) = (
        everything_about(&place, user, "one"),
        everything_about(&place, "somebody-else", "two"),
    );
    let made = Place::new();
    made.write("made.jsonl", [own, other].concat());
    let made = made.path("made.jsonl");
    let made = made.to_str().unwrap();
    let taken = run(&place, &["ingest", "any", made]);
    assert!(
        [Some(0), Some(3)].contains(&taken.status.code()),
        "{}",
        shown(&taken)
    );
    assert!(!files_that_hold(&place, user).is_empty());
    assert!(opened(&place, "tenure.db").contains(&user.to_lowercase()));
    let id = user.to_lowercase();
    // Whom the examples link and transfer to: another id, which holds this one as a word.
    let linked = json_of(&place, &["erase", &format!("{id}-2"), "--json"]);
    assert_eq!(
        (&linked["erased"], &linked["linked"]),
        (&json!(true), &json!([id])),
        "{linked}"
    );
    let erased = json_of(&place, &["erase", &id, "--json"]);
    assert_eq!(
        (&erased["erased"], &erased["left"]),
        (&json!(true), &json!(0)),
        "{erased}"
    );
    assert_eq!(erased["unopened"], 0);
    assert!(erased["entries"].as_u64().unwrap() > 20, "{erased}");
    said(&place, &["backup", "after.db"]);
    said(&place, &["export", "after.jsonl"]);
    assert_eq!(files_that_hold(&place, user), [""; 0]);
    for db in ["tenure.db", "after.db"] {
        let text = opened(&place, db);
        assert!(!text.contains(&id) && text.contains("somebody-else"));
    }
    let verified = json_of(&place, &["verify", "--json"]);
    assert_eq!(
        (&verified["ok"], &verified["head"]),
        (&json!(true), &erased["head"])
    );
    // What is sent again is no news.
    let entries = |place: &Place| json_of(place, &["stats", "--json"])["entries"].clone();
    let before = entries(&place);
    run(&place, &["ingest", "any", made]);
    assert_eq!(entries(&place), before);
    assert_eq!(files_that_hold(&place, user), [""; 0]);
}

#[test]
fn no_file_holds_a_name_that_all_systems_told() {
    leaves_nothing_of("reader-4711");
}

#[test]
fn no_file_holds_a_guid_in_any_case() {
    leaves_nothing_of("0A1B2C3D-5E6F-4000-8000-0123456789AB");
}

/// Lena has two ids, a grant by hand, one of crm, and something in quarantine.
fn lena() -> Place {
    let place = Place::new();
    let told = |id: &str, kind: &str, subject: &str, data: Value| {
        let body = json!({"specversion": "1.0", "id": id, "source": "shop", "type": kind,
            "time": "2026-01-05T00:00:00Z", "subject": subject, "data": data});
        format!(
            "{}\n",
            json!({"source": "cloudevents", "received_at": "2026-01-05T00:00:01Z", "body": body})
        )
    };
    let granted = |grant: &str| json!({"grant": grant, "product": "news", "until": null});
    let lines = [
        told(
            "lena.meyer/1",
            "tenure.granted",
            "lena.meyer",
            granted("g1"),
        ),
        told("2", "tenure.granted", "otto", granted("g2")),
        told(
            "3",
            "tenure.granted",
            "lena.meyer",
            json!({"grant": "g3", "product": "news"}),
        ),
        told(
            "4",
            "tenure.linked",
            "lena.meyer",
            json!({"alias": "lm@example.com"}),
        ),
        told(
            "5",
            "com.example.read",
            "otto",
            json!({"sent_to": "Lena <lena.meyer>"}),
        ),
    ];
    place.write("history.jsonl", lines.concat());
    let taken = place.run(&["ingest", "any", "history.jsonl", "--backfill"]);
    assert_eq!(taken.status.code(), Some(3), "{}", shown(&taken));
    std::fs::remove_file(place.path("history.jsonl")).unwrap();
    place
}

#[test]
fn it_says_what_it_did_and_the_log_shows_it() {
    let place = lena();
    let erase = [
        "erase",
        "lena.meyer",
        "--why",
        "request of 3 May",
        "--actor",
        "anna",
        "--yes",
    ];
    let text = said(&place, &erase);
    let log: Vec<Value> = place.json(&["log", "--json"]);
    let recorded = log.iter().find(|it| it["entry"] == "erasure").unwrap();
    assert_eq!(
        (&recorded["actor"], &recorded["why"]),
        (&json!("anna"), &json!("request of 3 May"))
    );
    assert_eq!(
        (&recorded["kind"], &recorded["source"]),
        (&json!("user_erased"), &json!("tenure"))
    );
    assert_eq!(
        log.iter()
            .filter(|it| it["erased_at"] == recorded["position"])
            .count(),
        4
    );
    let pseudonym = text.split("is ").nth(1).unwrap().split(' ').next().unwrap();
    let head = json_of(&place, &["verify", "--json"])["head"].clone();
    let erased = json!({"pseudonym": pseudonym, "head": head});
    insta::assert_snapshot!(plain(&text, &erased));
    let shown = place.transcript(&["quarantine", "show", "3"]);
    assert!(
        shown.contains("erased, at position 6") && !shown.contains("lena"),
        "{shown}"
    );
    let parked = &place.json(&["quarantine", "show", "3", "--json"])[0];
    assert_eq!(
        (&parked["erased_at"], &parked["settled"]),
        (&json!(6), &json!("discarded"))
    );
    assert_eq!(parked["delivery"], Value::Null);
    // The answers are those of the pseudonym now.
    assert_eq!(place.code(&["check", "lena.meyer", "news"]), 1);
    assert_eq!(
        place.json(&["check", "lena.meyer", "news", "--json"])[0]["reason"],
        "unknown_user"
    );
    assert_eq!(place.code(&["check", pseudonym, "news"]), 0);
    assert_eq!(place.code(&["check", "lm@example.com", "news"]), 0);
    for command in ["explain", "timeline", "windows", "grants", "anomalies"] {
        let shown = place.transcript(&[command, pseudonym]);
        assert!(
            shown.contains("exit code 0") && !shown.contains("lena"),
            "{shown}"
        );
    }
}

#[test]
fn nothing_to_erase_is_said_and_changes_nothing() {
    let place = lena();
    let before = json_of(&place, &["verify", "--json"])["head"].clone();
    let text = said(&place, &["erase", "nobody-at-all"]);
    assert!(
        text.starts_with("nothing here speaks of `nobody-at-all`"),
        "{text}"
    );
    let erased = json_of(&place, &["erase", "nobody-at-all", "--json"]);
    assert_eq!(
        (&erased["erased"], &erased["pseudonym"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(json_of(&place, &["verify", "--json"])["head"], before);
    said(&place, &["erase", "lena.meyer"]);
    let again = json_of(&place, &["erase", "lena.meyer", "--json"]);
    assert_eq!(again["erased"], false);
}

#[test]
fn who_asks_and_why_may_not_hold_the_id() {
    let place = lena();
    for arguments in [
        ["--why", "Lena (lena.meyer) wants it", "--actor", "anna"],
        ["--why", "she wants it", "--actor", "lena.meyer"],
    ] {
        let refused = run(&place, &[&["erase", "lena.meyer"], &arguments[..]].concat());
        assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(text.contains("may not hold the user's id"), "{text}");
    }
    assert_eq!(place.code(&["check", "lena.meyer", "news"]), 0);
    let missing = Place::new();
    assert_eq!(missing.code(&["erase", "u1", "--actor", "anna"]), 4);
}

#[test]
fn what_is_edited_of_an_erased_log_is_found() {
    let place = lena();
    said(&place, &["erase", "lena.meyer"]);
    drop(Connection::open(place.path("tenure.db")).unwrap());
    let whole = std::fs::read(place.path("tenure.db")).unwrap();
    assert_eq!(json_of(&place, &["verify", "--json"])["ok"], true);
    for (edit, position) in [
        (
            "UPDATE deliveries SET body = x'7b7d' WHERE position = 1",
            Some(1),
        ),
        (
            "UPDATE deliveries SET query = 'a=b' WHERE position = 1",
            Some(1),
        ),
        (
            "UPDATE deliveries SET salt = randomblob(16) WHERE position = 1",
            Some(1),
        ),
        (
            "UPDATE deliveries SET dedupe_key = 'shop 9' WHERE position = 1",
            Some(1),
        ),
        (
            "UPDATE deliveries SET detail = 'x' WHERE position = 3",
            Some(3),
        ),
        (
            "UPDATE deliveries SET digest = randomblob(32) WHERE position = 1",
            Some(1),
        ),
        (
            "UPDATE events SET product = 'pro' WHERE position = 1",
            Some(1),
        ),
        (
            "UPDATE events SET statement = replace(statement, 'news', 'pro') WHERE position = 1",
            Some(1),
        ),
        ("DELETE FROM erased WHERE position = 1", Some(1)),
        (
            "UPDATE erased SET erased_by = 5 WHERE position = 1",
            Some(1),
        ),
        (
            "UPDATE erased SET erased_by = 1 WHERE position = 1",
            Some(1),
        ),
        ("INSERT INTO erased VALUES (2, 6)", Some(2)),
        ("INSERT INTO erased VALUES (2, 2)", Some(2)),
        ("INSERT INTO erased VALUES (7, 6)", None),
        ("INSERT INTO former_keys VALUES (randomblob(32), 'a')", None),
        ("DELETE FROM former_keys", None),
        (
            "UPDATE deliveries SET body = CAST(replace(CAST(body AS TEXT), 'anna', 'otto') AS BLOB) WHERE position = 6",
            Some(6),
        ),
    ] {
        std::fs::write(place.path("tenure.db"), &whole).unwrap();
        let raw = Connection::open(place.path("tenure.db")).unwrap();
        for trigger in [
            "deliveries_never_change",
            "events_never_change",
            "erased_never_go",
        ] {
            raw.execute_batch(&format!("DROP TRIGGER {trigger}"))
                .unwrap();
        }
        assert!(raw.execute(edit, []).unwrap() > 0, "{edit}");
        drop(raw);
        let output = run(&place, &["verify", "--json"]);
        assert_eq!(output.status.code(), Some(1), "{edit}: {}", shown(&output));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["position"].as_u64(), position, "{edit}: {found}");
    }
}

#[test]
fn an_export_of_an_erased_log_is_the_same_log_elsewhere() {
    let place = lena();
    let erased = json_of(&place, &["erase", "lena.meyer", "--json"]);
    said(&place, &["export", "all.jsonl"]);
    let taken = run(
        &place,
        &[
            "--db",
            "again.db",
            "ingest",
            "any",
            "--backfill",
            "all.jsonl",
        ],
    );
    assert!(
        [Some(0), Some(3)].contains(&taken.status.code()),
        "{}",
        shown(&taken)
    );
    said(&place, &["--db", "again.db", "export", "again.jsonl"]);
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    assert_eq!(read("all.jsonl"), read("again.jsonl"));
    assert_eq!(
        json_of(&place, &["--db", "again.db", "verify", "--json"])["ok"],
        true
    );
    let pseudonym = erased["pseudonym"].as_str().unwrap();
    let windows = |db: &str| said(&place, &["--db", db, "windows", pseudonym, "--json"]);
    assert_eq!(windows("tenure.db"), windows("again.db"));
    assert!(windows("again.db").contains("news"));
}
