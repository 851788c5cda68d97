//! The page for those who answer readers shows what the command prints, and what it says of it holds.

use std::path::Path;

use super::Place;

const PAGE: &str = "docs/support.md";

/// A place with the files of the page's example.
fn place() -> Place {
    let place = Place::new();
    for name in ["tenure.toml", "history.jsonl"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/support");
        place.write(name, std::fs::read(file.join(name)).unwrap());
    }
    place
}

/// The words of a command line, as a shell parts them.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (turn, part) in line.split('\'').enumerate() {
        if turn % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn run(place: &Place, line: &str) -> String {
    let words = words(line.strip_prefix("tenure ").unwrap());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = place.run(&words);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "", "{line}");
    String::from_utf8(output.stdout).unwrap()
}

/// The page with the output of its commands as it is now.
fn page_as_run(page: &str) -> String {
    // The demo's database lies in a folder of its own, for the rules of the example are not its own.
    let (example, demo) = (place(), Place::new());
    let place = |line: &str| {
        if line.contains("demo.db") {
            &demo
        } else {
            &example
        }
    };
    let mut written = String::new();
    let mut block = None;
    for line in page.lines() {
        match (block, line) {
            (None, _) if line.starts_with("```") => block = Some(line),
            (Some(_), "```") => block = None,
            (Some("```sh"), _) if line.starts_with("tenure ") => {
                run(place(line), line);
            }
            (Some("```console"), _) => {
                if let Some(command) = line.strip_prefix("$ ") {
                    let is_first = written.ends_with("```console\n");
                    let gap = if is_first { "" } else { "\n" };
                    written += &format!("{gap}{line}\n{}", run(place(command), command));
                }
                continue;
            }
            _ => {}
        }
        written += &format!("{line}\n");
    }
    written
}

/// `INSTA_UPDATE=always` writes the page anew; read it then.
#[test]
fn the_page_shows_what_the_command_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let as_run = page_as_run(&page);
    assert!(as_run.matches("\n$ tenure ").count() > 8);
    if std::env::var("INSTA_UPDATE").is_ok_and(|it| it == "always") {
        std::fs::write(&path, &as_run).unwrap();
    } else {
        assert_eq!(page, as_run);
    }
}

#[test]
fn explanations_of_a_user_are_an_array_for_programs() {
    let place = place();
    run(&place, "tenure ingest any history.jsonl --backfill");
    let lena = place.json(&["explain", "lena", "--at", "2026-03-04", "--json"]);
    let all = lena[0].as_array().unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["decision"]["resource"], "pro");
    assert_eq!(all[0]["decision"]["reason"], "revoked");
    assert_eq!(all[0]["kept_by"]["what"], "reinstatement");
    let ended_by = all[0]["kept_by"]["ended_by"][0].as_u64().unwrap();
    let step = &all[0]["steps"][usize::try_from(ended_by).unwrap()];
    assert_eq!(
        (&step["actor"], &step["why"]),
        (&"anna".into(), &"chargeback".into())
    );
    assert_eq!(all[0]["without"], serde_json::json!([ended_by]));
    let nobody = place.json(&["explain", "wim", "--json"]);
    assert_eq!(nobody, [serde_json::json!([])]);
    let wim = place.json(&["explain", "wim", "pro", "--json"]);
    assert_eq!(wim[0]["quarantined"][0]["position"], 12);
    assert_eq!(wim[0]["kept_by"]["what"], "product");
    assert_eq!(wim[0]["kept_by"]["products"], serde_json::json!(["pro"]));
}

#[test]
fn an_encrypted_delivery_in_quarantine_is_found_by_its_reader() {
    let place = Place::new();
    place.write("tenure.toml", super::RULES);
    place.write("app.key", super::KEY);
    let made = place.run(&["trigger", "app", "new_purchase", "--user", "reader-7"]);
    let text = String::from_utf8(made.stdout.clone()).unwrap();
    assert!(
        made.status.success() && !text.contains("reader-7"),
        "{text}"
    );
    // Of another tenant than the rules say: it can be opened, and is not let in.
    let other = super::RULES.replace("AAAAAAAAAA", "BBBBBBBBBB");
    place.write("tenure.toml", other);
    place.write("made.jsonl", &made.stdout);
    assert_eq!(place.code(&["ingest", "app", "made.jsonl"]), 3);
    let explained = place.json(&["explain", "reader-7", "pro", "--json"]);
    assert_eq!(explained[0]["decision"]["reason"], "unknown_user");
    assert_eq!(explained[0]["quarantined"][0]["reason"], "wrong_tenant");
    assert_eq!(explained[0]["quarantined"][0]["kind"], "new_purchase");
    let said = place.transcript(&["explain", "reader-7"]);
    assert!(said.contains("`tenure quarantine show 2`"), "{said}");
}
