//! What a transaction writes to memory, and how it is undone.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::sync::Arc;

use super::{Place, Tables};
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::id::{
    DedupeKey, GrantId, GrantKey, Mention, Position, ProductName, SourceName, UserId,
};
use crate::domain::time::{Instant, RecordedAt};
use crate::domain::window::{Segment, Window};
use crate::store::chain::{self, Salts};
use crate::store::{
    BatchMark, EachGrant, Entry, EntryFilter, FormerKey, GrantNames, Hash, Head, NewEntry, Order,
    Packet, Parked, Projected, Projection, ProjectionSums, RecordedAnomaly, RecordedLink,
    RecordedRules, Redaction, RunId, Settled, Snapshot, Statistics, StoreError, Transaction,
    append,
};

/// Takes one change back.
type Undo = Box<dyn FnOnce(&mut Tables)>;

/// A transaction. Dropped without [`Session::keep`], by an error or a panic, it takes all its changes back.
pub(super) struct Session<'t> {
    pub(super) tables: &'t mut Tables,
    pub(super) salts: &'t Salts,
    undo: Vec<Undo>,
}

impl<'t> Session<'t> {
    pub(super) fn new(tables: &'t mut Tables, salts: &'t Salts) -> Self {
        Self {
            tables,
            salts,
            undo: Vec::new(),
        }
    }

    /// The changes stay.
    pub(super) fn keep(&mut self) {
        self.undo.clear();
    }

    pub(super) fn undo_by(&mut self, undo: impl FnOnce(&mut Tables) + 'static) {
        self.undo.push(Box::new(undo));
    }

    /// Makes a parked delivery findable by what it mentions.
    fn mention(&mut self, position: Position, mentions: Vec<Mention>) {
        for mention in &mentions {
            let positions = self.tables.mentions.entry(mention.clone()).or_default();
            positions.insert(position);
        }
        self.undo_by(move |tables| {
            for mention in &mentions {
                remove_from(&mut tables.mentions, mention, |positions| {
                    positions.remove(&position);
                    positions.is_empty()
                });
            }
        });
    }

    /// Makes an event findable by whatever it names.
    fn index(&mut self, recorded: &RecordedEvent) {
        index(self.tables, recorded);
    }
}

/// Makes an event findable by whatever it names.
pub(super) fn index(tables: &mut Tables, recorded: &RecordedEvent) {
    let place: Place = (recorded.position, recorded.key.index);
    let statement = &recorded.event.statement;
    for user in statement.users() {
        tables
            .by_user
            .entry(user.clone())
            .or_default()
            .insert(place);
    }
    match statement {
        Statement::Grant(statement) => {
            let grant = statement.grant.clone();
            if let Some(parent) = parent(recorded) {
                let child = (grant.clone(), place);
                tables.by_parent.entry(parent).or_default().insert(child);
            }
            tables.by_grant.entry(grant).or_default().insert(place);
        }
        Statement::Withdrawal { source, key } => {
            let key = (source.clone(), key.clone());
            let times = tables.withdrawals.entry(key).or_default();
            times.insert(recorded.recorded_at);
        }
        Statement::User(_) | Statement::Link { .. } => {}
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        while let Some(undo) = self.undo.pop() {
            undo(self.tables);
        }
    }
}

fn parent(recorded: &RecordedEvent) -> Option<GrantId> {
    match &recorded.event.statement {
        Statement::Grant(statement) => statement.parent_grant(),
        Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => None,
    }
}

