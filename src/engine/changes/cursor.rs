//! How far a reading of changes has come.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use crate::domain::id::{Position, ResourceName, UserId};
use crate::domain::time::Instant;

/// How far a reading of changes has come: everything before an instant (and at it, up to a place), by what was known at a
/// position of the log. Reading goes on after it without a gap or a repetition, whatever is recorded meanwhile.
///
/// Its text is opaque and safe in a URL. It belongs to one database and to one question: who is followed, which resource,
/// and from when on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangesCursor {
    /// The first instant asked for.
    pub(super) from: Instant,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resource: Option<ResourceName>,
    /// Everything before this instant was given.
    pub(super) before: Instant,
    /// At that instant, everything up to this place was given; nothing, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<Place>,
    /// By what was known at this entry.
    pub(super) position: Position,
    /// The first bytes of its hash, by which another log is told.
    pub(super) mark: String,
    /// A walk through the corrections that a later entry makes necessary, which has not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pass: Option<Pass>,
}

/// The place of a change among those of one instant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) holder: UserId,
    pub(super) user: UserId,
    pub(super) of: ResourceName,
}

/// A walk through the corrections between the knowledge of two entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pass {
    /// The later entry.
    pub(super) to: Position,
    /// The last correction given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Corrected>,
}

/// The order of corrections: by user, then instant; what never was is taken back before what was is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Corrected {
    pub(super) user: UserId,
    pub(super) at: Instant,
    pub(super) of: ResourceName,
    pub(super) is_added: bool,
    pub(super) begins: bool,
}

/// Why reading cannot go on after a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// The text is no cursor, or only a part of one.
    #[error("not a cursor: take the whole text as it was printed")]
    Malformed,
    /// The cursor belongs to another question.
    #[error(
        "the cursor belongs to another question: `from`, user and resource have to be the same"
    )]
    OtherQuestion,
    /// The cursor knows what was recorded later than the instant to judge by.
    #[error(
        "the cursor has seen more than was recorded by then: judge by a later instant, or by all"
    )]
    LaterThanAsOf,
    /// The cursor knows entries that this log does not have: an older copy was restored, or it is of another database.
    #[error("the cursor has seen entries that this database does not hold: begin anew without one")]
    OtherLog,
}

impl fmt::Display for ChangesCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Texts and numbers under texts: always writable.
        let json = serde_json::to_vec(self).unwrap_or_default();
        out.write_str(&BASE64.encode(json))
    }
}

impl FromStr for ChangesCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let json = BASE64.decode(text).map_err(|_| CursorError::Malformed)?;
        serde_json::from_slice(&json).map_err(|_| CursorError::Malformed)
    }
}
