//! What a history holds besides deliveries: the rules that came into force in the course of it, and what became of parked
//! deliveries. In a file they are lines of the source `tenure`, so that the log they come from is gone through once more.

use serde::Deserialize;

use super::delivery::{Content, Delivery, Receipt};
use super::erasing::again;
use super::erasing::lines::{ErasedLine, ErasureLine};
use super::facts::rules_at;
use super::ingest::{refuse_reserved, rules_entry};
use super::line::read_line;
use super::long_grants::LongGrants;
use super::plan::put_in_force;
use super::quarantine::{DISCARDED, Retried, discard, retry};
use super::sources::source;
use super::taking::take;
use super::{EngineError, Secrets};
use crate::domain::delivery::{Outcome, Reason, Refusal};
use crate::domain::id::{DedupeKey, Position, SourceName};
use crate::domain::rules::Rules;
use crate::domain::time::{Instant, RecordedAt};
use crate::store::{Settled, Snapshot, StoreError, Transaction};

/// A line of a history.
pub(crate) enum HistoryLine {
    /// A delivery whose source has to be there.
    Delivery(Delivery),
    /// A delivery of a file: it is parked if there is no source of that name.
    OfFile(Delivery),
    /// What Tenure itself recorded, with the delivery it stands in.
    Own(Delivery, Own),
}

impl HistoryLine {
    /// The delivery, where it is nothing but that.
    pub(crate) fn delivery(&mut self) -> Option<&mut Delivery> {
        match self {
            Self::Delivery(delivery) | Self::OfFile(delivery) => Some(delivery),
            Self::Own(..) => None,
        }
    }
}

/// What Tenure itself recorded, as it stands in a file.
#[derive(Deserialize)]
#[serde(tag = "tenure", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Own {
    /// Rules came into force; without any, the defaults hold, and nothing says so in the log.
    Rules { rules: Option<Rules> },
    /// A parked delivery was decoded again.
    Retry {
        source: SourceName,
        key: DedupeKey,
        #[serde(default)]
        recorded_at: Option<Instant>,
        /// The key of the same delivery, taken before, where it cannot be decoded again.
        #[serde(default)]
        holder: Option<DedupeKey>,
    },
    /// A parked delivery was discarded.
    Discard {
        source: SourceName,
        key: DedupeKey,
        #[serde(default)]
        recorded_at: Option<Instant>,
        why: String,
    },
    /// What is left of an entry that was erased.
    Erased(Box<ErasedLine>),
    /// A user's personal data was erased.
    Erasure(ErasureLine),
}

/// Whether a file that begins with this line brings the rules with it that its deliveries were decoded under. A database
/// that is to hold the same history then has to begin without rules of its own.
pub fn brings_rules(first_line: &[u8]) -> bool {
    let line = read_line(first_line);
    let is_own = line.source.as_ref().is_some_and(SourceName::is_tenure);
    let own = serde_json::from_slice::<Own>(&line.request.body);
    is_own && line.quarantined.is_none() && own.is_ok_and(|own| matches!(own, Own::Rules { .. }))
}

/// What a line of a file of mixed sources is.
pub(crate) fn history_line(delivery: Delivery) -> HistoryLine {
    if !delivery.source.is_tenure() || delivery.parked.is_some() {
        return HistoryLine::OfFile(delivery);
    }
    let Content::Trusted(request) = &delivery.content else {
        return HistoryLine::OfFile(delivery);
    };
    if !delivery.claims_recorded_time {
        let detail = "a line of `tenure` is only taken with --backfill, into a history";
        let refusal = Refusal::new(Reason::BadField, "source", detail);
        return HistoryLine::OfFile(refused(delivery, refusal));
    }
    match serde_json::from_slice(&request.body) {
        Ok(own) => HistoryLine::Own(delivery, own),
        Err(error) => {
            let detail = format!("not what a line of `tenure` can say: {error}");
            let refusal = Refusal::new(Reason::BadField, "body", &detail);
            HistoryLine::OfFile(refused(delivery, refusal))
        }
    }
}

fn refused(delivery: Delivery, refusal: Refusal) -> Delivery {
    let content = match delivery.content {
        Content::Trusted(request) => Content::Unreadable(request, refusal),
        content @ (Content::Verified(_) | Content::Unreadable(..)) => content,
    };
    Delivery {
        content,
        ahead: None,
        ..delivery
    }
}

