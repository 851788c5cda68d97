//! The answer: does this user have access to this resource at this instant, why, and until when does that hold.
//!
//! The answer for an instant is what a paywall would have said then, had every event that is taken into account reached it
//! at the moment it took effect. Which events are taken into account is said by [`Question::as_of`]: those recorded by then.
//! The two times are independent; see [`EffectiveAt`](super::time::EffectiveAt) and [`RecordedAt`].
//!
//! On a deny the reason is read from the grant whose access to the resource ended last; if none ever ended, from one that has
//! begun and is withheld by a block or its parent.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::grant::How;
use super::id::{GrantId, Position, ProductName, ResourceName, UserId};
use super::rules::{Inclusion, Rules};
use super::time::{End, Instant, RecordedAt};
use super::window::{Phase, Segment, each_window};
use crate::domain::event::Cause;

mod turned;
mod verdicts;

pub use turned::turned_at;
pub use verdicts::{Holdings, SegmentOf, VerdictChange, VerdictWalk};

/// Does `user` have access to `resource` at `at`, judging by what was recorded up to `as_of`?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The user; every id linked to it is the same person.
    pub user: UserId,
    /// The resource.
    pub resource: ResourceName,
    /// The instant asked about: past, present or future.
    pub at: Instant,
    /// Judge by what was recorded up to here; `None`: by all that is recorded.
    pub as_of: Option<RecordedAt>,
}

/// The answer to a [`Question`].
///
/// As JSON it is one flat object: `decision`, `user`, `resource`, `at`, `as_of`, `reason`, `window`, `grant`, `source`,
/// `product`, `next_change_at`, `position`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was asked.
    pub question: Question,
    /// Access or none, with the reason.
    pub verdict: Verdict,
    /// The access that allows; on a deny the one the reason was read from, if there is one.
    pub access: Option<Access>,
    /// The first instant after the one asked about at which the verdict flips between allow and deny, by what is known;
    /// `None` if it never does.
    pub next_change_at: Option<Instant>,
    /// The last entry of the log that was taken into account.
    pub position: Position,
}

/// Access or none. Match on it rather than on a boolean, and no reason is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is access.
    Allow(AllowReason),
    /// There is none.
    Deny(DenyReason),
}

/// Why there is access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AllowReason {
    /// Within what was paid or granted.
    Active,
    /// Beyond it, by grace.
    Grace,
}

/// Why there is no access. Read from the grant whose access to the resource ended last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// Another user holds the grant now.
    Transferred,
    /// It was revoked.
    Revoked,
    /// It was refunded.
    Refunded,
    /// It ended.
    Ended,
    /// It ran out after a cancellation.
    Cancelled,
    /// It ran out.
    Lapsed,
    /// A block stands.
    Suspended,
    /// What the grant gives does not include the resource: a switch, or a change of the catalog.
    NotIncluded,
    /// The grant's parent gives no access.
    ParentEnded,
    /// Access begins later.
    NotYet,
    /// The user is known but never had access to the resource.
    NeverGranted,
    /// Nothing names the user.
    UnknownUser,
}

/// The access a decision was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The grant.
    pub grant: GrantId,
    /// What it gives.
    pub product: ProductName,
    /// The window; none if blocks or the parent never let one open.
    pub window: Option<(Instant, End)>,
}

impl Verdict {
    /// Every answer there is, `allow` first.
    pub const ALL: [Self; 14] = [
        Self::Allow(AllowReason::Active),
        Self::Allow(AllowReason::Grace),
        Self::Deny(DenyReason::Transferred),
        Self::Deny(DenyReason::Revoked),
        Self::Deny(DenyReason::Refunded),
        Self::Deny(DenyReason::Ended),
        Self::Deny(DenyReason::Cancelled),
        Self::Deny(DenyReason::Lapsed),
        Self::Deny(DenyReason::Suspended),
        Self::Deny(DenyReason::NotIncluded),
        Self::Deny(DenyReason::ParentEnded),
        Self::Deny(DenyReason::NotYet),
        Self::Deny(DenyReason::NeverGranted),
        Self::Deny(DenyReason::UnknownUser),
    ];

