//! The store in memory: for tests, simulations and whoever keeps the log elsewhere. Nothing survives the process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use super::chain::Salts;
use super::{
    BatchMark, Entry, Hash, Packet, Parked, Projection, ProjectionSums, RunId, Snapshot, Store,
    StoreError, StoreReader, Transaction,
};
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::id::{DedupeKey, GrantId, GrantKey, Mention, Position, SourceName, UserId};
use crate::domain::time::RecordedAt;

mod read;
mod redact;
mod write;

/// A store in memory. A transaction waits for every read that is going on, and reads wait for it.
#[derive(Debug)]
pub struct MemoryStore {
    log: Arc<RwLock<Tables>>,
    salts: Salts,
}

impl MemoryStore {
    /// An empty store with unpredictable salts.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the operating system gives no randomness.
    pub fn new() -> Result<Self, StoreError> {
        Salts::unpredictable()
            .map(Self::with_salts)
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// An empty store with these salts.
    pub fn with_salts(salts: Salts) -> Self {
        Self {
            log: Arc::default(),
            salts,
        }
    }
}

impl Store for MemoryStore {
    type Reader = MemoryReader;

    fn reader(&self) -> Result<MemoryReader, StoreError> {
        Ok(MemoryReader {
            log: Arc::clone(&self.log),
        })
    }

    fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        // A writer that panicked has undone its work while it unwound: what the lock holds is whole.
        let mut tables = self.log.write().unwrap_or_else(PoisonError::into_inner);
        let mut session = write::Session::new(&mut tables, &self.salts);
        let result = work(&mut session);
        if result.is_ok() {
            session.keep();
        }
        result
    }
}

/// A handle on a [`MemoryStore`] that only reads.
#[derive(Debug)]
pub struct MemoryReader {
    log: Arc<RwLock<Tables>>,
}

impl StoreReader for MemoryReader {
    fn read<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, E>,
    ) -> Result<T, E> {
        let tables = self.log.read().unwrap_or_else(PoisonError::into_inner);
        work(&*tables)
    }
}

/// What makes a delivery the same as another.
type Key = (SourceName, DedupeKey);
/// Where an event stands: the entry and the place in it.
type Place = (Position, u32);

/// All that is kept. The log is the truth; what follows it down to `withdrawals` finds its events again.
#[derive(Default)]
struct Tables {
    /// The entry at position p stands at p - 1.
    log: Vec<(Entry, Vec<RecordedEvent>)>,
    holders: BTreeMap<Key, Position>,
    by_time: BTreeMap<RecordedAt, Position>,
    by_grant: BTreeMap<GrantId, BTreeSet<Place>>,
    by_parent: BTreeMap<GrantId, BTreeSet<(GrantId, Place)>>,
    by_user: BTreeMap<UserId, BTreeSet<Place>>,
    /// Each withdrawal of a key with the time it was recorded; the first counts.
    withdrawals: BTreeMap<Key, BTreeSet<RecordedAt>>,
    quarantine: BTreeMap<Position, Parked>,
    mentions: BTreeMap<Mention, BTreeSet<Position>>,
    packets: BTreeMap<(SourceName, GrantKey), Packet>,
    batches: BTreeMap<(RunId, u64), BatchMark>,
    former_keys: BTreeMap<Hash, String>,
    projections: BTreeMap<GrantId, Projection>,
    /// The grants some window of which is the user's.
    by_holder: BTreeMap<UserId, BTreeSet<GrantId>>,
}

/// Says how much there is, not what: bodies and ids do not belong into a log.
impl fmt::Debug for Tables {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tables")
            .field("entries", &self.log.len())
            .field("projections", &self.projections.len())
            .finish_non_exhaustive()
    }
}

impl Tables {
    /// Replaces what follows from the events of a grant; gives what did so before.
    fn set_projection(
        &mut self,
        grant: &GrantId,
        projection: Option<Projection>,
    ) -> Option<Projection> {
        let before = self.projections.remove(grant);
        for window in before.iter().flat_map(|it| &it.windows) {
            if let Some(grants) = self.by_holder.get_mut(&window.user) {
                grants.remove(grant);
            }
        }
        if let Some(projection) = projection {
            for window in &projection.windows {
                let grants = self.by_holder.entry(window.user.clone()).or_default();
                grants.insert(grant.clone());
            }
            self.projections.insert(grant.clone(), projection);
        }
        before
    }

    /// Adds the projection of every grant. None is kept of any other.
    fn sum(&self, sums: &mut ProjectionSums) {
        for (grant, places) in &self.by_grant {
            let events = events_at(self, places);
            let users = events.iter().flat_map(|it| it.event.statement.users());
            let users: BTreeSet<UserId> = users.cloned().collect();
            sums.add(grant, &users, self.projections.get(grant));
        }
    }

    fn at(&self, position: Position) -> Option<&(Entry, Vec<RecordedEvent>)> {
        let index = usize::try_from(position.0).ok()?.checked_sub(1)?;
        self.log.get(index)
    }

    /// The event at a place, with what withdrawals make of it.
    fn event(&self, (position, index): Place) -> Option<RecordedEvent> {
        let (_, events) = self.at(position)?;
        let event = events.get(usize::try_from(index).ok()?)?;
        Some(self.judged(event))
    }

    /// Up to `limit` users after `after`, sorted, that some statement names which fits.
    fn named_after(
        &self,
        after: Option<&UserId>,
        limit: usize,
        fits: impl Fn(&Statement) -> bool,
    ) -> Vec<UserId> {
        let lower = after.map_or(Bound::Unbounded, Bound::Excluded);
        let users = self.by_user.range::<UserId, _>((lower, Bound::Unbounded));
        let named = users.filter(|(_, places)| {
            let mut events = places.iter().filter_map(|place| self.event(*place));
            events.any(|recorded| fits(&recorded.event.statement))
        });
        named.map(|(user, _)| user.clone()).take(limit).collect()
    }

    fn judged(&self, event: &RecordedEvent) -> RecordedEvent {
        let mut event = event.clone();
        event.withdrawn_at = match event.event.statement {
            Statement::Withdrawal { .. } => None,
            Statement::Grant(_) | Statement::User(_) | Statement::Link { .. } => {
                let key = (event.key.source.clone(), event.key.dedupe_key.clone());
                self.withdrawals
                    .get(&key)
                    .and_then(|times| times.first().copied())
            }
        };
        event
    }
}

/// The events that name a user, in the order they were recorded.
fn events_about(tables: &Tables, user: &UserId) -> Vec<RecordedEvent> {
    events_at(tables, tables.by_user.get(user).into_iter().flatten())
}

/// The events of some places, in the order they were recorded.
fn events_at<'a>(
    tables: &Tables,
    places: impl IntoIterator<Item = &'a Place>,
) -> Vec<RecordedEvent> {
    places
        .into_iter()
        .filter_map(|place| tables.event(*place))
        .collect()
}
