//! A disk as the layer below SQLite sees it: what was done to it, what it holds, and where it is to fail.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use tenure::rusqlite::ffi;

/// Where SQLite meets the disk, so that the disk may fail there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    Create,
    Open,
    Delete,
    Access,
    Read,
    Write,
    Truncate,
    Sync,
    Size,
    Lock,
    Share,
    ShareLock,
}

/// How the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Any operation ends in an error of the device.
    Error,
    /// Nothing can be made or grow.
    Full,
    /// Half of a write is made, then the device fails.
    Half,
    /// What was written cannot be synchronised.
    Sync,
    /// A write is not made, and success is reported. No disk may do that: it is planted.
    Pretend,
}

/// One failure: at the `nth` of the operations that can fail so, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) way: Way,
    pub(crate) nth: u64,
    /// Whether all after it fail as well.
    pub(crate) lasts: bool,
}

/// What an operation meets.
pub(crate) enum Met {
    Go,
    Fail(i32),
    /// Half of the write goes through, then this error.
    Half(i32),
    /// Nothing is done, and success reported.
    Pretend,
}

/// What was done to the disk. Files are numbered as they come to be; one that is deleted and made again gets a new number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Create {
        file: usize,
        name: String,
    },
    Delete {
        name: String,
    },
    Write {
        file: usize,
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        file: usize,
        size: u64,
    },
    Sync {
        file: usize,
    },
    /// The names of files are on the disk as they are now.
    SyncFolder,
    /// That many steps were acknowledged by now.
    Acknowledged(usize),
    /// That many steps were begun by now.
    Begun(usize),
}

