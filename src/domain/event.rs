//! What deliveries say, in one vocabulary for all systems: an event is a statement that holds from an effective time on.
//!
//! A provider decodes a delivery into [`Event`]s; the log keeps them as [`RecordedEvent`]s, which also know which delivery
//! said so, when it was recorded, and whether it was withdrawn. The names of changes are stored and never change their
//! meaning.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::id::{
    BlockName, DedupeKey, GrantId, GrantKey, PeriodName, Position, ProductName, SourceName, UserId,
};
use super::time::{EffectiveAt, End, Instant, Period, RecordedAt};

pub(crate) mod written;

/// One canonical statement and when it holds. A delivery yields none, one or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// From when on the statement holds in the world.
    pub effective_at: EffectiveAt,
    /// What is stated.
    pub statement: Statement,
}

/// What an event speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// One grant changes.
    Grant(GrantStatement),
    /// All grants of a user in one source are concerned.
    User(UserStatement),
    /// Two ids are one person.
    Link {
        /// One id.
        user: UserId,
        /// The other.
        alias: UserId,
    },
    /// An earlier (or still missing) delivery is taken back.
    Withdrawal {
        /// The source of the delivery taken back.
        source: SourceName,
        /// Its dedupe key.
        key: DedupeKey,
    },
}

/// A change of one grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantStatement {
    /// The grant that changes. Its source is not the delivery's where staff speak of a grant of another source.
    pub grant: GrantId,
    /// The user the statement names. A grant never seen is adopted for this user; otherwise the holder is read only from
    /// [`Change::Granted`] and [`Change::Transferred`].
    pub user: Option<UserId>,
    /// The product the statement names, for adoption likewise.
    pub product: Option<ProductName>,
    /// What happened to the grant.
    pub change: Change,
}

/// A change of all grants of one user in one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserStatement {
    /// The source whose grants are meant.
    pub source: SourceName,
    /// The exact id; links do not widen it.
    pub user: UserId,
    /// What happened to the user.
    pub change: UserChange,
}

/// What happens to a user in a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum UserChange {
    /// Every grant the user then holds in the source ends.
    UserRemoved,
    /// No grant of the source gives this user access while the block stands.
    Suspended {
        /// The block's name; not stated: the delivery's source.
        by: Option<BlockName>,
    },
    /// The block of that name is lifted.
    Resumed {
        /// The block's name; not stated: the delivery's source.
        by: Option<BlockName>,
    },
}

/// What happens to a grant. The names are the stored contract: past tense, never reused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Access was given, or stated anew as a whole.
    Granted(Granted),
    /// A cancellation or an end was taken back.
    Reinstated {
        /// The new end, if one is stated.
        until: Option<Instant>,
    },
    /// A block was lifted.
    Resumed {
        /// The block's name; not stated: the delivery's source.
        by: Option<BlockName>,
    },
    /// Another product from now on.
    Switched {
        /// The new product.
        product: ProductName,
        /// The new end, if one is stated.
        until: Option<Instant>,
    },
    /// Another holder from now on.
    Transferred {
        /// The new holder.
        user: UserId,
    },
    /// The end of a fixed term was set.
    Modified {
        /// The new end.
        until: End,
    },
    /// The next bill date, and with it the end, was set.
    Rescheduled {
        /// The new end.
        until: End,
    },
    /// A period was paid.
    Renewed {
        /// The end the payment reaches, if stated.
        until: Option<Instant>,
        /// The period it buys, if stated; else the grant's own.
        period: Option<Period>,
        /// The name of the period, if stated; else the effective time names it.
        period_key: Option<PeriodName>,
    },
    /// More time was given to a payment that is late.
    GraceExtended {
        /// The end of the grace; not stated: one day.
        until: Option<Instant>,
    },
    /// A payment did not succeed.
    PaymentFailed,
    /// A block was set: no access while it stands.
    Suspended {
        /// The block's name; not stated: the delivery's source.
        by: Option<BlockName>,
    },
    /// It will not renew.
    Cancelled {
        /// The instant from which the cancellation ends access, if it names one.
        until: Option<Instant>,
    },
    /// Money was given back.
    Refunded {
        /// The period that was refunded; not stated: all.
        period_key: Option<PeriodName>,
    },
    /// Access was taken away.
    Revoked,
    /// It came to its end.
    Ended {
        /// Why.
        cause: Cause,
        /// Only if the grant's product is this one then.
        product: Option<ProductName>,
    },
}

