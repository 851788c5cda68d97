//! The rules file.

use super::Place;

fn with_rules(rules: &str) -> Place {
    let place = Place::new();
    place.write("tenure.toml", rules);
    place.write("none.jsonl", "");
    place
}

#[test]
fn what_means_nothing_is_refused_with_a_hint() {
    let mut said = String::new();
    for rules in [
        "[source.crm]",
        "[sources.crm]\nprovidr = \"cloudevents\"",
        "[sources.crm]\ntenant = \"x\"",
        "[sources.crm]\nprovider = \"cloudevent\"",
        "[sources.crm]\nprovider = \"stripe\"",
        "[sources.staff]\nprovider = \"cloudevents\"",
        "[sources.any]\nprovider = \"cloudevents\"",
        "[sources.tenure]\nprovider = \"cloudevents\"",
        "[sources.crm]\nprovider = 3",
        "[sources]\ncrm = \"cloudevents\"",
        "[sources.crm]\nprovider = \"cloudevents\"\nsecret_env = \"A\"\nsecret_file = \"b\"",
        "[sources.crm]\nprovider = \"cloudevents\"\n\n[sources.crm.policy]\nrefnd = \"revoke\"",
        "[sources.crm]\nprovider = \"cloudevents\"\npolicy.member_plan = \"some\"",
        "[sources.crm]\nprovider = \"cloudevents\"\npolicy.member_plan = [\"free\", 7]",
        "[sources.crm]\nprovider = \"cloudevents\"\nsecret = \"hunter2\"",
        "[sources.crm]\nprovider = \"cloudevents\"\nsecret_env = \"whsec_aHVudGVyMg==\"",
        "[sources.crm]\nprovider = \"cloudevents\"\ntenant = \"\"",
        "[sources.crm]\nprovider = \"cloudevents\"\nuser_prefix = \"a\\nb\"",
        "[sources.crm]\nprovider = \"cloudevents\"\npolicy.refund = \"maybe\"",
        "[sources.crm]\nprovider = \"cloudevents\"\npolicy.renewal_leeway = \"P1M\"",
        "[products.pro]\nperiod = \"P1M1D\"",
        "[products.pro]\nincludes = \"news\"",
        "[products.pro]\nincludes = [\"news\", \"\"]",
        "[products.pro]\nincludes = [{ name = \"news\", from = \"2026-13-01\" }]",
        "[products.pro]\nincludes = [{ nam = \"news\" }]",
        "[products.pro]\nincludes = [\n  \"news\",\n  { name = \"a\", from = \"2026-03-01\", until = \"2026-03-01\" },\n]",
        "[products.pro\n",
        "[products.pro]\n[products.pro]\n",
    ] {
        let place = with_rules(rules);
        let transcript = place.transcript(&["ingest", "any", "none.jsonl"]);
        let message = transcript
            .lines()
            .find(|line| line.starts_with("error: "))
            .unwrap();
        said.push_str(&format!("{rules}\n    {message}\n\n"));
        assert!(transcript.ends_with("-- exit code 2\n"), "{transcript}");
        assert!(!super::exists(&place.path("tenure.db")));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn everything_that_can_be_said_is_read() {
    let place = with_rules(
        r#"
        [sources.app]
        provider = "piano"
        tenant = "AAAAAAAAAA"
        secret_env = "APP_KEY"
        user_prefix = "app:"
        [sources.app.policy]
        refund = "ignore"
        payment_failed_grace = "P3D"
        renewal_leeway = "P3D"
        renewal_access = "PT0S"
        absent_expires = "unlimited"
        member_plan = ["free", "member"]

        [products.pro]
        includes = ["archive", "news/*", { name = "podcasts/*", from = 2026-03-01T00:00:00Z, until = "2026-09-01" }]
        period = "P1M"
        "#,
    );
    let mut command = place.command(&["ingest", "app", "none.jsonl"]);
    assert_eq!(
        command
            .env("APP_KEY", "secret")
            .output()
            .unwrap()
            .status
            .code(),
        Some(0)
    );
    let entry = place.json(&["log", "--json"]).remove(0);
    assert_eq!(entry["entry"], "rules");
    assert_eq!(entry["recorded_at"], "0001-01-01T00:00:00Z");
    assert_eq!(place.code(&["rebuild"]), 0, "no secret is needed for that");
}

#[test]
fn a_secret_that_is_missing_is_said_and_stops_no_file() {
    let place = with_rules(
        "[sources.app]\nprovider = \"piano\"\nsecret_env = \"APP_KEY\"\n[sources.crm]\nprovider = \"cloudevents\"\n",
    );
    place.write(
        "plain.jsonl",
        r#"{"event":"new_purchase","uid":"u1","rid":"pro","access_id":"g1","expires":0}"#,
    );
    let said = place.transcript(&["ingest", "app", "plain.jsonl"]);
    assert!(
        said.contains("warning: the secret of source `app`") && said.contains("`APP_KEY`"),
        "{said}"
    );
    assert!(said.ends_with("-- exit code 0\n"), "{said}");
    assert_eq!(place.code(&["ingest", "any", "none.jsonl"]), 0);
    let said = place.transcript(&["ingest", "crm", "none.jsonl"]);
    assert!(!said.contains("warning"), "no secret is asked for: {said}");

    let place = with_rules("[sources.app]\nprovider = \"piano\"\nsecret_file = \"app.key\"\n");
    let said = place.transcript(&["ingest", "app", "none.jsonl"]);
    assert!(said.contains("app.key`"), "{said}");
    assert!(said.ends_with("-- exit code 0\n"), "{said}");
}

#[test]
fn a_mistake_in_a_file_that_merely_lies_there_keeps_nobody_from_an_answer() {
    let place = Place::with_history();
    place.write("tenure.toml", "[products.pro\n");
    let asked = ["check", "u1", "archive", "--at", "2026-02-01"];
    let said = place.transcript(&asked);
    assert!(
        said.contains("\nallow: ") && said.contains("warning: `tenure.toml`"),
        "{said}"
    );
    assert_eq!(place.code(&["verify"]), 0);
    assert_eq!(place.code(&["ingest", "crm", "history.jsonl"]), 2);
    let named: Vec<&str> = asked
        .into_iter()
        .chain(["--config", "tenure.toml"])
        .collect();
    assert_eq!(place.code(&named), 2);
}

#[test]
fn a_database_without_rules_takes_those_of_the_file_first() {
    let place = Place::new();
    place.write("none.jsonl", "");
    place.write(
        "d.jsonl",
        r#"{"specversion":"1.0","id":"1","source":"s","type":"tenure.granted","time":"2026-01-01T00:00:00Z","subject":"u1","data":{"grant":"g1","product":"pro","until":null}}"#,
    );
    assert_eq!(place.code(&["ingest", "cloudevents", "d.jsonl"]), 0);
    place.write(
        "tenure.toml",
        "[sources.crm]\nprovider = \"cloudevents\"\n[products.pro]\nincludes = [\"archive\"]\n",
    );
    let said = place.transcript(&["ingest", "crm", "none.jsonl"]);
    assert!(
        said.contains("had no rules") && said.ends_with("code 0\n"),
        "{said}"
    );
    assert_eq!(place.code(&["check", "u1", "archive"]), 0);
}

#[test]
fn other_rules_than_those_in_force_are_said() {
    let place = Place::with_history();
    assert!(
        !place
            .transcript(&["check", "u1", "archive", "--at", "2026-02-01"])
            .contains("warning")
    );
    place.write("other.toml", "[products.pro]\n");
    let said = place.transcript(&[
        "check",
        "u1",
        "archive",
        "--at",
        "2026-02-01",
        "--config",
        "other.toml",
    ]);
    assert!(
        said.contains("warning: `other.toml` says other rules than those in force"),
        "{said}"
    );
    assert!(
        said.starts_with("$") && said.contains("\nallow: "),
        "{said}"
    );
    assert_eq!(said.matches("warning").count(), 1);
}

/// With another policy and other products than the history was told under.
const NEW_RULES: &str = r#"
[sources.crm]
provider = "cloudevents"
policy.payment_failed_grace = "P3D"

[sources.app]
provider = "piano"
tenant = "AAAAAAAAAA"
secret_file = "app.key"

[products.pro]
includes = ["news/*", { name = "podcasts", from = "2026-03-01" }]
"#;

/// A transcript whose times do not depend on when the test runs.
fn timeless(transcript: &str) -> String {
    transcript
        .lines()
        .map(|line| match line.split_once("recorded 20") {
            Some((before, _)) => format!("{before}recorded [now]\n"),
            None => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn a_plan_says_what_applying_does() {
    let place = Place::with_history();
    place.write(
        "failed.jsonl",
        r#"{"received_at":"2026-02-28T12:00:00Z","body":{"specversion":"1.0","id":"e9","source":"shop","type":"tenure.payment_failed","time":"2026-02-28T12:00:00Z","subject":"u1","data":{"grant":"g1"}}}
{"received_at":"2026-02-28T13:00:00Z","body":{"specversion":"1.0","id":"e10","source":"shop","type":"tenure.linked","time":"2026-02-28T13:00:00Z","subject":"u1","data":{"alias":"anna"}}}"#,
    );
    assert_eq!(
        place.code(&["ingest", "crm", "failed.jsonl", "--backfill"]),
        0
    );
    place.write("new.toml", NEW_RULES);
    let asked = ["check", "u1", "news", "--at", "2026-03-02"];
    let before = place.transcript(&asked);
    let mut said = place.transcript(&["plan", "new.toml"]);
    said.push_str(&place.transcript(&["plan", "new.toml", "--json"]));
    assert_eq!(before, place.transcript(&asked), "a plan changes nothing");
    said.push_str(&place.transcript(&["apply", "new.toml"]));
    said.push_str(&place.transcript(&["apply", "new.toml", "--json"]));
    said.push_str(&place.transcript(&["plan", "new.toml"]));
    place.write("tenure.toml", NEW_RULES);
    said.push_str(&place.transcript(&asked));
    said.push_str(&place.transcript(&["check", "anna", "podcasts", "--at", "2026-03-02"]));
    said.push_str(&place.transcript(&[
        "check",
        "u1",
        "archive",
        "--at",
        "2026-02-01",
        "--as-of",
        "2026-03-01",
    ]));
    insta::assert_snapshot!(timeless(&said));
    assert_eq!(place.code(&["verify"]), 0);
}

#[test]
fn rules_are_put_in_force_on_a_new_database_from_the_beginning() {
    let place = with_rules("[products.pro]\nincludes = [\"news\"]\n");
    assert_eq!(place.code(&["plan", "tenure.toml"]), 4);
    assert_eq!(place.code(&["apply", "nowhere.toml"]), 4);
    assert!(!super::exists(&place.path("tenure.db")));
    assert_eq!(place.code(&["apply", "tenure.toml"]), 0);
    let entry = place.json(&["log", "--json"]).remove(0);
    assert_eq!(entry["recorded_at"], "0001-01-01T00:00:00Z");
}

#[test]
fn what_is_probably_not_meant_is_said_with_its_line() {
    let place = with_rules("");
    assert_eq!(place.code(&["apply", "tenure.toml"]), 0);
    place.write(
        "doubtful.toml",
        r#"[products.pro]
includes = [
  "pro",
  "news/*",
  "news/front",
  { name = "news/late", from = "2026-01-01" },
  "basic",
  "archive",
  "archive",
]
[products.basic]
includes = ["news/*", "club"]
[products.a]
includes = ["b"]
[products.b]
includes = ["c"]
[products.c]
includes = ["a", { name = "talks", from = "2026-01-01" }, { name = "talks", until = "2026-02-01" }]
"#,
    );
    insta::assert_snapshot!(place.transcript(&["apply", "doubtful.toml"]));
}

#[test]
fn a_retry_after_other_rules_takes_effect_when_it_happened() {
    let place = with_rules("[sources.app]\nprovider = \"piano\"\n");
    place.write(
        "d.jsonl",
        r#"{"received_at":"2026-01-05T00:00:00Z","body":{"event":"new_purchase","aid":"A","uid":"u1","rid":"pro","access_id":"g1"}}
{"received_at":"2026-01-06T00:00:00Z","body":{"event":"new_purchase","aid":"A","uid":"u2","rid":"pro","access_id":"g2","expires":0}}"#,
    );
    // One that cannot be applied does not block the next.
    assert_eq!(place.code(&["ingest", "app", "d.jsonl", "--backfill"]), 3);
    assert_eq!(place.code(&["check", "u2", "pro", "--at", "2026-01-07"]), 0);
    assert_eq!(place.code(&["quarantine", "retry"]), 3);
    place.write(
        "tenure.toml",
        "[sources.app]\nprovider = \"piano\"\npolicy.absent_expires = \"unlimited\"\n",
    );
    assert_eq!(place.code(&["apply", "tenure.toml"]), 0);
    assert_eq!(place.code(&["check", "u1", "pro", "--at", "2026-01-07"]), 1);
    assert_eq!(place.code(&["quarantine", "retry"]), 0);
    assert_eq!(place.code(&["check", "u1", "pro", "--at", "2026-01-07"]), 0);
    assert_eq!(place.code(&["check", "u1", "pro", "--at", "2026-01-04"]), 1);
    let as_of = [
        "check",
        "u1",
        "pro",
        "--at",
        "2026-01-07",
        "--as-of",
        "2026-02-01",
    ];
    assert_eq!(place.code(&as_of), 1, "it was not known then");
    assert_eq!(place.code(&["verify"]), 0);
}

#[test]
fn the_file_of_the_documentation_is_read() {
    let page = include_str!("../../docs/rules.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let place = with_rules(example);
    let said = place.transcript(&["apply", "tenure.toml"]);
    assert!(said.ends_with("-- exit code 0\n"), "{said}");
    assert!(!said.contains("warning"), "{said}");
}
