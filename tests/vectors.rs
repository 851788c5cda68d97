//! The semantic vectors: scenario files that say what has to come, worked out from docs/semantics.md. All of them go
//! through the command, as those of a publisher do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use tenure::{Anomaly, Outcome, PROVIDERS, Reason, Verdict};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `tenure test` in a folder, with nothing of the environment that the tests run in.
fn test_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tenure"));
    command.env_clear().env("LC_ALL", "C.UTF-8");
    command.current_dir(folder).arg("test").args(arguments);
    command.output().unwrap()
}

fn json(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What was printed and how it ended.
fn shown(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}-- exit code {}\n", output.status.code().unwrap())
}

fn vectors() -> String {
    let mut texts = String::new();
    for entry in fs::read_dir(root().join("tests/vectors")).unwrap() {
        texts.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    texts
}

#[test]
fn every_vector_comes_out_as_it_says() {
    let output = test_in(&root(), &["tests/vectors"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let scenarios = json(&test_in(&root(), &["tests/vectors", "--json"]));
    let expectations: u64 = scenarios
        .iter()
        .map(|it| it["expectations"].as_u64().unwrap())
        .sum();
    assert!(scenarios.len() >= 149, "{} scenarios", scenarios.len());
    assert!(expectations >= 780, "{expectations} expectations");
    let mut names: Vec<&str> = scenarios
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    for name in &names {
        assert!(name.chars().count() <= 70, "`{name}` does not fit a line");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), scenarios.len(), "two scenarios of one name");
}

#[test]
fn the_vectors_leave_nothing_out() {
    let texts = vectors();
    for verdict in Verdict::ALL {
        let reason = verdict.reason();
        assert!(
            texts.contains(&format!("expect = \"{reason}\"")),
            "no answer is `{reason}`"
        );
    }
    for anomaly in Anomaly::ALL {
        assert!(
            texts.contains(&format!("anomalies = [\"{anomaly}\"]")),
            "nothing leaves `{anomaly}`"
        );
    }
    for outcome in Outcome::ALL {
        assert!(
            texts.contains(&format!("\"{outcome}\"")),
            "nothing is `{outcome}`"
        );
    }
    // A text is UTF-8, and a mebibyte of it is no example.
    let without = [Reason::NotUtf8, Reason::TooLarge];
    for reason in Reason::ALL.into_iter().filter(|it| !without.contains(it)) {
        assert!(
            texts.contains(&format!("reason = \"{reason}\"")),
            "nothing is parked as `{reason}`"
        );
    }
    let dialect = PROVIDERS.iter().find(|it| it.name() == "cloudevents");
    for kind in dialect.unwrap().kinds() {
        let change = kind.strip_prefix("tenure.").unwrap();
        assert!(
            texts.contains(&format!("{change} = {{ ")),
            "`{change}` is stated nowhere"
        );
    }
}

#[test]
fn the_page_and_the_help_show_a_vector() {
    let example = fs::read_to_string(root().join("tests/vectors/example.toml")).unwrap();
    let page = fs::read_to_string(root().join("docs/scenarios.md")).unwrap();
    assert!(page.contains(&format!("```toml\n{example}```")));
    let help = shown(&test_in(&root(), &["--help"]));
    let indented: Vec<String> = example
        .lines()
        .map(|line| format!("  {line}").trim_end().to_owned())
        .collect();
    assert!(help.contains(&indented.join("\n")), "{help}");
}

/// The blocks of code of that language on a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    page.split(&begin)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[test]
fn every_piece_of_the_page_is_read() {
    let page = fs::read_to_string(root().join("docs/scenarios.md")).unwrap();
    let frame = "name = \"x\"\nrules.sources.crm.provider = \"cloudevents\"\n\
        rules.sources.magazine.provider = \"piano\"\n";
    let expected = "[[windows]]\nuser = \"nobody\"\nexpect = []\n";
    let mut pieces = Vec::new();
    for block in blocks(&page, "toml") {
        let is_whole = block.starts_with("name");
        let text = format!("{frame}{block}{expected}");
        pieces.push(("a.toml", if is_whole { block.to_owned() } else { text }));
    }
    let whole = blocks(&page, "json")
        .into_iter()
        .filter(|block| block.contains("deliveries"));
    pieces.extend(whole.map(|block| ("a.json", block.to_owned())));
    assert_eq!(pieces.len(), 6, "every piece was found");
    for (name, text) in pieces {
        let place = place(&[(name, &text)]);
        let output = test_in(place.path(), &[name]);
        let code = output.status.code();
        assert!(
            code == Some(0) || (code == Some(1) && name == "a.toml"),
            "{text}\n{}",
            shown(&output)
        );
    }
}

/// A folder with files.
fn place(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

const MISTAKEN: &str = r#"
rules.sources.crm.provider = "cloudevents"

[[scenario]]
name = "everything comes otherwise"
about = "So that each kind of expectation is shown."
deliveries = [
  { at = 2026-01-01, granted = { grant = "g1", user = "u1", product = "news", until = 2026-02-01 }, expect = "ignored" },
  { at = 2026-01-10, cancelled = { grant = "g9" }, expect = { anomalies = [] } },
  { source = "crm", received_at = 2026-01-11, body = "{", expect = { outcome = "applied", reason = "not_utf8", events = 1 } },
  { at = 2026-01-12, linked = { user = "u1", alias = "u2" } },
]
questions = [
  { user = "u1", resource = "news", at = 2026-02-20, expect = "active", until = 2026-03-01, grant = "g2", source = "app", product = "pro", window = { start = 2026-01-01 } },
  { user = "u7", resource = "news", at = 2026-01-05, as_of = 2026-01-03, expect = "allow", grant = "g1" },
  { user = "u1", resource = "news", at = 2026-01-05, expect = "deny", until = "never" },
]
windows = [
  { user = "u2", expect = [
    { product = "news", grant = "g1", start = 2026-01-01, end = 2026-03-01 },
    { product = "pro", grant = "g1", source = "crm", start = 2026-03-01 },
  ] },
  { user = "u8", as_of = 2026-01-05, expect = [{ product = "news", grant = "g1", start = 2026-01-01 }] },
]

[[scenario]]
name = "nothing was in quarantine"
deliveries = [{ at = 2026-01-01, retry = true, expect = "applied" }]

[[scenario]]
name = "this one is right"
questions = [{ user = "u1", resource = "news", at = 2026-01-01, expect = "unknown_user" }]
"#;

#[test]
fn a_failure_says_what_was_asked_what_was_expected_what_came_and_why() {
    let place = place(&[("mistaken.toml", MISTAKEN)]);
    insta::assert_snapshot!(shown(&test_in(place.path(), &["mistaken.toml"])));
}

#[test]
fn programs_get_a_line_for_each_scenario() {
    let place = place(&[("mistaken.toml", MISTAKEN)]);
    let output = test_in(place.path(), &["--json", "mistaken.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let scenarios = json(&output);
    let passed: Vec<&Value> = scenarios.iter().map(|it| &it["passed"]).collect();
    assert_eq!(passed, [false, false, true]);
    insta::assert_snapshot!(shown(&test_in(
        place.path(),
        &["--json", "mistaken.toml", "--filter", "quarantine"]
    )));
}

#[test]
fn what_is_no_scenario_is_refused_with_its_place_and_a_hint() {
    let question =
        r#"questions = [{ user = "u1", resource = "news", at = 2026-01-01, expect = "deny" }]"#;
    let told = |deliveries: &str| format!("name = \"x\"\n{deliveries}\n{question}\n");
    let cases = [
        ("a.toml", "name = ".to_owned()),
        ("a.toml", "name = \"x\"\n".to_owned()),
        ("a.toml", question.to_owned()),
        ("a.toml", format!("name = \"\"\n{question}")),
        ("a.toml", told("qestions = []")),
        ("a.toml", told("deliveries = { at = 2026-01-01 }")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01 }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01, grantd = {} }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01, revoked = {}, ended = {} }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01, granted = { usr = \"u1\" } }]")),
        ("a.toml", told("deliveries = [{ at = \"soon\", revoked = { grant = \"g1\" } }]")),
        ("a.toml", told("deliveries = [{ revoked = { grant = \"g1\" } }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01, renewed = { until = \"unlimited\" } }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01, query = \"\", revoked = { grant = \"g1\" } }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01, source = \"piano\", revoked = { grant = \"g1\" } }]")),
        ("a.toml", told("deliveries = [{ source = \"crn\", received_at = 2026-01-01, body = \"\" }]")),
        ("a.toml", told("deliveries = [{ source = \"piano\", body = \"\" }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01, retry = true, expect = \"apllied\" }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01, retry = true, expect = {} }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01, retry = true, expect = { anomalies = [\"orphaned\"] } }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-01, apply = { sources.crm.providr = \"piano\" } }]")),
        ("a.toml", told("deliveries = [{ at = 2026-01-05, retry = true }, { at = 2026-01-04, retry = true }]")),
        ("a.toml", told("now = 2026-01-01\ndeliveries = [{ at = 2026-01-05, retry = true }]")),
        ("a.toml", told("rules.products.pro.period = 5")),
        ("a.toml", "name = \"x\"\nquestions = [{ user = \"u1\", resource = \"news\", expect = \"deny\" }]".to_owned()),
        ("a.toml", "name = \"x\"\nquestions = [{ user = \"u1\", resource = \"news\", at = 2026-01-01 }]".to_owned()),
        ("a.toml", "name = \"x\"\nquestions = [{ user = \"u1\", resource = \"news\", at = 2026-01-01, expect = \"lasped\" }]".to_owned()),
        ("a.toml", "name = \"x\"\nwindows = [{ user = \"u1\" }]".to_owned()),
        ("a.toml", "[sources.crm]\nprovider = \"cloudevents\"\n".to_owned()),
        ("a.json", "{\"name\":\"x\",}".to_owned()),
        ("a.json", "[]".to_owned()),
        ("a.json", "{\"name\":\"x\",\n\"name\":\"y\"}".to_owned()),
        ("a.json", "{\"name\":\"x\",\n\"rules\":{\"sources\":{\"crm\":null}}}".to_owned()),
    ];
    let mut said = String::new();
    for (name, text) in cases {
        let place = place(&[(name, &text)]);
        let output = test_in(place.path(), &[name]);
        assert_eq!(output.status.code(), Some(2), "{text}\n{}", shown(&output));
        assert_eq!(output.stdout, b"", "{text}");
        said.push_str(&String::from_utf8(output.stderr).unwrap());
    }
    insta::assert_snapshot!(said);
}

const BY_RULES: &str = r#"
name = "what pro includes"
deliveries = [{ at = 2026-01-01, granted = { grant = "g1", user = "u1", product = "pro", until = "unlimited" } }]
questions = [{ user = "u1", resource = "archive", at = 2026-01-02, expect = "allow", source = "crm" }]
"#;

const RULES: &str = "[sources.crm]\nprovider = \"cloudevents\"\nsecret_file = \"no.key\"\n[products.pro]\nincludes = [\"archive\"]\n";

#[test]
fn the_rules_of_a_file_hold_where_a_scenario_states_none() {
    let own = format!("rules.products = {{}}\n{BY_RULES}");
    let place = place(&[
        ("tenure.toml", RULES),
        ("scenarios/none.toml", BY_RULES),
        ("scenarios/own.toml", &own),
    ]);
    let code = |arguments: &[&str]| test_in(place.path(), arguments).status.code();
    assert_eq!(
        code(&["--rules", "tenure.toml", "scenarios/none.toml"]),
        Some(0)
    );
    assert_eq!(
        code(&["--rules", "tenure.toml", "scenarios/own.toml"]),
        Some(1)
    );
    // The rules file that lies there is not looked at unasked.
    assert_eq!(code(&["scenarios/none.toml"]), Some(1));
    assert_eq!(code(&["--rules", "none.toml", "scenarios"]), Some(4));
}

#[test]
fn nothing_is_left_behind_and_no_database_is_needed() {
    let place = place(&[("a.toml", MISTAKEN), ("tenure.db", "no database")]);
    let output = test_in(place.path(), &["a.toml", "--filter", "this one"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let mut names: Vec<_> = fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.toml", "tenure.db"]);
    assert_eq!(
        fs::read(place.path().join("tenure.db")).unwrap(),
        b"no database"
    );
}

#[test]
fn folders_are_gone_through_and_a_filter_has_to_meet_something() {
    let right = "name = \"right\"\nquestions = [{ user = \"u1\", resource = \"news\", at = 2026-01-01, expect = \"deny\" }]\n";
    let place = place(&[
        ("all/b.toml", right),
        ("all/deeper/a.toml", right),
        ("all/notes.md", "no scenario"),
        ("none/notes.md", "no scenario"),
    ]);
    let said = |arguments: &[&str]| shown(&test_in(place.path(), arguments));
    insta::assert_snapshot!(
        [
            said(&["all"]),
            said(&["all", "--filter", "wrong"]),
            said(&["none"]),
            said(&["nowhere.toml"]),
        ]
        .join("\n")
    );
}

#[test]
fn standard_input_is_read_as_toml() {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tenure"));
    command.args(["test", "-"]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let example = fs::read(root().join("tests/vectors/example.toml")).unwrap();
    child.stdin.take().unwrap().write_all(&example).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        shown(&output),
        "standard input\n  ok      a month that was paid is not taken back by a cancellation\n\n1 passed, 0 failed\n-- \
         exit code 0\n"
    );
}