/// The whole statement of what is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// Who holds it.
    pub user: UserId,
    /// What is given.
    pub product: ProductName,
    /// Until when, or for which period.
    pub term: Term,
    /// Whether it renews; a period makes it so in any case.
    pub recurring: Option<bool>,
    /// The start, if it is not the effective time.
    pub from: Option<Instant>,
    /// The name of the first period.
    pub period_key: Option<PeriodName>,
    /// The grant of the same source without whose access this one gives none.
    pub parent: Option<GrantKey>,
    /// How it came about.
    pub origin: Origin,
}

/// How long a grant is stated to last. There is always an end or a period to compute it from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// To this end.
    Until(End),
    /// One period from the anchor.
    Period(Period),
    /// To this end; later renewals buy this period.
    UntilThenPeriod(End, Period),
}

impl Term {
    /// The end, where one is stated.
    pub fn stated_end(self) -> Option<End> {
        match self {
            Self::Until(end) | Self::UntilThenPeriod(end, _) => Some(end),
            Self::Period(_) => None,
        }
    }

    /// The period, where one is stated.
    pub fn period(self) -> Option<Period> {
        match self {
            Self::Until(_) => None,
            Self::Period(period) | Self::UntilThenPeriod(_, period) => Some(period),
        }
    }
}

/// How a grant came about.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Bought.
    #[default]
    Purchase,
    /// Free at first, with a means of payment.
    Trial,
    /// By a promotion.
    Promo,
    /// For registering.
    Registration,
    /// Given by the publisher.
    Complimentary,
    /// Given by another reader.
    Gift,
    /// Brought over from elsewhere; also an adopted grant.
    Import,
}

impl Origin {
    /// Whether it was paid for by coming about: only a paid grant is given grace when a payment fails.
    pub fn is_paid(self) -> bool {
        match self {
            Self::Purchase | Self::Gift | Self::Import => true,
            Self::Trial | Self::Promo | Self::Registration | Self::Complimentary => false,
        }
    }
}

/// Why a grant ended.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The term was over.
    Expired,
    /// It was cancelled.
    Cancelled,
    /// The renewal could not be collected.
    RenewalFailed,
    /// The money was given back.
    Refunded,
    /// The user was removed from the source.
    UserRemoved,
    /// Not stated.
    #[default]
    Unspecified,
}

impl Change {
    /// The product it gives, where it states one.
    pub fn product(&self) -> Option<&ProductName> {
        match self {
            Self::Granted(granted) => Some(&granted.product),
            Self::Switched { product, .. } => Some(product),
            Self::Transferred { .. }
            | Self::Reinstated { .. }
            | Self::Resumed { .. }
            | Self::Modified { .. }
            | Self::Rescheduled { .. }
            | Self::Renewed { .. }
            | Self::GraceExtended { .. }
            | Self::PaymentFailed
            | Self::Suspended { .. }
            | Self::Cancelled { .. }
            | Self::Refunded { .. }
            | Self::Revoked
            | Self::Ended { .. } => None,
        }
    }
}

