//! A grant with very many events costs in proportion: ten times the events, about ten times the work.

use std::fs;
use std::time::Instant as Clock;

use serde_json::json;
use tenure::domain::decision::Question;
use tenure::{Delivery, Engine, Instant, MemoryStore};

use crate::harness::{Extent, Harness, Report, caught};
use crate::strategies::{Line, at, in_memory, plain_rules};

pub(crate) const HARNESS: Harness = Harness {
    name: "growth",
    guarantee: "a grant of 100,000 events is taken, folded and asked about in time that grows with them",
    not_covered: "deliveries of one grant that come one by one: a late one folds the whole grant, any writes all its segments",
    run,
};

const MANY: usize = 100_000;
/// Ten times the events; the rest is for searching in larger trees and for what no longer lies in a cache. What grows with
/// the square of the events costs a hundred times as much.
const MOST_TIMES: u64 = 30;
/// A busy machine only adds to what is counted, so that one count that holds is enough, and several that do not are needed.
const COUNTS: usize = 4;
/// What takes less says nothing: a processor is counted in steps of some milliseconds.
const LEAST_MICROS: u64 = 100_000;

type Shape = fn(usize) -> Line;

const SHAPES: [(&str, Shape); 3] = [
    ("renewals, one after the other", |number| {
        let line = Line::of_grant("crm", "renewed", "g", after(number));
        line.with("period_key", json!(format!("p{number}")))
            .with("until", json!(after(number + 5)))
    }),
    ("blocks, set and lifted", |number| {
        let verb = if number.is_multiple_of(2) {
            "suspended"
        } else {
            "resumed"
        };
        Line::of_grant("crm", verb, "g", after(number))
    }),
    ("renewals at one instant", |number| {
        let line = Line::of_grant("crm", "renewed", "g", after(0));
        line.with("period_key", json!(format!("p{number}")))
    }),
];

/// Each before all that came, so that it cannot be folded onto what they came to.
const BACKWARDS: Shape = |number| {
    let line = Line::of_grant("crm", "renewed", "g", after(MANY - number));
    line.with("period_key", json!(format!("p{number}")))
};

fn run(_: &Extent) -> Report {
    let mut report = Report::default();
    for (name, shape) in SHAPES {
        report.tried(MANY as u64, "events of one grant");
        if let Err(violation) = caught(|| grows(name, shape, MANY, 1)) {
            report.violations.push(violation);
        }
    }
    report.at_least(100_000, "events of one grant");
    report.plant("every event folds all before it", 1, |_| {
        grows("renewals, the last one first", BACKWARDS, 2_000, 2_000)
    });
    report
}

fn after(minutes: usize) -> Instant {
    let micros = i64::try_from(minutes).unwrap() * 60_000_000;
    Instant::from_micros(at("2024-01-01T00:00:00Z").micros() + micros).unwrap()
}

/// That many events cost no more than so many times a tenth of them, taken in that many transactions.
fn grows(name: &str, shape: Shape, many: usize, transactions: usize) -> Result<(), String> {
    let mut exceeded = String::new();
    for _ in 0..COUNTS {
        let small = costs(shape, many / 10, transactions / 10);
        let large = costs(shape, many, transactions);
        let mut phases = small.into_iter().zip(large);
        let beyond = phases.find(|((_, small), (_, large))| exceeds(*small, *large));
        let Some(((phase, small), (_, large))) = beyond else {
            return Ok(());
        };
        exceeded = format!(
            "{name}: {phase} took {small} µs of {} events and {large} µs of {many}",
            many / 10
        );
    }
    Err(exceeded)
}

fn exceeds(small: u64, large: u64) -> bool {
    large > LEAST_MICROS && large > small.max(LEAST_MICROS / 10) * MOST_TIMES
}

/// Microseconds of the processor.
fn costs(shape: Shape, many: usize, transactions: usize) -> Vec<(&'static str, u64)> {
    let mut engine = in_memory(&plain_rules());
    let first = Line::of_grant("crm", "granted", "g", after(0)).for_user("u");
    let first = first
        .with("product", json!("pro"))
        .with("period", json!("P1M"));
    let lines = (1..many).map(shape);
    let deliveries: Vec<Delivery> = [first]
        .into_iter()
        .chain(lines)
        .enumerate()
        .map(|(id, line)| line.delivery(id))
        .collect();
    let now = at("2025-01-01T00:00:00Z");
    let mut costs = Vec::new();
    let size = many.div_ceil(transactions.max(1));
    let (_, taken) = timed(|| {
        for batch in deliveries.chunks(size) {
            engine.ingest_batch(batch.to_vec(), now).unwrap();
        }
    });
    costs.push(("taking", taken));
    let (_, folded) = timed(|| engine.rebuild(&mut |_| {}).unwrap());
    costs.push(("folding", folded));
    let (_, asked) = timed(|| ask(&engine, many));
    costs.push(("asking", asked));
    costs
}

/// By what is known now, and by what was known before the last.
fn ask(engine: &Engine<MemoryStore>, many: usize) {
    let mut reader = engine.reader().unwrap();
    let last = reader
        .log(&tenure::EntryFilter::default(), None, 1)
        .unwrap();
    let before = tenure::RecordedAt(last[0].entry.fact.recorded_at.0.previous());
    for as_of in [None, Some(before)] {
        let question = Question {
            user: "u".parse().unwrap(),
            resource: "pro".parse().unwrap(),
            at: after(many / 2),
            as_of,
        };
        reader.check(&question).unwrap();
    }
    reader.timeline(&"u".parse().unwrap(), None).unwrap();
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let (before, began) = (on_processor(), Clock::now());
    let done = work();
    let took = match (before, on_processor()) {
        (Some(before), Some(after)) => (after - before) / 1_000,
        _ => u64::try_from(began.elapsed().as_micros()).unwrap(),
    };
    (done, took)
}

/// For how many nanoseconds the running thread had a processor, where the system tells.
fn on_processor() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
