//! Replacing the projection of a grant. Most of it stays from one event to the next, so only what differs is written.

use std::collections::BTreeSet;

use rusqlite::params;

use super::Session;
use super::of_grant::of_grant;
use super::packed::{column, pack, pack_of_nobody};
use super::queries::GRANT;
use super::rows;
use crate::domain::id::{GrantId, UserId};
use crate::domain::window::{Segment, Window, windows};
use crate::store::{Projection, RecordedAnomaly, StoreError};

const PUT_GRANT: &str = "INSERT INTO grants (source, grant_key, segments) VALUES (?1, ?2, ?3) \
     ON CONFLICT DO UPDATE SET segments = excluded.segments";
const DELETE_GRANT: &str = "DELETE FROM grants WHERE source = ?1 AND grant_key = ?2";
const TELL_SEGMENTS: &str = "UPDATE segments SET segments = ?4 \
     WHERE user_id = ?1 AND source = ?2 AND grant_key = ?3 AND segments <> ?4";
/// A window that is there already is damage. It is no reason to refuse what comes.
const PUT_WINDOW: &str = "INSERT INTO windows (user_id, start_at, source, grant_key, end_at, product) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET end_at = excluded.end_at, product = excluded.product";
const MOVE_WINDOW_END: &str = "UPDATE windows SET end_at = ?5 \
     WHERE user_id = ?1 AND start_at = ?2 AND source = ?3 AND grant_key = ?4";
const DELETE_WINDOW: &str = "DELETE FROM windows \
     WHERE user_id = ?1 AND start_at = ?2 AND source = ?3 AND grant_key = ?4";
const PUT_ANOMALY: &str = "INSERT INTO anomalies (position, event_index, source, grant_key, anomaly) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
const DELETE_ANOMALY: &str = "DELETE FROM anomalies \
     WHERE position = ?1 AND event_index = ?2 AND source = ?3 AND grant_key = ?4 AND anomaly = ?5";

/// What is stored of a grant.
struct Kept {
    segments: Vec<Segment>,
    /// Whether they lie beside the grant, and not beside a user.
    is_beside_grant: bool,
}

