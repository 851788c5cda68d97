//! A part of the index: the users whose keys begin alike, with all that is known of their access.
//!
//! A reader takes no lock. It looks at the version, reads, and looks again: if a writer was at work meanwhile it reads once
//! more. A writer changes one user at a time, which takes less than a microsecond, so that what a reader finds of a user is
//! always of one state of the log. All words are atomic; what is read half-way is thrown away, never believed.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use super::key::Key;
use super::names::Names;
use super::steps::{NEVER, Steps, steps_of_block};
use super::table::{LOWER_HALF, Table};

/// About so many words of blocks there are for each row.
const OLDER_WORDS: usize = 3;

/// A user's steps for one product.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// Of the user and the product.
    pub(super) key: Key,
    /// Ascending; none if there never was access.
    pub(super) steps: &'a [u64],
}

/// Users by their keys. The two words of a slot that are free hold the last two steps; the half of the second word, where in
/// `older` those before begin, or zero.
pub(super) struct Shard {
    /// Odd while a writer is at work.
    version: AtomicU64,
    rows: Table<4>,
    /// The users that something names.
    named: Names,
    /// Blocks of steps: how many there is room for and how many there are, then the steps.
    older: Box<[AtomicU64]>,
    /// How many words of it are used, those of blocks given up included.
    used: AtomicUsize,
}

impl Shard {
    pub(super) fn empty() -> Self {
        Self::with_room(0, 0, 0)
    }

    /// An empty one with room for so many users' products, as far as they are like others'.
    pub(super) fn expecting(rows: usize) -> Self {
        Self::with_room(rows, rows, rows.saturating_mul(OLDER_WORDS))
    }

    fn with_room(rows: usize, named: usize, older: usize) -> Self {
        // The first word is none of a block: zero stands for no block.
        let older = older.saturating_add(1);
        Self {
            version: AtomicU64::new(0),
            rows: Table::for_keys(rows),
            named: Names::for_users(named),
            older: std::iter::repeat_with(AtomicU64::default)
                .take(older)
                .collect(),
            used: AtomicUsize::new(1),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let tables = self.rows.bytes().saturating_add(self.named.bytes());
        tables
            .saturating_add(size_of_val(&*self.older))
            .saturating_add(size_of::<Self>())
    }

    /// Reads something of one state. `look` may see words of two states at once; what it makes of them is then forgotten.
    pub(super) fn read<T>(&self, look: impl Fn(&Self) -> T) -> T {
        loop {
            let before = self.version.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let found = look(self);
                fence(Ordering::Acquire);
                if self.version.load(Ordering::Relaxed) == before {
                    return found;
                }
            }
            std::hint::spin_loop();
        }
    }

