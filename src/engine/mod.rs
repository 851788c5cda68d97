//! The engine: the only place that knows both providers and stores.
//!
//! ```text
//! write:  bytes --verify--> Verified --decode--> Events | Ignored | Quarantined --append--> New | Duplicate --fold--> windows
//! read :  segments (or, for the past, the events of one person) --decide(user, resource, at, as of)--> Decision
//! ```
//!
//! A write is one transaction from the key's look-up to the projection, so a reader never sees windows that do not follow
//! from the log. Deciding writes nothing.

use std::sync::Arc;

use crate::domain::decision::Decision;
use crate::domain::id::{Position, SourceName};
use crate::domain::rules::Rules;
use crate::domain::time::Instant;
use crate::provider::{Request, VerifyError};
use crate::store::{Store, StoreError};

mod asking;
mod changes;
mod comparing;
mod concerned;
mod delivery;
mod erasing;
mod explain;
mod export;
mod facts;
mod file;
mod filling;
mod finding;
mod head;
mod history;
mod holders;
mod import;
mod indexing;
mod ingest;
mod intake;
mod line;
mod long_grants;
mod meeting;
mod people;
mod plan;
mod planning;
mod quarantine;
mod reader;
mod reading;
mod rebuild;
mod reconcile;
mod repetition;
mod sources;
mod staff;
mod standing;
mod taking;
mod timeline;
mod verify;

use asking::Asking;
use indexing::IndexedStore;
use long_grants::LongGrants;
use sources::{unknown_source, verified};

pub use changes::{
    AccessTurn, Changes, ChangesCursor, ChangesPage, ChangesQuestion, Correction, CursorError,
    TurnCause,
};
pub use delivery::{Delivery, Receipt};
pub use erasing::{Erased, ErasureGrounds, ErasurePlan};
pub use explain::{BlockToLift, Effect, Explanation, GrantSummary, KeptBy, Mentioning, Step};
pub use export::{Export, ExportedLine};
pub use file::{FileError, FileOptions, LineReceipt};
pub use finding::{Finding, FindingKind, Reconciliation};
pub use head::{KeptHead, KeptHeadError};
pub use history::brings_rules;
pub use holders::HoldersQuestion;
pub use import::{Import, ImportRefusal, Imported, Subscriber, SubscriberRow};
pub use ingest::{Batch, BatchReceipts};
pub use intake::Intake;
pub use line::{Line, StatedRefusal, read_line, write_line, write_request};
pub use plan::{Applied, PlanSummary, PlannedChange, Spans};
pub use quarantine::Retried;
pub use reader::{GrantView, LogEntry, Reader, UserWindow};
pub use reconcile::{ReconcileQuestion, SubscriberList};
pub use sources::{Secrets, provider_of};
pub use staff::{Attribution, Blocked, Grounds, GroundsError, StaffChange, StaffStatement};
pub use standing::{GrantStanding, HeldGrant, StandingBlock};
pub use timeline::{Lane, LaneEvent, Timeline};
pub use verify::{Fault, Progress, Verification};

