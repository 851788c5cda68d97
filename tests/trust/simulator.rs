//! Whole lives on the real store, step by step beside the bookkeeping and the model. One seed is one run, bit for bit.

use tenure::Rules;
use tenure::store::EntryKind;

use crate::harness::{Extent, Harness, Report, caught};
use crate::lives::life;
use crate::seam::{BELIEVED, SOUND, Seam};
use crate::world::{Bug, Done, Looks, NO_BUG, Step, World, listed};

pub(crate) const HARNESS: Harness = Harness {
    name: "simulator",
    guarantee: "whatever the systems send in a bad week, log, answers and followers are right after each step",
    not_covered: "power loss and failing disks: rows of their own; encrypted packets",
    run,
};

const RUNS: &str = "whole lives";
const LOOKS: Looks = Looks {
    families: 2,
    answers: 4,
};
/// How often a shorter list of steps is tried when a run has fallen.
const MOST_ATTEMPTS: usize = 300;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    for number in 0..extent.cases(300) {
        let seed = extent.seed.wrapping_add(number);
        let (rules, steps) = life(seed);
        report.tried(1, RUNS);
        match caught(|| lived(&rules, &steps, seed, NO_BUG)) {
            Ok(world) => {
                count(&mut report, &world.done, steps.len());
                if number.is_multiple_of(10) {
                    report.tried(1, "of them twice, to the same bytes");
                    let again = caught(|| same_again(&rules, &steps, seed, &world));
                    report.violations.extend(again.err());
                }
            }
            Err(error) if report.violations.len() < 3 => {
                let smallest = smallest(&rules, &steps, seed);
                let violation = format!("run {number}, --seed {seed}: {error}\n{smallest}");
                report.violations.push(violation);
            }
            Err(error) => report.violations.push(format!("--seed {seed}: {error}")),
        }
        if report.violations.len() > 5 {
            break;
        }
    }
    report.at_least(300, RUNS);
    for (bug, planted) in PLANTS {
        report.plant(bug, 40, |number| {
            let seed = extent.seed.wrapping_add(number);
            let (rules, steps) = life(seed);
            lived(&rules, &steps, seed, planted).map(|_| ())
        });
    }
    report
}

fn count(report: &mut Report, done: &Done, steps: usize) {
    report.tried(steps as u64, "steps");
    report.tried(done.deliveries, "deliveries");
    report.tried(done.answers, "answers");
    report.done(done.failures, "failed transactions");
    report.done(done.reopenings, "restarts");
    report.done(done.kills, "kills of the follower");
}

fn lived(rules: &Rules, steps: &[Step], seed: u64, bug: Bug) -> Result<World, String> {
    let mut world = World::begin(rules, seed, bug);
    for (place, step) in steps.iter().enumerate() {
        let taken = caught(|| world.step(step));
        taken.map_err(|error| format!("step {place}: {error}"))?;
    }
    world.end(LOOKS)?;
    world.follower_ends()?;
    Ok(world)
}

fn same_again(rules: &Rules, steps: &[Step], seed: u64, first: &World) -> Result<(), String> {
    let again = lived(rules, steps, seed, NO_BUG)?;
    if again.transcript != first.transcript {
        return Err(format!("--seed {seed}: run again, it answers otherwise"));
    }
    if again.dump_all() != first.dump_all() {
        return Err(format!("--seed {seed}: run again, the database is another"));
    }
    Ok(())
}

/// Steps are left out, many at a time and then one by one, as long as what is left still falls.
fn smallest(rules: &Rules, steps: &[Step], seed: u64) -> String {
    let falls = |steps: &[Step]| caught(|| lived(rules, steps, seed, NO_BUG)).is_err();
    let mut left = steps.to_vec();
    let (mut size, mut attempts) = (steps.len() / 2, 0);
    while size > 0 && attempts < MOST_ATTEMPTS {
        let mut from = 0;
        while from < left.len() && attempts < MOST_ATTEMPTS {
            let mut shorter = left.clone();
            shorter.drain(from..(from + size).min(left.len()));
            attempts += 1;
            if falls(&shorter) {
                left = shorter;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    let why = caught(|| lived(rules, &left, seed, NO_BUG)).err();
    format!(
        "the smallest found, {} steps: {}\nunder {}\n{}",
        left.len(),
        why.unwrap_or_default(),
        serde_json::json!(rules),
        listed(&left)
    )
}

const PLANTS: [(&str, Bug); 4] = [
    (
        "an event of a delivery dropped",
        Bug {
            seam: Seam {
                append: |entry| {
                    if entry.body.len().is_multiple_of(7) {
                        entry.events.pop();
                    }
                },
                ..SOUND
            },
            ..NO_BUG
        },
    ),
    (
        "a repetition applied twice",
        Bug {
            seam: Seam {
                append: |entry| {
                    if entry.kind == EntryKind::Delivery {
                        let key = format!("{} {:?}", entry.dedupe_key, entry.recorded_at);
                        entry.dedupe_key = tenure::DedupeKey::new(&key).unwrap();
                    }
                },
                ..SOUND
            },
            ..NO_BUG
        },
    ),
    (
        "acknowledged though undone",
        Bug {
            undone: BELIEVED,
            ..NO_BUG
        },
    ),
    (
        "the follower keeps its place too early",
        Bug {
            is_hasty: true,
            ..NO_BUG
        },
    ),
];
