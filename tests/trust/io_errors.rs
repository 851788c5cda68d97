//! Every operation on the disk fails in turn: nothing acknowledged is lost, and when the disk is sound again the work goes
//! on and ends as if nothing had been.

use std::collections::BTreeMap;
use std::path::Path;

use tenure::{EngineError, Hash, Reader, SqliteStore, StoreError};

use crate::disk::{Fault, Way};
use crate::harness::{Extent, Harness, Planted, Report, caught};
use crate::steps::{
    Dice, Going, Script, Step, Told, fast_folder, in_short, lay_older, told, without_repetitions,
};
use crate::vfs::Mounted;

pub(crate) const HARNESS: Harness = Harness {
    name: "io_errors",
    guarantee: "A failing disk loses nothing acknowledged; when it is sound, the work goes on",
    not_covered: "a power cut after a failed sync; failing memory; the second failure of two that differ",
    run,
};

const WAYS: [Way; 4] = [Way::Error, Way::Full, Way::Half, Way::Sync];
/// At each so-manieth point the file is looked at once more after it was closed.
const REOPENS: u64 = 4;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    for round in 0..extent.cases(1) {
        let undisturbed = Undisturbed::of(extent.seed, round);
        for work in undisturbed.works() {
            for way in WAYS {
                for lasts in [false, true] {
                    let failed = at_every_point(&undisturbed, work, way, lasts, Sound::Yes);
                    report.tried(failed.points, "points");
                    report.done(failed.points, "failures");
                    report.violations.extend(failed.violation);
                }
            }
            report.tried(1, "works");
        }
    }
    report.at_least(extent.cases(3_000), "points");
    for (bug, way, sound) in [
        (
            "a write that is not made reports success",
            Way::Pretend,
            Sound::Yes,
        ),
        (
            "acknowledged in spite of an error",
            Way::Error,
            Sound::Acknowledges,
        ),
    ] {
        let undisturbed = Undisturbed::of(extent.seed, 0);
        let mut points = 0;
        let is_caught = undisturbed.works().into_iter().any(|work| {
            let failed = at_every_point(&undisturbed, work, way, false, sound);
            points += failed.points;
            failed.violation.is_some()
        });
        let caught_after = is_caught.then_some(points);
        report.planted.push(Planted { bug, caught_after });
    }
    report
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sound {
    Yes,
    /// An error is taken for an acknowledgement.
    Acknowledges,
}

/// What is done while the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// The file is opened, made if it is not there, and the step after that many is taken.
    Open(usize),
    /// The step after that many is taken, by one who has the file open.
    Step(usize),
    /// The file is copied after that many steps.
    Backup(usize),
    /// A file of the first schema is brought up to date.
    Upgrade,
}

/// A script that was gone through on a sound disk, with the files and the end of the chain after each step.
struct Undisturbed {
    round: u64,
    script: Script,
    files: Vec<BTreeMap<String, Vec<u8>>>,
    heads: Vec<Hash>,
}

impl Undisturbed {
    fn of(seed: u64, round: u64) -> Self {
        let script = Script::of_each_kind(&mut Dice::of(seed, round));
        let folder = fast_folder();
        let path = folder.path().join("tenure.db");
        let mut going = Going::open(&path).unwrap();
        let mut files = vec![BTreeMap::new()];
        let mut heads = vec![Hash::default()];
        for (number, step) in script.steps.iter().enumerate() {
            going.step(step, number).unwrap();
            heads.push(head(&path));
            files.push(files_in(folder.path()));
        }
        Self {
            round,
            script,
            files,
            heads,
        }
    }

    /// The work that is gone through: each step by one who has the file open, and some by one who opens it.
    fn works(&self) -> Vec<Work> {
        let last = self.script.steps.len() - 1;
        let mut works = vec![
            Work::Upgrade,
            Work::Open(0),
            Work::Open(last),
            Work::Backup(last),
        ];
        works.extend((1..=last).map(Work::Step));
        works
    }
}

fn head(path: &Path) -> Hash {
    let reader = SqliteStore::open_reader(path).unwrap();
    Reader::new(reader).verify(&mut |_| {}).unwrap().head.hash
}

/// As a program that dies leaves them: the write-ahead log is not yet moved into the file.
fn files_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let kept = named.filter(|(name, _)| !name.ends_with("-shm"));
    kept.map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

