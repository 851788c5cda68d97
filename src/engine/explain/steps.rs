//! What happened to the grants of a person, event by event.

use super::{Effect, GrantSummary, Step};
use crate::domain::decision::Decision;
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::fold::fold_observed;
use crate::domain::grant::{Anomaly, State};
use crate::domain::id::GrantId;
use crate::domain::time::Instant;
use crate::engine::facts::GrantFacts;

/// The steps of all grants, those of the decisive one first.
pub(super) fn steps(facts: &[GrantFacts], decision: &Decision) -> Vec<Step> {
    let decisive = decision.access.as_ref().map(|access| &access.grant);
    let mut steps: Vec<Step> = facts
        .iter()
        .flat_map(|facts| steps_of(facts, decision.question.at, decisive))
        .collect();
    // Stable: within a grant the events stay in the order they are folded in.
    steps.sort_by_key(|step| !step.decisive);
    steps
}

/// The places of what took effect between two instants.
pub(super) fn between(steps: &[Step], one: Instant, other: Instant) -> Vec<usize> {
    let (after, until) = (one.min(other), one.max(other));
    places(steps, |step| {
        step.effective_at.0 > after && step.effective_at.0 <= until
    })
}

pub(super) fn places(steps: &[Step], is_one: impl Fn(&Step) -> bool) -> Vec<usize> {
    let places = steps.iter().enumerate();
    places
        .filter(|(_, step)| is_one(step))
        .map(|(place, _)| place)
        .collect()
}

fn steps_of(facts: &GrantFacts, at: Instant, decisive: Option<&GrantId>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(facts.events.len());
    let mut before = GrantSummary::of(&State::Absent, &facts.policy);
    fold_observed(
        &facts.grant,
        &facts.events,
        &facts.policy,
        &mut |place, state, anomalies| {
            let after = GrantSummary::of(state, &facts.policy);
            if let Some(recorded) = facts.events.get(place) {
                let effect = Effect {
                    before: std::mem::replace(&mut before, after.clone()),
                    after,
                };
                let is_decisive = decisive == Some(&facts.grant);
                steps.push(step(
                    &facts.grant,
                    recorded,
                    at,
                    is_decisive,
                    effect,
                    anomalies,
                ));
            }
        },
    );
    steps
}

fn step(
    grant: &GrantId,
    recorded: &RecordedEvent,
    at: Instant,
    decisive: bool,
    effect: Effect,
    anomalies: &[Anomaly],
) -> Step {
    Step {
        grant: grant.key.clone(),
        source: grant.source.clone(),
        decisive,
        in_effect: recorded.event.effective_at.0 <= at,
        position: recorded.position,
        index: recorded.key.index,
        stated_by: recorded.key.source.clone(),
        dedupe_key: recorded.key.dedupe_key.clone(),
        attribution: None,
        change: recorded.event.statement.name(),
        about_user: matches!(recorded.event.statement, Statement::User(_)),
        effective_at: recorded.event.effective_at,
        recorded_at: recorded.recorded_at,
        effect,
        anomalies: anomalies.to_vec(),
    }
}
