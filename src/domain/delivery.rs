//! What becomes of a delivery: its outcome, and for one that is parked, the reason.
//!
//! A delivery never disappears. Every one has one of four [`Outcome`]s, and one that cannot be applied is kept whole with a
//! [`Reason`], the field it lies in, and a [remedy](Reason::remedy).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of a delivery. All four are success to the sender: nothing it could do would change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It yielded at least one event.
    Applied,
    /// It was there already. Counted on the first, not appended.
    Duplicate,
    /// Understood, and without effect on access.
    Ignored,
    /// It could not be decoded, or is not allowed. Kept whole, visible, can be retried.
    Quarantined,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [
        Self::Applied,
        Self::Duplicate,
        Self::Ignored,
        Self::Quarantined,
    ];

    /// The stored and shown name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::Quarantined => "quarantined",
        }
    }

    /// Whether a delivery with this outcome makes the next one of its key a duplicate.
    pub fn holds_its_key(self) -> bool {
        match self {
            Self::Applied | Self::Ignored => true,
            Self::Duplicate | Self::Quarantined => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Why a delivery is in quarantine. The names are stored and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The body is not JSON.
    NotJson,
    /// The body is not UTF-8.
    NotUtf8,
    /// An object of the body has the same key twice.
    DuplicateKey,
    /// More than 64 levels of nesting.
    TooDeep,
    /// A body of more than 1 MiB.
    TooLarge,
    /// JSON, but not an object.
    NotAnObject,
    /// A field that is needed is absent or null.
    MissingField,
    /// A field holds what it cannot hold.
    BadField,
    /// An id is empty, longer than 256 bytes, or holds control characters.
    BadId,
    /// A time that cannot be read.
    BadTime,
    /// A time before year 1 or after year 9999.
    TimeOutOfRange,
    /// A period that cannot be read, mixes months with days, is nothing, or is over 100 years.
    BadPeriod,
    /// A unit of time that is not known.
    UnknownUnit,
    /// A status that is not known.
    UnknownStatus,
    /// Neither the delivery nor the rules say for how long.
    NoPeriod,
    /// The end is absent where the system should have stated it.
    NoExpires,
    /// An end before 1970.
    NegativeExpires,
    /// It names another tenant than the source's.
    WrongTenant,
    /// A list of ids of a shape that is not known.
    BulkShape,
    /// An encrypted packet that is not of the packet's form.
    BadPacket,
    /// It is not signed with the source's secret, or there is no secret to check it with.
    BadSignature,
    /// Its key is held by a delivery with another body.
    IdConflict,
}

impl Reason {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 22] = [
        Self::NotJson,
        Self::NotUtf8,
        Self::DuplicateKey,
        Self::TooDeep,
        Self::TooLarge,
        Self::NotAnObject,
        Self::MissingField,
        Self::BadField,
        Self::BadId,
        Self::BadTime,
        Self::TimeOutOfRange,
        Self::BadPeriod,
        Self::UnknownUnit,
        Self::UnknownStatus,
        Self::NoPeriod,
        Self::NoExpires,
        Self::NegativeExpires,
        Self::WrongTenant,
        Self::BulkShape,
        Self::BadPacket,
        Self::BadSignature,
        Self::IdConflict,
    ];

    /// The stored and shown code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotUtf8 => "not_utf8",
            Self::DuplicateKey => "duplicate_key",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::NotAnObject => "not_an_object",
            Self::MissingField => "missing_field",
            Self::BadField => "bad_field",
            Self::BadId => "bad_id",
            Self::BadTime => "bad_time",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::BadPeriod => "bad_period",
            Self::UnknownUnit => "unknown_unit",
            Self::UnknownStatus => "unknown_status",
            Self::NoPeriod => "no_period",
            Self::NoExpires => "no_expires",
            Self::NegativeExpires => "negative_expires",
            Self::WrongTenant => "wrong_tenant",
            Self::BulkShape => "bulk_shape",
            Self::BadPacket => "bad_packet",
            Self::BadSignature => "bad_signature",
            Self::IdConflict => "id_conflict",
        }
    }

    /// What would make a delivery parked for this reason decodable.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::NotJson | Self::NotUtf8 | Self::NotAnObject => {
                "the sender has to send one JSON object in UTF-8"
            }
            Self::DuplicateKey | Self::TooDeep | Self::TooLarge => {
                "the sender has to send an object within the limits: each key once, 64 levels, 1 MiB"
            }
            Self::MissingField | Self::BadField | Self::BadId => {
                "the sender has to send the field as documented"
            }
            Self::BadTime | Self::TimeOutOfRange | Self::BadPeriod => {
                "the sender has to send a time or period as documented"
            }
            Self::UnknownUnit | Self::UnknownStatus | Self::BulkShape => {
                "a decoder that knows this form; then retry"
            }
            Self::NoPeriod => "a `period` for the product in the rules; then retry",
            Self::NoExpires => "the policy `absent_expires` in the rules; then retry",
            Self::NegativeExpires => "the sender has to state an end after 1970",
            Self::WrongTenant => "the right `tenant` in the rules, or the right source; then retry",
            Self::BadPacket => "the sender has to send a whole packet, `cipher~~~mac`",
            Self::BadSignature => "the source's secret as the sender has it; then retry",
            Self::IdConflict => {
                "nothing: the first delivery of this id stands; state a difference anew"
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

impl std::str::FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let known = Self::ALL.into_iter().find(|reason| reason.code() == text);
        known.ok_or(UnknownReason)
    }
}

/// A text that is no reason code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a reason code")]
pub struct UnknownReason;

/// Why one delivery cannot be applied: the reason, the field it lies in, and what was found there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: `{field}`{}{detail}", if detail.is_empty() { "" } else { ": " })]
pub struct Refusal {
    /// The code.
    pub reason: Reason,
    /// The field by its path, as `data.until`; `body` where no field can be named.
    pub field: String,
    /// What was wrong with it, in words; may be empty. Never holds a secret or a body.
    pub detail: String,
}

impl Refusal {
    /// A refusal of a field.
    pub fn new(reason: Reason, field: &str, detail: &str) -> Self {
        Self {
            reason,
            field: field.to_owned(),
            detail: detail.to_owned(),
        }
    }
}
