//! Every statement a read runs is a look-up: it neither walks through a table nor sorts.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use super::queries::*;
use super::{SqliteStore, SqliteStoreOptions};
use crate::store::Order;

const LOOK_UPS: &[&str] = &[
    HEAD,
    POSITION_AT,
    ENTRY,
    ENTRIES_AFTER,
    EVENTS_OF,
    KEY_HOLDER,
    PARKED,
    PARKED_AFTER,
    PARKED_MENTIONING,
    PARKED_WITH_KEY,
    LATEST_PACKET,
    GRANT_EVENTS_AFTER,
    GRANT_EVENTS_AFTER_ALL_STANDING,
    HAS_WITHDRAWALS,
    HAS_FORMER_KEYS,
    USER_EVENTS,
    LINKS_OF_USER,
    LINKS_OF_ALIAS,
    GRANTS_NAMING,
    HAS_LINKS,
    HAS_PARENTS,
    HAS_USER_STATEMENTS,
    USERS_AFTER,
    LINKED_AFTER,
    USERS_STATED_AFTER,
    HOLDERS_AFTER,
    WINDOW_BOUNDS_AFTER,
    CHILDREN,
    GRANTS_AFTER,
    IS_NAMED,
    RULES,
    GRANT,
    GRANT_USERS,
    GRANT_NAMES,
    SEGMENTS,
    SEGMENTS_NAMING,
    SEGMENTS_AFTER,
    WINDOWS,
    WINDOWS_OF,
    PROJECTED_AFTER,
    ANOMALIES,
    ANOMALIES_FROM,
    BATCH,
    ERASURES,
    FORMER_KEY,
    PACKETS_AFTER,
    "SELECT product FROM windows WHERE user_id = ?1 AND start_at <= ?2 AND end_at > ?2",
];

#[test]
fn every_read_is_a_look_up_in_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenure.db");
    let mut store = SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
    let connection = store.file.take().unwrap();
    let walks = [Order::Ascending, Order::Descending]
        .map(|order| [true, false].map(|has_withdrawals| events_by_grant(order, has_withdrawals)));
    let walks = walks.iter().flatten().map(String::as_str);
    for sql in LOOK_UPS.iter().copied().chain(walks) {
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        // Parameters left unbound are null, which changes no plan.
        let mut rows = statement.raw_query();
        let mut plan = String::new();
        while let Some(row) = rows.next().unwrap() {
            plan.push_str(&row.get::<_, String>(3).unwrap());
            plan.push('\n');
        }
        // A scan without an index it is restricted by, or a sort.
        let plan = plan.replace("SCAN CONSTANT ROW", "");
        // The list of products that is handed in.
        let plan = plan.replace("SCAN json_each", "");
        assert!(
            !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"),
            "{sql}\n{plan}"
        );
    }
}
