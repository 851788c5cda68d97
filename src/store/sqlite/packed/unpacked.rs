//! Reading packed segments, whole or at a glance.

use std::borrow::Borrow;

use super::{
    CANCELLED, FORM, HAS_HOLDER, HOW, HOWS, Last, OF_LIVE, OF_OVER, OVER, PARENT_ENDED,
    PackedError, SAME_PRODUCT, SAME_START, SAME_USER, SUSPENDED, UNIT_BITS, UNIT_MASK, UNITS,
    measured, near_end, nearby,
};
use crate::domain::id::{LONGEST_ID, ProductName, UserId};
use crate::domain::time::{End, Instant};
use crate::domain::window::{LivePhase, Phase, Segment};
use crate::store::{ProductPlace, ProductPlaces, UserSegment, Whose};

/// What one form of packed segments has of its own.
pub(super) trait Form {
    /// The first byte of a list.
    const BYTE: u8;
    /// What a given grant may be flagged with.
    const OF_LIVE: u8;

    /// An instant near another.
    fn instant(bytes: &mut Bytes<'_>, nearby: i64) -> Result<Instant, PackedError>;
    /// An end near an instant.
    fn end(bytes: &mut Bytes<'_>, nearby: i64) -> Result<End, PackedError>;
    /// When access begins, until when it is paid and when it ends, of a segment that begins at `from`.
    fn term<User, Product>(
        bytes: &mut Bytes<'_>,
        flags: u8,
        from: Instant,
        last: &mut Last<User, Product>,
    ) -> Result<(Instant, End, End), PackedError>;
}

/// What segments that are taken apart hold in place of the texts of ids.
trait Ids {
    type User: Clone;
    type Product: Clone;

    /// A text that is written otherwise than the id is compared is of no known form.
    fn user(&mut self, text: &str) -> Result<Self::User, PackedError>;
    fn product(&mut self, text: &str) -> Result<Self::Product, PackedError>;
}

/// The ids themselves.
struct Whole;

/// Whether it is the user they lie beside, and the place of the product.
struct Listed<'a> {
    user: &'a str,
    products: &'a mut ProductPlaces,
}

/// Few segments take fewer.
const BYTES_OF_SEGMENT: usize = 8;
/// Room for more is made only where there are more.
const MANY_SEGMENTS: usize = 32;

/// The form that is written.
struct Written;

/// The segments of bytes that lie beside a user.
pub(in crate::store::sqlite) fn unpack(
    bytes: &[u8],
    beside: Option<&UserId>,
) -> Result<Vec<Segment>, PackedError> {
    unpack_form::<Written>(bytes, beside)
}

/// The segments of bytes of a form.
pub(super) fn unpack_form<F: Form>(
    bytes: &[u8],
    beside: Option<&UserId>,
) -> Result<Vec<Segment>, PackedError> {
    let expected = bytes.len().div_ceil(BYTES_OF_SEGMENT);
    let mut segments = Vec::with_capacity(expected.min(MANY_SEGMENTS));
    let beside = beside.map(|user| (user.as_str(), user.clone()));
    each_of_form::<F, _>(bytes, beside, &mut Whole, |segment| segments.push(segment))?;
    Ok(segments)
}

/// Tells of the segments of bytes that lie beside a user, one after the other, as that user's list has them.
pub(in crate::store::sqlite) fn each_listed(
    bytes: &[u8],
    user: &UserId,
    products: &mut ProductPlaces,
    tell: impl FnMut(UserSegment),
) -> Result<(), PackedError> {
    let user = user.as_str();
    let beside = Some((user, Whose::TheUsers));
    each_of_form::<Written, _>(bytes, beside, &mut Listed { user, products }, tell)
}

fn each_of_form<'a, F: Form, I: Ids>(
    bytes: &'a [u8],
    beside: Option<(&'a str, I::User)>,
    ids: &mut I,
    mut tell: impl FnMut(Segment<I::User, I::Product>),
) -> Result<(), PackedError> {
    let mut bytes = Bytes {
        rest: after_form(bytes, F::BYTE)?,
    };
    let mut last = Last::beside(beside);
    while !bytes.rest.is_empty() {
        tell(bytes.segment::<F, I>(ids, &mut last)?);
    }
    Ok(())
}

/// What can be told of segments without taking them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store::sqlite) struct Glance {
    /// Whether the user ever holds the grant.
    pub(in crate::store::sqlite) is_held: bool,
    /// Whether it ever gives a product that is asked for.
    pub(in crate::store::sqlite) is_given: bool,
}

