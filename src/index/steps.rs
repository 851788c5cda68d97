//! A verdict over time, packed: one word for each change.
//!
//! A step is the instant from which on a verdict holds, in microseconds since the first instant there is, shifted left by
//! four bits, and the place of the verdict in [`Verdict::ALL`]. Steps therefore sort by time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::table::LOWER_HALF;
use crate::domain::decision::{DenyReason, Verdict, VerdictChange};
use crate::domain::time::Instant;

const VERDICT_BITS: u32 = 4;
const VERDICT_MASK: u64 = (1 << VERDICT_BITS) - 1;
/// Later than every step there can be.
pub(super) const NEVER: u64 = u64::MAX;

/// The step of a change.
pub(super) fn step(change: &VerdictChange) -> u64 {
    let place = Verdict::ALL.iter().position(|it| *it == change.verdict);
    let place = place.and_then(|place| u64::try_from(place).ok());
    (since_first(change.at) << VERDICT_BITS) | place.unwrap_or(VERDICT_MASK)
}

/// The greatest step that has begun at an instant, whatever its verdict.
pub(super) fn begun_by(at: Instant) -> u64 {
    (since_first(at) << VERDICT_BITS) | VERDICT_MASK
}

fn since_first(at: Instant) -> u64 {
    at.micros().abs_diff(Instant::FIRST.micros())
}

fn instant(step: u64) -> Option<Instant> {
    let micros = i64::try_from(step >> VERDICT_BITS).ok()?;
    Instant::from_micros(Instant::FIRST.micros().checked_add(micros)?).ok()
}

/// The verdicts come first that allow.
fn allows(step: u64) -> bool {
    step & VERDICT_MASK < 2
}

fn verdict(step: u64) -> Verdict {
    let place = usize::try_from(step & VERDICT_MASK).unwrap_or_default();
    let unknown = Verdict::Deny(DenyReason::UnknownUser);
    Verdict::ALL.get(place).copied().unwrap_or(unknown)
}

/// The steps of one user and product: the last two beside the key, what was before in a block elsewhere.
///
/// A place among them is counted from the first of the last two on, those in the block from it backwards: so the block, which
/// lies in a cache line of its own, is looked at only where it matters.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    /// All blocks of the shard.
    pub(super) blocks: &'a [AtomicU64],
    /// Where the block begins; zero for none.
    pub(super) block: u64,
    pub(super) last: [u64; 2],
}

/// The steps of a block: its first word says in its lower half how many there are.
pub(super) fn steps_of_block(blocks: &[AtomicU64], start: u64) -> &[AtomicU64] {
    let steps = || {
        let start = usize::try_from(start).ok().filter(|start| *start > 0)?;
        let count = blocks.get(start)?.load(Ordering::Relaxed) & LOWER_HALF;
        let from = start.checked_add(1)?;
        let to = from.checked_add(usize::try_from(count).ok()?)?;
        blocks.get(from..to)
    };
    steps().unwrap_or(&[])
}

/// What the steps say of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) verdict: Verdict,
    /// When access begins or ends next.
    pub(super) until: Option<Instant>,
    /// On a deny, when access ended last.
    pub(super) ended: Option<Instant>,
}

