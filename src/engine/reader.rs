//! Asking: decisions, windows, states, the log.

use std::collections::BTreeSet;

use serde::Serialize;

use super::EngineError;
use super::facts::{GrantFacts, linked_ids, person_asking_for, project, project_facts, rules_at};
use super::staff::{Attribution, attribution};
use crate::domain::decision::{Decision, Question, decide};
use crate::domain::event::RecordedEvent;
use crate::domain::grant::State;
use crate::domain::id::{GrantId, Position, UserId};
use crate::domain::rules::{Policy, Rules};
use crate::domain::time::RecordedAt;
use crate::domain::window::Window;
use crate::store::{
    Entry, EntryFilter, Parked, RecordedAnomaly, Snapshot, Statistics, StoreError, StoreReader,
};

/// A handle that asks. Any number of them may ask, each from its own thread, while the engine writes.
#[derive(Debug)]
pub struct Reader<R: StoreReader> {
    store: R,
}

/// A window of a user, with the grant that gives it.
///
/// As JSON: `user`, `product`, `grant`, `source`, `start`, `end` (null = unlimited).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserWindow {
    /// Who has access.
    pub user: UserId,
    /// What is given.
    pub product: crate::domain::id::ProductName,
    /// The key of the grant.
    pub grant: crate::domain::id::GrantKey,
    /// Its source.
    pub source: crate::domain::id::SourceName,
    /// The first instant of access.
    pub start: crate::domain::time::Instant,
    /// The first instant without.
    pub end: crate::domain::time::End,
}

/// A grant as it stands after all that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantView {
    /// Which grant.
    pub grant: GrantId,
    /// The state of the machine.
    pub state: State,
    /// When it gives whom what.
    pub windows: Vec<Window>,
    /// The policies of its source.
    pub policy: Policy,
}

/// An entry of the log with the events it recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The entry.
    pub entry: Entry,
    /// Its events, in order.
    pub events: Vec<RecordedEvent>,
    /// Who stated it by hand and why, where the entry says so.
    pub attribution: Option<Attribution>,
}

impl<R: StoreReader> Reader<R> {
    /// A reader over a store's reader, as [`SqliteStore::open_reader`](crate::SqliteStore::open_reader) gives one without a
    /// writer.
    pub fn new(store: R) -> Self {
        Self { store }
    }

    /// Whether nothing was ever recorded.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn is_empty(&mut self) -> Result<bool, EngineError> {
        self.read(|snapshot| Ok(snapshot.head()?.position == Position::default()))
    }

    /// Whether rules were ever put in force.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn has_rules(&mut self) -> Result<bool, EngineError> {
        self.read(|snapshot| Ok(!snapshot.rules()?.is_empty()))
    }

    /// Answers one question.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn check(&mut self, question: &Question) -> Result<Decision, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, question.as_of);
            answer(snapshot, question, &rules)
        })
    }

    /// Answers questions in order, all from one state of the log.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn check_batch(&mut self, questions: &[Question]) -> Result<Vec<Decision>, EngineError> {
        self.read(|snapshot| {
            let recorded = snapshot.rules()?;
            let mut rules = (None, rules_at(&recorded, None));
            let mut decisions = Vec::with_capacity(questions.len());
            for question in questions {
                if rules.0 != question.as_of && !recorded.is_empty() {
                    rules = (question.as_of, rules_at(&recorded, question.as_of));
                }
                decisions.push(answer(snapshot, question, &rules.1)?);
            }
            Ok(decisions)
        })
    }

    /// Every window of the user and of every linked id, sorted by start, then grant.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn windows(
        &mut self,
        user: &UserId,
        as_of: Option<RecordedAt>,
    ) -> Result<Vec<UserWindow>, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, as_of);
            let mut windows = Vec::new();
            for id in linked_ids(snapshot, user, as_of)? {
                windows.extend(windows_of(snapshot, &id, &rules, as_of)?);
            }
            windows.sort_by(|a, b| {
                let key = |it: &UserWindow| (it.start, it.grant.clone(), it.source.clone(), it.end);
                key(a).cmp(&key(b))
            });
            Ok(windows)
        })
    }

    /// Every grant an event of which names the user or a linked id, sorted by source and key.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn grants(
        &mut self,
        user: &UserId,
        as_of: Option<RecordedAt>,
    ) -> Result<Vec<GrantView>, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, as_of);
            let mut views = Vec::new();
            for facts in facts_known_to_name(snapshot, user, &rules, as_of)? {
                views.extend(view(snapshot, facts, &rules, as_of)?);
            }
            Ok(views)
        })
    }

    /// One grant; `None` if no event is known of it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn grant(
        &mut self,
        grant: &GrantId,
        as_of: Option<RecordedAt>,
    ) -> Result<Option<GrantView>, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, as_of);
            let facts = GrantFacts::load(snapshot, grant, &rules, as_of)?;
            Ok(view(snapshot, facts, &rules, as_of)?)
        })
    }

    /// Up to `limit` entries that fit the filter, newest first, each with its events.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn log(
        &mut self,
        filter: &EntryFilter,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, EngineError> {
        self.read(|snapshot| {
            let entries = snapshot.entries_before(before, filter, limit)?;
            let with_events = entries.into_iter().map(|entry| log_entry(snapshot, entry));
            with_events.collect()
        })
    }

    /// Up to `limit` entries after a position, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn entries_after(
        &mut self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Entry>, EngineError> {
        self.read(|snapshot| Ok(snapshot.entries_after(after, limit)?))
    }

    /// The entry at a position with its events.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn entry(&mut self, position: Position) -> Result<Option<LogEntry>, EngineError> {
        self.read(|snapshot| {
            let entry = snapshot.entry(position)?;
            entry.map(|entry| log_entry(snapshot, entry)).transpose()
        })
    }

    /// Up to `limit` anomalies after a cursor, oldest first; with a user, those of the grants that name the user or a
    /// linked id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn anomalies(
        &mut self,
        user: Option<&UserId>,
        after: Option<&RecordedAnomaly>,
        limit: usize,
    ) -> Result<Vec<RecordedAnomaly>, EngineError> {
        self.read(|snapshot| {
            let Some(user) = user else {
                return Ok(snapshot.anomalies_after(after, limit)?);
            };
            let mut anomalies = Vec::new();
            for id in linked_ids(snapshot, user, None)? {
                for grant in snapshot.grants_naming(&id)? {
                    let projection = snapshot.projection(&grant)?;
                    anomalies.extend(projection.into_iter().flat_map(|it| it.anomalies));
                }
            }
            anomalies.sort_unstable();
            anomalies.dedup();
            anomalies.retain(|anomaly| after.is_none_or(|after| anomaly > after));
            anomalies.truncate(limit);
            Ok(anomalies)
        })
    }

    /// Up to `limit` deliveries that are or were in quarantine, after a position, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn parked(
        &mut self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<(Parked, Entry)>, EngineError> {
        self.read(|snapshot| {
            let mut found = Vec::new();
            for parked in snapshot.parked_after(after, limit)? {
                if let Some(entry) = snapshot.entry(parked.position)? {
                    found.push((parked, entry));
                }
            }
            Ok(found)
        })
    }

    /// The figures of the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn statistics(&mut self) -> Result<Statistics, EngineError> {
        self.read(|snapshot| Ok(snapshot.statistics()?))
    }

    /// The rules in force.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn rules(&mut self) -> Result<Rules, EngineError> {
        self.read(|snapshot| Ok(Rules::clone(&*rules_at(&snapshot.rules()?, None))))
    }

    /// The store's reader, for what only this kind of store can do.
    pub fn store(&mut self) -> &mut R {
        &mut self.store
    }

    pub(crate) fn read<T>(
        &mut self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.store.read(work)
    }
}

