//! What is known of a person, and how statements are thought away from it and added to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::decision::{Decision, Person, Question, decide};
use crate::domain::event::{Event, EventKey, RecordedEvent};
use crate::domain::fold::{BlockHistory, fold};
use crate::domain::grant::State;
use crate::domain::id::{GrantId, Position, SourceName, UserId};
use crate::domain::rules::Rules;
use crate::domain::time::{Instant, RecordedAt};
use crate::domain::window::{ParentAccess, Phase, Segment, segments};
use crate::engine::EngineError;
use crate::engine::facts::{GrantFacts, person, users};
use crate::engine::reader::{facts_known_to_name, known_at};
use crate::store::Snapshot;

/// All that an explanation is made of, by what was known at an instant.
pub(super) struct Story<'a> {
    pub(super) rules: &'a Rules,
    pub(super) person: Person,
    /// The grants that name the person, then the parents of these.
    pub(super) facts: Vec<GrantFacts>,
    /// How many of `facts` name the person.
    naming: usize,
}

impl<'a> Story<'a> {
    pub(super) fn load(
        snapshot: &dyn Snapshot,
        user: &UserId,
        rules: &'a Rules,
        as_of: Option<RecordedAt>,
    ) -> Result<Self, EngineError> {
        let person = person(snapshot, user, rules, known_at(snapshot, as_of)?)?;
        let mut facts = facts_known_to_name(snapshot, user, rules, as_of)?;
        let naming = facts.len();
        let parents: BTreeSet<GrantId> = facts.iter().flat_map(GrantFacts::parents).collect();
        // A child gives nothing without its parent, so what happened to the parent belongs to the story.
        for parent in parents {
            if facts.iter().all(|known| known.grant != parent) {
                facts.push(GrantFacts::load(snapshot, &parent, rules, as_of)?);
            }
        }
        Ok(Self {
            rules,
            person,
            facts,
            naming,
        })
    }

    /// The grants an event of which names the person.
    pub(super) fn own_grants(&self) -> impl Iterator<Item = &GrantId> {
        self.facts
            .iter()
            .take(self.naming)
            .map(|facts| &facts.grant)
    }

    pub(super) fn facts_of(&self, grant: &GrantId) -> Option<&GrantFacts> {
        self.facts.iter().find(|facts| facts.grant == *grant)
    }

    pub(super) fn decide(&self, question: &Question) -> Decision {
        decide(question, &self.person, self.rules)
    }

    /// The decision had the deliveries at these positions never come.
    pub(super) fn decide_without(
        &self,
        question: &Question,
        deliveries: &BTreeSet<Position>,
    ) -> Decision {
        let is_out = |recorded: &RecordedEvent| deliveries.contains(&recorded.position);
        self.decide_supposing(question, |facts| {
            let mut events = facts.events.clone();
            events.retain(|recorded| !is_out(recorded));
            (events.len() < facts.events.len()).then_some(events)
        })
    }

    /// The decision had these events of the grant been stated too, each the last of its instant.
    pub(super) fn decide_with(
        &self,
        question: &Question,
        grant: &GrantId,
        stated: &[(SourceName, Event)],
    ) -> Decision {
        self.decide_supposing(question, |facts| {
            let like = facts.events.last().filter(|_| facts.grant == *grant)?;
            let added = stated.iter().map(|(source, event)| RecordedEvent {
                event: event.clone(),
                key: EventKey {
                    source: source.clone(),
                    ..like.key.clone()
                },
                sequence: u64::MAX,
                ..like.clone()
            });
            let mut events = facts.events.clone();
            events.extend(added);
            events.sort_by(RecordedEvent::fold_order);
            Some(events)
        })
    }

    /// The decision if the parents of the grant gave access all the time.
    pub(super) fn decide_with_parents(&self, question: &Question, grant: &GrantId) -> Decision {
        let mut person = self.person.clone();
        let own = person.grants.iter_mut().filter(|(it, _)| it == grant);
        for segment in own.flat_map(|(_, segments)| segments) {
            if let Phase::Live(live) = &mut segment.phase {
                live.parent_ended = false;
            }
        }
        decide(question, &person, self.rules)
    }

    /// The decision with other events of some grants: `otherwise` gives those of a grant that has others.
    fn decide_supposing(
        &self,
        question: &Question,
        otherwise: impl Fn(&GrantFacts) -> Option<Vec<RecordedEvent>>,
    ) -> Decision {
        let supposed: BTreeMap<&GrantId, GrantFacts> = self
            .facts
            .iter()
            .filter_map(|facts| Some((&facts.grant, with_events(facts, otherwise(facts)?))))
            .collect();
        let mut grants: BTreeMap<&GrantId, Vec<Segment>> = BTreeMap::new();
        for (grant, segments) in &self.person.grants {
            grants.insert(grant, segments.clone());
        }
        for facts in &self.facts {
            let rests_on = |parent: &GrantId| supposed.contains_key(parent);
            if rests_on(&facts.grant) || facts.parents().iter().any(rests_on) {
                grants.insert(&facts.grant, self.segments_supposing(facts, &supposed));
            }
        }
        let grants = grants.into_iter();
        let person = Person {
            ids: self.person.ids.clone(),
            grants: grants
                .map(|(grant, segments)| (grant.clone(), segments))
                .collect(),
            ..self.person
        };
        decide(question, &person, self.rules)
    }

    fn segments_supposing(
        &self,
        facts: &GrantFacts,
        supposed: &BTreeMap<&GrantId, GrantFacts>,
    ) -> Vec<Segment> {
        let own = supposed.get(&facts.grant).unwrap_or(facts);
        let mut parents = BTreeMap::new();
        for parent in own.parents() {
            if let Some(facts) = supposed.get(&parent).or_else(|| self.facts_of(&parent)) {
                let access = ParentAccess::of(&facts.fold().history, &facts.blocks);
                parents.insert(parent.key, access);
            }
        }
        segments(&own.fold().history, &own.blocks, &parents)
    }
}

/// The state of a grant after what has taken effect by `at`.
pub(super) fn state_at(facts: &GrantFacts, at: Instant) -> State {
    let begun = facts
        .events
        .partition_point(|recorded| recorded.event.effective_at.0 <= at);
    let events = facts.events.get(..begun).unwrap_or_default();
    fold(&facts.grant, events, &facts.policy).state
}

/// The grant, had these events been stated instead.
fn with_events(facts: &GrantFacts, events: Vec<RecordedEvent>) -> GrantFacts {
    let users = facts.blocks.keys().cloned().chain(users(&events));
    GrantFacts {
        grant: facts.grant.clone(),
        named: facts.named.clone(),
        blocks: users
            .map(|user| {
                let history = BlockHistory::fold(&facts.grant.source, &user, &events);
                (user, history)
            })
            .collect(),
        events,
        policy: facts.policy.clone(),
    }
}
