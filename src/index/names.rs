//! Which users something names: a set of their keys, one word for each.
//!
//! It only tells the reason of a deny, a stranger from one who never had access, so half of a key is enough: of 10 million
//! users, one stranger in a million million is taken for a user.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::key::Key;

/// Of 100 words, so many are taken when a set is made, and so many at most.
const FILLED_AT_FIRST: usize = 80;
const FILLED_AT_MOST: usize = 88;
/// No set is smaller, so that small ones are not made anew at every step.
const FEWEST_WORDS: usize = 8;

/// A set of users with open addressing. A word holds 63 bits of the key and, in its lowest, whether the user is named still;
/// zero is a free word.
pub(super) struct Names {
    words: Box<[AtomicU64]>,
    taken: AtomicUsize,
}

impl Names {
    /// A set for that many users.
    pub(super) fn for_users(users: usize) -> Self {
        let words = users.saturating_mul(100) / FILLED_AT_FIRST;
        let words = words.saturating_add(1).max(FEWEST_WORDS);
        Self {
            words: std::iter::repeat_with(AtomicU64::default)
                .take(words)
                .collect(),
            taken: AtomicUsize::new(0),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    /// How many users it has a word for.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether the user can be put in, or is in already.
    pub(super) fn has_room(&self, user: Key) -> bool {
        let taken = self.taken().saturating_add(1);
        let is_free = taken.saturating_mul(100) <= self.words.len().saturating_mul(FILLED_AT_MOST);
        is_free || self.word(user).is_some_and(|word| load(word) != 0)
    }

    /// Reads the word where a user wants to be.
    pub(super) fn fetch(&self, user: Key) -> u64 {
        self.words.get(self.home(stored(user))).map_or(0, load)
    }

    /// Whether something names the user.
    pub(super) fn has(&self, user: Key) -> bool {
        self.word(user).is_some_and(|word| load(word) & 1 > 0)
    }

    /// Says whether something names the user. There must be room.
    pub(super) fn set(&self, user: Key, is_named: bool) {
        match self.word(user) {
            Some(word) if load(word) != 0 || is_named => {
                if load(word) == 0 {
                    self.taken.fetch_add(1, Ordering::Relaxed);
                }
                word.store(stored(user) | u64::from(is_named), Ordering::Relaxed);
            }
            Some(_) | None => {}
        }
    }

    /// Puts the users of another set in that are named.
    pub(super) fn take_from(&self, other: &Self) {
        let words = other.words.iter().map(load).filter(|word| word & 1 > 0);
        for held in words {
            if let Some(word) = self.word_of(held & !1) {
                word.store(held, Ordering::Relaxed);
                self.taken.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn word(&self, user: Key) -> Option<&AtomicU64> {
        self.word_of(stored(user))
    }

    /// Where the word of that key wants to be.
    fn home(&self, stored: u64) -> usize {
        let part = u128::from(stored >> 32) * u128::try_from(self.words.len()).unwrap_or(1);
        usize::try_from(part >> 32).unwrap_or_default()
    }

    /// The word of that key, or else the free one where it would be put.
    fn word_of(&self, stored: u64) -> Option<&AtomicU64> {
        let (before, from) = self.words.split_at_checked(self.home(stored))?;
        let mut words = from.iter().chain(before);
        words.find(|word| {
            let held = load(word);
            held == 0 || held & !1 == stored
        })
    }
}

fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// The bits by which a user is known, never zero.
fn stored(user: Key) -> u64 {
    (user.low & !1).max(2)
}
