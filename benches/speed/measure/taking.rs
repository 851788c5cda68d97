//! Measures 5 and 6: taking deliveries, in batches and one by one.
//!
//! Ours verifies each request as the network's, by signature or token, decodes it, tells it from repetitions, appends it to the
//! hash chain, folds the grants concerned and writes their windows. The peer inserts the same bytes under a unique key and
//! moves one window, with key, user, product and window handed to it ready made. Both files hold the same deliveries when
//! this begins, so that the index of keys is as deep for both; what comes are renewals of readers drawn evenly. A second
//! peer is handed the very rows that Tenure wrote, and writes them to a copy of its file: what is between that and the first
//! peer is the price of what is kept, what is between that and ours the price of finding out what to keep.
//!
//! A single delivery is one durable transaction for all three; the verification of ours is not counted then. Of the producers each
//! has one delivery under way and waits until that is durable.

use std::path::Path;
use std::sync::Mutex;
use std::thread;

use tenure::rusqlite::Connection;
use tenure::{Delivery, Engine, Intake, Outcome, SqliteStore};

use super::Run;
use crate::database::{BATCH, received};
use crate::interleaved::{Compared, alternating, seconds};
use crate::peer::receiver::{Parcel, Receiver};
use crate::peer::rows::{RowWriter, Rows, last_position};
use crate::requests::{Arrived, Renewals, all_verified, ingest, verified};
use crate::table::{Reach, Row, Unit};

const PRODUCERS: usize = 64;

pub(crate) fn batches(run: &Run<'_>) -> Vec<Row> {
    let (batch, rounds) = match run.arguments.is_test {
        true => (500, 1),
        false => (BATCH, run.arguments.pace.long_rounds.max(10)),
    };
    let mut renewals = Renewals::new(run.database);
    let ours = run.database.path();
    let mut row_writer = RowWriter::beside(&ours);
    let mut written = last_position(&ours);
    let mut engine = run.database.engine();
    let mut receiver = Receiver::open(&run.database.by_hand());
    let (mut all, mut verified, mut pages) = (Vec::new(), Vec::new(), Vec::new());
    let (mut beside_rows, mut rows_beside_raw) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for (verification, pairs) in [
            (Verification::Timed, &mut all),
            (Verification::Before, &mut verified),
        ] {
            let arrived = renewals.take(batch);
            let pair = batch_pair(arrived, verification, round, &mut engine, &mut receiver);
            pairs.push(pair);
            let of_each = |path: &Path| frames(path) / batch as f64;
            pages.push((of_each(&ours), of_each(&run.database.by_hand())));
            let rows = Rows::after(written, &ours);
            written = last_position(&ours);
            let (took, ()) = seconds(|| row_writer.write(&rows));
            let by_hand = batch as f64 / took;
            beside_rows.push((pair.0, by_hand));
            rows_beside_raw.push((by_hand, pair.1));
        }
    }
    let raw = "raw insert and upsert";
    let row = |what: &str, against, pairs: &[(f64, f64)], reach| {
        Row::compared(5, what, against, Unit::Rate, Compared::of(pairs), reach)
    };
    let what = format!("durable, batches of {batch}");
    let verified_before = format!("{what}, verified before");
    vec![
        row(&what, raw, &all, Reach::AtLeast(0.5)),
        row(&verified_before, raw, &verified, Reach::Told),
        row(&what, "the same rows by hand", &beside_rows, Reach::Told),
        row("the same rows by hand", raw, &rows_beside_raw, Reach::Told),
        Row::compared(
            5,
            "pages written for each of them",
            raw,
            Unit::Count,
            Compared::of(&pages),
            Reach::Told,
        ),
    ]
}

/// How many pages the write-ahead log holds: those of the last batch, before which it was put back and begun anew.
fn frames(path: &Path) -> f64 {
    let connection = Connection::open(path).unwrap();
    let count = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        row.get::<_, f64>(1)
    });
    count.unwrap()
}

/// Whether it is part of what is timed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verification {
    Timed,
    Before,
}

/// Deliveries a second of both, for the same batch.
pub(crate) fn batch_pair(
    arrived: Vec<Arrived>,
    verification: Verification,
    round: usize,
    engine: &mut Engine<SqliteStore>,
    receiver: &mut Receiver,
) -> (f64, f64) {
    let count = arrived.len() as f64;
    let parcels: Vec<Parcel> = arrived.iter().map(|it| it.parcel.clone()).collect();
    let requests = arrived
        .into_iter()
        .map(|it| (it.source, it.request))
        .collect();
    let ours = || match verification {
        Verification::Timed => {
            let work = || {
                let deliveries = all_verified(engine, requests);
                ingest(engine, deliveries);
            };
            count / seconds(work).0
        }
        Verification::Before => {
            let deliveries = all_verified(engine, requests);
            count / seconds(|| ingest(engine, deliveries)).0
        }
    };
    let mut peer = || count / seconds(|| receiver.take(&parcels)).0;
    if round.is_multiple_of(2) {
        let ours = ours();
        (ours, peer())
    } else {
        let peer = peer();
        (ours(), peer)
    }
}

