//! Where the log and what follows from it are kept.
//!
//! A store holds three kinds of things. The **log**: entries, immutable and hash-chained, each with the events it recorded.
//! The **projection**: segments, windows and anomalies of grants, which can be dropped and built again from the
//! log. And **bookkeeping**: how often a delivery was repeated, what became of parked ones, how far a file was read.
//!
//! # Contract
//!
//! Every store passes the same suite, `tests/store_contract.rs`:
//!
//! - A write is a transaction: all of it or nothing. When [`Store::write`] has returned `Ok`, it is durable, and every read
//!   that begins later, by any handle, sees it.
//! - Positions count up from 1 without gaps and are never reused, also after a failed transaction.
//! - The caller gives recorded times that strictly increase; an entry that does not follow the last one is refused with
//!   [`StoreError::OutOfOrder`].
//! - At most one applied or ignored entry holds a (source, dedupe key); a second one is refused with
//!   [`StoreError::KeyHeld`].
//! - Entries and events are never removed, and changed only by [`Transaction::redact`].
//! - A read sees one state of the store from its beginning to its end, whatever is written meanwhile.
//! - Results are in the order each method states, never in that of a hash table.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::event::{RecordedEvent, Statement, is_known_at};
use crate::domain::id::{
    DedupeKey, GrantId, GrantKey, Mention, Position, ProductName, SourceName, UserId,
};
use crate::domain::rules::Rules;
use crate::domain::time::{Instant, RecordedAt};
use crate::domain::window::{Segment, Window};

mod append;
pub mod chain;
mod entry;
mod erasure;
mod memory;
mod projection;
mod sqlite;
mod sums;
mod user_segments;

pub use chain::Hash;
pub use entry::{Entry, EntryFilter, EntryKind, EntryRefusal, NewEntry};
pub use erasure::{FormerKey, Redaction};
pub use memory::{MemoryReader, MemoryStore};
pub use projection::{Projected, Projection, RecordedAnomaly};
pub use sqlite::{FileSizes, SqliteReader, SqliteStore, SqliteStoreOptions};
pub use sums::{DifferingLanes, ProjectionSums};
pub use user_segments::{
    ListedUser, ProductPlace, ProductPlaces, UserHoldings, UserSegment, UserSegments, Whose,
};

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or device failed, or another process held the database for too long. What was being written may or may not
    /// be there: send it again, its key makes that harmless.
    #[error("the database could not be used: {0}")]
    Unavailable(String),
    /// There is no space left. Nothing acknowledged is lost; it goes on when there is space.
    #[error("the database is full: {0}")]
    Full(String),
    /// The file is not a database of Tenure.
    #[error("not a database of tenure: {0}")]
    Foreign(String),
    /// The file was written by a newer Tenure.
    #[error(
        "the database has schema {found}, this program knows up to {known}: use a newer tenure"
    )]
    Newer {
        /// The file's schema version.
        found: i64,
        /// The newest one this program knows.
        known: i64,
    },
    /// The file was written by an older Tenure and may not be brought up to date.
    #[error(
        "the database has schema {found}, this program needs {needed}, and the file cannot be written to: run any \
         writing command once, or make the file writable"
    )]
    Older {
        /// The file's schema version.
        found: i64,
        /// The one this program needs.
        needed: i64,
    },
    /// The file is damaged, or holds what Tenure never writes.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// There is no such file.
    #[error("no such database: `{0}`")]
    Missing(String),
    /// An entry's recorded time is not after the last one's.
    #[error("the entry's recorded time is not after that of the last entry")]
    OutOfOrder,
    /// Another entry of that source holds the dedupe key.
    #[error("another entry holds the dedupe key")]
    KeyHeld,
}

impl StoreError {
    /// Whether the same call may succeed later without anything being repaired.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Full(_) => true,
            Self::Foreign(_)
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Corrupt(_)
            | Self::Missing(_)
            | Self::OutOfOrder
            | Self::KeyHeld => false,
        }
    }
}

/// A place that keeps the log and its projection, for one writer.
pub trait Store: Send {
    /// The kind of handle that only reads.
    type Reader: StoreReader;

    /// A handle that only reads, for another thread, say, while this one writes.
    ///
    /// # Errors
    /// If the store cannot be opened once more.
    fn reader(&self) -> Result<Self::Reader, StoreError>;

