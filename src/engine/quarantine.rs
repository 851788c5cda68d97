//! Parked deliveries: decoded again after a change of rules, decoder or secret, or discarded by a person.

use std::collections::BTreeSet;

use super::facts::rules_at;
use super::long_grants::LongGrants;
use super::reading::{Read, decode};
use super::repetition::{Holder, id_conflict, key_and_holder, naming_renamed};
use super::sources::source;
use super::taking::{RECEIVED_AT, concern, entry_refusal, project_all, settle_content};
use super::{Engine, EngineError, Secrets, unknown_source};
use crate::domain::delivery::{Outcome, Reason, Refusal};
use crate::domain::id::{DedupeKey, GrantId, GrantKey, Position};
use crate::domain::rules::Rules;
use crate::domain::time::{EffectiveAt, Instant, RecordedAt};
use crate::provider::{Content, Dedupe, Request, Verified, digest};
use crate::store::{
    Entry, EntryKind, Hash, NewEntry, Packet, Settled, Snapshot, Store, StoreError, Transaction,
};

/// The name a discard goes by in the log.
pub(super) const DISCARDED: &str = "discarded";

/// What a retry made of a parked delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It was decoded and is recorded at this entry.
    Recorded {
        /// The entry of the retry.
        position: Position,
        /// How many events it recorded; none, if the delivery has no effect on access.
        events: u32,
    },
    /// The same delivery was taken at this entry meanwhile; nothing was left to record.
    TakenBefore {
        /// The entry that holds it.
        position: Position,
    },
    /// It still cannot be applied, and stays in quarantine.
    StillParked {
        /// Why.
        refusal: Refusal,
    },
}

impl<S: Store> Engine<S> {
    /// Decodes a parked delivery again, under the rules in force. What it yields takes effect from its original effective
    /// time and is recorded now, as an entry of its own: answers given as of earlier stay as they were.
    ///
    /// # Errors
    /// [`EngineError::NotParked`] if no open quarantined delivery stands at `position`.
    pub fn retry(&mut self, position: Position, now: Instant) -> Result<Retried, EngineError> {
        let secrets = &self.secrets;
        self.store
            .write(|transaction| retry(transaction, secrets, position, now))
    }

    /// Discards a parked delivery. It stays in the log, with the reason given.
    ///
    /// # Errors
    /// [`EngineError::NotParked`] if no open quarantined delivery stands at `position`.
    pub fn discard(
        &mut self,
        position: Position,
        why: &str,
        now: Instant,
    ) -> Result<Position, EngineError> {
        self.store
            .write(|transaction| discard(transaction, position, why, now))
    }
}

pub(super) fn discard(
    transaction: &mut dyn Transaction,
    position: Position,
    why: &str,
    now: Instant,
) -> Result<Position, EngineError> {
    let entry = open_entry(transaction, position)?;
    let recorded_at = recorded_now(transaction, now)?;
    let discard = transaction.append(NewEntry {
        kind: EntryKind::Discard,
        of: Some(position),
        source: entry.fact.source.clone(),
        dedupe_key: DedupeKey::of_digest(&entry.hash.0),
        recorded_at,
        received_at: None,
        outcome: Outcome::Ignored,
        event_name: Some(DISCARDED.to_owned()),
        refusal: None,
        body: why.as_bytes().to_vec(),
        headers: None,
        query: None,
        events: Vec::new(),
        mentions: Vec::new(),
        arrival_is_order: false,
    })?;
    transaction.settle(position, &Settled::Discarded(discard))?;
    Ok(discard)
}

fn open_entry(snapshot: &dyn Snapshot, position: Position) -> Result<Entry, EngineError> {
    let parked = snapshot.parked(position)?;
    let is_open = parked.is_some_and(|parked| parked.settled == Settled::Open);
    let entry = snapshot.entry(position)?.filter(|_| is_open);
    entry.ok_or(EngineError::NotParked(position))
}

pub(super) fn recorded_now(
    snapshot: &dyn Snapshot,
    now: Instant,
) -> Result<RecordedAt, StoreError> {
    let last = snapshot.head()?.recorded_at;
    Ok(RecordedAt(last.map_or(now, |last| now.max(last.0.next()))))
}

pub(super) fn retry(
    transaction: &mut dyn Transaction,
    secrets: &Secrets,
    position: Position,
    now: Instant,
) -> Result<Retried, EngineError> {
    let entry = open_entry(transaction, position)?;
    let rules = rules_at(&transaction.rules()?, None);
    let read = match read_again(&entry, &rules, secrets, now)? {
        Ok(read) => read,
        Err(refusal) => return Ok(Retried::StillParked { refusal }),
    };
    let source = entry.fact.source.clone();
    let packet = packet_before(transaction, &entry, &read)?;
    let (key, holder) = key_and_holder(transaction, &source, &read, packet.as_ref())?;
    match holder {
        Holder::Nobody => {}
        Holder::Same(first) => {
            transaction.settle(position, &Settled::Retried(first))?;
            return Ok(Retried::TakenBefore { position: first });
        }
        Holder::Another => {
            let refusal = id_conflict();
            return Ok(Retried::StillParked { refusal });
        }
    }
    if let Content::Quarantined(refusal) = read.decoded.content {
        return Ok(Retried::StillParked { refusal });
    }
    record_retry(transaction, &rules, &entry, read, key, now)
}

