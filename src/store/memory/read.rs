//! What can be read from memory.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::{Place, Tables, events_about, events_at};
use crate::domain::delivery::Outcome;
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::id::{
    DedupeKey, GrantId, GrantKey, Mention, Position, ProductName, SourceName, UserId,
};
use crate::domain::time::{Instant, RecordedAt};
use crate::domain::window::{Segment, Window};
use crate::store::{
    BatchMark, EachGrant, Entry, EntryFilter, EntryKind, FormerKey, Hash, Head, Order, Packet,
    Parked, Projection, ProjectionSums, RecordedAnomaly, RecordedLink, RecordedRules, RunId,
    Settled, Snapshot, Statistics, StoreError, append,
};

impl Snapshot for Tables {
    fn head(&self) -> Result<Head, StoreError> {
        Ok(self
            .log
            .last()
            .map_or_else(Head::default, |(entry, _)| Head {
                position: entry.position,
                recorded_at: Some(entry.fact.recorded_at),
                hash: entry.hash,
            }))
    }

    fn position_at(&self, known_at: RecordedAt) -> Result<Position, StoreError> {
        let last = self.by_time.range(..=known_at).next_back();
        Ok(last.map_or_else(Position::default, |(_, position)| *position))
    }

    fn entry(&self, position: Position) -> Result<Option<Entry>, StoreError> {
        Ok(self.at(position).map(|(entry, _)| entry.clone()))
    }

    fn entries_after(&self, after: Position, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let skipped = usize::try_from(after.0).unwrap_or(usize::MAX);
        let entries = self.log.iter().skip(skipped).take(limit);
        Ok(entries.map(|(entry, _)| entry.clone()).collect())
    }

    fn entries_before(
        &self,
        before: Option<Position>,
        filter: &EntryFilter,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let entries = self.log.iter().rev().filter(|(entry, events)| {
            before.is_none_or(|before| entry.position < before)
                && filter
                    .source
                    .as_ref()
                    .is_none_or(|source| entry.fact.source == *source)
                && filter
                    .user
                    .as_ref()
                    .is_none_or(|user| events.iter().any(|event| names_user(event, user)))
                && filter
                    .grant
                    .as_ref()
                    .is_none_or(|grant| events.iter().any(|event| names_grant(event, grant)))
        });
        let entries = entries.take(limit).map(|(entry, _)| entry.clone());
        Ok(entries.collect())
    }

    fn events_of(&self, position: Position) -> Result<Vec<RecordedEvent>, StoreError> {
        let events = self.at(position).map(|(_, events)| events);
        let events = events.into_iter().flatten();
        Ok(events.map(|event| self.judged(event)).collect())
    }

    fn key_holder(
        &self,
        source: &SourceName,
        key: &DedupeKey,
    ) -> Result<Option<Position>, StoreError> {
        Ok(self.holders.get(&(source.clone(), key.clone())).copied())
    }

    fn parked_with_key(
        &self,
        source: &SourceName,
        key: &DedupeKey,
    ) -> Result<Vec<Parked>, StoreError> {
        let has_key = |parked: &&Parked| {
            self.at(parked.position).is_some_and(|(entry, _)| {
                entry.fact.source == *source && entry.fact.dedupe_key == *key
            })
        };
        Ok(self.quarantine.values().filter(has_key).cloned().collect())
    }

    fn latest_packet(
        &self,
        source: &SourceName,
        grant: &GrantKey,
    ) -> Result<Option<Packet>, StoreError> {
        Ok(self.packets.get(&(source.clone(), grant.clone())).cloned())
    }

    fn grant_events_after(
        &self,
        grant: &GrantId,
        after: Position,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let places = self.by_grant.get(grant).into_iter().flatten();
        let is_after = |(position, _): &&Place| *position > after;
        Ok(events_at(self, places.filter(is_after)))
    }

    fn each_grant(&self, order: Order, each: &mut EachGrant<'_>) -> Result<(), StoreError> {
        let mut grants = self.by_grant.iter();
        let mut next = || match order {
            Order::Ascending => grants.next(),
            Order::Descending => grants.next_back(),
        };
        while let Some((grant, places)) = next()
            && each(grant.clone(), &mut events_at(self, places))?
        {}
        Ok(())
    }

