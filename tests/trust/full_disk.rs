//! The disk is full, and later there is space again: nothing acknowledged is lost, and the work goes on.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tenure::{EngineError, Hash, Reader, SqliteStore, StoreError};

use crate::harness::{Extent, Harness, Planted, Report, caught};
use crate::kill::{Input, folder};
use crate::steps::{Dice, Going, Script, Told, fast_folder, in_short, told, without_repetitions};
use crate::vfs::Mounted;

pub(crate) const HARNESS: Harness = Harness {
    name: "full_disk",
    guarantee: "A full disk loses nothing acknowledged and is called so; with space it goes on",
    not_covered: "quotas; a disk on which others take the space that was made",
    run,
};

const LENGTH: usize = 20;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    for number in 0..extent.cases(60) {
        let gone = grudging(extent.seed, number, Sound::Yes, &mut report);
        report.tried(1, "histories");
        report.violations.extend(gone.err());
    }
    report.at_least(extent.cases(1_000), "times full");
    for number in 0..extent.cases(24) {
        let mut dice = Dice::of(extent.seed, number);
        let blocks = 8 << dice.below(10);
        let little = Little::File(blocks + dice.below(blocks));
        let said = caught(|| by_command(&mut dice, &little));
        report.tried(1, "runs of the command with little space");
        told_of(&mut report, extent.seed, number, said);
    }
    if can_mount() {
        for number in 0..extent.cases(8) {
            let mut dice = Dice::of(extent.seed, number);
            let kilobytes = 120 << dice.below(5);
            let said = caught(|| by_command(&mut dice, &Little::System(kilobytes)));
            report.tried(1, "runs of the command on a small file system");
            told_of(&mut report, extent.seed, number, said);
        }
    }
    report.at_least(extent.cases(10), "commands without space");
    let mut tried = Report::default();
    let is_caught = (0..20).any(|number| {
        let gone = caught(|| grudging(extent.seed, number, Sound::Pretends, &mut tried));
        gone.is_err()
    });
    report.planted.push(Planted {
        bug: "what finds no space reports success",
        caught_after: is_caught.then(|| tried.faults.iter().map(|it| it.0).sum()),
    });
    report
}

