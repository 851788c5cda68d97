//! The seeded workload that benches and tests share: readers with three grants each, from every system there is a provider
//! for. [`lines`] tells of lives of about six deliveries a grant, with all that can happen to one; [`Crowd`] of about three,
//! for databases of many readers.
#![allow(
    dead_code,
    unused_imports,
    reason = "each of those who share it uses a part of it"
)]

mod crowd;
mod lives;

pub(crate) use crowd::Crowd;
pub(crate) use lives::{renewal, subject};

use lives::Life;

/// A small, fast, seeded generator (xorshift64*): the same seed gives the same workload on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }

    /// One of that many places.
    pub(crate) fn place(&mut self, places: usize) -> usize {
        self.below(places as u64) as usize
    }
}

pub(crate) const DAY: u64 = 86_400;
/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600;
/// When a [`Crowd`] is asked about: about half of its grants give access then.
pub(crate) const NOW: u64 = START + 650 * DAY;
const PRODUCTS: u64 = 200;

/// Ids are strings of 8 to 36 bytes.
pub(crate) fn user(number: u64) -> String {
    match number % 3 {
        0 => format!("u{number:07}"),
        1 => format!("reader-{number:09}@example.com"),
        _ => format!(
            "{:08x}-0000-4000-8000-{number:012x}",
            number.wrapping_mul(2_654_435_761) & 0xFFFF_FFFF
        ),
    }
}

pub(crate) fn product(number: u64) -> String {
    format!("product-{:03}", number % PRODUCTS)
}

pub(crate) fn time(second: u64) -> String {
    // The generator only needs days within the year 2026 and times within a day.
    let (mut day, rest) = ((second - START) / DAY, (second - START) % DAY);
    let mut year = 2026;
    let mut month = 0;
    loop {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let length = lengths[month] + u64::from(month == 1 && year % 4 == 0);
        if day < length {
            break;
        }
        day -= length;
        month += 1;
        if month == 12 {
            (month, year) = (0, year + 1);
        }
    }
    format!(
        "{year:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        month + 1,
        day + 1,
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

/// One delivery, as it stands in a mixed file.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) source: &'static str,
    /// When it happened.
    pub(crate) second: u64,
    /// How long after that it is received.
    pub(crate) delay: u64,
    pub(crate) body: String,
}

impl Delivered {
    /// The line of the delivery as it is received that many seconds after it was first.
    pub(crate) fn line(&self, later: u64) -> String {
        let received = time(self.second + self.delay + later);
        format!(
            r#"{{"source":"{}","received_at":"{received}","body":{}}}"#,
            self.source, self.body
        )
    }
}

/// `count` lines for `ingest any`, in the order of what happened.
pub(crate) fn lines(seed: u64, count: usize) -> Vec<String> {
    let deliveries = deliveries(seed, count);
    deliveries.iter().map(|it| it.line(0)).collect()
}

/// `count` deliveries in the order of what happened, about as many of each system.
pub(crate) fn deliveries(seed: u64, count: usize) -> Vec<Delivered> {
    let sources: Vec<&'static str> = tenure::PROVIDERS.iter().map(|it| it.name()).collect();
    let mut random = Random::new(seed);
    let mut happened = Vec::with_capacity(count + 32);
    let mut number = 0;
    while happened.len() < count {
        reader(number, &sources, &mut random, &mut happened);
        number += 1;
    }
    happened.truncate(count);
    happened.sort_by_key(|it| it.second);
    happened
}

/// What one reader's systems say of three grants, each in its own order.
pub(crate) fn reader(
    number: u64,
    sources: &[&'static str],
    random: &mut Random,
    happened: &mut Vec<Delivered>,
) {
    for grant in 0..3 {
        let source = sources[random.place(sources.len())];
        let mut life = Life::begin(source, number, grant, random, happened);
        match source {
            "abowire" => life.abowire(),
            "cloudevents" => life.cloudevents(),
            "gately" => life.gately(),
            "piano" => life.piano(),
            "tonos" => life.tonos(),
            _ => {}
        }
    }
}

/// Questions about the readers of [`lines`], half of them about what they may well have.
pub(crate) fn questions(seed: u64, users: u64, count: usize) -> Vec<(String, String, String)> {
    let mut random = Random::new(seed);
    (0..count)
        .map(|_| {
            let at = time(START + random.below(300 * DAY));
            (user(random.below(users)), product(random.next()), at)
        })
        .collect()
}
