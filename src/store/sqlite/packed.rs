//! The segments of a grant as bytes: what a check reads is as short as it can be, and lies in one place.
//!
//! A list without segments has no bytes. Else the first byte is [`FORM`], and the segments follow one after the other. Of
//! most grants a segment goes on where the last one ended, for the same user and product, so each value is written as its
//! distance to one nearby. There is one form only for each list: whatever else is met is damage.

use crate::domain::event::Cause;
use crate::domain::grant::How;
use crate::domain::id::{IdError, ProductName, UserId};
use crate::domain::time::{End, Instant, TimeError};
use crate::domain::window::{Phase, Segment};

mod unpacked;

pub(super) use unpacked::{Glance, glance, unpack};

/// The only form there is.
const FORM: u8 = 1;

const OVER: u8 = 1;
/// Of a given grant.
const CANCELLED: u8 = 1 << 1;
const SUSPENDED: u8 = 1 << 2;
const PARENT_ENDED: u8 = 1 << 3;
/// Of one that is over: how, in three bits.
const HOW: u8 = 0b111 << 1;
const SAME_USER: u8 = 1 << 4;
const SAME_PRODUCT: u8 = 1 << 5;
/// Of one that is over.
const HAS_HOLDER: u8 = 1 << 6;
const OF_LIVE: u8 = CANCELLED | SUSPENDED | PARENT_ENDED | SAME_USER | SAME_PRODUCT;
const OF_OVER: u8 = OVER | HOW | SAME_USER | HAS_HOLDER;

/// How a grant may be over, by its number.
const HOWS: [How; 7] = [
    How::Revoked,
    How::Ended(Cause::Expired),
    How::Ended(Cause::Cancelled),
    How::Ended(Cause::RenewalFailed),
    How::Ended(Cause::Refunded),
    How::Ended(Cause::UserRemoved),
    How::Ended(Cause::Unspecified),
];

/// Bytes that no list of segments has.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackedError {
    #[error("the segments are cut off")]
    CutOff,
    #[error("the segments are of no known form")]
    Form,
    #[error(transparent)]
    Id(#[from] IdError),
    #[error(transparent)]
    Time(#[from] TimeError),
}

/// The bytes of segments.
pub(in crate::store) fn pack(segments: &[Segment]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(48);
    if segments.is_empty() {
        return bytes;
    }
    bytes.push(FORM);
    let mut last = Last::default();
    for segment in segments {
        put_segment(&mut bytes, segment, &mut last);
    }
    bytes
}

/// What the next segment is written against.
#[derive(Default)]
struct Last {
    /// Where the segment before ended, or began if it has no end.
    micros: i64,
    user: Option<UserId>,
    product: Option<ProductName>,
}

fn put_segment(bytes: &mut Vec<u8>, segment: &Segment, last: &mut Last) {
    let (from, to) = (segment.from.micros(), segment.to);
    let user = segment.holder();
    let is_same_user = user.is_some() && user == last.user.as_ref();
    let mut flags = if is_same_user { SAME_USER } else { 0 };
    let mut new_product = None;
    match &segment.phase {
        Phase::Live(live) => {
            let is_same = last.product.as_ref() == Some(&live.product);
            flags |= if is_same { SAME_PRODUCT } else { 0 };
            flags |= if live.cancelled { CANCELLED } else { 0 };
            flags |= if live.suspended { SUSPENDED } else { 0 };
            flags |= if live.parent_ended { PARENT_ENDED } else { 0 };
            new_product = (!is_same).then_some(&live.product);
        }
        Phase::Over { how, .. } => {
            flags |= OVER | number_of(*how) << 1;
            flags |= if user.is_some() { HAS_HOLDER } else { 0 };
        }
    }
    bytes.push(flags);
    put_difference(bytes, from, last.micros);
    put_end(bytes, to, from);
    if let Some(user) = user.filter(|_| !is_same_user) {
        put_text(bytes, user.as_str());
    }
    if let Some(product) = new_product {
        put_text(bytes, product.as_str());
    }
    last.micros = nearby(segment.from, to);
    if let Some(user) = user {
        last.user = Some(user.clone());
    }
    if let Phase::Live(live) = &segment.phase {
        put_difference(bytes, live.start.micros(), from);
        put_end(bytes, live.paid_until, last.micros);
        put_end(bytes, live.end, last.micros);
        last.product = Some(live.product.clone());
    }
}

/// Where most of what a segment says lies, and where the next one begins: its end, if it has one.
fn nearby(from: Instant, to: End) -> i64 {
    to.instant().unwrap_or(from).micros()
}

fn number_of(how: How) -> u8 {
    match how {
        How::Revoked => 0,
        How::Ended(Cause::Expired) => 1,
        How::Ended(Cause::Cancelled) => 2,
        How::Ended(Cause::RenewalFailed) => 3,
        How::Ended(Cause::Refunded) => 4,
        How::Ended(Cause::UserRemoved) => 5,
        How::Ended(Cause::Unspecified) => 6,
    }
}

/// Seven bits in each byte, the lowest first; the highest bit says that more follow.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [lowest, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return bytes.push(lowest & 0x7f);
        }
        bytes.push(lowest | 0x80);
    }
}

