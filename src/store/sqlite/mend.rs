//! Holding what is stored of a grant against what follows from its events. Nothing of it is taken on trust, neither that one
//! column agrees with another nor that it can be read: bytes are compared, and where some differ all is replaced.

use std::collections::BTreeSet;

use rusqlite::{Row, params};

use super::Session;
use super::of_grant::of_grant;
use super::packed::{pack, pack_of_nobody};
use super::queries::{ANOMALIES, GRANT, SEGMENTS, WINDOWS};
use super::rows;
use crate::domain::id::{GrantId, UserId};
use crate::domain::window::Window;
use crate::store::{Projected, Projection, RecordedAnomaly, StoreError};

const DELETE_WINDOWS: &str =
    "DELETE FROM windows WHERE user_id = ?1 AND source = ?2 AND grant_key = ?3";
const DELETE_ANOMALIES: &str = "DELETE FROM anomalies WHERE source = ?1 AND grant_key = ?2";
const COUNT_TOTALS: &str = "UPDATE totals SET grants = (SELECT count(*) FROM grants), \
     windows = (SELECT count(*) FROM windows), anomalies = (SELECT count(*) FROM anomalies) WHERE id = 1";
const PROJECTED: &str = "SELECT grants, (SELECT count(*) FROM segments WHERE segments <> x''), windows, anomalies \
     FROM totals WHERE id = 1";

impl Session<'_> {
    pub(super) fn mend_projection(
        &self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<bool, StoreError> {
        let Some(new) = projection else {
            return self.drop_projection(grant, &self.users_named(grant)?);
        };
        if self.is_stored(grant, new)? {
            return Ok(false);
        }
        self.drop_projection(grant, &new.users)?;
        self.put_projection(grant, new)?;
        Ok(true)
    }

    pub(super) fn count_projected(&self) -> Result<Projected, StoreError> {
        self.write_totals()?;
        self.run(COUNT_TOTALS, [])?;
        let projected = self.one(PROJECTED, [], |row| {
            Ok(Projected {
                grants: rows::count(row, 0)?,
                users: rows::count(row, 1)?,
                windows: rows::count(row, 2)?,
                anomalies: rows::count(row, 3)?,
            })
        })?;
        Ok(projected.unwrap_or_default())
    }

    /// Whether exactly this is stored of the grant. Rows of users whom no event of the grant names are not looked for.
    fn is_stored(&self, grant: &GrantId, new: &Projection) -> Result<bool, StoreError> {
        let is =
            |segments: Vec<u8>| move |row: &Row<'_>| Ok(row.get_ref(0)?.as_blob()? == segments);
        let beside_grant = pack_of_nobody(&new.users, &new.segments);
        if self.one(GRANT, of_grant(grant), is(beside_grant))? != Some(true) {
            return Ok(false);
        }
        let [source, key] = of_grant(grant);
        for user in &new.users {
            let params = [user.as_str(), source, key];
            let beside_user = pack(&new.segments, Some(user));
            if self.one(SEGMENTS, params, is(beside_user))? != Some(true)
                || !self.are_windows(grant, user, &new.windows)?
            {
                return Ok(false);
            }
        }
        self.are_anomalies(grant, &new.anomalies)
    }

    /// Whether the windows of the grant that are stored for the user are those of them that are theirs.
    fn are_windows(
        &self,
        grant: &GrantId,
        user: &UserId,
        windows: &[Window],
    ) -> Result<bool, StoreError> {
        let [source, key] = of_grant(grant);
        let mut own = windows.iter().filter(|window| window.user == *user);
        let mut are_same = true;
        self.each(WINDOWS, [user.as_str(), source, key], |row| {
            let (start, end) = (row.get_ref(0)?.as_i64()?, row.get_ref(1)?.as_i64()?);
            let product = row.get_ref(3)?.as_bytes()?;
            are_same = own.next().is_some_and(|window| {
                (window.start.micros(), window.end.micros()) == (start, end)
                    && window.product.as_str().as_bytes() == product
            });
            Ok(are_same)
        })?;
        Ok(are_same && own.next().is_none())
    }

    fn are_anomalies(
        &self,
        grant: &GrantId,
        anomalies: &[RecordedAnomaly],
    ) -> Result<bool, StoreError> {
        let mut missing: BTreeSet<(i64, i64, Vec<u8>)> = anomalies
            .iter()
            .map(|it| {
                let name = it.anomaly.name().as_bytes().to_vec();
                (rows::number(it.position), i64::from(it.index), name)
            })
            .collect();
        let mut are_same = true;
        self.each(ANOMALIES, of_grant(grant), |row| {
            let (position, index) = (row.get_ref(0)?.as_i64()?, row.get_ref(1)?.as_i64()?);
            let name = row.get_ref(4)?.as_bytes()?.to_vec();
            are_same = missing.remove(&(position, index, name));
            Ok(are_same)
        })?;
        Ok(are_same && missing.is_empty())
    }

    /// Removes what the grant gives a user. Says how many windows that were.
    pub(super) fn delete_windows(
        &self,
        grant: &GrantId,
        user: &UserId,
    ) -> Result<usize, StoreError> {
        let [source, key] = of_grant(grant);
        let deleted = self.run(DELETE_WINDOWS, params![user.as_str(), source, key])?;
        self.add(|totals| totals.windows -= rows::limit(deleted));
        Ok(deleted)
    }

    /// Removes what is stored of a grant that names these users. Says whether there was anything.
    fn drop_projection(
        &self,
        grant: &GrantId,
        users: &BTreeSet<UserId>,
    ) -> Result<bool, StoreError> {
        let mut windows = 0;
        for user in users {
            windows += self.delete_windows(grant, user)?;
        }
        let anomalies = self.run(DELETE_ANOMALIES, of_grant(grant))?;
        let grants = self.delete_grant(grant)?;
        let told = self.tell_segments(grant, users, &[])?;
        self.add(|totals| {
            totals.grants -= rows::limit(grants);
            totals.anomalies -= rows::limit(anomalies);
        });
        Ok(windows + anomalies + grants + told > 0)
    }
}