/// A disk over one folder.
#[derive(Default)]
pub(crate) struct Disk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of each file by its name.
    names: BTreeMap<String, usize>,
    sizes: Vec<u64>,
    /// New journals, whose first synchronisation brings their names to the disk.
    unnamed: Vec<usize>,
    done: Option<Vec<Done>>,
    fault: Option<Fault>,
    /// How many operations came by that the fault could have met.
    met: u64,
    failed: u64,
    capacity: Option<u64>,
    /// Whether what finds no room reports success. That is planted.
    pretends_room: bool,
    is_weak: bool,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From here on everything is recorded.
    pub(crate) fn record(&self) {
        self.state().done = Some(Vec::new());
    }

    pub(crate) fn recorded(&self) -> Vec<Done> {
        self.state().done.take().unwrap_or_default()
    }

    /// A failure to come, in place of any other.
    pub(crate) fn arm(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = Some(fault);
        state.met = 0;
        state.failed = 0;
    }

    /// The disk is sound again. Gives how often it failed.
    pub(crate) fn mend(&self) -> u64 {
        let mut state = self.state();
        state.fault = None;
        state.failed
    }

    /// How many bytes its files may have together.
    pub(crate) fn limit(&self, capacity: u64) {
        self.state().capacity = Some(capacity);
    }

    pub(crate) fn pretend_room(&self) {
        self.state().pretends_room = true;
    }

    /// From here on a connection that asks for `synchronous = FULL` gets `NORMAL`. That is planted.
    pub(crate) fn weaken(&self) {
        self.state().is_weak = true;
    }

    pub(crate) fn is_weak(&self) -> bool {
        self.state().is_weak
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.state().names.contains_key(name)
    }

    /// Takes note of a file that was put there behind SQLite's back.
    pub(crate) fn holds(&self, name: &str, size: u64) {
        let mut state = self.state();
        state.sizes.push(size);
        let number = state.sizes.len() - 1;
        state.names.insert(name.to_owned(), number);
    }

    /// What the next operation meets.
    pub(crate) fn meet(&self, point: Point) -> Met {
        let mut state = self.state();
        match state.fault {
            Some(fault) if can_fail(fault.way, point) => {
                let nth = state.met;
                state.met += 1;
                if nth != fault.nth && !(fault.lasts && nth > fault.nth) {
                    return Met::Go;
                }
                state.failed += 1;
                let code = code(fault.way, point);
                match fault.way {
                    Way::Half => Met::Half(code),
                    Way::Pretend => Met::Pretend,
                    Way::Error | Way::Full | Way::Sync => Met::Fail(code),
                }
            }
            Some(_) | None => Met::Go,
        }
    }

    /// What a write meets that reaches to `end`.
    pub(crate) fn meet_write(&self, file: usize, end: u64) -> Met {
        let mut state = self.state();
        let more = end.saturating_sub(state.sizes[file]);
        if let Some(capacity) = state.capacity
            && more > 0
            && state.used() + more > capacity
        {
            state.failed += 1;
            return if state.pretends_room {
                Met::Pretend
            } else {
                Met::Fail(ffi::SQLITE_FULL)
            };
        }
        drop(state);
        self.meet(Point::Write)
    }

    pub(crate) fn opened(&self, name: &str, syncs_folder: bool) -> usize {
        let mut state = self.state();
        if let Some(number) = state.names.get(name) {
            return *number;
        }
        state.sizes.push(0);
        let file = state.sizes.len() - 1;
        state.names.insert(name.to_owned(), file);
        if syncs_folder {
            state.unnamed.push(file);
        }
        state.note(|| Done::Create {
            file,
            name: name.to_owned(),
        });
        file
    }

    pub(crate) fn deleted(&self, name: &str, syncs_folder: bool) {
        let mut state = self.state();
        if let Some(number) = state.names.remove(name) {
            state.sizes[number] = 0;
        }
        state.note(|| Done::Delete {
            name: name.to_owned(),
        });
        if syncs_folder {
            state.note(|| Done::SyncFolder);
        }
    }

    pub(crate) fn grown(&self, file: usize, end: u64) {
        let size = &mut self.state().sizes[file];
        *size = end.max(*size);
    }

    pub(crate) fn truncated(&self, file: usize, size: u64) {
        let mut state = self.state();
        state.sizes[file] = size;
        state.note(|| Done::Truncate { file, size });
    }

    /// The first synchronisation of a new journal brings the names to the disk as well.
    pub(crate) fn synchronised(&self, file: usize) {
        let mut state = self.state();
        state.note(|| Done::Sync { file });
        if let Some(place) = state.unnamed.iter().position(|it| *it == file) {
            state.unnamed.swap_remove(place);
            state.note(|| Done::SyncFolder);
        }
    }

    pub(crate) fn did(&self, what: impl FnOnce() -> Done) {
        self.state().note(what);
    }
}

impl State {
    fn note(&mut self, what: impl FnOnce() -> Done) {
        if let Some(done) = &mut self.done {
            done.push(what());
        }
    }

    fn used(&self) -> u64 {
        self.sizes.iter().sum()
    }
}

fn can_fail(way: Way, point: Point) -> bool {
    match way {
        Way::Error => true,
        Way::Full => matches!(point, Point::Create | Point::Write),
        Way::Half | Way::Pretend => point == Point::Write,
        Way::Sync => point == Point::Sync,
    }
}

/// What SQLite's own file system says where the system call fails.
fn code(way: Way, point: Point) -> i32 {
    match point {
        Point::Create | Point::Open => ffi::SQLITE_CANTOPEN,
        Point::Delete => ffi::SQLITE_IOERR_DELETE,
        Point::Access => ffi::SQLITE_IOERR_ACCESS,
        Point::Read => ffi::SQLITE_IOERR_READ,
        Point::Write if way == Way::Full => ffi::SQLITE_FULL,
        Point::Write => ffi::SQLITE_IOERR_WRITE,
        Point::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
        Point::Sync => ffi::SQLITE_IOERR_FSYNC,
        Point::Size => ffi::SQLITE_IOERR_FSTAT,
        Point::Lock => ffi::SQLITE_IOERR_LOCK,
        Point::Share => ffi::SQLITE_IOERR_SHMMAP,
        Point::ShareLock => ffi::SQLITE_IOERR_SHMLOCK,
    }
}
