//! The statements that read. Every one is a look-up in an index; `plans.rs` checks it.

use super::rows::{entry_columns, event_columns, withdrawn_at};
use crate::store::{EntryFilter, Order};

pub(super) const HEAD: &str = "SELECT position, recorded_at, hash FROM deliveries \
     WHERE position = (SELECT max(position) FROM deliveries)";
pub(super) const POSITION_AT: &str = "SELECT position FROM deliveries WHERE recorded_at <= ?1 \
     ORDER BY recorded_at DESC LIMIT 1";
pub(super) const ENTRY: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM deliveries d WHERE d.position = ?1"
);
pub(super) const ENTRIES_AFTER: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM deliveries d WHERE d.position > ?1 ORDER BY d.position LIMIT ?2"
);
pub(super) const EVENTS_OF: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e WHERE e.position = ?1 ORDER BY e.event_index"
);
pub(super) const KEY_HOLDER: &str = "SELECT position FROM deliveries \
     WHERE source = ?1 AND dedupe_key = ?2 AND outcome IN ('applied', 'ignored')";
pub(super) const PARKED_WITH_KEY: &str = "SELECT q.position, q.settled, q.settled_by, d.reason, d.field, d.detail \
     FROM quarantine q CROSS JOIN deliveries d ON d.position = q.position \
     WHERE q.source = ?1 AND q.dedupe_key = ?2 ORDER BY q.position";
pub(super) const PARKED_MENTIONING: &str =
    "SELECT position FROM mentions WHERE mention = ?1 ORDER BY position";
pub(super) const PARKED: &str = "SELECT q.position, q.settled, q.settled_by, d.reason, d.field, d.detail \
     FROM quarantine q CROSS JOIN deliveries d ON d.position = q.position WHERE q.position = ?1";
pub(super) const PARKED_AFTER: &str = "SELECT q.position, q.settled, q.settled_by, d.reason, d.field, d.detail \
     FROM quarantine q CROSS JOIN deliveries d ON d.position = q.position \
     WHERE q.position > ?1 ORDER BY q.position LIMIT ?2";
pub(super) const LATEST_PACKET: &str =
    "SELECT dedupe_key, text_digest FROM packets WHERE source = ?1 AND grant_key = ?2";
pub(super) const GRANT_EVENTS_AFTER: &str = concat!(
    "SELECT ",
    event_columns!(of_grant),
    " FROM events e WHERE e.source = ?1 AND e.grant_key = ?2 AND e.position > ?3 \
     ORDER BY e.position, e.event_index"
);
/// As [`GRANT_EVENTS_AFTER`], where nothing was ever withdrawn.
pub(super) const GRANT_EVENTS_AFTER_ALL_STANDING: &str = concat!(
    "SELECT ",
    event_columns!(of_grant, all_standing),
    " FROM events e WHERE e.source = ?1 AND e.grant_key = ?2 AND e.position > ?3 \
     ORDER BY e.position, e.event_index"
);
/// Every event that names a grant, those of one grant together. As [`GRANT_EVENTS_AFTER`] or [`GRANT_EVENTS_AFTER_ALL_STANDING`].
pub(super) fn events_by_grant(order: Order, has_withdrawals: bool) -> String {
    let columns = match has_withdrawals {
        true => event_columns!(of_grant),
        false => event_columns!(of_grant, all_standing),
    };
    let order = match order {
        Order::Ascending => "e.source, e.grant_key, e.position, e.event_index",
        Order::Descending => "e.source DESC, e.grant_key DESC, e.position DESC, e.event_index DESC",
    };
    format!(
        "SELECT {columns} FROM events e WHERE (e.source, e.grant_key) > ('', '') AND e.grant_key <> '' \
         ORDER BY {order}"
    )
}
pub(super) const USER_EVENTS: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e INDEXED BY events_by_user WHERE e.grant_key = '' AND e.user_id = ?2 AND e.source = ?1 \
     AND e.change <> 'linked' ORDER BY e.position, e.event_index"
);
pub(super) const LINKS_OF_USER: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e INDEXED BY events_by_user WHERE e.grant_key = '' AND e.user_id = ?1 AND e.change = 'linked'"
);
pub(super) const LINKS_OF_ALIAS: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e INDEXED BY events_by_alias WHERE e.grant_key = '' AND e.other_user_id = ?1 \
     AND e.change = 'linked'"
);
pub(super) const HAS_LINKS: &str = "SELECT EXISTS (SELECT 1 FROM events INDEXED BY events_by_alias \
     WHERE grant_key = '' AND other_user_id > '')";
pub(super) const HAS_PARENTS: &str = "SELECT EXISTS (SELECT 1 FROM events INDEXED BY events_by_parent \
     WHERE source > '' AND parent IS NOT NULL)";
