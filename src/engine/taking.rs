//! One transaction that takes deliveries: each is opened, decoded, told from repetitions and appended; then every grant
//! they concern is folded once.

use std::collections::BTreeSet;

use serde_json::json;

use super::delivery::{Delivery, Receipt};
use super::line::StatedRefusal;
use super::long_grants::LongGrants;
use super::reading::{InForce, Read, unreadable};
use super::repetition::{
    Holder, held_packet, id_conflict, key_and_holder, latest_packet, naming_renamed, renamed_key,
};
use super::sources::mentioned;
use super::{EngineError, Secrets};
use crate::domain::delivery::{Outcome, Reason, Refusal};
use crate::domain::event::{Change, Event, Statement, Term};
use crate::domain::id::{DedupeKey, GrantId, Position, SourceName};
use crate::domain::rules::Rules;
use crate::domain::time::{EffectiveAt, End, Instant, RecordedAt};
use crate::provider::{Content, Stated};
use crate::store::{
    EntryKind, EntryRefusal, FormerKey, NewEntry, Snapshot, StoreError, Transaction,
};

/// The fields of an envelope by which a history claims its times.
pub(crate) const RECEIVED_AT: &str = "received_at";
const RECORDED_AT: &str = "recorded_at";

/// Takes deliveries in order, then folds each grant they concern once.
pub(super) fn take(
    transaction: &mut dyn Transaction,
    secrets: &Secrets,
    deliveries: Vec<Delivery>,
    now: Instant,
    long_grants: &mut LongGrants,
) -> Result<Vec<Receipt>, EngineError> {
    let in_force = InForce::of(&*transaction)?;
    let head = transaction.head()?;
    long_grants.hold_only_at(head);
    let mut taking = Taking {
        last_recorded: head.recorded_at,
        transaction,
        in_force: &in_force,
        secrets,
        now,
        concerned: BTreeSet::new(),
        takes_back: false,
    };
    let receipts = deliveries
        .into_iter()
        .map(|delivery| taking.take(delivery))
        .collect::<Result<Vec<Receipt>, EngineError>>()?;
    let concerned = taking.concerned;
    if taking.takes_back {
        long_grants.forget();
    }
    project_all(transaction, &in_force.rules, concerned, long_grants)?;
    long_grants.hold_at(transaction.head()?);
    Ok(receipts)
}

/// Folds the grants, and their children, whose access hangs on theirs.
pub(super) fn project_all(
    transaction: &mut dyn Transaction,
    rules: &Rules,
    mut grants: BTreeSet<GrantId>,
    long_grants: &mut LongGrants,
) -> Result<(), StoreError> {
    let mut children = Vec::new();
    for grant in &grants {
        children.extend(transaction.children(grant)?);
    }
    grants.extend(children);
    for grant in &grants {
        long_grants.project(transaction, grant, rules)?;
    }
    Ok(())
}

/// One transaction that takes deliveries.
struct Taking<'a> {
    transaction: &'a mut dyn Transaction,
    in_force: &'a InForce,
    secrets: &'a Secrets,
    now: Instant,
    last_recorded: Option<RecordedAt>,
    /// The grants whose events have changed.
    concerned: BTreeSet<GrantId>,
    /// Whether a delivery takes back another.
    takes_back: bool,
}

