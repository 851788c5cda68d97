//! Changing the rules: what would change, and making it so.
//!
//! Both fold again what was decoded, and decode nothing again. A grant whose source keeps its policies folds to what it
//! folded to, so only the others are folded; products are looked up when a question is asked, so they alter no window.

use serde::Serialize;

use super::concerned::{Concerned, concerned};
use super::facts::rules_at;
use super::ingest::{refuse_reserved, rules_entry};
use super::planning::{Planning, everyone};
use super::reader::Reader;
use super::rebuild::fold_again;
use super::sources::source_names;
use super::verify::Progress;
use super::{Engine, EngineError};
use crate::domain::difference::{
    AccessChange, Comparison, Direction, RulesNote, altered_sources, notes,
};
use crate::domain::id::{GrantId, GrantKey, LONGEST_ID, Position, SourceName, UserId};
use crate::domain::rules::Rules;
use crate::domain::time::{Instant, RecordedAt};
use crate::store::{Snapshot, Store, StoreError, StoreReader, Transaction};

/// What changes for one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedChange {
    /// The person: every id linked to the others, sorted.
    pub users: Vec<UserId>,
    /// What is gained or lost, and when.
    pub change: AccessChange,
}

/// The figures of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanSummary {
    /// The last entry of the log the plan has seen.
    pub position: Position,
    /// How many people were looked at.
    pub people: u64,
    /// How many of them gain something.
    pub gaining: u64,
    /// How many of them lose something.
    pub losing: u64,
    /// How much is gained.
    pub gains: Spans,
    /// How much is lost.
    pub losses: Spans,
    /// What else is worth a look.
    #[serde(skip)]
    pub notes: Vec<RulesNote>,
}

/// Counts of spans of access, by where they lie as seen from now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spans {
    /// Those that have ended.
    pub past: u64,
    /// Those that hold now.
    pub present: u64,
    /// Those still to begin.
    pub future: u64,
}

impl Spans {
    fn count(&mut self, change: &AccessChange, now: Instant) {
        let count = if change.start > now {
            &mut self.future
        } else if change.end.is_after(now) {
            &mut self.present
        } else {
            &mut self.past
        };
        *count = count.saturating_add(1);
    }

    /// How many there are.
    pub fn total(self) -> u64 {
        self.past
            .saturating_add(self.present)
            .saturating_add(self.future)
    }
}

/// What applying rules did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The entry that records the rules; `None` if they were in force already.
    pub position: Option<Position>,
    /// How many grants were folded again.
    pub grants: u64,
}

impl Applied {
    const NOTHING: Self = Self {
        position: None,
        grants: 0,
    };
}

impl<R: StoreReader> Reader<R> {
    /// Says what other rules would change, without changing anything: `each` is called for every person and resource with
    /// each span gained or lost, people in the order of their first id, then by resource and time.
    ///
    /// All events are read once, to find whom it may concern, and then the events of these people. It is worked out by two
    /// threads. The memory it takes depends on what a few thousand people hold, never on the log.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn plan(
        &mut self,
        rules: &Rules,
        now: Instant,
        each: &mut dyn FnMut(PlannedChange),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PlanSummary, EngineError> {
        // Without one it takes longer.
        let mut second = self.store().another().unwrap_or_default();
        self.read(|snapshot| {
            let before = rules_at(&snapshot.rules()?, None);
            let comparison = Comparison::new(&before, rules);
            let mut summary = PlanSummary {
                position: snapshot.head()?.position,
                notes: all_notes(snapshot, &before, rules)?,
                ..PlanSummary::default()
            };
            if comparison.alters_nothing() {
                return Ok(summary);
            }
            let concerned = match comparison.altered_sources.is_empty() {
                // Nothing is folded then: it is as quick to look at what everyone holds.
                true => Concerned::everyone(),
                false => concerned(snapshot, &comparison, second.as_mut(), progress)?,
            };
            let planning = Planning {
                snapshot,
                comparison: &comparison,
                concerned: &concerned,
            };
            let mut of_person = |changes: Vec<PlannedChange>| {
                summary.count(&changes, now);
                changes.into_iter().for_each(&mut *each);
            };
            everyone(&planning, second, &mut of_person, progress)?;
            Ok(summary)
        })
    }
}

