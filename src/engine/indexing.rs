//! The access index beside the store: filled from it, and brought up to date by every write before it is acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::facts::{linked_ids, person, person_of, rules_at};
use super::filling::{People, filled};
use super::people::CHUNK;
use super::reader::Reader;
use super::taking::concern;
use super::{Engine, EngineError};
use crate::domain::decision::{Person, verdict_changes};
use crate::domain::event::{Event, Statement};
use crate::domain::id::{GrantId, Position, ProductName, UserId};
use crate::domain::rules::Rules;
use crate::domain::window::{Phase, Segment};
use crate::index::{AccessIndex, Filling, UserAccess};
use crate::store::{EntryKind, Snapshot, Store, StoreError, StoreReader, Transaction};

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
    OfUsers(Vec<(UserId, UserAccess)>, Position),
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
    let filling = filled(begin, |put| everybody(snapshot, &rules, put))?;
    Ok(News::OfAll(Box::new(filling), position))
}

/// Tells of everybody, a few at a time.
fn everybody(
    snapshot: &dyn Snapshot,
    rules: &Rules,
    put: &mut dyn FnMut(People),
) -> Result<(), StoreError> {
    let mut named = snapshot.segments_after(None, CHUNK)?;
    while let Some((last, _)) = named.last().cloned() {
        let people = named.into_iter().map(|(user, grants)| {
            let person = if snapshot.links(&user)?.is_empty() {
                let ids = BTreeSet::from([user.clone()]);
                person_of(snapshot, ids, grants, None)?
            } else {
                person(snapshot, &user, rules, None)?
            };
            Ok((user, person))
        });
        put(people.collect::<Result<_, StoreError>>()?);
        named = snapshot.segments_after(Some(&last), CHUNK)?;
    }
    // Those that no event of a grant names have what is theirs by a link, or no access, but are known.
    for others in [Snapshot::linked_after, Snapshot::users_stated_after] {
        let mut users = others(snapshot, None, CHUNK)?;
        while let Some(last) = users.last().cloned() {
            let people = users.into_iter().map(|user| {
                let person = person(snapshot, &user, rules, None)?;
                Ok((user, person))
            });
            put(people.collect::<Result<_, StoreError>>()?);
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
    let users = Concerned::by(snapshot, &events)?.access(snapshot)?;
    Ok(News::OfUsers(users, head))
}

/// Whose access the events may have altered.
#[derive(Default)]
struct Concerned {
    users: BTreeSet<UserId>,
    /// Links that no longer hold: what one id had the other had.
    parted: Vec<[UserId; 2]>,
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
            for recorded in snapshot.grant_events(grant)? {
                let users = recorded.event.statement.users();
                concerned.users.extend(users.into_iter().cloned());
            }
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
    fn access(self, snapshot: &dyn Snapshot) -> Result<Vec<(UserId, UserAccess)>, StoreError> {
        let rules = rules_at(&snapshot.rules()?, None);
        let mut found: BTreeMap<UserId, UserAccess> = BTreeMap::new();
        for user in &self.users {
            if found.contains_key(user) {
                continue;
            }
            let everybody = self.ever_linked(snapshot, user)?;
            let products = products_named(snapshot, &everybody)?;
            for id in everybody {
                let person = person(snapshot, &id, &rules, None)?;
                found.insert(id, access(&person, &products));
            }
        }
        Ok(found.into_iter().collect())
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
}

/// Every product that a grant which names one of the users may ever have given.
fn products_named(
    snapshot: &dyn Snapshot,
    users: &BTreeSet<UserId>,
) -> Result<BTreeSet<ProductName>, StoreError> {
    let mut products = BTreeSet::new();
    for user in users {
        for grant in snapshot.grants_naming(user)? {
            for recorded in snapshot.grant_events(&grant)? {
                if let Statement::Grant(statement) = &recorded.event.statement {
                    products.extend(statement.products().cloned());
                }
            }
        }
    }
    Ok(products)
}

/// Every product that one of the person's ids ever held.
pub(super) fn products_held(person: &Person) -> Vec<&ProductName> {
    let segments = person.grants.iter().flat_map(|(_, segments)| segments);
    let mut products: Vec<&ProductName> = Vec::with_capacity(person.grants.len());
    for product in segments.filter_map(|segment| held(segment, person)) {
        // Mostly that of the segment before.
        if products.last() != Some(&product) {
            products.push(product);
        }
    }
    products.sort_unstable();
    products.dedup();
    products
}

fn held<'a>(segment: &'a Segment, person: &Person) -> Option<&'a ProductName> {
    match &segment.phase {
        Phase::Live(live) if person.has_id(&live.user) => Some(&live.product),
        Phase::Live(_) | Phase::Over { .. } => None,
    }
}

pub(super) fn access<'a>(
    person: &Person,
    products: impl IntoIterator<Item = &'a ProductName>,
) -> UserAccess {
    let products = products.into_iter().map(|product| {
        let changes = verdict_changes(person, product);
        (product.clone(), changes)
    });
    UserAccess {
        is_named: person.is_named,
        products: products.collect(),
    }
}