    /// Whether there is access.
    pub fn is_allowed(self) -> bool {
        match self {
            Self::Allow(_) => true,
            Self::Deny(_) => false,
        }
    }

    /// `allow` or `deny`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Deny(_) => "deny",
        }
    }

    /// The stored and shown name of the reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Allow(AllowReason::Active) => "active",
            Self::Allow(AllowReason::Grace) => "grace",
            Self::Deny(reason) => reason.name(),
        }
    }
}

impl DenyReason {
    /// The reason that a grant which is over gives, by what ended it.
    pub(crate) fn of_end(how: How) -> Self {
        match how {
            How::Revoked => Self::Revoked,
            How::Ended(Cause::Refunded) => Self::Refunded,
            How::Ended(
                Cause::Expired
                | Cause::Cancelled
                | Cause::RenewalFailed
                | Cause::UserRemoved
                | Cause::Unspecified,
            ) => Self::Ended,
        }
    }

    /// The shown name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transferred => "transferred",
            Self::Revoked => "revoked",
            Self::Refunded => "refunded",
            Self::Ended => "ended",
            Self::Cancelled => "cancelled",
            Self::Lapsed => "lapsed",
            Self::Suspended => "suspended",
            Self::NotIncluded => "not_included",
            Self::ParentEnded => "parent_ended",
            Self::NotYet => "not_yet",
            Self::NeverGranted => "never_granted",
            Self::UnknownUser => "unknown_user",
        }
    }
}

impl Serialize for DenyReason {
    /// The shown name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.name(), self.reason())
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Bounds {
            start: Instant,
            end: End,
        }
        let access = self.access.as_ref();
        let window = access.and_then(|access| access.window);
        let mut out = serializer.serialize_struct("Decision", 12)?;
        out.serialize_field("decision", self.verdict.name())?;
        out.serialize_field("user", &self.question.user)?;
        out.serialize_field("resource", &self.question.resource)?;
        out.serialize_field("at", &self.question.at)?;
        out.serialize_field("as_of", &self.question.as_of)?;
        out.serialize_field("reason", self.verdict.reason())?;
        out.serialize_field("window", &window.map(|(start, end)| Bounds { start, end }))?;
        out.serialize_field("grant", &access.map(|access| &access.grant.key))?;
        out.serialize_field("source", &access.map(|access| &access.grant.source))?;
        out.serialize_field("product", &access.map(|access| &access.product))?;
        out.serialize_field("next_change_at", &self.next_change_at)?;
        out.serialize_field("position", &self.position)?;
        out.end()
    }
}

/// All that is known of the person a question is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The id asked for and every id linked to it.
    pub ids: BTreeSet<UserId>,
    /// Whether any event names one of them.
    pub is_named: bool,
    /// Every grant that one of them may ever have held, with its segments; sorted by grant.
    pub grants: Vec<(GrantId, Vec<Segment>)>,
    /// The last entry of the log that was taken into account.
    pub position: Position,
}

impl Person {
    /// Whether it is an id of theirs.
    pub(crate) fn has_id(&self, id: &UserId) -> bool {
        // Most have one id, and it is mostly the same text in the same place.
        self.ids.first() == Some(id) || self.ids.contains(id)
    }
}

/// Answers a question from all that is known of the person, under the rules known then.
pub fn decide(question: &Question, person: &Person, rules: &Rules) -> Decision {
    let view = View::new(question, person, rules);
    let (verdict, access) = view.allow().unwrap_or_else(|| view.deny());
    Decision {
        question: question.clone(),
        verdict,
        access,
        next_change_at: view.next_change_at(),
        position: person.position,
    }
}

/// The access of one person to one resource, over all time.
struct View<'a> {
    at: Instant,
    person: &'a Person,
    /// By product.
    inclusions: Vec<(&'a ProductName, Inclusion)>,
    /// Sorted by grant, then time.
    stretches: Vec<Stretch<'a>>,
}

