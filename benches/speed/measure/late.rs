//! Measure 9: an event that comes late, into the past of a grant.
//!
//! What such an event costs may depend on what follows it in its grant, and on nothing else: an event at the end of a long
//! grant should cost what one at the end of a short grant does, and either should cost the same in a small log and in a large
//! one. The peer of each row is Tenure itself, as the row says. Every event is one durable transaction.

use std::collections::BTreeMap;
use std::path::Path;

use tenure::{Delivery, Engine, Outcome, Request, SqliteStore};

use super::Run;
use crate::database::{BATCH, open, received};
use crate::interleaved::{Compared, interleaved, seconds};
use crate::table::{Reach, Row, Unit};
use crate::workload::{DAY, NOW, time};

/// Between two events of a grant.
const PACE: u64 = 600;
const BEGIN: u64 = NOW - 600 * DAY;

pub(crate) fn rows(run: &Run<'_>) -> Vec<Row> {
    let folder = tempfile::tempdir_in(run.shelf.folder()).unwrap();
    let pass = run.database.next_pass();
    let mut large = Log::at(&run.database.path(), pass);
    let mut small = Log::at(&folder.path().join("small.db"), pass);
    let sizes: &[u64] = match (run.arguments.is_test, run.arguments.is_full) {
        (true, _) => &[10, 100],
        (false, false) => &[10, 1_000],
        (false, true) => &[10, 1_000, 100_000],
    };
    let mut rows = Vec::new();
    for size in sizes {
        let slices = Slices::of(*size, run.arguments.pace.long_rounds);
        large.prepare(*size, slices.grants());
        let what = format!("late event, grant of {size}");
        let compared = places(&mut large, *size, &slices);
        rows.push(row(&what, "the same at its end", compared, Reach::Told));
    }
    let [short, long] = [sizes[0], sizes[1]];
    let against = format!("the same, grant of {short}");
    let at_end = |large: &mut Log, index: &str, reach| {
        let slices = Slices::of(short, run.arguments.pace.long_rounds);
        large.prepare(short, slices.grants());
        let compared = ends(large, long, short, &slices);
        let what = format!("event at the end, grant of {long}{index}");
        row(&what, &against, compared, reach)
    };
    rows.push(at_end(&mut large, "", Reach::AtMost(1.5)));

    let slices = Slices::of(long, run.arguments.pace.long_rounds);
    small.prepare(long, slices.grants());
    let compared = logs(&mut large, &mut small, long, &slices);
    let what = format!("late event, grant of {long}, large log");
    rows.push(row(
        &what,
        "the same in a small log",
        compared,
        Reach::AtMost(1.5),
    ));

    // The index, too, is brought up to date by each event. It stays open, so this comes last.
    let _index = large.engine.index().unwrap();
    rows.push(at_end(&mut large, ", with an index", Reach::Told));
    rows
}

fn row(what: &str, against: &str, compared: Compared, reach: Reach) -> Row {
    Row::compared(9, what, against, Unit::Time, compared, reach)
}

/// How many events are taken at a time, so that no grant becomes much longer by it.
struct Slices {
    size: u64,
    rounds: usize,
    events: usize,
}

impl Slices {
    fn of(size: u64, rounds: usize) -> Self {
        let events = if size > 10_000 { 1 } else { 20 };
        Self {
            size,
            rounds,
            events,
        }
    }

    /// A short grant gets one event, of long ones there are fewer.
    fn grants(&self) -> u64 {
        let events = (2 * self.rounds + 1) * self.events * 2;
        (events as u64).div_ceil((self.size / 10).max(1)).max(1)
    }
}

/// A log with grants of certain sizes.
struct Log {
    engine: Engine<SqliteStore>,
    pass: u64,
    sizes: BTreeMap<u64, Size>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Size {
    grants: u64,
    /// How many events they were given in turn, beside those they began with.
    given: u64,
}

impl Log {
    fn at(path: &Path, pass: u64) -> Self {
        Self {
            engine: open(path),
            pass,
            sizes: BTreeMap::new(),
        }
    }

    fn key(&self, size: u64, grant: u64) -> String {
        format!("late-{}-{size}-{grant}", self.pass)
    }

    /// Adds grants of that size.
    fn prepare(&mut self, size: u64, grants: u64) {
        let begin = self.sizes.get(&size).map_or(0, |size| size.grants);
        let mut batch = Vec::new();
        for grant in begin..begin + grants {
            let key = self.key(size, grant);
            for event in 0..size {
                batch.push(delivery(&key, BEGIN + event * PACE, event == 0));
                if batch.len() == BATCH {
                    let taken = std::mem::take(&mut batch);
                    self.engine.ingest_batch(taken, received()).unwrap();
                }
            }
        }
        self.engine.ingest_batch(batch, received()).unwrap();
        self.sizes.entry(size).or_default().grants += grants;
    }

    /// Takes so many events, each in a transaction of its own, and gives the nanoseconds of one.
    fn give(&mut self, size: u64, is_late: bool, count: usize) -> f64 {
        let place = match is_late {
            // In the first tenth, between two others.
            true => BEGIN + size / 10 * PACE,
            false => BEGIN + (size + 1) * PACE,
        };
        let Size { grants, given } = self.sizes[&size];
        let numbers = given..given + count as u64;
        let deliveries: Vec<Delivery> = numbers
            .map(|number| {
                let key = self.key(size, number % grants);
                // The same number for no two events of a grant: each has a second of its own.
                delivery(&key, place + 1 + number / grants, false)
            })
            .collect();
        self.sizes.entry(size).or_default().given += count as u64;
        let (took, ()) = seconds(|| {
            for delivery in deliveries {
                let receipt = self.engine.ingest(delivery, received()).unwrap();
                assert_eq!(receipt.outcome, Outcome::Applied);
            }
        });
        took * 1e9 / count as f64
    }
}

fn delivery(key: &str, second: u64, is_first: bool) -> Delivery {
    let (name, product) = match is_first {
        true => ("granted", r#""product":"product-001","#),
        false => ("renewed", ""),
    };
    let body = format!(
        r#"{{"specversion":"1.0","id":"{key}-{second}","source":"crm","type":"tenure.{name}","time":"{}","subject":"{key}","data":{{"grant":"{key}",{product}"until":"{}"}}}}"#,
        time(second),
        time(second + 30 * DAY),
    );
    let request = Request {
        body: body.into_bytes(),
        ..Request::default()
    };
    Delivery::trusted("cloudevents".parse().unwrap(), request)
}

/// Late events against events at the end.
fn places(log: &mut Log, size: u64, slices: &Slices) -> Compared {
    let log = std::cell::RefCell::new(log);
    let [compared] = interleaved(
        slices.rounds,
        || [log.borrow_mut().give(size, true, slices.events)],
        || [log.borrow_mut().give(size, false, slices.events)],
    );
    compared
}

/// Events at the end of long grants against those at the end of short ones.
fn ends(log: &mut Log, long: u64, short: u64, slices: &Slices) -> Compared {
    let log = std::cell::RefCell::new(log);
    let [compared] = interleaved(
        slices.rounds,
        || [log.borrow_mut().give(long, false, slices.events)],
        || [log.borrow_mut().give(short, false, slices.events)],
    );
    compared
}

/// Late events in a large log against those in a small one.
fn logs(large: &mut Log, small: &mut Log, size: u64, slices: &Slices) -> Compared {
    let [compared] = interleaved(
        slices.rounds,
        || [large.give(size, true, slices.events)],
        || [small.give(size, true, slices.events)],
    );
    compared
}
