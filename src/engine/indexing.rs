//! The access index beside the store: filled from it, and brought up to date by every write before it is acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::facts::{linked_ids, person, rules_at};
use super::filling::{Portion, add_person, filled};
use super::people::CHUNK;
use super::reader::Reader;
use super::taking::concern;
use super::{Engine, EngineError};
use crate::domain::decision::VerdictWalk;
use crate::domain::event::{Event, Statement};
use crate::domain::id::{GrantId, Position, ProductName, UserId};
use crate::domain::rules::Rules;
use crate::index::{AccessIndex, Filling, Prepared};
use crate::store::{EntryKind, GrantNames, Snapshot, Store, StoreError, StoreReader, Transaction};

/// A store, and the index that follows it if there is one.
#[derive(Debug)]
pub(super) struct IndexedStore<S> {
    pub(super) store: S,
    index: Option<Arc<AccessIndex>>,
}

/// What an index has to learn to know the log up to a position.
enum News {
    /// Nothing was recorded.
    Nothing,
    /// These users' access may be another.
    OfUsers(Prepared, Position),
    /// Everybody's may be.
    OfAll(Box<Filling>, Position),
}

impl<S: Store> IndexedStore<S> {
    pub(super) fn new(store: S) -> Self {
        Self { store, index: None }
    }

    pub(super) fn reader(&self) -> Result<S::Reader, StoreError> {
        self.store.reader()
    }

    pub(super) fn wipe_erased(&mut self) -> Result<(), StoreError> {
        self.store.wipe_erased()
    }

    /// Works in one transaction. When this returns, the index knows what was recorded, by whomever.
    ///
    /// What the index has to learn is read in the transaction itself. If it is not known whether the commit succeeded, the
    /// index stays where it was, and learns at the next write what is there.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.write_telling(work, |snapshot, index| Ok(news(snapshot, index)?))
    }

    /// As [`IndexedStore::write`], where everything that follows from the log is made anew.
    pub(super) fn write_anew<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.write_telling(work, |snapshot, index| Ok(of_all(snapshot, index)?))
    }

    fn write_telling<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, EngineError>,
        news: impl FnOnce(&dyn Snapshot, &AccessIndex) -> Result<News, EngineError>,
    ) -> Result<T, EngineError> {
        let index = self.index.as_deref();
        let (done, told) = self.store.write(|transaction| {
            let done = work(transaction)?;
            let told = index.map(|index| news(&*transaction, index)).transpose()?;
            Ok::<_, EngineError>((done, told))
        })?;
        if let (Some(index), Some(told)) = (index, told) {
            told.tell(index);
        }
        Ok(done)
    }
}

impl<S: Store> Engine<S> {
    /// The access index of this engine, filled at the first call. From then on every delivery that is acknowledged is known to
    /// it, as is everything else the engine records.
    ///
    /// What another process records it learns with the next write of this one, or by [`Reader::renew_index`].
    ///
    /// ```
    /// use tenure::{Delivery, Engine, MemoryStore, Request, Secrets};
    ///
    /// let mut engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
    /// let index = engine.index()?;
    /// let body = br#"{"specversion":"1.0","id":"e1","source":"crm","type":"tenure.granted",
    ///     "time":"2026-01-01T00:00:00Z","subject":"u1",
    ///     "data":{"grant":"g1","product":"news","until":"2026-02-01T00:00:00Z"}}"#;
    /// let request = Request { body: body.to_vec(), ..Request::default() };
    /// engine.ingest(Delivery::trusted("cloudevents".parse()?, request), "2026-01-01T00:00:05Z".parse()?)?;
    ///
    /// let (user, resource) = ("u1".parse()?, "news".parse()?);
    /// let answer = index.answer(&user, &resource, "2026-01-15T00:00:00Z".parse()?);
    /// assert!(answer.is_allowed);
    /// assert_eq!(answer.until, Some("2026-02-01T00:00:00Z".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn index(&mut self) -> Result<Arc<AccessIndex>, EngineError> {
        if let Some(index) = &self.store.index {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(AccessIndex::new(&Rules::default()));
        let mut reader = self.reader()?;
        let told = reader.read(|snapshot| Ok(of_all(snapshot, &index)?))?;
        told.tell(&index);
        self.store.index = Some(Arc::clone(&index));
        Ok(index)
    }
}

