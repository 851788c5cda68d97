//! What can be read from the tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{named_params, params};

use super::known::Rare;
use super::of_grant::of_grant;
use super::packed::column;
use super::queries::{
    ANOMALIES_FROM, BATCH, CHILDREN, COUNT_ERASED, COUNT_USERS, ENTRIES_AFTER, ENTRY, ERASURES,
    EVENTS_OF, FORMER_KEY, FORMER_KEYS, GRANT, GRANT_EVENTS_AFTER, GRANT_EVENTS_AFTER_ALL_STANDING,
    GRANTS_AFTER, GRANTS_NAMING, HOLDERS_AFTER, IS_NAMED, KEY_HOLDER, LATEST_PACKET, LINKED_AFTER,
    LINKS_OF_ALIAS, LINKS_OF_USER, PACKETS_AFTER, PARKED, PARKED_AFTER, PARKED_MENTIONING,
    PARKED_WITH_KEY, POSITION_AT, PROJECTED_AFTER, SEGMENTS_AFTER, SEGMENTS_NAMING, USER_EVENTS,
    USERS_AFTER, USERS_STATED_AFTER, WINDOW_BOUNDS_AFTER, WINDOWS_OF,
};
use super::rows::{self, Columns};
use super::{Session, queries};
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::id::{
    DedupeKey, GrantId, GrantKey, Mention, Position, ProductName, SourceName, UserId,
};
use crate::domain::time::{Instant, RecordedAt};
use crate::domain::window::{Segment, Window};
use crate::store::{
    BatchMark, EachGrant, Entry, EntryFilter, FormerKey, GrantNames, Hash, Head, Order, Packet,
    Parked, Projection, ProjectionSums, RecordedAnomaly, RecordedLink, RecordedRules, RunId,
    Snapshot, Statistics, StoreError, UserGrants, UserSegments,
};

