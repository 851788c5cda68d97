//! What could not be applied as stated.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An event that could not be applied as stated, or a statement worth a look. Data beside the result, never a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anomaly {
    /// A change of a grant never seen, without what it takes to adopt it.
    Orphan,
    /// A grant never seen was taken over mid-life.
    Adopted,
    /// A start before the statement's own effective time: access begins at the effective time.
    FromInPast,
    /// A grant was stated anew for another user.
    Moved,
    /// Another source has barred the grant; the statement gives no access.
    Barred,
    /// A change of a grant that is over.
    AfterEnd,
    /// A renewal to an end that is no later than what was paid already, or not after the renewal itself.
    StaleRenewal,
    /// A renewal for a period that nobody has stated.
    NoPeriod,
    /// A renewal opened an ended grant again.
    Revived,
    /// A refund of a period never seen.
    UnknownPeriod,
    /// Another delivery says the opposite for the same instant.
    SameInstant,
    /// The parent has a parent of its own, which is not looked at.
    NestedParent,
}

impl Anomaly {
    /// Every anomaly.
    pub const ALL: [Self; 12] = [
        Self::Orphan,
        Self::Adopted,
        Self::FromInPast,
        Self::Moved,
        Self::Barred,
        Self::AfterEnd,
        Self::StaleRenewal,
        Self::NoPeriod,
        Self::Revived,
        Self::UnknownPeriod,
        Self::SameInstant,
        Self::NestedParent,
    ];

    /// The stored and shown name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::Adopted => "adopted",
            Self::FromInPast => "from_in_past",
            Self::Moved => "moved",
            Self::Barred => "barred",
            Self::AfterEnd => "after_end",
            Self::StaleRenewal => "stale_renewal",
            Self::NoPeriod => "no_period",
            Self::Revived => "revived",
            Self::UnknownPeriod => "unknown_period",
            Self::SameInstant => "same_instant",
            Self::NestedParent => "nested_parent",
        }
    }

    /// What it means, for a person.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Orphan => "speaks of a grant never seen",
            Self::Adopted => "took over a grant never seen",
            Self::FromInPast => "states a start before its own time; access began at its own time",
            Self::Moved => "states the grant for another user; it moved",
            Self::Barred => "gives nothing: another source has barred the grant",
            Self::AfterEnd => "comes after the grant's end",
            Self::StaleRenewal => "renews to an end that was reached already",
            Self::NoPeriod => "renews for a period that nobody stated",
            Self::Revived => "opened the ended grant again",
            Self::UnknownPeriod => "refunds a period never seen",
            Self::SameInstant => "is contradicted by another delivery for the same instant",
            Self::NestedParent => "names a parent that has a parent itself, which is not looked at",
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}
