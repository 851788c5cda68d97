//! What an erasure leaves of an entry, and by what a repetition of it is still known.

use sha2::{Digest as _, Sha256};

use super::chain::Hash;
use super::{Entry, EntryRefusal, NewEntry};
use crate::domain::event::Event;
use crate::domain::id::{DedupeKey, GrantId, Position, SourceName};

/// What an entry holds from its erasure on. What it does not speak of goes: headers, query, and where and how a delivery in
/// quarantine was wrong.
///
/// Metadata, digest and hash of the entry stay, so the chain goes on; its salt is replaced by another one, so that what is
/// gone cannot be guessed by its digest. Whoever renames a key does so wherever the log names it, in the same transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// The entry.
    pub position: Position,
    /// The entry that records the erasure, which may be about to be appended.
    pub erased_by: Position,
    /// Its key from now on.
    pub dedupe_key: DedupeKey,
    /// Its body from now on: empty, but for an erasure, which says what it erased.
    pub body: Vec<u8>,
    /// Its events from now on: as many as before, each of the same change and time.
    pub events: Vec<Event>,
}

/// A key that held an erased id, or a parked delivery that is erased, known by its digest, and what the key is now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormerKey {
    /// The digest of what it was: [`FormerKey::of_delivery`], [`FormerKey::of_grant`] or [`FormerKey::of_parked`].
    pub digest: Hash,
    /// The key now.
    pub now: String,
}

impl FormerKey {
    /// By what a delivery's former key is found: SHA-256 over `delivery`, the source and the key, each after its length.
    pub fn of_delivery(source: &SourceName, key: &DedupeKey) -> Hash {
        digest(&["delivery", source.as_str(), key.as_str()].map(str::as_bytes))
    }

    /// By what a grant's former key is found, as [`FormerKey::of_delivery`].
    pub fn of_grant(grant: &GrantId) -> Hash {
        digest(&["grant", grant.source.as_str(), grant.key.as_str()].map(str::as_bytes))
    }

    /// By what a parked delivery that is erased is known when it is sent again: SHA-256 over `parked`, the source, the key,
    /// the body and the query, each after its length. Others may be parked under the same key.
    pub fn of_parked(
        source: &SourceName,
        key: &DedupeKey,
        body: &[u8],
        query: Option<&str>,
    ) -> Hash {
        let (source, key) = (source.as_str().as_bytes(), key.as_str().as_bytes());
        let query = query.unwrap_or_default().as_bytes();
        digest(&[b"parked", source, key, body, query])
    }
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// The field that a refusal names when nothing is left of what it was about.
const WHOLE: &str = "body";

/// What is left of an entry.
pub(super) fn left_of(entry: &Entry, redaction: &Redaction) -> NewEntry {
    let fact = &entry.fact;
    NewEntry {
        dedupe_key: redaction.dedupe_key.clone(),
        body: redaction.body.clone(),
        headers: None,
        query: None,
        refusal: fact.refusal.as_ref().map(|refusal| EntryRefusal {
            reason: refusal.reason,
            field: WHOLE.to_owned(),
            detail: String::new(),
        }),
        ..fact.clone()
    }
}