    /// Runs `work` in one transaction: durable if it returns `Ok`, undone if it returns `Err`.
    ///
    /// # Errors
    /// What `work` returns, or a failure to begin or to commit. After a failed commit it is unknown whether the work is
    /// there.
    fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, E>,
    ) -> Result<T, E>;

    /// Makes what was erased leave what lies on the disk, and not only the tables. To be called after the transaction, and
    /// again until it succeeds.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if others who read or write hold it up, [`StoreError::Full`] if there is no room for it.
    /// The log is sound either way.
    fn wipe_erased(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A handle that only reads.
pub trait StoreReader: Send {
    /// Another handle on the same store, for another thread, so that two reads go on at once; `None` where one of them may
    /// have to wait until the other ends.
    ///
    /// # Errors
    /// If the store cannot be opened once more.
    fn another(&self) -> Result<Option<Self>, StoreError>
    where
        Self: Sized,
    {
        Ok(None)
    }

    /// Runs `work` on one unchanging state of the store, at least as new as the last write acknowledged before the call.
    ///
    /// # Errors
    /// What `work` returns, or a failure to begin.
    fn read<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, E>,
    ) -> Result<T, E>;
}

/// One unchanging state of a store. Every method fails only with [`StoreError`]s of the device or of damage.
#[allow(clippy::missing_errors_doc, reason = "said once, above")]
pub trait Snapshot {
    /// The end of the log.
    fn head(&self) -> Result<Head, StoreError>;
    /// The position of the last entry recorded at or before `known_at`; zero if there is none.
    fn position_at(&self, known_at: RecordedAt) -> Result<Position, StoreError>;
    /// The entry at a position.
    fn entry(&self, position: Position) -> Result<Option<Entry>, StoreError>;
    /// Up to `limit` entries after a position, ascending.
    fn entries_after(&self, after: Position, limit: usize) -> Result<Vec<Entry>, StoreError>;
    /// Up to `limit` entries that fit the filter and lie before `before` (`None`: from the end), newest first.
    fn entries_before(
        &self,
        before: Option<Position>,
        filter: &EntryFilter,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;
    /// The events an entry recorded, by index.
    fn events_of(&self, position: Position) -> Result<Vec<RecordedEvent>, StoreError>;

    /// The entry that holds a key: the applied or ignored one.
    fn key_holder(
        &self,
        source: &SourceName,
        key: &DedupeKey,
    ) -> Result<Option<Position>, StoreError>;
    /// The parked deliveries of that source and key, whatever became of them, ascending.
    fn parked_with_key(
        &self,
        source: &SourceName,
        key: &DedupeKey,
    ) -> Result<Vec<Parked>, StoreError>;
    /// The key of the latest packet of a grant, where the source numbers packets by arrival, and the digest of its text.
    fn latest_packet(
        &self,
        source: &SourceName,
        grant: &GrantKey,
    ) -> Result<Option<Packet>, StoreError>;

    /// Every event that names the grant, in the order it was recorded.
    fn grant_events(&self, grant: &GrantId) -> Result<Vec<RecordedEvent>, StoreError> {
        self.grant_events_after(grant, Position::default())
    }
    /// As [`Snapshot::grant_events`], only those that entries after a position recorded.
    fn grant_events_after(
        &self,
        grant: &GrantId,
        after: Position,
    ) -> Result<Vec<RecordedEvent>, StoreError>;
    /// Whom and what the events of the grant name, those taken back included.
    fn names_of(&self, grant: &GrantId) -> Result<GrantNames, StoreError> {
        let mut names = GrantNames::default();
        for recorded in self.grant_events(grant)? {
            if let Statement::Grant(statement) = &recorded.event.statement {
                names.users.extend(statement.users().cloned());
                names.products.extend(statement.products().cloned());
            }
        }
        Ok(names)
    }
    /// Calls `each` with every grant that events name and with all its events, as [`Snapshot::grant_events`] gives them, until
    /// it says `false`: the grants sorted, or in the opposite order.
    fn each_grant(&self, order: Order, each: &mut EachGrant<'_>) -> Result<(), StoreError>;
    /// Every statement about all grants of a user in a source, in the order it was recorded.
    fn user_events(
        &self,
        source: &SourceName,
        user: &UserId,
    ) -> Result<Vec<RecordedEvent>, StoreError>;
    /// Every grant some event of which names the user, sorted. Withdrawn events count.
    fn grants_naming(&self, user: &UserId) -> Result<Vec<GrantId>, StoreError>;
    /// Every grant some event of which names `parent` as its parent, sorted.
    fn children(&self, parent: &GrantId) -> Result<Vec<GrantId>, StoreError>;
    /// The grants that events name, sorted, after `after`, at most `limit`.
    fn grants_after(
        &self,
        after: Option<&GrantId>,
        limit: usize,
    ) -> Result<Vec<GrantId>, StoreError>;
    /// The users that events of grants name, sorted, after `after`, at most `limit`. Withdrawn events count.
    fn users_after(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<UserId>, StoreError>;
    /// The ids that links name, sorted, after `after`, at most `limit`. Withdrawn links count.
    fn linked_after(&self, after: Option<&UserId>, limit: usize)
    -> Result<Vec<UserId>, StoreError>;
    /// The users that statements about users name, sorted, after `after`, at most `limit`. Withdrawn ones count.
    fn users_stated_after(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError>;
    /// The users after `after` some window of which, of one of the products, holds `at`; sorted, at most `limit`.
    fn holders_after(
        &self,
        after: Option<&UserId>,
        products: &BTreeSet<ProductName>,
        at: Instant,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError>;
    /// The instants before `before` at which some window of a user begins or ends, each with that user, sorted and each once:
    /// at `at` only those after `after`, and all that come later; at most `limit`.
    fn window_bounds_after(
        &self,
        at: Instant,
        after: Option<&UserId>,
        before: Instant,
        limit: usize,
    ) -> Result<Vec<(Instant, UserId)>, StoreError>;
    /// How many users events of grants name.
    fn count_users(&self) -> Result<u64, StoreError>;
    /// Every link that names the id, in the order it was recorded.
    fn links(&self, user: &UserId) -> Result<Vec<RecordedLink>, StoreError>;
    /// Whether an event recorded by `known_at` (`None`: by now) and not withdrawn by then names the id.
    fn is_named(&self, user: &UserId, known_at: Option<RecordedAt>) -> Result<bool, StoreError>;
    /// The rules that were ever in force, ascending.
    fn rules(&self) -> Result<Arc<[RecordedRules]>, StoreError>;

    /// What follows from the events of a grant; `None` if nothing does.
    fn projection(&self, grant: &GrantId) -> Result<Option<Projection>, StoreError>;
    /// The segments of every grant that names the user, as [`Snapshot::grants_naming`], sorted by grant; a grant without
    /// segments is left out.
    fn segments_naming(&self, user: &UserId) -> Result<Vec<(GrantId, Vec<Segment>)>, StoreError>;
    /// As [`Snapshot::segments_naming`], without the grants that never give a product of which `is_asked_for` says so; of
    /// all grants, whether the user ever holds one.
    fn segments_giving(
        &self,
        user: &UserId,
        is_asked_for: &dyn Fn(&str) -> bool,
    ) -> Result<UserGrants, StoreError> {
        let mut grants = self.segments_naming(user)?;
        let mut held = grants.iter().flat_map(|(_, segments)| segments);
        let is_holder = held.any(|segment| segment.holder() == Some(user));
        grants.retain(|(_, segments)| {
            let mut products = segments.iter().filter_map(Segment::product);
            products.any(|product| is_asked_for(product.as_str()))
        });
        Ok(UserGrants { grants, is_holder })
    }
    /// Puts into the list, in place of who is in it, up to `limit` users that an event of a grant names, sorted, after `after`,
    /// each with the segments of [`Snapshot::segments_naming`].
    fn list_segments_after(
        &self,
        after: Option<&UserId>,
        limit: usize,
        list: &mut UserSegments,
    ) -> Result<(), StoreError> {
        list.clear();
        for user in self.users_after(after, limit)? {
            let grants = self.segments_naming(&user)?;
            list.add_user(user);
            for (_, segments) in &grants {
                list.add_segments(segments);
            }
        }
        Ok(())
    }
    /// The windows of exactly that user, with their grants, sorted by start, then source and grant.
    fn windows_of(&self, user: &UserId) -> Result<Vec<(GrantId, Window)>, StoreError>;
    /// Up to `limit` grants that have a projection, sorted, after `after`.
    fn projected_after(
        &self,
        after: Option<&GrantId>,
        limit: usize,
    ) -> Result<Vec<GrantId>, StoreError>;
    /// Adds everything that is stored of all projections.
    fn sum_projections(&self, sums: &mut ProjectionSums) -> Result<(), StoreError>;
    /// Up to `limit` anomalies after a position, by position, index and anomaly.
    fn anomalies_after(
        &self,
        after: Option<&RecordedAnomaly>,
        limit: usize,
    ) -> Result<Vec<RecordedAnomaly>, StoreError>;

    /// Up to `limit` parked deliveries after a position, ascending.
    fn parked_after(&self, after: Position, limit: usize) -> Result<Vec<Parked>, StoreError>;
    /// The parked deliveries, whatever became of them, that mention a text, ascending.
    fn parked_mentioning(&self, mention: &Mention) -> Result<Vec<Position>, StoreError>;
    /// The parked delivery at a position.
    fn parked(&self, position: Position) -> Result<Option<Parked>, StoreError>;
    /// The entries that record erasures, ascending.
    fn erasures(&self) -> Result<Vec<Entry>, StoreError>;
    /// How many entries are erased.
    fn count_erased(&self) -> Result<u64, StoreError>;
    /// What a key is now that held an erased id and had this digest.
    fn former_key(&self, digest: &Hash) -> Result<Option<String>, StoreError>;
    /// Every key that held an erased id, sorted.
    fn former_keys(&self) -> Result<Vec<FormerKey>, StoreError>;
    /// Up to `limit` latest packets with their grants, sorted by grant, after `after`.
    fn packets_after(
        &self,
        after: Option<&GrantId>,
        limit: usize,
    ) -> Result<Vec<(GrantId, Packet)>, StoreError>;

    /// The receipts of a batch of lines of an unfinished run, if it was committed.
    fn batch(&self, run: &RunId, batch: u64) -> Result<Option<BatchMark>, StoreError>;
    /// What stands beside the log and the projection, or repeats them, and contradicts the log, in words: the first that is
    /// found. It goes through everything; a store that nobody but this program can reach has nothing to look for.
    fn contradiction(&self) -> Result<Option<String>, StoreError>;
    /// The figures of the store.
    fn statistics(&self) -> Result<Statistics, StoreError>;
}

/// What is called with a grant and its events, and says whether to go on. It may take the events out of their list; what it
/// leaves is dropped, and the list itself serves the next grant.
pub type EachGrant<'a> =
    dyn FnMut(GrantId, &mut Vec<RecordedEvent>) -> Result<bool, StoreError> + 'a;

/// The order in which grants are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By source, then by key.
    Ascending,
    /// The opposite.
    Descending,
}

/// A transaction: reads see what was written before in it.
#[allow(clippy::missing_errors_doc, reason = "said once, at Snapshot")]
pub trait Transaction: Snapshot {
    /// Appends an entry with its events at the end of the log, chains it, and parks it with its mentions if it is
    /// quarantined.
    fn append(&mut self, entry: NewEntry) -> Result<Position, StoreError>;
    /// Counts a repetition of the delivery at `position`.
    fn count_repetition(&mut self, position: Position) -> Result<(), StoreError>;
    /// Remembers the latest packet of a grant.
    fn remember_packet(
        &mut self,
        source: &SourceName,
        grant: &GrantKey,
        packet: &Packet,
    ) -> Result<(), StoreError>;
    /// Says what became of a parked delivery.
    fn settle(&mut self, position: Position, settled: &Settled) -> Result<(), StoreError>;
    /// Replaces what follows from the events of a grant; `None` removes it.
    fn project(
        &mut self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<(), StoreError>;
    /// As [`Transaction::project`] of a grant that has a projection already, in which events named somebody and which had these
    /// windows: what it was need not be read then.
    fn project_after(
        &mut self,
        grant: &GrantId,
        before: &[Window],
        projection: &Projection,
    ) -> Result<(), StoreError>;
    /// As [`Transaction::project`], but takes nothing that is stored of the grant on trust: all of it is compared, and replaced
    /// if anything differs. Says whether it did.
    fn mend(
        &mut self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<bool, StoreError>;
    /// Counts how much the projection holds, whatever the figures say that are kept beside it, and corrects these.
    fn count_anew(&mut self) -> Result<Projected, StoreError>;
    /// Removes the projections of all grants.
    fn clear_projections(&mut self) -> Result<(), StoreError>;
    /// Remembers that a batch of lines of a run was taken.
    fn mark_batch(&mut self, run: &RunId, batch: u64, mark: &BatchMark) -> Result<(), StoreError>;
    /// Forgets a run that was finished.
    fn finish_run(&mut self, run: &RunId) -> Result<(), StoreError>;

    /// Erases an entry: nothing is left of it but what the redaction says. Gives the digest of that, under a new salt, for
    /// the entry that records the erasure. All look-ups follow; what a parked delivery mentioned is forgotten.
    fn redact(&mut self, redaction: &Redaction) -> Result<Hash, StoreError>;
    /// Says of an entry that was appended as an erasure elsewhere had left it that it is erased. Until an erasure lists it,
    /// [`Entry::erased_by`] is the entry itself.
    fn note_erased(&mut self, position: Position) -> Result<(), StoreError>;
    /// Remembers what a key is now that held an erased id.
    fn remember_former_key(&mut self, key: &FormerKey) -> Result<(), StoreError>;
    /// Forgets the latest packet of a grant.
    fn forget_packet(&mut self, grant: &GrantId) -> Result<(), StoreError>;
    /// Forgets the batches of unfinished runs whose receipts `hold` something.
    fn forget_receipts(&mut self, hold: &dyn Fn(&[u8]) -> bool) -> Result<(), StoreError>;
    /// Bytes that nobody can guess: others for each number and each end of the log. Where the salts are repeatable, so are
    /// these.
    fn draw(&self, number: u64) -> Result<[u8; 16], StoreError>;
}

/// The end of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The position of the last entry; zero if there is none.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: Option<RecordedAt>,
    /// Its hash; zeros if there is none.
    pub hash: Hash,
}

/// The latest packet of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its dedupe key.
    pub key: DedupeKey,
    /// SHA-256 of its text.
    pub text_digest: Hash,
}

/// A link between two ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLink {
    /// One id.
    pub user: UserId,
    /// The other.
    pub alias: UserId,
    /// From when on it is known.
    pub recorded_at: RecordedAt,
    /// From when on it counts as taken back, if it was.
    pub withdrawn_at: Option<RecordedAt>,
}

impl RecordedLink {
    /// Whether it counts in what is judged by the knowledge of `known_at` (`None`: all that is recorded).
    pub fn is_known_at(&self, known_at: Option<RecordedAt>) -> bool {
        is_known_at(self.recorded_at, self.withdrawn_at, known_at)
    }
}

/// Rules and from when on they were in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRules {
    /// The entry that recorded them.
    pub position: Position,
    /// From when on they are known.
    pub recorded_at: RecordedAt,
    /// What they say.
    pub rules: Arc<Rules>,
}

/// What [`Snapshot::segments_giving`] tells of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserGrants {
    /// The grants asked for, sorted, each with its segments.
    pub grants: Vec<(GrantId, Vec<Segment>)>,
    /// Whether the user holds or ever held a grant, also one that was not asked for.
    pub is_holder: bool,
}

/// What the events of a grant name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantNames {
    /// Everyone whom one of them names: nobody else can ever hold the grant.
    pub users: BTreeSet<UserId>,
    /// Every product that one of them names: the grant can give no other.
    pub products: BTreeSet<ProductName>,
}

