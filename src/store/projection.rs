//! What is kept of a grant beside its events.

use std::collections::BTreeSet;

use crate::domain::grant::Anomaly;
use crate::domain::id::{GrantId, Position, UserId};
use crate::domain::window::{Segment, Window};

/// What follows from the events of a grant, by all that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// Everyone whom an event of the grant names, events taken back included.
    pub users: BTreeSet<UserId>,
    /// Its segments, in order.
    pub segments: Vec<Segment>,
    /// Its windows, in order.
    pub windows: Vec<Window>,
    /// Its anomalies, by position, index and anomaly.
    pub anomalies: Vec<RecordedAnomaly>,
}

/// An anomaly and the event that left it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordedAnomaly {
    /// The entry that recorded the event.
    pub position: Position,
    /// The event's place in the delivery.
    pub index: u32,
    /// What it left.
    pub anomaly: Anomaly,
    /// The grant it was folded for.
    pub grant: GrantId,
}

/// How much a projection holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Projected {
    /// Grants of which something is known.
    pub grants: u64,
    /// Users that one of them names, counted once for each, unless it never stood in any way.
    pub users: u64,
    /// Windows.
    pub windows: u64,
    /// Anomalies.
    pub anomalies: u64,
}

impl Projected {
    /// Adds the projection of one grant more.
    pub fn add(&mut self, projection: &Projection) {
        let size = |length| u64::try_from(length).unwrap_or(u64::MAX);
        self.grants += 1;
        if !projection.segments.is_empty() {
            self.users += size(projection.users.len());
        }
        self.windows += size(projection.windows.len());
        self.anomalies += size(projection.anomalies.len());
    }

    /// Adds as much as another part holds.
    pub(super) fn join(&mut self, other: Self) {
        self.grants += other.grants;
        self.users += other.users;
        self.windows += other.windows;
        self.anomalies += other.anomalies;
    }
}
