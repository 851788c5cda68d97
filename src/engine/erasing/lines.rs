//! How erased entries and erasures stand in a file.

use serde::{Deserialize, Serialize};

use super::record::Recorded;
use crate::domain::delivery::{Outcome, Reason};
use crate::domain::event::{
    Change, Event, GrantStatement, RecordedEvent, Statement, UserChange, UserStatement,
};
use crate::domain::id::{DedupeKey, GrantId, GrantKey, Position, ProductName, SourceName, UserId};
use crate::domain::time::{EffectiveAt, Instant};
use crate::store::{Entry, EntryKind, Settled, Snapshot, StoreError};

/// What is left of an entry.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasedLine {
    /// Which kind of entry it is.
    pub(super) entry: EntryKind,
    pub(super) source: SourceName,
    pub(super) key: DedupeKey,
    /// When the delivery was received, where that is known apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) received_at: Option<Instant>,
    pub(super) outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) event_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
    pub(super) arrival_is_order: bool,
    /// The delivery that a retry or a discard speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<Of>,
    pub(super) events: Vec<WrittenEvent>,
    /// The grant whose packet it is, where packets are told apart by the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) packet: Option<WrittenPacket>,
}

/// A delivery in quarantine, by its key and when it was recorded.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    pub(super) key: DedupeKey,
    pub(super) recorded_at: Instant,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPacket {
    pub(super) grant: GrantKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text_digest: Option<String>,
}

/// An event with all it states.
#[derive(Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum WrittenEvent {
    Grant {
        effective_at: EffectiveAt,
        grant: GrantId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        product: Option<ProductName>,
        what: Change,
    },
    User {
        effective_at: EffectiveAt,
        source: SourceName,
        user: UserId,
        what: UserChange,
    },
    Link {
        effective_at: EffectiveAt,
        user: UserId,
        alias: UserId,
    },
    Withdrawal {
        effective_at: EffectiveAt,
        source: SourceName,
        key: DedupeKey,
    },
}

impl WrittenEvent {
    /// The source of what it speaks of.
    pub(super) fn source(&self) -> Option<&SourceName> {
        match self {
            Self::Grant { grant, .. } => Some(&grant.source),
            Self::User { source, .. } | Self::Withdrawal { source, .. } => Some(source),
            Self::Link { .. } => None,
        }
    }
}

impl From<Event> for WrittenEvent {
    fn from(event: Event) -> Self {
        let effective_at = event.effective_at;
        match event.statement {
            Statement::Grant(GrantStatement {
                grant,
                user,
                product,
                change,
            }) => Self::Grant {
                effective_at,
                grant,
                user,
                product,
                what: change,
            },
            Statement::User(UserStatement {
                source,
                user,
                change,
            }) => Self::User {
                effective_at,
                source,
                user,
                what: change,
            },
            Statement::Link { user, alias } => Self::Link {
                effective_at,
                user,
                alias,
            },
            Statement::Withdrawal { source, key } => Self::Withdrawal {
                effective_at,
                source,
                key,
            },
        }
    }
}

impl From<WrittenEvent> for Event {
    fn from(written: WrittenEvent) -> Self {
        let (effective_at, statement) = match written {
            WrittenEvent::Grant {
                effective_at,
                grant,
                user,
                product,
                what: change,
            } => {
                let statement = GrantStatement {
                    grant,
                    user,
                    product,
                    change,
                };
                (effective_at, Statement::Grant(statement))
            }
            WrittenEvent::User {
                effective_at,
                source,
                user,
                what: change,
            } => {
                let statement = UserStatement {
                    source,
                    user,
                    change,
                };
                (effective_at, Statement::User(statement))
            }
            WrittenEvent::Link {
                effective_at,
                user,
                alias,
            } => (effective_at, Statement::Link { user, alias }),
            WrittenEvent::Withdrawal {
                effective_at,
                source,
                key,
            } => (effective_at, Statement::Withdrawal { source, key }),
        };
        Self {
            effective_at,
            statement,
        }
    }
}

/// An erasure.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasureLine {
    pub(super) pseudonym: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// When the entries that it erased had been recorded: positions may be others elsewhere.
    pub(super) erased: Vec<Instant>,
    /// The digest of each key that held the id, in hex, and what the key is now.
    #[serde(default)]
    pub(super) former_keys: Vec<(String, String)>,
}

