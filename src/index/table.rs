//! An open-addressed table of keys whose slots are words that readers may look at while a writer changes them.
//!
//! A key lies in the cache line that its hash says, or a few slots further on: of two keys that want a slot the one that is
//! further from where it should be gets it (Robin Hood), so that a look-up for a key that is not there ends as soon as one that
//! is. As the lines are those of the processor, most look-ups fetch one of them, and no slot lies across two.
//! Nothing is removed; what is no longer needed is left out when the table is made anew.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::key::Key;

/// Of a word.
pub(super) const LOWER_HALF: u64 = 0xFFFF_FFFF;

/// Of 100 slots, so many are taken when a table is made, and so many at most.
const FILLED_AT_FIRST: usize = 83;
const FILLED_AT_MOST: usize = 90;
/// From here on a table made anew would save little.
const WELL_FILLED: usize = 78;
/// No table is smaller, so that small ones are not made anew at every step.
const FEWEST_LINES: usize = 4;

const WORDS_OF_LINE: usize = 8;

/// What the processor fetches at a time.
#[derive(Default)]
#[repr(align(64))]
struct Line([AtomicU64; WORDS_OF_LINE]);

/// A table whose slots have `WIDTH` words, of which a whole number makes a line: the first holds 64 bits of the key, the
/// upper half of the second 32 more; the rest is the caller's. The lower half of the first word says which line the key wants
/// to be in.
pub(super) struct Table<const WIDTH: usize> {
    lines: Box<[Line]>,
    slots: usize,
    taken: AtomicUsize,
}

impl<const WIDTH: usize> Table<WIDTH> {
    const SLOTS_OF_LINE: usize = {
        assert!(WORDS_OF_LINE.is_multiple_of(WIDTH));
        WORDS_OF_LINE / WIDTH
    };

    /// A table for that many keys.
    pub(super) fn for_keys(keys: usize) -> Self {
        let slots = keys.saturating_mul(100) / FILLED_AT_FIRST;
        let lines = (slots / Self::SLOTS_OF_LINE).saturating_add(1);
        let lines = lines.max(FEWEST_LINES);
        Self {
            lines: std::iter::repeat_with(Line::default).take(lines).collect(),
            slots: lines.saturating_mul(Self::SLOTS_OF_LINE),
            taken: AtomicUsize::new(0),
        }
    }

    /// Whether that many more keys can be put in.
    pub(super) fn has_room(&self, keys: usize) -> bool {
        let taken = self.taken().saturating_add(keys);
        taken.saturating_mul(100) <= self.slots.saturating_mul(FILLED_AT_MOST)
    }

    /// Whether it takes about as little memory as one made for what it holds.
    pub(super) fn is_well_filled(&self) -> bool {
        let taken = self.taken().saturating_mul(100);
        taken >= self.slots.saturating_mul(WELL_FILLED)
    }

    /// Reads the line where a key wants to be.
    pub(super) fn fetch(&self, key: Key) -> u64 {
        let slot = self.slot(self.home(stored(key).0));
        let first = slot.and_then(<[AtomicU64]>::first);
        first.map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// How many keys it holds.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// The slot of a key.
    pub(super) fn find(&self, key: Key) -> Option<&[AtomicU64]> {
        let (first, second) = stored(key);
        let mut place = self.home(first);
        for distance in 0..self.slots {
            let slot = self.slot(place)?;
            let [word, next, ..] = slot else { return None };
            let held = word.load(Ordering::Relaxed);
            if held == first && next.load(Ordering::Relaxed) >> 32 == second {
                return Some(slot);
            }
            if held == 0 || self.distance(held, place) < distance {
                return None;
            }
            place = self.next(place);
        }
        None
    }

    /// Puts a key in that is not there, with the words after the first two and the lower half of the second. The table must
    /// not be full.
    pub(super) fn insert(&self, key: Key, lower: u32, words: &[u64]) {
        let (first, second) = stored(key);
        let mut held = [0_u64; WIDTH];
        let all = [first, (second << 32) | u64::from(lower)];
        let all = all.iter().chain(words);
        held.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        self.put(held);
    }

    /// Looks at every slot that is taken.
    pub(super) fn each(&self, mut look: impl FnMut([u64; WIDTH])) {
        for slot in self.all_slots() {
            let mut held = [0_u64; WIDTH];
            let words = slot.iter().map(|word| word.load(Ordering::Relaxed));
            held.iter_mut().zip(words).for_each(|(to, from)| *to = from);
            if held.first().is_some_and(|first| *first != 0) {
                look(held);
            }
        }
    }

    /// How far the key is from where it wants to be that is furthest.
    #[cfg(test)]
    pub(super) fn distance_at_most(&self) -> usize {
        let taken = self.all_slots().enumerate();
        let taken = taken.filter_map(|(place, slot)| {
            let first = slot.first()?.load(Ordering::Relaxed);
            (first != 0).then(|| self.distance(first, place))
        });
        taken.max().unwrap_or_default()
    }

    /// Puts a whole slot in, as [`Table::each`] gives it.
    pub(super) fn put(&self, mut held: [u64; WIDTH]) {
        let mut place = self.home(held.first().copied().unwrap_or_default());
        let mut distance = 0;
        for _ in 0..self.slots {
            let Some(slot) = self.slot(place) else { return };
            let there = slot.first().map_or(0, |word| word.load(Ordering::Relaxed));
            let its_distance = self.distance(there, place);
            if there == 0 || its_distance < distance {
                for (word, mine) in slot.iter().zip(&mut held) {
                    *mine = word.swap(*mine, Ordering::Relaxed);
                }
                distance = its_distance;
            }
            if there == 0 {
                self.taken.fetch_add(1, Ordering::Relaxed);
                return;
            }
            place = self.next(place);
            distance += 1;
        }
    }

    fn slot(&self, place: usize) -> Option<&[AtomicU64]> {
        let Line(words) = self.lines.get(place / Self::SLOTS_OF_LINE)?;
        let (slots, _) = words.as_chunks::<WIDTH>();
        slots.get(place % Self::SLOTS_OF_LINE).map(|slot| &slot[..])
    }

    fn all_slots(&self) -> impl Iterator<Item = &[AtomicU64]> {
        let lines = self.lines.iter();
        lines.flat_map(|Line(words)| words.chunks_exact(WIDTH))
    }

    fn next(&self, place: usize) -> usize {
        let next = place.wrapping_add(1);
        if next < self.slots { next } else { 0 }
    }

    /// The first slot of the line where a key of that first word wants to be: its lower half, as a part of the whole.
    fn home(&self, first: u64) -> usize {
        // No memory holds more lines than half a word counts.
        let lines = u64::try_from(self.lines.len()).unwrap_or_default();
        let part = (first & LOWER_HALF).wrapping_mul(lines) >> 32;
        let line = usize::try_from(part).unwrap_or_default();
        line.saturating_mul(Self::SLOTS_OF_LINE)
    }

    /// How far a key of that first word is from where it wants to be.
    fn distance(&self, first: u64, place: usize) -> usize {
        let home = self.home(first);
        match place.checked_sub(home) {
            Some(distance) => distance,
            None => place.wrapping_add(self.slots).wrapping_sub(home),
        }
    }
}

/// The 96 bits by which a key is known. No first word is zero, which stands for an empty slot.
fn stored(key: Key) -> (u64, u64) {
    (key.low.max(1), key.high & LOWER_HALF)
}
