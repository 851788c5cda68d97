//! What tells a delivery from others: its key, and what holds that key already.

use super::taking::Read;
use crate::domain::delivery::{Outcome, Reason, Refusal};
use crate::domain::id::{DedupeKey, GrantKey, Position, SourceName};
use crate::provider::{Dedupe, digest};
use crate::store::{Hash, Packet, Snapshot, StoreError};

/// The latest packet of the grant a packet belongs to.
pub(crate) fn latest_packet(
    snapshot: &dyn Snapshot,
    source: &SourceName,
    read: &Read,
) -> Result<Option<Packet>, StoreError> {
    match &read.decoded.dedupe {
        Dedupe::Packet { grant, .. } => snapshot.latest_packet(source, grant),
        Dedupe::Key(_) | Dedupe::Text => Ok(None),
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
    let Some(position) = snapshot.key_holder(source, &key)? else {
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
            let body = match entry.fact.of {
                None => Some(entry.fact.body),
                Some(of) => snapshot.entry(of)?.map(|first| first.fact.body),
            };
            body.as_ref() == Some(&read.request.body)
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