fn view(
    snapshot: &dyn Snapshot,
    facts: GrantFacts,
    rules: &Rules,
    as_of: Option<RecordedAt>,
) -> Result<Option<GrantView>, StoreError> {
    let projected = project_facts(snapshot, &facts, rules, as_of)?;
    Ok(projected.map(|(folded, projection)| GrantView {
        policy: facts.policy,
        grant: facts.grant,
        state: folded.state,
        windows: projection.windows,
    }))
}

fn answer(
    snapshot: &dyn Snapshot,
    question: &Question,
    rules: &Rules,
) -> Result<Decision, EngineError> {
    let person = person_asking_for(
        snapshot,
        &question.user,
        &question.resource,
        rules,
        known_at(snapshot, question.as_of)?,
    )?;
    Ok(decide(question, &person, rules))
}

/// What was known after the last entry was recorded is what is known now, and is read from the projection.
pub(super) fn known_at(
    snapshot: &dyn Snapshot,
    as_of: Option<RecordedAt>,
) -> Result<Option<RecordedAt>, EngineError> {
    let Some(as_of) = as_of else {
        return Ok(None);
    };
    let head = snapshot.head()?;
    Ok((head.recorded_at > Some(as_of)).then_some(as_of))
}

fn windows_of(
    snapshot: &dyn Snapshot,
    user: &UserId,
    rules: &Rules,
    as_of: Option<RecordedAt>,
) -> Result<Vec<UserWindow>, EngineError> {
    let found = match as_of {
        None => snapshot.windows_of(user)?,
        Some(_) => {
            let mut found = Vec::new();
            for grant in snapshot.grants_naming(user)? {
                let projection = project(snapshot, &grant, rules, as_of)?;
                let windows = projection.map_or_else(Vec::new, |it| it.windows);
                let own = windows.into_iter().filter(|window| window.user == *user);
                found.extend(own.map(|window| (grant.clone(), window)));
            }
            found
        }
    };
    let windows = found.into_iter().map(|(grant, window)| UserWindow {
        user: window.user,
        product: window.product,
        grant: grant.key,
        source: grant.source,
        start: window.start,
        end: window.end,
    });
    Ok(windows.collect())
}

/// The grants that, by what was known, an event names one of the person's ids of. Also grants that never gave anything, but
/// none that only names the person later: what was known then would not tell of it.
pub(super) fn facts_known_to_name(
    snapshot: &dyn Snapshot,
    user: &UserId,
    rules: &Rules,
    as_of: Option<RecordedAt>,
) -> Result<Vec<GrantFacts>, EngineError> {
    let ids = linked_ids(snapshot, user, as_of)?;
    let mut grants = BTreeSet::new();
    for id in &ids {
        grants.extend(snapshot.grants_naming(id)?);
    }
    let mut known = Vec::new();
    for grant in &grants {
        let facts = GrantFacts::load(snapshot, grant, rules, as_of)?;
        if facts.names_one_of(&ids) {
            known.push(facts);
        }
    }
    Ok(known)
}

pub(super) fn log_entry(snapshot: &dyn Snapshot, entry: Entry) -> Result<LogEntry, EngineError> {
    Ok(LogEntry {
        events: snapshot.events_of(entry.position)?,
        attribution: attribution(snapshot, &entry)?,
        entry,
    })
}
