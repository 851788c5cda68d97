//! Replacing the projection of a grant. Most of it stays from one event to the next, so only what differs is written.

use rusqlite::params;

use super::queries::STATE;
use super::read::of_grant;
use super::{Session, rows};
use crate::domain::grant::State;
use crate::domain::id::GrantId;
use crate::domain::window::{LivePhase, Phase, Segment, Window};
use crate::store::{Projection, RecordedAnomaly, StoreError};

const PUT_STATE: &str = "INSERT INTO grants (source, grant_key, state) VALUES (?1, ?2, ?3) \
     ON CONFLICT DO UPDATE SET state = excluded.state";
const DELETE_STATE: &str = "DELETE FROM grants WHERE source = ?1 AND grant_key = ?2";
const PUT_SEGMENT: &str = "INSERT INTO segments (source, grant_key, from_at, to_at, phase, user_id, product, start_at, \
     paid_until, end_at, cancelled, suspended, parent_ended, how, cause) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
const DELETE_SEGMENTS_FROM: &str =
    "DELETE FROM segments WHERE source = ?1 AND grant_key = ?2 AND from_at >= ?3";
const PUT_WINDOW: &str = "INSERT INTO windows (user_id, start_at, source, grant_key, end_at, product) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const MOVE_WINDOW_END: &str = "UPDATE windows SET end_at = ?5 \
     WHERE user_id = ?1 AND start_at = ?2 AND source = ?3 AND grant_key = ?4";
const DELETE_WINDOW: &str = "DELETE FROM windows \
     WHERE user_id = ?1 AND start_at = ?2 AND source = ?3 AND grant_key = ?4";
const PUT_ANOMALY: &str = "INSERT INTO anomalies (position, event_index, source, grant_key, anomaly) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
const DELETE_ANOMALIES: &str = "DELETE FROM anomalies WHERE source = ?1 AND grant_key = ?2";

impl Session<'_> {
    pub(super) fn replace_projection(
        &self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<(), StoreError> {
        let stored: Option<String> = self.one(STATE, of_grant(grant), |row| row.get(0))?;
        match (stored, projection) {
            (None, None) => Ok(()),
            (Some(_), None) => {
                self.run(DELETE_STATE, of_grant(grant))?;
                self.add(|totals| totals.grants -= 1);
                self.replace_parts(grant, &[], &[], &[])
            }
            (None, Some(new)) => {
                self.put_state(grant, &state_text(&new.state)?)?;
                self.add(|totals| totals.grants += 1);
                // Without a state there is nothing else stored, so there is nothing to compare with.
                new.segments
                    .iter()
                    .try_for_each(|segment| self.put_segment(grant, segment))?;
                self.put_windows(grant, &new.windows)?;
                self.put_anomalies(grant, &new.anomalies)
            }
            (Some(stored), Some(new)) => {
                let state = state_text(&new.state)?;
                if state != stored {
                    self.put_state(grant, &state)?;
                }
                self.replace_parts(grant, &new.segments, &new.windows, &new.anomalies)
            }
        }
    }

    fn replace_parts(
        &self,
        grant: &GrantId,
        segments: &[Segment],
        windows: &[Window],
        anomalies: &[RecordedAnomaly],
    ) -> Result<(), StoreError> {
        self.replace_segments(grant, segments)?;
        self.replace_windows(grant, windows)?;
        if self.anomalies(grant)? != anomalies {
            let deleted = self.run(DELETE_ANOMALIES, of_grant(grant))?;
            self.add(|totals| totals.anomalies -= rows::limit(deleted));
            self.put_anomalies(grant, anomalies)?;
        }
        Ok(())
    }

    /// Keeps the segments up to the first that differs.
    fn replace_segments(&self, grant: &GrantId, new: &[Segment]) -> Result<(), StoreError> {
        let old = self.segments(grant)?;
        let alike = old
            .iter()
            .zip(new)
            .take_while(|(old, new)| old == new)
            .count();
        if let Some(first) = old.get(alike) {
            let [source, key] = of_grant(grant);
            let params = params![source, key, first.from.micros()];
            self.run(DELETE_SEGMENTS_FROM, params)?;
        }
        new.iter()
            .skip(alike)
            .try_for_each(|segment| self.put_segment(grant, segment))
    }

    /// Keeps the windows that are alike. The last one, whose end alone was moved, is changed in its place.
    fn replace_windows(&self, grant: &GrantId, new: &[Window]) -> Result<(), StoreError> {
        let old = self.windows(grant)?;
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

    fn put_state(&self, grant: &GrantId, state: &str) -> Result<(), StoreError> {
        let [source, key] = of_grant(grant);
        self.run(PUT_STATE, [source, key, state]).map(|_| ())
    }

    fn put_segment(&self, grant: &GrantId, segment: &Segment) -> Result<(), StoreError> {
        let [source, key] = of_grant(grant);
        let (from, to) = (segment.from.micros(), segment.to.micros());
        let user = segment.holder().map(|user| user.as_str());
        let none: Option<i64> = None;
        match &segment.phase {
            Phase::Live(LivePhase {
                user: _,
                product,
                start,
                paid_until,
                end,
                cancelled,
                suspended,
                parent_ended,
            }) => self.run(
                PUT_SEGMENT,
                params![
                    source,
                    key,
                    from,
                    to,
                    "live",
                    user,
                    product.as_str(),
                    start.micros(),
                    paid_until.micros(),
                    end.micros(),
                    cancelled,
                    suspended,
                    parent_ended,
                    none,
                    none,
                ],
            ),
            Phase::Over { how, holder: _ } => {
                let (how, cause) = rows::how_columns(*how);
                let params = params![
                    source, key, from, to, "over", user, none, none, none, none, none, none, none,
                    how, cause,
                ];
                self.run(PUT_SEGMENT, params)
            }
        }
        .map(|_| ())
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

    fn put_anomalies(
        &self,
        grant: &GrantId,
        anomalies: &[RecordedAnomaly],
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

fn state_text(state: &State) -> Result<String, StoreError> {
    serde_json::to_string(state).map_err(|error| StoreError::Corrupt(error.to_string()))
}
