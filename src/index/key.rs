//! Keyed hashes in place of ids.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::BitXor;

use super::sip::SipKey;

/// A keyed hash of 128 bits. Whoever does not know the key cannot find two ids that are taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) high: u64,
    pub(super) low: u64,
}

impl BitXor for Key {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        Self {
            high: self.high ^ other.high,
            low: self.low ^ other.low,
        }
    }
}

/// The keys of the hashes, drawn anew for each index. Users and names have each their own, so that the key of a user and a
/// product, one hash laid over the other, says which is which.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    user: SipKey,
    name: SipKey,
}

impl Keys {
    /// Keys that nobody can guess.
    pub(super) fn unpredictable() -> Self {
        let random = RandomState::new();
        Self::new(|number| random.hash_one(number))
    }

    /// The same keys for the same seed.
    #[cfg(test)]
    pub(super) fn from_seed(seed: u64) -> Self {
        Self::new(|number| number.wrapping_add(1).wrapping_mul(seed | 1))
    }

    fn new(draw: impl Fn(u64) -> u64) -> Self {
        Self {
            user: SipKey(draw(0), draw(1)),
            name: SipKey(draw(2), draw(3)),
        }
    }

    pub(super) fn user(&self, id: &str) -> Key {
        hash(self.user, id)
    }

    /// Of a product or a resource.
    pub(super) fn name(&self, name: &str) -> Key {
        hash(self.name, name)
    }
}

fn hash(key: SipKey, text: &str) -> Key {
    let [high, low] = key.hash(text.as_bytes());
    Key { high, low }
}
