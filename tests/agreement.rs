//! The engine and the model say the same: what the laws and the trust run hold it by.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tenure::domain::decision::Question;
use tenure::{Decision, Engine, GrantId, RecordedAt, Store};

use crate::model::Answer;
use crate::strategies::Recorded;

/// A few of many, spread evenly: which ones depends on the whole.
pub(crate) fn some_of<T: Clone>(all: &[T], most: usize) -> Vec<T> {
    let step = all.len().div_ceil(most).max(1);
    // An odd step, so that not always the same of an instant and its neighbours is taken.
    all.iter().step_by(step | 1).cloned().collect()
}

pub(crate) fn checks<S: Store>(engine: &Engine<S>, questions: &[Question]) -> Vec<Decision> {
    engine.reader().unwrap().check_batch(questions).unwrap()
}

/// The model's form of a decision.
pub(crate) fn as_answer(decision: &Decision) -> Answer {
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

pub(crate) fn the_answers_agree<S: Store>(
    engine: &Engine<S>,
    recorded: &Recorded,
    questions: &[Question],
) -> TestCaseResult {
    let model = recorded.model();
    let mut known = None;
    for decision in checks(engine, questions) {
        let Question {
            user,
            resource,
            at,
            as_of,
        } = &decision.question;
        if known.as_ref().is_none_or(|(known_at, _)| known_at != as_of) {
            known = Some((*as_of, model.known(*as_of)));
        }
        let Some((_, known)) = &known else { continue };
        let answer = known.answer(user, resource, *at);
        prop_assert_eq!(as_answer(&decision), answer, "{:?}", decision.question);
        let access = known.has_access(user, resource, *at);
        prop_assert_eq!(decision.verdict.is_allowed(), access);
    }
    Ok(())
}

pub(crate) fn the_windows_agree<S: Store>(
    engine: &Engine<S>,
    recorded: &Recorded,
    as_of: Option<RecordedAt>,
) -> TestCaseResult {
    let mut reader = engine.reader().unwrap();
    let expected = recorded.model().known(as_of).windows_of_all();
    for user in recorded.users() {
        let expected = expected.iter().filter(|(holder, ..)| *holder == user);
        let expected: Vec<_> = expected
            .map(|(_, grant, product, start, end)| (grant.clone(), product.clone(), *start, *end))
            .collect();
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
        prop_assert_eq!(own, expected, "windows of {}", user);
    }
    Ok(())
}

pub(crate) fn the_anomalies_agree<S: Store>(
    engine: &Engine<S>,
    recorded: &Recorded,
) -> TestCaseResult {
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
