//! What one writes first, done well: a hash map of boxed user ids to slices of intervals, products as numbers.
//!
//! The map of the standard library is hashbrown's, with a keyed hash (SipHash-1-3), for ids come from outside. An interval has
//! 12 bytes. It knows no reasons, links, blocks, parents or rules, and cannot be altered while it is read.

use std::collections::HashMap;
use std::path::Path;

use tenure::Instant;

use super::windows::{Interval, Products, each_user};

#[derive(Debug, Default)]
pub(crate) struct BoxedTable {
    products: Products,
    users: HashMap<Box<str>, Box<[Interval]>>,
}

impl BoxedTable {
    pub(crate) fn of(database: &Path) -> Self {
        let mut table = Self::default();
        let users = &mut table.users;
        each_user(database, &mut table.products, &mut |user, intervals| {
            users.insert(user.into(), intervals.into());
        });
        table
    }

    pub(crate) fn allows(&self, user: &str, product: &str, at: Instant) -> bool {
        let at = u32::try_from(at.micros().div_euclid(1_000_000)).unwrap_or_default();
        let Some(product) = self.products.number(product) else {
            return false;
        };
        self.users.get(user).is_some_and(|intervals| {
            let mut intervals = intervals.iter();
            intervals.any(|it| it.product == product && it.start <= at && at < it.end)
        })
    }

    pub(crate) fn windows(&self) -> usize {
        self.users.values().map(|intervals| intervals.len()).sum()
    }
}