pub(super) const HAS_USER_STATEMENTS: &str = "SELECT EXISTS (SELECT 1 FROM events INDEXED BY events_by_user \
     WHERE grant_key = '' AND user_id > '')";
pub(super) const HAS_WITHDRAWALS: &str =
    "SELECT EXISTS (SELECT 1 FROM withdrawals WHERE source > '')";
pub(super) const HAS_FORMER_KEYS: &str =
    "SELECT EXISTS (SELECT 1 FROM former_keys WHERE digest > x'')";
pub(super) const GRANTS_NAMING: &str =
    "SELECT source, grant_key FROM segments WHERE user_id = ?1 ORDER BY source, grant_key";
pub(super) const USERS_AFTER: &str =
    "SELECT DISTINCT user_id FROM segments WHERE user_id > ?1 ORDER BY user_id LIMIT ?2";
pub(super) const LINKED_AFTER: &str = "SELECT user_id FROM events INDEXED BY events_by_user \
     WHERE grant_key = '' AND user_id > ?1 AND change = 'linked' \
     UNION SELECT other_user_id FROM events INDEXED BY events_by_alias \
     WHERE grant_key = '' AND other_user_id > ?1 AND change = 'linked' ORDER BY 1 LIMIT ?2";
pub(super) const USERS_STATED_AFTER: &str = "SELECT DISTINCT user_id FROM events INDEXED BY events_by_user \
     WHERE grant_key = '' AND user_id > ?1 AND change <> 'linked' ORDER BY user_id LIMIT ?2";
pub(super) const HOLDERS_AFTER: &str = "SELECT DISTINCT user_id FROM windows \
     WHERE user_id > ?1 AND start_at <= ?2 AND end_at > ?2 AND product IN (SELECT value FROM json_each(?3)) \
     ORDER BY user_id LIMIT ?4";
pub(super) const WINDOW_BOUNDS_AFTER: &str = "SELECT start_at, user_id FROM windows INDEXED BY windows_by_begin \
     WHERE (start_at, user_id) > (?1, ?2) AND start_at < ?3 \
     UNION SELECT end_at, user_id FROM windows INDEXED BY windows_by_end \
     WHERE (end_at, user_id) > (?1, ?2) AND end_at < ?3 ORDER BY 1, 2 LIMIT ?4";
pub(super) const COUNT_USERS: &str = "SELECT count(DISTINCT user_id) FROM segments";
pub(super) const CHILDREN: &str = "SELECT DISTINCT source, grant_key FROM events INDEXED BY events_by_parent \
     WHERE source = ?1 AND parent = ?2 ORDER BY grant_key";
pub(super) const GRANTS_AFTER: &str = "SELECT DISTINCT source, grant_key FROM events \
     WHERE (source, grant_key) > (?1, ?2) AND grant_key <> '' ORDER BY source, grant_key LIMIT ?3";
macro_rules! known {
    () => {
        "e.recorded_at <= ?2 AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.source = e.delivery_source \
         AND w.dedupe_key = e.dedupe_key AND w.recorded_at <= ?2)"
    };
}
pub(super) const IS_NAMED: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM segments g CROSS JOIN events e ON e.source = g.source \
     AND e.grant_key = g.grant_key WHERE g.user_id = ?1 AND (e.user_id = ?1 OR e.other_user_id = ?1) AND ",
    known!(),
    ") OR EXISTS (SELECT 1 FROM events e INDEXED BY events_by_user WHERE e.grant_key = '' AND e.user_id = ?1 AND ",
    known!(),
    ") OR EXISTS (SELECT 1 FROM events e INDEXED BY events_by_alias WHERE e.grant_key = '' \
     AND e.other_user_id = ?1 AND ",
    known!(),
    ")"
);
pub(super) const RULES: &str = "SELECT position, recorded_at, body FROM deliveries INDEXED BY deliveries_of_rules \
     WHERE kind = 'rules' AND position > 0 ORDER BY position";
pub(super) const GRANT: &str = "SELECT segments FROM grants WHERE source = ?1 AND grant_key = ?2";
pub(super) const GRANT_USERS: &str =
    "SELECT user_id, other_user_id FROM events WHERE source = ?1 AND grant_key = ?2";
/// Of most changes a product is named in its column only.
pub(super) const GRANT_NAMES: &str = "SELECT user_id, other_user_id, product, \
     CASE WHEN change IN ('granted', 'switched') THEN statement END \
     FROM events WHERE source = ?1 AND grant_key = ?2";
pub(super) const SEGMENTS_NAMING: &str = "SELECT source, grant_key, segments FROM segments \
     WHERE user_id = ?1 ORDER BY source, grant_key";
