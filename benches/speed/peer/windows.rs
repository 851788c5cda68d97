//! The windows of a database, user by user, for the tables that are made of them.

use std::collections::HashMap;
use std::path::Path;

use tenure::rusqlite::{Connection, OpenFlags};

/// When a user has a product. Seconds are enough, for no window of the workload ends within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interval {
    pub(crate) product: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// The names of products, as numbers.
#[derive(Debug, Default)]
pub(crate) struct Products {
    numbers: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Products {
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub(crate) fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }

    pub(crate) fn learn(&mut self, name: &str) -> u32 {
        if let Some(number) = self.number(name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(name.into(), number);
        self.names.push(name.into());
        number
    }
}

pub(crate) fn read_only(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).unwrap();
    super::receiver::configure(&connection);
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -32768;")
        .unwrap();
    connection
}

/// A second that is past in every microsecond in which the instant is, for `T >= instant` and `T < instant` alike.
pub(crate) fn second(micros: i64) -> u32 {
    let seconds = micros.div_euclid(1_000_000) + i64::from(micros.rem_euclid(1_000_000) > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// Tells of each user once, with the intervals sorted and those that touch made one.
pub(crate) fn each_user(
    path: &Path,
    products: &mut Products,
    each: &mut dyn FnMut(&str, &[Interval]),
) {
    let connection = read_only(path);
    let mut select = connection
        .prepare("SELECT user_id, product, start_at, end_at FROM windows ORDER BY user_id")
        .unwrap();
    let mut rows = select.query([]).unwrap();
    let mut user = String::new();
    let mut intervals: Vec<Interval> = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let next = row.get_ref(0).unwrap().as_str().unwrap();
        if next != user {
            tell(&user, &mut intervals, each);
            next.clone_into(&mut user);
        }
        intervals.push(Interval {
            product: products.learn(row.get_ref(1).unwrap().as_str().unwrap()),
            start: second(row.get(2).unwrap()),
            end: second(row.get(3).unwrap()),
        });
    }
    tell(&user, &mut intervals, each);
}

fn tell(user: &str, intervals: &mut Vec<Interval>, each: &mut dyn FnMut(&str, &[Interval])) {
    intervals.sort_unstable();
    let mut merged: Vec<Interval> = Vec::with_capacity(intervals.len());
    for interval in intervals.drain(..) {
        match merged.last_mut() {
            Some(last) if last.product == interval.product && interval.start <= last.end => {
                last.end = last.end.max(interval.end);
            }
            _ => merged.push(interval),
        }
    }
    if !merged.is_empty() {
        each(user, &merged);
    }
}
