//! The laws of who and what: they list exactly those of whom `check` says so.

use proptest::prelude::*;
use tenure::domain::decision::Question;
use tenure::{Decision, HoldersQuestion, ResourceName, Store};

use crate::strategies::{
    PRODUCTS, boundaries, history, instants_to_ask, projections, recorded, resources, told,
};

use super::{checks, hold, some_of};

/// Every page of it.
fn who<S: Store>(
    engine: &tenure::Engine<S>,
    question: &HoldersQuestion,
    page: usize,
) -> Vec<Decision> {
    let mut reader = engine.reader().unwrap();
    let mut all: Vec<Decision> = Vec::new();
    loop {
        let after = all.last().map(|it| it.question.user.clone());
        let found = reader.who(question, after.as_ref(), page).unwrap();
        let is_last = found.len() < page;
        all.extend(found);
        if is_last {
            return all;
        }
    }
}

#[test]
fn who_lists_exactly_those_whom_check_allows() {
    hold(400, history(12), |history| {
        let engine = told(&history);
        let recorded = recorded(&engine);
        let instants = instants_to_ask(&boundaries(&projections(&engine), &history.rules));
        let instants: Vec<_> = instants.into_iter().collect();
        let knowledge = some_of(&recorded.times, 2)
            .into_iter()
            .map(Some)
            .chain([None]);
        for as_of in knowledge {
            for resource in resources() {
                for at in some_of(&instants, 5) {
                    let question = HoldersQuestion {
                        resource: resource.clone(),
                        at,
                        as_of,
                    };
                    let asked: Vec<Question> = recorded
                        .users()
                        .into_iter()
                        .map(|user| Question {
                            user,
                            resource: resource.clone(),
                            at,
                            as_of,
                        })
                        .collect();
                    let mut allowed = checks(&engine, &asked);
                    allowed.retain(|decision| decision.verdict.is_allowed());
                    prop_assert_eq!(who(&engine, &question, 2), allowed);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn what_lists_exactly_the_resources_that_check_allows() {
    hold(400, history(12), |history| {
        let engine = told(&history);
        let recorded = recorded(&engine);
        let instants = instants_to_ask(&boundaries(&projections(&engine), &history.rules));
        let instants: Vec<_> = instants.into_iter().collect();
        let mut reader = engine.reader().unwrap();
        let named = history.rules.products.values().flat_map(|it| &it.includes);
        let mut named: Vec<ResourceName> = named.map(|include| include.name.clone()).collect();
        named.extend(PRODUCTS.map(|it| it.parse().unwrap()));
        named.sort();
        named.dedup();
        let knowledge = some_of(&recorded.times, 2)
            .into_iter()
            .map(Some)
            .chain([None]);
        for as_of in knowledge {
            for user in recorded.users() {
                for at in some_of(&instants, 8) {
                    let asked: Vec<Question> = named
                        .iter()
                        .map(|resource| Question {
                            user: user.clone(),
                            resource: resource.clone(),
                            at,
                            as_of,
                        })
                        .collect();
                    let mut allowed = checks(&engine, &asked);
                    allowed.retain(|decision| decision.verdict.is_allowed());
                    let mut found: Vec<Decision> = Vec::new();
                    loop {
                        let after = found.last().map(|it| it.question.resource.clone());
                        let page = reader.what(&user, at, as_of, after.as_ref(), 2).unwrap();
                        let is_last = page.len() < 2;
                        found.extend(page);
                        if is_last {
                            break;
                        }
                    }
                    prop_assert_eq!(found, allowed);
                }
            }
        }
        Ok(())
    });
}
