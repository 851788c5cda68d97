//! Logs of every format that was released give the answers that were recorded then. See `tests/golden/README.md`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tenure::{Engine, Instant, Reader, RecordedAt, Secrets, SqliteStore, SqliteStoreOptions};

use crate::golden_making;
use crate::harness::{Extent, Harness, Report, caught};
use crate::strategies::recorded;

pub(crate) const HARNESS: Harness = Harness {
    name: "golden",
    guarantee: "a log of any released format gives the answers recorded then, and so does its export",
    not_covered: "formats before the first kept log; schema 1 is that of schema 2 brought back",
    run,
};

/// What was recorded of a log, each a line of a file.
#[derive(Clone)]
struct Recorded {
    answers: Vec<String>,
    windows: Vec<String>,
    export: String,
}

fn run(_: &Extent) -> Report {
    let mut report = Report::default();
    if std::env::var("TENURE_GOLDEN").is_ok_and(|it| it == "make") {
        golden_making::make_missing(&folder());
    }
    let logs = logs();
    let mut before = Vec::new();
    for log in &logs {
        let kept = Recorded::read(log);
        // The model takes its time, and answers that were held against it are right in every format.
        let is_to_model = before != kept.answers;
        let name = log.file_name().unwrap().to_string_lossy().into_owned();
        for (what, place) in [("opened", opened(log)), ("taken in", taken_in(&kept))] {
            report.tried(1, "logs opened or taken in");
            let held = caught(|| {
                let place = place?;
                place.gives(&kept, &mut report)?;
                if !is_to_model || what != "opened" {
                    return Ok(());
                }
                report.tried(number(kept.answers.len()), "held against the model");
                are_the_models(&place, &kept.answers)
            });
            if let Err(message) = held {
                report.violations.push(format!("{name}, {what}: {message}"));
            }
        }
        before = kept.answers;
    }
    report.at_least(4, "logs opened or taken in");
    report.at_least(4_000, "answers");
    report.at_least(1_000, "held against the model");
    report.at_least(400, "lists of windows");
    let newest = Recorded::read(logs.last().expect("a log"));
    plant_an_altered_answer(&mut report, logs.last().unwrap(), &newest);
    plant_another_policy(&mut report, &newest);
    report
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The folders of the kept logs, the newest last.
fn logs() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    let mut logs: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    let number = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let number = name.strip_prefix("schema_").and_then(|it| it.parse().ok());
        number.unwrap_or_else(|| panic!("`{name}` is no folder of a log"))
    };
    logs.sort_by_key(|path| -> u32 { number(path) });
    logs
}

impl Recorded {
    fn read(log: &Path) -> Self {
        let text = |name: &str| std::fs::read_to_string(log.join(name)).unwrap();
        let lines = |name: &str| text(name).lines().map(str::to_owned).collect();
        Self {
            answers: lines("answers.jsonl"),
            windows: lines("windows.jsonl"),
            export: text("export.jsonl"),
        }
    }
}

/// A database of its own, which the command is run on.
pub(crate) struct Place(TempDir);

/// A copy of the kept database, which the first command brings up to date.
fn opened(log: &Path) -> Result<Place, String> {
    let place = Place::new();
    std::fs::copy(log.join("tenure.db"), place.db()).unwrap();
    place.run(&["verify"], "")?;
    Ok(place)
}

