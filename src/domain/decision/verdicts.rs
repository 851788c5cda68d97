//! The verdict on one product over all time.

use std::collections::{BTreeMap, BTreeSet};

use super::{AllowReason, DenyReason, Person, Phase, Verdict, View};
use crate::domain::id::{GrantId, ProductName};
use crate::domain::rules::Inclusion;
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

/// How the verdict goes on a resource that, of what the person ever held, `product` alone includes, and always; ascending.
///
/// It is what [`decide`](super::decide) says at each instant, found in one walk through time. Before the first change
/// nothing of the product has begun: [`DenyReason::NotYet`] if access begins later, else [`DenyReason::NeverGranted`].
pub fn verdict_changes(person: &Person, product: &ProductName) -> Vec<VerdictChange> {
    let mut walk = Walk::new(person, product);
    let mut changes: Vec<VerdictChange> = Vec::new();
    let mut last = walk.verdict(Instant::FIRST);
    for (at, happenings) in happenings(person, product) {
        happenings.iter().for_each(|it| walk.take(at, *it));
        let verdict = walk.verdict(at);
        if verdict != last {
            changes.push(VerdictChange { at, verdict });
            last = verdict;
        }
    }
    changes
}

/// What happens at an instant. A grant is named by its place among the person's.
#[derive(Clone, Copy)]
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

/// Everything that happens to the product, by instant.
fn happenings(person: &Person, product: &ProductName) -> BTreeMap<Instant, Vec<Happening>> {
    let mut found: BTreeMap<Instant, Vec<Happening>> = BTreeMap::new();
    let mut add = |at: End, happening| {
        if let End::At(at) = at {
            found.entry(at).or_default().push(happening);
        }
    };
    for (place, segment) in concerned(person, product) {
        add(End::At(segment.from), Happening::Boundary);
        add(segment.to, Happening::Boundary);
        if let Phase::Live(live) = &segment.phase {
            add(End::At(live.start), Happening::Boundary);
            add(live.end, Happening::Boundary);
        }
        let own = |(live, ..): &(&LivePhase, Instant, End)| gives(person, product, live);
        if let Some((_, start, end)) = segment.term().filter(own) {
            add(End::At(start), Happening::TermBegins(place));
            add(end, Happening::TermEnds(place));
        }
        let Some((live, start, end)) = segment.access().filter(own) else {
            continue;
        };
        add(end, Happening::AccessEnds(place));
        let paid_until = live.paid_until.min(end);
        if paid_until.is_after(start) {
            add(End::At(start), Happening::Begins(AllowReason::Active));
            add(paid_until, Happening::Ends(AllowReason::Active));
        }
        if let End::At(from) = paid_until.max(End::At(start))
            && end.is_after(from)
        {
            add(End::At(from), Happening::Begins(AllowReason::Grace));
            add(end, Happening::Ends(AllowReason::Grace));
        }
    }
    found
}

/// The segments of every grant that one of the person's ids ever held with the product; each with the grant's place.
fn concerned<'a>(
    person: &'a Person,
    product: &'a ProductName,
) -> impl Iterator<Item = (usize, &'a Segment)> {
    let is_own = move |segment: &Segment| match &segment.phase {
        Phase::Live(live) => gives(person, product, live),
        Phase::Over { .. } => false,
    };
    let grants = person.grants.iter().enumerate();
    grants
        .filter(move |(_, (_, segments))| segments.iter().any(is_own))
        .flat_map(|(place, (_, segments))| segments.iter().map(move |segment| (place, segment)))
}

/// Whether one of the person's ids holds the grant then, and it gives the product.
fn gives(person: &Person, product: &ProductName, live: &LivePhase) -> bool {
    live.product == *product && person.ids.contains(&live.user)
}

/// What counts at the instant the walk has come to.
struct Walk<'a> {
    view: View<'a>,
    active: usize,
    grace: usize,
    /// When access ended last, and of the grants whose access ended then the first.
    ended: Option<(Instant, usize)>,
    /// The same of what a block or a parent may have kept from being access.
    withheld: Option<(Instant, usize)>,
    /// The grants that would give access now but for these. The segments of a grant come in order, so of two that touch the
    /// one ends before the other begins.
    open: BTreeSet<usize>,
    /// When access begins for the last time.
    last_start: Option<Instant>,
}

impl<'a> Walk<'a> {
    fn new(person: &'a Person, product: &'a ProductName) -> Self {
        let own = |(live, ..): &(&LivePhase, Instant, End)| gives(person, product, live);
        let all = person.grants.iter().flat_map(|(_, segments)| segments);
        let starts = all.filter_map(Segment::access).filter(own);
        let last_start = starts.map(|(_, start, _)| start).max();
        Self {
            view: View {
                at: Instant::FIRST,
                person,
                inclusions: BTreeMap::from([(product, Inclusion::always())]),
                stretches: Vec::new(),
            },
            active: 0,
            grace: 0,
            ended: None,
            withheld: None,
            open: BTreeSet::new(),
            last_start,
        }
    }

    fn take(&mut self, at: Instant, happening: Happening) {
        match happening {
            Happening::Boundary => {}
            Happening::Begins(AllowReason::Active) => self.active += 1,
            Happening::Ends(AllowReason::Active) => self.active -= 1,
            Happening::Begins(AllowReason::Grace) => self.grace += 1,
            Happening::Ends(AllowReason::Grace) => self.grace -= 1,
            Happening::AccessEnds(grant) => last_of(&mut self.ended, (at, grant)),
            Happening::TermBegins(grant) => {
                self.open.insert(grant);
            }
            Happening::TermEnds(grant) => {
                last_of(&mut self.withheld, (at, grant));
                self.open.remove(&grant);
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
        self.view.at = at;
        Verdict::Deny(self.deny_reason())
    }

    fn deny_reason(&self) -> DenyReason {
        if let Some((_, grant)) = self.ended {
            return self.reason_of(grant).unwrap_or(DenyReason::NotYet);
        }
        if let Some(reason) = self.withholding().and_then(|grant| self.reason_of(grant)) {
            return reason;
        }
        if self.last_start.is_some_and(|start| start > self.view.at) {
            DenyReason::NotYet
        } else if self.view.person.is_named {
            DenyReason::NeverGranted
        } else {
            DenyReason::UnknownUser
        }
    }

    fn reason_of(&self, grant: usize) -> Option<DenyReason> {
        let (_, segments): &'a (GrantId, Vec<Segment>) = self.view.person.grants.get(grant)?;
        self.view.deny_reason(segments)
    }

    /// The grant whose withheld access goes on, or ended last.
    fn withholding(&self) -> Option<usize> {
        let open = self.open.first().copied();
        let just_ended = self.withheld.filter(|(at, _)| *at == self.view.at);
        match (open, just_ended) {
            (Some(open), Some((_, ended))) => Some(open.min(ended)),
            (Some(open), None) => Some(open),
            (None, _) => self.withheld.map(|(_, grant)| grant),
        }
    }
}

/// Keeps what ended later, of what ended together the grant that comes first.
fn last_of(last: &mut Option<(Instant, usize)>, new: (Instant, usize)) {
    if last.is_none_or(|(at, grant)| at < new.0 || (at == new.0 && new.1 < grant)) {
        *last = Some(new);
    }
}