impl Glance {
    /// Whether more segments could tell nothing new.
    fn has_seen_all(self) -> bool {
        self.is_held && self.is_given
    }
}

/// Of segments that lie beside the user. Looks only at users and products, and no further than it has to. Not all that is
/// damaged is noticed by that: [`unpack`] notices it.
pub(in crate::store::sqlite) fn glance(
    bytes: &[u8],
    user: &UserId,
    is_asked_for: &dyn Fn(&str) -> bool,
) -> Result<Glance, PackedError> {
    let mut glance = Glance::default();
    let mut bytes = Bytes {
        rest: after_form(bytes, FORM)?,
    };
    let mut is_last_the_user = true;
    while !bytes.rest.is_empty() && !glance.has_seen_all() {
        bytes.glance_at_segment(user, is_asked_for, &mut is_last_the_user, &mut glance)?;
    }
    Ok(glance)
}

fn after_form(bytes: &[u8], expected: u8) -> Result<&[u8], PackedError> {
    match bytes.split_first() {
        None => Ok(bytes),
        // A form without a segment would be a second way to write none.
        Some((form, rest)) if *form == expected && !rest.is_empty() => Ok(rest),
        Some(_) => Err(PackedError::Form),
    }
}

/// What the next segment was written against, with the texts of the ids.
type LastRead<'a, I> = Last<(&'a str, <I as Ids>::User), (&'a str, <I as Ids>::Product)>;

/// What is left to read.
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn segment<F: Form, I: Ids>(
        &mut self,
        ids: &mut I,
        last: &mut LastRead<'a, I>,
    ) -> Result<Segment<I::User, I::Product>, PackedError> {
        let flags = self.byte()?;
        let is_over = flags & OVER != 0;
        if flags & !(if is_over { OF_OVER } else { F::OF_LIVE }) != 0 {
            return Err(PackedError::Form);
        }
        let from = F::instant(self, last.micros)?;
        let to = F::end(self, from.micros())?;
        if !is_over || flags & HAS_HOLDER != 0 {
            let is_same = flags & SAME_USER != 0;
            self.id(is_same, &mut last.user, |text| ids.user(text))?;
        } else if flags & SAME_USER != 0 {
            return Err(PackedError::Form);
        }
        last.micros = nearby(from, to);
        let user = last.user.as_ref().map(|(_, user)| user.clone());
        let phase = if is_over {
            let how = HOWS.get(usize::from((flags & HOW) >> 1));
            Phase::Over {
                how: *how.ok_or(PackedError::Form)?,
                holder: user.filter(|_| flags & HAS_HOLDER != 0),
            }
        } else {
            let is_same = flags & SAME_PRODUCT != 0;
            self.id(is_same, &mut last.product, |text| ids.product(text))?;
            let (start, paid_until, end) = F::term(self, flags, from, last)?;
            let product = last.product.as_ref().map(|(_, product)| product.clone());
            Phase::Live(LivePhase {
                user: user.ok_or(PackedError::Form)?,
                product: product.ok_or(PackedError::Form)?,
                start,
                paid_until,
                end,
                cancelled: flags & CANCELLED != 0,
                suspended: flags & SUSPENDED != 0,
                parent_ended: flags & PARENT_ENDED != 0,
            })
        };
        Ok(Segment { from, to, phase })
    }

    fn glance_at_segment(
        &mut self,
        user: &UserId,
        is_asked_for: &dyn Fn(&str) -> bool,
        is_last_the_user: &mut bool,
        glance: &mut Glance,
    ) -> Result<(), PackedError> {
        let flags = self.byte()?;
        let is_live = flags & OVER == 0;
        self.skip_number()?;
        self.skip_number()?;
        if is_live || flags & HAS_HOLDER != 0 {
            if flags & SAME_USER == 0 {
                *is_last_the_user = self.text()? == user.as_str().as_bytes();
            }
            glance.is_held |= *is_last_the_user;
        }
        if is_live {
            if flags & SAME_PRODUCT == 0 {
                let product = self.text()?;
                glance.is_given |= std::str::from_utf8(product).is_ok_and(is_asked_for);
            }
            if flags & SAME_START == 0 {
                self.skip_number()?;
            }
            self.skip_number()?;
            self.skip_number()?;
        }
        Ok(())
    }

    /// Brings `last` up to an id that is the same as before, or written here.
    fn id<T>(
        &mut self,
        is_same: bool,
        last: &mut Option<(&'a str, T)>,
        read: impl FnOnce(&str) -> Result<T, PackedError>,
    ) -> Result<(), PackedError> {
        if is_same {
            return last.as_ref().map(|_| ()).ok_or(PackedError::Form);
        }
        let text = std::str::from_utf8(self.text()?).map_err(|_| PackedError::Form)?;
        // It could have been left out.
        if last.as_ref().is_some_and(|(last, _)| *last == text) {
            return Err(PackedError::Form);
        }
        *last = Some((text, read(text)?));
        Ok(())
    }

    pub(super) fn byte(&mut self) -> Result<u8, PackedError> {
        let (byte, rest) = self.rest.split_first().ok_or(PackedError::CutOff)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn skip_number(&mut self) -> Result<(), PackedError> {
        while self.byte()? & 0x80 != 0 {}
        Ok(())
    }

    pub(super) fn number(&mut self) -> Result<u64, PackedError> {
        let mut number = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // Nothing is shifted out, and no last byte is one that could have been left out.
            let is_too_long = place == 9 && bits > 1 || place > 0 && byte == 0;
            if is_too_long {
                return Err(PackedError::Form);
            }
            number |= bits << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(PackedError::Form)
    }

    fn text(&mut self) -> Result<&'a [u8], PackedError> {
        let length = usize::try_from(self.number()?).map_err(|_| PackedError::CutOff)?;
        let length = Some(length).filter(|length| *length <= LONGEST_ID);
        let (text, rest) = length
            .and_then(|length| self.rest.split_at_checked(length))
            .ok_or(PackedError::CutOff)?;
        self.rest = rest;
        Ok(text)
    }
}

impl Ids for Whole {
    type User = UserId;
    type Product = ProductName;

    fn user(&mut self, text: &str) -> Result<UserId, PackedError> {
        as_written(UserId::new(text)?, text)
    }

    fn product(&mut self, text: &str) -> Result<ProductName, PackedError> {
        as_written(ProductName::new(text)?, text)
    }
}

impl Ids for Listed<'_> {
    type User = Whose;
    type Product = ProductPlace;

    fn user(&mut self, text: &str) -> Result<Whose, PackedError> {
        // Also the user of the list is written out, where the grant comes back from another.
        if text == self.user {
            return Ok(Whose::TheUsers);
        }
        Whole.user(text).map(|_| Whose::AnOthers)
    }

    fn product(&mut self, text: &str) -> Result<ProductPlace, PackedError> {
        if let Some(place) = self.products.known(text) {
            return Ok(place);
        }
        let product = Whole.product(text)?;
        Ok(self.products.place(&product))
    }
}

