//! The verdict on one product over all time.

use super::{AllowReason, DenyReason, Person, Phase, Verdict, deny_reason};
use crate::domain::id::{ProductName, UserId};
use crate::domain::time::{End, Instant};
use crate::domain::window::{LivePhase, Segment};

/// The verdict from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerdictChange {
    /// The first instant of this verdict.
    pub at: Instant,
    /// The verdict until the next change.
    pub verdict: Verdict,
}

/// Somebody's grants: all that verdicts over time are found from.
pub trait Holdings {
    /// What a holder is named by.
    type User;
    /// What a product is named by.
    type Product: PartialEq;

    /// Whether any event names the person.
    fn is_named(&self) -> bool;
    /// Whether that holder is the person.
    fn is_theirs(&self, user: &Self::User) -> bool;
    /// How many grants there are that the person may ever have held.
    fn grants(&self) -> usize;
    /// The segments of the grant of that place, in the order of source and grant key.
    fn segments(&self, grant: usize) -> &[SegmentOf<Self>];
}

/// A segment of somebody's grant.
pub type SegmentOf<H> = Segment<<H as Holdings>::User, <H as Holdings>::Product>;

impl Holdings for Person {
    type User = UserId;
    type Product = ProductName;

    fn is_named(&self) -> bool {
        self.is_named
    }

    fn is_theirs(&self, user: &UserId) -> bool {
        self.has_id(user)
    }

    fn grants(&self) -> usize {
        self.grants.len()
    }

    fn segments(&self, grant: usize) -> &[Segment] {
        self.grants
            .get(grant)
            .map_or(&[], |(_, segments)| segments.as_slice())
    }
}

/// Walks through time, with what it needs of memory kept from one walk to the next.
#[derive(Debug, Default)]
pub struct VerdictWalk {
    happenings: Vec<(Instant, Happening)>,
    open: Vec<usize>,
}

impl VerdictWalk {
    /// Tells how the verdict goes on a resource that, of what the person ever held, `product` alone includes, and always;
    /// ascending.
    ///
    /// It is what [`decide`](super::decide) says at each instant, found in one walk through time. Before the first change
    /// nothing of the product has begun: [`DenyReason::NotYet`] if access begins later, else [`DenyReason::NeverGranted`].
    pub fn each_change<H: Holdings>(
        &mut self,
        holdings: &H,
        product: &H::Product,
        mut tell: impl FnMut(VerdictChange),
    ) {
        self.happenings.clear();
        self.open.clear();
        let last_start = happenings(holdings, product, &mut self.happenings);
        let mut walk = Walk {
            holdings,
            product,
            at: Instant::FIRST,
            active: 0,
            grace: 0,
            ended: None,
            withheld: None,
            open: &mut self.open,
            last_start,
        };
        let mut last = walk.verdict(Instant::FIRST);
        for together in self.happenings.chunk_by(|(at, _), (next, _)| at == next) {
            let [(at, _), ..] = *together else { continue };
            for (_, happening) in together {
                walk.take(at, *happening);
            }
            let verdict = walk.verdict(at);
            if verdict != last {
                tell(VerdictChange { at, verdict });
                last = verdict;
            }
        }
    }
}

/// What happens at an instant. A grant is named by its place among the person's.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// Something a reason is read from changes.
    Boundary,
    /// A stretch of access begins, paid or by grace.
    Begins(AllowReason),
    /// It ends.
    Ends(AllowReason),
    /// Access that a grant gave ends, or goes on by another segment of it.
    AccessEnds(usize),
    /// A grant would give access but for blocks and its parent.
    TermBegins(usize),
    /// It would no more.
    TermEnds(usize),
}

