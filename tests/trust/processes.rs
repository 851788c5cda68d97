//! Several processes write to one file: each event is there once, the chain is whole, and whoever asks after an
//! acknowledgement sees what was acknowledged.
//!
//! The processes are this very program, started with a first word of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use serde_json::json;
use tenure::store::chain::Salts;
use tenure::{
    Decision, Engine, Instant, Question, Reader, Receipt, Secrets, SqliteReader, SqliteStore,
    SqliteStoreOptions,
};

use crate::harness::{Extent, Harness, Planted, Report};
use crate::steps::{Dice, delivery, fast_folder, told};
use crate::strategies::essence;

pub(crate) const HARNESS: Harness = Harness {
    name: "processes",
    guarantee: "Several writers: each event once, the chain whole, all acknowledged seen by all",
    not_covered: "network file systems; more than four writers at a time",
    run,
};

const WRITERS: usize = 4;
/// Deliveries for each writer. Each delivery is given to two of them.
const APPENDS: usize = 2_000;
/// So many people are asked after at once.
const BATCH: usize = 24;
/// So many questions at once after each so-manieth acknowledgement that is looked up.
const BATCH_AFTER: usize = 8;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    for round in 0..extent.cases(1) {
        let seen = together(extent.seed ^ round, APPENDS, "--writer", "--reader");
        report.tried(seen.appends, "appends");
        report.tried(seen.looked_up, "acknowledgements looked up");
        report.tried(seen.batches, "batches of questions");
        report.done(seen.met, "deliveries that two sent");
        report.violations.extend(seen.violations);
    }
    report.at_least(extent.cases(8_000), "appends");
    report.at_least(extent.cases(200), "acknowledgements looked up");
    report.at_least(extent.cases(20), "batches of questions");
    for (bug, writer, reader) in [
        (
            "acknowledged before it is written",
            "--early-writer",
            "--reader",
        ),
        (
            "a batch answered question by question",
            "--writer",
            "--slow-reader",
        ),
    ] {
        let mut appends = 0;
        let is_caught = (0..5).any(|round| {
            let seen = together(extent.seed ^ round, 400, writer, reader);
            appends += seen.appends;
            !seen.violations.is_empty()
        });
        let caught_after = is_caught.then_some(appends);
        report.planted.push(Planted { bug, caught_after });
    }
    report
}

/// What came of several processes on one file.
#[derive(Default)]
struct Seen {
    appends: u64,
    looked_up: u64,
    batches: u64,
    met: u64,
    violations: Vec<String>,
}

/// An acknowledgement: which writer, which delivery, what the receipt says.
struct Acknowledged {
    writer: usize,
    id: usize,
    outcome: String,
    position: u64,
}