fn as_written<Id: Borrow<str>>(id: Id, text: &str) -> Result<Id, PackedError> {
    let is_same = id.borrow() == text;
    is_same.then_some(id).ok_or(PackedError::Form)
}

impl Form for Written {
    const BYTE: u8 = FORM;
    const OF_LIVE: u8 = OF_LIVE;

    fn instant(bytes: &mut Bytes<'_>, nearby: i64) -> Result<Instant, PackedError> {
        instant(bytes.number()?, nearby)
    }

    fn end(bytes: &mut Bytes<'_>, nearby: i64) -> Result<End, PackedError> {
        match bytes.number()?.checked_sub(1) {
            None => Ok(End::Never),
            Some(number) => Ok(End::At(instant(number, nearby)?)),
        }
    }

    fn term<User, Product>(
        bytes: &mut Bytes<'_>,
        flags: u8,
        from: Instant,
        last: &mut Last<User, Product>,
    ) -> Result<(Instant, End, End), PackedError> {
        let start = if flags & SAME_START != 0 {
            last.start.ok_or(PackedError::Form)?
        } else {
            let start = Self::instant(bytes, from.micros())?;
            // It could have been left out.
            if last.start == Some(start) {
                return Err(PackedError::Form);
            }
            start
        };
        last.start = Some(start);
        let end = Self::end(bytes, last.micros)?;
        let paid_until = Self::end(bytes, near_end(end, last.micros))?;
        Ok((start, paid_until, end))
    }
}

/// A number whose sign was put into its lowest bit.
pub(super) fn signed(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// The instant at a distance.
fn instant(number: u64, nearby: i64) -> Result<Instant, PackedError> {
    let place = usize::try_from(number & UNIT_MASK).unwrap_or(usize::MAX);
    let unit = UNITS.get(place).ok_or(PackedError::Form)?;
    let count = signed(number >> UNIT_BITS);
    let micros = count.checked_mul(*unit).ok_or(PackedError::Form)?;
    if measured(micros).0 != number & UNIT_MASK {
        return Err(PackedError::Form);
    }
    let micros = nearby.checked_add(micros).ok_or(PackedError::Form)?;
    Ok(Instant::from_micros(micros)?)
}
