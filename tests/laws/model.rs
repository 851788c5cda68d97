//! The engine and the model give the same answers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tenure::domain::decision::Question;
use tenure::domain::fold::{BlockHistory, fold};
use tenure::domain::window::{segments, windows};
use tenure::{Decision, Engine, GrantId, Instant, Policy, RecordedAt, State, Store};

use crate::model::Answer;
use crate::strategies::{
    GRANTS, Recorded, history, questions, recorded, recorded_events, rules, told,
};

use super::{checks, grant, hold, some_of};

/// The model's form of a decision.
fn as_answer(decision: &Decision) -> Answer {
    let access = decision
        .access
        .as_ref()
        .filter(|_| decision.verdict.is_allowed());
    Answer {
        allow: decision.verdict.is_allowed(),
        reason: decision.verdict.reason(),
        grant: access.map(|it| it.grant.clone()),
        product: access.map(|it| it.product.clone()),
        window: access.and_then(|it| it.window),
        next_change_at: decision.next_change_at,
    }
}

pub(super) fn the_answers_agree<S: Store>(
    engine: &Engine<S>,
    recorded: &Recorded,
    questions: &[Question],
) -> TestCaseResult {
    for decision in checks(engine, questions) {
        let Question {
            user,
            resource,
            at,
            as_of,
        } = &decision.question;
        let answer = recorded.model().answer(user, resource, *at, *as_of);
        prop_assert_eq!(as_answer(&decision), answer, "{:?}", decision.question);
        let access = recorded.model().access(user, resource, *at, *as_of);
        prop_assert_eq!(decision.verdict.is_allowed(), access);
    }
    Ok(())
}

fn the_windows_agree<S: Store>(
    engine: &Engine<S>,
    recorded: &Recorded,
    as_of: Option<RecordedAt>,
) -> TestCaseResult {
    let mut reader = engine.reader().unwrap();
    for user in recorded.users() {
        let windows = reader.windows(&user, as_of).unwrap();
        let own = windows
            .into_iter()
            .filter(|window| window.user == user)
            .map(|it| {
                let (source, key) = (it.source, it.grant);
                (GrantId { source, key }, it.product, it.start, it.end)
            });
        let mut own: Vec<_> = own.collect();
        own.sort_by_key(|(grant, _, start, _)| (*start, grant.clone()));
        prop_assert_eq!(
            own,
            recorded.model().windows(&user, as_of),
            "windows of {}",
            user
        );
    }
    Ok(())
}

fn the_anomalies_agree<S: Store>(engine: &Engine<S>, recorded: &Recorded) -> TestCaseResult {
    let anomalies = engine
        .reader()
        .unwrap()
        .anomalies(None, None, 10_000)
        .unwrap();
    let mut found: Vec<_> = anomalies
        .into_iter()
        .map(|it| (it.position, it.index, it.anomaly.name(), it.grant))
        .filter(|(_, _, name, _)| !["same_instant", "nested_parent"].contains(name))
        .collect();
    found.sort();
    prop_assert_eq!(found, recorded.model().anomalies(None));
    Ok(())
}

#[test]
fn the_engine_equals_the_model() {
    hold(2500, history(12), |history| {
        let engine = told(&history);
        let recorded = recorded(&engine);
        the_anomalies_agree(&engine, &recorded)?;
        the_windows_agree(&engine, &recorded, None)?;
        the_answers_agree(&engine, &recorded, &some_of(&questions(&engine, None), 24))?;
        for as_of in &recorded.times {
            the_windows_agree(&engine, &recorded, Some(*as_of))?;
            let asked = some_of(&questions(&engine, Some(*as_of)), 3);
            the_answers_agree(&engine, &recorded, &asked)?;
        }
        Ok(())
    });
}

#[test]
fn the_engine_equals_the_model_at_every_boundary() {
    hold(300, history(6), |history| {
        let engine = told(&history);
        let recorded = recorded(&engine);
        the_answers_agree(&engine, &recorded, &questions(&engine, None))
    });
}

#[test]
fn the_fold_is_total() {
    let policies = rules().prop_map(|rules| rules.policy(&"crm".parse().unwrap()));
    hold(
        1200,
        (recorded_events(14), policies),
        |(events, policy): (_, Policy)| {
            let mut users = BTreeSet::new();
            for key in GRANTS {
                let folded = fold(&grant(key), &events, &policy);
                let mut last = None;
                for span in &folded.history {
                    prop_assert!(last < Some(span.from), "spans out of order");
                    last = Some(span.from);
                }
                users.extend(
                    events
                        .iter()
                        .flat_map(|it| it.event.statement.users())
                        .cloned(),
                );
                let blocks = users.iter().map(|user| {
                    let history = BlockHistory::fold(&"crm".parse().unwrap(), user, &events);
                    (user.clone(), history)
                });
                let segments = segments(&folded.history, &blocks.collect(), &BTreeMap::new());
                for window in windows(&segments) {
                    prop_assert!(window.end.is_after(window.start));
                }
                if let State::Live(live) = &folded.state {
                    prop_assert!(live.until >= live.paid_until, "{:?}", live);
                }
            }
            Ok(())
        },
    );
}

#[test]
fn the_fold_equals_the_model_whatever_the_sequence() {
    hold(1000, (recorded_events(7), rules()), |(events, rules)| {
        let rules = [(RecordedAt(Instant::FIRST), rules)];
        let recorded = Recorded {
            events,
            rules: rules.to_vec(),
            times: Vec::new(),
        };
        let mut anomalies = Vec::new();
        for grant in recorded.grants() {
            let folded = fold(&grant, &recorded.events, &rules[0].1.policy(&grant.source));
            for (place, anomaly) in folded.anomalies {
                let event = &recorded.events[place];
                if anomaly.name() != "same_instant" {
                    anomalies.push((event.position, 0, anomaly.name(), grant.clone()));
                }
            }
        }
        anomalies.sort();
        prop_assert_eq!(anomalies, recorded.model().anomalies(None));
        Ok(())
    });
}