fn together(seed: u64, appends: usize, writer: &str, reader: &str) -> Seen {
    let folder = fast_folder();
    let database = folder.path().join("tenure.db");
    drop(SqliteStore::create_or_open(&database, options()).unwrap());
    let ids = appends * WRITERS / 2;
    let acknowledged = Mutex::new(Vec::new());
    let start = |words: &[&str]| {
        Command::new(std::env::current_exe().unwrap())
            .args(words)
            .arg(&database)
            .args([ids.to_string(), seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut reading = start(&[reader, "0"]);
    let answers = reading.stdout.take().unwrap();
    // One at a time: what is looked up was acknowledged just now.
    let (to_look_up, looked_up) = sync_channel::<(usize, u64)>(0);
    let mut said: Vec<String> = Vec::new();
    std::thread::scope(|scope| {
        for number in 0..WRITERS {
            let child = start(&[writer, &number.to_string()]);
            let (to_look_up, acknowledged) = (to_look_up.clone(), &acknowledged);
            scope.spawn(move || listen(child, number, &to_look_up, acknowledged));
        }
        drop(to_look_up);
        let mut asking = reading.stdin.take().unwrap();
        let mut answers = BufReader::new(answers).lines();
        for (id, position) in looked_up {
            writeln!(asking, "{id} {position}").unwrap();
            let answer = answers.next().expect("the reader answers").unwrap();
            said.push(answer);
        }
    });
    assert!(reading.wait().unwrap().success(), "the reader failed");
    let acknowledged = acknowledged.into_inner().unwrap();
    let mut seen = Seen {
        appends: acknowledged.len() as u64,
        ..Seen::default()
    };
    if let Err(violation) = judge(&database, seed, ids, &acknowledged, &said, &mut seen) {
        seen.violations.push(format!("seed {seed}: {violation}"));
    }
    seen
}

/// Notes what a writer says, and has it looked up unless another one is being looked up.
fn listen(
    mut child: Child,
    writer: usize,
    to_look_up: &SyncSender<(usize, u64)>,
    acknowledged: &Mutex<Vec<Acknowledged>>,
) {
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        let id = words.next().unwrap().parse().unwrap();
        let outcome = words.next().unwrap().to_owned();
        let position = words.next().unwrap().parse().unwrap();
        let _busy = to_look_up.try_send((id, position));
        acknowledged.lock().unwrap().push(Acknowledged {
            writer,
            id,
            outcome,
            position,
        });
    }
    assert!(child.wait().unwrap().success(), "writer {writer} failed");
}

/// Whether all that was said fits the log as it is in the end.
fn judge(
    database: &Path,
    seed: u64,
    ids: usize,
    acknowledged: &[Acknowledged],
    said: &[String],
    seen: &mut Seen,
) -> Result<(), String> {
    let store = SqliteStore::open(database, options()).map_err(|error| error.to_string())?;
    let mut engine = Engine::new(store, Secrets::default()).map_err(|error| error.to_string())?;
    let mut reader = engine.reader().map_err(|error| error.to_string())?;
    let (log, _) = told(&mut reader)?;
    let bodies: BTreeMap<Vec<u8>, usize> = (0..ids).map(|id| (body(id).into_bytes(), id)).collect();
    let mut positions = BTreeMap::new();
    for (place, (_, body, _)) in log.iter().enumerate() {
        let id = bodies.get(body).ok_or("an entry that nobody sent")?;
        if positions.insert(*id, place as u64 + 1).is_some() {
            return Err(format!("delivery {id} is there twice"));
        }
    }
    if positions.len() != ids {
        return Err(format!("{} of {ids} deliveries are there", positions.len()));
    }
    let repeated: u64 = log.iter().map(|it| it.2).sum();
    seen.met = repeated;
    if repeated + ids as u64 != acknowledged.len() as u64 {
        return Err(format!("{repeated} repetitions of {ids} deliveries"));
    }
    let mut last = [0; WRITERS];
    for ack in acknowledged {
        if positions[&ack.id] != ack.position && ack.position != EARLY {
            return Err(format!("delivery {} is not where it was said", ack.id));
        }
        if ack.outcome == "applied" && ack.position != EARLY {
            if ack.position <= last[ack.writer] {
                return Err(format!(
                    "writer {} was told of an earlier position",
                    ack.writer
                ));
            }
            last[ack.writer] = ack.position;
        }
    }
    let applied = acknowledged.iter().filter(|it| it.outcome == "applied");
    if applied.count() != ids && acknowledged.iter().all(|it| it.position != EARLY) {
        return Err("not each delivery was applied once".to_owned());
    }
    for (number, answer) in said.iter().enumerate() {
        fits(answer, &positions, seed, seen).map_err(|what| format!("look-up {number}: {what}"))?;
    }
    let before = essence(&engine);
    engine
        .rebuild(&mut |_| {})
        .map_err(|error| error.to_string())?;
    if essence(&engine) != before {
        return Err("a rebuild gives something else".to_owned());
    }
    Ok(())
}

/// Whether an answer of the reader says of each delivery that it counts if and only if it stood in the log by then.
fn fits(
    answer: &str,
    positions: &BTreeMap<usize, u64>,
    seed: u64,
    seen: &mut Seen,
) -> Result<(), String> {
    let mut words = answer.split(' ');
    let mut number = || words.next().and_then(|it| it.parse::<u64>().ok());
    let (asked, told) = (number().unwrap(), number().unwrap());
    seen.looked_up += 1;
    let rest: Vec<&str> = answer.split(' ').skip(2).collect();
    seen.batches += u64::from(rest.len() > 1);
    let mut at = None;
    for (place, word) in rest.iter().enumerate() {
        let mut parts = word.split(':');
        let id: usize = parts.next().unwrap().parse().unwrap();
        let is_allowed = parts.next() == Some("allow");
        let position: u64 = parts.next().unwrap().parse().unwrap();
        if place == 0 {
            if !is_allowed || (told != EARLY && position < told) {
                return Err(format!(
                    "delivery {asked}, acknowledged at position {told}, is not seen at {position} (seed {seed})"
                ));
            }
            continue;
        }
        if *at.get_or_insert(position) != position {
            return Err("a batch was answered from two states of the log".to_owned());
        }
        if is_allowed != (positions[&id] <= position) {
            return Err(format!(
                "delivery {id} does not fit a batch at position {position}"
            ));
        }
    }
    Ok(())
}

/// The delivery of that number: each gives one person access of their own.
fn body(id: usize) -> String {
    let body = json!({
        "specversion": "1.0", "id": format!("e{id}"), "source": "crm", "type": "tenure.granted",
        "time": "2026-01-01T00:00:00Z", "subject": format!("reader-{id}"),
        "data": {"grant": format!("g{id}"), "product": "pro", "until": "2026-03-01T00:00:00Z"},
    });
    body.to_string()
}

/// What the planted writer says, which knows no position yet.
const EARLY: u64 = 0;

fn options() -> SqliteStoreOptions {
    SqliteStoreOptions {
        salts: Some(Salts::from_seed([7; 32])),
        busy_timeout: Duration::from_secs(60),
    }
}

/// What this process is to do if it was started by another one: `--writer NUMBER DATABASE IDS SEED`.
pub(crate) fn as_child() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, number, database, ids, seed] = words.as_slice() else {
        return None;
    };
    let (number, ids): (usize, usize) = (number.parse().ok()?, ids.parse().ok()?);
    let database = Path::new(database);
    match what.as_str() {
        "--writer" => write(database, number, ids, false),
        "--early-writer" => write(database, number, ids, true),
        "--reader" => read(database, ids, seed.parse().ok()?, Reader::check_batch),
        "--slow-reader" => read(database, ids, seed.parse().ok()?, |reader, questions| {
            questions.iter().map(|it| reader.check(it)).collect()
        }),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

/// Each delivery falls to two writers; they come to it at about the same time.
fn write(database: &Path, number: usize, ids: usize, is_early: bool) {
    let store = SqliteStore::open(database, options()).unwrap();
    let mut engine = Engine::new(store, Secrets::default()).unwrap();
    let now: Instant = "2026-01-02T00:00:00Z".parse().unwrap();
    let is_mine = |id: &usize| id % WRITERS == number || (id + 1) % WRITERS == number;
    for id in (0..ids).filter(is_mine) {
        if is_early {
            println!("{id} applied {EARLY}");
        }
        let taken = engine.ingest(delivery("cloudevents", &body(id)), now);
        let Receipt {
            outcome, position, ..
        } = taken.unwrap();
        if !is_early {
            println!("{id} {outcome} {}", position.0);
        }
    }
}

type Batch =
    fn(&mut Reader<SqliteReader>, &[Question]) -> Result<Vec<Decision>, tenure::EngineError>;

/// Answers a line `ID POSITION` with a line `ID POSITION ID:VERDICT:POSITION ...`: first of that delivery, then, at times,
/// of a batch of others.
fn read(database: &Path, ids: usize, seed: u64, batch: Batch) {
    let mut reader = Reader::new(SqliteStore::open_reader(database).unwrap());
    let mut dice = Dice::of(seed, 1);
    for (turn, line) in std::io::stdin().lines().enumerate() {
        let line = line.unwrap();
        let id: usize = line.split(' ').next().unwrap().parse().unwrap();
        let said = |id: usize, decision: &Decision| {
            let word = if decision.verdict.is_allowed() {
                "allow"
            } else {
                "deny"
            };
            format!(" {id}:{word}:{}", decision.position.0)
        };
        let mut answer = line.clone();
        answer += &said(id, &reader.check(&question(id)).unwrap());
        if turn % BATCH_AFTER == 0 {
            // Close to what is being written, some of it not yet there.
            let near = |dice: &mut Dice| (id + dice.below(200)).saturating_sub(100).min(ids - 1);
            let asked: Vec<usize> = (0..BATCH).map(|_| near(&mut dice)).collect();
            let questions: Vec<Question> = asked.iter().map(|id| question(*id)).collect();
            let decisions = batch(&mut reader, &questions).unwrap();
            for (id, decision) in asked.into_iter().zip(&decisions) {
                answer += &said(id, decision);
            }
        }
        println!("{answer}");
    }
}

fn question(id: usize) -> Question {
    Question {
        user: format!("reader-{id}").parse().unwrap(),
        resource: "pro".parse().unwrap(),
        at: "2026-02-01T00:00:00Z".parse().unwrap(),
        as_of: None,
    }
}