pub(super) const SEGMENTS: &str =
    "SELECT segments FROM segments WHERE user_id = ?1 AND source = ?2 AND grant_key = ?3";
pub(super) const SEGMENTS_AFTER: &str = "SELECT user_id, segments FROM segments \
     WHERE user_id > ?1 ORDER BY user_id, source, grant_key";
pub(super) const WINDOWS: &str = "SELECT start_at, end_at, user_id, product FROM windows \
     WHERE user_id = ?1 AND source = ?2 AND grant_key = ?3 ORDER BY start_at";
pub(super) const WINDOWS_OF: &str = "SELECT start_at, end_at, user_id, product, source, grant_key FROM windows \
     WHERE user_id = ?1 ORDER BY start_at, source, grant_key";
pub(super) const PROJECTED_AFTER: &str = "SELECT source, grant_key FROM grants \
     WHERE (source, grant_key) > (?1, ?2) ORDER BY source, grant_key LIMIT ?3";
pub(super) const ANOMALIES: &str = "SELECT position, event_index, source, grant_key, anomaly FROM anomalies \
     INDEXED BY anomalies_by_grant WHERE source = ?1 AND grant_key = ?2";
pub(super) const ALL_GRANTS: &str = "SELECT source, grant_key, segments FROM grants";
pub(super) const ALL_SEGMENTS: &str = "SELECT source, grant_key, user_id, segments FROM segments";
pub(super) const ALL_WINDOWS: &str =
    "SELECT source, grant_key, user_id, start_at, end_at, product FROM windows NOT INDEXED";
pub(super) const ALL_ANOMALIES: &str =
    "SELECT source, grant_key, position, event_index, anomaly FROM anomalies NOT INDEXED";
pub(super) const ANOMALIES_FROM: &str = "SELECT position, event_index, source, grant_key, anomaly FROM anomalies \
     WHERE (position, event_index) >= (?1, ?2) ORDER BY position, event_index";
pub(super) const BATCH: &str =
    "SELECT lines, digest, receipts FROM batches WHERE run = ?1 AND batch = ?2";
pub(super) const ERASURES: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM deliveries d INDEXED BY deliveries_of_erasures WHERE d.kind = 'erasure' AND d.position > 0 \
     ORDER BY d.position"
);
pub(super) const COUNT_ERASED: &str = "SELECT count(*) FROM erased";
pub(super) const FORMER_KEY: &str = "SELECT now FROM former_keys WHERE digest = ?1";
pub(super) const FORMER_KEYS: &str = "SELECT digest, now FROM former_keys ORDER BY digest";
pub(super) const PACKETS_AFTER: &str = "SELECT source, grant_key, dedupe_key, text_digest FROM packets \
     WHERE (source, grant_key) > (?1, ?2) ORDER BY source, grant_key LIMIT ?3";

/// The statement for a filter; the conditions that are not asked for are left out, so that each one left is a look-up.
pub(super) fn entries_before(filter: &EntryFilter) -> String {
    // Each parameter occurs in every statement, asked for or not, so that all are bound alike.
    let mut sql = concat!(
        "SELECT ",
        entry_columns!(),
        " FROM deliveries d WHERE d.position < :before \
         AND (:source IS NULL OR TRUE) AND (:user IS NULL OR TRUE) AND (:grant IS NULL OR TRUE)"
    )
    .to_owned();
    if filter.source.is_some() {
        sql.push_str(" AND d.source = :source");
    }
    if filter.user.is_some() {
        sql.push_str(
            " AND d.position IN (SELECT e.position FROM segments g CROSS JOIN events e ON e.source = g.source \
             AND e.grant_key = g.grant_key WHERE g.user_id = :user AND (e.user_id = :user OR e.other_user_id = :user) \
             UNION ALL SELECT position FROM events INDEXED BY events_by_user \
             WHERE grant_key = '' AND user_id = :user \
             UNION ALL SELECT position FROM events INDEXED BY events_by_alias \
             WHERE grant_key = '' AND other_user_id = :user)",
        );
    }
    if filter.grant.is_some() {
        // The key alone, whatever the source: the few sources are walked through first.
        sql.push_str(
            " AND d.position IN (WITH RECURSIVE sources (name) AS (SELECT min(source) FROM events UNION ALL \
             SELECT (SELECT min(source) FROM events WHERE source > name) FROM sources WHERE name IS NOT NULL) \
             SELECT e.position FROM sources CROSS JOIN events e ON e.source = name AND e.grant_key = :grant)",
        );
    }
    sql.push_str(" ORDER BY d.position DESC LIMIT :limit");
    sql
}