/// Puts into `found` everything that happens to the product, by instant, at each in the order of the grants; and says when access
/// begins for the last time.
fn happenings<H: Holdings>(
    holdings: &H,
    product: &H::Product,
    found: &mut Vec<(Instant, Happening)>,
) -> Option<Instant> {
    let mut segments = concerned(holdings, product).flat_map(|(_, segments)| segments);
    let mut happenings = Happenings {
        holdings,
        product,
        is_withheld: segments.any(may_be_withheld),
        last_start: None,
        found,
    };
    for (place, segments) in concerned(holdings, product) {
        let mut last_to = End::Never;
        for segment in segments {
            // Mostly where the one before ended.
            if End::At(segment.from) != last_to {
                happenings.add(End::At(segment.from), Happening::Boundary);
            }
            happenings.add_segment(place, segment);
            last_to = segment.to;
        }
    }
    let last_start = happenings.last_start;
    found.sort_by_key(|(at, _)| *at);
    last_start
}

/// What was found so far, in no order.
struct Happenings<'a, H: Holdings> {
    holdings: &'a H,
    product: &'a H::Product,
    /// Whether access is anywhere withheld. Where it is not, a term is access, and nothing has to be told of terms.
    is_withheld: bool,
    last_start: Option<Instant>,
    found: &'a mut Vec<(Instant, Happening)>,
}

impl<H: Holdings> Happenings<'_, H> {
    fn add(&mut self, at: End, happening: Happening) {
        if let End::At(at) = at {
            self.found.push((at, happening));
        }
    }

    /// What happens in a segment of the grant of that place, and at its end.
    fn add_segment(&mut self, place: usize, segment: &SegmentOf<H>) {
        self.add(segment.to, Happening::Boundary);
        let Phase::Live(live) = &segment.phase else {
            return;
        };
        for at in [End::At(live.start), live.end] {
            if at != End::At(segment.from) && at != segment.to {
                self.add(at, Happening::Boundary);
            }
        }
        if !gives(self.holdings, self.product, live) {
            return;
        }
        if self.is_withheld
            && let Some((_, start, end)) = segment.term()
        {
            self.add(End::At(start), Happening::TermBegins(place));
            self.add(end, Happening::TermEnds(place));
            // At its very end it counts as much as one that goes on; from then on that one counts.
            let after = end.instant().map_or(End::Never, |end| End::At(end.next()));
            self.add(after, Happening::Boundary);
        }
        let Some((_, start, end)) = segment.access() else {
            return;
        };
        self.last_start = self.last_start.max(Some(start));
        self.add(end, Happening::AccessEnds(place));
        let paid_until = live.paid_until.min(end);
        if paid_until.is_after(start) {
            self.add(End::At(start), Happening::Begins(AllowReason::Active));
            self.add(paid_until, Happening::Ends(AllowReason::Active));
        }
        if let End::At(from) = paid_until.max(End::At(start))
            && end.is_after(from)
        {
            self.add(End::At(from), Happening::Begins(AllowReason::Grace));
            self.add(end, Happening::Ends(AllowReason::Grace));
        }
    }
}

/// The segments of every grant that the person ever held with the product; with the grant's place.
fn concerned<'a, H: Holdings>(
    holdings: &'a H,
    product: &'a H::Product,
) -> impl Iterator<Item = (usize, &'a [SegmentOf<H>])> {
    let is_own = move |segment: &SegmentOf<H>| match &segment.phase {
        Phase::Live(live) => gives(holdings, product, live),
        Phase::Over { .. } => false,
    };
    (0..holdings.grants())
        .map(|place| (place, holdings.segments(place)))
        .filter(move |(_, segments)| segments.iter().any(is_own))
}

/// Whether the person holds the grant then, and it gives the product.
fn gives<H: Holdings>(
    holdings: &H,
    product: &H::Product,
    live: &LivePhase<H::User, H::Product>,
) -> bool {
    live.product == *product && holdings.is_theirs(&live.user)
}

fn may_be_withheld<User, Product>(segment: &Segment<User, Product>) -> bool {
    match &segment.phase {
        Phase::Live(live) => live.is_withheld(),
        Phase::Over { .. } => false,
    }
}

