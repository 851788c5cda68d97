//! The program is killed at any moment: what it gave receipts for is there, and the same file again brings the rest.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tenure::store::EntryKind;
use tenure::{Engine, FileOptions, MemoryStore, Reader, Secrets, SqliteStore, StoreError};

use crate::harness::{Extent, Harness, Planted, Report, caught};
use crate::steps::{Dice, Told, in_short, options, told, without_repetitions};
use crate::strategies::essence;

pub(crate) const HARNESS: Harness = Harness {
    name: "kill",
    guarantee: "After `kill -9` all that has a receipt is there; the same file again brings the rest",
    not_covered: "what only a power cut shows; files of systems without event ids",
    run,
};

const SOURCE: &str = "cloudevents";
/// Lines of a batch: one transaction.
pub(crate) const BATCH: usize = 1_000;
const SIGKILL: i32 = 9;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    let wanted = extent.cases(300);
    let mut kills = 0;
    let mut number = 0;
    while kills < wanted && report.violations.is_empty() {
        let mut dice = Dice::of(extent.seed, number);
        let file = Input::random(&mut dice, number % 2 == 1);
        let killed = go_through(&file, &mut dice, &mut kills, Sound::Yes);
        report.tried(1, "files read to their end");
        let where_it_was = |what| format!("seed {}, file {number}: {what}", extent.seed);
        report.violations.extend(killed.err().map(where_it_was));
        number += 1;
    }
    report.done(kills, "kills");
    report.at_least(wanted, "kills");
    let mut dice = Dice::of(extent.seed, 0);
    let file = Input::random(&mut dice, false);
    let mut kills = 0;
    let is_caught =
        (0..20).any(|_| go_through(&file, &mut dice, &mut kills, Sound::Early).is_err());
    report.planted.push(Planted {
        bug: "receipts for what was only read",
        caught_after: is_caught.then_some(kills),
    });
    report
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sound {
    Yes,
    /// Every line counts as acknowledged once the program was given it.
    Early,
}

/// What is taken by one program after the other: one file of several batches, or files of a line each.
pub(crate) struct Input {
    pub(crate) files: Vec<Vec<String>>,
}

impl Input {
    pub(crate) fn random(dice: &mut Dice, is_of_lines: bool) -> Self {
        if is_of_lines {
            let files = (0..10).map(|id| vec![line(dice, id)]);
            return Self {
                files: files.collect(),
            };
        }
        let mut lines: Vec<String> = Vec::new();
        let mut new = Vec::new();
        for _ in 0..3 * BATCH + dice.below(BATCH) {
            if new.is_empty() || dice.percent(4) {
                new.push(line(dice, new.len()));
                lines.extend(new.last().cloned());
            } else {
                lines.push(new[dice.below(new.len())].clone());
            }
        }
        Self { files: vec![lines] }
    }

    /// The log before the first transaction and after each.
    pub(crate) fn logs(&self) -> Vec<Vec<Told>> {
        let mut logs = vec![Vec::new()];
        for batch in self.files.iter().flat_map(|lines| lines.chunks(BATCH)) {
            let mut log: Vec<Told> = logs.last().unwrap().clone();
            for line in batch {
                match log.iter_mut().find(|it| it.1 == line.as_bytes()) {
                    Some(it) => it.2 += 1,
                    None => log.push((EntryKind::Delivery, line.clone().into_bytes(), 0)),
                }
            }
            logs.push(log);
        }
        logs
    }
}

fn line(dice: &mut Dice, id: usize) -> String {
    let user = format!("reader-{}", dice.below(5));
    let grant = format!("g{}", dice.below(20));
    let until = format!("2026-03-{:02}T00:00:00Z", 1 + dice.below(28));
    let body = json!({
        "specversion": "1.0", "id": format!("e{id}"), "source": "crm", "type": "tenure.granted",
        "time": "2026-01-01T00:00:00Z", "subject": user,
        "data": {"grant": grant, "product": "pro", "until": until},
    });
    body.to_string()
}

