//! What every command says, to people and to programs.

use std::io::Write as _;
use std::process::Stdio;

use super::Place;

/// The salts differ on every run, and so do the head's hash and the size.
fn stable(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n', ',', '"', ':']);
    let is_hash =
        |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    words
        .map(|word| {
            let bare = word.trim_end_matches([' ', '\n', ',', '"', ':']);
            if is_hash(bare) {
                word.replace(bare, "HASH")
            } else {
                word.to_owned()
            }
        })
        .collect()
}

const COMMANDS: [&[&str]; 17] = [
    &["check", "u1", "news", "--at", "2026-01-15"],
    &[
        "check",
        "u1",
        "news/today",
        "--at",
        "2026-01-10T00:00:00Z",
        "--as-of",
        "2026-01-10",
    ],
    &["check", "u1", "sport", "--at", "2026-01-10"],
    &["check", "nobody", "news", "--at", "2026-01-10"],
    &["explain", "u1", "archive", "--at", "2026-01-10"],
    &[
        "explain",
        "u1",
        "news",
        "--at",
        "2026-03-05",
        "--since",
        "2026-01-30",
    ],
    &["explain", "nobody", "news", "--at", "2026-03-05"],
    &["windows", "u1", "--table"],
    &["windows", "u1", "--as-of", "2026-02-01"],
    &["windows", "nobody", "--table"],
    &["log"],
    &[
        "log", "--user", "u1", "--grant", "g1", "--source", "crm", "--limit", "1",
    ],
    &["grants", "u1"],
    &["anomalies"],
    &["anomalies", "u1"],
    &["quarantine", "list"],
    &["quarantine", "show", "6"],
];

#[test]
fn people_are_answered() {
    let place = Place::with_history();
    let said: String = COMMANDS
        .iter()
        .map(|command| place.transcript(command))
        .collect();
    insta::assert_snapshot!(stable(&said));
}

#[test]
fn programs_are_answered() {
    let place = Place::with_history();
    let said: String = COMMANDS
        .iter()
        .map(|command| place.transcript(&[*command, &["--json"]].concat()))
        .collect();
    insta::assert_snapshot!(stable(&said));
}

#[test]
fn upkeep_is_reported() {
    let place = Place::with_history();
    let mut said = String::new();
    for json in [&[][..], &["--json"]] {
        for command in [
            &["verify"][..],
            &["rebuild"],
            &["quarantine", "retry"],
            &["quarantine", "retry", "6"],
            &["export"],
        ] {
            said.push_str(&place.transcript(&[command, json].concat()));
        }
        let name = format!("{}.jsonl", json.len());
        said.push_str(&place.transcript(&[&["export", &name], json].concat()));
    }
    said.push_str(&place.transcript(&["quarantine", "discard", "6", "--why", " "]));
    said.push_str(&place.transcript(&["quarantine", "discard", "6", "--why", "a test", "--json"]));
    said.push_str(&place.transcript(&["quarantine", "discard", "6", "--why", "again"]));
    said.push_str(&place.transcript(&["quarantine", "list"]));
    said.push_str(&place.transcript(&["quarantine", "list", "--all"]));
    insta::assert_snapshot!(stable(&said));
}

#[test]
fn the_figures_add_up() {
    let place = Place::with_history();
    let figures = place.json(&["stats", "--json"]).remove(0);
    for (name, expected) in [
        ("received", 9),
        ("applied", 6),
        ("duplicate", 1),
        ("ignored", 1),
        ("quarantined", 1),
        ("entries", 9),
    ] {
        assert_eq!(figures[name], expected, "{name}: {figures}");
    }
    assert_eq!(figures["accounted"], true);
    let bytes = figures["bytes"].as_u64().unwrap();
    assert_eq!(figures["bytes_per_delivery"], bytes / 9);
    assert_eq!(figures["sizes"], serde_json::Value::Null);
    let sized = place.json(&["stats", "--sizes", "--json"]).remove(0);
    let size = |name: &str| sized["sizes"][name].as_u64().unwrap();
    let parts = ["log", "projection", "bookkeeping", "free"].map(size);
    assert_eq!(parts.iter().sum::<u64>(), bytes, "{sized}");
    assert!(size("log") > 0 && size("projection") > 0);
    assert_eq!(size("log_per_entry"), size("log") / 9);
    let windows = figures["windows"].as_u64().unwrap();
    assert_eq!(size("projection_per_window"), size("projection") / windows);
    assert!(place.transcript(&["stats", "--sizes"]).contains("a window"));
    let shown = place.transcript(&["stats"]);
    assert!(
        shown.contains("applied + duplicate + ignored + quarantined = received: 9 = 9"),
        "{shown}"
    );
}

