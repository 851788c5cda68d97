//! What is stored of one grant.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use rusqlite::Row;

use super::Session;
use super::packed::column;
use super::queries::{ANOMALIES, GRANT_NAMES, GRANT_USERS, SEGMENTS, WINDOWS};
use super::rows::{self, Columns as _};
use crate::domain::id::{GrantId, IdError, ProductName, UserId};
use crate::domain::window::{Segment, Window};
use crate::store::{GrantNames, RecordedAnomaly, StoreError};

/// The source and the key, as parameters.
pub(super) fn of_grant(grant: &GrantId) -> [&str; 2] {
    [grant.source.as_str(), grant.key.as_str()]
}

impl Session<'_> {
    /// Everyone whom an event of the grant names.
    pub(super) fn users_named(&self, grant: &GrantId) -> Result<BTreeSet<UserId>, StoreError> {
        let mut users = BTreeSet::new();
        self.each(GRANT_USERS, of_grant(grant), |row| {
            add_users(&mut users, row)?;
            Ok(true)
        })?;
        Ok(users)
    }

    /// Everyone whom, and every product that, an event of the grant names.
    pub(super) fn named_in(&self, grant: &GrantId) -> Result<GrantNames, StoreError> {
        let mut names = GrantNames::default();
        self.each(GRANT_NAMES, of_grant(grant), |row| {
            add_users(&mut names.users, row)?;
            add_name(&mut names.products, row, 2, ProductName::new)?;
            if row.text_or_null(3)?.is_some() {
                names
                    .products
                    .extend(rows::change(row, 3)?.product().cloned());
            }
            Ok(true)
        })?;
        Ok(names)
    }

    /// The segments of the grant that are stored beside a user; none while nothing is known of the grant, or no event of it
    /// names the user.
    pub(super) fn segments_beside(
        &self,
        grant: &GrantId,
        user: &UserId,
    ) -> Result<Vec<Segment>, StoreError> {
        let [source, key] = of_grant(grant);
        let segments = self.one(SEGMENTS, [user.as_str(), source, key], |row| {
            column::segments(row, 0, Some(user))
        })?;
        Ok(segments.unwrap_or_default())
    }

    pub(super) fn windows(
        &self,
        user: &UserId,
        grant: &GrantId,
    ) -> Result<Vec<Window>, StoreError> {
        let [source, key] = of_grant(grant);
        self.all(WINDOWS, [user.as_str(), source, key], rows::window)
    }

    pub(super) fn anomalies(&self, grant: &GrantId) -> Result<Vec<RecordedAnomaly>, StoreError> {
        let mut anomalies = self.all(ANOMALIES, of_grant(grant), rows::anomaly)?;
        anomalies.sort_unstable();
        Ok(anomalies)
    }
}

/// Adds the users of the first two columns.
fn add_users(users: &mut BTreeSet<UserId>, row: &Row<'_>) -> rusqlite::Result<()> {
    add_name(users, row, 0, UserId::new)?;
    add_name(users, row, 1, UserId::new)
}

/// Adds the id of a column, if there is one. Most rows name the same.
fn add_name<Id: Borrow<str> + Ord>(
    names: &mut BTreeSet<Id>,
    row: &Row<'_>,
    column: usize,
    new: impl Fn(&str) -> Result<Id, IdError>,
) -> rusqlite::Result<()> {
    let name = row.text_or_null(column)?;
    if name.is_some_and(|name| !names.contains(name)) {
        names.extend(row.id_or_null(column, new)?);
    }
    Ok(())
}
