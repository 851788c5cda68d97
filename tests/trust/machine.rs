//! Any sequence of whatever can be done to an engine on a file, against the bookkeeping and the model after each step.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use serde_json::json;
use tenure::Instant;
use tenure::store::EntryKind;

use crate::harness::{Extent, Harness, Report, caught};
use crate::ledger::Sent;
use crate::seam::{BELIEVED, SOUND, Seam, UNANSWERED, UNDONE};
use crate::strategies::{Line, line, now, odd_line, plain_rules, rules};
use crate::world::{Bug, Deed, Done, Looks, NO_BUG, Step, World, listed};

pub(crate) const HARNESS: Harness = Harness {
    name: "machine",
    guarantee: "positions, times, repetitions, conflicts, retries, rules, rebuilds: right after any sequence",
    not_covered: "other dialects than CloudEvents: the simulator speaks all",
    run,
};

const SEQUENCES: &str = "sequences";
const APPENDS: &str = "appends";
const LOOKS: Looks = Looks {
    families: 2,
    answers: 2,
};
const FAMILIES: usize = 12;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    let (count, violation) = hold(extent.seed, extent.cases(450), NO_BUG, 1_000);
    report.tried(count, SEQUENCES);
    report.violations.extend(violation);
    let done = DONE.with(Cell::take);
    report.tried(done.appends, APPENDS);
    report.tried(done.deliveries, "deliveries");
    report.tried(done.answers, "answers");
    report.done(done.failures, "failed transactions");
    report.done(done.reopenings, "restarts");
    report.at_least(100_000, APPENDS);
    for (bug, planted) in PLANTS {
        let (count, violation) = hold(extent.seed, 60, planted, 2);
        report.plant_caught(bug, violation.map(|_| count));
    }
    report
}

const PLANTS: [(&str, Bug); 4] = [
    ("acknowledged though undone", with(SOUND, BELIEVED)),
    (
        "another body under a key held applied",
        with(
            Seam {
                append: |entry| {
                    if entry.kind == EntryKind::Delivery {
                        let key = format!("{} {:?}", entry.dedupe_key, entry.recorded_at);
                        entry.dedupe_key = tenure::DedupeKey::new(&key).unwrap();
                    }
                },
                ..SOUND
            },
            UNDONE,
        ),
    ),
    (
        "an answer as of K knows what came next",
        with(
            Seam {
                events: |events| {
                    for event in events {
                        event.recorded_at.0 = event.recorded_at.0.previous();
                    }
                },
                ..SOUND
            },
            UNDONE,
        ),
    ),
    (
        "a window not projected",
        with(
            Seam {
                project: |projection| {
                    projection.windows.pop();
                },
                ..SOUND
            },
            UNDONE,
        ),
    ),
];

const fn with(seam: Seam, undone: u8) -> Bug {
    Bug {
        seam,
        undone,
        is_hasty: false,
    }
}

thread_local! {
    /// The library that runs the sequences makes the worlds itself.
    static BUG: Cell<Bug> = const { Cell::new(NO_BUG) };
    static DONE: Cell<Done> = const { Cell::new(Done::NOTHING) };
}

fn hold(seed: u64, cases: u64, bug: Bug, most_shrinking: u32) -> (u64, Option<String>) {
    BUG.set(bug);
    let config = Config {
        cases: u32::try_from(cases).unwrap_or(u32::MAX),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: most_shrinking,
        max_shrink_time: 20_000,
        ..Config::default()
    };
    let (count, fell) = (Cell::new(0), Cell::new(None));
    let sequences = Plan::sequential_strategy(10..24);
    let result = TestRunner::new(config.clone()).run(&sequences, |(begin, steps, seen)| {
        count.set(count.get() + 1);
        let held = caught(|| {
            Tried::test_sequential(config.clone(), begin, steps, seen);
            Ok(())
        });
        if held.is_err() && fell.get().is_none() {
            fell.set(Some(count.get()));
        }
        held.map_err(TestCaseError::fail)
    });
    let violation = result.err().map(|error| {
        let number = fell.get().unwrap_or(0);
        let said = match error {
            TestError::Fail(why, (_, steps, _)) => {
                format!("{why}\nthe smallest sequence found:\n{}", listed(&steps))
            }
            TestError::Abort(why) => format!("given up: {why}"),
        };
        format!("seed {seed}, sequence {number}: {said}")
    });
    (fell.get().unwrap_or(count.get()), violation)
}

/// What a sequence goes by: the clock, and what was sent so far.
#[derive(Clone, Debug)]
struct Plan {
    clock: Instant,
    sent: Vec<Sent>,
}

