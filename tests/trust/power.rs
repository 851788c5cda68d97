//! The power fails: what was acknowledged is there, what was not is there as a whole or not at all.

use std::collections::BTreeSet;
use std::path::Path;

use tenure::store::Snapshot;
use tenure::{Reader, SqliteStore, Store as _, StoreError, StoreReader};

use crate::disk::Done;
use crate::harness::{Extent, Harness, Planted, Report, caught};
use crate::images::{Kept, Recovery};
use crate::steps::{Dice, Going, Script, fast_folder, in_short, lay_older, options, told};
use crate::vfs::Mounted;

pub(crate) const HARNESS: Harness = Harness {
    name: "power",
    guarantee: "After a power cut all acknowledged is there, the rest wholly or not at all",
    not_covered: "disks that reorder across a sync or lie about it; the file of a backup",
    run,
};

const DATABASE: &str = "tenure.db";
const LENGTH: usize = 16;
/// Each so-manieth history is of a file of the first schema, which is brought up to date first.
const OLDER: u64 = 4;
/// A random part of what is not synchronised, so many times at each point.
const PARTS: usize = 3;
/// At each so-manieth image the work goes on after it.
const GOES_ON: u64 = 16;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    let mut seen = BTreeSet::new();
    let wanted = extent.cases(20_000);
    let mut number = 0;
    while seen.len() as u64 <= wanted && report.violations.len() < 5 {
        let recorded = record(extent.seed, number, Sound::Yes);
        let what = if recorded.older.is_some() {
            "histories of an older file"
        } else {
            "histories"
        };
        report.tried(1, what);
        let result = cut_everywhere(&recorded, extent.seed, &mut |mark| seen.insert(mark));
        report.violations.extend(result.err());
        number += 1;
    }
    report.tried(seen.len() as u64, "disk images");
    report.at_least(wanted, "disk images");
    report.done(number, "histories cut at every write");
    plant(&mut report, extent.seed);
    report
}

fn plant(report: &mut Report, seed: u64) {
    for (bug, sound) in [
        ("`synchronous` is NORMAL", Sound::Normal),
        ("acknowledged before the commit", Sound::Early),
    ] {
        let mut images = 0;
        let mut count = |_| {
            images += 1;
            true
        };
        let mut falls = |number: u64| {
            let recorded = record(seed, number, sound);
            cut_everywhere(&recorded, seed, &mut count).is_err()
        };
        let is_caught = (0..5).any(&mut falls);
        let caught_after = is_caught.then_some(images);
        report.planted.push(Planted { bug, caught_after });
    }
}

/// Whether the program is as it should be, or which bug was put in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sound {
    Yes,
    Normal,
    Early,
}

/// A history that was gone through, and all that was done to the disk meanwhile.
struct Recorded {
    number: u64,
    /// The file there was at the beginning, if there was one.
    older: Option<Vec<u8>>,
    script: Script,
    done: Vec<Done>,
}

fn record(seed: u64, number: u64, sound: Sound) -> Recorded {
    let mut dice = Dice::of(seed, number);
    let folder = fast_folder();
    let path = folder.path().join(DATABASE);
    let is_older = number % OLDER == OLDER - 1;
    let (script, older) = if is_older {
        let log = lay_older(&path);
        let older = std::fs::read(&path).unwrap();
        (Script::after(log, &mut dice, LENGTH / 2), Some(older))
    } else {
        (Script::random(&mut dice, LENGTH), None)
    };
    let disk = Mounted::over(folder.path());
    if sound == Sound::Normal {
        disk.weaken();
    }
    disk.record();
    let mut going = Going::open(&path).unwrap();
    for (place, step) in script.steps.iter().enumerate() {
        disk.did(|| Done::Begun(place + 1));
        if sound == Sound::Early {
            disk.did(|| Done::Acknowledged(place + 1));
        }
        going.step(step, place).unwrap();
        disk.did(|| Done::Acknowledged(place + 1));
    }
    drop(going);
    let done = disk.recorded();
    Recorded {
        number,
        older,
        script,
        done,
    }
}

