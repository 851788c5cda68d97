//! The segments of a grant as bytes: what a check reads is as short as it can be, and lies in one place.
//!
//! A list without segments has no bytes. Else the first byte is [`FORM`], and the segments follow one after the other. Of
//! most grants a segment goes on where the last one ended, for the same user and product, so each instant is written as its
//! distance to one nearby, in days or seconds where it is so many. A list lies beside a user, who mostly holds the grant: of that
//! user the id is left out. There is one form only for each list: whatever else is met is damage.

use std::collections::BTreeSet;

use crate::domain::event::Cause;
use crate::domain::grant::How;
use crate::domain::id::{IdError, ProductName, UserId};
use crate::domain::time::{End, Instant, TimeError};
use crate::domain::window::{Phase, Segment};

pub(super) mod column;
mod first_form;
mod unpacked;

pub(super) use first_form::unpack_of_any_form;
use unpacked::{Glance, each_listed, glance, unpack};

/// The only form that is written.
const FORM: u8 = 2;

const OVER: u8 = 1;
/// Of a given grant.
const CANCELLED: u8 = 1 << 1;
const SUSPENDED: u8 = 1 << 2;
const PARENT_ENDED: u8 = 1 << 3;
/// Of one that is over: how, in three bits.
const HOW: u8 = 0b111 << 1;
const SAME_USER: u8 = 1 << 4;
const SAME_PRODUCT: u8 = 1 << 5;
/// Of a given grant: access begins where it began in the one before that was given.
const SAME_START: u8 = 1 << 6;
/// Of one that is over.
const HAS_HOLDER: u8 = 1 << 6;
const OF_LIVE: u8 = CANCELLED | SUSPENDED | PARENT_ENDED | SAME_USER | SAME_PRODUCT | SAME_START;
const OF_OVER: u8 = OVER | HOW | SAME_USER | HAS_HOLDER;

/// What distances are counted in, in microseconds: the first of these that measures one wholly.
const UNITS: [i64; 3] = [DAY, SECOND, 1];
const DAY: i64 = 24 * 60 * 60 * SECOND;
const SECOND: i64 = 1_000_000;
/// A distance is preceded by the place of its unit.
const UNIT_BITS: u32 = 2;
const UNIT_MASK: u64 = (1 << UNIT_BITS) - 1;

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

/// The bytes of segments that lie beside a user.
pub(in crate::store) fn pack(segments: &[Segment], beside: Option<&UserId>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(48);
    if segments.is_empty() {
        return bytes;
    }
    bytes.push(FORM);
    let mut last = Last::beside(beside);
    for segment in segments {
        put_segment(&mut bytes, segment, &mut last);
    }
    bytes
}

/// The bytes that lie beside the grant itself: of one whose events name nobody those of its segments, else none, for they lie
/// beside the users.
pub(in crate::store) fn pack_of_nobody(users: &BTreeSet<UserId>, segments: &[Segment]) -> Vec<u8> {
    match users.is_empty() {
        true => pack(segments, None),
        false => Vec::new(),
    }
}

/// What the next segment is written against.
struct Last<User, Product> {
    /// Where the segment before ended, or began if it has no end.
    micros: i64,
    user: Option<User>,
    product: Option<Product>,
    start: Option<Instant>,
}

impl<User, Product> Last<User, Product> {
    /// Before the first segment.
    fn beside(user: Option<User>) -> Self {
        Self {
            micros: 0,
            user,
            product: None,
            start: None,
        }
    }
}

