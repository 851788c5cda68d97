//! Gathering what is known of a grant or a person, and folding it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::decision::Person;
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::fold::{BlockHistory, Folded, fold};
use crate::domain::grant::Anomaly;
use crate::domain::id::{GrantId, GrantKey, ResourceName, UserId};
use crate::domain::rules::{Policy, Rules};
use crate::domain::time::RecordedAt;
use crate::domain::window::{ParentAccess, Segment, segments, windows};
use crate::store::{Projection, RecordedAnomaly, RecordedRules, Snapshot, StoreError};

/// The events of one grant, in their total order, and the blocks on its holders.
pub(crate) struct GrantFacts {
    pub(crate) grant: GrantId,
    /// Everyone whom one of its events names, those taken back or not yet known included.
    pub(crate) named: BTreeSet<UserId>,
    pub(crate) events: Vec<RecordedEvent>,
    pub(crate) blocks: BTreeMap<UserId, BlockHistory>,
    pub(crate) policy: Policy,
}

impl GrantFacts {
    /// Loads what is known of the grant at `known_at` (`None`: all that is recorded).
    pub(crate) fn load(
        snapshot: &dyn Snapshot,
        grant: &GrantId,
        rules: &Rules,
        known_at: Option<RecordedAt>,
    ) -> Result<Self, StoreError> {
        let events = snapshot.grant_events(grant)?;
        Self::of_events(snapshot, grant, events, rules, known_at)
    }

    /// As [`GrantFacts::load`], of the events that name the grant.
    pub(crate) fn of_events(
        snapshot: &dyn Snapshot,
        grant: &GrantId,
        mut events: Vec<RecordedEvent>,
        rules: &Rules,
        known_at: Option<RecordedAt>,
    ) -> Result<Self, StoreError> {
        let named = users(&events);
        let all = events.len();
        events.retain(|event| event.is_known_at(known_at));
        let known = (events.len() < all).then(|| users(&events));
        let mut blocks = BTreeMap::new();
        for user in known.as_ref().unwrap_or(&named) {
            let mut about_user = snapshot.user_events(&grant.source, user)?;
            if about_user.is_empty() {
                continue;
            }
            about_user.retain(|event| event.is_known_at(known_at));
            about_user.sort_by(RecordedEvent::fold_order);
            let history = BlockHistory::fold(&grant.source, user, &about_user);
            blocks.insert(user.clone(), history);
            events.append(&mut about_user);
        }
        events.sort_by(RecordedEvent::fold_order);
        Ok(Self {
            grant: grant.clone(),
            named,
            events,
            blocks,
            policy: rules.policy(&grant.source),
        })
    }

    /// From now on they are folded by these rules.
    pub(crate) fn turn_to(&mut self, rules: &Rules) {
        self.policy = rules.policy(&self.grant.source);
    }

    pub(crate) fn fold(&self) -> Folded {
        fold(&self.grant, &self.events, &self.policy)
    }

    /// Whether some event of the grant names one of the ids.
    pub(crate) fn names_one_of(&self, ids: &BTreeSet<UserId>) -> bool {
        users(&self.events).iter().any(|user| ids.contains(user))
    }

    /// Every parent some event of the grant names.
    pub(crate) fn parents(&self) -> BTreeSet<GrantId> {
        let parents = self
            .events
            .iter()
            .filter_map(|recorded| match &recorded.event.statement {
                Statement::Grant(statement) => statement.parent_grant(),
                Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => None,
            });
        parents.collect()
    }
}

/// Who the events of a grant name: nobody else can ever hold it.
pub(crate) fn users(events: &[RecordedEvent]) -> BTreeSet<UserId> {
    let mut named = BTreeSet::new();
    // Most events of a grant name the same one.
    let mut name = |user: &UserId| {
        if !named.contains(user) {
            named.insert(user.clone());
        }
    };
    for recorded in events {
        match &recorded.event.statement {
            Statement::Grant(statement) => statement.users().for_each(&mut name),
            Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => {
                let users = recorded.event.statement.users();
                users.into_iter().for_each(&mut name);
            }
        }
    }
    named
}