/// The distance between two instants, its sign in the lowest bit, so that short ones stay short.
fn put_difference(bytes: &mut Vec<u8>, micros: i64, nearby: i64) {
    let difference = micros.wrapping_sub(nearby);
    put_number(
        bytes,
        ((difference << 1) ^ (difference >> 63)).cast_unsigned(),
    );
}

/// An end is preceded by a byte that says whether there is one.
fn put_end(bytes: &mut Vec<u8>, end: End, nearby: i64) {
    match end.instant() {
        None => bytes.push(0),
        Some(end) => {
            bytes.push(1);
            put_difference(bytes, end.micros(), nearby);
        }
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_number(bytes, u64::try_from(text.len()).unwrap_or(u64::MAX));
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::window::LivePhase;

    fn instant() -> impl Strategy<Value = Instant> {
        let (first, last) = (Instant::FIRST.micros(), Instant::LAST.micros());
        let anywhere = prop_oneof![-1000..1000_i64, first..=last, Just(first), Just(last)];
        anywhere.prop_map(|micros| Instant::from_micros(micros).unwrap())
    }

    fn end() -> impl Strategy<Value = End> {
        prop_oneof![Just(End::Never), instant().prop_map(End::At)]
    }

    fn user() -> impl Strategy<Value = UserId> {
        prop_oneof!["[ab]", ".{1,40}"]
            .prop_filter_map("not an id", |text| UserId::new(text.as_str()).ok())
    }

    fn phase() -> impl Strategy<Value = Phase> {
        let product = "[pq]{1,2}".prop_map(|text| ProductName::new(&text).unwrap());
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        let live = (user(), product, instant(), end(), end(), flags);
        let live = live.prop_map(|(user, product, start, paid_until, end, flags)| {
            Phase::Live(LivePhase {
                user,
                product,
                start,
                paid_until,
                end,
                cancelled: flags.0,
                suspended: flags.1,
                parent_ended: flags.2,
            })
        });
        let how = proptest::sample::select(HOWS.to_vec());
        let over = (how, proptest::option::of(user()));
        prop_oneof![
            live,
            over.prop_map(|(how, holder)| Phase::Over { how, holder })
        ]
    }

    fn segments() -> impl Strategy<Value = Vec<Segment>> {
        let segment = (instant(), end(), phase());
        vec(
            segment.prop_map(|(from, to, phase)| Segment { from, to, phase }),
            0..6,
        )
    }

    #[test]
    fn every_way_to_be_over_has_the_number_of_its_place() {
        for (number, how) in (0..).zip(HOWS) {
            assert_eq!(number_of(how), number);
        }
    }

    #[test]
    fn the_segments_of_a_common_grant_are_short() {
        let at = |text: &str| -> Instant { text.parse().unwrap() };
        let end = at("2026-02-01T00:00:00Z");
        let live = LivePhase {
            user: "u0000001".parse().unwrap(),
            product: "news".parse().unwrap(),
            start: at("2026-01-01T00:00:00Z"),
            paid_until: End::At(end),
            end: End::At(end),
            cancelled: false,
            suspended: false,
            parent_ended: false,
        };
        let segment = Segment {
            from: live.start,
            to: End::At(end),
            phase: Phase::Live(live),
        };
        assert_eq!(pack(&[segment]).len(), 37);
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_the_same(segments in segments(), asked in user()) {
            let bytes = pack(&segments);
            prop_assert_eq!(unpack(&bytes, None).unwrap(), segments.clone());
            prop_assert_eq!(unpack(&bytes, Some(&asked)).unwrap(), segments);
        }

        #[test]
        fn a_glance_tells_what_taking_apart_would(segments in segments(), asked in user()) {
            let seen = glance(&pack(&segments), &asked, &|product| product.starts_with('p')).unwrap();
            let mut products = segments.iter().filter_map(Segment::product);
            prop_assert_eq!(seen.is_given, products.any(|it| it.as_str().starts_with('p')));
            let mut holders = segments.iter().filter_map(Segment::holder);
            prop_assert_eq!(seen.is_held, holders.any(|it| *it == asked));
        }

        #[test]
        fn there_is_one_form_only(segments in segments(), place: prop::sample::Index, byte: u8, cut: bool) {
            let mut bytes = pack(&segments);
            prop_assume!(!bytes.is_empty());
            let place = place.index(bytes.len());
            if cut {
                bytes.truncate(place);
            } else {
                bytes[place] = byte;
            }
            if let Ok(read) = unpack(&bytes, None) {
                prop_assert_eq!(pack(&read), bytes);
            }
        }
    }
}