/// The packet a parked packet is told apart by: the latest of its grant if that says the same, else the last one recorded
/// before it came, so that the same words, said again after what came later, still are a new packet.
fn packet_before(
    snapshot: &dyn Snapshot,
    entry: &Entry,
    read: &Read,
) -> Result<Option<Packet>, StoreError> {
    let source = &entry.fact.source;
    let Dedupe::Packet { grant, .. } = &read.decoded.dedupe else {
        return Ok(None);
    };
    let latest = snapshot.latest_packet(source, grant)?;
    if latest
        .as_ref()
        .is_some_and(|it| it.text_digest == Hash(digest(&[&read.text])))
    {
        return Ok(latest);
    }
    let grant = GrantId {
        source: source.clone(),
        key: grant.clone(),
    };
    let events = snapshot.grant_events(&grant)?;
    let own = events.iter().filter(|event| event.key.source == *source);
    let before = own
        .filter(|event| event.sequence < entry.position.0)
        .max_by_key(|event| event.sequence);
    Ok(before.map(|event| Packet {
        key: event.key.dedupe_key.clone(),
        // Its text is another one, whatever it is: the same was looked for above.
        text_digest: Hash::default(),
    }))
}

/// Whether the delivery came after the latest packet of its grant, or there is none.
pub(super) fn came_latest(
    snapshot: &dyn Snapshot,
    entry: &Entry,
    grant: &GrantKey,
) -> Result<bool, StoreError> {
    let source = &entry.fact.source;
    let Some(latest) = snapshot.latest_packet(source, grant)? else {
        return Ok(true);
    };
    let holder = snapshot.key_holder(source, &latest.key)?;
    let holder = holder
        .map(|position| snapshot.entry(position))
        .transpose()?;
    let came = holder
        .flatten()
        .map(|holder| holder.fact.of.unwrap_or(holder.position));
    Ok(came.is_none_or(|came| came < entry.position))
}

/// Decodes what the log holds of the delivery, as if it came now.
fn read_again(
    entry: &Entry,
    rules: &Rules,
    secrets: &Secrets,
    now: Instant,
) -> Result<Result<Read, Refusal>, EngineError> {
    let name = &entry.fact.source;
    let Some(source) = source(rules, name) else {
        let detail = unknown_source(rules, name).to_string();
        return Ok(Err(Refusal::new(Reason::BadField, "source", &detail)));
    };
    if let Some(refusal) = future_claim(entry, now) {
        return Ok(Err(refusal));
    }
    let damaged = |error| StoreError::Corrupt(format!("headers at {}: {error}", entry.position));
    let headers = match &entry.fact.headers {
        Some(text) => serde_json::from_str(text).map_err(damaged)?,
        None => Default::default(),
    };
    let request = Request {
        body: entry.fact.body.clone(),
        headers,
        query: entry.fact.query.clone(),
    };
    let opened = Verified::trusted(source.provider, request, secrets.get(name));
    Ok(Ok(decode(source, opened)))
}

/// A history that claims to have been received in the future stays refused until that time has come.
fn future_claim(entry: &Entry, now: Instant) -> Option<Refusal> {
    let refusal = entry.fact.refusal.as_ref()?;
    let claims_too_much = refusal.reason == Reason::BadTime
        && refusal.field == RECEIVED_AT
        && entry.fact.received_at.is_some_and(|claimed| claimed > now);
    claims_too_much.then(|| Refusal::new(refusal.reason, &refusal.field, &refusal.detail))
}

fn record_retry(
    transaction: &mut dyn Transaction,
    rules: &Rules,
    entry: &Entry,
    read: Read,
    key: DedupeKey,
    now: Instant,
) -> Result<Retried, EngineError> {
    let source = entry.fact.source.clone();
    let received = entry.fact.received_at.unwrap_or(entry.fact.recorded_at.0);
    let (outcome, events, refusal) = settle_content(read.decoded.content, EffectiveAt(received));
    let events = naming_renamed(transaction, events)?;
    let mut concerned = BTreeSet::new();
    concern(transaction, &events, &mut concerned)?;
    let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
    // A packet that came earlier than the latest one does not become the latest by being decoded later.
    if let Dedupe::Packet { grant, .. } = &read.decoded.dedupe
        && came_latest(transaction, entry, grant)?
    {
        let text_digest = Hash(digest(&[&read.text]));
        let key = key.clone();
        transaction.remember_packet(&source, grant, &Packet { key, text_digest })?;
    }
    let recorded_at = recorded_now(transaction, now)?;
    let position = transaction.append(NewEntry {
        kind: EntryKind::Retry,
        of: Some(entry.position),
        source,
        dedupe_key: key,
        recorded_at,
        received_at: entry.fact.received_at,
        outcome,
        event_name: read.decoded.kind,
        refusal: refusal.map(entry_refusal),
        body: Vec::new(),
        headers: None,
        query: None,
        events,
        mentions: Vec::new(),
        arrival_is_order: read.arrival_is_order,
    })?;
    transaction.settle(entry.position, &Settled::Retried(position))?;
    project_all(transaction, rules, concerned, &mut LongGrants::default())?;
    Ok(Retried::Recorded {
        position,
        events: count,
    })
}