/// What follows from the events of a grant; `None` if there are none.
pub(crate) fn project(
    snapshot: &dyn Snapshot,
    grant: &GrantId,
    rules: &Rules,
    known_at: Option<RecordedAt>,
) -> Result<Option<Projection>, StoreError> {
    let facts = GrantFacts::load(snapshot, grant, rules, known_at)?;
    let projected = project_facts(snapshot, &facts, rules, known_at)?;
    Ok(projected.map(|(_, projection)| projection))
}

/// As [`project`], of facts that were loaded with the same rules and knowledge, with their fold.
pub(crate) fn project_facts(
    snapshot: &dyn Snapshot,
    facts: &GrantFacts,
    rules: &Rules,
    known_at: Option<RecordedAt>,
) -> Result<Option<(Folded, Projection)>, StoreError> {
    if facts.events.is_empty() {
        return Ok(None);
    }
    let folded = facts.fold();
    let mut parents = BTreeMap::new();
    for parent in facts.parents() {
        let parent_facts = GrantFacts::load(snapshot, &parent, rules, known_at)?;
        let access = ParentAccess::of(&parent_facts.fold().history, &parent_facts.blocks);
        parents.insert(parent.key, access);
    }
    let segments = segments(&folded.history, &facts.blocks, &parents);
    let mut anomalies = recorded_anomalies(&facts.grant, &facts.events, &folded);
    let nested = nested_parents(facts, &parents);
    anomalies.extend(nested.map(|event| left(&facts.grant, event, Anomaly::NestedParent)));
    anomalies.sort_unstable();
    anomalies.dedup();
    let projection = Projection {
        users: facts.named.clone(),
        windows: windows(&segments),
        segments,
        anomalies,
    };
    Ok(Some((folded, projection)))
}

/// The anomalies that folding the events left, in no order.
pub(super) fn recorded_anomalies(
    grant: &GrantId,
    events: &[RecordedEvent],
    folded: &Folded,
) -> Vec<RecordedAnomaly> {
    let anomalies = folded.anomalies.iter();
    let anomalies =
        anomalies.filter_map(|(place, anomaly)| Some(left(grant, events.get(*place)?, *anomaly)));
    anomalies.collect()
}

fn left(grant: &GrantId, event: &RecordedEvent, anomaly: Anomaly) -> RecordedAnomaly {
    RecordedAnomaly {
        position: event.position,
        index: event.key.index,
        anomaly,
        grant: grant.clone(),
    }
}

/// The events that name a parent which has a parent itself.
fn nested_parents<'a>(
    facts: &'a GrantFacts,
    parents: &'a BTreeMap<GrantKey, ParentAccess>,
) -> impl Iterator<Item = &'a RecordedEvent> {
    facts.events.iter().filter(|recorded| {
        let Statement::Grant(statement) = &recorded.event.statement else {
            return false;
        };
        let parent = statement.parent().and_then(|key| parents.get(key));
        parent.is_some_and(|parent| parent.is_nested)
    })
}

/// The rules in force by what was known at `known_at`.
pub(crate) fn rules_at(recorded: &[RecordedRules], known_at: Option<RecordedAt>) -> Arc<Rules> {
    recorded
        .iter()
        .rfind(|rules| known_at.is_none_or(|known_at| rules.recorded_at <= known_at))
        .map(|rules| Arc::clone(&rules.rules))
        .unwrap_or_default()
}

