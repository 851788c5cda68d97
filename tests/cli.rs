//! The command, run as a program: what it prints, and how it ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

mod answers;
mod changes;
mod endings;
mod erasing;
mod explaining;
mod exporting;
mod files;
mod moving;
mod processes;
mod rules;
mod staff;
mod support;
mod time;
mod timeline;
mod trigger;

/// A folder to run the command in.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A place with a database of a short history, whose recorded times are those of the file.
    fn with_history() -> Self {
        let place = Self::new();
        place.write("tenure.toml", RULES);
        place.write("app.key", KEY);
        place.write("history.jsonl", HISTORY);
        let output = place.run(&["ingest", "any", "history.jsonl", "--backfill"]);
        assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// The command, with nothing of the environment that the tests run in.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tenure"));
        command.env_clear().env("LC_ALL", "C.UTF-8");
        command.env("TMPDIR", self.folder.path());
        command.current_dir(&self.folder).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command prints and how it ends, for a snapshot.
    fn transcript(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let folder = self.folder.path().to_str().unwrap();
        let line = arguments.join(" ");
        format!("$ tenure {line}\n{}\n", shown(&output)).replace(folder, "FOLDER")
    }

    fn code(&self, arguments: &[&str]) -> i32 {
        self.run(arguments).status.code().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn shown(output: &Output) -> String {
    let code = output
        .status
        .code()
        .map_or("killed".to_owned(), |code| code.to_string());
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    let err = if err.is_empty() {
        String::new()
    } else {
        format!("-- standard error\n{err}")
    };
    format!("{out}{err}-- exit code {code}")
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// As an editor leaves it: the line break is no part of the secret.
const KEY: &str = "a key of more than thirty-two bytes, made up\n";

const RULES: &str = r#"
[sources.crm]
provider = "cloudevents"

[sources.app]
provider = "piano"
tenant = "AAAAAAAAAA"
secret_file = "app.key"

[products.pro]
includes = ["archive", "news/*"]
"#;

const HISTORY: &str = r#"{"received_at":"2026-01-01T00:00:01Z","source":"crm","body":{"specversion":"1.0","id":"e1","source":"shop","type":"tenure.granted","time":"2026-01-01T00:00:00Z","subject":"u1","data":{"grant":"g1","product":"news","period":"P1M"}}}
{"received_at":"2026-01-01T00:00:02Z","source":"crm","body":{"specversion":"1.0","id":"e1","source":"shop","type":"tenure.granted","time":"2026-01-01T00:00:00Z","subject":"u1","data":{"grant":"g1","product":"news","period":"P1M"}}}
{"received_at":"2026-01-05T00:00:00Z","source":"crm","body":{"specversion":"1.0","id":"e2","source":"shop","type":"tenure.granted","time":"2026-01-05T00:00:00Z","subject":"u1","data":{"grant":"g2","product":"pro","until":null,"origin":"gift"}}}
{"received_at":"2026-01-06T00:00:00Z","source":"crm","body":{"specversion":"1.0","id":"e3","source":"shop","type":"tenure.suspended","time":"2026-01-06T00:00:00Z","subject":"u1","data":{"grant":"g2","by":"billing"}}}
{"received_at":"2026-01-07T00:00:00Z","source":"crm","body":{"specversion":"1.0","id":"e4","source":"shop","type":"com.example.seen","time":"2026-01-07T00:00:00Z","subject":"u1"}}
{"received_at":"2026-01-08T00:00:00Z","source":"crm","body":{"specversion":"1.0","id":"e5","source":"shop","type":"tenure.granted","time":"soon","subject":"u2","data":{"grant":"g3","product":"news","until":null}}}
{"received_at":"2026-01-31T12:00:00Z","source":"crm","body":{"specversion":"1.0","id":"e6","source":"shop","type":"tenure.renewed","time":"2026-01-31T12:00:00Z","subject":"u1","data":{"grant":"g1","period_key":"february"}}}
{"received_at":"2026-02-10T00:00:00Z","source":"crm","body":{"specversion":"1.0","id":"e7","source":"shop","type":"tenure.resumed","time":"2026-01-20T00:00:00Z","subject":"u1","data":{"grant":"g2","by":"billing"}}}
{"received_at":"2026-02-11T00:00:00Z","source":"crm","body":{"specversion":"1.0","id":"e8","source":"shop","type":"tenure.cancelled","time":"2026-02-11T00:00:00Z","subject":"u9","data":{"grant":"g9"}}}
"#;
