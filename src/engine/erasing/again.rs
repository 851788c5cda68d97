//! Recording once more, from a file, what an erasure elsewhere had left, and the erasure.

use std::collections::BTreeSet;

use super::lines::{ErasedLine, ErasureLine, recorded_then};
use super::record::{Recorded, USER_ERASED, former_key, written};
use super::{append, body_left, discard_parked, key_of};
use crate::domain::delivery::{Outcome, Refusal};
use crate::domain::event::Event;
use crate::domain::id::{DedupeKey, GrantKey, Position, SourceName};
use crate::domain::time::Instant;
use crate::engine::EngineError;
use crate::engine::delivery::Receipt;
use crate::engine::facts::rules_at;
use crate::engine::history::{parked, receipt, refused_field, settled_before};
use crate::engine::long_grants::LongGrants;
use crate::engine::quarantine::{came_latest, recorded_now};
use crate::engine::taking::{concern, project_all};
use crate::store::{
    Entry, EntryKind, EntryRefusal, Hash, NewEntry, Packet, Redaction, Settled, Snapshot,
    StoreError, Transaction,
};

/// Appends what is left of an entry that was erased.
pub(in crate::engine) fn erased(
    transaction: &mut dyn Transaction,
    line: ErasedLine,
    claimed: Instant,
) -> Result<Result<Receipt, Refusal>, EngineError> {
    let name = line.event_name.clone();
    let again = |outcome, position| Ok(Ok(receipt(outcome, position, name.as_deref())));
    let of = match (line.entry, &line.of) {
        (EntryKind::Delivery, None) => {
            if let Some(position) = held(transaction, &line)? {
                transaction.count_repetition(position)?;
                return again(Outcome::Duplicate, position);
            }
            if let Some(position) = recorded_then(transaction, claimed)?
                && is_same_parked(transaction, &line, position)?
            {
                transaction.count_repetition(position)?;
                return again(Outcome::Quarantined, position);
            }
            None
        }
        (EntryKind::Retry | EntryKind::Discard, Some(of)) => {
            match parked(transaction, &line.source, &of.key, Some(of.recorded_at))? {
                Ok((position, Settled::Open)) => Some(position),
                Ok((position, settled)) => return Ok(Ok(settled_before(position, settled))),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        (
            EntryKind::Delivery
            | EntryKind::Retry
            | EntryKind::Discard
            | EntryKind::Rules
            | EntryKind::Erasure,
            _,
        ) => {
            let detail = "a delivery, or a retry or discard with the delivery it is of";
            return Ok(Err(refused_field("body.entry", detail)));
        }
    };
    if line.outcome == Outcome::Duplicate
        || (line.entry == EntryKind::Delivery
            && line.outcome == Outcome::Quarantined
            && line.reason.is_none())
    {
        return Ok(Err(refused_field("body.outcome", "no outcome of an entry")));
    }
    let outcome = line.outcome;
    let (position, events) = append_left(transaction, line, of, claimed)?;
    let mut recorded = receipt(outcome, position, name.as_deref());
    recorded.events = events;
    Ok(Ok(recorded))
}

/// What holds the key already.
fn held(snapshot: &dyn Snapshot, line: &ErasedLine) -> Result<Option<Position>, StoreError> {
    if !line.outcome.holds_its_key() {
        return Ok(None);
    }
    let holder = snapshot.key_holder(&line.source, &line.key)?;
    let entry = holder.map(|it| snapshot.entry(it)).transpose()?.flatten();
    Ok(entry.map(|entry| entry.fact.of.unwrap_or(entry.position)))
}

fn is_same_parked(
    snapshot: &dyn Snapshot,
    line: &ErasedLine,
    position: Position,
) -> Result<bool, StoreError> {
    let parked = snapshot.parked_with_key(&line.source, &line.key)?;
    let mut parked = parked.iter().filter(|it| it.position == position);
    Ok(parked.any(|it| Some(it.refusal.reason) == line.reason))
}

fn append_left(
    transaction: &mut dyn Transaction,
    line: ErasedLine,
    of: Option<Position>,
    claimed: Instant,
) -> Result<(Position, u32), StoreError> {
    let events: Vec<Event> = line.events.into_iter().map(Event::from).collect();
    let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
    let mut concerned = BTreeSet::new();
    concern(transaction, &events, &mut concerned)?;
    let parked = of.map(|of| transaction.entry(of)).transpose()?.flatten();
    let dedupe_key = match (line.entry, &parked) {
        (EntryKind::Discard, Some(parked)) => DedupeKey::of_digest(&parked.hash.0),
        (
            EntryKind::Delivery
            | EntryKind::Retry
            | EntryKind::Discard
            | EntryKind::Rules
            | EntryKind::Erasure,
            _,
        ) => line.key.clone(),
    };
    let packet = line.packet.and_then(|packet| {
        let digest = packet.text_digest.as_deref().and_then(Hash::from_hex);
        let packet = (packet.grant, digest.unwrap_or_default());
        Some(packet).filter(|_| line.outcome.holds_its_key())
    });
    if let Some((grant, text_digest)) = packet {
        let packet = Packet {
            key: line.key.clone(),
            text_digest,
        };
        remember(transaction, &line.source, &grant, &packet, parked.as_ref())?;
    }
    let recorded_at = recorded_now(transaction, claimed)?;
    let position = transaction.append(NewEntry {
        kind: line.entry,
        of,
        source: line.source,
        dedupe_key,
        recorded_at,
        received_at: line.received_at,
        outcome: line.outcome,
        event_name: line.event_name,
        refusal: line.reason.map(|reason| EntryRefusal {
            reason,
            field: "body".to_owned(),
            detail: String::new(),
        }),
        body: Vec::new(),
        headers: None,
        query: None,
        events,
        mentions: Vec::new(),
        arrival_is_order: line.arrival_is_order,
    })?;
    transaction.note_erased(position)?;
    if let Some(of) = of {
        let settled = match line.entry {
            EntryKind::Discard => Settled::Discarded(position),
            EntryKind::Delivery | EntryKind::Retry | EntryKind::Rules | EntryKind::Erasure => {
                Settled::Retried(position)
            }
        };
        transaction.settle(of, &settled)?;
    }
    let rules = rules_at(&transaction.rules()?, None);
    project_all(transaction, &rules, concerned, &mut LongGrants::default())?;
    Ok((position, count))
}

/// A packet that came earlier than the latest one does not become the latest by having been decoded later.
fn remember(
    transaction: &mut dyn Transaction,
    source: &SourceName,
    grant: &GrantKey,
    packet: &Packet,
    parked: Option<&Entry>,
) -> Result<(), StoreError> {
    let came_latest = match parked {
        None => true,
        Some(parked) => came_latest(transaction, parked, grant)?,
    };
    if came_latest {
        transaction.remember_packet(source, grant, packet)?;
    }
    Ok(())
}

/// Records an erasure: of entries that are erased already, for it takes nothing away from a log that still has it.
pub(in crate::engine) fn erasure(
    transaction: &mut dyn Transaction,
    line: ErasureLine,
    claimed: Instant,
) -> Result<Receipt, EngineError> {
    let mut recorded = Recorded {
        pseudonym: Some(line.pseudonym),
        actor: line.actor,
        why: line.why,
        ..Recorded::default()
    };
    let named = |outcome, position| receipt(outcome, position, Some(USER_ERASED));
    let key = key_of(&recorded);
    if let Some(position) = transaction.key_holder(&SourceName::tenure(), &key)? {
        return Ok(named(Outcome::Duplicate, position));
    }
    let head = transaction.head()?.position;
    let erased_by = Position(head.0.saturating_add(1));
    let mut entries = BTreeSet::new();
    for recorded_at in &line.erased {
        entries.extend(recorded_then(transaction, *recorded_at)?);
    }
    for position in &entries {
        let Some(redaction) = as_it_is(transaction, *position, erased_by)? else {
            continue;
        };
        let digest = transaction.redact(&redaction)?;
        recorded.redacted.push((*position, digest.to_string()));
    }
    if recorded.redacted.is_empty() {
        return Ok(named(Outcome::Ignored, head));
    }
    for key in line.former_keys.iter().filter_map(former_key) {
        transaction.remember_former_key(&key)?;
        recorded.former_keys.push(written(&key));
    }
    let recorded_at = recorded_now(transaction, claimed)?;
    let position = append(transaction, &recorded, recorded_at)?;
    let redacted = recorded.redacted.iter().map(|(position, _)| *position);
    discard_parked(transaction, &redacted.collect(), position)?;
    Ok(named(Outcome::Applied, position))
}

/// The redaction that changes nothing, of an entry of which nothing is left to take away.
fn as_it_is(
    snapshot: &dyn Snapshot,
    position: Position,
    erased_by: Position,
) -> Result<Option<Redaction>, StoreError> {
    let Some(entry) = snapshot.entry(position)? else {
        return Ok(None);
    };
    let body = body_left(&entry)?;
    let is_bare_erasure = entry.fact.kind == EntryKind::Erasure && body == entry.fact.body;
    if entry.erased_by.is_none() && !is_bare_erasure {
        return Ok(None);
    }
    let events = snapshot.events_of(position)?;
    Ok(Some(Redaction {
        position,
        erased_by,
        dedupe_key: entry.fact.dedupe_key,
        body,
        events: events.into_iter().map(|it| it.event).collect(),
    }))
}
