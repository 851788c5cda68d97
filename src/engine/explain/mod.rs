//! What led to a decision: each event of the grants concerned, what it changed, and what would have made the answer another.
//!
//! | file | answers |
//! |---|---|
//! | `steps` | what happened, event by event |
//! | `kept` | what would have kept access, or would give it |
//! | `enough` | whether that would do, tried |
//! | `without` | which deliveries took it |
//! | `turned` | since when the answer is what it is, when access was lost, and by what |
//! | `mentioning` | what is in quarantine and may concern the person |
//!
//! All of it is made of a `story`: what is known of the person, loaded once.

use serde::Serialize;

use super::staff::Attribution;
use crate::domain::decision::Decision;
use crate::domain::event::{Cause, Origin};
use crate::domain::grant::{Anomaly, How, State};
use crate::domain::id::{
    BlockName, DedupeKey, GrantId, GrantKey, Position, ProductName, SourceName, UserId,
};
use crate::domain::rules::Policy;
use crate::domain::time::{EffectiveAt, End, Instant, RecordedAt};

mod enough;
mod kept;
mod mentioning;
mod reader;
mod steps;
mod story;
mod turned;
mod without;

pub use kept::{BlockToLift, KeptBy};
pub use mentioning::Mentioning;

/// A decision and what led to it. Always agrees with the decision that `check` gives for the same question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// Every id of the person, the one asked for among them.
    pub linked: Vec<UserId>,
    /// What happened to the grants of the person, the decisive grant first.
    pub steps: Vec<Step>,
    /// On a deny, what would have kept access or would give it.
    pub kept_by: Option<KeptBy>,
    /// Whether `kept_by` alone is enough: it was tried, and gives access at the instant asked about. Always false of a
    /// holder; of a reinstatement it is one at the instant asked about.
    pub is_enough: bool,
    /// On a deny, the places in `steps` of the events of those deliveries without which the answer would be allow: each
    /// delivery alone, had it never come. A withdrawal takes back a delivery with all that it said. Only the latest
    /// [`Explanation::MOST_TRIED`] deliveries in effect are tried.
    pub without: Vec<usize>,
    /// Where `without` is empty, the places in `steps` of the events of some deliveries without all of which the answer
    /// would be allow: what restricted the grant in turn, as a revocation and an end after it. None of them can be spared.
    pub without_all: Vec<usize>,
    /// On a deny, when access was last lost; `None` if there never was any that has ended.
    pub lost_at: Option<Instant>,
    /// The places in `steps` of what took access at `lost_at`; where an end was merely reached then, of what had last set
    /// it. Empty where neither did, as by a date in the rules.
    pub lost_by: Vec<usize>,
    /// The deliveries that were in quarantine, by what was known, and mention an id of the person or the key of one of the
    /// grants in `steps` that name the person; ascending, the latest [`Explanation::MOST_MENTIONING`] of them.
    pub quarantined: Vec<Mentioning>,
    /// The decision at the other instant, where one was asked for.
    pub since: Option<Decision>,
    /// The places in `steps` of what took effect between the two instants. Empty, though the answers differ, where only time
    /// has passed.
    pub took_effect_since: Vec<usize>,
    /// The last instant after the other one, which is the earlier, at which the answer with its reason became what it is.
    /// `None` if it was that all along.
    pub turned_at: Option<Instant>,
    /// The places in `steps` of what changed a grant at `turned_at`; where a beginning or an end was merely reached then, of
    /// what had last set it. Empty where neither did, as by a date in the rules.
    pub turned_by: Vec<usize>,
}

impl Explanation {
    /// How many deliveries are tried for `without`, and for `without_all`.
    pub const MOST_TRIED: usize = 100;
    /// How many deliveries in quarantine are given.
    pub const MOST_MENTIONING: usize = 100;
}