/// A stretch of time in which a window includes the resource.
struct Stretch<'a> {
    start: Instant,
    end: End,
    window: (Instant, End),
    product: &'a ProductName,
    grant: &'a GrantId,
    segments: &'a [Segment],
}

impl Stretch<'_> {
    fn covers(&self, at: Instant) -> bool {
        self.start <= at && self.end.is_after(at)
    }

    fn access(&self) -> Access {
        Access {
            grant: self.grant.clone(),
            product: self.product.clone(),
            window: Some(self.window),
        }
    }
}

impl<'a> View<'a> {
    fn new(question: &Question, person: &'a Person, rules: &Rules) -> Self {
        let mut view = Self {
            at: question.at,
            person,
            inclusions: inclusions(person, &question.resource, rules),
            stretches: Vec::with_capacity(person.grants.len()),
        };
        for (grant, segments) in &person.grants {
            for (live, start, end) in each_window(segments) {
                if !person.has_id(&live.user) {
                    continue;
                }
                let window = (start, end);
                let inclusion = inclusion_of(&view.inclusions, &live.product);
                let parts = inclusion.map(|inclusion| inclusion.within(start, end));
                let stretches = parts.into_iter().flatten().map(|(start, end)| Stretch {
                    start,
                    end,
                    window,
                    product: &live.product,
                    grant,
                    segments,
                });
                view.stretches.extend(stretches);
            }
        }
        view
    }

    /// Active before grace, then the window that ends last, then the smallest source and grant key.
    fn allow(&self) -> Option<(Verdict, Option<Access>)> {
        let covering = self
            .stretches
            .iter()
            .filter(|stretch| stretch.covers(self.at));
        let (reason, best) = covering
            .map(|stretch| (self.allow_reason(stretch), stretch))
            .min_by_key(|(reason, stretch)| (*reason, Reverse(stretch.window.1), stretch.grant))?;
        Some((Verdict::Allow(reason), Some(best.access())))
    }

    fn allow_reason(&self, stretch: &Stretch<'_>) -> AllowReason {
        let Some(Phase::Live(live)) = segment_at(stretch.segments, self.at).map(|it| &it.phase)
        else {
            return AllowReason::Active;
        };
        if live.paid_until.is_after(self.at) {
            AllowReason::Active
        } else {
            AllowReason::Grace
        }
    }

    fn deny(&self) -> (Verdict, Option<Access>) {
        if let Some(ended) = self.ended_last() {
            let reason = self.deny_reason(ended.segments);
            let reason = reason.unwrap_or(DenyReason::NotYet);
            return (Verdict::Deny(reason), Some(ended.access()));
        }
        if let Some((reason, access)) = self.withheld() {
            return (Verdict::Deny(reason), Some(access));
        }
        let reason = if self.stretches.iter().any(|stretch| stretch.start > self.at) {
            DenyReason::NotYet
        } else if self.person.is_named {
            DenyReason::NeverGranted
        } else {
            DenyReason::UnknownUser
        };
        (Verdict::Deny(reason), None)
    }

