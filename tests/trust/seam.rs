//! A store that does something wrong on purpose: it stands between the engine and the real one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tenure::store::{
    BatchMark, EachGrant, FormerKey, Head, NewEntry, Order, Packet, Projected, Projection,
    ProjectionSums, RecordedAnomaly, RecordedLink, RecordedRules, Redaction, Snapshot, Transaction,
    UserGrants,
};
use tenure::{
    DedupeKey, Entry, EntryFilter, GrantId, GrantKey, Hash, Instant, Mention, Parked, Position,
    ProductName, RecordedAt, RecordedEvent, RunId, Segment, Settled, SourceName, Statistics, Store,
    StoreError, StoreReader, UserId, Window,
};

/// What is altered on the way; nothing, in [`SOUND`].
#[derive(Clone, Copy)]
pub(crate) struct Seam {
    /// An entry on its way into the log.
    pub(crate) append: fn(&mut NewEntry),
    /// What follows from the events of a grant, on its way into the store.
    pub(crate) project: fn(&mut Projection),
    /// What readers are given.
    pub(crate) segments: fn(&mut Vec<(GrantId, Vec<Segment>)>),
    pub(crate) windows: fn(&mut Vec<(GrantId, Window)>),
    pub(crate) events: fn(&mut Vec<RecordedEvent>),
}

pub(crate) const SOUND: Seam = Seam {
    append: |_| {},
    project: |_| {},
    segments: |_| {},
    windows: |_| {},
    events: |_| {},
};

/// What befalls the next transaction that writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<AtomicU8>);

/// The transaction fails before its commit.
pub(crate) const UNDONE: u8 = 1;
/// It is committed, and the caller is told that it failed.
pub(crate) const UNANSWERED: u8 = 2;
/// It is undone, and the caller is told that it is in: a bug to be caught.
pub(crate) const BELIEVED: u8 = 3;

impl Trouble {
    pub(crate) fn comes(&self, trouble: u8) {
        self.0.store(trouble, Ordering::Relaxed);
    }
}

pub(crate) struct SeamStore<S> {
    pub(crate) store: S,
    pub(crate) seam: Seam,
    pub(crate) trouble: Trouble,
}

pub(crate) struct SeamReader<R> {
    reader: R,
    seam: Seam,
}

impl<S: Store> Store for SeamStore<S> {
    type Reader = SeamReader<S::Reader>;

    fn reader(&self) -> Result<Self::Reader, StoreError> {
        let (reader, seam) = (self.store.reader()?, self.seam);
        Ok(SeamReader { reader, seam })
    }

    fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let seam = self.seam;
        let trouble = self.trouble.0.swap(0, Ordering::Relaxed);
        let mut believed = None;
        let written = self.store.write(|transaction| {
            let done = work(&mut Altered {
                inner: transaction,
                seam,
            })?;
            match trouble {
                UNDONE => Err(E::from(failed())),
                BELIEVED => {
                    believed = Some(done);
                    Err(E::from(failed()))
                }
                _ => Ok(done),
            }
        });
        match (believed, trouble) {
            (Some(done), _) => Ok(done),
            (None, UNANSWERED) => written.and(Err(E::from(failed()))),
            (None, _) => written,
        }
    }
}

fn failed() -> StoreError {
    StoreError::Unavailable("the harness let it fail".to_owned())
}

impl<R: StoreReader> StoreReader for SeamReader<R> {
    fn read<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, E>,
    ) -> Result<T, E> {
        let seam = self.seam;
        self.reader.read(|inner| work(&Seen { inner, seam }))
    }
}

struct Seen<'a> {
    inner: &'a dyn Snapshot,
    seam: Seam,
}

/// What a transaction reads is not altered, only what it writes.
struct Altered<'a> {
    inner: &'a mut dyn Transaction,
    seam: Seam,
}

macro_rules! forwarded {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $found:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> Result<$found, StoreError> {
            self.inner.$name($($argument),*)
        })*
    };
}

