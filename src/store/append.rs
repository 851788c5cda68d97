//! What every store checks and derives when an entry is appended.

use super::{EntryKind, Head, NewEntry, Redaction, StoreError};
use crate::domain::delivery::Outcome;
use crate::domain::event::{Event, EventKey, RecordedEvent};
use crate::domain::id::Position;
use crate::domain::rules::Rules;

/// Refuses an entry that cannot follow `head`, or that could not be read back.
pub(super) fn check(fact: &NewEntry, head: &Head) -> Result<(), StoreError> {
    if head
        .recorded_at
        .is_some_and(|last| fact.recorded_at <= last)
    {
        return Err(StoreError::OutOfOrder);
    }
    let speaks_of_another = match fact.kind {
        EntryKind::Retry | EntryKind::Discard => true,
        EntryKind::Delivery | EntryKind::Rules | EntryKind::Erasure => false,
    };
    let known = fact.of.is_some_and(|of| of.0 >= 1 && of <= head.position);
    let fits = if speaks_of_another {
        known
    } else {
        fact.of.is_none()
    };
    if !fits {
        return Err(never_written(
            "a retry or a discard, and nothing else, names an earlier entry",
        ));
    }
    match fact.outcome {
        Outcome::Duplicate => return Err(never_written("a duplicate is counted, not appended")),
        Outcome::Quarantined if fact.kind == EntryKind::Delivery && fact.refusal.is_none() => {
            return Err(never_written("a delivery in quarantine has a reason"));
        }
        Outcome::Applied | Outcome::Ignored | Outcome::Quarantined => {}
    }
    if fact.kind == EntryKind::Rules {
        rules(&fact.body)?;
    }
    Ok(())
}

/// The rules an entry of that kind holds.
pub(super) fn rules(body: &[u8]) -> Result<Rules, StoreError> {
    serde_json::from_slice(body)
        .map_err(|error| StoreError::Corrupt(format!("rules that cannot be read: {error}")))
}

/// Whether the entry is parked by being appended.
pub(super) fn is_parked(fact: &NewEntry) -> bool {
    fact.kind == EntryKind::Delivery && fact.outcome == Outcome::Quarantined
}

/// The events of an entry as the log holds them, without what withdrawals make of them.
pub(super) fn recorded(
    fact: &NewEntry,
    events: Vec<Event>,
    position: Position,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let sequence = if fact.arrival_is_order {
        fact.of.unwrap_or(position).0
    } else {
        0
    };
    let record = |(index, event)| {
        let index = u32::try_from(index)
            .map_err(|_| never_written("an entry has less than 4,294,967,296 events"))?;
        Ok(RecordedEvent {
            event,
            key: EventKey {
                source: fact.source.clone(),
                dedupe_key: fact.dedupe_key.clone(),
                index,
            },
            sequence,
            position,
            recorded_at: fact.recorded_at,
            withdrawn_at: None,
        })
    };
    events.into_iter().enumerate().map(record).collect()
}

/// The events an erasure leaves of an entry: as many as there were, each of the same change and time.
pub(super) fn redacted(
    fact: &NewEntry,
    redaction: &Redaction,
    before: &[RecordedEvent],
) -> Result<Vec<RecordedEvent>, StoreError> {
    let is_same = |(before, after): (&RecordedEvent, &Event)| {
        before.event.effective_at == after.effective_at
            && before.event.statement.name() == after.statement.name()
    };
    let events = &redaction.events;
    if events.len() != before.len() || !before.iter().zip(events).all(is_same) {
        return Err(never_written(
            "an erasure leaves the number, the changes and the times of events",
        ));
    }
    recorded(fact, events.clone(), redaction.position)
}

fn never_written(rule: &str) -> StoreError {
    StoreError::Corrupt(format!("refused to write what cannot be read back: {rule}"))
}
