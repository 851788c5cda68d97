//! The stretch of time a picture shows, and where in it an instant lies.

use tenure::{End, Instant, Timeline};

const DAY: i64 = 86_400_000_000;
/// An end further from everything else than this, and than three times what is shown, is not shown but goes on.
const FAR: i64 = 800 * DAY;

/// A half-open stretch of time, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

impl Range {
    /// The stretch from one instant to a later one.
    pub(super) fn new(from: Instant, to: Instant) -> Option<Self> {
        (from < to).then_some(Self { from, to })
    }

    /// What shows all that happened, with a little room at both ends. `mark` is always within.
    pub(super) fn natural(timeline: &Timeline, mark: Instant) -> Self {
        let parts = || timeline.lanes.iter().flat_map(|lane| &lane.parts);
        let events = timeline.lanes.iter().flat_map(|lane| &lane.events);
        let firm = parts().map(|part| part.start);
        let firm = firm.chain(events.map(|event| event.effective_at.0));
        let (first, last) = firm.fold((mark, mark), |(first, last), at| {
            (first.min(at), last.max(at))
        });
        let known = last.micros() - first.micros();
        let far = last
            .micros()
            .saturating_add(known.saturating_mul(3).max(FAR));
        let ends = || parts().filter_map(|part| part.end.instant());
        let near = ends().filter(|end| end.micros() <= far).max();
        let goes_on = parts().any(|part| part.end == End::Never || part.end.micros() > far);
        let last = near.map_or(last, |near| near.max(last)).micros();
        let shown = (last - first.micros()).max(1);
        // Nothing but one instant: a day around it.
        let shown = if shown == 1 { DAY } else { shown };
        let room = if goes_on { shown / 8 } else { shown / 20 };
        Self {
            from: clamped(first.micros().saturating_sub(shown / 40 + 1)),
            to: clamped(last.saturating_add(room + 1)),
        }
    }

    /// The same with other limits, where they are given. Given limits are kept; one that is not moves, if it has to.
    pub(super) fn limited(self, from: Option<Instant>, to: Option<Instant>) -> Option<Self> {
        let beside = |at: Instant, by: i64| clamped(at.micros().saturating_add(by));
        match (from, to) {
            (None, None) => Some(self),
            (Some(from), Some(to)) => Self::new(from, to),
            (Some(from), None) => Self::new(from, self.to.max(beside(from, 30 * DAY))),
            (None, Some(to)) => Self::new(self.from.min(beside(to, -30 * DAY)), to),
        }
    }

    pub(super) fn micros(self) -> i128 {
        i128::from(self.to.micros()) - i128::from(self.from.micros())
    }

    pub(super) fn contains(self, at: Instant) -> bool {
        self.from <= at && at < self.to
    }

    /// Where an instant lies if the range is that wide; before it at 0, after it at `width`.
    pub(super) fn place(self, at: i64, width: i128) -> i128 {
        let at = i128::from(at).clamp(i128::from(self.from.micros()), i128::from(self.to.micros()));
        (at - i128::from(self.from.micros())) * width / self.micros()
    }

    /// The column of an instant, of so many.
    pub(super) fn column(self, at: Instant, columns: usize) -> Option<usize> {
        let width = i128::try_from(columns).ok()?;
        let inside = self.contains(at).then(|| self.place(at.micros(), width))?;
        usize::try_from(inside).ok()
    }
}

fn clamped(micros: i64) -> Instant {
    let within = micros.clamp(Instant::FIRST.micros(), Instant::LAST.micros());
    Instant::from_micros(within).unwrap_or(Instant::LAST)
}
