//! Every id that may have access, in order, a few at a time.

use std::collections::BTreeSet;

use crate::domain::id::UserId;
use crate::store::{Snapshot, StoreError};

/// How many ids are held in memory at a time.
pub(super) const CHUNK: usize = 500;

/// Every id that an event of a grant or a link names, sorted.
pub(super) struct People<'a> {
    snapshot: &'a dyn Snapshot,
    /// The next ones, the smallest last.
    ahead: Vec<UserId>,
    after: Option<UserId>,
}

impl<'a> People<'a> {
    /// From an id on, itself included.
    pub(super) fn from(snapshot: &'a dyn Snapshot, first: Option<UserId>) -> Self {
        Self {
            snapshot,
            ahead: first.clone().into_iter().collect(),
            after: first,
        }
    }

    /// After an id.
    pub(super) fn after(snapshot: &'a dyn Snapshot, after: Option<UserId>) -> Self {
        Self {
            snapshot,
            ahead: Vec::new(),
            after,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<UserId>, StoreError> {
        if self.ahead.is_empty() {
            let after = self.after.as_ref();
            let named = self.snapshot.users_after(after, CHUNK)?;
            let linked = self.snapshot.linked_after(after, CHUNK)?;
            self.ahead = merged(named, linked);
            self.after = self.ahead.first().cloned();
        }
        Ok(self.ahead.pop())
    }
}

/// The smallest of two sorted lists of which each may have been cut off, the smallest last.
pub(super) fn merged(one: Vec<UserId>, other: Vec<UserId>) -> Vec<UserId> {
    let all: BTreeSet<UserId> = one.into_iter().chain(other).collect();
    all.into_iter().take(CHUNK).rev().collect()
}
