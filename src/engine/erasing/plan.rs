//! What an erasure would touch: which entries speak of a user, and which only hold the id somewhere.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use super::lines::WrittenEvent;
use super::record::Recorded;
use super::renaming::{Renaming, Scope};
use super::trace::Found;
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::id::{GrantId, Mention, Position, UserId};
use crate::domain::rules::Rules;
use crate::engine::facts::{linked_ids, rules_at};
use crate::engine::sources::source;
use crate::engine::{EngineError, Progress, Secrets};
use crate::provider::{Request, Verified};
use crate::store::{Entry, EntryKind, Settled, Snapshot, StoreError};

/// How many entries are held in memory at a time.
const CHUNK: usize = 1_000;

/// What an erasure of a user's personal data would touch, by what is recorded up to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasurePlan {
    /// Whose data.
    pub user: UserId,
    /// The entries of which nothing but the pseudonymous events is left.
    pub entries: BTreeSet<Position>,
    /// How many grants these are about.
    pub grants: u64,
    /// How many of these are deliveries that lie in quarantine and will be discarded.
    pub parked: u64,
    /// How many entries keep a word that reads like the id: it is too short to tell, or stands in what concerns others, as
    /// the key of a grant that this user never held, or in rules.
    pub left: u64,
    /// How many encrypted deliveries could not be opened, for want of their secret, and not be looked into.
    pub unopened: u64,
    /// The ids linked to this one: the same person's, and left as they are.
    pub linked: Vec<UserId>,
    /// The last entry that was looked at.
    pub until: Position,
}

impl ErasurePlan {
    /// Whether there is nothing to erase.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Walks through the whole log.
pub(super) fn plan(
    snapshot: &dyn Snapshot,
    secrets: &Secrets,
    user: &UserId,
    progress: &mut dyn FnMut(Progress),
) -> Result<ErasurePlan, EngineError> {
    let scope = Scope::of(snapshot, user)?;
    let rules = rules_at(&snapshot.rules()?, None);
    let mentioning = snapshot.parked_mentioning(&Mention::from(user))?;
    let mut looking = Looking {
        snapshot,
        secrets,
        rules: &rules,
        renaming: Renaming::probe(&scope)?,
        mentioning: mentioning.into_iter().collect(),
        chosen: BTreeMap::new(),
        left: 0,
        unopened: 0,
    };
    let until = snapshot.head()?.position;
    let mut after = Position::default();
    loop {
        let entries = snapshot.entries_after(after, CHUNK)?;
        let Some(last) = entries.last() else {
            break;
        };
        after = last.position;
        for entry in &entries {
            looking.look_at(entry)?;
        }
        progress(Progress {
            what: "entries",
            done: after.0,
            total: until.0,
        });
    }
    looking.choose_what_belongs_together()?;
    looking.plan(until)
}

struct Looking<'a> {
    snapshot: &'a dyn Snapshot,
    secrets: &'a Secrets,
    rules: &'a Rules,
    renaming: Renaming<'a>,
    /// The parked deliveries that mention the id.
    mentioning: BTreeSet<Position>,
    /// The entries to be erased, each with the delivery it speaks of.
    chosen: BTreeMap<Position, Option<Position>>,
    left: u64,
    unopened: u64,
}

