//! A large crowd of readers, three grants and about nine deliveries each, told as a stream: what is held in memory are the
//! deliveries of some thousand readers.

use super::Delivered;
use super::lives::short_lives;

/// So many readers are told of at once, in the order of what happened to them.
const READERS_IN_BLOCK: u64 = 20_000;

/// The deliveries of readers `0..readers`.
pub(crate) struct Crowd {
    seed: u64,
    readers: u64,
    next: u64,
    block: std::vec::IntoIter<Delivered>,
}

impl Crowd {
    pub(crate) fn new(seed: u64, readers: u64) -> Self {
        Self {
            seed,
            readers,
            next: 0,
            block: Vec::new().into_iter(),
        }
    }
}

impl Iterator for Crowd {
    type Item = Delivered;

    fn next(&mut self) -> Option<Delivered> {
        loop {
            if let Some(delivered) = self.block.next() {
                return Some(delivered);
            }
            if self.next == self.readers {
                return None;
            }
            let end = self.readers.min(self.next + READERS_IN_BLOCK);
            let mut happened = Vec::new();
            for number in self.next..end {
                short_lives(self.seed, number, &mut happened);
            }
            happened.sort_by_key(|it| it.second);
            self.next = end;
            self.block = happened.into_iter();
        }
    }
}
