//! Reading segments as schema 4 packed them, to bring a file up to date.
//!
//! Distances were counted in microseconds, an end was preceded by a byte that says whether there is one, and every id was
//! written out.

use super::unpacked::{Bytes, Form, signed, unpack, unpack_form};
use super::{CANCELLED, Last, PARENT_ENDED, PackedError, SAME_PRODUCT, SAME_USER, SUSPENDED};
use crate::domain::time::{End, Instant};
use crate::domain::window::Segment;

struct First;

/// The segments of bytes of this form, or of the one that is written, beside nobody.
pub(in crate::store::sqlite) fn unpack_of_any_form(
    bytes: &[u8],
) -> Result<Vec<Segment>, PackedError> {
    match bytes.first() {
        Some(&First::BYTE) => unpack_form::<First>(bytes, None),
        Some(_) | None => unpack(bytes, None),
    }
}

impl Form for First {
    const BYTE: u8 = 1;
    const OF_LIVE: u8 = CANCELLED | SUSPENDED | PARENT_ENDED | SAME_USER | SAME_PRODUCT;

    fn instant(bytes: &mut Bytes<'_>, nearby: i64) -> Result<Instant, PackedError> {
        let micros = nearby.checked_add(signed(bytes.number()?));
        Ok(Instant::from_micros(micros.ok_or(PackedError::Form)?)?)
    }

    fn end(bytes: &mut Bytes<'_>, nearby: i64) -> Result<End, PackedError> {
        match bytes.byte()? {
            0 => Ok(End::Never),
            1 => Ok(End::At(Self::instant(bytes, nearby)?)),
            _ => Err(PackedError::Form),
        }
    }

    fn term<User, Product>(
        bytes: &mut Bytes<'_>,
        _flags: u8,
        from: Instant,
        last: &mut Last<User, Product>,
    ) -> Result<(Instant, End, End), PackedError> {
        let start = Self::instant(bytes, from.micros())?;
        let paid_until = Self::end(bytes, last.micros)?;
        Ok((start, paid_until, Self::end(bytes, last.micros)?))
    }
}