/// One event and what it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The key of the grant.
    pub grant: GrantKey,
    /// Its source.
    pub source: SourceName,
    /// Whether the decision was read from this grant.
    pub decisive: bool,
    /// Whether it had taken effect at the instant asked about.
    pub in_effect: bool,
    /// The entry of the log.
    pub position: Position,
    /// The event's place in the delivery.
    pub index: u32,
    /// The source of the delivery.
    pub stated_by: SourceName,
    /// The key of the delivery in its source: what a withdrawal has to name.
    pub dedupe_key: DedupeKey,
    /// Who stated it by hand and why, where the delivery says so. In JSON `actor` and `why` stand in the step itself.
    #[serde(flatten)]
    pub attribution: Option<Attribution>,
    /// The change.
    pub change: &'static str,
    /// Whether it speaks of all grants of a user in the source.
    pub about_user: bool,
    /// From when on it holds.
    pub effective_at: EffectiveAt,
    /// When it was recorded.
    pub recorded_at: RecordedAt,
    /// What it did to the grant.
    pub effect: Effect,
    /// What could not be applied as stated.
    pub anomalies: Vec<Anomaly>,
}

impl Step {
    fn is_of(&self, grant: &GrantId) -> bool {
        (&self.source, &self.grant) == (&grant.source, &grant.key)
    }

    /// Whether it changed the grant, or may have set or lifted a block on its holder.
    fn made_a_difference(&self) -> bool {
        self.about_user || self.effect.before != self.effect.after
    }
}

/// The grant before and after an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Before.
    pub before: GrantSummary,
    /// After.
    pub after: GrantSummary,
}

/// What of a grant's state a person wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GrantSummary {
    /// `absent`, `live` or `over`.
    pub state: &'static str,
    /// Who holds it, or held it at last.
    pub user: Option<UserId>,
    /// What it gives, or gave at last.
    pub product: Option<ProductName>,
    /// The first instant of its present window.
    pub start: Option<Instant>,
    /// From here on it is in grace.
    pub paid_until: Option<End>,
    /// The first instant without access.
    pub end: Option<End>,
    /// Whether it was cancelled, and so will not renew.
    pub cancelled: bool,
    /// Whether it renews, unless it was cancelled.
    pub recurring: bool,
    /// How it came about.
    pub origin: Option<Origin>,
    /// The grant without whose access this one gives none.
    pub parent: Option<GrantKey>,
    /// Who suspended it.
    pub blocks: Vec<BlockName>,
    /// What ended it: `revoked`, or the cause of its end.
    pub how: Option<&'static str>,
}

impl GrantSummary {
    /// The summary of a state under the policies of its source.
    pub fn of(state: &State, policy: &Policy) -> Self {
        match state {
            State::Absent => Self {
                state: "absent",
                ..Self::default()
            },
            State::Live(live) => Self {
                state: "live",
                user: Some(live.user.clone()),
                product: Some(live.product.clone()),
                start: Some(live.start),
                paid_until: Some(live.paid_until),
                end: Some(live.end(policy)),
                cancelled: live.cancelled.is_some(),
                recurring: live.is_recurring(),
                origin: Some(live.origin),
                parent: live.parent.clone(),
                blocks: live.blocks.iter().cloned().collect(),
                how: None,
            },
            State::Over(over) => Self {
                state: "over",
                user: over.last.as_ref().map(|last| last.user.clone()),
                product: over.last.as_ref().map(|last| last.product.clone()),
                start: over.last.as_ref().map(|last| last.start),
                paid_until: None,
                end: Some(End::At(over.at)),
                cancelled: false,
                recurring: false,
                origin: over.last.as_ref().map(|last| last.origin),
                parent: over.last.as_ref().and_then(|last| last.parent.clone()),
                blocks: Vec::new(),
                how: Some(how(over.how)),
            },
        }
    }
}

fn how(how: How) -> &'static str {
    match how {
        How::Revoked => "revoked",
        How::Ended(Cause::Expired) => "expired",
        How::Ended(Cause::Cancelled) => "cancelled",
        How::Ended(Cause::RenewalFailed) => "renewal_failed",
        How::Ended(Cause::Refunded) => "refunded",
        How::Ended(Cause::UserRemoved) => "user_removed",
        How::Ended(Cause::Unspecified) => "ended",
    }
}
