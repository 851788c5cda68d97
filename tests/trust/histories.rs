//! Random histories: what the engine answers is what the model says, now and as of every earlier knowledge.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestError, TestRunner};
use tenure::{Engine, MemoryStore};

use crate::agreement::{some_of, the_anomalies_agree, the_answers_agree, the_windows_agree};
use crate::harness::{Extent, Harness, Report, caught};
use crate::seam::{SOUND, Seam, SeamStore, Trouble};
use crate::strategies::{History, engine, history, questions, recorded, tell, told};

pub(crate) const HARNESS: Harness = Harness {
    name: "histories",
    guarantee: "the engine answers as the law says: access, reason, window, next change, as of any time",
    not_covered: "histories of more than 13 deliveries; other dialects than CloudEvents",
    run,
};

const HISTORIES: &str = "histories";
const ANSWERS: &str = "answers";
const MOST: usize = 12;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    let answers = Cell::new(0);
    let (count, violation) = hold(extent.seed, extent.cases(20_000), SOUND, &answers);
    report.tried(count, HISTORIES);
    report.tried(answers.get(), ANSWERS);
    report.violations.extend(violation);
    report.at_least(20_000, HISTORIES);
    report.at_least(200_000, ANSWERS);
    for (bug, seam) in PLANTS {
        let answers = Cell::new(0);
        let (count, violation) = hold(extent.seed, 2_000, seam, &answers);
        report.plant_caught(bug, violation.map(|_| count));
    }
    report
}

const PLANTS: [(&str, Seam); 5] = [
    (
        "a window ends 1 µs late",
        Seam {
            windows: |windows| {
                for (_, window) in windows {
                    window.end = window
                        .end
                        .instant()
                        .map_or(window.end, |it| it.next().into());
                }
            },
            ..SOUND
        },
    ),
    (
        "a segment lost",
        Seam {
            segments: |grants| {
                for (_, segments) in grants {
                    segments.pop();
                }
            },
            ..SOUND
        },
    ),
    (
        "a grant less",
        Seam {
            segments: |grants| grants.truncate(grants.len().saturating_sub(1)),
            ..SOUND
        },
    ),
    (
        "sees what is recorded 1 µs after K",
        Seam {
            events: |events| {
                for event in events {
                    event.recorded_at.0 = event.recorded_at.0.previous();
                }
            },
            ..SOUND
        },
    ),
    (
        "an anomaly swallowed",
        Seam {
            project: |projection| {
                projection.anomalies.pop();
            },
            ..SOUND
        },
    ),
];

/// How many histories held, and what did not, with the smallest case.
fn hold(seed: u64, cases: u64, seam: Seam, answers: &Cell<u64>) -> (u64, Option<String>) {
    let config = Config {
        cases: u32::try_from(cases).unwrap_or(u32::MAX),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        max_shrink_time: 10_000,
        ..Config::default()
    };
    let (count, fell) = (Cell::new(0), Cell::new(None));
    let result = TestRunner::new(config).run(&history(MOST), |history| {
        count.set(count.get() + 1);
        let held = caught(|| Ok(agrees(&history, seam, answers)));
        let held = held.unwrap_or_else(|panic| Err(TestCaseError::fail(panic)));
        if held.is_err() && fell.get().is_none() {
            fell.set(Some(count.get()));
        }
        held
    });
    let violation = result.err().map(|error| {
        let number = fell.get().unwrap_or(0);
        let said = match error {
            TestError::Fail(why, smallest) => format!("{why}\nthe smallest case:\n{smallest:?}"),
            TestError::Abort(why) => format!("given up: {why}"),
        };
        format!("seed {seed}, case {number}: {said}")
    });
    (fell.get().unwrap_or(count.get()), violation)
}

fn agrees(history: &History, seam: Seam, answers: &Cell<u64>) -> TestCaseResult {
    // The model is given what a sound engine recorded.
    let sound = told(history);
    let recorded = recorded(&sound);
    let engine = told_through(history, seam);
    the_anomalies_agree(&engine, &recorded)?;
    the_windows_agree(&engine, &recorded, None)?;
    let mut asked = some_of(&questions(&sound, None), 8);
    // One place of the log in each history, another one in each.
    let times = history.lines.iter().map(|line| line.time.micros());
    let mixed = times.fold(7_i64, |mixed, it| mixed.wrapping_mul(31).wrapping_add(it));
    let mixed = usize::try_from(mixed.unsigned_abs() >> 20).unwrap_or_default();
    let place = mixed % recorded.times.len().max(1);
    for as_of in recorded.times.iter().skip(place).take(1) {
        the_windows_agree(&engine, &recorded, Some(*as_of))?;
        asked.extend(some_of(&questions(&sound, Some(*as_of)), 4));
    }
    answers.set(answers.get() + asked.len() as u64);
    the_answers_agree(&engine, &recorded, &asked)
}

fn told_through(history: &History, seam: Seam) -> Engine<SeamStore<MemoryStore>> {
    let store = SeamStore {
        store: MemoryStore::new().unwrap(),
        seam,
        trouble: Trouble::default(),
    };
    let mut engine = engine(store, &history.rules);
    tell(&mut engine, &history.lines, 0);
    engine
}