fn put_segment<'s>(
    bytes: &mut Vec<u8>,
    segment: &'s Segment,
    last: &mut Last<&'s UserId, &'s ProductName>,
) {
    let (from, to) = (segment.from.micros(), segment.to);
    let user = segment.holder();
    let is_same_user = user.is_some() && user == last.user;
    let mut flags = if is_same_user { SAME_USER } else { 0 };
    let mut new_product = None;
    match &segment.phase {
        Phase::Live(live) => {
            let is_same = last.product == Some(&live.product);
            flags |= if is_same { SAME_PRODUCT } else { 0 };
            let is_same_start = last.start == Some(live.start);
            flags |= if is_same_start { SAME_START } else { 0 };
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
    last.user = user.or(last.user);
    if let Phase::Live(live) = &segment.phase {
        if flags & SAME_START == 0 {
            put_difference(bytes, live.start.micros(), from);
        }
        put_end(bytes, live.end, last.micros);
        put_end(bytes, live.paid_until, near_end(live.end, last.micros));
        last.product = Some(&live.product);
        last.start = Some(live.start);
    }
}

/// What is paid mostly ends where access ends.
fn near_end(end: End, nearby: i64) -> i64 {
    end.instant().map_or(nearby, Instant::micros)
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

fn put_difference(bytes: &mut Vec<u8>, micros: i64, nearby: i64) {
    put_number(bytes, difference(micros, nearby));
}

/// The distance between two instants: the place of its unit in the lowest bits, then its sign, so that short ones stay short.
fn difference(micros: i64, nearby: i64) -> u64 {
    let (place, count) = measured(micros.wrapping_sub(nearby));
    let signed = ((count << 1) ^ (count >> 63)).cast_unsigned();
    signed << UNIT_BITS | place
}

/// The place of the first unit that measures a distance wholly, and how many of it that is.
fn measured(micros: i64) -> (u64, i64) {
    // Divided by what the compiler knows, which is several times as fast.
    if micros % SECOND != 0 {
        (2, micros)
    } else if micros % DAY != 0 {
        (1, micros / SECOND)
    } else {
        (0, micros / DAY)
    }
}

/// Zero stands for no end.
fn put_end(bytes: &mut Vec<u8>, end: End, nearby: i64) {
    let end = end.instant();
    let number = end.map(|end| difference(end.micros(), nearby).saturating_add(1));
    put_number(bytes, number.unwrap_or_default());
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
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::window::LivePhase;
    use crate::store::UserSegments;

    fn instant() -> impl Strategy<Value = Instant> {
        let (first, last) = (Instant::FIRST.micros(), Instant::LAST.micros());
        let whole = (-4..4_i64, prop::sample::select(UNITS.to_vec()));
        let whole = whole.prop_map(|(count, unit)| count * unit);
        let anywhere = prop_oneof![
            -1000..1000_i64,
            whole,
            first..=last,
            Just(first),
            Just(last)
        ];
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
        let over = (how, option::of(user()));
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
        let user: UserId = "u0000001".parse().unwrap();
        assert_eq!(pack(std::slice::from_ref(&segment), Some(&user)).len(), 15);
        assert_eq!(pack(&[segment], None).len(), 24);
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_the_same(segments in segments(), beside in option::of(user())) {
            let bytes = pack(&segments, beside.as_ref());
            prop_assert_eq!(unpack(&bytes, beside.as_ref()).unwrap(), segments.clone());
            prop_assert_eq!(unpack_of_any_form(&pack(&segments, None)).unwrap(), segments);
        }

        #[test]
        fn what_is_listed_of_packed_segments_is_what_is_listed_of_whole_ones(
            grants in vec(segments(), 1..4), user in user(),
        ) {
            let [mut of_packed, mut of_whole] = [UserSegments::default(), UserSegments::default()];
            of_packed.add_user(user.clone());
            of_whole.add_user(user.clone());
            for segments in &grants {
                let bytes = pack(segments, Some(&user));
                of_packed.add_grant(|user, products, list| {
                    each_listed(&bytes, user, products, |segment| list.push(segment))
                }).unwrap();
                of_whole.add_segments(segments);
            }
            prop_assert_eq!(of_packed, of_whole);
        }

        #[test]
        fn a_glance_tells_what_taking_apart_would(segments in segments(), beside in user()) {
            let bytes = pack(&segments, Some(&beside));
            let seen = glance(&bytes, &beside, &|product| product.starts_with('p')).unwrap();
            let mut products = segments.iter().filter_map(Segment::product);
            prop_assert_eq!(seen.is_given, products.any(|it| it.as_str().starts_with('p')));
            let mut holders = segments.iter().filter_map(Segment::holder);
            prop_assert_eq!(seen.is_held, holders.any(|it| *it == beside));
        }

        #[test]
        fn there_is_one_form_only(
            segments in segments(), beside in option::of(user()), place: prop::sample::Index, byte: u8, cut: bool,
        ) {
            let mut bytes = pack(&segments, beside.as_ref());
            prop_assume!(!bytes.is_empty());
            let place = place.index(bytes.len());
            if cut {
                bytes.truncate(place);
            } else {
                bytes[place] = byte;
            }
            if let Ok(read) = unpack(&bytes, beside.as_ref()) {
                prop_assert_eq!(pack(&read, beside.as_ref()), bytes);
            }
        }
    }
}