/// On this machine's disk: a kill leaves what the system holds in memory, so nothing depends on it.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Gives each file to the program until one lives to its end, and looks after each kill.
fn go_through(input: &Input, dice: &mut Dice, kills: &mut u64, sound: Sound) -> Result<(), String> {
    let folder = folder();
    let database = folder.path().join("tenure.db");
    let logs = input.logs();
    let mut before = 0;
    // A file whose last batch went in unacknowledged is not known to have been read; its lines are repetitions then.
    let mut counts_again = false;
    for lines in &input.files {
        let path = folder.path().join("deliveries.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let usual = how_long(&path);
        let after = before + lines.chunks(BATCH).len();
        loop {
            let moment = usual * u32::try_from(dice.below(1_200)).unwrap() / 1_000;
            let mut ran = ingest(&database, &path, Some(moment));
            if sound == Sound::Early {
                ran.receipts = (0..lines.len()).collect();
            }
            *kills += u64::from(ran.was_killed);
            let acknowledged = ran.receipts.iter().max();
            let mut least = before + acknowledged.map_or(0, |line| line / BATCH + 1);
            if !ran.was_killed {
                least = after;
            }
            let found = look(&database, &logs[least..=after], counts_again)?;
            ran.are_in(&found, lines)?;
            counts_again |= ran.was_killed && found == logs[after];
            if !ran.was_killed {
                break;
            }
        }
        before = after;
    }
    equals_undisturbed(&database, input)
}

/// How long the program takes that is not killed.
fn how_long(input: &Path) -> Duration {
    let folder = folder();
    let began = Instant::now();
    ingest(&folder.path().join("tenure.db"), input, None);
    began.elapsed()
}

struct Ran {
    /// The lines there is a receipt for, from 0.
    receipts: Vec<usize>,
    positions: Vec<u64>,
    was_killed: bool,
}

fn ingest(database: &Path, input: &Path, moment: Option<Duration>) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tenure"))
        .current_dir(database.parent().unwrap())
        .arg("--db")
        .arg(database)
        .args(["--json", "ingest", SOURCE])
        .arg(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let printing = std::thread::spawn(move || {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).unwrap();
        text
    });
    if let Some(moment) = moment {
        std::thread::sleep(moment);
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let text = printing.join().unwrap();
    let mut receipts = Vec::new();
    let mut positions = Vec::new();
    // What is not a whole line was never received.
    let whole = text.split_inclusive(|it| *it == b'\n');
    for line in whole.filter(|line| line.ends_with(b"\n")) {
        let receipt: Value = serde_json::from_slice(line).unwrap();
        let number = receipt["line"].as_u64().unwrap() - 1;
        receipts.push(usize::try_from(number).unwrap());
        positions.push(receipt["position"].as_u64().unwrap());
    }
    let was_killed = status.signal() == Some(SIGKILL);
    assert!(
        was_killed || status.success(),
        "the program failed: {status}"
    );
    Ran {
        receipts,
        positions,
        was_killed,
    }
}

impl Ran {
    /// Whether the entry each receipt names is that of its line.
    fn are_in(&self, log: &[Told], lines: &[String]) -> Result<(), String> {
        for (line, position) in self.receipts.iter().zip(&self.positions) {
            let place = usize::try_from(*position).unwrap() - 1;
            if log
                .get(place)
                .is_none_or(|it| it.1 != lines[*line].as_bytes())
            {
                return Err(format!(
                    "line {} is not at position {position}, as its receipt says",
                    line + 1
                ));
            }
        }
        Ok(())
    }
}

/// What is there has to be one of these logs, the first of which is what was acknowledged.
fn look(database: &Path, logs: &[Vec<Told>], counts_again: bool) -> Result<Vec<Told>, String> {
    let mut found = Vec::new();
    if database.exists() {
        match SqliteStore::open_reader(database) {
            Ok(reader) => found = told(&mut Reader::new(reader))?.0,
            // It was only being made.
            Err(StoreError::Missing(_) | StoreError::Foreign(_)) if logs[0].is_empty() => {}
            Err(error) => return Err(format!("it cannot be opened: {error}")),
        }
    }
    let is_so = |wanted: &Vec<Told>| {
        found == *wanted
            || counts_again && without_repetitions(&found) == without_repetitions(wanted)
    };
    if !logs.iter().any(is_so) {
        return Err(format!(
            "{} are there, {} were acknowledged",
            in_short(&found),
            in_short(&logs[0])
        ));
    }
    Ok(found)
}

/// Whether what follows from the log is what follows where nothing was killed, in a store in memory.
fn equals_undisturbed(database: &Path, input: &Input) -> Result<(), String> {
    let mut undisturbed = Engine::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap();
    let options_of_file = FileOptions {
        source: Some(SOURCE.parse().unwrap()),
        backfill: false,
    };
    for lines in &input.files {
        let text = lines.join("\n");
        let taken = undisturbed.ingest_file(
            &mut text.as_bytes(),
            &options_of_file,
            &mut crate::strategies::now,
            &mut |_| Ok(()),
        );
        taken.unwrap();
    }
    let store = SqliteStore::open(database, options()).map_err(|error| error.to_string())?;
    let killed = Engine::new(store, Secrets::default()).map_err(|error| error.to_string())?;
    let (found, wanted) = caught(|| Ok((essence(&killed), essence(&undisturbed))))?;
    if found != wanted {
        return Err(format!(
            "it ends unlike a run that was not killed:\n{found}\ninstead of\n{wanted}"
        ));
    }
    Ok(())
}