/// A new database that the export was taken into.
fn taken_in(recorded: &Recorded) -> Result<Place, String> {
    let place = Place::new();
    let config = folder().join("tenure.toml");
    let config = config.to_str().unwrap();
    let words = ["--config", config, "ingest", "any", "-", "--backfill"];
    let output = place.output(&words, &recorded.export);
    // What is in quarantine there is in quarantine here, which the command says by 3.
    if ![Some(0), Some(3)].contains(&output.status.code()) {
        return Err(format!("the export is not taken in: {output:?}"));
    }
    place.run(&["verify"], "")?;
    Ok(place)
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.0.path().join("tenure.db")
    }

    fn output(&self, words: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        command.env_clear().current_dir(&self.0);
        command.args(words);
        let stdin = self.0.path().join("input");
        std::fs::write(&stdin, input).unwrap();
        command.stdin(Stdio::from(std::fs::File::open(stdin).unwrap()));
        command.output().unwrap()
    }

    pub(crate) fn run(&self, words: &[&str], input: &str) -> Result<String, String> {
        let output = self.output(words, input);
        if !output.status.success() {
            return Err(format!("`tenure {}`: {output:?}", words.join(" ")));
        }
        String::from_utf8(output.stdout).map_err(|error| error.to_string())
    }

    /// Whether everything that was recorded is given again.
    fn gives(&self, recorded: &Recorded, report: &mut Report) -> Result<(), String> {
        self.answers(&recorded.answers)?;
        report.tried(number(recorded.answers.len()), "answers");
        let mut reader = Reader::new(SqliteStore::open_reader(&self.db()).unwrap());
        for line in &recorded.windows {
            let asked: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| asked[name].as_str();
            let user = text("user").unwrap().parse().unwrap();
            let as_of = text("as_of").map(|it| RecordedAt(it.parse().unwrap()));
            let windows = reader.windows(&user, as_of);
            let windows = windows.map_err(|error| error.to_string())?;
            let given = golden_making::windows_line(&user, as_of, &windows);
            same("windows", line, &given)?;
        }
        report.tried(number(recorded.windows.len()), "lists of windows");
        let export = self.run(&["export"], "")?;
        for (line, given) in recorded.export.lines().zip(export.lines()) {
            same("export", line, given)?;
        }
        same("export", &recorded.export, &export)
    }

    /// Asks what the answers are answers to, and compares.
    fn answers(&self, recorded: &[String]) -> Result<(), String> {
        let given = self.asked(recorded)?;
        for (recorded, given) in recorded.iter().zip(given.lines()) {
            same("answer", recorded, given)?;
        }
        let lines = (recorded.len(), given.lines().count());
        if lines.0 != lines.1 {
            return Err(format!("{} questions, {} answers", lines.0, lines.1));
        }
        Ok(())
    }

    /// The answers to the questions that stand in lines.
    pub(crate) fn asked(&self, lines: &[String]) -> Result<String, String> {
        let mut questions = String::new();
        for line in lines {
            let answer: Value = serde_json::from_str(line).unwrap();
            let names = ["user", "resource", "at", "as_of"];
            let given = names.iter().filter(|name| !answer[**name].is_null());
            let question = given.map(|name| ((*name).to_owned(), answer[*name].clone()));
            let question: serde_json::Map<String, Value> = question.collect();
            questions.push_str(&Value::Object(question).to_string());
            questions.push('\n');
        }
        self.run(&["check", "--batch", "-"], &questions)
    }
}

/// The answers are also those of the reference model, which knows nothing of the engine: they were right when they were
/// recorded.
fn are_the_models(place: &Place, answers: &[String]) -> Result<(), String> {
    let store = SqliteStore::open(&place.db(), SqliteStoreOptions::default()).unwrap();
    let log = recorded(&Engine::new(store, Secrets::default()).unwrap());
    let instant = |it: &Value| -> Option<Instant> { Some(it.as_str()?.parse().unwrap()) };
    for line in answers {
        let said: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| said[name].as_str().unwrap_or_default();
        let (user, resource) = (
            text("user").parse().unwrap(),
            text("resource").parse().unwrap(),
        );
        let as_of = instant(&said["as_of"]).map(RecordedAt);
        let at = instant(&said["at"]).unwrap();
        let model = log.model().answer(&user, &resource, at, as_of);
        let mut agree = model.allow == (text("decision") == "allow");
        agree &= model.reason == text("reason");
        agree &= model.next_change_at == instant(&said["next_change_at"]);
        if model.allow {
            let grant = model.grant.as_ref().expect("a grant gives it");
            agree &= grant.key.as_str() == text("grant") && grant.source.as_str() == text("source");
            agree &= model
                .product
                .as_ref()
                .is_some_and(|it| it.as_str() == text("product"));
            let (start, end) = model.window.expect("within a window");
            agree &= instant(&said["window"]["start"]) == Some(start);
            agree &= instant(&said["window"]["end"]) == end.instant();
        }
        if !agree {
            return Err(format!("recorded:\n  {line}\nby the model:\n  {model:?}"));
        }
    }
    Ok(())
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}

fn same(what: &str, recorded: &str, given: &str) -> Result<(), String> {
    if recorded == given {
        return Ok(());
    }
    Err(format!("{what} recorded:\n  {recorded}\ngiven:\n  {given}"))
}

fn plant_an_altered_answer(report: &mut Report, log: &Path, recorded: &Recorded) {
    let place = opened(log).unwrap();
    report.plant("a recorded answer altered", 1, |_| {
        let mut altered = recorded.clone();
        let is_active = |line: &&mut String| line.contains("\"reason\":\"active\"");
        let last = altered.answers.iter_mut().rev().find(is_active).unwrap();
        *last = last.replace("\"reason\":\"active\"", "\"reason\":\"grace\"");
        place.gives(&altered, &mut Report::default())
    });
}

/// The rules of the log say another thing than those it was recorded under.
fn plant_another_policy(report: &mut Report, recorded: &Recorded) {
    let policies = [
        ("\"refund\":\"revoke\"", "\"refund\":\"ignore\""),
        ("\"renewal_leeway\":\"P3D\"", "\"renewal_leeway\":\"PT0S\""),
        ("\"renewal_access\":\"PT2H\"", "\"renewal_access\":\"PT0S\""),
    ];
    report.plant("another default of a policy", 3, |number| {
        let (from, to) = policies[usize::try_from(number).unwrap()];
        let mut altered = recorded.clone();
        assert!(altered.export.contains(from), "{from} is in no rules");
        altered.export = altered.export.replace(from, to);
        let place = taken_in(&altered).expect("taken in");
        // Compared with what was recorded, the export aside, which was altered.
        place.answers(&recorded.answers)
    });
}
