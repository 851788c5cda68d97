//! A resource that several products include: what each says, laid together.

use super::catalog::Including;
use super::key::Key;
use super::shard::Shard;
use super::steps::{Found, Steps, begun_by};
use super::{Answer, nothing_of};
use crate::domain::decision::{AllowReason, DenyReason, Verdict};
use crate::domain::rules::Inclusion;
use crate::domain::time::Instant;

/// The access of a user to a resource, by every product that includes it.
#[derive(Clone, Copy)]
pub(super) struct Several<'a> {
    pub(super) shard: &'a Shard,
    pub(super) user: Key,
    /// The product of the resource's own name.
    pub(super) own: Key,
    pub(super) including: &'a [Including],
}

/// What one product gives; `None` where it includes the resource always.
type Part<'a> = (Steps<'a>, Option<&'a Inclusion>);

impl<'a> Several<'a> {
    /// Of the products that the user may ever have had.
    fn parts(self) -> impl Iterator<Item = Part<'a>> {
        let others = self
            .including
            .iter()
            .filter(move |it| it.product != self.own);
        let others = others.map(|it| (it.product, it.inclusion.as_ref()));
        [(self.own, None)]
            .into_iter()
            .chain(others)
            .filter_map(move |(product, inclusion)| {
                Some((self.shard.steps(self.user ^ product)?, inclusion))
            })
    }

    pub(super) fn allow(self, at: Instant) -> bool {
        let begun = begun_by(at);
        self.parts()
            .any(|(steps, inclusion)| covers(inclusion, at) && steps.allow(begun))
    }

    pub(super) fn answer(self, at: Instant) -> Answer {
        let allowed = self.allow_reason(at);
        Answer {
            is_allowed: allowed.is_some(),
            until: self.flips_after(at, allowed.is_some()),
            verdict: match allowed {
                Some(reason) => Some(Verdict::Allow(reason)),
                None => self.deny_verdict(at),
            },
        }
    }

    /// Active before grace.
    fn allow_reason(self, at: Instant) -> Option<AllowReason> {
        let covering = self.parts().filter(|(_, inclusion)| covers(*inclusion, at));
        let verdicts = covering.map(|(steps, _)| steps.find(begun_by(at)).verdict);
        let reasons = verdicts.filter_map(|verdict| match verdict {
            Verdict::Allow(reason) => Some(reason),
            Verdict::Deny(_) => None,
        });
        reasons.min()
    }

    fn flips_after(self, at: Instant, allowed: bool) -> Option<Instant> {
        let mut bound = self.next_bound(at)?;
        while self.allow(bound) == allowed {
            bound = self.next_bound(bound)?;
        }
        Some(bound)
    }

    /// The next instant at which one of the parts begins or ends.
    fn next_bound(self, at: Instant) -> Option<Instant> {
        let bounds = self.parts().flat_map(|(steps, inclusion)| {
            let of_catalog = inclusion.into_iter().flat_map(Inclusion::bounds);
            let of_catalog = of_catalog.filter(|bound| *bound > at).min();
            [steps.find(begun_by(at)).until, of_catalog]
        });
        bounds.flatten().min()
    }

    /// The reason of the access that ended last, where that is plain.
    fn deny_verdict(self, at: Instant) -> Option<Verdict> {
        if self.parts().any(|(_, inclusion)| inclusion.is_some()) {
            return None;
        }
        let found = || self.parts().map(|(steps, _)| steps.find(begun_by(at)));
        let mut all = found();
        let first = match (all.next(), all.next()) {
            (None, _) => return Some(nothing_of(self.shard.is_named(self.user))),
            (Some(only), None) => return Some(only.verdict),
            (Some(first), Some(_)) => first,
        };
        let last = found().fold(
            first,
            |last, it| if it.ended > last.ended { it } else { last },
        );
        let not_yet = Verdict::Deny(DenyReason::NotYet);
        if last.ended.is_none() {
            let never = Verdict::Deny(DenyReason::NeverGranted);
            let is_plain = |it: Found| it.verdict == not_yet || it.verdict == never;
            let verdict = || found().map(|it| it.verdict).find(|it| *it == not_yet);
            return found().all(is_plain).then(|| verdict().unwrap_or(never));
        }
        // What a grant gives now may be another of these products, whose own say it is then.
        let is_its_own = last.verdict != Verdict::Deny(DenyReason::NotIncluded);
        let is_alone = found().filter(|it| it.ended == last.ended).count() == 1;
        (is_its_own && is_alone).then_some(last.verdict)
    }
}

fn covers(inclusion: Option<&Inclusion>, at: Instant) -> bool {
    inclusion.is_none_or(|inclusion| inclusion.covers(at))
}