impl<R: StoreReader> Reader<R> {
    /// Brings an index up to all that is recorded, as by other processes. Costs one look at the end of the log if nothing was.
    ///
    /// # Errors
    /// If the store cannot be read; the index stays as it was.
    pub fn renew_index(&mut self, index: &AccessIndex) -> Result<(), EngineError> {
        let told = self.read(|snapshot| Ok(news(snapshot, index)?))?;
        told.tell(index);
        Ok(())
    }
}

impl News {
    fn tell(self, index: &AccessIndex) {
        match self {
            Self::Nothing => {}
            Self::OfUsers(users, position) => index.replace(&users, position),
            Self::OfAll(filling, position) => index.take_over(*filling, position),
        }
    }
}

/// Everything the index has to know, as if it knew nothing.
fn of_all(snapshot: &dyn Snapshot, index: &AccessIndex) -> Result<News, StoreError> {
    let rules = rules_at(&snapshot.rules()?, None);
    let position = snapshot.head()?.position;
    // A grant mostly gives one user one product.
    let expected = snapshot.statistics()?.grants;
    let begin = || index.begin_anew(&rules, expected);
    let filling = filled(index, begin, |portion, tell| {
        everybody(snapshot, &rules, portion, tell)
    })?;
    Ok(News::OfAll(Box::new(filling), position))
}

/// Tells of everybody, a few at a time.
fn everybody(
    snapshot: &dyn Snapshot,
    rules: &Rules,
    mut portion: Portion,
    tell: &mut dyn FnMut(Portion) -> Portion,
) -> Result<(), StoreError> {
    let mut after: Option<UserId> = None;
    loop {
        let listed = &mut portion.listed;
        snapshot.list_segments_after(after.as_ref(), CHUNK, listed)?;
        let Some(last) = listed.last().cloned() else {
            break;
        };
        for user in listed.users_mut() {
            user.is_linked = !snapshot.links(&user.id)?.is_empty();
            if user.is_linked {
                let person = person(snapshot, &user.id, rules, None)?;
                portion.others.push((user.id.clone(), person));
            } else if !user.is_named {
                user.is_named = snapshot.is_named(&user.id, None)?;
            }
        }
        portion = tell(portion);
        after = Some(last);
    }
    // Those that no event of a grant names have what is theirs by a link, or no access, but are known.
    for others in [Snapshot::linked_after, Snapshot::users_stated_after] {
        let mut users = others(snapshot, None, CHUNK)?;
        while let Some(last) = users.last().cloned() {
            for user in users {
                let person = person(snapshot, &user, rules, None)?;
                portion.others.push((user, person));
            }
            portion = tell(portion);
            users = others(snapshot, Some(&last), CHUNK)?;
        }
    }
    Ok(())
}

/// What was recorded that the index does not know.
fn news(snapshot: &dyn Snapshot, index: &AccessIndex) -> Result<News, StoreError> {
    let head = snapshot.head()?.position;
    let mut known = index.position();
    if head == known {
        return Ok(News::Nothing);
    }
    let mut events: Vec<Event> = Vec::new();
    while known < head {
        let entries = snapshot.entries_after(known, CHUNK)?;
        let Some(last) = entries.last().map(|entry| entry.position) else {
            break;
        };
        for entry in entries {
            match entry.fact.kind {
                // Rules alter what everybody's products include; after an erasure nobody knows whose access it was.
                EntryKind::Rules | EntryKind::Erasure => return of_all(snapshot, index),
                EntryKind::Delivery | EntryKind::Retry if entry.events > 0 => {
                    let recorded = snapshot.events_of(entry.position)?;
                    events.extend(recorded.into_iter().map(|it| it.event));
                }
                EntryKind::Delivery | EntryKind::Retry | EntryKind::Discard => {}
            }
        }
        known = last;
    }
    let mut users = index.prepared();
    Concerned::by(snapshot, &events)?.prepare(snapshot, &mut users)?;
    Ok(News::OfUsers(users, head))
}