macro_rules! snapshot {
    ($of:ident { $($own:tt)* }) => {
        impl Snapshot for $of<'_> {
            forwarded! {
                fn head() -> Head;
                fn position_at(known_at: RecordedAt) -> Position;
                fn entry(position: Position) -> Option<Entry>;
                fn entries_after(after: Position, limit: usize) -> Vec<Entry>;
                fn entries_before(before: Option<Position>, filter: &EntryFilter, limit: usize) -> Vec<Entry>;
                fn events_of(position: Position) -> Vec<RecordedEvent>;
                fn key_holder(source: &SourceName, key: &DedupeKey) -> Option<Position>;
                fn parked_with_key(source: &SourceName, key: &DedupeKey) -> Vec<Parked>;
                fn latest_packet(source: &SourceName, grant: &GrantKey) -> Option<Packet>;
                fn grants_naming(user: &UserId) -> Vec<GrantId>;
        fn children(parent: &GrantId) -> Vec<GrantId>;
                fn grants_after(after: Option<&GrantId>, limit: usize) -> Vec<GrantId>;
                fn users_after(after: Option<&UserId>, limit: usize) -> Vec<UserId>;
                fn linked_after(after: Option<&UserId>, limit: usize) -> Vec<UserId>;
                fn users_stated_after(after: Option<&UserId>, limit: usize) -> Vec<UserId>;
                fn holders_after(after: Option<&UserId>, products: &BTreeSet<ProductName>, at: Instant, limit: usize) -> Vec<UserId>;
                fn window_bounds_after(at: Instant, after: Option<&UserId>, before: Instant, limit: usize) -> Vec<(Instant, UserId)>;
                fn parked_mentioning(mention: &Mention) -> Vec<Position>;
                fn count_users() -> u64;
                fn links(user: &UserId) -> Vec<RecordedLink>;
                fn is_named(user: &UserId, known_at: Option<RecordedAt>) -> bool;
                fn rules() -> Arc<[RecordedRules]>;
                fn projection(grant: &GrantId) -> Option<Projection>;
                fn projected_after(after: Option<&GrantId>, limit: usize) -> Vec<GrantId>;
                fn sum_projections(sums: &mut ProjectionSums) -> ();
                fn anomalies_after(after: Option<&RecordedAnomaly>, limit: usize) -> Vec<RecordedAnomaly>;
                fn parked_after(after: Position, limit: usize) -> Vec<Parked>;
                fn parked(position: Position) -> Option<Parked>;
                fn batch(run: &RunId, batch: u64) -> Option<BatchMark>;
                fn erasures() -> Vec<Entry>;
                fn count_erased() -> u64;
                fn former_key(digest: &Hash) -> Option<String>;
                fn former_keys() -> Vec<FormerKey>;
                fn packets_after(after: Option<&GrantId>, limit: usize) -> Vec<(GrantId, Packet)>;
                fn contradiction() -> Option<String>;
                fn statistics() -> Statistics;
            }
            $($own)*
        }
    };
}