/// What counts at the instant the walk has come to.
struct Walk<'a, H: Holdings> {
    holdings: &'a H,
    product: &'a H::Product,
    at: Instant,
    active: usize,
    grace: usize,
    /// When access ended last, and of the grants whose access ended then the first.
    ended: Option<(Instant, usize)>,
    /// The same of what a block or a parent may have kept from being access.
    withheld: Option<(Instant, usize)>,
    /// The grants that would give access now but for these. The segments of a grant come in order, so of two that touch the
    /// one ends before the other begins.
    open: &'a mut Vec<usize>,
    /// When access begins for the last time.
    last_start: Option<Instant>,
}

impl<H: Holdings> Walk<'_, H> {
    fn take(&mut self, at: Instant, happening: Happening) {
        match happening {
            Happening::Boundary => {}
            Happening::Begins(AllowReason::Active) => self.active += 1,
            Happening::Ends(AllowReason::Active) => self.active -= 1,
            Happening::Begins(AllowReason::Grace) => self.grace += 1,
            Happening::Ends(AllowReason::Grace) => self.grace -= 1,
            Happening::AccessEnds(grant) => last_of(&mut self.ended, (at, grant)),
            Happening::TermBegins(grant) => self.open.push(grant),
            Happening::TermEnds(grant) => {
                last_of(&mut self.withheld, (at, grant));
                self.open.retain(|open| *open != grant);
            }
        }
    }

    /// The verdict at the instant, of which everything that happens at it was taken.
    fn verdict(&mut self, at: Instant) -> Verdict {
        if self.active > 0 {
            return Verdict::Allow(AllowReason::Active);
        }
        if self.grace > 0 {
            return Verdict::Allow(AllowReason::Grace);
        }
        self.at = at;
        Verdict::Deny(self.deny_reason())
    }

    fn deny_reason(&self) -> DenyReason {
        if let Some((_, grant)) = self.ended {
            return self.reason_of(grant).unwrap_or(DenyReason::NotYet);
        }
        if let Some(reason) = self.withholding().and_then(|grant| self.reason_of(grant)) {
            return reason;
        }
        if self.last_start.is_some_and(|start| start > self.at) {
            DenyReason::NotYet
        } else if self.holdings.is_named() {
            DenyReason::NeverGranted
        } else {
            DenyReason::UnknownUser
        }
    }

    fn reason_of(&self, grant: usize) -> Option<DenyReason> {
        let is_theirs = |user: &H::User| self.holdings.is_theirs(user);
        let segments = self.holdings.segments(grant);
        deny_reason(segments, self.at, is_theirs, |it| it == self.product)
    }

    /// The grant whose withheld access goes on, or ended last.
    fn withholding(&self) -> Option<usize> {
        let open = self.open.iter().min().copied();
        let just_ended = self.withheld.filter(|(at, _)| *at == self.at);
        match (open, just_ended) {
            (Some(open), Some((_, ended))) => Some(open.min(ended)),
            (Some(open), None) => Some(open),
            (None, _) => self.withheld.map(|(_, grant)| grant),
        }
    }
}