/// Whose access the events may have altered.
#[derive(Default)]
struct Concerned {
    users: BTreeSet<UserId>,
    /// Links that no longer hold: what one id had the other had.
    parted: Vec<[UserId; 2]>,
    /// What the events of the grants name that were looked at.
    names: BTreeMap<GrantId, GrantNames>,
}

impl Concerned {
    fn by(snapshot: &dyn Snapshot, events: &[Event]) -> Result<Self, StoreError> {
        let mut concerned = Self::default();
        for event in events {
            if let Statement::Withdrawal { source, key } = &event.statement
                && let Some(position) = snapshot.key_holder(source, key)?
            {
                for taken_back in snapshot.events_of(position)? {
                    concerned.add(&taken_back.event.statement);
                }
            }
            concerned.add(&event.statement);
        }
        let mut grants: BTreeSet<GrantId> = BTreeSet::new();
        concern(snapshot, events, &mut grants)?;
        for grant in grants.clone() {
            grants.extend(snapshot.children(&grant)?);
        }
        for grant in &grants {
            let names = snapshot.names_of(grant)?;
            concerned.users.extend(names.users.iter().cloned());
            concerned.names.insert(grant.clone(), names);
        }
        Ok(concerned)
    }

    fn add(&mut self, statement: &Statement) {
        self.users.extend(statement.users().into_iter().cloned());
        if let Statement::Link { user, alias } = statement {
            self.parted.push([user.clone(), alias.clone()]);
        }
    }

    /// Of all these users, and all linked to them now or before.
    fn prepare(self, snapshot: &dyn Snapshot, prepared: &mut Prepared) -> Result<(), StoreError> {
        let rules = rules_at(&snapshot.rules()?, None);
        let mut walk = VerdictWalk::default();
        let mut found: BTreeSet<UserId> = BTreeSet::new();
        for user in &self.users {
            if found.contains(user) {
                continue;
            }
            let everybody = self.ever_linked(snapshot, user)?;
            let products = self.products_named(snapshot, &everybody)?;
            for id in everybody {
                let person = person(snapshot, &id, &rules, None)?;
                add_person(prepared, &mut walk, &id, &person, &products);
                found.insert(id);
            }
        }
        Ok(())
    }

    /// The id, all that are linked to it, and all that were before the events.
    fn ever_linked(
        &self,
        snapshot: &dyn Snapshot,
        user: &UserId,
    ) -> Result<BTreeSet<UserId>, StoreError> {
        let mut ids = linked_ids(snapshot, user, None)?;
        loop {
            let parted = self.parted.iter().find_map(|[one, other]| {
                match (ids.contains(one), ids.contains(other)) {
                    (true, false) => Some(other),
                    (false, true) => Some(one),
                    (true, true) | (false, false) => None,
                }
            });
            match parted {
                Some(id) => ids.extend(linked_ids(snapshot, id, None)?),
                None => return Ok(ids),
            }
        }
    }

    /// Every product that a grant which names one of the users may ever have given.
    fn products_named(
        &self,
        snapshot: &dyn Snapshot,
        users: &BTreeSet<UserId>,
    ) -> Result<BTreeSet<ProductName>, StoreError> {
        let mut products = BTreeSet::new();
        for user in users {
            for grant in snapshot.grants_naming(user)? {
                match self.names.get(&grant) {
                    Some(names) => products.extend(names.products.iter().cloned()),
                    None => products.extend(snapshot.names_of(&grant)?.products),
                }
            }
        }
        Ok(products)
    }
}