impl Looking<'_> {
    fn look_at(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let events = self.snapshot.events_of(entry.position)?;
        if self.keeps_word(entry, &events)? {
            self.left += 1;
        }
        if self.mentioning.contains(&entry.position) || self.is_about_user(entry, &events)? {
            self.chosen.insert(entry.position, entry.fact.of);
            return Ok(());
        }
        match self.found_in(entry) {
            Found::Nothing => {}
            Found::Word => self.left += 1,
            Found::Id if entry.fact.kind == EntryKind::Rules => self.left += 1,
            Found::Id => {
                self.chosen.insert(entry.position, entry.fact.of);
            }
        }
        Ok(())
    }

    /// Whether the entry states something of the user, or anything it states holds the id.
    fn is_about_user(&self, entry: &Entry, events: &[RecordedEvent]) -> Result<bool, StoreError> {
        let fact = &entry.fact;
        let key = &fact.dedupe_key;
        for recorded in events {
            let is_about = self.renaming.scope.is_about(&recorded.event.statement);
            if is_about || self.renaming.event(self.snapshot, &recorded.event)? != recorded.event {
                return Ok(true);
            }
        }
        Ok(self.renaming.delivery(self.snapshot, &fact.source, key)? != *key)
    }

    /// Whether what is left of the entry says the id all the same: in the key of a grant of others, say.
    fn keeps_word(&self, entry: &Entry, events: &[RecordedEvent]) -> Result<bool, StoreError> {
        let fact = &entry.fact;
        let trace = &self.renaming.scope.trace;
        let name = fact.event_name.as_deref().unwrap_or_default();
        if trace.found_in(&fact.source, &[name.as_bytes()]) == Found::Id {
            return Ok(true);
        }
        for recorded in events {
            let event = self.renaming.event(self.snapshot, &recorded.event)?;
            let written = WrittenEvent::from(event);
            let damaged = |error| StoreError::Corrupt(format!("an event: {error}"));
            let text = serde_json::to_vec(&written).map_err(damaged)?;
            let source = written.source().unwrap_or(&fact.source);
            if trace.found_in(source, &[&text]) == Found::Id {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn found_in(&mut self, entry: &Entry) -> Found {
        let fact = &entry.fact;
        let trace = &self.renaming.scope.trace;
        let refusal = fact.refusal.as_ref();
        let texts = [
            fact.body.as_slice(),
            fact.headers.as_deref().unwrap_or_default().as_bytes(),
            fact.query.as_deref().unwrap_or_default().as_bytes(),
            refusal.map_or("", |it| &it.field).as_bytes(),
            refusal.map_or("", |it| &it.detail).as_bytes(),
        ];
        if fact.kind == EntryKind::Erasure {
            // What it lists is numbers and digests; what a person wrote is the rest.
            let said = Recorded::read(entry)
                .map(|it| it.said())
                .unwrap_or_default();
            return trace.found_in(&fact.source, &[said.as_bytes()]);
        }
        let found = trace.found_in(&fact.source, &texts);
        if found == Found::Id || fact.kind != EntryKind::Delivery {
            return found;
        }
        match self.opened(entry) {
            None => found,
            Some(Ok(text)) => match trace.found_in(&fact.source, &[&text]) {
                Found::Nothing => found,
                in_text @ (Found::Word | Found::Id) => in_text,
            },
            Some(Err(())) => {
                self.unopened += 1;
                found
            }
        }
    }

    /// The text of an encrypted delivery; `None` for one that is not encrypted.
    fn opened(&self, entry: &Entry) -> Option<Result<Vec<u8>, ()>> {
        let fact = &entry.fact;
        let headers = fact.headers.as_deref().unwrap_or("{}");
        let request = Request {
            body: fact.body.clone(),
            headers: serde_json::from_str(headers).unwrap_or_default(),
            query: fact.query.clone(),
        };
        let source = source(self.rules, &fact.source)?;
        if entry.erased_by.is_some() || (request.body.is_empty() && request.query.is_none()) {
            return None;
        }
        let secret = self.secrets.get(&fact.source);
        match Verified::trusted(source.provider, request, secret) {
            Ok(verified) if verified.text() == fact.body => None,
            Ok(verified) => Some(Ok(verified.text().to_vec())),
            Err(_) => Some(Err(())),
        }
    }

    /// A retry with its delivery, a delivery with what became of it, and what takes back something about the user.
    fn choose_what_belongs_together(&mut self) -> Result<(), StoreError> {
        let mut unvisited: Vec<Position> = self.chosen.keys().copied().collect();
        while let Some(position) = unvisited.pop() {
            for related in self.belonging_to(position)? {
                if let Slot::Vacant(slot) = self.chosen.entry(related.position) {
                    slot.insert(related.fact.of);
                    unvisited.push(related.position);
                }
            }
        }
        Ok(())
    }

    fn belonging_to(&self, position: Position) -> Result<Vec<Entry>, StoreError> {
        let mut related = Vec::new();
        if let Some(of) = self.chosen.get(&position).copied().flatten() {
            related.extend(self.snapshot.entry(of)?);
        }
        if let Some(parked) = self.snapshot.parked(position)?
            && let Settled::Retried(by) | Settled::Discarded(by) = parked.settled
        {
            // What settled it may also be the same delivery, taken before, or an erasure: those stand on their own.
            let entry = self.snapshot.entry(by)?;
            related.extend(entry.filter(|it| it.fact.of == Some(position)));
        }
        for event in self.snapshot.events_of(position)? {
            if let Some(withdrawn_at) = event.withdrawn_at
                && self.renaming.scope.is_about(&event.event.statement)
            {
                let by = self.snapshot.position_at(withdrawn_at)?;
                related.extend(self.snapshot.entry(by)?);
            }
        }
        Ok(related)
    }

    fn plan(self, until: Position) -> Result<ErasurePlan, EngineError> {
        let (mut grants, mut parked) = (BTreeSet::new(), 0);
        for position in self.chosen.keys() {
            let found = self.snapshot.parked(*position)?;
            parked += u64::from(found.is_some_and(|it| it.settled == Settled::Open));
            grants.extend(own_grants(self.snapshot, &self.renaming, *position)?);
        }
        let user = self.renaming.scope.user.clone();
        let mut linked = linked_ids(self.snapshot, &user, None)?;
        linked.remove(&user);
        Ok(ErasurePlan {
            user,
            entries: self.chosen.into_keys().collect(),
            grants: u64::try_from(grants.len()).unwrap_or(u64::MAX),
            parked,
            left: self.left,
            unopened: self.unopened,
            linked: linked.into_iter().collect(),
            until,
        })
    }
}

/// The grants of the user's that an entry speaks of.
fn own_grants(
    snapshot: &dyn Snapshot,
    renaming: &Renaming<'_>,
    position: Position,
) -> Result<Vec<GrantId>, StoreError> {
    let events = snapshot.events_of(position)?;
    let grants = events
        .into_iter()
        .filter_map(|it| match it.event.statement {
            Statement::Grant(statement) => Some(statement.grant),
            Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => None,
        });
    Ok(grants
        .filter(|grant| renaming.scope.grants.contains(grant))
        .collect())
}