/// Keeps what ended later. What happens at one instant is told in the order of the grants, so of what ended together the
/// first is kept.
fn last_of(last: &mut Option<(Instant, usize)>, new: (Instant, usize)) {
    if last.is_none_or(|(at, _)| at < new.0) {
        *last = Some(new);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::decision::{Decision, Question, decide};
    use crate::domain::event::Cause;
    use crate::domain::grant::How;
    use crate::domain::id::{GrantId, Position, UserId};
    use crate::domain::rules::Rules;

    const LAST: i64 = 12;

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros).unwrap()
    }

    fn an_end() -> impl Strategy<Value = End> {
        prop_oneof![1 => Just(End::Never), 4 => (0..=LAST).prop_map(|micros| End::At(at(micros)))]
    }

    /// A user of whom most are the person, another holder, or nobody.
    fn user() -> impl Strategy<Value = UserId> {
        prop_oneof![3 => Just("me"), 1 => Just("also me"), 1 => Just("another")]
            .prop_map(|text| UserId::new(text).unwrap())
    }

    fn phase() -> impl Strategy<Value = Phase> {
        let product = prop_oneof![4 => Just("p"), 1 => Just("q")];
        let flags = (any::<bool>(), 0..4_u8, 0..4_u8);
        let live = (user(), product, 0..=LAST, an_end(), an_end(), flags);
        let live = live.prop_map(|(user, product, start, paid_until, end, flags)| {
            Phase::Live(LivePhase {
                user,
                product: ProductName::new(product).unwrap(),
                start: at(start),
                paid_until,
                end,
                cancelled: flags.0,
                suspended: flags.1 == 0,
                parent_ended: flags.2 == 0,
            })
        });
        let how = prop_oneof![Just(How::Revoked), Just(How::Ended(Cause::Expired))];
        let over = (how, proptest::option::of(user()));
        prop_oneof![4 => live, 1 => over.prop_map(|(how, holder)| Phase::Over { how, holder })]
    }

    /// The segments of one grant: in order, apart or touching.
    fn segments() -> impl Strategy<Value = Vec<Segment>> {
        let cuts = proptest::sample::subsequence((0..=LAST).collect::<Vec<i64>>(), 1..5);
        (
            cuts,
            vec(proptest::option::weighted(0.8, phase()), 5),
            any::<bool>(),
        )
            .prop_map(|(cuts, phases, is_open)| {
                let ends = cuts.iter().skip(1).map(|cut| End::At(at(*cut)));
                let last = is_open.then_some(End::Never);
                let spans = cuts.iter().zip(ends.chain(last));
                let phases = spans.zip(phases).filter_map(|((from, to), phase)| {
                    phase.map(|phase| Segment {
                        from: at(*from),
                        to,
                        phase,
                    })
                });
                phases.collect()
            })
    }

    fn person() -> impl Strategy<Value = Person> {
        (vec(segments(), 1..4), any::<bool>()).prop_map(|(grants, is_named)| {
            let keys = (1..).map(|number| format!("crm g{number}"));
            Person {
                ids: ["me", "also me"].map(|id| UserId::new(id).unwrap()).into(),
                is_named,
                grants: keys
                    .zip(grants)
                    .map(|(key, segments)| {
                        let grant = GrantId {
                            source: "crm".parse().unwrap(),
                            key: key.parse().unwrap(),
                        };
                        (grant, segments)
                    })
                    .collect(),
                position: Position(1),
            }
        })
    }

    fn decided(person: &Person, at: Instant) -> Decision {
        let question = Question {
            user: UserId::new("me").unwrap(),
            resource: "p".parse().unwrap(),
            at,
            as_of: None,
        };
        decide(&question, person, &Rules::default())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_walk_says_what_is_decided_at_each_instant(person in person()) {
            let product: ProductName = "p".parse().unwrap();
            let mut changes: Vec<VerdictChange> = Vec::new();
            VerdictWalk::default().each_change(&person, &product, |change| changes.push(change));
            prop_assert!(changes.is_sorted_by(|one, next| one.at < next.at && one.verdict != next.verdict));
            for instant in -1..=LAST + 1 {
                let decision = decided(&person, at(instant));
                let begun = changes.iter().rfind(|change| change.at <= at(instant));
                match begun {
                    Some(change) => prop_assert_eq!(&change.verdict, &decision.verdict),
                    None => {
                        let later = (instant..=LAST).any(|it| decided(&person, at(it)).verdict.is_allowed());
                        let reason = match (later, person.is_named) {
                            (true, _) => DenyReason::NotYet,
                            (false, true) => DenyReason::NeverGranted,
                            (false, false) => DenyReason::UnknownUser,
                        };
                        prop_assert_eq!(&decision.verdict, &Verdict::Deny(reason));
                    }
                }
            }
        }
    }
}
