//! What can go wrong, with its exit code and what to do next.

use std::io;
use std::path::Path;

use tenure::{EngineError, FileError, StoreError};

use crate::output::safe;

/// Why a command could not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line, a question or the rules file is wrong.
    Usage(String),
    /// A file or folder is not there or cannot be read.
    NoFile(String),
    /// What was asked for could not be written.
    Output(String),
    /// The endpoint did not take what was sent to it.
    Undelivered(String),
    /// The engine failed on the database of this run.
    Engine(EngineError),
}

/// The ends of a run that are not failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Done; on a question, allow.
    Done,
    /// The answer is deny.
    Deny,
    /// The log or its projection is not what it should be.
    Fault,
    /// A scenario did not come out as it says.
    Unexpected,
    /// Some lines of a batch were no questions.
    BadQuestions,
    /// Done, but some deliveries are in quarantine, or some rows were not imported.
    Quarantined,
    /// A list of subscribers says something else.
    Differs,
}

/// The exit code of a bug.
pub(crate) const BUG: u8 = 70;

impl Ending {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Deny | Self::Fault | Self::Unexpected | Self::Differs => 1,
            Self::BadQuestions => 2,
            Self::Quarantined => 3,
        }
    }
}

impl Failure {
    /// The input at `path` cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::NoFile(format!("`{}` cannot be read: {error}", path.display()))
    }

    /// `path` cannot be written.
    pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Self::Usage(format!(
                "`{}` exists already and is not written over: name another file",
                path.display()
            ));
        }
        let message = format!("`{}` cannot be written: {error}", path.display());
        if error.kind() == io::ErrorKind::NotFound {
            return Self::NoFile(message);
        }
        Self::Output(message)
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Undelivered(_) => 1,
            Self::Usage(_) => 2,
            Self::NoFile(_) => 4,
            Self::Output(_) => 5,
            Self::Engine(error) => engine_code(error),
        }
    }

    /// The whole message. `db` is the database the run is about.
    pub(crate) fn message(&self, db: &Path) -> String {
        match self {
            Self::Usage(text)
            | Self::NoFile(text)
            | Self::Output(text)
            | Self::Undelivered(text) => safe(text),
            Self::Engine(error) => safe(&engine_message(error, &db.display().to_string())),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl Failure {
    /// What reading deliveries from `input` failed with.
    pub(crate) fn of_file(error: FileError, input: &Path) -> Self {
        match error {
            FileError::Io(error) => Self::NoFile(format!(
                "`{}` cannot be read to its end: {error}. what was read before is in; run the same command again to \
                 go on after it",
                input.display()
            )),
            FileError::Engine(error) => Self::Engine(error),
        }
    }
}

fn engine_code(error: &EngineError) -> u8 {
    match error {
        EngineError::UnknownSource { .. }
        | EngineError::NotParked(_)
        | EngineError::Cursor(_)
        | EngineError::ReservedName(_)
        | EngineError::NamesErased
        | EngineError::Verify(_) => 2,
        EngineError::NotEmpty => BUG,
        EngineError::Store(error) => match error {
            StoreError::Missing(_) => 4,
            StoreError::Unavailable(_)
            | StoreError::Full(_)
            | StoreError::Foreign(_)
            | StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::Corrupt(_) => 5,
            StoreError::OutOfOrder | StoreError::KeyHeld => BUG,
        },
    }
}

fn engine_message(error: &EngineError, db: &str) -> String {
    match error {
        EngineError::UnknownSource { .. } => {
            format!("{error}. name one of them, or `any` for envelopes that name their own")
        }
        EngineError::NotParked(_) => format!("{error}: `tenure quarantine list` shows what is"),
        EngineError::Verify(_)
        | EngineError::Cursor(_)
        | EngineError::ReservedName(_)
        | EngineError::NamesErased
        | EngineError::NotEmpty => error.to_string(),
        EngineError::Store(error) => store_message(error, db),
    }
}

/// What is wrong with the database, what is safe, and what to do.
fn store_message(error: &StoreError, db: &str) -> String {
    match error {
        StoreError::Missing(_) => format!(
            "no such database: `{db}`. `tenure ingest` makes one; another one is named with --db or TENURE_DB"
        ),
        StoreError::Unavailable(_) => format!(
            "`{db}`: {error}. what was acknowledged is safe; run the same command again when the cause is removed"
        ),
        StoreError::Full(_) => format!(
            "`{db}`: {error}. what was acknowledged is safe; make space and run the same command again"
        ),
        StoreError::Foreign(_) => {
            format!("`{db}`: {error}. it was not touched; name another file with --db")
        }
        StoreError::Newer { .. } | StoreError::Older { .. } => {
            format!("`{db}`: {error}. it was not touched")
        }
        StoreError::Corrupt(_) => format!(
            "`{db}`: {error}. nothing was written to it now; keep a copy of it, then go on from a backup"
        ),
        StoreError::OutOfOrder | StoreError::KeyHeld => format!(
            "`{db}`: {error}. that is a bug in tenure, please report it; what was acknowledged is safe"
        ),
    }
}