    /// The steps of a user and product. Only within [`Shard::read`].
    pub(super) fn steps(&self, key: Key) -> Option<Steps<'_>> {
        let [_, second, before, last] = self.rows.find(key)? else {
            return None;
        };
        let last = [before.load(Ordering::Relaxed), last.load(Ordering::Relaxed)];
        let block = second.load(Ordering::Relaxed) & LOWER_HALF;
        // What was given up is as if it had never been.
        (last != [NEVER; 2]).then_some(Steps {
            blocks: &self.older,
            block,
            last,
        })
    }

    /// Whether something names the user. Only within [`Shard::read`].
    pub(super) fn is_named(&self, user: Key) -> bool {
        self.named.has(user)
    }

    /// Replaces what is known of a user. If there is no room, gives a shard in which it is done; this one is not changed then.
    pub(super) fn replace_or_grow(
        &self,
        user: Key,
        is_named: bool,
        rows: &[Row<'_>],
        spare: Spare,
    ) -> Option<Self> {
        if self.replace(user, is_named, rows) {
            return None;
        }
        let grown = self.grown(rows, spare);
        grown.replace(user, is_named, rows);
        Some(grown)
    }

    /// Gives back what room it does not need, but for a little to spare.
    pub(super) fn compact(&mut self) {
        if !self.rows.is_well_filled() {
            *self = self.grown(&[], Spare::Little);
            return;
        }
        // The rows stay where they are, and so do the blocks they point at.
        let words = with_some_to_spare(self.used.load(Ordering::Relaxed));
        let mut older = std::mem::take(&mut self.older).into_vec();
        older.truncate(words);
        self.older = older.into_boxed_slice();
        let named = Names::for_users(self.named.taken().saturating_add(1));
        named.take_from(&self.named);
        self.named = named;
    }

    /// Reads where the row of a key would be, and whatever else is needed to put it in, so that it lies in a cache then.
    pub(super) fn fetch(&self, user: Key, key: Key) -> u64 {
        self.rows.fetch(key) ^ self.named.fetch(user)
    }

    /// Replaces what is known of a user. `false`: there was no room, and nothing is changed. One writer at a time.
    fn replace(&self, user: Key, is_named: bool, rows: &[Row<'_>]) -> bool {
        if !self.rows.has_room(rows.len()) && !self.rows.has_room(self.count_new(rows))
            || is_named && !self.named.has_room(user)
            || !self.has_room(rows)
        {
            return false;
        }
        self.version.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.named.set(user, is_named);
        rows.iter().for_each(|row| self.put(row));
        self.version.fetch_add(1, Ordering::Release);
        true
    }

    fn count_new(&self, rows: &[Row<'_>]) -> usize {
        let with_steps = rows.iter().filter(|row| !row.steps.is_empty());
        let new = with_steps.filter(|row| self.rows.find(row.key).is_none());
        new.count()
    }

    /// A block that is replaced is kept if the steps fit, else given up.
    fn has_room(&self, rows: &[Row<'_>]) -> bool {
        let needed = rows
            .iter()
            .map(|row| words_of_block(row.steps.len().saturating_sub(2)));
        let needed = needed.fold(0_usize, usize::saturating_add);
        self.used.load(Ordering::Relaxed).saturating_add(needed) <= self.older.len()
    }

    fn put(&self, row: &Row<'_>) {
        let (older, last) = row.steps.split_at(row.steps.len().saturating_sub(2));
        let word = |place: usize| last.get(place).copied().unwrap_or(NEVER);
        match self.rows.find(row.key) {
            Some([_, second, before_word, last_word]) => {
                let word_before = second.load(Ordering::Relaxed);
                let block = self.keep_block(word_before & LOWER_HALF, older);
                second.store(
                    word_before & !LOWER_HALF | u64::from(block),
                    Ordering::Relaxed,
                );
                before_word.store(word(0), Ordering::Relaxed);
                last_word.store(word(1), Ordering::Relaxed);
            }
            Some(_) => {}
            None if row.steps.is_empty() => {}
            None => {
                let block = self.keep_block(0, older);
                self.rows.insert(row.key, block, &[word(0), word(1)]);
            }
        }
    }

    /// Where the steps are kept, in the block that was there if they fit.
    fn keep_block(&self, there: u64, steps: &[u64]) -> u32 {
        if steps.is_empty() {
            return 0;
        }
        let there = usize::try_from(there).unwrap_or_default();
        let room = self
            .older
            .get(there)
            .map_or(0, |word| word.load(Ordering::Relaxed) >> 32);
        let fits = there > 0 && usize::try_from(room).is_ok_and(|room| steps.len() <= room);
        let (start, room) = if fits {
            (there, room)
        } else {
            let words = words_of_block(steps.len());
            let room = u64::try_from(words.saturating_sub(1)).unwrap_or_default();
            (self.used.fetch_add(words, Ordering::Relaxed), room)
        };
        let count = u64::try_from(steps.len()).unwrap_or_default();
        let header = [room << 32 | count];
        let words = self.older.iter().skip(start);
        for (word, value) in words.zip(header.iter().chain(steps)) {
            word.store(*value, Ordering::Relaxed);
        }
        u32::try_from(start).unwrap_or_default()
    }

    /// The same with room for these rows too, without what was given up.
    fn grown(&self, new: &[Row<'_>], spare: Spare) -> Self {
        let (mut rows, mut words) = (new.len(), 0_usize);
        for row in new {
            words = words.saturating_add(words_of_block(row.steps.len().saturating_sub(2)));
        }
        self.each_row(|_, older| {
            rows = rows.saturating_add(1);
            words = words.saturating_add(words_of_block(older.len()));
        });
        let words = with_some_to_spare(words);
        let names = self.named.taken().saturating_add(1);
        let [rows, names, words] = [rows, names, words].map(|it| spare.beside(it));
        let grown = Self::with_room(rows, names, words);
        grown.named.take_from(&self.named);
        self.each_row(|[first, second, before, last], older| {
            let steps: Vec<u64> = older.iter().map(|it| it.load(Ordering::Relaxed)).collect();
            let block = u64::from(grown.keep_block(0, &steps));
            let second = second & !LOWER_HALF | block;
            grown.rows.put([first, second, before, last]);
        });
        grown
    }

    /// Looks at every row that has steps.
    fn each_row(&self, mut look: impl FnMut([u64; 4], &[AtomicU64])) {
        self.rows.each(|held| {
            let [_, second, before, _] = held;
            if before != NEVER {
                look(held, steps_of_block(&self.older, second & LOWER_HALF));
            }
        });
    }
}

/// How much room there is for more.
#[derive(Clone, Copy)]
pub(super) enum Spare {
    Little,
    /// For half as much again: for a shard that is being filled.
    Much,
}

impl Spare {
    /// Room for so much and what is spare.
    fn beside(self, needed: usize) -> usize {
        match self {
            Self::Little => needed,
            Self::Much => needed.saturating_add(needed / 2),
        }
    }
}

/// Words of blocks, and a few more for blocks that are given up for longer ones.
fn with_some_to_spare(words: usize) -> usize {
    words.saturating_add(words / 16).saturating_add(16)
}

/// Blocks have room for an even number of steps, so that not each new one needs another block.
fn words_of_block(steps: usize) -> usize {
    match steps {
        0 => 0,
        _ => steps.saturating_add(1) / 2 * 2 + 1,
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Numbers that look random: each is a step further.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed ^ (mixed >> 29)
        }

        fn below(&mut self, limit: u64) -> u64 {
            self.next() % limit
        }
    }

    fn key(number: u64) -> Key {
        let mut numbers = Numbers(number);
        Key {
            high: numbers.next(),
            low: numbers.next(),
        }
    }

    fn all_steps(steps: Steps<'_>) -> Vec<u64> {
        let older = steps_of_block(steps.blocks, steps.block);
        let older = older.iter().map(|it| it.load(Ordering::Relaxed));
        let last = steps.last.into_iter().filter(|step| *step != NEVER);
        older.chain(last).collect()
    }

    #[test]
    fn a_shard_holds_what_was_put_in_last_through_growth() {
        let mut numbers = Numbers(7);
        let mut shard = Shard::empty();
        let mut expected: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut named: BTreeMap<u64, bool> = BTreeMap::new();
        for round in 0..20_000_u64 {
            let (user, is_named) = (numbers.below(900), numbers.below(4) > 0);
            let rows: Vec<(u64, Vec<u64>)> = (0..numbers.below(4))
                .map(|product| {
                    let steps = (0..numbers.below(9)).map(|place| round * 100 + place);
                    (user * 4 + product, steps.collect())
                })
                .collect();
            let put: Vec<Row<'_>> = rows
                .iter()
                .map(|(number, steps)| Row {
                    key: key(*number),
                    steps,
                })
                .collect();
            if !shard.replace(key(user), is_named, &put) {
                shard = shard.grown(&put, Spare::Little);
                assert!(shard.replace(key(user), is_named, &put), "round {round}");
            }
            expected.extend(rows);
            named.insert(user, is_named);
        }
        for (number, steps) in &expected {
            let found = shard.read(|shard| shard.steps(key(*number)).map(all_steps));
            assert_eq!(found.unwrap_or_default(), *steps);
        }
        for user in 0..1_000 {
            let is_named = named.get(&user).copied().unwrap_or(false);
            assert_eq!(shard.read(|shard| shard.is_named(key(user))), is_named);
        }
        let strangers = (4_000..8_000).filter(|number| shard.steps(key(*number)).is_some());
        assert_eq!(strangers.count(), 0);
        assert!(shard.rows.distance_at_most() < 40, "keys lie far from home");
    }
}