impl ReferenceStateMachine for Plan {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let (clock, sent) = (now(), Vec::new());
        Just(Self { clock, sent }).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        let deed = prop_oneof![
            12 => (state.batch(), prop_oneof![6 => Just(0), 1 => Just(UNDONE), 1 => Just(UNANSWERED)])
                .prop_map(|(sent, trouble)| Deed::Take { sent, trouble }),
            2 => state.batch().prop_map(Deed::TakeBeside),
            3 => (state.batch(), any::<bool>(), -3_i64..3).prop_map({
                let clock = state.clock;
                move |(sent, is_backfill, hours)| {
                    let received_at = Some(moved(clock, hours * 3_600));
                    let sent = sent.into_iter().map(|it| Sent { received_at, ..it });
                    Deed::File { sent: sent.collect(), is_backfill }
                }
            }),
            2 => Just(Deed::RetryAll),
            1 => any::<usize>().prop_map(|place| Deed::Discard(place % 1_000)),
            2 => rules().prop_map(|rules| Deed::Apply(Box::new(rules))),
            1 => Just(Deed::Rebuild),
            2 => Just(Deed::Reopen),
        ];
        let days = prop_oneof![8 => Just(0), 1 => Just(40), 1 => Just(-40)];
        let clock = state.clock;
        (deed, days)
            .prop_map(move |(deed, days)| {
                let now = moved(clock, days * 86_400 + 1);
                Step { now, deed }
            })
            .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        state.clock = step.now;
        match &step.deed {
            Deed::Take { sent, .. } | Deed::TakeBeside(sent) | Deed::File { sent, .. } => {
                state.sent.extend(sent.iter().cloned());
            }
            Deed::RetryAll
            | Deed::Discard(_)
            | Deed::Apply(_)
            | Deed::Rebuild
            | Deed::Reopen
            | Deed::Follow { .. } => {}
        }
        state
    }
}

fn moved(clock: Instant, seconds: i64) -> Instant {
    Instant::from_micros(clock.micros() + seconds * 1_000_000).unwrap()
}

/// What is sent: said for the first time, under a key that was used, or the very same once more.
#[derive(Clone, Copy, Debug)]
enum Novelty {
    New,
    UnderTheKeyOf(usize),
    AgainThe(usize),
}

impl Plan {
    fn batch(&self) -> impl Strategy<Value = Vec<Sent>> + use<> {
        let novelty = prop_oneof![
            8 => Just(Novelty::New),
            1 => (0_usize..10_000).prop_map(Novelty::UnderTheKeyOf),
            1 => (0_usize..10_000).prop_map(Novelty::AgainThe),
        ];
        let said = (
            prop_oneof![12 => line(), 1 => odd_line()],
            0..FAMILIES,
            novelty,
        );
        let sent = self.sent.clone();
        vec(said, 1..48).prop_map(move |batch| {
            let first = sent.len();
            let mut all = sent.clone();
            for (line, family, novelty) in batch {
                let of_family = of_family(line, family, all.len());
                let body = |id: usize| of_family.body(id);
                let one = |body: String| Sent {
                    family,
                    source: of_family.source,
                    body,
                    received_at: None,
                    is_backfill: false,
                };
                let next = match novelty {
                    Novelty::UnderTheKeyOf(id) if !all.is_empty() => one(body(id % all.len())),
                    Novelty::AgainThe(place) if !all.is_empty() => {
                        let before: &Sent = &all[place % all.len()];
                        before.clone()
                    }
                    Novelty::New | Novelty::UnderTheKeyOf(_) | Novelty::AgainThe(_) => {
                        one(body(all.len()))
                    }
                };
                all.push(next);
            }
            all.split_off(first)
        })
    }
}

/// The same said of the grants and users of a family.
fn of_family(mut line: Line, family: usize, sent: usize) -> Line {
    for name in ["grant", "parent", "alias", "user"] {
        if let Some(text) = line.text(name).map(|text| format!("{text}{family}")) {
            line = line.with(name, json!(text));
        }
    }
    // Any of what was sent so far.
    if let Some((by, number)) = line.text("id").and_then(|id| id.split_once(" e")) {
        let number: usize = number.parse().unwrap();
        let id = format!("{by} e{}", number * sent / 12);
        line = line.with("id", json!(id));
    }
    line.subject = line.subject.map(|user| format!("{user}{family}"));
    line
}

/// The engine beside its bookkeeping.
struct Tried;

impl StateMachineTest for Tried {
    type SystemUnderTest = World;
    type Reference = Plan;

    fn init_test(_: &Plan) -> World {
        World::begin(&plain_rules(), 7, BUG.get())
    }

    fn apply(mut world: World, _: &Plan, step: Step) -> World {
        world.step(&step).unwrap();
        world
    }

    fn teardown(mut world: World, _: Plan) {
        world.end(LOOKS).unwrap();
        DONE.set(DONE.get().and(&world.done));
    }
}
