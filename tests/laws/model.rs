//! The engine and the model give the same answers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tenure::domain::fold::{BlockHistory, fold};
use tenure::domain::window::{segments, windows};
use tenure::{Instant, Policy, RecordedAt, State};

use crate::agreement::{some_of, the_anomalies_agree, the_answers_agree, the_windows_agree};
use crate::strategies::{
    GRANTS, Recorded, history, questions, recorded, recorded_events, rules, told,
};

use super::{grant, hold};

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