impl GrantStatement {
    /// Every user id the statement names.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        let inner = match &self.change {
            Change::Granted(granted) => Some(&granted.user),
            Change::Transferred { user } => Some(user),
            Change::Reinstated { .. }
            | Change::Resumed { .. }
            | Change::Switched { .. }
            | Change::Modified { .. }
            | Change::Rescheduled { .. }
            | Change::Renewed { .. }
            | Change::GraceExtended { .. }
            | Change::PaymentFailed
            | Change::Suspended { .. }
            | Change::Cancelled { .. }
            | Change::Refunded { .. }
            | Change::Revoked
            | Change::Ended { .. } => None,
        };
        let outer = self.user.as_ref().filter(|user| Some(*user) != inner);
        inner.into_iter().chain(outer)
    }

    /// Every product the statement names that the grant may give from then on.
    pub fn products(&self) -> impl Iterator<Item = &ProductName> {
        let inner = self.change.product();
        let outer = self.product.as_ref().filter(|it| Some(*it) != inner);
        inner.into_iter().chain(outer)
    }

    /// The parent the statement names, if it names one other than the grant itself.
    pub fn parent(&self) -> Option<&GrantKey> {
        let Change::Granted(granted) = &self.change else {
            return None;
        };
        granted
            .parent
            .as_ref()
            .filter(|key| **key != self.grant.key)
    }

    /// The parent the statement names as a grant: a parent is of the grant's own source.
    pub fn parent_grant(&self) -> Option<GrantId> {
        self.parent().map(|key| GrantId {
            source: self.grant.source.clone(),
            key: key.clone(),
        })
    }
}

impl Statement {
    /// Every user id the statement names.
    pub fn users(&self) -> Vec<&UserId> {
        match self {
            Self::Grant(statement) => statement.users().collect(),
            Self::User(statement) => vec![&statement.user],
            Self::Link { user, alias } => vec![user, alias],
            Self::Withdrawal { .. } => Vec::new(),
        }
    }

    /// The name of the change, as it is stored and shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Grant(statement) => statement.change.name(),
            Self::User(statement) => match statement.change {
                UserChange::UserRemoved => "user_removed",
                UserChange::Suspended { .. } => "suspended",
                UserChange::Resumed { .. } => "resumed",
            },
            Self::Link { .. } => "linked",
            Self::Withdrawal { .. } => "withdrawn",
        }
    }

    /// At one instant, changes are folded by rising rank, so that the restricting one has the last word.
    fn rank(&self) -> u8 {
        match self {
            Self::Grant(statement) => statement.change.rank(),
            Self::User(statement) => match statement.change {
                UserChange::Resumed { .. } => RESUMED,
                UserChange::Suspended { .. } => SUSPENDED,
                UserChange::UserRemoved => ENDED,
            },
            // Neither is folded.
            Self::Link { .. } | Self::Withdrawal { .. } => u8::MAX,
        }
    }

    /// The stated end, as it decides the order of two changes of one rank at one instant.
    fn stated_end(&self) -> Option<End> {
        match self {
            Self::Grant(statement) => statement.change.stated_end(),
            Self::User(_) | Self::Link { .. } | Self::Withdrawal { .. } => None,
        }
    }
}

const RESUMED: u8 = 2;
const SUSPENDED: u8 = 10;
const ENDED: u8 = 14;

