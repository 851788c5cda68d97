//! What led to a decision: each event of the grants concerned, and what it changed.

use std::collections::BTreeSet;

use serde::Serialize;

use super::facts::GrantFacts;
use super::staff::Attribution;
use crate::domain::decision::Decision;
use crate::domain::event::{Cause, RecordedEvent, Statement};
use crate::domain::fold::fold_observed;
use crate::domain::grant::{Anomaly, How, State};
use crate::domain::id::{BlockName, GrantId, GrantKey, Position, ProductName, SourceName, UserId};
use crate::domain::rules::Policy;
use crate::domain::time::{EffectiveAt, End, Instant, RecordedAt};

/// A decision and what led to it. Always agrees with the decision that `check` gives for the same question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// Every id of the person, the one asked for among them.
    pub linked: Vec<UserId>,
    /// What happened to the grants of the person, the decisive grant first.
    pub steps: Vec<Step>,
    /// The decision at the other instant, where one was asked for.
    pub since: Option<Decision>,
    /// The places in `steps` of what took effect between the two instants. Empty, though the answers differ, where only time
    /// has passed.
    pub took_effect_since: Vec<usize>,
}

/// One event and what it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The key of the grant.
    pub grant: GrantKey,
    /// Its source.
    pub source: SourceName,
    /// Whether the decision was read from this grant.
    pub decisive: bool,
    /// Whether it had taken effect at the instant asked about.
    pub in_effect: bool,
    /// The entry of the log.
    pub position: Position,
    /// The event's place in the delivery.
    pub index: u32,
    /// The source of the delivery.
    pub stated_by: SourceName,
    /// Who stated it by hand and why, where the delivery says so. In JSON `actor` and `why` stand in the step itself.
    #[serde(flatten)]
    pub attribution: Option<Attribution>,
    /// The change.
    pub change: &'static str,
    /// Whether it speaks of all grants of a user in the source.
    pub about_user: bool,
    /// From when on it holds.
    pub effective_at: EffectiveAt,
    /// When it was recorded.
    pub recorded_at: RecordedAt,
    /// What it did to the grant.
    pub effect: Effect,
    /// What could not be applied as stated.
    pub anomalies: Vec<Anomaly>,
}

/// The grant before and after an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Before.
    pub before: GrantSummary,
    /// After.
    pub after: GrantSummary,
}

/// What of a grant's state a person wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GrantSummary {
    /// `absent`, `live` or `over`.
    pub state: &'static str,
    /// Who holds it, or held it at last.
    pub user: Option<UserId>,
    /// What it gives, or gave at last.
    pub product: Option<ProductName>,
    /// The first instant of its present window.
    pub start: Option<Instant>,
    /// From here on it is in grace.
    pub paid_until: Option<End>,
    /// The first instant without access.
    pub end: Option<End>,
    /// Whether it will not renew.
    pub cancelled: bool,
    /// Who suspended it.
    pub blocks: Vec<BlockName>,
    /// What ended it: `revoked`, or the cause of its end.
    pub how: Option<&'static str>,
}

impl GrantSummary {
    /// The summary of a state under the policies of its source.
    pub fn of(state: &State, policy: &Policy) -> Self {
        match state {
            State::Absent => Self {
                state: "absent",
                ..Self::default()
            },
            State::Live(live) => Self {
                state: "live",
                user: Some(live.user.clone()),
                product: Some(live.product.clone()),
                start: Some(live.start),
                paid_until: Some(live.paid_until),
                end: Some(live.end(policy)),
                cancelled: live.cancelled.is_some(),
                blocks: live.blocks.iter().cloned().collect(),
                how: None,
            },
            State::Over(over) => Self {
                state: "over",
                user: over.last.as_ref().map(|last| last.user.clone()),
                product: over.last.as_ref().map(|last| last.product.clone()),
                start: over.last.as_ref().map(|last| last.start),
                paid_until: None,
                end: Some(End::At(over.at)),
                cancelled: false,
                blocks: Vec::new(),
                how: Some(how(over.how)),
            },
        }
    }
}

fn how(how: How) -> &'static str {
    match how {
        How::Revoked => "revoked",
        How::Ended(Cause::Expired) => "expired",
        How::Ended(Cause::Cancelled) => "cancelled",
        How::Ended(Cause::RenewalFailed) => "renewal_failed",
        How::Ended(Cause::Refunded) => "refunded",
        How::Ended(Cause::UserRemoved) => "user_removed",
        How::Ended(Cause::Unspecified) => "ended",
    }
}

pub(crate) fn explain(
    decision: Decision,
    since: Option<Decision>,
    linked: BTreeSet<UserId>,
    facts: &[GrantFacts],
) -> Explanation {
    let decisive = decision.access.as_ref().map(|access| access.grant.clone());
    let mut steps: Vec<Step> = facts
        .iter()
        .flat_map(|facts| steps(facts, decision.question.at, decisive.as_ref()))
        .collect();
    // Stable: within a grant the events stay in the order they are folded in.
    steps.sort_by_key(|step| !step.decisive);
    let took_effect_since = since.as_ref().map_or_else(Vec::new, |since| {
        let (a, b) = (since.question.at, decision.question.at);
        let between =
            |step: &Step| step.effective_at.0 > a.min(b) && step.effective_at.0 <= a.max(b);
        let places = steps.iter().enumerate();
        places
            .filter(|(_, step)| between(step))
            .map(|(place, _)| place)
            .collect()
    });
    Explanation {
        decision,
        linked: linked.into_iter().collect(),
        steps,
        since,
        took_effect_since,
    }
}

fn steps(facts: &GrantFacts, at: Instant, decisive: Option<&GrantId>) -> Vec<Step> {
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
        attribution: None,
        change: recorded.event.statement.name(),
        about_user: matches!(recorded.event.statement, Statement::User(_)),
        effective_at: recorded.event.effective_at,
        recorded_at: recorded.recorded_at,
        effect,
        anomalies: anomalies.to_vec(),
    }
}
