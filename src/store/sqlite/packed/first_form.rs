//! Reading segments as schema 4 packed them, to bring a file up to date.
//!
//! Distances were counted in microseconds, an end was preceded by a byte that says whether there is one, and every id was
//! written out.

use super::unpacked::{Bytes, after_form, unpack};
use super::{
    CANCELLED, HAS_HOLDER, HOW, HOWS, Last, OF_OVER, OVER, PARENT_ENDED, PackedError, SAME_PRODUCT,
    SAME_USER, SUSPENDED, nearby,
};
use crate::domain::time::{End, Instant};
use crate::domain::window::{LivePhase, Phase, Segment};

const FIRST_FORM: u8 = 1;
const OF_LIVE: u8 = CANCELLED | SUSPENDED | PARENT_ENDED | SAME_USER | SAME_PRODUCT;

/// The segments of bytes of this form, or of the one that is written, beside nobody.
pub(in crate::store::sqlite) fn unpack_of_any_form(
    bytes: &[u8],
) -> Result<Vec<Segment>, PackedError> {
    if bytes.first() != Some(&FIRST_FORM) {
        return unpack(bytes, None);
    }
    let mut bytes = Bytes {
        rest: after_form(bytes, FIRST_FORM)?,
    };
    let mut segments = Vec::new();
    let mut last = Last::default();
    while !bytes.rest.is_empty() {
        segments.push(segment(&mut bytes, &mut last)?);
    }
    Ok(segments)
}

fn segment(bytes: &mut Bytes<'_>, last: &mut Last) -> Result<Segment, PackedError> {
    let flags = bytes.byte()?;
    let is_over = flags & OVER != 0;
    if flags & !(if is_over { OF_OVER } else { OF_LIVE }) != 0 {
        return Err(PackedError::Form);
    }
    let from = instant(bytes, last.micros)?;
    let to = end(bytes, from.micros())?;
    if !is_over || flags & HAS_HOLDER != 0 {
        bytes.user(flags & SAME_USER != 0, last)?;
    } else if flags & SAME_USER != 0 {
        return Err(PackedError::Form);
    }
    last.micros = nearby(from, to);
    let phase = if is_over {
        let how = HOWS.get(usize::from((flags & HOW) >> 1));
        Phase::Over {
            how: *how.ok_or(PackedError::Form)?,
            holder: last.user.clone().filter(|_| flags & HAS_HOLDER != 0),
        }
    } else {
        bytes.product(flags & SAME_PRODUCT != 0, last)?;
        Phase::Live(LivePhase {
            user: last.user.clone().ok_or(PackedError::Form)?,
            product: last.product.clone().ok_or(PackedError::Form)?,
            start: instant(bytes, from.micros())?,
            paid_until: end(bytes, last.micros)?,
            end: end(bytes, last.micros)?,
            cancelled: flags & CANCELLED != 0,
            suspended: flags & SUSPENDED != 0,
            parent_ended: flags & PARENT_ENDED != 0,
        })
    };
    Ok(Segment { from, to, phase })
}

fn instant(bytes: &mut Bytes<'_>, nearby: i64) -> Result<Instant, PackedError> {
    let number = bytes.number()?;
    let difference = (number >> 1).cast_signed() ^ -((number & 1).cast_signed());
    let micros = nearby.checked_add(difference).ok_or(PackedError::Form)?;
    Ok(Instant::from_micros(micros)?)
}

fn end(bytes: &mut Bytes<'_>, nearby: i64) -> Result<End, PackedError> {
    match bytes.byte()? {
        0 => Ok(End::Never),
        1 => Ok(End::At(instant(bytes, nearby)?)),
        _ => Err(PackedError::Form),
    }
}