#[test]
fn help_teaches() {
    let place = Place::new();
    insta::assert_snapshot!(place.transcript(&["--help"]));
    for command in [
        "demo",
        "ingest",
        "check",
        "explain",
        "windows",
        "timeline",
        "log",
        "grants",
        "anomalies",
        "quarantine",
        "grant",
        "revoke",
        "reinstate",
        "suspend",
        "resume",
        "withdraw",
        "link",
        "rebuild",
        "verify",
        "stats",
        "export",
        "backup",
        "trigger",
        "test",
        "completions",
    ] {
        let help = place.transcript(&[command, "--help"]);
        assert!(
            help.contains("Example") && help.ends_with("-- exit code 0\n"),
            "{help}"
        );
    }
}

#[test]
fn a_batch_agrees_with_single_questions() {
    let place = Place::with_history();
    let mut questions = String::new();
    let mut singles = Vec::new();
    for day in 1..=28 {
        for (user, resource) in [("u1", "news"), ("u1", "archive"), ("u9", "news")] {
            let at = format!("2026-01-{day:02}");
            questions.push_str(&format!(
                "{{\"user\":\"{user}\",\"resource\":\"{resource}\",\"at\":\"{at}\"}}\r\n\n"
            ));
            singles.extend(place.json(&["check", user, resource, "--at", &at, "--json"]));
        }
    }
    place.write("questions.jsonl", &questions);
    assert_eq!(
        place.json(&["check", "--batch", "questions.jsonl"]),
        singles
    );
    assert_eq!(place.code(&["check", "--batch", "questions.jsonl"]), 0);
}

#[test]
fn a_line_that_is_no_question_gets_an_error_in_its_place() {
    let place = Place::with_history();
    let questions =
        br#"{"user":"u1","resource":"news","at":"2026-01-15","as_of":"2026-01-10T00:00:00Z"}
nonsense
{"user":"","resource":"news"}
{"user":"u1","resource":"news","at":"never"}
{"user":"u1","resource":"news","when":"now"}
{"user":"u1","resource":"news","at":"2026-01-15","as_of":null}"#;
    let mut child = place
        .command(&["check", "--batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(questions).unwrap();
    let output = child.wait_with_output().unwrap();
    insta::assert_snapshot!(super::shown(&output));
}

#[test]
fn the_demo_shows_the_whole_way() {
    let place = Place::new();
    let demo = place.transcript(&["demo"]);
    insta::assert_snapshot!(demo);
    assert!(
        demo.lines()
            .filter(|line| line.contains('█'))
            .all(|line| line.chars().count() <= 80)
    );
    // Neither the zone, the locale nor the rules of the folder matter, but for what the terminal can show.
    place.write("tenure.toml", "[products.x]\n");
    let elsewhere = place
        .command(&["demo"])
        .env("TZ", "Asia/Tokyo")
        .output()
        .unwrap();
    assert!(demo.contains(&String::from_utf8(elsewhere.stdout).unwrap()));
    let ascii = place
        .command(&["demo"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(ascii.stdout.is_ascii());
    // Nothing is left of the temporary databases.
    assert_eq!(std::fs::read_dir(&place.folder).unwrap().count(), 1);
}

#[test]
fn the_demo_can_be_kept_once() {
    let place = Place::new();
    assert_eq!(place.code(&["--db", "demo.db", "demo"]), 0);
    assert_eq!(place.code(&["--db", "demo.db", "verify"]), 0);
    assert_eq!(
        place.code(&[
            "check",
            "anna",
            "news/today",
            "--at",
            "2026-02-20",
            "--db",
            "demo.db"
        ]),
        0
    );
    assert_eq!(place.code(&["demo", "--db", "demo.db"]), 2);
    assert!(place.json(&["--json", "demo"]).len() > 4);
}

#[test]
fn nothing_a_terminal_would_obey_is_printed() {
    let place = Place::new();
    let line = r#"{"source":"cloudevents","body":"{\u001b[2J\u0007\u202e\u009b31m"}"#;
    place.write("odd.jsonl", format!("{line}\n"));
    assert_eq!(place.code(&["ingest", "any", "odd.jsonl"]), 3);
    for arguments in [
        &["quarantine", "show", "1"][..],
        &["quarantine", "list"],
        &["log"],
        &["check", "u\u{202e}1", "\u{200b}", "--at", "2026-01-01"],
        &["log", "--source", "\u{1b}[2J"],
        &["ingest", "\u{202e}"],
    ] {
        for no_colour in ["", "1"] {
            let output = place
                .command(arguments)
                .env("NO_COLOR", no_colour)
                .output()
                .unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            let obeyed = |letter: char| {
                letter.is_control() && letter != '\n' || "\u{202e}\u{200b}".contains(letter)
            };
            assert!(!said.contains(obeyed), "{arguments:?}: {said:?}");
        }
    }
    let shown = place.transcript(&["quarantine", "show", "1"]);
    assert!(
        shown.contains(r"{\u{1b}[2J\u{7}\u{202e}\u{9b}31m"),
        "{shown}"
    );
}