/// A line may name a source that there is not: it is parked, for it must not keep the lines around it back.
fn of_known_source(delivery: Delivery, rules: &Rules) -> Delivery {
    if source(rules, &delivery.source).is_some() {
        return delivery;
    }
    let detail = "there is no source of that name by the rules in force";
    let refusal = Refusal::new(Reason::BadField, "source", detail);
    refused(delivery, refusal)
}

/// Takes the lines in order: deliveries that stand together at once, and what Tenure recorded where it stands.
pub(crate) fn take_history(
    transaction: &mut dyn Transaction,
    secrets: &Secrets,
    lines: Vec<HistoryLine>,
    now: Instant,
    long_grants: &mut LongGrants,
) -> Result<Vec<Receipt>, EngineError> {
    let mut rules = rules_at(&transaction.rules()?, None);
    let mut receipts = Vec::with_capacity(lines.len());
    let mut waiting = Vec::new();
    for line in lines {
        match line {
            HistoryLine::Delivery(delivery) => waiting.push(delivery),
            HistoryLine::OfFile(delivery) => waiting.push(of_known_source(delivery, &rules)),
            HistoryLine::Own(delivery, own) => {
                let before = std::mem::take(&mut waiting);
                receipts.extend(take(transaction, secrets, before, now, long_grants)?);
                match record_again(transaction, secrets, &delivery, own, now)? {
                    Ok(receipt) => receipts.push(receipt),
                    Err(refusal) => waiting.push(refused(delivery, refusal)),
                }
                rules = rules_at(&transaction.rules()?, None);
            }
        }
    }
    receipts.extend(take(transaction, secrets, waiting, now, long_grants)?);
    Ok(receipts)
}

/// Records once more what Tenure recorded, or says why that cannot be.
fn record_again(
    transaction: &mut dyn Transaction,
    secrets: &Secrets,
    delivery: &Delivery,
    own: Own,
    now: Instant,
) -> Result<Result<Receipt, Refusal>, EngineError> {
    // Without a claim it was recorded right after the entry before, as whatever claims too little is.
    let claimed = delivery.claim().unwrap_or(Instant::FIRST);
    if claimed > now {
        let detail = "later than the clock: a history cannot be recorded in the future";
        let refusal = Refusal::new(Reason::BadTime, "received_at", detail);
        return Ok(Err(refusal));
    }
    match own {
        Own::Rules { rules: None } => defaults_held(transaction, claimed).map(Ok),
        Own::Rules { rules: Some(rules) } => rules_again(transaction, &rules, claimed),
        Own::Retry {
            source,
            key,
            recorded_at,
            holder,
        } => {
            let position = match parked(transaction, &source, &key, recorded_at)? {
                Ok((position, Settled::Open)) => position,
                Ok((position, settled)) => return Ok(Ok(settled_before(position, settled))),
                Err(refusal) => return Ok(Err(refusal)),
            };
            if let Some(holder) = holder {
                return settled_by_holder(transaction, position, &source, &holder);
            }
            let retried = retry(transaction, secrets, position, claimed)?;
            receipt_of(transaction, position, retried).map(Ok)
        }
        Own::Discard {
            source,
            key,
            recorded_at,
            why,
        } => {
            let position = match parked(transaction, &source, &key, recorded_at)? {
                Ok((position, Settled::Open)) => position,
                Ok((position, settled)) => return Ok(Ok(settled_before(position, settled))),
                Err(refusal) => return Ok(Err(refusal)),
            };
            let position = discard(transaction, position, &why, claimed)?;
            Ok(Ok(receipt(Outcome::Ignored, position, Some(DISCARDED))))
        }
        Own::Erased(line) => again::erased(transaction, *line, claimed),
        Own::Erasure(line) => again::erasure(transaction, line, claimed).map(Ok),
    }
}

/// A retry that had found its delivery taken already.
fn settled_by_holder(
    transaction: &mut dyn Transaction,
    parked: Position,
    source: &SourceName,
    holder: &DedupeKey,
) -> Result<Result<Receipt, Refusal>, EngineError> {
    let Some(position) = transaction.key_holder(source, holder)? else {
        let detail = "no delivery has this key";
        return Ok(Err(refused_field("body.holder", detail)));
    };
    transaction.settle(parked, &Settled::Retried(position))?;
    Ok(Ok(receipt(Outcome::Duplicate, position, None)))
}

pub(super) fn refused_field(field: &str, detail: &str) -> Refusal {
    Refusal::new(Reason::BadField, field, detail)
}

pub(super) fn receipt(outcome: Outcome, position: Position, kind: Option<&str>) -> Receipt {
    Receipt {
        outcome,
        position,
        kind: kind.map(str::to_owned),
        events: 0,
        refusal: None,
    }
}