/// The reverse of [`index`].
pub(super) fn forget(tables: &mut Tables, recorded: &RecordedEvent) {
    let place: Place = (recorded.position, recorded.key.index);
    let statement = &recorded.event.statement;
    for user in statement.users() {
        remove_from(&mut tables.by_user, user, |places| {
            places.remove(&place);
            places.is_empty()
        });
    }
    match statement {
        Statement::Grant(statement) => {
            remove_from(&mut tables.by_grant, &statement.grant, |places| {
                places.remove(&place);
                places.is_empty()
            });
            if let Some(parent) = parent(recorded) {
                remove_from(&mut tables.by_parent, &parent, |children| {
                    children.remove(&(statement.grant.clone(), place));
                    children.is_empty()
                });
            }
        }
        Statement::Withdrawal { source, key } => {
            let key = (source.clone(), key.clone());
            remove_from(&mut tables.withdrawals, &key, |times| {
                times.remove(&recorded.recorded_at);
                times.is_empty()
            });
        }
        Statement::User(_) | Statement::Link { .. } => {}
    }
}

/// Removes something from the set of a key, and the key with its last.
fn remove_from<K: Ord + Clone, V>(
    sets: &mut BTreeMap<K, V>,
    key: &K,
    remove: impl FnOnce(&mut V) -> bool,
) {
    if let Slot::Occupied(mut slot) = sets.entry(key.clone())
        && remove(slot.get_mut())
    {
        slot.remove();
    }
}

/// Puts back what a key had before a change.
fn restore<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(before) => map.insert(key, before),
        None => map.remove(&key),
    };
}

fn forget_last_entry(tables: &mut Tables) {
    let Some((entry, events)) = tables.log.pop() else {
        return;
    };
    for event in events.iter().rev() {
        forget(tables, event);
    }
    tables.by_time.remove(&entry.fact.recorded_at);
    tables.quarantine.remove(&entry.position);
    let key = (entry.fact.source, entry.fact.dedupe_key);
    if tables.holders.get(&key) == Some(&entry.position) {
        tables.holders.remove(&key);
    }
}