impl PlanSummary {
    /// Counts what changes for one person.
    fn count(&mut self, changes: &[PlannedChange], now: Instant) {
        let (mut gains, mut losses) = (0, 0);
        for PlannedChange { change, .. } in changes {
            match change.direction {
                Direction::Gains => {
                    gains = 1;
                    self.gains.count(change, now);
                }
                Direction::Loses => {
                    losses = 1;
                    self.losses.count(change, now);
                }
            }
        }
        self.people = self.people.saturating_add(1);
        self.gaining = self.gaining.saturating_add(gains);
        self.losing = self.losing.saturating_add(losses);
    }
}

/// The notes on the rules, and on each source that has grants and would be gone.
fn all_notes(
    snapshot: &dyn Snapshot,
    before: &Rules,
    after: &Rules,
) -> Result<Vec<RulesNote>, StoreError> {
    let (old, new) = (source_names(before), source_names(after));
    let is_gone = |source: &SourceName| {
        let named = |names: &[String]| names.iter().any(|name| name == source.as_str());
        named(&old) && !named(&new)
    };
    let with_grants = sources_with_grants(snapshot)?.into_iter();
    let gone = with_grants.filter(is_gone).map(RulesNote::SourceGone);
    let mut notes: Vec<RulesNote> = notes(before, after).into_iter().chain(gone).collect();
    notes.sort_unstable();
    Ok(notes)
}

/// Found by leaping from the first grant of a source over all others.
fn sources_with_grants(snapshot: &dyn Snapshot) -> Result<Vec<SourceName>, StoreError> {
    // No key is greater: none is longer, and no letter has greater bytes.
    let greatest = "\u{10ffff}".repeat(LONGEST_ID / 4);
    let greatest =
        GrantKey::new(&greatest).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let mut sources = Vec::new();
    let mut after: Option<GrantId> = None;
    loop {
        let found = snapshot.grants_after(after.as_ref(), 1)?;
        let Some(GrantId { source, .. }) = found.into_iter().next() else {
            return Ok(sources);
        };
        sources.push(source.clone());
        after = Some(GrantId {
            source,
            key: greatest.clone(),
        });
    }
}

impl<S: Store> Engine<S> {
    /// Puts rules in force and folds again whatever they alter, in one transaction: until it is done the old ones stand,
    /// with all that follows from them. On an empty log they are put in force from the beginning of time.
    ///
    /// Answers as of an earlier time stay as they were given.
    ///
    /// # Errors
    /// [`EngineError::ReservedName`] if a source is called `tenure`. If the store fails. The old rules then stand.
    pub fn apply(
        &mut self,
        rules: &Rules,
        now: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Applied, EngineError> {
        self.store.write(|transaction| {
            let recorded = transaction.rules()?;
            let before = rules_at(&recorded, None);
            if *before == *rules && !recorded.is_empty() {
                return Ok(Applied::NOTHING);
            }
            put_in_force(transaction, &before, rules, now, progress)
        })
    }

    /// As [`Engine::apply`], unless rules were ever put in force: those stay then.
    ///
    /// # Errors
    /// As [`Engine::apply`].
    pub fn apply_first(&mut self, rules: &Rules, now: Instant) -> Result<Applied, EngineError> {
        self.store.write(|transaction| {
            if !transaction.rules()?.is_empty() {
                return Ok(Applied::NOTHING);
            }
            put_in_force(transaction, &Rules::default(), rules, now, &mut |_| {})
        })
    }
}

/// Records the rules, which come after those of `before`, and folds again what they alter.
pub(super) fn put_in_force(
    transaction: &mut dyn Transaction,
    before: &Rules,
    rules: &Rules,
    now: Instant,
    progress: &mut dyn FnMut(Progress),
) -> Result<Applied, EngineError> {
    let recorded_at = match transaction.head()?.recorded_at {
        Some(last) => RecordedAt(now.max(last.0.next())),
        None => RecordedAt(Instant::FIRST),
    };
    refuse_reserved(rules)?;
    let position = transaction.append(rules_entry(rules, recorded_at)?)?;
    let sources = altered_sources(before, rules);
    let grants = if sources.is_empty() {
        0
    } else {
        let total = transaction.statistics()?.grants;
        let is_altered = |grant: &GrantId| sources.contains(&grant.source);
        fold_again(transaction, &is_altered, rules, total, progress)?
    };
    Ok(Applied {
        position: Some(position),
        grants,
    })
}