/// Cuts the power after everything that was done, and looks at what may be on the disk then. `is_new` is asked of each
/// image by its mark.
fn cut_everywhere(
    recorded: &Recorded,
    seed: u64,
    is_new: &mut dyn FnMut(u64) -> bool,
) -> Result<(), String> {
    let folder = fast_folder();
    let older = recorded.older.clone();
    let mut recovery = older.map_or_else(Recovery::default, |it| Recovery::from(DATABASE, it));
    let mut dice = Dice::of(seed, !recorded.number);
    let mut ways = vec![Kept::Nothing, Kept::Everything, Kept::Torn];
    ways.extend([Kept::Some; PARTS]);
    for (place, done) in recorded.done.iter().enumerate() {
        if !recovery.go_on(done) {
            continue;
        }
        for (way, kept) in ways.iter().enumerate() {
            let image = recovery.image(*kept, &mut dice);
            if !is_new(image.mark ^ recorded.number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
                continue;
            }
            image.lay(folder.path());
            let goes_on = (image.mark >> 8).is_multiple_of(GOES_ON);
            let reads_first = image.mark.is_multiple_of(2);
            let looked = caught(|| {
                look(
                    folder.path(),
                    &recorded.script,
                    &recovery,
                    reads_first,
                    goes_on,
                )
            });
            looked.map_err(|what| {
                format!(
                    "seed {seed}, history {}, cut after operation {place} of {} ({}), image {way} ({kept:?}), step {} \
                     begun, {} acknowledged: {what}",
                    recorded.number,
                    recorded.done.len(),
                    in_words(done),
                    recovery.begun,
                    recovery.acknowledged
                )
            })?;
        }
    }
    Ok(())
}

/// Reads by the connection that writes, which saves opening another one for each image.
struct ByWriter(SqliteStore);

impl StoreReader for ByWriter {
    fn read<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, E>,
    ) -> Result<T, E> {
        self.0.write(|transaction| work(transaction))
    }
}

/// Opens what is on the disk, as the next run of the program does.
fn look(
    folder: &Path,
    script: &Script,
    recovery: &Recovery,
    reads_first: bool,
    goes_on: bool,
) -> Result<(), String> {
    let path = folder.join(DATABASE);
    let (least, most) = (recovery.acknowledged, recovery.begun);
    let place_of = |found: &[_]| {
        script.place_of(found, least, most).ok_or_else(|| {
            format!(
                "{} are there; {} are acknowledged, {} were being written",
                in_short(found),
                in_short(&script.logs[least]),
                in_short(&script.logs[most])
            )
        })
    };
    if reads_first {
        match SqliteStore::open_reader(&path) {
            Ok(reader) => place_of(&told(&mut Reader::new(reader))?.0)?,
            // A file that was only begun may be missing, or hold nothing yet.
            Err(StoreError::Missing(_) | StoreError::Foreign(_))
                if script.logs[least].is_empty() =>
            {
                0
            }
            Err(error) => return Err(format!("a reader cannot open it: {error}")),
        };
    }
    if reads_first && !goes_on {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| format!("it cannot be opened: {error}");
    let store = SqliteStore::create_or_open(&path, options()).map_err(|error| failed(&error))?;
    let place = place_of(&told(&mut Reader::new(ByWriter(store)))?.0)?;
    if !goes_on {
        return Ok(());
    }
    let mut going = Going::open(&path).map_err(|error| failed(&error))?;
    let rest = script.steps.iter().enumerate().skip(place).take(3);
    for (number, step) in rest {
        let gone = going.step(step, number);
        gone.map_err(|error| format!("it does not go on: {error}"))?;
        let engine = going.engine().map_err(|error| failed(&error))?;
        let mut reader = engine.reader().map_err(|error| failed(&error))?;
        let (found, _) = told(&mut reader)?;
        if found != script.logs[number + 1] {
            return Err(format!("it goes on wrongly: {}", in_short(&found)));
        }
    }
    Ok(())
}

fn in_words(done: &Done) -> String {
    if let Done::Write {
        file,
        offset,
        bytes,
    } = done
    {
        return format!("write {} bytes at {offset} of file {file}", bytes.len());
    }
    format!("{done:?}")
}
