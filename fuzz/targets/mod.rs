//! What has to hold of all that comes from outside, whatever its bytes are.
//!
//! Each target takes the bytes of one case and panics where something does not hold. The same functions are run by the
//! fuzzer, which makes up cases, and by the trust run, which replays the ones that were kept.
#![allow(
    dead_code,
    unused_imports,
    reason = "each program of the fuzzer runs one target"
)]

mod files;
mod json;
mod requests;
mod texts;

pub(crate) use files::{lines, rules};
pub(crate) use json::{json, json_by, judged};
pub(crate) use requests::{decode, packet, verify, verify_by};
pub(crate) use texts::{cursor, mentions, time};

/// A target by its name, which is also that of its corpus.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// The targets of the library.
pub(crate) const TARGETS: &[Target] = &[
    ("cursor", cursor),
    ("decode", decode),
    ("json", json),
    ("lines", lines),
    ("mentions", mentions),
    ("packet", packet),
    ("rules", rules),
    ("time", time),
    ("verify", verify),
];

/// The first byte, which says what the rest is, and the rest.
fn led(data: &[u8]) -> Option<(usize, &[u8])> {
    data.split_first()
        .map(|(first, rest)| (usize::from(*first), rest))
}

/// An instant that all targets take for now: after every time a corpus speaks of, and before the end of time.
pub(crate) fn now() -> tenure::Instant {
    "2400-01-01T00:00:00Z".parse().expect("an instant")
}
