//! What took access: deliveries are thought away, and the question decided again.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::steps::places;
use super::story::Story;
use super::{Explanation, Step};
use crate::domain::decision::Decision;
use crate::domain::id::{GrantId, Position};

/// The changes that may take access, or keep it from beginning.
const TAKING: [&str; 10] = [
    "cancelled",
    "ended",
    "modified",
    "refunded",
    "rescheduled",
    "revoked",
    "suspended",
    "switched",
    "transferred",
    "user_removed",
];

/// The places of the events of those deliveries without which the answer would be allow, each alone.
pub(super) fn without(story: &Story<'_>, decision: &Decision, steps: &[Step]) -> Vec<usize> {
    if decision.verdict.is_allowed() {
        return Vec::new();
    }
    let tried = latest(steps, |_| true);
    let taking: BTreeSet<Position> = tried
        .into_iter()
        .filter(|position| gives(story, decision, &BTreeSet::from([*position])))
        .collect();
    places_of(steps, &taking)
}

/// Where no single delivery took access: the places of the events of those that did so together, none of which can be spared.
pub(super) fn without_all(story: &Story<'_>, decision: &Decision, steps: &[Step]) -> Vec<usize> {
    if decision.verdict.is_allowed() {
        return Vec::new();
    }
    let grants = concerned(story, decision);
    let is_concerned = |step: &Step| match &grants {
        Some(grants) => grants.iter().any(|grant| step.is_of(grant)),
        None => true,
    };
    let tried = latest(steps, |step| {
        TAKING.contains(&step.change) && is_concerned(step)
    });
    let mut taking: BTreeSet<Position> = tried.iter().copied().collect();
    if !gives(story, decision, &taking) {
        return Vec::new();
    }
    // What could not be spared beside others may be once they are.
    while let Some(others) = spared(story, decision, &tried, &taking) {
        taking = others;
    }
    places_of(steps, &taking)
}

/// The same without one that is not needed; the last to take effect goes first.
fn spared(
    story: &Story<'_>,
    decision: &Decision,
    tried: &[Position],
    taking: &BTreeSet<Position>,
) -> Option<BTreeSet<Position>> {
    let without = |position: &Position| {
        let mut others = taking.clone();
        others.remove(position).then_some(others)
    };
    let mut fewer = tried.iter().filter_map(without);
    fewer.find(|others| gives(story, decision, others))
}

/// The grant that the answer was read from, and its parents.
fn concerned(story: &Story<'_>, decision: &Decision) -> Option<BTreeSet<GrantId>> {
    let grant = &decision.access.as_ref()?.grant;
    let facts = story.facts_of(grant);
    let mut grants = facts.map(|facts| facts.parents()).unwrap_or_default();
    grants.insert(grant.clone());
    Some(grants)
}

/// The latest deliveries with such an event in effect; the last to take effect first.
fn latest(steps: &[Step], is_one: impl Fn(&Step) -> bool) -> Vec<Position> {
    let mut in_effect: Vec<&Step> = steps
        .iter()
        .filter(|step| step.in_effect && is_one(step))
        .collect();
    in_effect.sort_by_key(|step| Reverse((step.effective_at, step.position)));
    let mut positions: Vec<Position> = Vec::new();
    for step in in_effect {
        if positions.len() == Explanation::MOST_TRIED {
            break;
        }
        // A statement about a user is a step of each of the user's grants, and one event.
        if !positions.contains(&step.position) {
            positions.push(step.position);
        }
    }
    positions
}

fn gives(story: &Story<'_>, decision: &Decision, without: &BTreeSet<Position>) -> bool {
    let decision = story.decide_without(&decision.question, without);
    decision.verdict.is_allowed()
}

fn places_of(steps: &[Step], positions: &BTreeSet<Position>) -> Vec<usize> {
    places(steps, |step| {
        step.in_effect && positions.contains(&step.position)
    })
}
