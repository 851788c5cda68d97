//! Since when the answer is what it is, when access was lost, and by what.

use std::collections::BTreeSet;

use super::steps::places;
use super::story::Story;
use super::{GrantSummary, Step};
use crate::domain::decision::{Decision, Question, turned_at};
use crate::domain::id::GrantId;
use crate::domain::time::{End, Instant};
use crate::engine::facts::GrantFacts;

/// When, after `since`, the answer became what it is, and the places of what did it.
pub(super) fn turned(
    story: &Story<'_>,
    question: &Question,
    since: Instant,
    steps: &[Step],
) -> (Option<Instant>, Vec<usize>) {
    let Some(at) = turned_at(question, &story.person, story.rules, since) else {
        return (None, Vec::new());
    };
    let grants = concerned(story, question, at);
    (Some(at), done_by(steps, &grants, at))
}

/// When access was lost for the last time by the instant asked about, and the places of what took it; nothing if there never
/// was access that has ended.
pub(super) fn lost(
    story: &Story<'_>,
    decision: &Decision,
    steps: &[Step],
) -> (Option<Instant>, Vec<usize>) {
    let Decision {
        question, access, ..
    } = decision;
    let Some(access) = access.as_ref().filter(|_| !decision.verdict.is_allowed()) else {
        return (None, Vec::new());
    };
    let Some((start, end)) = access.window else {
        return (None, Vec::new());
    };
    let inclusion = story.rules.inclusion(&access.product, &question.resource);
    let ends = inclusion.within(start, end);
    let ends = ends.filter_map(|(_, end)| end.instant());
    let Some(at) = ends.filter(|end| *end <= question.at).max() else {
        return (None, Vec::new());
    };
    if end != End::At(at) {
        return (Some(at), Vec::new());
    }
    let mut grants = BTreeSet::from([access.grant.clone()]);
    grants.extend(
        story
            .facts_of(&access.grant)
            .into_iter()
            .flat_map(GrantFacts::parents),
    );
    (Some(at), done_by(steps, &grants, at))
}

/// The places of what changed one of the grants at the instant, else of what had set a beginning or an end to it.
fn done_by(steps: &[Step], grants: &BTreeSet<GrantId>, at: Instant) -> Vec<usize> {
    let is_concerned = |step: &Step| grants.iter().any(|grant| step.is_of(grant));
    let mut by = places(steps, |step| {
        step.effective_at.0 == at && step.made_a_difference() && is_concerned(step)
    });
    if by.is_empty() {
        let set = grants.iter();
        by = set.filter_map(|grant| last_set(steps, grant, at)).collect();
        by.sort_unstable();
    }
    by
}

/// The grants the answers just before and at the instant were read from, and their parents.
fn concerned(story: &Story<'_>, question: &Question, at: Instant) -> BTreeSet<GrantId> {
    let read_from = |at: Instant| {
        let question = Question {
            at,
            ..question.clone()
        };
        Some(story.decide(&question).access?.grant)
    };
    let mut grants: BTreeSet<GrantId> = [at.previous(), at]
        .into_iter()
        .filter_map(read_from)
        .collect();
    let facts: Vec<&GrantFacts> = grants
        .iter()
        .filter_map(|grant| story.facts_of(grant))
        .collect();
    grants.extend(facts.into_iter().flat_map(GrantFacts::parents));
    grants
}

/// The place of the event that last set a beginning or an end of the grant to `at`, if one still stands there.
fn last_set(steps: &[Step], grant: &GrantId, at: Instant) -> Option<usize> {
    let own = steps.iter().enumerate();
    let own = own.filter(|(_, step)| step.is_of(grant) && step.effective_at.0 <= at);
    let mut set = None;
    for (place, step) in own {
        match (
            reaches(&step.effect.before, at),
            reaches(&step.effect.after, at),
        ) {
            (false, true) => set = Some(place),
            (_, false) => set = None,
            (true, true) => {}
        }
    }
    set
}

/// Whether something of the grant begins or ends at `at`.
fn reaches(summary: &GrantSummary, at: Instant) -> bool {
    let ends = [summary.paid_until, summary.end];
    summary.state == "live" && (summary.start == Some(at) || ends.contains(&Some(End::At(at))))
}
