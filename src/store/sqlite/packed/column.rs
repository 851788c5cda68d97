//! Columns of packed segments.

use rusqlite::types::Type;
use rusqlite::{Result, Row};

use super::Glance;
use crate::domain::id::UserId;
use crate::domain::window::Segment;
use crate::store::sqlite::rows::damaged;
use crate::store::{ProductPlaces, UserSegment};

/// A column of segments that were packed beside a user.
pub(in crate::store::sqlite) fn segments(
    row: &Row<'_>,
    column: usize,
    beside: Option<&UserId>,
) -> Result<Vec<Segment>> {
    super::unpack(blob(row, column)?, beside).map_err(|error| damaged(column, Type::Blob, error))
}

/// Tells of each segment of a column of segments that were packed beside a user.
pub(in crate::store::sqlite) fn each_segment(
    row: &Row<'_>,
    column: usize,
    beside: &UserId,
    products: &mut ProductPlaces,
    tell: impl FnMut(UserSegment),
) -> Result<()> {
    super::each_listed(blob(row, column)?, beside, products, tell)
        .map_err(|error| damaged(column, Type::Blob, error))
}

/// What segments that were packed beside the user say at a glance.
pub(in crate::store::sqlite) fn glance(
    row: &Row<'_>,
    column: usize,
    user: &UserId,
    is_asked_for: &dyn Fn(&str) -> bool,
) -> Result<Glance> {
    let bytes = blob(row, column)?;
    super::glance(bytes, user, is_asked_for).map_err(|error| damaged(column, Type::Blob, error))
}

fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8]> {
    let value = row.get_ref(column)?;
    value
        .as_blob()
        .map_err(|error| damaged(column, value.data_type(), error))
}