/// The body of the line of an erased entry.
pub(in crate::engine) fn erased_body(
    snapshot: &dyn Snapshot,
    entry: &Entry,
) -> Result<String, StoreError> {
    let fact = &entry.fact;
    let of = fact.of.map(|of| snapshot.entry(of)).transpose()?.flatten();
    let events = snapshot.events_of(entry.position)?;
    let packet = packet(snapshot, entry, &events)?;
    let key = match (&of, fact.kind) {
        // The key of a discard is the log's own.
        (Some(of), EntryKind::Discard) => of.fact.dedupe_key.clone(),
        (
            _,
            EntryKind::Delivery
            | EntryKind::Retry
            | EntryKind::Discard
            | EntryKind::Rules
            | EntryKind::Erasure,
        ) => fact.dedupe_key.clone(),
    };
    let line = ErasedLine {
        entry: fact.kind,
        source: fact.source.clone(),
        key,
        received_at: fact.received_at,
        outcome: fact.outcome,
        event_name: fact.event_name.clone(),
        reason: fact.refusal.as_ref().map(|refusal| refusal.reason),
        arrival_is_order: fact.arrival_is_order,
        of: of.map(|of| Of {
            key: of.fact.dedupe_key,
            recorded_at: of.fact.recorded_at.0,
        }),
        packet,
        events: events.into_iter().map(|it| it.event.into()).collect(),
    };
    tagged("erased", &line)
}

/// Packets are told apart by the latest one of their grant, which can no longer be read: its key has to go along, and the
/// digest of its text where it still is the latest.
fn packet(
    snapshot: &dyn Snapshot,
    entry: &Entry,
    events: &[RecordedEvent],
) -> Result<Option<WrittenPacket>, StoreError> {
    let fact = &entry.fact;
    if !fact.arrival_is_order || !fact.outcome.holds_its_key() {
        return Ok(None);
    }
    let own = events
        .iter()
        .find_map(|recorded| match &recorded.event.statement {
            Statement::Grant(statement) if statement.grant.source == fact.source => {
                Some(&statement.grant.key)
            }
            Statement::Grant(_)
            | Statement::User(_)
            | Statement::Link { .. }
            | Statement::Withdrawal { .. } => None,
        });
    let Some(grant) = own else {
        return Ok(None);
    };
    let latest = snapshot.latest_packet(&fact.source, grant)?;
    let latest = latest.filter(|packet| packet.key == fact.dedupe_key);
    Ok(Some(WrittenPacket {
        grant: grant.clone(),
        text_digest: latest.map(|packet| packet.text_digest.to_string()),
    }))
}

/// The body of the line of an erasure.
pub(in crate::engine) fn erasure_body(
    snapshot: &dyn Snapshot,
    entry: &Entry,
) -> Result<String, StoreError> {
    let recorded = Recorded::read(entry)?;
    let nameless = || StoreError::Corrupt(format!("the erasure at {}", entry.position));
    let mut erased = Vec::with_capacity(recorded.redacted.len());
    for (position, _) in &recorded.redacted {
        let entry = snapshot.entry(*position)?;
        erased.extend(entry.map(|entry| entry.fact.recorded_at.0));
    }
    let line = ErasureLine {
        pseudonym: recorded.pseudonym.ok_or_else(nameless)?,
        actor: recorded.actor,
        why: recorded.why,
        erased,
        former_keys: recorded.former_keys,
    };
    tagged("erasure", &line)
}

/// The key of the delivery that had been taken before an erased one was retried: the erased one cannot be decoded again.
pub(in crate::engine) fn holder_of(
    snapshot: &dyn Snapshot,
    entry: &Entry,
    settled: Settled,
) -> Result<Option<DedupeKey>, StoreError> {
    let Settled::Retried(at) = settled else {
        return Ok(None);
    };
    if entry.erased_by.is_none() {
        return Ok(None);
    }
    let holder = snapshot.entry(at)?;
    Ok(holder.map(|holder| holder.fact.dedupe_key))
}

fn tagged(what: &str, line: &impl Serialize) -> Result<String, StoreError> {
    let damaged = |error| StoreError::Corrupt(format!("a line of an export: {error}"));
    let text = serde_json::to_string(line).map_err(damaged)?;
    let fields = text.strip_prefix('{').unwrap_or_default();
    Ok(format!("{{\"tenure\":\"{what}\",{fields}"))
}

/// The places of entries in this log, by when they were recorded.
pub(super) fn recorded_then(
    snapshot: &dyn Snapshot,
    recorded_at: Instant,
) -> Result<Option<Position>, StoreError> {
    let recorded_at = crate::domain::time::RecordedAt(recorded_at);
    let position = snapshot.position_at(recorded_at)?;
    let entry = snapshot.entry(position)?;
    let is_it = entry.is_some_and(|entry| entry.fact.recorded_at == recorded_at);
    Ok(is_it.then_some(position))
}
