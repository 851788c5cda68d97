//! The entries of the log: what is appended, and what is read back.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Hash;
use crate::domain::delivery::{Outcome, Reason};
use crate::domain::event::Event;
use crate::domain::id::{DedupeKey, GrantKey, Mention, Position, SourceName, UserId};
use crate::domain::time::{Instant, RecordedAt};

/// What kind of fact an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A received request.
    Delivery,
    /// A parked delivery was decoded again, and is recorded here.
    Retry,
    /// A parked delivery was discarded by a person.
    Discard,
    /// Rules came into force.
    Rules,
    /// A user's personal data was erased.
    Erasure,
}

impl EntryKind {
    /// The stored and shown name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Retry => "retry",
            Self::Discard => "discard",
            Self::Rules => "rules",
            Self::Erasure => "erasure",
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// An entry to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// What kind of fact it is.
    pub kind: EntryKind,
    /// The delivery it speaks of; only a retry or a discard has one.
    pub of: Option<Position>,
    /// The source of the delivery (of the one it speaks of, for a retry or a discard); `tenure` for rules and erasures.
    pub source: SourceName,
    /// What makes it the same delivery as another one.
    pub dedupe_key: DedupeKey,
    /// When it is recorded: after the last entry.
    pub recorded_at: RecordedAt,
    /// When the request was received, where that was claimed.
    pub received_at: Option<Instant>,
    /// What became of it. Never [`Outcome::Duplicate`]: a duplicate is counted, not appended.
    pub outcome: Outcome,
    /// The name of the event as the system calls it.
    pub event_name: Option<String>,
    /// Why it is parked: the code, the field and the detail.
    pub refusal: Option<EntryRefusal>,
    /// The body, byte for byte: of a delivery as received, of rules their JSON, of a discard the reason given, of an erasure
    /// what it erased. Empty for a retry, whose body is the delivery's, and for what was erased.
    pub body: Vec<u8>,
    /// The headers that were kept, as a JSON object.
    pub headers: Option<String>,
    /// The query string.
    pub query: Option<String>,
    /// What it states, in order.
    pub events: Vec<Event>,
    /// The texts of the form of an id in a delivery that is parked, by which it is found again; kept of nothing else. They
    /// are derived, and no part of the chain.
    pub mentions: Vec<Mention>,
    /// Whether the order of the log is the order of its events: their sequence is then the delivery's position, else 0.
    pub arrival_is_order: bool,
}

/// Why an entry is parked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRefusal {
    /// The code.
    pub reason: Reason,
    /// The field by its path.
    pub field: String,
    /// What was wrong, in words.
    pub detail: String,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// What was appended; `events` and `mentions` are empty here, see
    /// [`Snapshot::events_of`](super::Snapshot::events_of) and
    /// [`Snapshot::parked_mentioning`](super::Snapshot::parked_mentioning).
    pub fact: NewEntry,
    /// How many events it recorded.
    pub events: u32,
    /// How often the delivery came again.
    pub repetitions: u64,
    /// The salt of its digest.
    pub salt: [u8; 16],
    /// The salted digest of its content; once it is erased, of what that was.
    pub digest: Hash,
    /// The hash of the chain up to here.
    pub hash: Hash,
    /// The latest erasure that took away what it held, if one did.
    pub erased_by: Option<Position>,
}

/// Which entries are asked for; all, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only of this source.
    pub source: Option<SourceName>,
    /// Only those some event of which names this user.
    pub user: Option<UserId>,
    /// Only those some event of which names a grant with this key.
    pub grant: Option<GrantKey>,
}