impl Session<'_> {
    pub(super) fn replace_projection(
        &self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<(), StoreError> {
        let named;
        let users = match projection {
            Some(new) => &new.users,
            None => {
                named = self.users_named(grant)?;
                &named
            }
        };
        match (self.kept_segments(grant, users)?, projection) {
            (None, None) => Ok(()),
            (Some(kept), None) => self.remove(grant, users, &kept),
            // Nothing else is stored either, so there is nothing to compare with.
            (None, Some(new)) => self.put_projection(grant, new),
            (Some(kept), Some(new)) => self.replace(grant, &kept, new),
        }
    }

    /// What is stored of a grant whose events name these users; `None` if it has no projection.
    ///
    /// One who is named for the first time is not told of them yet. Whether the grant itself is stored is looked at only where
    /// nobody is told of any.
    fn kept_segments(
        &self,
        grant: &GrantId,
        users: &BTreeSet<UserId>,
    ) -> Result<Option<Kept>, StoreError> {
        for user in users {
            let segments = self.segments_beside(grant, user)?;
            if !segments.is_empty() {
                return Ok(Some(Kept {
                    segments,
                    is_beside_grant: false,
                }));
            }
        }
        self.one(GRANT, of_grant(grant), |row| {
            Ok(Kept {
                segments: column::segments(row, 0, None)?,
                is_beside_grant: true,
            })
        })
    }

    /// Writes a projection of which nothing is stored.
    pub(super) fn put_projection(
        &self,
        grant: &GrantId,
        new: &Projection,
    ) -> Result<(), StoreError> {
        self.put_grant(grant, new)?;
        self.add(|totals| totals.grants += 1);
        self.tell_segments(grant, &new.users, &new.segments)?;
        self.put_windows(grant, &new.windows)?;
        self.put_anomalies(grant, &new.anomalies)
    }

    pub(super) fn delete_grant(&self, grant: &GrantId) -> Result<usize, StoreError> {
        self.run(DELETE_GRANT, of_grant(grant))
    }

    fn remove(
        &self,
        grant: &GrantId,
        users: &BTreeSet<UserId>,
        kept: &Kept,
    ) -> Result<(), StoreError> {
        self.delete_grant(grant)?;
        self.add(|totals| totals.grants -= 1);
        self.tell_segments(grant, users, &[])?;
        self.replace_windows(grant, &windows(&kept.segments), &[])?;
        self.replace_anomalies(grant, &[])
    }

    fn replace(&self, grant: &GrantId, kept: &Kept, new: &Projection) -> Result<(), StoreError> {
        // The first user may be named.
        if kept.is_beside_grant && !(kept.segments == new.segments && new.users.is_empty()) {
            self.put_grant(grant, new)?;
        }
        self.replace_known(grant, &windows(&kept.segments), new)
    }

    /// Replaces a projection that lies beside users and has these windows.
    pub(super) fn replace_known(
        &self,
        grant: &GrantId,
        before: &[Window],
        new: &Projection,
    ) -> Result<(), StoreError> {
        // Also where they are the same: a user may be named for the first time.
        self.tell_segments(grant, &new.users, &new.segments)?;
        self.replace_windows(grant, before, &new.windows)?;
        self.replace_anomalies(grant, &new.anomalies)
    }

    fn put_grant(&self, grant: &GrantId, new: &Projection) -> Result<(), StoreError> {
        let [source, key] = of_grant(grant);
        let segments = pack_of_nobody(&new.users, &new.segments);
        self.run(PUT_GRANT, params![source, key, segments])
            .map(|_| ())
    }

    /// Puts the segments of the grant beside each of these users. Says in how many rows that made a difference.
    pub(super) fn tell_segments<'u>(
        &self,
        grant: &GrantId,
        users: impl IntoIterator<Item = &'u UserId>,
        segments: &[Segment],
    ) -> Result<usize, StoreError> {
        let [source, key] = of_grant(grant);
        let mut altered = 0;
        for user in users {
            let params = params![user.as_str(), source, key, pack(segments, Some(user))];
            altered += self.run(TELL_SEGMENTS, params)?;
        }
        Ok(altered)
    }

    /// Keeps the windows that are alike. The last one, whose end alone was moved, is changed in its place.
    fn replace_windows(
        &self,
        grant: &GrantId,
        old: &[Window],
        new: &[Window],
    ) -> Result<(), StoreError> {
        let alike = old
            .iter()
            .zip(new)
            .take_while(|(old, new)| old == new)
            .count();
        let mut old = old.get(alike..).unwrap_or_default();
        let mut new = new.get(alike..).unwrap_or_default();
        let [source, key] = of_grant(grant);
        if let (Some((last, others)), Some((next, rest))) = (old.split_first(), new.split_first())
            && (&last.user, &last.product, last.start) == (&next.user, &next.product, next.start)
        {
            let (user, start) = (next.user.as_str(), next.start.micros());
            let params = params![user, start, source, key, next.end.micros()];
            self.run(MOVE_WINDOW_END, params)?;
            (old, new) = (others, rest);
        }
        for window in old {
            let params = params![window.user.as_str(), window.start.micros(), source, key];
            let deleted = self.run(DELETE_WINDOW, params)?;
            self.add(|totals| totals.windows -= rows::limit(deleted));
        }
        self.put_windows(grant, new)
    }

    fn put_windows(&self, grant: &GrantId, windows: &[Window]) -> Result<(), StoreError> {
        let [source, key] = of_grant(grant);
        for window in windows {
            let (start, end) = (window.start.micros(), window.end.micros());
            let params = params![
                window.user.as_str(),
                start,
                source,
                key,
                end,
                window.product.as_str()
            ];
            let put = self.run(PUT_WINDOW, params)?;
            self.add(|totals| totals.windows += rows::limit(put));
        }
        Ok(())
    }

    /// Keeps the anomalies that are alike: of a long grant most are, and they lie far apart.
    fn replace_anomalies(
        &self,
        grant: &GrantId,
        new: &[RecordedAnomaly],
    ) -> Result<(), StoreError> {
        let old: BTreeSet<RecordedAnomaly> = self.anomalies(grant)?.into_iter().collect();
        let new: BTreeSet<RecordedAnomaly> = new.iter().cloned().collect();
        let [source, key] = of_grant(grant);
        for anomaly in old.difference(&new) {
            let position = rows::number(anomaly.position);
            let params = params![position, anomaly.index, source, key, anomaly.anomaly.name()];
            let deleted = self.run(DELETE_ANOMALY, params)?;
            self.add(|totals| totals.anomalies -= rows::limit(deleted));
        }
        self.put_anomalies(grant, new.difference(&old))
    }

    fn put_anomalies<'a>(
        &self,
        grant: &GrantId,
        anomalies: impl IntoIterator<Item = &'a RecordedAnomaly>,
    ) -> Result<(), StoreError> {
        let [source, key] = of_grant(grant);
        for anomaly in anomalies {
            let position = rows::number(anomaly.position);
            let params = params![position, anomaly.index, source, key, anomaly.anomaly.name()];
            let put = self.run(PUT_ANOMALY, params)?;
            self.add(|totals| totals.anomalies += rows::limit(put));
        }
        Ok(())
    }
}
