#![doc = include_str!("../README.md")]
//!
//! ## Map of the modules
//!
//! | module | what it holds |
//! |---|---|
//! | [`domain`] | the pure core: instants and periods, ids, events and their changes, the state machine of a grant, the fold, segments and windows, the decision, the rules |
//! | [`provider`] | one dialect each: is a request authentic, and what does it state |
//! | [`store`] | the log, what follows from it, and bookkeeping: the contract ([`Store`]), in memory ([`MemoryStore`]) and in a SQLite file ([`SqliteStore`]) |
//! | [`AccessIndex`] | who has access to what, in memory, for a question at every page |
//! | the root | the engine over both: [`Engine`] takes deliveries, [`Reader`] answers questions |
//!
//! Where to begin: [`Engine`] and [`Reader`]. A [`Delivery`] goes in and a [`Receipt`] comes out; a [`Question`] goes in and
//! a [`Decision`] comes out, or an [`Explanation`]. What a decision means is said in [`domain::decision`], what a change does
//! to a grant in [`domain::grant`].
//!
//! Nothing here reads a clock, an environment variable or a configuration file: the caller hands in the time, the
//! [`Secrets`] and the [`Rules`].

#![deny(unsafe_code)]

pub mod domain;
mod engine;
mod index;
pub mod provider;
pub mod store;

pub use domain::decision::{Access, AllowReason, Decision, DenyReason, Question, Verdict};
pub use domain::delivery::{Outcome, Reason, Refusal};
pub use domain::difference::{AccessChange, Direction, RulesNote};
pub use domain::event::{
    Cause, Change, Event, EventKey, GrantStatement, Granted, Origin, RecordedEvent, Statement,
    Term, UserChange, UserStatement,
};
pub use domain::grant::{Anomaly, How, Live, Over, State};
pub use domain::id::{
    BlockName, DedupeKey, GrantId, GrantKey, IdError, Mention, PeriodName, Position, ProductName,
    ResourceName, SourceName, StatementId, UserId,
};
pub use domain::lane::{Part, PartKind};
pub use domain::rules::{Include, Policy, ProductRules, RefundPolicy, Rules, SourceRules};
pub use domain::time::{
    EffectiveAt, End, Instant, Length, Period, PeriodError, RecordedAt, TimeError,
};
pub use domain::turn::Turn;
pub use domain::window::{Segment, Window};
pub use engine::{
    AccessTurn, Applied, Attribution, Batch, BatchReceipts, BlockToLift, Blocked, Changes,
    ChangesCursor, ChangesPage, ChangesQuestion, Correction, CursorError, Delivery, Effect, Engine,
    EngineError, Erased, ErasureGrounds, ErasurePlan, Explanation, Export, ExportedLine, Fault,
    FileError, FileOptions, Finding, FindingKind, GrantStanding, GrantSummary, GrantView, Grounds,
    GroundsError, HeldGrant, HoldersQuestion, Import, ImportRefusal, Imported, Intake, KeptBy,
    KeptHead, KeptHeadError, Lane, LaneEvent, Line, LineReceipt, LogEntry, Mentioning, PlanSummary,
    PlannedChange, Progress, Reader, Receipt, ReconcileQuestion, Reconciliation, Retried, Secrets,
    Spans, StaffChange, StaffStatement, StandingBlock, StatedRefusal, Step, Subscriber,
    SubscriberList, SubscriberRow, Timeline, TurnCause, UserWindow, Verification, brings_rules,
    decision_json, provider_of, read_line, write_line, write_request,
};
pub use index::{AccessIndex, Answer};
pub use provider::{PROVIDERS, Provider, Request, Secret, Verified, VerifyError};
pub use rusqlite;
pub use store::{
    Entry, EntryFilter, EntryKind, FormerKey, Hash, MemoryReader, MemoryStore, Parked, Redaction,
    RunId, Settled, SqliteReader, SqliteStore, SqliteStoreOptions, Statistics, Store, StoreError,
    StoreReader,
};