impl Steps<'_> {
    /// Whether there is access at the instant of which `begun` is the greatest step.
    pub(super) fn allow(&self, begun: u64) -> bool {
        let [before, last] = self.last;
        if last <= begun {
            return allows(last);
        }
        if before <= begun {
            return allows(before);
        }
        self.get(self.begun(begun) - 1).is_some_and(allows)
    }

    /// Everything about that instant.
    pub(super) fn find(&self, begun: u64) -> Found {
        let following = self.begun(begun);
        let current = self.get(following - 1);
        let allowed = current.is_some_and(allows);
        let until = self.first_that(following, |step| allows(step) != allowed);
        let verdict = match current {
            Some(step) => verdict(step),
            None if until.is_some() => Verdict::Deny(DenyReason::NotYet),
            None => Verdict::Deny(DenyReason::NeverGranted),
        };
        Found {
            verdict,
            until,
            ended: self.ended(following),
        }
    }

    fn older(&self) -> &[AtomicU64] {
        steps_of_block(self.blocks, self.block)
    }

    fn get(&self, place: isize) -> Option<u64> {
        match usize::try_from(place) {
            Ok(place) => self.last.get(place).copied().filter(|step| *step != NEVER),
            Err(_) => {
                let older = self.older();
                let place = older.len().checked_add_signed(place)?;
                older.get(place).map(|it| it.load(Ordering::Relaxed))
            }
        }
    }

    /// The place after the last step that has begun.
    fn begun(&self, begun: u64) -> isize {
        let [before, last] = self.last;
        match (before <= begun, last <= begun) {
            (true, true) => 2,
            (true, false) => 1,
            (false, _) => {
                let older = self.older();
                let has_begun = |step: &AtomicU64| step.load(Ordering::Relaxed) <= begun;
                let to_come = older.len().saturating_sub(older.partition_point(has_begun));
                -isize::try_from(to_come).unwrap_or(isize::MAX)
            }
        }
    }

    fn first_that(&self, from: isize, fits: impl Fn(u64) -> bool) -> Option<Instant> {
        (from..2)
            .filter_map(|place| self.get(place))
            .find(|step| fits(*step))
            .and_then(instant)
    }

    /// When the access ended that ended last before the step at a place, if nothing allows since.
    fn ended(&self, following: isize) -> Option<Instant> {
        let mut end = None;
        let mut place = following;
        loop {
            place = place.checked_sub(1)?;
            let step = self.get(place)?;
            if allows(step) {
                return end.and_then(instant);
            }
            end = Some(step);
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]
mod tests {
    use super::*;
    use crate::domain::decision::AllowReason;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn every_verdict_and_instant_comes_back_as_it_was() {
        for instant_ in [
            Instant::FIRST,
            at("2026-01-01T00:00:00.000001Z"),
            Instant::LAST,
        ] {
            for verdict_ in Verdict::ALL {
                let change = VerdictChange {
                    at: instant_,
                    verdict: verdict_,
                };
                let packed = step(&change);
                assert!(packed <= begun_by(instant_) && packed < NEVER);
                assert_eq!(
                    (instant(packed), verdict(packed)),
                    (Some(instant_), verdict_)
                );
                assert_eq!(allows(packed), verdict_.is_allowed());
            }
        }
    }

    #[test]
    fn steps_are_found_by_time() {
        let lapsed = Verdict::Deny(DenyReason::Lapsed);
        let changes = [
            ("2026-01-01T00:00:00Z", Verdict::Allow(AllowReason::Active)),
            ("2026-02-01T00:00:00Z", Verdict::Allow(AllowReason::Grace)),
            ("2026-02-05T00:00:00Z", lapsed),
            ("2026-03-01T00:00:00Z", Verdict::Allow(AllowReason::Active)),
        ];
        let all: Vec<u64> = changes
            .iter()
            .map(|(text, verdict)| {
                step(&VerdictChange {
                    at: at(text),
                    verdict: *verdict,
                })
            })
            .collect();
        // The first word is none of a block, the second says that two follow.
        let blocks = [0, 2, all[0], all[1]].map(AtomicU64::new);
        let steps = Steps {
            blocks: &blocks,
            block: 1,
            last: [all[2], all[3]],
        };
        let found = |text: &str| steps.find(begun_by(at(text)));
        assert_eq!(
            found("2025-12-31T00:00:00Z").verdict,
            Verdict::Deny(DenyReason::NotYet)
        );
        assert_eq!(
            found("2025-12-31T00:00:00Z").until,
            Some(at("2026-01-01T00:00:00Z"))
        );
        assert_eq!(
            found("2026-02-01T00:00:00Z").until,
            Some(at("2026-02-05T00:00:00Z"))
        );
        let after = found("2026-02-06T00:00:00Z");
        assert_eq!(
            (after.verdict, after.ended),
            (lapsed, Some(at("2026-02-05T00:00:00Z")))
        );
        assert_eq!(found("2026-03-01T00:00:00Z").until, None);
        for (text, verdict) in changes {
            assert_eq!(
                steps.allow(begun_by(at(text))),
                verdict.is_allowed(),
                "{text}"
            );
        }
    }
}