impl Taking<'_> {
    fn take(&mut self, mut delivery: Delivery) -> Result<Receipt, EngineError> {
        let name = delivery.source.clone();
        let late_claim = delivery.claim().is_some_and(|claimed| claimed > self.now);
        let claim_field = delivery.recorded_at.map_or(RECEIVED_AT, |_| RECORDED_AT);
        let recorded_at = self.recorded_at(&delivery);
        let received_at = delivery.received_at;
        let parked = delivery.parked.take();
        let mut read = delivery.read(self.in_force, self.secrets)?;
        if let Some(stated) = parked {
            let read = self.as_parked(&name, read, &stated)?;
            if let Some(receipt) = self.parked_before(&name, &stated.key, &read)? {
                return Ok(receipt);
            }
            return self.append(&name, stated.key, read, recorded_at, received_at);
        }
        if late_claim {
            let detail = "later than the clock: a history cannot be received in the future";
            let refusal = Refusal::new(Reason::BadTime, claim_field, detail);
            read.decoded.content = Content::Quarantined(refusal);
        }
        let packet = latest_packet(self.transaction, &name, &read)?;
        let (key, holder) = key_and_holder(self.transaction, &name, &read, packet.as_ref())?;
        match holder {
            Holder::Nobody => {}
            Holder::Same(first) => return Ok(self.repetition(&read, first)?),
            Holder::Another => read.decoded.content = Content::Quarantined(id_conflict()),
        }
        if let Some(receipt) = self.parked_before(&name, &key, &read)? {
            return Ok(receipt);
        }
        self.append(&name, key, read, recorded_at, received_at)
    }

    /// The delivery as it was parked, whatever these rules and secrets would make of it: that is for a retry to say.
    fn as_parked(
        &self,
        name: &SourceName,
        mut read: Read,
        stated: &StatedRefusal,
    ) -> Result<Read, EngineError> {
        let refusal = stated.refusal.clone();
        let raw = unreadable(read.request.clone(), refusal.clone(), read.arrival_is_order);
        let packet = latest_packet(self.transaction, name, &read)?;
        let (key, _) = key_and_holder(self.transaction, name, &read, packet.as_ref())?;
        let (raw_key, _) = key_and_holder(self.transaction, name, &raw, None)?;
        if key != stated.key && raw_key == stated.key {
            // It could not be opened then, so nothing that was inside was known.
            return Ok(raw);
        }
        read.decoded.content = Content::Quarantined(refusal);
        Ok(read)
    }

    /// At least a microsecond after the last entry; a history may claim its own times.
    fn recorded_at(&self, delivery: &Delivery) -> RecordedAt {
        // Rules put in force on the empty log stand before all time; a history that states no times begins in 1970.
        let began = self.last_recorded.filter(|last| last.0 > Instant::FIRST);
        let next = began.map_or(Instant::FIRST.next(), |last| last.0.next());
        let wanted = match (delivery.claims_recorded_time, delivery.claim()) {
            (false, _) => self.now,
            (true, Some(claimed)) if claimed <= self.now => claimed,
            (true, Some(_) | None) if began.is_none() => Instant::EPOCH,
            (true, Some(_) | None) => next,
        };
        RecordedAt(wanted.max(next))
    }

    /// The same delivery came before: it is counted there.
    fn repetition(&mut self, read: &Read, first: Position) -> Result<Receipt, StoreError> {
        self.transaction.count_repetition(first)?;
        Ok(Receipt {
            outcome: Outcome::Duplicate,
            position: first,
            kind: read.decoded.kind.clone(),
            events: 0,
            refusal: None,
        })
    }

    /// The same delivery is in quarantine already, and is no more readable than before: it is counted there.
    fn parked_before(
        &mut self,
        name: &SourceName,
        key: &DedupeKey,
        read: &Read,
    ) -> Result<Option<Receipt>, StoreError> {
        let Content::Quarantined(refusal) = &read.decoded.content else {
            return Ok(None);
        };
        let mut before = self.transaction.parked_with_key(name, key)?;
        if let Some(renamed) = renamed_key(self.transaction, name, key)? {
            before.extend(self.transaction.parked_with_key(name, &renamed)?);
        }
        let (body, query) = (&read.request.body, &read.request.query);
        let digest = FormerKey::of_parked(name, key, body, query.as_deref());
        let was_erased = self.transaction.former_key(&digest)?.is_some();
        for parked in before {
            let entry = self.transaction.entry(parked.position)?;
            let is_same = entry.is_some_and(|entry| match entry.erased_by {
                // Nothing is left to compare with but a digest.
                Some(_) => was_erased,
                None => entry.fact.body == *body && entry.fact.query == *query,
            });
            if is_same && parked.refusal.reason == refusal.reason {
                self.transaction.count_repetition(parked.position)?;
                return Ok(Some(Receipt {
                    outcome: Outcome::Quarantined,
                    position: parked.position,
                    kind: read.decoded.kind.clone(),
                    events: 0,
                    refusal: Some(refusal.clone()),
                }));
            }
        }
        Ok(None)
    }

    fn append(
        &mut self,
        name: &SourceName,
        key: DedupeKey,
        read: Read,
        recorded_at: RecordedAt,
        received_at: Option<Instant>,
    ) -> Result<Receipt, EngineError> {
        let effective_at = EffectiveAt(received_at.unwrap_or(recorded_at.0));
        let (outcome, events, refusal) = settle_content(read.decoded.content, effective_at);
        let events = naming_renamed(self.transaction, events)?;
        let packet = held_packet(&read.decoded.dedupe, outcome, &key, &read.text);
        let mentions = match outcome {
            Outcome::Quarantined => mentioned(
                &self.in_force.rules,
                name,
                &read.text,
                read.request.query.as_deref(),
            ),
            Outcome::Applied | Outcome::Duplicate | Outcome::Ignored => Vec::new(),
        };
        concern(self.transaction, &events, &mut self.concerned)?;
        let takes_back = |event: &Event| matches!(event.statement, Statement::Withdrawal { .. });
        self.takes_back |= events.iter().any(takes_back);
        let receipt = Receipt {
            outcome,
            position: Position::default(),
            kind: read.decoded.kind.clone(),
            events: u32::try_from(events.len()).unwrap_or(u32::MAX),
            refusal: refusal.clone(),
        };
        let position = self.transaction.append(NewEntry {
            kind: EntryKind::Delivery,
            of: None,
            source: name.clone(),
            dedupe_key: key,
            recorded_at,
            received_at,
            outcome,
            event_name: read.decoded.kind,
            refusal: refusal.map(entry_refusal),
            body: read.request.body,
            headers: headers_json(&read.request.headers),
            query: read.request.query,
            events,
            mentions,
            arrival_is_order: read.arrival_is_order,
        })?;
        if let Some((grant, packet)) = packet {
            self.transaction.remember_packet(name, &grant, &packet)?;
        }
        self.last_recorded = Some(recorded_at);
        Ok(Receipt {
            position,
            ..receipt
        })
    }
}

