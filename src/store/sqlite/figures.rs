//! The figures of a database, without a scan of the log.

use rusqlite::OptionalExtension as _;

use super::{Session, rows};
use crate::store::{Snapshot as _, Statistics, StoreError};

impl Session<'_> {
    pub(super) fn figures(&self) -> Result<Statistics, StoreError> {
        let read = || {
            let totals =
                "SELECT applied, ignored, repeated, events, grants, windows, anomalies FROM totals";
            let (mut figures, repeated) = self.connection.query_row(totals, [], |row| {
                let figures = Statistics {
                    applied: rows::count(row, 0)?,
                    ignored: rows::count(row, 1)?,
                    events: rows::count(row, 3)?,
                    grants: rows::count(row, 4)?,
                    windows: rows::count(row, 5)?,
                    anomalies: rows::count(row, 6)?,
                    ..Statistics::default()
                };
                Ok((figures, rows::count(row, 2)?))
            })?;
            let parked = "SELECT count(*), count(*) FILTER (WHERE q.settled = 'open'), coalesce(sum(r.count), 0) \
                 FROM quarantine q LEFT JOIN repetitions r ON r.position = q.position WHERE q.settled <> 'retried'";
            let (kept, open, parked_again) = self.connection.query_row(parked, [], |row| {
                Ok((
                    rows::count(row, 0)?,
                    rows::count(row, 1)?,
                    rows::count(row, 2)?,
                ))
            })?;
            // Settled by another delivery, it is a repetition of that one.
            let taken_before = "SELECT count(*) FROM quarantine q CROSS JOIN deliveries d ON d.position = q.settled_by \
                 WHERE q.settled = 'retried' AND d.kind = 'delivery'";
            let taken_before = self
                .connection
                .query_row(taken_before, [], |row| rows::count(row, 0))?;
            figures.parked = open;
            figures.quarantined = kept.saturating_add(parked_again);
            figures.duplicate = repeated
                .saturating_sub(parked_again)
                .saturating_add(taken_before);
            figures.received = [figures.ignored, figures.quarantined, figures.duplicate]
                .into_iter()
                .fold(figures.applied, u64::saturating_add);
            let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
            let bytes = self
                .connection
                .query_row(size, [], |row| rows::count(row, 0));
            figures.bytes = bytes.optional()?.unwrap_or(0);
            Ok(figures)
        };
        let mut figures = read().map_err(|error: rusqlite::Error| self.note(&error))?;
        figures.entries = self.head()?.position.0;
        Ok(figures)
    }
}