pub(crate) fn single(run: &Run<'_>) -> Vec<Row> {
    let count = if run.arguments.is_test { 5 } else { 100 };
    let mut singly = Singly {
        renewals: Renewals::new(run.database),
        receiver: Receiver::open(&run.database.by_hand()),
        count,
    };
    let mut rows = alone(run, &mut singly);
    rows.push(together(run, singly));
    rows
}

/// What one delivery at a time is taken from, and the raw peer.
struct Singly<'a> {
    renewals: Renewals<'a>,
    receiver: Receiver,
    /// How many make a slice.
    count: usize,
}

impl Singly<'_> {
    fn our_rate(&mut self, engine: &mut Engine<SqliteStore>) -> f64 {
        let deliveries = deliveries(engine, &mut self.renewals, self.count);
        let (took, ()) = seconds(|| deliveries.into_iter().for_each(|it| take(engine, it)));
        self.count as f64 / took
    }

    fn raw_rate(&mut self) -> f64 {
        let arrived = self.renewals.take(self.count).into_iter();
        let parcels: Vec<Parcel> = arrived.map(|it| it.parcel).collect();
        let raw = &mut self.receiver;
        let (took, ()) = seconds(|| parcels.chunks(1).for_each(|parcel| raw.take(parcel)));
        self.count as f64 / took
    }
}

fn alone(run: &Run<'_>, singly: &mut Singly<'_>) -> Vec<Row> {
    let ours = run.database.path();
    let mut row_writer = RowWriter::beside(&ours);
    let mut engine = run.database.engine();
    let (mut own, mut beside_rows, mut rows_beside_raw) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..run.arguments.pace.rounds {
        let written = last_position(&ours);
        let (rate, raw) = if round.is_multiple_of(2) {
            (singly.our_rate(&mut engine), singly.raw_rate())
        } else {
            let raw = singly.raw_rate();
            (singly.our_rate(&mut engine), raw)
        };
        let rows = Rows::after(written, &ours).of_each();
        let (took, ()) = seconds(|| rows.iter().for_each(|rows| row_writer.write(rows)));
        let by_hand = rows.len() as f64 / took;
        own.push((rate, raw));
        beside_rows.push((rate, by_hand));
        rows_beside_raw.push((by_hand, raw));
    }
    let (one, by_hand) = ("one durable delivery", "the same rows by hand");
    let [own, beside_rows, rows_beside_raw] =
        [own, beside_rows, rows_beside_raw].map(|pairs| Compared::of(&pairs));
    vec![
        row(one, RAW, own, Reach::AtLeast(0.9)),
        row(one, by_hand, beside_rows, Reach::Told),
        row(by_hand, RAW, rows_beside_raw, Reach::Told),
    ]
}

fn together(run: &Run<'_>, singly: Singly<'_>) -> Row {
    let verifying = run.database.engine();
    let intake = Intake::new(run.database.engine()).unwrap();
    let each = if run.arguments.is_test { 1 } else { 20 };
    let shared = Mutex::new(singly);
    let [together] = alternating(
        run.arguments.pace.rounds,
        || {
            let mut waiting: Vec<Vec<Delivery>> = (0..PRODUCERS)
                .map(|_| deliveries(&verifying, &mut shared.lock().unwrap().renewals, each))
                .collect();
            let (took, ()) = seconds(|| produce(&intake, &mut waiting));
            [(PRODUCERS * each) as f64 / took]
        },
        || [shared.lock().unwrap().raw_rate()],
    );
    let what = "64 producers, each waiting for its own";
    row(what, RAW, together, Reach::AtLeast(10.0))
}

const RAW: &str = "one raw durable insert";

fn row(what: &str, against: &str, compared: Compared, reach: Reach) -> Row {
    Row::compared(6, what, against, Unit::Rate, compared, reach)
}

fn deliveries(
    engine: &Engine<SqliteStore>,
    renewals: &mut Renewals<'_>,
    count: usize,
) -> Vec<Delivery> {
    let arrived = renewals.take(count).into_iter();
    arrived
        .map(|it| verified(engine, it.source, it.request))
        .collect()
}

fn take(engine: &mut Engine<SqliteStore>, delivery: Delivery) {
    let receipt = engine.ingest(delivery, received()).unwrap();
    assert_eq!(receipt.outcome, Outcome::Applied);
}

fn produce(intake: &Intake<SqliteStore>, waiting: &mut [Vec<Delivery>]) {
    thread::scope(|scope| {
        for deliveries in waiting {
            scope.spawn(|| {
                for delivery in deliveries.drain(..) {
                    let receipt = intake.ingest(delivery, received()).unwrap();
                    assert_eq!(receipt.outcome, Outcome::Applied);
                }
            });
        }
    });
}