/// Outcome, events and refusal of decoded content; events without a time of their own take effect at `effective_at`.
pub(crate) fn settle_content(
    content: Content,
    effective_at: EffectiveAt,
) -> (Outcome, Vec<Event>, Option<Refusal>) {
    match content {
        Content::Ignored => (Outcome::Ignored, Vec::new(), None),
        Content::Quarantined(refusal) => (Outcome::Quarantined, Vec::new(), Some(refusal)),
        Content::Events(stated) => {
            let events = stated.into_iter().map(|it| event(it, effective_at));
            (Outcome::Applied, events.collect(), None)
        }
    }
}

fn event(stated: Stated, received_at: EffectiveAt) -> Event {
    let effective_at = stated.effective_at.unwrap_or(received_at);
    let mut statement = stated.statement;
    if let (Some(length), Statement::Grant(grant)) = (stated.lasts, &mut statement)
        && let Change::Granted(granted) = &mut grant.change
    {
        let end: End = effective_at.0.plus(length);
        granted.term = Term::Until(end);
    }
    Event {
        effective_at,
        statement,
    }
}

/// Adds every grant whose fold the events alter.
pub(crate) fn concern(
    snapshot: &dyn Snapshot,
    events: &[Event],
    concerned: &mut BTreeSet<GrantId>,
) -> Result<(), StoreError> {
    for event in events {
        match &event.statement {
            Statement::Grant(statement) => {
                concerned.insert(statement.grant.clone());
            }
            Statement::User(statement) => {
                let grants = snapshot.grants_naming(&statement.user)?;
                concerned.extend(
                    grants
                        .into_iter()
                        .filter(|it| it.source == statement.source),
                );
            }
            Statement::Link { .. } => {}
            Statement::Withdrawal { source, key } => {
                if let Some(position) = snapshot.key_holder(source, key)? {
                    let taken_back = snapshot.events_of(position)?;
                    let taken_back: Vec<Event> = taken_back
                        .into_iter()
                        .map(|recorded| recorded.event)
                        .filter(|event| !matches!(event.statement, Statement::Withdrawal { .. }))
                        .collect();
                    concern(snapshot, &taken_back, concerned)?;
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn entry_refusal(refusal: Refusal) -> EntryRefusal {
    EntryRefusal {
        reason: refusal.reason,
        field: refusal.field,
        detail: refusal.detail,
    }
}

fn headers_json(headers: &std::collections::BTreeMap<String, String>) -> Option<String> {
    (!headers.is_empty()).then(|| json!(headers).to_string())
}
