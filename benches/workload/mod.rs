//! The seeded workload that benches and tests share: readers with three grants each, over a life of about eight events a
//! grant, from a system that states event times and one that does not.

use std::fmt::Write as _;

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
}

const DAY: u64 = 86_400;
/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600;
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

fn time(second: u64) -> String {
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

/// One delivery: when it happened, and the line of a mixed file for it.
struct Happened {
    second: u64,
    line: String,
}

/// `count` lines for `ingest any`, in the order of what happened: half in the dialect that states times, half as packets of
/// the one that does not.
pub(crate) fn lines(seed: u64, count: usize) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut happened = Vec::with_capacity(count + 32);
    let mut number = 0;
    while happened.len() < count {
        for grant in 0..3 {
            if random.below(2) == 0 {
                stated_life(&mut random, number, grant, &mut happened);
            } else {
                packet_life(&mut random, number, grant, &mut happened);
            }
        }
        number += 1;
    }
    happened.truncate(count);
    happened.sort_by_key(|it| it.second);
    happened.into_iter().map(|it| it.line).collect()
}

/// A grant in the dialect that states event times.
fn stated_life(random: &mut Random, number: u64, grant: u64, happened: &mut Vec<Happened>) {
    let mut second = START + random.below(120 * DAY);
    let subject = user(number);
    let key = format!("g{number}-{grant}");
    let bought = product(random.next());
    let mut event = |second: u64, name: &str, data: String| {
        let id = format!("{key}-{}", second);
        let line = format!(
            r#"{{"source":"cloudevents","received_at":"{}","body":{{"specversion":"1.0","id":"{id}-{name}","source":"crm","type":"tenure.{name}","time":"{}","subject":"{subject}","data":{{"grant":"{key}"{data}}}}}}}"#,
            time(second + 2),
            time(second),
        );
        happened.push(Happened { second, line });
    };
    event(
        second,
        "granted",
        format!(r#","product":"{bought}","period":"P1M""#),
    );
    for _ in 0..random.below(6) {
        second += 28 * DAY + random.below(3 * DAY);
        if random.below(8) == 0 {
            event(second, "payment_failed", String::new());
            second += DAY;
            event(second, "grace_extended", String::new());
        }
        event(second, "renewed", String::new());
    }
    second += 5 * DAY + random.below(20 * DAY);
    match random.below(4) {
        0 => event(second, "cancelled", String::new()),
        1 => event(second, "revoked", String::new()),
        2 => event(second, "ended", r#","cause":"expired""#.to_owned()),
        _ => {}
    }
}

/// A grant in the dialect whose packets state no time and carry no id.
fn packet_life(random: &mut Random, number: u64, grant: u64, happened: &mut Vec<Happened>) {
    let mut second = START + random.below(120 * DAY);
    let subject = user(number);
    let key = format!("ACC{number}X{grant}");
    let bought = product(random.next());
    let mut packet = |second: u64, name: &str, expires: u64| {
        let mut body = format!(
            r#"{{"event":"{name}","aid":"AAAAAAAAAA","uid":"{subject}","rid":"{bought}","access_id":"{key}","term_id":"TM1","user_email":"reader@example.com""#
        );
        let _ = write!(body, r#","expires":{expires}}}"#);
        let line = format!(
            r#"{{"source":"piano","received_at":"{}","body":{body}}}"#,
            time(second)
        );
        happened.push(Happened { second, line });
    };
    let mut expires = second + 30 * DAY;
    packet(second, "new_purchase", expires);
    for _ in 0..random.below(7) {
        second = expires - random.below(DAY) - 1;
        if random.below(8) == 0 {
            expires += DAY;
            packet(second, "grace_period_extension", expires);
        }
        expires += 30 * DAY;
        packet(second + 60, "subscription_auto_renewed", expires);
    }
    if random.below(3) == 0 {
        packet(expires, "access_revoked", expires);
        packet(expires + 1, "subscription_ended", expires);
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
