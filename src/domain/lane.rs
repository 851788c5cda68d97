//! What a grant does over time, as a picture of it needs to know: a lane of parts.
//!
//! [`parts`] tells apart what [windows](super::window::windows) join, as paid access and grace, and also keeps the stretches
//! in which only a block or the parent stands between a user and access. Where nothing would be given there is no part.

use serde::Serialize;

use super::id::{ProductName, UserId};
use super::time::{End, Instant};
use super::window::{LivePhase, Segment};

/// What a grant does in a part of its lane. The names are those of the reasons a decision gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// It gives access that was paid or granted.
    Active,
    /// It gives access by grace: what was paid has run out.
    Grace,
    /// It would give access, but a block stands on it or on its holder.
    Suspended,
    /// It would give access, but it has a parent that gives none.
    ParentEnded,
}

impl PartKind {
    /// Every kind, in the order in which pictures explain them.
    pub const ALL: [Self; 4] = [
        Self::Active,
        Self::Grace,
        Self::Suspended,
        Self::ParentEnded,
    ];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Grace => "grace",
            Self::Suspended => "suspended",
            Self::ParentEnded => "parent_ended",
        }
    }

    /// Whether the holder has access.
    pub fn gives_access(self) -> bool {
        match self {
            Self::Active | Self::Grace => true,
            Self::Suspended | Self::ParentEnded => false,
        }
    }
}

/// A half-open stretch `[start, end)` of a lane in which kind, holder and product stay the same. Never empty.
///
/// As JSON: `start`, `end` (null = unlimited), `kind`, `user`, `product`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The first instant.
    pub start: Instant,
    /// The first instant after it.
    pub end: End,
    /// What the grant does.
    pub kind: PartKind,
    /// Who holds it.
    pub user: UserId,
    /// What it gives, or would give.
    pub product: ProductName,
}

/// The parts of a grant's lane: sorted, disjoint, not empty. What touches and agrees is one part; a transfer, a switch or
/// another kind begins a new one.
pub fn parts(segments: &[Segment]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for segment in segments {
        let Some((live, start, end)) = segment.term() else {
            continue;
        };
        // What was paid may reach beyond the segment, or have ended before it.
        let paid_until = live.paid_until.max(End::At(start)).min(end);
        if !live.is_withheld() {
            push(&mut parts, live, PartKind::Active, start, paid_until);
            if let End::At(paid_until) = paid_until {
                push(&mut parts, live, PartKind::Grace, paid_until, end);
            }
        } else {
            // As in a decision: a block is named before the parent.
            let kind = if live.suspended {
                PartKind::Suspended
            } else {
                PartKind::ParentEnded
            };
            push(&mut parts, live, kind, start, end);
        }
    }
    parts
}

fn push(parts: &mut Vec<Part>, live: &LivePhase, kind: PartKind, start: Instant, end: End) {
    if !end.is_after(start) {
        return;
    }
    match parts.last_mut() {
        Some(last)
            if last.end == End::At(start)
                && last.kind == kind
                && last.user == live.user
                && last.product == live.product =>
        {
            last.end = end;
        }
        Some(_) | None => parts.push(Part {
            start,
            end,
            kind,
            user: live.user.clone(),
            product: live.product.clone(),
        }),
    }
}