/// The history begins without rules. A log that has nothing but rules is brought to that; any other stays as it is.
fn defaults_held(
    transaction: &mut dyn Transaction,
    claimed: Instant,
) -> Result<Receipt, EngineError> {
    let recorded = transaction.rules()?;
    let before = rules_at(&recorded, None);
    let head = transaction.head()?.position;
    let has_only_rules = u64::try_from(recorded.len()) == Ok(head.0);
    let defaults = Rules::default();
    if *before == defaults || !has_only_rules {
        return Ok(receipt(Outcome::Ignored, head, None));
    }
    let applied = put_in_force(transaction, &before, &defaults, claimed, &mut |_| {})?;
    let position = applied.position.unwrap_or(head);
    Ok(receipt(Outcome::Applied, position, Some(RULES_APPLIED)))
}

/// The name by which the log shows that rules came into force.
const RULES_APPLIED: &str = "rules_applied";

fn rules_again(
    transaction: &mut dyn Transaction,
    rules: &Rules,
    claimed: Instant,
) -> Result<Result<Receipt, Refusal>, EngineError> {
    if let Err(error) = refuse_reserved(rules) {
        let refusal = Refusal::new(Reason::BadField, "body.rules", &error.to_string());
        return Ok(Err(refusal));
    }
    let recorded = transaction.rules()?;
    let before = rules_at(&recorded, None);
    let last = recorded.last().map(|last| last.position);
    let repeated = |position| {
        Ok(Ok(receipt(
            Outcome::Duplicate,
            position,
            Some(RULES_APPLIED),
        )))
    };
    if let Some(position) = last.filter(|_| *before == *rules) {
        return repeated(position);
    }
    let key = rules_entry(rules, RecordedAt(claimed))?.dedupe_key;
    if let Some(position) = transaction.key_holder(&SourceName::tenure(), &key)? {
        return repeated(position);
    }
    let applied = put_in_force(transaction, &before, rules, claimed, &mut |_| {})?;
    let position = applied.position.unwrap_or_default();
    let receipt = receipt(Outcome::Applied, position, Some(RULES_APPLIED));
    Ok(Ok(receipt))
}

/// The parked delivery a line speaks of: the one recorded then, or else the only one of its key that is open.
pub(super) fn parked(
    snapshot: &dyn Snapshot,
    source: &SourceName,
    key: &DedupeKey,
    recorded_at: Option<Instant>,
) -> Result<Result<(Position, Settled), Refusal>, StoreError> {
    let parked = snapshot.parked_with_key(source, key)?;
    for one in &parked {
        let entry = snapshot.entry(one.position)?;
        let recorded = entry.map(|entry| entry.fact.recorded_at.0);
        if recorded.is_some() && recorded == recorded_at {
            return Ok(Ok((one.position, one.settled)));
        }
    }
    let is_open = |one: &&crate::store::Parked| one.settled == Settled::Open;
    let mut open = parked.iter().filter(is_open);
    let chosen = match (open.next(), open.next()) {
        (Some(one), None) => Some(one),
        (None, _) => parked.last(),
        (Some(_), Some(_)) => None,
    };
    let detail = if parked.is_empty() {
        "no delivery in quarantine has this key"
    } else {
        "several deliveries in quarantine have this key, and none was recorded then"
    };
    let none = || Refusal::new(Reason::BadField, "body.key", detail);
    Ok(chosen
        .map(|one| (one.position, one.settled))
        .ok_or_else(none))
}

pub(super) fn settled_before(position: Position, settled: Settled) -> Receipt {
    let position = match settled {
        Settled::Open => position,
        Settled::Retried(at) | Settled::Discarded(at) => at,
    };
    receipt(Outcome::Duplicate, position, None)
}

fn receipt_of(
    snapshot: &dyn Snapshot,
    parked: Position,
    retried: Retried,
) -> Result<Receipt, EngineError> {
    Ok(match retried {
        Retried::Recorded { position, events } => {
            let fact = snapshot.entry(position)?.map(|entry| entry.fact);
            let outcome = fact.as_ref().map_or(Outcome::Applied, |fact| fact.outcome);
            let kind = fact.and_then(|fact| fact.event_name);
            Receipt {
                events,
                ..receipt(outcome, position, kind.as_deref())
            }
        }
        Retried::TakenBefore { position } => receipt(Outcome::Duplicate, position, None),
        Retried::StillParked { refusal } => Receipt {
            refusal: Some(refusal),
            ..receipt(Outcome::Quarantined, parked, None)
        },
    })
}
