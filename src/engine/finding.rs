//! What a comparison with a system's own list of its subscribers finds.

use serde::Serialize;

use super::staff::StaffChange;
use crate::domain::id::{GrantKey, ProductName, UserId};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// What differs, and what looks so and is meant; by grant, then row.
    pub findings: Vec<Finding>,
    /// How many rows say what is known.
    pub same: u64,
    /// How many rows speak of access that is over or has not begun, where none is given.
    pub not_current: u64,
}

/// A grant of which the list says something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What differs.
    #[serde(rename = "finding")]
    pub kind: FindingKind,
    /// The key of the grant.
    pub grant: GrantKey,
    /// Who holds it by what is known; of one not known, who should.
    pub user: UserId,
    /// What it gives by what is known; of one not known, what it should.
    pub product: ProductName,
    /// The row of the list; null if none speaks of it.
    pub row: Option<u64>,
    /// What is known: the end, the user or the product.
    pub ours: Option<String>,
    /// What the list says instead.
    pub listed: Option<String>,
    /// What would settle it.
    #[serde(skip)]
    pub correction: Option<StaffChange>,
}

/// In which way a grant and the list differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Listed, and gives no access.
    Missing,
    /// Gives access, and is not listed.
    Extra,
    /// Both, with ends further apart than is tolerated.
    EndsDiffer,
    /// Somebody else holds it.
    OtherUser,
    /// It gives another product.
    OtherProduct,
    /// Listed, and a block takes the access: meant so.
    Suspended,
    /// Listed, and barred, as by a revocation of staff: meant so.
    Barred,
    /// Listed, and hangs on a grant that gives no access: meant so.
    ParentEnded,
    /// Not listed, and gives access by grace: meant so, and ends by itself.
    Grace,
}

impl FindingKind {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::EndsDiffer => "ends_differ",
            Self::OtherUser => "other_user",
            Self::OtherProduct => "other_product",
            Self::Suspended => "suspended",
            Self::Barred => "barred",
            Self::ParentEnded => "parent_ended",
            Self::Grace => "grace",
        }
    }

    /// Whether the two contradict each other; what is meant so does not.
    pub fn is_difference(self) -> bool {
        match self {
            Self::Missing
            | Self::Extra
            | Self::EndsDiffer
            | Self::OtherUser
            | Self::OtherProduct => true,
            Self::Suspended | Self::Barred | Self::ParentEnded | Self::Grace => false,
        }
    }
}