#[derive(Default)]
struct Failed {
    points: u64,
    violation: Option<String>,
}

/// Lets the first operation fail, then the second, until there is no such operation any more.
fn at_every_point(
    undisturbed: &Undisturbed,
    work: Work,
    way: Way,
    lasts: bool,
    sound: Sound,
) -> Failed {
    let mut failed = Failed::default();
    for nth in 0.. {
        let fault = Fault { way, nth, lasts };
        let done = caught(|| {
            let case = Case::lay(undisturbed, fault, sound);
            match work {
                Work::Upgrade => case.upgrade(),
                Work::Open(done) => case.step(done, true),
                Work::Step(done) => case.step(done, false),
                Work::Backup(done) => case.backup(done),
            }
        });
        match done {
            Ok(0) => break,
            Ok(_) => failed.points += 1,
            Err(what) => {
                failed.points += 1;
                let round = undisturbed.round;
                failed.violation = Some(format!("round {round}, {work:?}, {fault:?}: {what}"));
                break;
            }
        }
    }
    failed
}

struct Case<'a> {
    undisturbed: &'a Undisturbed,
    fault: Fault,
    sound: Sound,
    folder: tempfile::TempDir,
}

impl<'a> Case<'a> {
    fn lay(undisturbed: &'a Undisturbed, fault: Fault, sound: Sound) -> Self {
        Self {
            undisturbed,
            fault,
            sound,
            folder: fast_folder(),
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("tenure.db")
    }

    /// Puts the files there as they are after that many steps, with the disk over them.
    fn disk_after(&self, done: usize) -> Mounted {
        for (name, bytes) in &self.undisturbed.files[done] {
            std::fs::write(self.folder.path().join(name), bytes).unwrap();
        }
        Mounted::over(self.folder.path())
    }

    /// Takes a step while the disk fails, then again on a sound one, and the step after it. Gives how often it failed.
    fn step(&self, done: usize, opens: bool) -> Result<u64, String> {
        let script = &self.undisturbed.script;
        let disk = self.disk_after(done);
        let mut going = Going::on(&self.path());
        if !opens {
            open(&mut going)?;
        }
        disk.arm(self.fault);
        let mut acknowledged = self.take(&mut going, done)?;
        if self.fault.lasts && !acknowledged {
            acknowledged = self.take(&mut going, done)?;
            if !self.fault.nth.is_multiple_of(2) {
                // The program ends before the disk is sound.
                going = Going::on(&self.path());
            }
        }
        let failures = disk.mend();
        let least = done + usize::from(acknowledged);
        let (mut found, _) = self.read()?;
        let mut logs = script.clone();
        if self.fault.lasts {
            // The first of two tries may have gone through, and the second one counts then.
            found = without_repetitions(&found);
            logs.logs
                .iter_mut()
                .for_each(|log| *log = without_repetitions(log));
        }
        let place = place(&logs, &found, least, done + 1)?;
        if !acknowledged {
            going
                .step(&script.steps[done], done)
                .map_err(|error| format!("on a sound disk it fails again: {error}"))?;
        }
        if let Some(next) = script.steps.get(done + 1) {
            let gone = going.step(next, done + 1);
            gone.map_err(|error| format!("the step after it fails: {error}"))?;
        }
        let steps = script.steps.len().min(done + 2);
        let once = acknowledged || place == done;
        self.equals(steps, once)?;
        drop(going);
        if self.fault.nth.is_multiple_of(REOPENS) {
            self.equals(steps, once)?;
        }
        Ok(failures)
    }

    /// Whether the step is acknowledged. An error has to be one that says what is safe.
    fn take(&self, going: &mut Going, done: usize) -> Result<bool, String> {
        match going.step(&self.undisturbed.script.steps[done], done) {
            Ok(()) => Ok(true),
            Err(EngineError::Store(error)) => {
                self.says_what_is_safe(&error)?;
                Ok(self.sound == Sound::Acknowledges)
            }
            Err(error) => Err(format!("an error that says nothing of the disk: {error}")),
        }
    }

    fn says_what_is_safe(&self, error: &StoreError) -> Result<(), String> {
        let is_said = match error {
            StoreError::Full(_) => self.fault.way == Way::Full,
            // The names and the shared memory of a full disk: SQLite does not say why it could not make them.
            StoreError::Unavailable(text) => {
                self.fault.way != Way::Full || text.contains("unable to open")
            }
            StoreError::Foreign(_)
            | StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::Corrupt(_)
            | StoreError::Missing(_)
            | StoreError::OutOfOrder
            | StoreError::KeyHeld => false,
        };
        if is_said {
            Ok(())
        } else {
            Err(format!("the error does not say what happened: {error}"))
        }
    }

    fn read(&self) -> Result<(Vec<Told>, Hash), String> {
        match SqliteStore::open_reader(&self.path()) {
            Ok(reader) => told(&mut Reader::new(reader)),
            // One that was only begun.
            Err(StoreError::Missing(_) | StoreError::Foreign(_)) => {
                Ok((Vec::new(), Hash::default()))
            }
            Err(error) => Err(format!("a reader cannot open it: {error}")),
        }
    }

    /// Whether all is as after that many steps on a sound disk; repetitions only where no step was taken twice.
    fn equals(&self, steps: usize, once: bool) -> Result<(), String> {
        let (found, head) = self.read()?;
        let wanted = &self.undisturbed.script.logs[steps];
        let is_equal = if once {
            found == *wanted
        } else {
            without_repetitions(&found) == without_repetitions(wanted)
        };
        if !is_equal || head != self.undisturbed.heads[steps] {
            return Err(format!(
                "it ends unlike a run without failures: {} instead of {}",
                in_short(&found),
                in_short(wanted)
            ));
        }
        Ok(())
    }

    fn backup(&self, done: usize) -> Result<u64, String> {
        let disk = self.disk_after(done);
        let mut going = Going::on(&self.path());
        open(&mut going)?;
        let to = self.folder.path().join("copy.db");
        disk.arm(self.fault);
        let copied = going.backup(&to);
        let failures = disk.mend();
        match copied {
            Ok(()) => {}
            Err(EngineError::Store(error)) if self.sound == Sound::Yes => {
                self.says_what_is_safe(&error)?;
                if to.exists() {
                    return Err("half a copy is left".to_owned());
                }
                let again = going.backup(&to);
                again.map_err(|error| format!("on a sound disk it fails again: {error}"))?;
            }
            Err(EngineError::Store(_)) => {}
            Err(error) => return Err(format!("an error that says nothing: {error}")),
        }
        self.equals(done, true)?;
        let copy = SqliteStore::open_reader(&to).map_err(|error| error.to_string())?;
        let (copy, _) = told(&mut Reader::new(copy))?;
        if copy != self.undisturbed.script.logs[done] {
            return Err(format!("the copy is another: {}", in_short(&copy)));
        }
        Ok(failures)
    }

    fn upgrade(&self) -> Result<u64, String> {
        let before = lay_older(&self.path());
        let disk = Mounted::over(self.folder.path());
        disk.arm(self.fault);
        let opened = if self.fault.nth.is_multiple_of(2) {
            Going::open(&self.path()).map(|_| ())
        } else {
            let reader = SqliteStore::open_reader(&self.path());
            reader.map(|_| ()).map_err(EngineError::from)
        };
        let failures = disk.mend();
        if let Err(EngineError::Store(error)) = &opened {
            self.says_what_is_safe(error)?;
        }
        let (found, _) = self.read()?;
        if found != before {
            return Err(format!("the log has changed: {}", in_short(&found)));
        }
        let mut going = Going::on(&self.path());
        open(&mut going)?;
        let body = r#"{"specversion":"1.0","id":"later","source":"x","type":"other"}"#;
        let step = Step::Take("staff", vec![body.to_owned()]);
        let taken = going.step(&step, 0);
        taken.map_err(|error| format!("on a sound disk it fails: {error}"))?;
        let (found, _) = self.read()?;
        if found.len() != before.len() + 1 || found[..before.len()] != before {
            return Err(format!("it does not go on: {}", in_short(&found)));
        }
        Ok(failures)
    }
}

fn open(going: &mut Going) -> Result<(), String> {
    let opened = going.engine().map(|_| ());
    opened.map_err(|error| format!("on a sound disk it cannot be opened: {error}"))
}

fn place(script: &Script, found: &[Told], least: usize, most: usize) -> Result<usize, String> {
    script.place_of(found, least, most).ok_or_else(|| {
        format!(
            "{} are there; {} were acknowledged",
            in_short(found),
            in_short(&script.logs[least])
        )
    })
}
