//! The laws of windows and of the answers read from them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tenure::domain::decision::Question;
use tenure::{Decision, End};

use crate::strategies::{history, projections, questions, recorded, told};

use super::{check, checks, hold, some_of};

#[test]
fn windows_are_sorted_disjoint_and_not_empty() {
    hold(1200, history(12), |history| {
        for projection in projections(&told(&history)).values() {
            for window in &projection.windows {
                prop_assert!(window.end.is_after(window.start), "{:?} is empty", window);
            }
            for pair in projection.windows.windows(2) {
                let touch = pair[0].end == End::At(pair[1].start);
                prop_assert!(pair[0].end <= End::At(pair[1].start), "{:?}", pair);
                let agree = (&pair[0].user, &pair[0].product) == (&pair[1].user, &pair[1].product);
                prop_assert!(!(touch && agree), "one window in two: {:?}", pair);
            }
            for segment in &projection.segments {
                prop_assert!(segment.to.is_after(segment.from), "{:?} is empty", segment);
            }
            for pair in projection.segments.windows(2) {
                prop_assert!(pair[0].to <= End::At(pair[1].from), "{:?}", pair);
                let touch = pair[0].to == End::At(pair[1].from);
                let agree = pair[0].phase == pair[1].phase;
                prop_assert!(!(touch && agree), "one segment in two: {:?}", pair);
            }
        }
        Ok(())
    });
}

#[test]
fn explain_agrees_with_check() {
    hold(480, history(10), |history| {
        let engine = told(&history);
        let mut reader = engine.reader().unwrap();
        for as_of in recorded(&engine).times.into_iter().map(Some).chain([None]) {
            for question in some_of(&questions(&engine, as_of), 12) {
                let explanation = reader.explain(&question, None).unwrap();
                let decision = reader.check(&question).unwrap();
                let steps = &explanation.steps;
                if let Some(access) = &decision.access {
                    let decisive = steps.iter().filter(|step| step.decisive);
                    let decisive: Vec<_> = decisive.collect();
                    prop_assert!(decisive.iter().any(|step| step.in_effect), "{:?}", question);
                    let is_of = |it: &&tenure::Step| {
                        (&it.source, &it.grant) == (&access.grant.source, &access.grant.key)
                    };
                    prop_assert!(decisive.iter().all(is_of));
                    let state = decisive.iter().rfind(|step| step.in_effect).unwrap();
                    let is_live = state.effect.after.state == "live";
                    prop_assert!(!decision.verdict.is_allowed() || is_live);
                }
                prop_assert_eq!(explanation.decision, decision);
            }
        }
        Ok(())
    });
}

#[test]
fn batch_agrees_with_single() {
    hold(320, history(10), |history| {
        let engine = told(&history);
        let mut asked = questions(&engine, None);
        for as_of in recorded(&engine).times {
            asked.extend(some_of(&questions(&engine, Some(as_of)), 30));
        }
        // Every question beside one of another instant of knowledge.
        let (front, back) = asked.split_at(asked.len() / 2);
        let asked: Vec<_> = front
            .iter()
            .zip(back)
            .flat_map(|(a, b)| [a.clone(), b.clone()])
            .collect();
        let asked = some_of(&asked, 150);
        let single: Vec<_> = asked
            .iter()
            .map(|question| check(&engine, question))
            .collect();
        prop_assert_eq!(checks(&engine, &asked), single);
        Ok(())
    });
}

#[test]
fn next_change_at_is_tight() {
    hold(800, history(10), |history| {
        let engine = told(&history);
        let mut of_one: BTreeMap<_, Vec<Decision>> = BTreeMap::new();
        for decision in checks(&engine, &questions(&engine, None)) {
            let Question { user, resource, .. } = &decision.question;
            of_one
                .entry((user.clone(), resource.clone()))
                .or_default()
                .push(decision);
        }
        for decisions in of_one.values() {
            for (place, decision) in decisions.iter().enumerate() {
                let allowed = decision.verdict.is_allowed();
                let flips = decisions[place..]
                    .iter()
                    .find(|it| it.verdict.is_allowed() != allowed);
                let flips = flips.map(|it| it.question.at);
                prop_assert_eq!(decision.next_change_at, flips, "{:?}", decision.question);
            }
        }
        Ok(())
    });
}

#[test]
fn the_boundary_instant_belongs_to_the_next_window() {
    hold(1000, history(10), |history| {
        let engine = told(&history);
        for (grant, projection) in projections(&engine) {
            for window in &projection.windows {
                let at = |at| {
                    let question = Question {
                        user: window.user.clone(),
                        resource: window.product.as_str().parse().unwrap(),
                        at,
                        as_of: None,
                    };
                    let decision = check(&engine, &question);
                    let access = decision.access.filter(|_| decision.verdict.is_allowed());
                    let own = access.as_ref().is_some_and(|it| {
                        it.grant == grant && it.window == Some((window.start, window.end))
                    });
                    (access.is_some(), own)
                };
                prop_assert!(at(window.start).0, "no access at the start of {:?}", window);
                let before = window.start.previous();
                prop_assert!(
                    before == window.start || !at(before).1,
                    "before {:?}",
                    window
                );
                if let End::At(end) = window.end {
                    prop_assert!(
                        at(end.previous()).0,
                        "no access before the end of {:?}",
                        window
                    );
                    prop_assert!(!at(end).1, "access by {:?} at its end", window);
                }
            }
        }
        Ok(())
    });
}