snapshot!(Altered {
    forwarded! {
        fn grant_events_after(grant: &GrantId, after: Position) -> Vec<RecordedEvent>;
        fn each_grant(order: Order, each: &mut EachGrant<'_>) -> ();
        fn user_events(source: &SourceName, user: &UserId) -> Vec<RecordedEvent>;
        fn segments_naming(user: &UserId) -> Vec<(GrantId, Vec<Segment>)>;
        fn segments_giving(user: &UserId, is_asked_for: &dyn Fn(&str) -> bool) -> UserGrants;
        fn windows_of(user: &UserId) -> Vec<(GrantId, Window)>;
    }
});

snapshot!(Seen {
    fn grant_events_after(&self, grant: &GrantId, after: Position) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut events = self.inner.grant_events_after(grant, after)?;
        (self.seam.events)(&mut events);
        Ok(events)
    }
    fn each_grant(&self, order: Order, each: &mut EachGrant<'_>) -> Result<(), StoreError> {
        self.inner.each_grant(order, &mut |grant, events| {
            (self.seam.events)(events);
            each(grant, events)
        })
    }
    fn user_events(&self, source: &SourceName, user: &UserId) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut events = self.inner.user_events(source, user)?;
        (self.seam.events)(&mut events);
        Ok(events)
    }
    fn segments_naming(&self, user: &UserId) -> Result<Vec<(GrantId, Vec<Segment>)>, StoreError> {
        let mut segments = self.inner.segments_naming(user)?;
        (self.seam.segments)(&mut segments);
        Ok(segments)
    }
    fn segments_giving(&self, user: &UserId, is_asked_for: &dyn Fn(&str) -> bool) -> Result<UserGrants, StoreError> {
        let mut found = self.inner.segments_giving(user, is_asked_for)?;
        (self.seam.segments)(&mut found.grants);
        Ok(found)
    }
    fn windows_of(&self, user: &UserId) -> Result<Vec<(GrantId, Window)>, StoreError> {
        let mut windows = self.inner.windows_of(user)?;
        (self.seam.windows)(&mut windows);
        Ok(windows)
    }
});

impl Transaction for Altered<'_> {
    fn append(&mut self, mut entry: NewEntry) -> Result<Position, StoreError> {
        (self.seam.append)(&mut entry);
        self.inner.append(entry)
    }
    fn count_repetition(&mut self, position: Position) -> Result<(), StoreError> {
        self.inner.count_repetition(position)
    }
    fn remember_packet(
        &mut self,
        source: &SourceName,
        grant: &GrantKey,
        packet: &Packet,
    ) -> Result<(), StoreError> {
        self.inner.remember_packet(source, grant, packet)
    }
    fn settle(&mut self, position: Position, settled: &Settled) -> Result<(), StoreError> {
        self.inner.settle(position, settled)
    }
    fn project(
        &mut self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<(), StoreError> {
        let mut projection = projection.cloned();
        projection.iter_mut().for_each(self.seam.project);
        self.inner.project(grant, projection.as_ref())
    }
    fn project_after(
        &mut self,
        grant: &GrantId,
        before: &[Window],
        projection: &Projection,
    ) -> Result<(), StoreError> {
        let mut projection = projection.clone();
        (self.seam.project)(&mut projection);
        self.inner.project_after(grant, before, &projection)
    }
    fn mend(
        &mut self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<bool, StoreError> {
        let mut projection = projection.cloned();
        projection.iter_mut().for_each(self.seam.project);
        self.inner.mend(grant, projection.as_ref())
    }
    fn count_anew(&mut self) -> Result<Projected, StoreError> {
        self.inner.count_anew()
    }
    fn clear_projections(&mut self) -> Result<(), StoreError> {
        self.inner.clear_projections()
    }
    fn mark_batch(&mut self, run: &RunId, batch: u64, mark: &BatchMark) -> Result<(), StoreError> {
        self.inner.mark_batch(run, batch, mark)
    }
    fn finish_run(&mut self, run: &RunId) -> Result<(), StoreError> {
        self.inner.finish_run(run)
    }
    fn redact(&mut self, redaction: &Redaction) -> Result<Hash, StoreError> {
        self.inner.redact(redaction)
    }
    fn note_erased(&mut self, position: Position) -> Result<(), StoreError> {
        self.inner.note_erased(position)
    }
    fn remember_former_key(&mut self, key: &FormerKey) -> Result<(), StoreError> {
        self.inner.remember_former_key(key)
    }
    fn forget_packet(&mut self, grant: &GrantId) -> Result<(), StoreError> {
        self.inner.forget_packet(grant)
    }
    fn forget_receipts(&mut self, hold: &dyn Fn(&[u8]) -> bool) -> Result<(), StoreError> {
        self.inner.forget_receipts(hold)
    }
    fn draw(&self, number: u64) -> Result<[u8; 16], StoreError> {
        self.inner.draw(number)
    }
}
