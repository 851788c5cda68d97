//! What comes to a filled database: renewals of grants that are there, of readers drawn evenly over all of them.

use tenure::{Delivery, Engine, Outcome, Request, SqliteStore};

use crate::database::{Database, RECEIVED, SEED, received, signed};
use crate::peer::receiver::Parcel;
use crate::workload::{DAY, NOW, Random, renewal, subject, user};

/// So many seconds belong to one pass, and so many renewals.
const IN_PASS: u64 = 100_000;
/// The ends of different grants lie so far apart, at most.
const SPREAD: u64 = 30 * DAY;
/// By how much an end moves from one second to the next: each renewal of a grant reaches further than those before it.
const REACHED_IN_A_SECOND: u64 = 60;

/// Endless, and never the same in another pass.
#[derive(Debug)]
pub(crate) struct Renewals<'a> {
    database: &'a Database,
    random: Random,
    /// When the next one happens, and when the pass is over.
    second: u64,
    end: u64,
}

/// A request, and what a receiver by hand is given of it.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) source: &'static str,
    pub(crate) request: Request,
    pub(crate) parcel: Parcel,
}

impl<'a> Renewals<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        let mut renewals = Self {
            database,
            random: Random::new(1),
            second: 0,
            end: 0,
        };
        renewals.begin_pass();
        renewals
    }

    fn begin_pass(&mut self) {
        let pass = self.database.next_pass();
        self.random = Random::new(1_000 + pass);
        self.second = NOW + pass * IN_PASS;
        self.end = self.second + IN_PASS;
    }

    /// The next one, signed as its system does.
    pub(crate) fn next(&mut self) -> Arrived {
        // No two renewals of a grant at one second: that is how their events are told apart.
        self.second += 1;
        if self.second >= self.end {
            self.begin_pass();
        }
        let number = self.random.below(self.database.users);
        let grant = self.random.below(3);
        let until = self.reached_by(number * 3 + grant);
        let told = renewal(SEED, number, grant, self.second, until);
        let request = signed(told.source, &told.body);
        let (product, key) = subject(SEED, number, grant);
        Arrived {
            source: told.source,
            parcel: Parcel {
                source: told.source,
                key: format!("{key}-{}", self.second),
                user: user(number),
                product,
                start: (self.second * 1_000_000).cast_signed(),
                end: (until * 1_000_000).cast_signed(),
                body: request.body.clone(),
            },
            request,
        }
    }

    /// Where the end of a grant lies that is renewed now, after the longest that a reader was ever given at first.
    fn reached_by(&self, grant: u64) -> u64 {
        let apart = grant.wrapping_mul(0x9e37_79b9_7f4a_7c15) % SPREAD;
        RECEIVED + 365 * DAY + apart + (self.second - NOW) * REACHED_IN_A_SECOND
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<Arrived> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Verified and taken, in one transaction.
    pub(crate) fn ingest(&mut self, engine: &mut Engine<SqliteStore>, count: usize) {
        let arrived = self.take(count).into_iter();
        let requests = arrived.map(|it| (it.source, it.request)).collect();
        let deliveries = all_verified(engine, requests);
        ingest(engine, deliveries);
    }
}

/// As a web server does with each request.
pub(crate) fn all_verified(
    engine: &Engine<SqliteStore>,
    requests: Vec<(&'static str, Request)>,
) -> Vec<Delivery> {
    let requests = requests.into_iter();
    requests
        .map(|(source, request)| verified(engine, source, request))
        .collect()
}

/// Takes them in one transaction.
pub(crate) fn ingest(engine: &mut Engine<SqliteStore>, deliveries: Vec<Delivery>) {
    let receipts = engine.ingest_batch(deliveries, received()).unwrap();
    let applied = receipts.iter().filter(|it| it.outcome == Outcome::Applied);
    assert_eq!(applied.count(), receipts.len(), "all renewals are new");
}

pub(crate) fn verified(engine: &Engine<SqliteStore>, source: &str, request: Request) -> Delivery {
    let source = source.parse().unwrap();
    engine.verify_request(&source, request, received()).unwrap()
}