    /// The access that ended last at or before the instant; ties: the smallest source and grant key.
    fn ended_last(&self) -> Option<&Stretch<'a>> {
        self.stretches
            .iter()
            .filter(|stretch| !stretch.end.is_after(self.at))
            .min_by_key(|stretch| (Reverse(stretch.end), stretch.grant))
    }

    /// A grant begun by the instant that would include the resource but for a block or its parent.
    fn withheld(&self) -> Option<(DenyReason, Access)> {
        let mut best: Option<(End, &GrantId, &[Segment], &ProductName)> = None;
        for (grant, segments) in &self.person.grants {
            for (live, start, end) in segments.iter().filter_map(Segment::term) {
                if !self.person.has_id(&live.user) {
                    continue;
                }
                let parts = inclusion_of(&self.inclusions, &live.product);
                for (from, to) in parts.into_iter().flat_map(|it| it.within(start, end)) {
                    let ended = to.min(End::At(self.at));
                    // Grants come in their order, so of equal ones the first is kept.
                    if from <= self.at && best.as_ref().is_none_or(|(last, ..)| *last < ended) {
                        best = Some((ended, grant, segments, &live.product));
                    }
                }
            }
        }
        let (_, grant, segments, product) = best?;
        let access = Access {
            grant: grant.clone(),
            product: product.clone(),
            window: None,
        };
        Some((self.deny_reason(segments)?, access))
    }

    /// The reason that a grant with these segments gives.
    fn deny_reason(&self, segments: &[Segment]) -> Option<DenyReason> {
        let is_theirs = |user: &UserId| self.person.has_id(user);
        deny_reason(segments, self.at, is_theirs, |product| {
            let inclusion = inclusion_of(&self.inclusions, product);
            inclusion.is_some_and(|inclusion| inclusion.covers(self.at))
        })
    }

    /// The end of the access that covers the instant, or the start of the next one. Access that goes on from one window to
    /// another does not flip.
    fn next_change_at(mut self) -> Option<Instant> {
        self.stretches
            .retain(|stretch| stretch.end.is_after(self.at));
        self.stretches.sort_unstable_by_key(|stretch| stretch.start);
        let (first, others) = self.stretches.split_first()?;
        if first.start > self.at {
            return Some(first.start);
        }
        let mut end = first.end;
        for stretch in others {
            // Whatever begins later does not touch it either.
            if end < End::At(stretch.start) {
                break;
            }
            end = end.max(stretch.end);
        }
        end.instant()
    }
}

/// When each product that a grant of the person ever gives includes the resource, by product.
fn inclusions<'a>(
    person: &'a Person,
    resource: &ResourceName,
    rules: &Rules,
) -> Vec<(&'a ProductName, Inclusion)> {
    let segments = person.grants.iter().flat_map(|(_, segments)| segments);
    let mut inclusions: Vec<(&ProductName, Inclusion)> = Vec::with_capacity(person.grants.len());
    let mut last = None;
    for product in segments.filter_map(Segment::product) {
        // Mostly that of the segment before.
        if last.replace(product) == Some(product) {
            continue;
        }
        if let Err(place) = inclusions.binary_search_by_key(&product, |(product, _)| *product) {
            inclusions.insert(place, (product, rules.inclusion(product, resource)));
        }
    }
    inclusions
}

fn inclusion_of<'i>(
    inclusions: &'i [(&ProductName, Inclusion)],
    product: &ProductName,
) -> Option<&'i Inclusion> {
    let place = inclusions.binary_search_by_key(&product, |(product, _)| *product);
    inclusions.get(place.ok()?).map(|(_, inclusion)| inclusion)
}

/// The first reason that holds of a grant at the instant; none if it merely begins later. `is_theirs` says of a holder whether
/// it is the person, `is_included` of a product whether it includes the resource then.
fn deny_reason<User, Product>(
    segments: &[Segment<User, Product>],
    at: Instant,
    is_theirs: impl Fn(&User) -> bool,
    is_included: impl Fn(&Product) -> bool,
) -> Option<DenyReason> {
    let segment = segment_at(segments, at)?;
    if segment.holder().is_some_and(|holder| !is_theirs(holder)) {
        return Some(DenyReason::Transferred);
    }
    match &segment.phase {
        Phase::Over { how, .. } => Some(DenyReason::of_end(*how)),
        Phase::Live(live) if !live.end.is_after(at) => Some(if live.cancelled {
            DenyReason::Cancelled
        } else {
            DenyReason::Lapsed
        }),
        Phase::Live(live) if live.suspended => Some(DenyReason::Suspended),
        Phase::Live(live) if !is_included(&live.product) => Some(DenyReason::NotIncluded),
        Phase::Live(live) if live.parent_ended => Some(DenyReason::ParentEnded),
        Phase::Live(_) => None,
    }
}

/// The segment that holds `at`.
fn segment_at<User, Product>(
    segments: &[Segment<User, Product>],
    at: Instant,
) -> Option<&Segment<User, Product>> {
    let begun = segments.partition_point(|segment| segment.from <= at);
    let last = segments.get(begun.checked_sub(1)?)?;
    last.to.is_after(at).then_some(last)
}
