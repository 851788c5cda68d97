//! One grant: the states it can be in, and what changes do to them.
//!
//! A grant is [`Absent`](State::Absent) until an event gives it, then [`Live`](State::Live), and [`Over`](State::Over) when it
//! was revoked or has ended; some changes open it again. One table holds every change on every state, with no case left
//! out: what cannot be applied as stated changes nothing and leaves an [`Anomaly`]. The table is not called directly but by
//! [`fold`](super::fold::fold), which gives it the events in their order.
//!
//! The state knows nothing of the present. Whether there is access at an instant follows from `start`, the
//! [end](Live::end), blocks and parent; a grant whose end is past is still live, and merely lapsed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::event::{Cause, Origin, Term};
use super::id::{BlockName, GrantKey, PeriodName, ProductName, SourceName, UserId};
use super::rules::Policy;
use super::time::{End, Instant, Period};

mod anomaly;
mod giving;
mod renewing;
mod transition;

pub use anomaly::Anomaly;
pub(crate) use transition::Incidence;

/// Where a grant stands after the events folded so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Nothing is known of it.
    #[default]
    Absent,
    /// It has been given and has not come to an end of its own; access may still have lapsed.
    Live(Box<Live>),
    /// It was revoked or has ended.
    Over(Over),
}

/// A grant that has been given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Who holds it.
    pub user: UserId,
    /// What it gives.
    pub product: ProductName,
    /// How it came about.
    pub origin: Origin,
    /// The period its renewals buy, if known.
    pub period: Option<Period>,
    /// Whether a `granted` said that it renews.
    pub stated_recurring: bool,
    /// Whether a next bill date was ever set.
    pub rescheduled: bool,
    /// Whether a period was ever paid after the first.
    pub renewed: bool,
    /// Where the periods are counted from.
    pub anchor: Instant,
    /// The first instant of the present window.
    pub start: Instant,
    /// What was paid or granted reaches to here.
    pub paid_until: End,
    /// What was given, grace included, reaches to here; never before `paid_until`.
    pub until: End,
    /// Who suspended it. No access while there is one.
    pub blocks: BTreeSet<BlockName>,
    /// Whether it was cancelled, and from when on that ends access.
    pub cancelled: Option<Cancellation>,
    /// The periods seen, with what each bought.
    #[serde(with = "period_list")]
    pub periods: BTreeMap<PeriodKey, Bought>,
    /// The grant without whose access this one gives none.
    pub parent: Option<GrantKey>,
}

/// The mark of a grant that will not renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// From when on the cancellation ends access; not stated: it only stops renewing.
    pub ends_at: Option<Instant>,
}

/// What tells one paid period from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodKey {
    /// The name the provider gave it.
    Named(PeriodName),
    /// The effective time of a renewal that named none.
    At(Instant),
}

/// The span a period bought: half-open, empty if it bought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bought {
    /// Its first instant.
    pub start: End,
    /// The first instant after it.
    pub end: End,
}

/// A grant that was revoked or has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    /// The first instant without access.
    pub at: Instant,
    /// What ended it.
    pub how: How,
    /// The other source that bars it: the provider's later statements do not give access again.
    pub barred: Option<SourceName>,
    /// What it was before; a grant revoked or ended before it was ever given (a tombstone) has none.
    pub last: Option<Box<Live>>,
}

/// What ended a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "how", content = "cause", rename_all = "snake_case")]
pub enum How {
    /// Access was taken away.
    Revoked,
    /// It came to its end.
    Ended(Cause),
}

impl Live {
    /// Whether it renews: it has a period, was renewed or rescheduled, or was said to.
    pub fn is_recurring(&self) -> bool {
        self.period.is_some() || self.renewed || self.rescheduled || self.stated_recurring
    }

    /// Whether a payment stands behind it.
    pub fn is_paid(&self) -> bool {
        self.origin.is_paid() || self.renewed
    }

    /// The first instant without access, blocks and parent aside.
    pub fn end(&self, policy: &Policy) -> End {
        match self.cancelled {
            Some(Cancellation {
                ends_at: Some(ends_at),
            }) => self.until.min(End::At(ends_at)),
            Some(Cancellation { ends_at: None }) => self.until,
            None if self.is_recurring() => {
                self.until.max(self.paid_until.plus(policy.renewal_access))
            }
            None => self.until,
        }
    }

    fn has_lapsed(&self, at: Instant, policy: &Policy) -> bool {
        !self.end(policy).is_after(at)
    }

    /// An end given outright. What was paid reaches to it, and a cancellation no longer ends access on its own.
    fn state_end(&mut self, end: End) {
        self.paid_until = end;
        self.until = end;
        if let Some(cancellation) = &mut self.cancelled {
            cancellation.ends_at = None;
        }
        self.anchor_at(end);
    }

    /// A given end keeps the anchor if it lies on its grid, and else becomes the anchor.
    fn anchor_at(&mut self, end: End) {
        let End::At(instant) = end else { return };
        let on_grid = |period: Period| period.has_on_grid(self.anchor, instant);
        if !self.period.is_some_and(on_grid) {
            self.anchor = instant;
        }
    }

    /// Takes the term of a `granted` over: its period, and its end or the one that follows from it.
    fn state_term(&mut self, term: Term, from: Option<Instant>, at: Instant) {
        self.period = term.period();
        match term {
            Term::Until(end) | Term::UntilThenPeriod(end, _) => self.state_end(end),
            Term::Period(period) => {
                self.anchor = from.unwrap_or(at);
                let (_, end) = period.after(self.anchor, End::At(self.anchor));
                self.state_end(end);
            }
        }
    }

    fn record_named_period(&mut self, name: Option<&PeriodName>, start: Instant) {
        if let Some(name) = name {
            let bought = Bought {
                start: End::At(start),
                end: self.paid_until,
            };
            self.periods.insert(PeriodKey::Named(name.clone()), bought);
        }
    }
}

/// In JSON a map has only texts as keys; the periods are a list there.
mod period_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Bought, PeriodKey};

    #[derive(Serialize, Deserialize)]
    struct Line {
        key: PeriodKey,
        bought: Bought,
    }

    pub(super) fn serialize<S: Serializer>(
        periods: &BTreeMap<PeriodKey, Bought>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(periods.iter().map(|(key, bought)| Line {
            key: key.clone(),
            bought: *bought,
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<PeriodKey, Bought>, D::Error> {
        let lines = Vec::<Line>::deserialize(deserializer)?;
        Ok(lines
            .into_iter()
            .map(|line| (line.key, line.bought))
            .collect())
    }
}
