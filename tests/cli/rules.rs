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
        "[sources.crm]\nprovider = \"cloudevents\"\npolicy.member_plan = \"grant\"",
        "[sources.crm]\nprovider = \"cloudevents\"\npolicy.refund = \"maybe\"",
        "[sources.crm]\nprovider = \"cloudevents\"\npolicy.renewal_leeway = \"P1M\"",
        "[products.pro]\nperiod = \"P1M1D\"",
        "[products.pro]\nincludes = \"news\"",
        "[products.pro]\nincludes = [\"news\", \"\"]",
        "[products.pro]\nincludes = [{ name = \"news\", from = \"2026-13-01\" }]",
        "[products.pro]\nincludes = [{ nam = \"news\" }]",
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
fn a_secret_is_asked_for_only_where_it_is_needed() {
    let place = with_rules(
        "[sources.app]\nprovider = \"piano\"\nsecret_env = \"APP_KEY\"\n[sources.crm]\nprovider = \"cloudevents\"\n",
    );
    let said = place.transcript(&["ingest", "app", "none.jsonl"]);
    assert!(
        said.contains("`APP_KEY`") && said.ends_with("-- exit code 2\n"),
        "{said}"
    );
    assert!(!super::exists(&place.path("tenure.db")));
    assert_eq!(place.code(&["ingest", "any", "none.jsonl"]), 2);
    assert_eq!(place.code(&["ingest", "crm", "none.jsonl"]), 0);
    assert_eq!(place.code(&["stats"]), 0);
    assert_eq!(place.code(&["quarantine", "retry"]), 2);

    let place = with_rules("[sources.app]\nprovider = \"piano\"\nsecret_file = \"app.key\"\n");
    let said = place.transcript(&["ingest", "app", "none.jsonl"]);
    assert!(
        said.contains("/app.key`") || said.contains("`app.key`"),
        "{said}"
    );
    assert!(said.ends_with("-- exit code 4\n"), "{said}");
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
