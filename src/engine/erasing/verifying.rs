//! Whether what is left of erased entries is what their erasures left.

use super::record::Left;
use crate::domain::event::Event;
use crate::store::chain::digest;
use crate::store::{Entry, Snapshot, StoreError};

/// Whether the content of an entry is what was recorded, or what the latest erasure that lists it left.
pub(in crate::engine) fn is_as_left(entry: &Entry, events: &[Event], left: &Left) -> bool {
    let found = digest(&entry.fact, events, &entry.salt);
    match (left.of_entries.get(&entry.position), entry.erased_by) {
        (None, None) => found == entry.digest,
        (Some((by, digest)), Some(erased_by)) => *by == erased_by && found == *digest,
        // It came as an erasure elsewhere had left it, and this log has not taken over that erasure.
        (None, Some(erased_by)) => {
            let fact = &entry.fact;
            let is_bare = fact.body.is_empty() && fact.headers.is_none() && fact.query.is_none();
            erased_by == entry.position && is_bare && found == entry.digest
        }
        (Some(_), None) => false,
    }
}

/// Whether the store knows of no other erased entries than those that were `seen`, and of no other former keys than the
/// erasures name: a key too many would keep deliveries out.
pub(in crate::engine) fn knows_no_other(
    snapshot: &dyn Snapshot,
    left: &Left,
    seen: u64,
) -> Result<bool, StoreError> {
    Ok(snapshot.count_erased()? == seen && snapshot.former_keys()? == left.former_keys)
}
