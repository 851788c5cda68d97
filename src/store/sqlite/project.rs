//! Replacing the projection of a grant. Most of it stays from one event to the next, so only what differs is written.

use std::collections::BTreeSet;

use rusqlite::params;

use super::Session;
use super::of_grant::of_grant;
use super::packed::pack;
use super::queries::GRANT;
use super::rows;
use crate::domain::id::{GrantId, UserId};
use crate::domain::window::{Segment, Window, windows};
use crate::store::{Projection, RecordedAnomaly, StoreError};

const PUT_GRANT: &str = "INSERT INTO grants (source, grant_key, segments, anomalies) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT DO UPDATE SET segments = excluded.segments, anomalies = excluded.anomalies";
const DELETE_GRANT: &str = "DELETE FROM grants WHERE source = ?1 AND grant_key = ?2";
const REPEAT_SEGMENTS: &str = "UPDATE segments SET segments = ?4 \
     WHERE user_id = ?1 AND source = ?2 AND grant_key = ?3 AND segments <> ?4";
const PUT_WINDOW: &str = "INSERT INTO windows (user_id, start_at, source, grant_key, end_at, product) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const MOVE_WINDOW_END: &str = "UPDATE windows SET end_at = ?5 \
     WHERE user_id = ?1 AND start_at = ?2 AND source = ?3 AND grant_key = ?4";
const DELETE_WINDOW: &str = "DELETE FROM windows \
     WHERE user_id = ?1 AND start_at = ?2 AND source = ?3 AND grant_key = ?4";
const PUT_ANOMALY: &str = "INSERT INTO anomalies (position, event_index, source, grant_key, anomaly) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
const DELETE_ANOMALY: &str = "DELETE FROM anomalies \
     WHERE position = ?1 AND event_index = ?2 AND source = ?3 AND grant_key = ?4 AND anomaly = ?5";

/// The row of a grant.
struct Kept {
    segments: Vec<Segment>,
    anomalies: i64,
}

impl Session<'_> {
    pub(super) fn replace_projection(
        &self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<(), StoreError> {
        let kept = self.one(GRANT, of_grant(grant), |row| {
            Ok(Kept {
                segments: rows::segments(row, 0, None)?,
                anomalies: row.get(1)?,
            })
        })?;
        match (kept, projection) {
            (None, None) => Ok(()),
            (Some(kept), None) => self.remove(grant, &kept),
            // Without a row there is nothing else stored, so there is nothing to compare with.
            (None, Some(new)) => self.put_projection(grant, new),
            (Some(kept), Some(new)) => self.replace(grant, &kept, new),
        }
    }

    /// Writes a projection of which nothing is stored.
    pub(super) fn put_projection(
        &self,
        grant: &GrantId,
        new: &Projection,
    ) -> Result<(), StoreError> {
        let segments = pack(&new.segments);
        self.put_grant(grant, new, &segments)?;
        self.add(|totals| totals.grants += 1);
        self.repeat_segments(grant, &new.users, &segments)?;
        self.put_windows(grant, &new.windows)?;
        self.put_anomalies(grant, &new.anomalies)
    }

    pub(super) fn delete_grant(&self, grant: &GrantId) -> Result<usize, StoreError> {
        self.run(DELETE_GRANT, of_grant(grant))
    }

    fn remove(&self, grant: &GrantId, kept: &Kept) -> Result<(), StoreError> {
        self.delete_grant(grant)?;
        self.add(|totals| totals.grants -= 1);
        self.repeat_segments(grant, &self.users_named(grant)?, &[])?;
        self.replace_windows(grant, &windows(&kept.segments), &[])?;
        self.replace_anomalies(grant, kept, &[])
    }

    fn replace(&self, grant: &GrantId, kept: &Kept, new: &Projection) -> Result<(), StoreError> {
        let segments = pack(&new.segments);
        let is_same = kept.segments == new.segments;
        if !is_same || kept.anomalies != rows::limit(new.anomalies.len()) {
            self.put_grant(grant, new, &segments)?;
        }
        // Also where they are the same: a user may be named for the first time.
        self.repeat_segments(grant, &new.users, &segments)?;
        if !is_same {
            self.replace_windows(grant, &windows(&kept.segments), &new.windows)?;
        }
        self.replace_anomalies(grant, kept, &new.anomalies)
    }

    fn put_grant(
        &self,
        grant: &GrantId,
        new: &Projection,
        segments: &[u8],
    ) -> Result<(), StoreError> {
        let [source, key] = of_grant(grant);
        let params = params![source, key, segments, rows::limit(new.anomalies.len())];
        self.run(PUT_GRANT, params).map(|_| ())
    }

    pub(super) fn repeat_segments<'u>(
        &self,
        grant: &GrantId,
        users: impl IntoIterator<Item = &'u UserId>,
        segments: &[u8],
    ) -> Result<usize, StoreError> {
        let [source, key] = of_grant(grant);
        let mut altered = 0;
        for user in users {
            let params = params![user.as_str(), source, key, segments];
            altered += self.run(REPEAT_SEGMENTS, params)?;
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
        kept: &Kept,
        new: &[RecordedAnomaly],
    ) -> Result<(), StoreError> {
        if kept.anomalies == 0 {
            return self.put_anomalies(grant, new);
        }
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