/// Takes deliveries and keeps the projection true. One engine writes; any number of [`Reader`]s ask.
///
/// The clock is an argument everywhere: the engine never reads one.
///
/// ```
/// use tenure::{Delivery, Engine, MemoryStore, Question, Request, Secrets};
///
/// let mut engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
/// let body = br#"{"specversion":"1.0","id":"e1","source":"crm","type":"tenure.granted",
///     "time":"2026-01-01T00:00:00Z","subject":"u1",
///     "data":{"grant":"g1","product":"news","until":"2026-02-01T00:00:00Z"}}"#;
/// let request = Request { body: body.to_vec(), ..Request::default() };
/// let now = "2026-01-01T00:00:05Z".parse()?;
/// engine.ingest(Delivery::trusted("cloudevents".parse()?, request), now)?;
///
/// let question = Question {
///     user: "u1".parse()?,
///     resource: "news".parse()?,
///     at: "2026-01-15T00:00:00Z".parse()?,
///     as_of: None,
/// };
/// assert!(engine.reader()?.check(&question)?.verdict.is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Engine<S: Store> {
    /// Goes before the store: whoever closes a file last puts its log of writes back into it, and one who only reads cannot.
    asking: Asking<S::Reader>,
    store: IndexedStore<S>,
    secrets: Secrets,
    long_grants: LongGrants,
}

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store failed. What was being written may or may not be there; sending it again is harmless.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no source of that name by the rules in force.
    #[error("no source is called `{name}`; there are: {known}")]
    UnknownSource {
        /// The name asked for.
        name: SourceName,
        /// The names there are.
        known: String,
    },
    /// A request from the network was not believed. Nothing was recorded.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// There is no open quarantined delivery at that position.
    #[error("no delivery is in quarantine at position {0}")]
    NotParked(Position),
    /// A reading of changes cannot go on after that cursor.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// Rules are in force already, or the log is not empty.
    #[error("the log is not empty: rules can only be put in force at its beginning")]
    NotEmpty,
    /// Rules name a source that cannot be configured.
    #[error(
        "no source may be called `{0}`: what tenure itself records goes by that name; call the source something else"
    )]
    ReservedName(SourceName),
    /// Who asks for an erasure, or why, holds the id that is to be erased.
    #[error("who erases, and why, is kept: it may not hold the user's id; say it with other words")]
    NamesErased,
}

impl EngineError {
    /// Whether the same call may succeed later without anything being changed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::UnknownSource { .. }
            | Self::Verify(_)
            | Self::NotParked(_)
            | Self::Cursor(_)
            | Self::NotEmpty
            | Self::ReservedName(_)
            | Self::NamesErased => false,
        }
    }
}

impl<S: Store> Engine<S> {
    /// An engine over a store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn new(store: S, secrets: Secrets) -> Result<Self, EngineError> {
        Ok(Self {
            asking: Asking::by(store.reader()?),
            store: IndexedStore::new(store),
            secrets,
            long_grants: LongGrants::default(),
        })
    }

    /// The same engine with other secrets, as after one was changed.
    #[must_use]
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store.store
    }

    /// A handle to ask with, from this or another thread. It sees every delivery that was acknowledged before it is asked.
    ///
    /// # Errors
    /// If the store cannot be opened once more.
    pub fn reader(&self) -> Result<Reader<S::Reader>, EngineError> {
        Ok(Reader::new(self.store.reader()?))
    }

    /// The rules in force; the defaults if none were ever recorded.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn rules(&self) -> Result<Rules, EngineError> {
        Ok(Rules::clone(&*self.rules_in_force()?))
    }

    fn rules_in_force(&self) -> Result<Arc<Rules>, EngineError> {
        self.asking.rules(|| self.store.reader())
    }

    /// Shows that a request from the network comes from the source's system. The clock is needed against replays.
    ///
    /// # Errors
    /// [`EngineError::Verify`] if it is not believed, [`EngineError::UnknownSource`] if there is no such source.
    pub fn verify_request(
        &self,
        source: &SourceName,
        request: Request,
        now: Instant,
    ) -> Result<Delivery, EngineError> {
        let rules = self.rules_in_force()?;
        verified(&rules, &self.secrets, source, request, now)
    }

    /// Fails unless there is a source of that name by the rules in force.
    ///
    /// # Errors
    /// [`EngineError::UnknownSource`], which lists the names there are.
    pub fn require_source(&self, source: &SourceName) -> Result<(), EngineError> {
        provider_of(&*self.rules_in_force()?, source).map(|_| ())
    }
}

/// One decision in its stable JSON form, on one line.
pub fn decision_json(decision: &Decision) -> String {
    serde_json::to_string(decision).unwrap_or_default()
}
