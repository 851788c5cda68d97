//! Walking through everything of a kind, each row once and in the order in which rows lie.

use rusqlite::Row;

use super::Session;
use super::known::Rare;
use super::queries::{ALL_ANOMALIES, ALL_GRANTS, ALL_SEGMENTS, ALL_WINDOWS, events_by_grant};
use super::rows;
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::id::GrantId;
use crate::store::{EachGrant, Order, ProjectionSums, StoreError};

/// How much of the file SQLite keeps in memory on a walk, in KiB, as it takes it. A walk comes to each page once, so all that
/// is kept beyond what lies on the way from the root is kept for nothing, and this much stays near the processor.
const KEPT: i64 = -512;

impl Session<'_> {
    pub(super) fn walk_grants(
        &self,
        order: Order,
        each: &mut EachGrant<'_>,
    ) -> Result<(), StoreError> {
        self.walking(|| self.each_grant_in(order, each))
    }

    pub(super) fn sum_rows(&self, sums: &mut ProjectionSums) -> Result<(), StoreError> {
        self.walking(|| self.each_row_into(sums))
    }

    fn walking(&self, walk: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        let failed = |error| self.note(&error);
        let keep = |kept: i64| self.connection.pragma_update(None, "cache_size", kept);
        let before = self
            .connection
            .pragma_query_value(None, "cache_size", |row| row.get(0))
            .map_err(failed)?;
        keep(KEPT).map_err(failed)?;
        let walked = walk();
        walked.and(keep(before).map_err(failed))
    }

    fn each_grant_in(&self, order: Order, each: &mut EachGrant<'_>) -> Result<(), StoreError> {
        let sql = events_by_grant(order, self.has(Rare::Withdrawal)?);
        let mut events: Vec<RecordedEvent> = Vec::new();
        let mut done = Ok(true);
        self.each(&sql, [], |row| {
            let event = rows::event_after(row, events.last())?;
            if events
                .last()
                .is_some_and(|last| grant_of(last) != grant_of(&event))
            {
                done = hand_over(&mut events, order, each);
                events.clear();
            }
            events.push(event);
            Ok(matches!(done, Ok(true)))
        })?;
        if done? && !events.is_empty() {
            hand_over(&mut events, order, each)?;
        }
        Ok(())
    }

    fn each_row_into(&self, sums: &mut ProjectionSums) -> Result<(), StoreError> {
        self.each(ALL_GRANTS, [], |row| {
            sums.add_grant(grant(row)?, bytes(row, 2)?);
            Ok(true)
        })?;
        self.each(ALL_SEGMENTS, [], |row| {
            sums.add_user(grant(row)?, bytes(row, 2)?, bytes(row, 3)?);
            Ok(true)
        })?;
        self.each(ALL_WINDOWS, [], |row| {
            let ends = [row.get(3)?, row.get(4)?];
            sums.add_window(grant(row)?, bytes(row, 2)?, ends, bytes(row, 5)?);
            Ok(true)
        })?;
        self.each(ALL_ANOMALIES, [], |row| {
            sums.add_anomaly(grant(row)?, row.get(2)?, row.get(3)?, bytes(row, 4)?);
            Ok(true)
        })
    }
}

fn grant<'r>(row: &'r Row<'_>) -> rusqlite::Result<[&'r [u8]; 2]> {
    Ok([bytes(row, 0)?, bytes(row, 1)?])
}

/// The bytes of a text or a blob, of which no table can hold the other.
fn bytes<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r [u8]> {
    Ok(row.get_ref(column)?.as_bytes()?)
}

fn grant_of(event: &RecordedEvent) -> Option<&GrantId> {
    match &event.event.statement {
        Statement::Grant(statement) => Some(&statement.grant),
        Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => None,
    }
}

fn hand_over(
    events: &mut Vec<RecordedEvent>,
    order: Order,
    each: &mut EachGrant<'_>,
) -> Result<bool, StoreError> {
    let Some(grant) = events.last().and_then(grant_of).cloned() else {
        return Ok(true);
    };
    if order == Order::Descending {
        events.reverse();
    }
    each(grant, events)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use rusqlite::Connection;

    use super::super::known::Known;
    use super::*;

    #[test]
    fn after_a_walk_that_failed_too_as_many_pages_are_kept_as_before() {
        let connection = Connection::open_in_memory().unwrap();
        let kept = || -> i64 {
            let read = connection.pragma_query_value(None, "cache_size", |row| row.get(0));
            read.unwrap()
        };
        connection
            .pragma_update(None, "cache_size", -1_234)
            .unwrap();
        let session = Session::new(&connection, None, Known::default());
        for ends_well in [true, false] {
            let walk = || {
                assert_eq!(kept(), KEPT);
                ends_well.then_some(()).ok_or(StoreError::KeyHeld)
            };
            assert_eq!(session.walking(walk).is_ok(), ends_well);
            assert_eq!(kept(), -1_234);
        }
    }
}