impl Transaction for Session<'_> {
    fn append(&mut self, mut fact: NewEntry) -> Result<Position, StoreError> {
        let head = self.tables.head()?;
        append::check(&fact, &head)?;
        let key = (fact.source.clone(), fact.dedupe_key.clone());
        let holds_its_key = fact.outcome.holds_its_key();
        if holds_its_key && self.tables.holders.contains_key(&key) {
            return Err(StoreError::KeyHeld);
        }
        let position = Position(head.position.0.saturating_add(1));
        let events = std::mem::take(&mut fact.events);
        let mentions = std::mem::take(&mut fact.mentions);
        let salt = self.salts.salt(position, head.hash);
        let digest = chain::digest(&fact, &events, &salt);
        let hash = chain::hash(head.hash, position, &fact, digest);
        let events = append::recorded(&fact, events, position)?;
        for event in &events {
            self.index(event);
        }
        if holds_its_key {
            self.tables.holders.insert(key, position);
        }
        if let Some(refusal) = fact.refusal.clone()
            && append::is_parked(&fact)
        {
            let parked = Parked {
                position,
                refusal,
                settled: Settled::Open,
            };
            self.tables.quarantine.insert(position, parked);
            self.mention(position, mentions);
        }
        self.tables.by_time.insert(fact.recorded_at, position);
        let entry = Entry {
            position,
            fact,
            events: u32::try_from(events.len()).unwrap_or(u32::MAX),
            repetitions: 0,
            salt,
            digest,
            hash,
            erased_by: None,
        };
        self.tables.log.push((entry, events));
        self.undo_by(forget_last_entry);
        Ok(position)
    }

    fn count_repetition(&mut self, position: Position) -> Result<(), StoreError> {
        let step = move |tables: &mut Tables, change: fn(u64, u64) -> u64| {
            let index = usize::try_from(position.0)
                .ok()
                .and_then(|at| at.checked_sub(1));
            if let Some((entry, _)) = index.and_then(|index| tables.log.get_mut(index)) {
                entry.repetitions = change(entry.repetitions, 1);
            }
        };
        step(self.tables, u64::saturating_add);
        self.undo_by(move |tables| step(tables, u64::saturating_sub));
        Ok(())
    }

    fn remember_packet(
        &mut self,
        source: &SourceName,
        grant: &GrantKey,
        packet: &Packet,
    ) -> Result<(), StoreError> {
        let key = (source.clone(), grant.clone());
        let before = self.tables.packets.insert(key.clone(), packet.clone());
        self.undo_by(move |tables| restore(&mut tables.packets, key, before));
        Ok(())
    }

    fn settle(&mut self, position: Position, settled: &Settled) -> Result<(), StoreError> {
        if let Some(parked) = self.tables.quarantine.get_mut(&position) {
            let before = std::mem::replace(&mut parked.settled, *settled);
            self.undo_by(move |tables| {
                if let Some(parked) = tables.quarantine.get_mut(&position) {
                    parked.settled = before;
                }
            });
        }
        Ok(())
    }

    fn project(
        &mut self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<(), StoreError> {
        let grant = grant.clone();
        let before = self.tables.set_projection(&grant, projection.cloned());
        self.undo_by(move |tables| {
            tables.set_projection(&grant, before);
        });
        Ok(())
    }

    fn project_after(
        &mut self,
        grant: &GrantId,
        _before: &[Window],
        projection: &Projection,
    ) -> Result<(), StoreError> {
        self.project(grant, Some(projection))
    }

    fn mend(
        &mut self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<bool, StoreError> {
        let differs = self.tables.projections.get(grant) != projection;
        if differs {
            self.project(grant, projection)?;
        }
        Ok(differs)
    }

    fn count_anew(&mut self) -> Result<Projected, StoreError> {
        let mut projected = Projected::default();
        let projections = self.tables.projections.values();
        projections.for_each(|it| projected.add(it));
        Ok(projected)
    }

    fn clear_projections(&mut self) -> Result<(), StoreError> {
        let projections = std::mem::take(&mut self.tables.projections);
        let by_holder = std::mem::take(&mut self.tables.by_holder);
        self.undo_by(move |tables| {
            tables.projections = projections;
            tables.by_holder = by_holder;
        });
        Ok(())
    }

    fn mark_batch(&mut self, run: &RunId, batch: u64, mark: &BatchMark) -> Result<(), StoreError> {
        let key = (run.clone(), batch);
        let before = self.tables.batches.insert(key.clone(), mark.clone());
        self.undo_by(move |tables| restore(&mut tables.batches, key, before));
        Ok(())
    }

    fn finish_run(&mut self, run: &RunId) -> Result<(), StoreError> {
        let before = self.tables.batches.clone();
        self.tables.batches.retain(|(of, _), _| of != run);
        self.undo_by(move |tables| tables.batches = before);
        Ok(())
    }

    fn redact(&mut self, redaction: &Redaction) -> Result<Hash, StoreError> {
        self.redact_entry(redaction)
    }

    fn note_erased(&mut self, position: Position) -> Result<(), StoreError> {
        self.set_erased_by(position, Some(position));
        self.undo_by(move |tables| {
            if let Some((entry, _)) = tables.at_mut(position) {
                entry.erased_by = None;
            }
        });
        Ok(())
    }

    fn remember_former_key(&mut self, key: &FormerKey) -> Result<(), StoreError> {
        let (digest, now) = (key.digest, key.now.clone());
        let before = self.tables.former_keys.insert(digest, now);
        self.undo_by(move |tables| restore(&mut tables.former_keys, digest, before));
        Ok(())
    }

    fn forget_packet(&mut self, grant: &GrantId) -> Result<(), StoreError> {
        let key = (grant.source.clone(), grant.key.clone());
        let before = self.tables.packets.remove(&key);
        self.undo_by(move |tables| restore(&mut tables.packets, key, before));
        Ok(())
    }

    fn forget_receipts(&mut self, hold: &dyn Fn(&[u8]) -> bool) -> Result<(), StoreError> {
        let before = self.tables.batches.clone();
        let batches = &mut self.tables.batches;
        batches.retain(|_, mark| !hold(&mark.receipts));
        self.undo_by(move |tables| tables.batches = before);
        Ok(())
    }

    fn draw(&self, number: u64) -> Result<[u8; 16], StoreError> {
        Ok(self.salts.draw(number, self.tables.head()?.hash))
    }
}

/// Reads in a transaction are reads of the tables as they are by now.
macro_rules! read_the_tables {
    ($(fn $method:ident($($name:ident: $kind:ty),*) -> $result:ty;)*) => {
        $(fn $method(&self, $($name: $kind),*) -> Result<$result, StoreError> {
            self.tables.$method($($name),*)
        })*
    };
}

impl Snapshot for Session<'_> {
    read_the_tables! {
        fn head() -> Head;
        fn position_at(known_at: RecordedAt) -> Position;
        fn entry(position: Position) -> Option<Entry>;
        fn entries_after(after: Position, limit: usize) -> Vec<Entry>;
        fn entries_before(before: Option<Position>, filter: &EntryFilter, limit: usize) -> Vec<Entry>;
        fn events_of(position: Position) -> Vec<RecordedEvent>;
        fn key_holder(source: &SourceName, key: &DedupeKey) -> Option<Position>;
        fn parked_with_key(source: &SourceName, key: &DedupeKey) -> Vec<Parked>;
        fn latest_packet(source: &SourceName, grant: &GrantKey) -> Option<Packet>;
        fn grant_events_after(grant: &GrantId, after: Position) -> Vec<RecordedEvent>;
        fn each_grant(order: Order, each: &mut EachGrant<'_>) -> ();
        fn user_events(source: &SourceName, user: &UserId) -> Vec<RecordedEvent>;
        fn grants_naming(user: &UserId) -> Vec<GrantId>;
        fn names_of(grant: &GrantId) -> GrantNames;
        fn children(parent: &GrantId) -> Vec<GrantId>;
        fn grants_after(after: Option<&GrantId>, limit: usize) -> Vec<GrantId>;
        fn users_after(after: Option<&UserId>, limit: usize) -> Vec<UserId>;
        fn linked_after(after: Option<&UserId>, limit: usize) -> Vec<UserId>;
        fn users_stated_after(after: Option<&UserId>, limit: usize) -> Vec<UserId>;
        fn holders_after(after: Option<&UserId>, products: &BTreeSet<ProductName>, at: Instant, limit: usize) -> Vec<UserId>;
        fn window_bounds_after(at: Instant, after: Option<&UserId>, before: Instant, limit: usize) -> Vec<(Instant, UserId)>;
        fn count_users() -> u64;
        fn links(user: &UserId) -> Vec<RecordedLink>;
        fn is_named(user: &UserId, known_at: Option<RecordedAt>) -> bool;
        fn rules() -> Arc<[RecordedRules]>;
        fn projection(grant: &GrantId) -> Option<Projection>;
        fn segments_naming(user: &UserId) -> Vec<(GrantId, Vec<Segment>)>;
        fn windows_of(user: &UserId) -> Vec<(GrantId, Window)>;
        fn projected_after(after: Option<&GrantId>, limit: usize) -> Vec<GrantId>;
        fn sum_projections(sums: &mut ProjectionSums) -> ();
        fn anomalies_after(after: Option<&RecordedAnomaly>, limit: usize) -> Vec<RecordedAnomaly>;
        fn parked_after(after: Position, limit: usize) -> Vec<Parked>;
        fn parked_mentioning(mention: &Mention) -> Vec<Position>;
        fn parked(position: Position) -> Option<Parked>;
        fn erasures() -> Vec<Entry>;
        fn count_erased() -> u64;
        fn former_key(digest: &Hash) -> Option<String>;
        fn former_keys() -> Vec<FormerKey>;
        fn packets_after(after: Option<&GrantId>, limit: usize) -> Vec<(GrantId, Packet)>;
        fn batch(run: &RunId, batch: u64) -> Option<BatchMark>;
        fn contradiction() -> Option<String>;
        fn statistics() -> Statistics;
    }
}