/// A delivery in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The delivery.
    pub position: Position,
    /// Why.
    pub refusal: EntryRefusal,
    /// What became of it.
    pub settled: Settled,
}

/// What became of a parked delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is still parked.
    Open,
    /// A retry recorded it, at this entry.
    Retried(Position),
    /// A person discarded it, by this entry.
    Discarded(Position),
}

/// One reading of one file, known by what it begins with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub Hash);

/// A batch of lines that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchMark {
    /// How many lines.
    pub lines: u64,
    /// SHA-256 of these lines.
    pub digest: Hash,
    /// The receipts that were given, in an encoding of the caller's.
    pub receipts: Vec<u8>,
}

/// The figures of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Entries of the log.
    pub entries: u64,
    /// Deliveries received: applied + ignored + quarantined + repeated.
    pub received: u64,
    /// Deliveries that yielded events, those recorded by a retry included.
    pub applied: u64,
    /// Deliveries without effect on access, those recorded by a retry included.
    pub ignored: u64,
    /// Deliveries still or finally undecodable: parked or discarded; repetitions included.
    pub quarantined: u64,
    /// Repetitions of applied and ignored deliveries.
    pub duplicate: u64,
    /// Parked deliveries that are open.
    pub parked: u64,
    /// Events.
    pub events: u64,
    /// Grants with a projection.
    pub grants: u64,
    /// Windows.
    pub windows: u64,
    /// Anomalies.
    pub anomalies: u64,
    /// Bytes on disk (in memory: of bodies).
    pub bytes: u64,
}
