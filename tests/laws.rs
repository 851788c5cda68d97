//! The laws: each property is a sentence of what access means, held against random histories.
//!
//! The cases are the same in every run. `TENURE_CASES=20` takes twenty times as many, `TENURE_SEED=random` others; what
//! fails is kept in `proptest-regressions/laws.txt` and tried first from then on.

use std::cell::Cell;
use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestCaseResult, TestRunner};
use tenure::domain::decision::Question;
use tenure::{Decision, Engine, GrantId, Store, Window};

use crate::agreement::{checks, some_of};
use crate::strategies::Projections;

mod answers;
mod changes;
mod erasing;
mod explain;
mod exports;
mod grants;
mod holders;
mod index;
mod log;
mod long_grants;
mod model;
mod regressions;
mod remembered;
mod rules;
mod shuffle;
mod staff;
pub(crate) mod stores;
mod timeline;

const SEED: u64 = 20_240_229;

pub(crate) fn more_cases() -> u32 {
    let given = std::env::var("TENURE_CASES").ok();
    given.map_or(1, |cases| cases.parse().expect("TENURE_CASES is a number"))
}

/// Holds a law against that many cases.
fn hold<S: Strategy>(cases: u32, strategy: S, law: impl Fn(S::Value) -> TestCaseResult)
where
    S::Value: Debug,
{
    let random = std::env::var("TENURE_SEED").is_ok_and(|seed| seed == "random");
    let seed = if random {
        RngSeed::Random
    } else {
        RngSeed::Fixed(SEED)
    };
    let file = FileFailurePersistence::Direct("proptest-regressions/laws.txt");
    let config = Config {
        cases: cases * more_cases(),
        rng_seed: seed,
        failure_persistence: Some(Box::new(file)),
        max_shrink_iters: 2_000,
        max_shrink_time: 20_000,
        ..Config::default()
    };
    let (count, fell) = (Cell::new(0_u32), Cell::new(None));
    let result = TestRunner::new(config).run(&strategy, |value| {
        count.set(count.get() + 1);
        let result = law(value);
        if result.is_err() && fell.get().is_none() {
            fell.set(Some(count.get()));
        }
        result
    });
    if let Err(error) = result {
        panic!(
            "fell after {:?} cases: {error}",
            fell.get().unwrap_or(count.get())
        );
    }
}

fn check<S: Store>(engine: &Engine<S>, question: &Question) -> Decision {
    engine.reader().unwrap().check(question).unwrap()
}

fn grant(key: &str) -> GrantId {
    GrantId {
        source: "crm".parse().unwrap(),
        key: key.parse().unwrap(),
    }
}

fn windows_of(projections: &Projections, grant: &GrantId) -> Vec<Window> {
    projections
        .get(grant)
        .map(|it| it.windows.clone())
        .unwrap_or_default()
}

/// What a decision says, apart from how far the log has come.
fn said(decision: &Decision) -> impl PartialEq + Debug {
    (
        decision.verdict,
        decision.access.clone(),
        decision.next_change_at,
    )
}
