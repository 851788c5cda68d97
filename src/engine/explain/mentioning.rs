//! What is in quarantine and may concern a person.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Explanation;
use crate::domain::delivery::Reason;
use crate::domain::id::{GrantId, Mention, Position, SourceName, UserId};
use crate::domain::time::RecordedAt;
use crate::engine::EngineError;
use crate::store::{Entry, Settled, Snapshot};

/// A delivery in quarantine that mentions a person or one of the person's grants. Whether it speaks of them, only a person
/// who reads it can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mentioning {
    /// The entry of the log.
    pub position: Position,
    /// The source of the delivery.
    pub source: SourceName,
    /// When it was recorded.
    pub recorded_at: RecordedAt,
    /// The name of the event as the system calls it, if that could be read.
    pub kind: Option<String>,
    /// Why it is in quarantine.
    pub reason: Reason,
    /// The field by its path.
    pub field: String,
    /// What was wrong, in words.
    pub detail: String,
}

impl Mentioning {
    fn of(entry: Entry) -> Option<Self> {
        let refusal = entry.fact.refusal?;
        Some(Self {
            position: entry.position,
            source: entry.fact.source,
            recorded_at: entry.fact.recorded_at,
            kind: entry.fact.event_name,
            reason: refusal.reason,
            field: refusal.field,
            detail: refusal.detail,
        })
    }
}

/// The deliveries that were in quarantine, by what was known at `known_at`, and mention one of the ids, or the key of one of
/// the grants and come from its source, or from staff, who speak of the grants of any.
pub(super) fn mentioning<'a>(
    snapshot: &dyn Snapshot,
    ids: &BTreeSet<UserId>,
    grants: impl Iterator<Item = &'a GrantId>,
    known_at: Option<RecordedAt>,
) -> Result<Vec<Mentioning>, EngineError> {
    let mut found: BTreeSet<(Position, Option<&SourceName>)> = BTreeSet::new();
    for id in ids {
        let positions = snapshot.parked_mentioning(&Mention::from(id))?;
        found.extend(positions.into_iter().map(|position| (position, None)));
    }
    for grant in grants {
        let positions = snapshot
            .parked_mentioning(&Mention::from(&grant.key))?
            .into_iter();
        found.extend(positions.map(|position| (position, Some(&grant.source))));
    }
    let mut mentioning: Vec<Mentioning> = Vec::new();
    for (position, source) in found.into_iter().rev() {
        if mentioning.len() == Explanation::MOST_MENTIONING {
            break;
        }
        let is_there = mentioning
            .last()
            .is_some_and(|last| last.position == position);
        if is_there || !was_parked(snapshot, position, known_at)? {
            continue;
        }
        let fits = |entry: &Entry| {
            source.is_none_or(|source| entry.fact.source == *source || entry.fact.source.is_staff())
                && known_at.is_none_or(|known_at| entry.fact.recorded_at <= known_at)
        };
        let entry = snapshot.entry(position)?.filter(fits);
        mentioning.extend(entry.and_then(Mentioning::of));
    }
    mentioning.reverse();
    Ok(mentioning)
}

/// Whether the delivery was not settled yet by what was known.
fn was_parked(
    snapshot: &dyn Snapshot,
    position: Position,
    known_at: Option<RecordedAt>,
) -> Result<bool, EngineError> {
    let Some(parked) = snapshot.parked(position)? else {
        return Ok(false);
    };
    let by = match parked.settled {
        Settled::Open => return Ok(true),
        Settled::Retried(by) | Settled::Discarded(by) => by,
    };
    let Some(known_at) = known_at else {
        return Ok(false);
    };
    let settled_at = snapshot.entry(by)?.map(|entry| entry.fact.recorded_at);
    Ok(settled_at.is_some_and(|settled_at| settled_at > known_at))
}
