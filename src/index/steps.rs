//! A verdict over time, packed: one word for each change.
//!
//! A step is the instant from which on a verdict holds, in microseconds since the first instant there is, shifted left by
//! four bits, and the place of the verdict in [`Verdict::ALL`]. Steps therefore sort by time.

use std::sync::atomic::{AtomicU64, Ordering};

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

/// The steps of one user and product: the last two beside the key, what was before in another place.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    pub(super) older: &'a [AtomicU64],
    pub(super) last: [u64; 2],
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
        self.begun(begun)
            .checked_sub(1)
            .and_then(|place| self.get(place))
            .is_some_and(allows)
    }

    /// Everything about that instant.
    pub(super) fn find(&self, begun: u64) -> Found {
        let following = self.begun(begun);
        let current = following.checked_sub(1).and_then(|place| self.get(place));
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

    fn count(&self) -> usize {
        let inline = self.last.iter().filter(|step| **step != NEVER).count();
        self.older.len().saturating_add(inline)
    }

    fn get(&self, place: usize) -> Option<u64> {
        let in_last = place.checked_sub(self.older.len());
        match in_last {
            None => self.older.get(place).map(|it| it.load(Ordering::Relaxed)),
            Some(place) => self.last.get(place).copied().filter(|step| *step != NEVER),
        }
    }

    /// How many steps have begun.
    fn begun(&self, begun: u64) -> usize {
        let [before, last] = self.last;
        let older = self.older.len();
        match (before <= begun, last <= begun) {
            (true, true) => older.saturating_add(2),
            (true, false) => older.saturating_add(1),
            (false, _) => self
                .older
                .partition_point(|step| step.load(Ordering::Relaxed) <= begun),
        }
    }

    fn first_that(&self, from: usize, fits: impl Fn(u64) -> bool) -> Option<Instant> {
        (from..self.count())
            .filter_map(|place| self.get(place))
            .find(|step| fits(*step))
            .and_then(instant)
    }

    /// When the access ended that ended last before the step at a place, if nothing allows since.
    fn ended(&self, following: usize) -> Option<Instant> {
        let mut end = None;
        for place in (0..following).rev() {
            let step = self.get(place)?;
            if allows(step) {
                return end.and_then(instant);
            }
            end = Some(step);
        }
        None
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
        let older: Vec<AtomicU64> = all[..2].iter().copied().map(AtomicU64::new).collect();
        let steps = Steps {
            older: &older,
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
