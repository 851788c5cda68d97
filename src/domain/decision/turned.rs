//! Since when the answer is what it is.

use super::{Person, Phase, Question, Verdict, View};
use crate::domain::rules::Rules;
use crate::domain::time::{End, Instant};

/// The last instant after `since` at which the answer to the question, its verdict with the reason, became what it is at
/// the instant asked about; `None` if it was that all along, or `since` is not earlier.
pub fn turned_at(
    question: &Question,
    person: &Person,
    rules: &Rules,
    since: Instant,
) -> Option<Instant> {
    let mut view = View::new(question, person, rules);
    let verdict = view.verdict();
    // Between two boundaries no answer changes, so going back the first that is preceded by another one is the last.
    for boundary in view.boundaries(since).into_iter().rev() {
        view.at = boundary.previous();
        if view.verdict() != verdict {
            return Some(boundary);
        }
    }
    None
}

impl View<'_> {
    fn verdict(&self) -> Verdict {
        self.allow().unwrap_or_else(|| self.deny()).0
    }

    /// Every instant after `since`, up to the one asked about, at which an answer may change; ascending.
    fn boundaries(&self, since: Instant) -> Vec<Instant> {
        let mut boundaries: Vec<Instant> = Vec::new();
        let mut add = |start: Instant, end: End| {
            boundaries.extend([Some(start), end.instant()].into_iter().flatten())
        };
        for segment in self.person.grants.iter().flat_map(|(_, segments)| segments) {
            add(segment.from, segment.to);
            if let Phase::Live(live) = &segment.phase {
                add(live.start, live.end);
                add(live.start, live.paid_until);
            }
        }
        for (_, inclusion) in &self.inclusions {
            for (start, end) in inclusion.within(Instant::FIRST, End::Never) {
                add(start, end);
            }
        }
        boundaries.retain(|boundary| *boundary > since && *boundary <= self.at);
        boundaries.sort_unstable();
        boundaries.dedup();
        boundaries
    }
}
