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
