//! A flat table with open addressing: 16 bytes a window, known by a keyed 64-bit hash of user and product.
//!
//! It is close to what the hardware can do for string ids, and takes liberties that Tenure does not: two ids of one hash are
//! taken for one, it cannot be altered while it is read, and it knows no reasons, links, blocks, parents or rules. The hash
//! is that of the standard library (SipHash-1-3 with a random key), for ids come from outside.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use tenure::Instant;

use super::windows::{Products, each_user, second};

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// 0 where there is none.
    hash: u64,
    start: u32,
    end: u32,
}

const EMPTY: Slot = Slot {
    hash: 0,
    start: 0,
    end: 0,
};

#[derive(Debug)]
pub(crate) struct FlatTable {
    slots: Vec<Slot>,
    mask: usize,
    keyed: RandomState,
}

impl FlatTable {
    pub(crate) fn of(database: &Path) -> Self {
        let mut count: usize = 0;
        let mut products = Products::default();
        each_user(database, &mut products, &mut |_, intervals| {
            count += intervals.len();
        });
        let slots = (count * 4 / 3).next_power_of_two();
        let mut table = Self {
            slots: vec![EMPTY; slots],
            mask: slots - 1,
            keyed: RandomState::new(),
        };
        // Both readings meet the products in the same order, so their numbers are the same.
        let mut again = Products::default();
        each_user(database, &mut again, &mut |user, intervals| {
            for it in intervals {
                table.put(user, products.name(it.product), it.start, it.end);
            }
        });
        table
    }

    fn hash(&self, user: &str, product: &str) -> u64 {
        self.keyed.hash_one((user, product)).max(1)
    }

    fn put(&mut self, user: &str, product: &str, start: u32, end: u32) {
        let hash = self.hash(user, product);
        let mut place = hash as usize & self.mask;
        while self.slots[place].hash != 0 {
            place = (place + 1) & self.mask;
        }
        self.slots[place] = Slot { hash, start, end };
    }

    pub(crate) fn allows(&self, user: &str, product: &str, at: Instant) -> bool {
        let at = floor(at);
        let hash = self.hash(user, product);
        let mut place = hash as usize & self.mask;
        loop {
            let slot = self.slots[place];
            if slot.hash == 0 {
                return false;
            }
            if slot.hash == hash && slot.start <= at && at < slot.end {
                return true;
            }
            place = (place + 1) & self.mask;
        }
    }

    /// Whether there is access, and the next second at which that flips.
    pub(crate) fn answer(&self, user: &str, product: &str, at: Instant) -> (bool, Option<u32>) {
        let at = floor(at);
        let hash = self.hash(user, product);
        let mut place = hash as usize & self.mask;
        let mut next = None;
        loop {
            let slot = self.slots[place];
            if slot.hash == 0 {
                return (false, next);
            }
            if slot.hash == hash {
                if slot.start <= at && at < slot.end {
                    return (true, Some(slot.end));
                }
                if at < slot.start {
                    next = Some(next.map_or(slot.start, |next: u32| next.min(slot.start)));
                }
            }
            place = (place + 1) & self.mask;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }
}

/// The second the instant is in.
fn floor(at: Instant) -> u32 {
    u32::try_from(at.micros().div_euclid(1_000_000)).unwrap_or_default()
}

/// The second of an answer of ours, to be compared.
pub(crate) fn second_of(at: Option<Instant>) -> Option<u32> {
    at.map(|at| second(at.micros()))
}