impl Change {
    /// The name of the change, as it is stored and shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Granted(_) => "granted",
            Self::Reinstated { .. } => "reinstated",
            Self::Resumed { .. } => "resumed",
            Self::Switched { .. } => "switched",
            Self::Transferred { .. } => "transferred",
            Self::Modified { .. } => "modified",
            Self::Rescheduled { .. } => "rescheduled",
            Self::Renewed { .. } => "renewed",
            Self::GraceExtended { .. } => "grace_extended",
            Self::PaymentFailed => "payment_failed",
            Self::Suspended { .. } => "suspended",
            Self::Cancelled { .. } => "cancelled",
            Self::Refunded { .. } => "refunded",
            Self::Revoked => "revoked",
            Self::Ended { .. } => "ended",
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Granted(_) => 0,
            Self::Reinstated { .. } => 1,
            Self::Resumed { .. } => RESUMED,
            Self::Switched { .. } => 3,
            Self::Transferred { .. } => 4,
            Self::Modified { .. } => 5,
            Self::Rescheduled { .. } => 6,
            Self::Renewed { .. } => 7,
            Self::GraceExtended { .. } => 8,
            Self::PaymentFailed => 9,
            Self::Suspended { .. } => SUSPENDED,
            Self::Cancelled { .. } => 11,
            Self::Refunded { .. } => 12,
            Self::Revoked => 13,
            Self::Ended { .. } => ENDED,
        }
    }

    /// The end the change states, if it states one.
    pub fn stated_end(&self) -> Option<End> {
        match self {
            Self::Granted(granted) => granted.term.stated_end(),
            Self::Modified { until } | Self::Rescheduled { until } => Some(*until),
            Self::Reinstated { until }
            | Self::Switched { until, .. }
            | Self::Renewed { until, .. }
            | Self::GraceExtended { until }
            | Self::Cancelled { until } => until.map(End::At),
            Self::Resumed { .. }
            | Self::Transferred { .. }
            | Self::PaymentFailed
            | Self::Suspended { .. }
            | Self::Refunded { .. }
            | Self::Revoked
            | Self::Ended { .. } => None,
        }
    }
}

/// What tells one event from every other: the delivery's source and dedupe key, and the place among the events of that
/// delivery.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// The source of the delivery.
    pub source: SourceName,
    /// The dedupe key of the delivery.
    pub dedupe_key: DedupeKey,
    /// Counted from 0 within the delivery.
    pub index: u32,
}

/// An event as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// What is stated, and from when on.
    pub event: Event,
    /// Which event it is.
    pub key: EventKey,
    /// The log position of the delivery for a source whose arrival order counts, else 0.
    pub sequence: u64,
    /// The log entry that recorded it: the delivery, or its retry.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: RecordedAt,
    /// From when on it counts as taken back, if it was.
    pub withdrawn_at: Option<RecordedAt>,
}

impl RecordedEvent {
    /// The total order in which the events of a grant are folded, whatever order they arrived in.
    pub fn fold_order(&self, other: &Self) -> Ordering {
        let this = &self.event;
        let that = &other.event;
        this.effective_at
            .cmp(&that.effective_at)
            .then_with(|| self.sequence.cmp(&other.sequence))
            .then_with(|| this.statement.rank().cmp(&that.statement.rank()))
            // `None`, an end not stated, sorts before any end; `Never` after every instant.
            .then_with(|| {
                this.statement
                    .stated_end()
                    .cmp(&that.statement.stated_end())
            })
            .then_with(|| self.key.cmp(&other.key))
    }

    /// Whether it counts in what is judged by the knowledge of `known_at` (`None`: all that is recorded).
    pub fn is_known_at(&self, known_at: Option<RecordedAt>) -> bool {
        is_known_at(self.recorded_at, self.withdrawn_at, known_at)
    }
}

/// Whether what was recorded at one instant, and perhaps taken back at another, counts by the knowledge of `known_at`.
pub(crate) fn is_known_at(
    recorded_at: RecordedAt,
    withdrawn_at: Option<RecordedAt>,
    known_at: Option<RecordedAt>,
) -> bool {
    match known_at {
        None => withdrawn_at.is_none(),
        Some(known_at) => {
            recorded_at <= known_at && withdrawn_at.is_none_or(|withdrawn| withdrawn > known_at)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn each_product_a_statement_names_is_told_once() {
        let told = |outer: Option<&str>| {
            let statement = GrantStatement {
                grant: GrantId {
                    source: "crm".parse().unwrap(),
                    key: "g".parse().unwrap(),
                },
                user: None,
                product: outer.map(|name| name.parse().unwrap()),
                change: serde_json::from_str(r#"{"change":"switched","product":"pro"}"#).unwrap(),
            };
            let products = statement.products().map(ToString::to_string);
            products.collect::<Vec<String>>()
        };
        assert_eq!(told(None), ["pro"]);
        assert_eq!(told(Some("pro")), ["pro"]);
        assert_eq!(told(Some("news")), ["pro", "news"]);
    }
}
