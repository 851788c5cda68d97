//! What tells a delivery from others: its key, and what holds that key already.

use super::reading::Read;
use crate::domain::delivery::{Outcome, Reason, Refusal};
use crate::domain::event::{Event, Statement};
use crate::domain::id::{DedupeKey, GrantId, GrantKey, Position, SourceName};
use crate::provider::{Dedupe, digest};
use crate::store::{FormerKey, Hash, Packet, Snapshot, StoreError};

/// The latest packet of the grant a packet belongs to.
pub(crate) fn latest_packet(
    snapshot: &dyn Snapshot,
    source: &SourceName,
    read: &Read,
) -> Result<Option<Packet>, StoreError> {
    match &read.decoded.dedupe {
        Dedupe::Packet { grant, .. } => match snapshot.latest_packet(source, grant)? {
            Some(latest) => Ok(Some(latest)),
            None => latest_of_former(snapshot, source, grant),
        },
        Dedupe::Key(_) | Dedupe::Text => Ok(None),
    }
}

/// As [`latest_packet`], where the key of the grant was renamed since, for it held an erased id.
fn latest_of_former(
    snapshot: &dyn Snapshot,
    source: &SourceName,
    grant: &GrantKey,
) -> Result<Option<Packet>, StoreError> {
    let former = GrantId {
        source: source.clone(),
        key: grant.clone(),
    };
    let now = snapshot.former_key(&FormerKey::of_grant(&former))?;
    match now.map(|key| GrantKey::new(&key)) {
        Some(Ok(now)) => snapshot.latest_packet(source, &now),
        Some(Err(error)) => Err(StoreError::Corrupt(format!("a former key: {error}"))),
        None => Ok(None),
    }
}

/// What the key of a delivery is now, if it was renamed since it was recorded, for it held an erased id.
pub(crate) fn renamed_key(
    snapshot: &dyn Snapshot,
    source: &SourceName,
    key: &DedupeKey,
) -> Result<Option<DedupeKey>, StoreError> {
    let now = snapshot.former_key(&FormerKey::of_delivery(source, key))?;
    let now = now.map(|key| DedupeKey::new(&key)).transpose();
    now.map_err(|error| StoreError::Corrupt(format!("a former key: {error}")))
}

/// What holds a key, also under the name it was given since.
fn holder_of(
    snapshot: &dyn Snapshot,
    source: &SourceName,
    key: &DedupeKey,
) -> Result<Option<Position>, StoreError> {
    if let Some(position) = snapshot.key_holder(source, key)? {
        return Ok(Some(position));
    }
    match renamed_key(snapshot, source, key)? {
        Some(now) => snapshot.key_holder(source, &now),
        None => Ok(None),
    }
}

/// What holds the key of a delivery.
pub(crate) enum Holder {
    /// Nothing that was applied or ignored.
    Nobody,
    /// The same delivery, at this position.
    Same(Position),
    /// A delivery with another body.
    Another,
}

/// The key of a delivery, told apart from the `latest` packet of its grant, and what holds it already.
pub(crate) fn key_and_holder(
    snapshot: &dyn Snapshot,
    source: &SourceName,
    read: &Read,
    latest: Option<&Packet>,
) -> Result<(DedupeKey, Holder), StoreError> {
    let dedupe = &read.decoded.dedupe;
    let key = match (dedupe, latest) {
        (Dedupe::Packet { once: false, .. }, Some(latest))
            if latest.text_digest == Hash(digest(&[&read.text])) =>
        {
            latest.key.clone()
        }
        (dedupe, latest) => dedupe.key(&read.text, latest.map(|it| &it.key)),
    };
    let Some(position) = holder_of(snapshot, source, &key)? else {
        return Ok((key, Holder::Nobody));
    };
    let Some(entry) = snapshot.entry(position)? else {
        return Ok((key, Holder::Another));
    };
    let first = entry.fact.of.unwrap_or(position);
    let is_same = match dedupe {
        // The key is made of the text: the same key is the same text.
        Dedupe::Text | Dedupe::Packet { .. } => true,
        Dedupe::Key(_) => {
            let stated = match entry.fact.of {
                None => Some(entry),
                Some(of) => snapshot.entry(of)?,
            };
            // What was erased cannot be compared any more: it must not come back for being sent again.
            stated.is_some_and(|it| it.erased_by.is_some() || it.fact.body == read.request.body)
        }
    };
    let holder = if is_same {
        Holder::Same(first)
    } else {
        Holder::Another
    };
    Ok((key, holder))
}

/// The packet to remember: only what holds its key counts as the latest.
pub(crate) fn held_packet(
    dedupe: &Dedupe,
    outcome: Outcome,
    key: &DedupeKey,
    text: &[u8],
) -> Option<(GrantKey, Packet)> {
    match dedupe {
        Dedupe::Packet { grant, .. } if outcome.holds_its_key() => {
            let packet = Packet {
                key: key.clone(),
                text_digest: Hash(digest(&[text])),
            };
            Some((grant.clone(), packet))
        }
        Dedupe::Packet { .. } | Dedupe::Key(_) | Dedupe::Text => None,
    }
}

pub(crate) fn id_conflict() -> Refusal {
    let detail = "a delivery of this id and another body came before and stands";
    Refusal::new(Reason::IdConflict, "id", detail)
}

/// The events, with withdrawals of what goes by another key now naming that key.
pub(crate) fn naming_renamed(
    snapshot: &dyn Snapshot,
    mut events: Vec<Event>,
) -> Result<Vec<Event>, StoreError> {
    for event in &mut events {
        if let Statement::Withdrawal { source, key } = &mut event.statement
            && snapshot.key_holder(source, key)?.is_none()
            && let Some(now) = renamed_key(snapshot, source, key)?
        {
            *key = now;
        }
    }
    Ok(events)
}