/// The id and every id linked to it, directly or through others, by what was known at `known_at`.
pub(crate) fn linked_ids(
    snapshot: &dyn Snapshot,
    user: &UserId,
    known_at: Option<RecordedAt>,
) -> Result<BTreeSet<UserId>, StoreError> {
    let mut ids = BTreeSet::new();
    ids.insert(user.clone());
    let mut next = Some(user.clone());
    let mut unvisited = Vec::new();
    while let Some(id) = next {
        for link in snapshot.links(&id)? {
            if link.is_known_at(known_at) {
                for end in [link.user, link.alias] {
                    if ids.insert(end.clone()) {
                        unvisited.push(end);
                    }
                }
            }
        }
        next = unvisited.pop();
    }
    Ok(ids)
}

/// All that is known of a person at `known_at`.
///
/// The present is read from the projection; the past is folded from the events of this person's grants, so its cost does
/// not depend on the size of the log.
pub(crate) fn person(
    snapshot: &dyn Snapshot,
    user: &UserId,
    rules: &Rules,
    known_at: Option<RecordedAt>,
) -> Result<Person, StoreError> {
    let ids = linked_ids(snapshot, user, known_at)?;
    let mut grants: BTreeMap<GrantId, Vec<Segment>> = BTreeMap::new();
    for id in &ids {
        match known_at {
            None => grants.extend(snapshot.segments_naming(id)?),
            Some(_) => {
                for grant in snapshot.grants_naming(id)? {
                    let projection = project(snapshot, &grant, rules, known_at)?;
                    grants.insert(grant, projection.map_or_else(Vec::new, |it| it.segments));
                }
            }
        }
    }
    person_of(snapshot, ids, grants.into_iter().collect(), known_at)
}

/// As [`person`], as far as it matters for access to a resource: of the present only the grants that ever give a product
/// which ever includes it.
pub(crate) fn person_asking_for(
    snapshot: &dyn Snapshot,
    user: &UserId,
    resource: &ResourceName,
    rules: &Rules,
    known_at: Option<RecordedAt>,
) -> Result<Person, StoreError> {
    if known_at.is_some() {
        return person(snapshot, user, rules, known_at);
    }
    let ids = linked_ids(snapshot, user, None)?;
    let is_asked_for = |product: &str| rules.ever_includes(product, resource);
    let mut grants = Vec::new();
    let mut is_named = false;
    for id in &ids {
        let mut found = snapshot.segments_giving(id, &is_asked_for)?;
        grants.append(&mut found.grants);
        is_named |= found.is_holder;
    }
    if ids.len() > 1 {
        // A grant may name more than one of them.
        grants.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        grants.dedup_by(|(one, _), (other, _)| one == other);
    }
    Ok(Person {
        is_named: is_named || any_is_named(snapshot, &ids, None)?,
        position: snapshot.head()?.position,
        ids,
        grants,
    })
}

/// As [`person`], of whom the ids and the grants are known.
pub(crate) fn person_of(
    snapshot: &dyn Snapshot,
    ids: BTreeSet<UserId>,
    grants: Vec<(GrantId, Vec<Segment>)>,
    known_at: Option<RecordedAt>,
) -> Result<Person, StoreError> {
    let is_named = is_holder(&grants, &ids) || any_is_named(snapshot, &ids, known_at)?;
    let position = match known_at {
        None => snapshot.head()?.position,
        Some(known_at) => snapshot.position_at(known_at)?,
    };
    Ok(Person {
        ids,
        is_named,
        grants,
        position,
    })
}

/// A holder is named by the event that made them one; this saves a look-up for everyone who has or had access.
fn is_holder(grants: &[(GrantId, Vec<Segment>)], ids: &BTreeSet<UserId>) -> bool {
    let segments = grants.iter().flat_map(|(_, segments)| segments);
    let mut holders = segments.filter_map(Segment::holder);
    holders.any(|holder| ids.contains(holder))
}

fn any_is_named(
    snapshot: &dyn Snapshot,
    ids: &BTreeSet<UserId>,
    known_at: Option<RecordedAt>,
) -> Result<bool, StoreError> {
    for id in ids {
        if snapshot.is_named(id, known_at)? {
            return Ok(true);
        }
    }
    Ok(false)
}