impl Snapshot for Session<'_> {
    fn head(&self) -> Result<Head, StoreError> {
        self.known_head()
    }

    fn position_at(&self, known_at: RecordedAt) -> Result<Position, StoreError> {
        let position = self.one(POSITION_AT, [known_at.0.micros()], |row| row.position(0))?;
        Ok(position.unwrap_or_default())
    }

    fn entry(&self, position: Position) -> Result<Option<Entry>, StoreError> {
        self.one(ENTRY, [rows::number(position)], rows::entry)
    }

    fn entries_after(&self, after: Position, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let params = [rows::number(after), rows::limit(limit)];
        self.all(ENTRIES_AFTER, params, rows::entry)
    }

    fn entries_before(
        &self,
        before: Option<Position>,
        filter: &EntryFilter,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.all(
            &queries::entries_before(filter),
            named_params! {
                ":before": before.map_or(i64::MAX, rows::number),
                ":source": filter.source.as_ref().map(SourceName::as_str),
                ":user": filter.user.as_ref().map(UserId::as_str),
                ":grant": filter.grant.as_ref().map(GrantKey::as_str),
                ":limit": rows::limit(limit),
            },
            rows::entry,
        )
    }

    fn events_of(&self, position: Position) -> Result<Vec<RecordedEvent>, StoreError> {
        self.events(EVENTS_OF, [rows::number(position)])
    }

    fn key_holder(
        &self,
        source: &SourceName,
        key: &DedupeKey,
    ) -> Result<Option<Position>, StoreError> {
        self.one(KEY_HOLDER, [source.as_str(), key.as_str()], |row| {
            row.position(0)
        })
    }

    fn parked_with_key(
        &self,
        source: &SourceName,
        key: &DedupeKey,
    ) -> Result<Vec<Parked>, StoreError> {
        let params = [source.as_str(), key.as_str()];
        self.all(PARKED_WITH_KEY, params, rows::parked)
    }

    fn latest_packet(
        &self,
        source: &SourceName,
        grant: &GrantKey,
    ) -> Result<Option<Packet>, StoreError> {
        self.one(LATEST_PACKET, [source.as_str(), grant.as_str()], |row| {
            Ok(Packet {
                key: row.id(0, DedupeKey::new)?,
                text_digest: row.hash(1)?,
            })
        })
    }

    fn grant_events_after(
        &self,
        grant: &GrantId,
        after: Position,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let sql = match self.has(Rare::Withdrawal)? {
            true => GRANT_EVENTS_AFTER,
            false => GRANT_EVENTS_AFTER_ALL_STANDING,
        };
        let [source, key] = of_grant(grant);
        self.events(sql, params![source, key, rows::number(after)])
    }

    fn names_of(&self, grant: &GrantId) -> Result<GrantNames, StoreError> {
        self.named_in(grant)
    }

    fn each_grant(&self, order: Order, each: &mut EachGrant<'_>) -> Result<(), StoreError> {
        self.walk_grants(order, each)
    }

    fn user_events(
        &self,
        source: &SourceName,
        user: &UserId,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        if !self.has(Rare::UserStatement)? {
            return Ok(Vec::new());
        }
        self.events(USER_EVENTS, [source.as_str(), user.as_str()])
    }

    fn grants_naming(&self, user: &UserId) -> Result<Vec<GrantId>, StoreError> {
        self.all(GRANTS_NAMING, [user.as_str()], |row| row.grant(0))
    }

    fn children(&self, parent: &GrantId) -> Result<Vec<GrantId>, StoreError> {
        if !self.has(Rare::Parent)? {
            return Ok(Vec::new());
        }
        self.all(CHILDREN, of_grant(parent), |row| row.grant(0))
    }

    fn grants_after(
        &self,
        after: Option<&GrantId>,
        limit: usize,
    ) -> Result<Vec<GrantId>, StoreError> {
        let [source, key] = after.map_or(["", ""], of_grant);
        let params = params![source, key, rows::limit(limit)];
        self.all(GRANTS_AFTER, params, |row| row.grant(0))
    }

    fn users_after(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<UserId>, StoreError> {
        let after = after.map_or("", UserId::as_str);
        self.all(USERS_AFTER, params![after, rows::limit(limit)], |row| {
            row.id(0, UserId::new)
        })
    }

    fn linked_after(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let after = after.map_or("", UserId::as_str);
        self.all(LINKED_AFTER, params![after, rows::limit(limit)], |row| {
            row.id(0, UserId::new)
        })
    }

    fn users_stated_after(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let after = after.map_or("", UserId::as_str);
        let params = params![after, rows::limit(limit)];
        self.all(USERS_STATED_AFTER, params, |row| row.id(0, UserId::new))
    }

    fn holders_after(
        &self,
        after: Option<&UserId>,
        products: &BTreeSet<ProductName>,
        at: Instant,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let after = after.map_or("", UserId::as_str);
        let products: Vec<&str> = products.iter().map(ProductName::as_str).collect();
        let products = serde_json::json!(products).to_string();
        let params = params![after, at.micros(), products, rows::limit(limit)];
        self.all(HOLDERS_AFTER, params, |row| row.id(0, UserId::new))
    }

    fn window_bounds_after(
        &self,
        at: Instant,
        after: Option<&UserId>,
        before: Instant,
        limit: usize,
    ) -> Result<Vec<(Instant, UserId)>, StoreError> {
        let after = after.map_or("", UserId::as_str);
        let params = params![at.micros(), after, before.micros(), rows::limit(limit)];
        self.all(WINDOW_BOUNDS_AFTER, params, |row| {
            Ok((row.instant(0)?, row.id(1, UserId::new)?))
        })
    }

    fn count_users(&self) -> Result<u64, StoreError> {
        let count = self.one(COUNT_USERS, [], |row| rows::count(row, 0))?;
        Ok(count.unwrap_or_default())
    }

    fn links(&self, user: &UserId) -> Result<Vec<RecordedLink>, StoreError> {
        if !self.has(Rare::Link)? {
            return Ok(Vec::new());
        }
        let mut events = self.events(LINKS_OF_USER, [user.as_str()])?;
        events.extend(self.events(LINKS_OF_ALIAS, [user.as_str()])?);
        events.sort_by_key(|event| (event.position, event.key.index));
        // A link of an id with itself was found both ways.
        events.dedup_by_key(|event| (event.position, event.key.index));
        Ok(events.into_iter().filter_map(link).collect())
    }

    fn is_named(&self, user: &UserId, known_at: Option<RecordedAt>) -> Result<bool, StoreError> {
        let known_at = known_at.map_or(i64::MAX, |known_at| known_at.0.micros());
        let named = self.one(IS_NAMED, params![user.as_str(), known_at], |row| row.get(0))?;
        Ok(named.unwrap_or(false))
    }

    fn rules(&self) -> Result<Arc<[RecordedRules]>, StoreError> {
        self.known_rules()
    }

    fn projection(&self, grant: &GrantId) -> Result<Option<Projection>, StoreError> {
        let kept = self.one(GRANT, of_grant(grant), |row| column::segments(row, 0, None))?;
        let Some(mut segments) = kept else {
            return Ok(None);
        };
        let users = self.users_named(grant)?;
        let mut windows = Vec::new();
        for (place, user) in users.iter().enumerate() {
            let beside = self.segments_beside(grant, user)?;
            if place > 0 && beside != segments {
                let text = format!("`segments` tells the users of grant {grant} different things");
                return Err(StoreError::Corrupt(text));
            }
            segments = beside;
            windows.extend(self.windows(user, grant)?);
        }
        windows.sort_unstable();
        Ok(Some(Projection {
            users,
            segments,
            windows,
            anomalies: self.anomalies(grant)?,
        }))
    }

    fn segments_naming(&self, user: &UserId) -> Result<Vec<(GrantId, Vec<Segment>)>, StoreError> {
        let mut grants = self.all(SEGMENTS_NAMING, [user.as_str()], |row| {
            Ok((row.grant(0)?, column::segments(row, 2, Some(user))?))
        })?;
        grants.retain(|(_, segments)| !segments.is_empty());
        Ok(grants)
    }

    fn segments_giving(
        &self,
        user: &UserId,
        is_asked_for: &dyn Fn(&str) -> bool,
    ) -> Result<UserGrants, StoreError> {
        let mut found = UserGrants::default();
        self.each(SEGMENTS_NAMING, [user.as_str()], |row| {
            let glance = column::glance(row, 2, user, is_asked_for)?;
            found.is_holder |= glance.is_held;
            if glance.is_given {
                let segments = column::segments(row, 2, Some(user))?;
                found.grants.push((row.grant(0)?, segments));
            }
            Ok(true)
        })?;
        Ok(found)
    }

    fn list_segments_after(
        &self,
        after: Option<&UserId>,
        limit: usize,
        list: &mut UserSegments,
    ) -> Result<(), StoreError> {
        list.clear();
        self.each(SEGMENTS_AFTER, [after.map_or("", UserId::as_str)], |row| {
            let user = row.text(0)?;
            if list.last().is_none_or(|last| last.as_str() != user) {
                if list.len() >= limit {
                    return Ok(false);
                }
                list.add_user(row.id(0, UserId::new)?);
            }
            list.add_grant(|user, products, segments| {
                column::each_segment(row, 1, user, products, |segment| segments.push(segment))
            })?;
            Ok(true)
        })
    }

    fn windows_of(&self, user: &UserId) -> Result<Vec<(GrantId, Window)>, StoreError> {
        self.all(WINDOWS_OF, [user.as_str()], |row| {
            Ok((row.grant(4)?, rows::window(row)?))
        })
    }

    fn projected_after(
        &self,
        after: Option<&GrantId>,
        limit: usize,
    ) -> Result<Vec<GrantId>, StoreError> {
        let [source, key] = after.map_or(["", ""], of_grant);
        let params = params![source, key, rows::limit(limit)];
        self.all(PROJECTED_AFTER, params, |row| row.grant(0))
    }

    fn sum_projections(&self, sums: &mut ProjectionSums) -> Result<(), StoreError> {
        self.sum_rows(sums)
    }

    fn anomalies_after(
        &self,
        after: Option<&RecordedAnomaly>,
        limit: usize,
    ) -> Result<Vec<RecordedAnomaly>, StoreError> {
        let (position, index) =
            after.map_or((0, 0), |last| (rows::number(last.position), last.index));
        // The table sorts the anomalies of one event by grant and name, the contract by anomaly and grant: the events are
        // read in order, the few anomalies of each are sorted here.
        let mut found: Vec<RecordedAnomaly> = Vec::new();
        self.each(ANOMALIES_FROM, params![position, index], |row| {
            let anomaly = rows::anomaly(row)?;
            let is_next_event = found.last().is_some_and(|last| {
                (last.position, last.index) != (anomaly.position, anomaly.index)
            });
            if is_next_event && found.len() >= limit {
                return Ok(false);
            }
            if after.is_none_or(|after| anomaly > *after) {
                found.push(anomaly);
            }
            Ok(true)
        })?;
        found.sort_unstable();
        found.truncate(limit);
        Ok(found)
    }

    fn parked_after(&self, after: Position, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let params = [rows::number(after), rows::limit(limit)];
        self.all(PARKED_AFTER, params, rows::parked)
    }

    fn parked_mentioning(&self, mention: &Mention) -> Result<Vec<Position>, StoreError> {
        self.all(PARKED_MENTIONING, [mention.as_str()], |row| row.position(0))
    }

    fn parked(&self, position: Position) -> Result<Option<Parked>, StoreError> {
        self.one(PARKED, [rows::number(position)], rows::parked)
    }

    fn erasures(&self) -> Result<Vec<Entry>, StoreError> {
        self.all(ERASURES, [], rows::entry)
    }

    fn count_erased(&self) -> Result<u64, StoreError> {
        let count = self.one(COUNT_ERASED, [], |row| rows::count(row, 0))?;
        Ok(count.unwrap_or(0))
    }

    fn former_key(&self, digest: &Hash) -> Result<Option<String>, StoreError> {
        if !self.has(Rare::FormerKey)? {
            return Ok(None);
        }
        self.one(FORMER_KEY, [digest.0], |row| row.get(0))
    }

    fn former_keys(&self) -> Result<Vec<FormerKey>, StoreError> {
        self.all(FORMER_KEYS, [], |row| {
            Ok(FormerKey {
                digest: row.hash(0)?,
                now: row.get(1)?,
            })
        })
    }

    fn packets_after(
        &self,
        after: Option<&GrantId>,
        limit: usize,
    ) -> Result<Vec<(GrantId, Packet)>, StoreError> {
        let [source, key] = after.map_or(["", ""], of_grant);
        let params = params![source, key, rows::limit(limit)];
        self.all(PACKETS_AFTER, params, |row| {
            let packet = Packet {
                key: row.id(2, DedupeKey::new)?,
                text_digest: row.hash(3)?,
            };
            Ok((row.grant(0)?, packet))
        })
    }

    fn batch(&self, run: &RunId, batch: u64) -> Result<Option<BatchMark>, StoreError> {
        let params = params![run.0.0, rows::number(Position(batch))];
        self.one(BATCH, params, |row| {
            Ok(BatchMark {
                lines: rows::count(row, 0)?,
                digest: row.hash(1)?,
                receipts: row.get(2)?,
            })
        })
    }

    fn contradiction(&self) -> Result<Option<String>, StoreError> {
        self.first_contradiction()
    }

    fn statistics(&self) -> Result<Statistics, StoreError> {
        self.write_totals()?;
        self.figures()
    }
}

fn link(event: RecordedEvent) -> Option<RecordedLink> {
    let (user, alias) = match event.event.statement {
        Statement::Link { user, alias } => (user, alias),
        Statement::Grant(_) | Statement::User(_) | Statement::Withdrawal { .. } => return None,
    };
    Some(RecordedLink {
        user,
        alias,
        recorded_at: event.recorded_at,
        withdrawn_at: event.withdrawn_at,
    })
}