    fn user_events(
        &self,
        source: &SourceName,
        user: &UserId,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut events = events_about(self, user);
        events.retain(|event| match &event.event.statement {
            Statement::User(statement) => statement.source == *source && statement.user == *user,
            Statement::Grant(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => false,
        });
        Ok(events)
    }

    fn grants_naming(&self, user: &UserId) -> Result<Vec<GrantId>, StoreError> {
        let events = events_about(self, user);
        let grants: BTreeSet<GrantId> = events
            .into_iter()
            .filter_map(|event| match event.event.statement {
                Statement::Grant(statement) => Some(statement.grant),
                Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => None,
            })
            .collect();
        Ok(grants.into_iter().collect())
    }

    fn children(&self, parent: &GrantId) -> Result<Vec<GrantId>, StoreError> {
        let children = self.by_parent.get(parent).into_iter().flatten();
        let mut children: Vec<GrantId> = children.map(|(child, _)| child.clone()).collect();
        children.dedup();
        Ok(children)
    }

    fn grants_after(
        &self,
        after: Option<&GrantId>,
        limit: usize,
    ) -> Result<Vec<GrantId>, StoreError> {
        let grants = self.by_grant.range((after_bound(after), Bound::Unbounded));
        Ok(grants.take(limit).map(|(grant, _)| grant.clone()).collect())
    }

    fn users_after(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<UserId>, StoreError> {
        Ok(self.named_after(after, limit, |it| matches!(it, Statement::Grant(_))))
    }

    fn linked_after(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        Ok(self.named_after(after, limit, |it| matches!(it, Statement::Link { .. })))
    }

    fn users_stated_after(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        Ok(self.named_after(after, limit, |it| matches!(it, Statement::User(_))))
    }

    fn holders_after(
        &self,
        after: Option<&UserId>,
        products: &BTreeSet<ProductName>,
        at: Instant,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let lower = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut users = Vec::new();
        for (user, _) in self.by_holder.range::<UserId, _>((lower, Bound::Unbounded)) {
            if users.len() == limit {
                break;
            }
            let holds = |(_, window): &(GrantId, Window)| {
                window.start <= at && window.end.is_after(at) && products.contains(&window.product)
            };
            if self.windows_of(user)?.iter().any(holds) {
                users.push(user.clone());
            }
        }
        Ok(users)
    }

    fn window_bounds_after(
        &self,
        at: Instant,
        after: Option<&UserId>,
        before: Instant,
        limit: usize,
    ) -> Result<Vec<(Instant, UserId)>, StoreError> {
        let mut bounds = BTreeSet::new();
        for user in self.by_holder.keys() {
            for (_, window) in self.windows_of(user)? {
                let of_window = [Some(window.start), window.end.instant()].into_iter();
                let asked = of_window.flatten().filter(|bound| {
                    *bound < before && (*bound > at || *bound == at && Some(user) > after)
                });
                bounds.extend(asked.map(|bound| (bound, user.clone())));
            }
        }
        Ok(bounds.into_iter().take(limit).collect())
    }

    fn count_users(&self) -> Result<u64, StoreError> {
        let users = self.users_after(None, usize::MAX)?.len();
        Ok(u64::try_from(users).unwrap_or(u64::MAX))
    }

    fn links(&self, user: &UserId) -> Result<Vec<RecordedLink>, StoreError> {
        let link = |event: RecordedEvent| match event.event.statement {
            Statement::Link { user, alias } => Some(RecordedLink {
                user,
                alias,
                recorded_at: event.recorded_at,
                withdrawn_at: event.withdrawn_at,
            }),
            Statement::Grant(_) | Statement::User(_) | Statement::Withdrawal { .. } => None,
        };
        let events = events_about(self, user);
        Ok(events.into_iter().filter_map(link).collect())
    }

    fn is_named(&self, user: &UserId, known_at: Option<RecordedAt>) -> Result<bool, StoreError> {
        let places = self.by_user.get(user).into_iter().flatten();
        Ok(places
            .filter_map(|place| self.event(*place))
            .any(|event| event.is_known_at(known_at)))
    }

    fn rules(&self) -> Result<Arc<[RecordedRules]>, StoreError> {
        self.log
            .iter()
            .filter(|(entry, _)| entry.fact.kind == EntryKind::Rules)
            .map(|(entry, _)| {
                Ok(RecordedRules {
                    position: entry.position,
                    recorded_at: entry.fact.recorded_at,
                    rules: append::rules(&entry.fact.body)?.into(),
                })
            })
            .collect()
    }

    fn projection(&self, grant: &GrantId) -> Result<Option<Projection>, StoreError> {
        Ok(self.projections.get(grant).cloned())
    }

    fn segments_naming(&self, user: &UserId) -> Result<Vec<(GrantId, Vec<Segment>)>, StoreError> {
        let grants = self.grants_naming(user)?.into_iter();
        Ok(grants
            .filter_map(|grant| {
                let segments = self.projections.get(&grant)?.segments.clone();
                (!segments.is_empty()).then_some((grant, segments))
            })
            .collect())
    }

    fn windows_of(&self, user: &UserId) -> Result<Vec<(GrantId, Window)>, StoreError> {
        let mut windows: Vec<(GrantId, Window)> = Vec::new();
        for grant in self.by_holder.get(user).into_iter().flatten() {
            let Some(projection) = self.projections.get(grant) else {
                continue;
            };
            let own = projection
                .windows
                .iter()
                .filter(|window| window.user == *user);
            windows.extend(own.map(|window| (grant.clone(), window.clone())));
        }
        // Stable: what begins together stays sorted by grant.
        windows.sort_by_key(|(_, window)| window.start);
        Ok(windows)
    }

    fn projected_after(
        &self,
        after: Option<&GrantId>,
        limit: usize,
    ) -> Result<Vec<GrantId>, StoreError> {
        let grants = self
            .projections
            .range((after_bound(after), Bound::Unbounded));
        Ok(grants.take(limit).map(|(grant, _)| grant.clone()).collect())
    }

    fn sum_projections(&self, sums: &mut ProjectionSums) -> Result<(), StoreError> {
        self.sum(sums);
        Ok(())
    }

    fn anomalies_after(
        &self,
        after: Option<&RecordedAnomaly>,
        limit: usize,
    ) -> Result<Vec<RecordedAnomaly>, StoreError> {
        let anomalies = self.projections.values().flat_map(|kept| &kept.anomalies);
        let mut anomalies: Vec<RecordedAnomaly> = anomalies
            .filter(|anomaly| after.is_none_or(|after| *anomaly > after))
            .cloned()
            .collect();
        anomalies.sort_unstable();
        anomalies.truncate(limit);
        Ok(anomalies)
    }

    fn parked_after(&self, after: Position, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let later = (Bound::Excluded(after), Bound::Unbounded);
        let parked = self.quarantine.range(later).map(|(_, parked)| parked);
        Ok(parked.take(limit).cloned().collect())
    }

    fn parked_mentioning(&self, mention: &Mention) -> Result<Vec<Position>, StoreError> {
        let positions = self.mentions.get(mention).into_iter().flatten();
        Ok(positions.copied().collect())
    }

    fn parked(&self, position: Position) -> Result<Option<Parked>, StoreError> {
        Ok(self.quarantine.get(&position).cloned())
    }

    fn erasures(&self) -> Result<Vec<Entry>, StoreError> {
        Ok(self.recorded_erasures())
    }

    fn count_erased(&self) -> Result<u64, StoreError> {
        Ok(size(self.erased()))
    }

    fn former_key(&self, digest: &Hash) -> Result<Option<String>, StoreError> {
        Ok(self.former_keys.get(digest).cloned())
    }

    fn former_keys(&self) -> Result<Vec<FormerKey>, StoreError> {
        Ok(self.all_former_keys())
    }

    fn packets_after(
        &self,
        after: Option<&GrantId>,
        limit: usize,
    ) -> Result<Vec<(GrantId, Packet)>, StoreError> {
        Ok(self.latest_packets(after, limit))
    }

    fn batch(&self, run: &RunId, batch: u64) -> Result<Option<BatchMark>, StoreError> {
        Ok(self.batches.get(&(run.clone(), batch)).cloned())
    }

    fn contradiction(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn statistics(&self) -> Result<Statistics, StoreError> {
        let mut figures = Statistics {
            entries: size(self.log.len()),
            grants: size(self.projections.len()),
            ..Statistics::default()
        };
        for (entry, events) in &self.log {
            figures.bytes += size(entry.fact.body.len());
            figures.events += size(events.len());
            self.count_entry(entry, &mut figures);
        }
        for projection in self.projections.values() {
            figures.windows += size(projection.windows.len());
            figures.anomalies += size(projection.anomalies.len());
        }
        let outcomes = [figures.ignored, figures.quarantined, figures.duplicate];
        figures.received = figures.applied + outcomes.iter().sum::<u64>();
        Ok(figures)
    }
}

impl Tables {
    fn count_entry(&self, entry: &Entry, figures: &mut Statistics) {
        let settled = self
            .quarantine
            .get(&entry.position)
            .map(|parked| parked.settled);
        match settled {
            Some(settled @ (Settled::Open | Settled::Discarded(_))) => {
                figures.quarantined += 1 + entry.repetitions;
                figures.parked += u64::from(settled == Settled::Open);
            }
            Some(Settled::Retried(by)) => {
                // Settled by another delivery, it is a repetition of that one.
                let is_repetition = self
                    .at(by)
                    .is_some_and(|(entry, _)| entry.fact.kind == EntryKind::Delivery);
                figures.duplicate += entry.repetitions + u64::from(is_repetition);
            }
            None => figures.duplicate += entry.repetitions,
        }
        match (entry.fact.kind, entry.fact.outcome) {
            (EntryKind::Delivery | EntryKind::Retry, Outcome::Applied) => figures.applied += 1,
            (EntryKind::Delivery | EntryKind::Retry, Outcome::Ignored) => figures.ignored += 1,
            (EntryKind::Delivery | EntryKind::Retry, Outcome::Quarantined | Outcome::Duplicate)
            | (EntryKind::Discard | EntryKind::Rules | EntryKind::Erasure, _) => {}
        }
    }
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn after_bound(after: Option<&GrantId>) -> Bound<GrantId> {
    after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()))
}

fn names_user(event: &RecordedEvent, user: &UserId) -> bool {
    event.event.statement.users().contains(&user)
}

fn names_grant(event: &RecordedEvent, grant: &GrantKey) -> bool {
    match &event.event.statement {
        Statement::Grant(statement) => statement.grant.key == *grant,
        Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => false,
    }
}
