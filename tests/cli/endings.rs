//! How the command ends.

use std::io::Read as _;
use std::process::Stdio;

use super::{Place, exists};

#[test]
fn every_ending_has_its_code() {
    let place = Place::with_history();
    place.write(
        "text.txt",
        "no database at all, but long enough to be looked at".repeat(40),
    );
    place.write("bad.toml", "[sources.crm]\nprovider = \"cloudevent\"\n");
    place.write("rules.toml", "[products.pro]\n");
    place.write("empty.jsonl", "");
    let at = ["--at", "2026-01-15"];
    for (code, arguments) in [
        (0, &["check", "u1", "news", at[0], at[1]][..]),
        (1, &["check", "u1", "sport", at[0], at[1]]),
        (0, &["--help"]),
        (0, &["--version"]),
        (0, &["completions", "bash"]),
        (0, &["completions", "zsh"]),
        (0, &["completions", "fish"]),
        (2, &[]),
        (2, &["nonsense"]),
        (2, &["completions", "tcsh"]),
        (2, &["check", "u1"]),
        (2, &["check", "u1", "news", "--batch", "-"]),
        (2, &["check", "u1", "news", "--at", "yesterday"]),
        (2, &["check", "u1", "news", "--at", "-3x"]),
        (2, &["check", "u1", "news", "--as-of", "+99999999999999d"]),
        (2, &["check", "", "news"]),
        (2, &["check", "u1", &"n".repeat(257)]),
        (1, &["check", "u1", "news", "--at", "-300w"]),
        (2, &["ingest", "nosuch", "empty.jsonl"]),
        (2, &["quarantine", "show", "1"]),
        (2, &["quarantine", "retry", "99"]),
        (2, &["check", "u1", "news", "--config", "bad.toml"]),
        (2, &["export", "history.jsonl"]),
        (2, &["backup", "history.jsonl"]),
        (3, &["quarantine", "retry"]),
        (4, &["check", "u1", "news", "--db", "no.db"]),
        (4, &["explain", "u1", "news", "--db", "no.db"]),
        (4, &["windows", "u1", "--db", "no.db"]),
        (4, &["log", "--db", "no.db"]),
        (4, &["grants", "u1", "--db", "no.db"]),
        (4, &["anomalies", "--db", "no.db"]),
        (4, &["quarantine", "list", "--db", "no.db"]),
        (4, &["quarantine", "retry", "--db", "no.db"]),
        (
            4,
            &["quarantine", "discard", "1", "--why", "x", "--db", "no.db"],
        ),
        (4, &["rebuild", "--db", "no.db"]),
        (4, &["verify", "--db", "no.db"]),
        (4, &["stats", "--db", "no.db"]),
        (4, &["export", "--db", "no.db"]),
        (4, &["backup", "copy.db", "--db", "no.db"]),
        (4, &["backup", "no/copy.db"]),
        (4, &["export", "no/out.jsonl"]),
        (4, &["check", "--batch", "no.jsonl"]),
        (4, &["check", "u1", "news", "--config", "no.toml"]),
        (4, &["ingest", "crm", "no.jsonl"]),
        (4, &["ingest", "crm", "."]),
        (4, &["ingest", "crm", "empty.jsonl", "--db", "no/no.db"]),
        (5, &["check", "u1", "news", "--db", "text.txt"]),
        (5, &["ingest", "crm", "empty.jsonl", "--db", "text.txt"]),
        (5, &["stats", "--db", "."]),
    ] {
        let said = place.transcript(arguments);
        assert!(
            said.ends_with(&format!("-- exit code {code}\n")),
            "expected {code}: {said}"
        );
        let is_quiet = code < 2 || code == 3 || arguments.is_empty();
        assert!(
            is_quiet || said.contains("\nerror: ") || said.starts_with("error: "),
            "{said}"
        );
        assert!(
            !said.contains("panicked") && !said.contains("backtrace"),
            "{said}"
        );
    }
    assert!(
        !exists(&place.path("no.db")),
        "only `ingest` makes a database"
    );
}

#[test]
fn errors_say_what_to_do() {
    let place = Place::with_history();
    let mut said = String::new();
    for arguments in [
        &["check", "u1", "news", "--db", "no.db"][..],
        &["ingest", "nosuch", "history.jsonl"],
        &["check", "u1", "news", "--at", "soon"],
        &["check", "a\u{1b}b", "news"],
        &["quarantine", "retry", "99"],
        &["backup", "history.jsonl"],
        &["ingest", "crm", "no.jsonl"],
        &["ingest", "app", "history.jsonl"],
    ] {
        said.push_str(&place.transcript(arguments));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::with_history();
    let question = "{\"user\":\"u1\",\"resource\":\"news\",\"at\":\"2026-01-15\"}\n";
    place.write("questions.jsonl", question.repeat(20_000));
    for arguments in [
        &["check", "--batch", "questions.jsonl"][..],
        &["--help"],
        &["log", "--json"],
    ] {
        let mut command = place.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
        assert_eq!(said, "");
    }
    // The deliveries matter more than the receipts.
    let mut command = place.command(&[
        "ingest",
        "any",
        "history.jsonl",
        "--json",
        "--db",
        "unread.db",
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let figures = place
        .json(&["stats", "--json", "--db", "unread.db"])
        .remove(0);
    assert_eq!(figures["received"], 9);
}

#[test]
fn verify_finds_an_edited_log_and_an_edited_projection() {
    for (edit, position) in [
        (
            "UPDATE deliveries SET event_name = 'x' WHERE position = 4",
            Some(4),
        ),
        ("UPDATE windows SET end_at = end_at - 1", None),
    ] {
        let place = Place::with_history();
        assert_eq!(place.code(&["verify"]), 0);
        let connection = rusqlite::Connection::open(place.path("tenure.db")).unwrap();
        let triggers: Vec<(String, String)> = connection
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for (trigger, _) in &triggers {
            connection
                .execute_batch(&format!("DROP TRIGGER {trigger}"))
                .unwrap();
        }
        connection.execute_batch(edit).unwrap();
        // Whoever edits by stealth leaves no trace of how; a missing trigger would be a fault of its own.
        for (_, sql) in &triggers {
            connection.execute_batch(sql).unwrap();
        }
        drop(connection);
        let found = place.json(&["verify", "--json"]).remove(0);
        assert_eq!(place.code(&["verify"]), 1);
        assert_eq!(found["ok"], false);
        assert_eq!(found["position"], serde_json::json!(position), "{found}");
        // What follows from the log is mended by a rebuild, the log is not.
        assert_eq!(place.code(&["rebuild"]), 0);
        assert_eq!(place.code(&["verify"]), i32::from(position.is_some()));
    }
}

#[test]
fn a_newer_database_is_not_touched() {
    let place = Place::with_history();
    let connection = rusqlite::Connection::open(place.path("tenure.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let said = place.transcript(&["check", "u1", "news"]);
    assert!(
        said.contains("use a newer tenure") && said.ends_with("-- exit code 5\n"),
        "{said}"
    );
}

#[test]
fn a_backup_answers_like_the_original() {
    let place = Place::with_history();
    assert_eq!(place.code(&["backup", "copy.db"]), 0);
    assert_eq!(place.code(&["backup", "copy.db"]), 2);
    for arguments in [
        &["windows", "u1"][..],
        &["verify", "--json"],
        &["log", "--json"],
    ] {
        let copied = [arguments, &["--db", "copy.db"]].concat();
        assert_eq!(place.run(arguments).stdout, place.run(&copied).stdout);
    }
}
