//! SipHash-1-3 with 128 bits, of short texts that lie there whole.
//!
//! Two of these hashes are most of a look-up. The crate `siphasher`, which takes a text in pieces and keeps its state in
//! memory between them, needs a third more instructions for it; its results are what the tests hold these against. The
//! algorithm: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, with one round for each word and three at the
//! end, and the longer output of their reference implementation.

/// The two halves of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct SipKey(pub(super) u64, pub(super) u64);

impl SipKey {
    /// Whoever does not know the key cannot tell the two halves from random ones.
    #[inline]
    pub(super) fn hash(self, bytes: &[u8]) -> [u64; 2] {
        let Self(low, high) = self;
        let mut state = State {
            a: low ^ 0x736f_6d65_7073_6575,
            b: high ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            c: low ^ 0x6c79_6765_6e65_7261,
            d: high ^ 0x7465_6462_7974_6573,
        };
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state.take(u64::from_le_bytes(*word));
        }
        state.take(last_word(bytes, rest));
        state.c ^= 0xee;
        let first = state.end();
        state.b ^= 0xdd;
        [first, state.end()]
    }
}

/// The bytes that fill no word, and in the highest byte how many there were in all.
#[inline]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    let length = u64::try_from(bytes.len()).unwrap_or_default() << 56;
    let rest = match (bytes.last_chunk::<8>(), rest.len()) {
        (_, 0) => 0,
        // They end where the last eight end.
        (Some(last), _) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
        (None, _) => rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    length | rest
}

struct State {
    a: u64,
    b: u64,
    c: u64,
    d: u64,
}

impl State {
    #[inline]
    fn take(&mut self, word: u64) {
        self.d ^= word;
        self.round();
        self.a ^= word;
    }

    #[inline]
    fn end(&mut self) -> u64 {
        self.round();
        self.round();
        self.round();
        self.a ^ self.b ^ self.c ^ self.d
    }

    #[inline]
    fn round(&mut self) {
        self.a = self.a.wrapping_add(self.b);
        self.b = self.b.rotate_left(13) ^ self.a;
        self.a = self.a.rotate_left(32);
        self.c = self.c.wrapping_add(self.d);
        self.d = self.d.rotate_left(16) ^ self.c;
        self.a = self.a.wrapping_add(self.d);
        self.d = self.d.rotate_left(21) ^ self.a;
        self.c = self.c.wrapping_add(self.b);
        self.b = self.b.rotate_left(17) ^ self.c;
        self.c = self.c.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use siphasher::sip128::SipHasher13;

    use super::*;

    proptest! {
        #[test]
        fn it_is_that_of_the_crate(low: u64, high: u64, bytes in vec(any::<u8>(), 0..70)) {
            let expected = SipHasher13::new_with_keys(low, high).hash(&bytes);
            prop_assert_eq!(SipKey(low, high).hash(&bytes), [expected.h1, expected.h2]);
        }
    }
}