fn told_of(report: &mut Report, seed: u64, number: u64, said: Result<bool, String>) {
    match said {
        Ok(true) => report.done(1, "commands without space"),
        Ok(false) => {}
        Err(what) => {
            let violation = format!("seed {seed}, command {number}: {what}");
            report.violations.push(violation);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sound {
    Yes,
    Pretends,
}

/// Goes through a script on a disk that is full again and again, and gets a little more space each time.
fn grudging(seed: u64, number: u64, sound: Sound, report: &mut Report) -> Result<(), String> {
    let mut dice = Dice::of(seed, number);
    let script = Script::random(&mut dice, LENGTH);
    let folder = fast_folder();
    let path = folder.path().join("tenure.db");
    let disk = Mounted::over(folder.path());
    let mut capacity = dice.below(100_000) as u64;
    disk.limit(capacity);
    if sound == Sound::Pretends {
        disk.pretend_room();
    }
    let mut going = Going::on(&path);
    let mut logs = script.clone();
    for log in &mut logs.logs {
        *log = without_repetitions(log);
    }
    for (done, step) in script.steps.iter().enumerate() {
        loop {
            let failed = match going.step(step, done) {
                Ok(()) => break,
                Err(EngineError::Store(StoreError::Full(_))) => None,
                Err(error) => Some(format!("a full disk is not called full: {error}")),
            };
            report.done(1, "times full");
            let looked = failed.map_or_else(|| look(&path, &logs, done, done + 1), Err);
            looked.map_err(|what| {
                format!("seed {seed}, history {number}, step {done}, {capacity} bytes: {what}")
            })?;
            if dice.percent(70) {
                capacity += dice.below(60_000) as u64;
                disk.limit(capacity);
            }
        }
        if done % 4 == 0 || sound == Sound::Pretends {
            look(&path, &logs, done + 1, done + 1)
                .map_err(|what| format!("seed {seed}, history {number}, after {done}: {what}"))?;
        }
    }
    drop(going);
    disk.limit(u64::MAX);
    look(&path, &logs, script.steps.len(), script.steps.len())
        .map_err(|what| format!("seed {seed}, history {number}, at the end: {what}"))?;
    if head(&path)? == undisturbed(&script) {
        Ok(())
    } else {
        Err(format!(
            "seed {seed}, history {number}: it ends unlike a run with space"
        ))
    }
}

/// One who only reads is answered on a full disk, too, and finds what was acknowledged.
fn look(path: &Path, logs: &Script, least: usize, most: usize) -> Result<(), String> {
    let found = match SqliteStore::open_reader(path) {
        Ok(reader) => told(&mut Reader::new(reader))?.0,
        Err(StoreError::Missing(_) | StoreError::Foreign(_)) if least == 0 => return Ok(()),
        Err(error) => return Err(format!("a reader cannot open it: {error}")),
    };
    let found = without_repetitions(&found);
    if logs.place_of(&found, least, most).is_some() {
        return Ok(());
    }
    let acknowledged = in_short(&logs.logs[least]);
    Err(format!(
        "{} are there, {acknowledged} were acknowledged",
        in_short(&found)
    ))
}

fn head(path: &Path) -> Result<Hash, String> {
    let reader = SqliteStore::open_reader(path).map_err(|error| error.to_string())?;
    Ok(told(&mut Reader::new(reader))?.1)
}

fn undisturbed(script: &Script) -> Hash {
    let folder = fast_folder();
    let path = folder.path().join("tenure.db");
    let mut going = Going::open(&path).unwrap();
    for (number, step) in script.steps.iter().enumerate() {
        going.step(step, number).unwrap();
    }
    drop(going);
    head(&path).unwrap()
}

/// What there is little of.
enum Little {
    /// No file may have more than so many blocks of 512 bytes.
    File(usize),
    /// The file system has so many kilobytes.
    System(usize),
}

/// Whether a file system of one's own can be had here.
fn can_mount() -> bool {
    let script = "mount -t tmpfs -o size=100k tmpfs /mnt && umount /mnt";
    let mut command = Command::new("unshare");
    let command = command
        .args(["-Urm", "sh", "-c", script])
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// In a place of its own the program runs with little space, then with enough; what both left is copied out.
const ON_SMALL_SYSTEM: &str = r#"
mount -t tmpfs -o "size=${LITTLE}k" tmpfs "$PLACE" || exit 99
"$TENURE" --db "$PLACE/tenure.db" --json ingest cloudevents "$INPUT" > "$OUT/receipts" 2> "$OUT/errors"
code=$?
mount -o remount,size=100m "$PLACE"
if [ -e "$PLACE/tenure.db" ]; then
    mkdir "$OUT/first" && cp "$PLACE"/tenure.db* "$OUT/first/"
fi
"$TENURE" --db "$PLACE/tenure.db" --json ingest cloudevents "$INPUT" > /dev/null 2> "$OUT/errors_then" || exit 98
cp "$PLACE/tenure.db" "$OUT/"
exit $code"#;
/// Runs the command with little space, then with enough. Gives whether the space was too little at first.
fn by_command(dice: &mut Dice, little: &Little) -> Result<bool, String> {
    let input = Input::random(dice, false);
    let logs = input.logs();
    let folder = folder();
    let path = folder.path().join("deliveries.jsonl");
    std::fs::write(&path, input.files[0].join("\n")).unwrap();
    let ran = match little {
        Little::File(blocks) => with_small_files(folder.path(), &path, *blocks),
        Little::System(kilobytes) => on_small_system(folder.path(), &path, *kilobytes),
    };
    if ran.code != 0 && (ran.code != 5 || !ran.errors.contains("what was acknowledged is safe")) {
        return Err(format!("it ended with {}: {}", ran.code, ran.errors));
    }
    let acknowledged = ran.receipts.lines().filter_map(|line| {
        let receipt: Value = serde_json::from_str(line).ok()?;
        receipt["line"].as_u64()
    });
    let acknowledged = usize::try_from(acknowledged.max().unwrap_or(0)).unwrap();
    let least = acknowledged.div_ceil(crate::kill::BATCH);
    is_one_of(&ran.first, &logs[least..])?;
    let last = &logs[logs.len() - 1];
    if ran.first == *last {
        // The file was read to its end: its lines count as repetitions when they come again.
        let (found, wanted) = (without_repetitions(&ran.last), without_repetitions(last));
        is_one_of(&found, &[wanted])?;
    } else {
        is_one_of(&ran.last, std::slice::from_ref(last))?;
    }
    Ok(ran.code != 0)
}

fn is_one_of(found: &[Told], logs: &[Vec<Told>]) -> Result<(), String> {
    if logs.iter().any(|log| log == found) {
        return Ok(());
    }
    Err(format!(
        "{} are there, {} were acknowledged",
        in_short(found),
        in_short(&logs[0])
    ))
}

/// What the command left and said.
struct Ran {
    code: i32,
    receipts: String,
    errors: String,
    /// The log after the run with little space, and after the one with enough.
    first: Vec<Told>,
    last: Vec<Told>,
}

fn with_small_files(folder: &Path, input: &Path, blocks: usize) -> Ran {
    let database = folder.join("tenure.db");
    let limited = r#"trap "" XFSZ; ulimit -f "$LITTLE"; exec "$0" "$@""#;
    let run = |script: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-c", script, env!("CARGO_BIN_EXE_tenure"), "--db"])
            .arg(&database);
        command.args(["--json", "ingest", "cloudevents"]).arg(input);
        command
            .current_dir(folder)
            .env("LITTLE", blocks.to_string());
        command.output().unwrap()
    };
    let output = run(limited);
    let first = log_of(&database);
    let then = run(r#"exec "$0" "$@""#);
    assert!(
        then.status.success(),
        "with space it fails: {}",
        String::from_utf8_lossy(&then.stderr)
    );
    Ran {
        code: output.status.code().unwrap_or(-1),
        receipts: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
        first,
        last: log_of(&database),
    }
}

fn on_small_system(folder: &Path, input: &Path, kilobytes: usize) -> Ran {
    let place = folder.join("place");
    std::fs::create_dir(&place).unwrap();
    let status = Command::new("unshare")
        .args(["-Urm", "sh", "-c", ON_SMALL_SYSTEM])
        .current_dir(folder)
        .env("TENURE", env!("CARGO_BIN_EXE_tenure"))
        .env("INPUT", input)
        .env("OUT", folder)
        .env("PLACE", &place)
        .env("LITTLE", kilobytes.to_string())
        .status()
        .unwrap();
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    Ran {
        code: status.code().unwrap_or(-1),
        receipts: text("receipts"),
        errors: text("errors"),
        first: log_of(&folder.join("first/tenure.db")),
        last: log_of(&folder.join("tenure.db")),
    }
}

/// The log, empty where the file was not even made.
fn log_of(database: &Path) -> Vec<Told> {
    match SqliteStore::open_reader(database) {
        Ok(reader) => told(&mut Reader::new(reader)).unwrap().0,
        Err(StoreError::Missing(_) | StoreError::Foreign(_)) => Vec::new(),
        Err(error) => panic!("a reader cannot open it: {error}"),
    }
}
