//! Two ways of doing the same, timed in turns: ours, theirs, theirs, ours, and the other way round in the next round.
//!
//! A machine that is shared is faster in one second than in the next. What two neighbouring slices have in common is the
//! machine, so only the ratio of neighbours is believed, and of many ratios the median.

use std::hint::black_box;
use std::time::{Duration, Instant as Clock};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Rounds of what takes nanoseconds to milliseconds.
    pub(crate) rounds: usize,
    /// Rounds of what takes seconds.
    pub(crate) long_rounds: usize,
    pub(crate) slice: Duration,
}

/// The middle of several figures, and the outermost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(mut figures: Vec<f64>) -> Self {
        assert!(!figures.is_empty(), "nothing was measured");
        figures.sort_by(f64::total_cmp);
        Self {
            median: figures[figures.len() / 2],
            least: figures[0],
            most: figures[figures.len() - 1],
        }
    }
}

/// What came of both ways. The ratio is that of ours to theirs, within each round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    pub(crate) ours: Spread,
    pub(crate) peer: Spread,
    pub(crate) ratio: Spread,
}

impl Compared {
    /// Of the figures of each round.
    pub(crate) fn of(pairs: &[(f64, f64)]) -> Self {
        Self {
            ours: Spread::of(pairs.iter().map(|pair| pair.0).collect()),
            peer: Spread::of(pairs.iter().map(|pair| pair.1).collect()),
            ratio: Spread::of(pairs.iter().map(|pair| pair.0 / pair.1).collect()),
        }
    }
}

/// Slices in turns, four a round. Each call measures a slice and gives its figures; the first of each side is not counted.
pub(crate) fn interleaved<const N: usize>(
    rounds: usize,
    mut ours: impl FnMut() -> [f64; N],
    mut peer: impl FnMut() -> [f64; N],
) -> [Compared; N] {
    let (_, _) = (ours(), peer());
    let mut found = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let (one, other) = if round.is_multiple_of(2) {
            let first = ours();
            let theirs = [peer(), peer()];
            ([first, ours()], theirs)
        } else {
            let first = peer();
            let ours = [ours(), ours()];
            (ours, [first, peer()])
        };
        found.push((mean(one), mean(other)));
    }
    columns(&found)
}

/// What takes seconds: both once a round, who comes first changes.
pub(crate) fn alternating<const N: usize>(
    rounds: usize,
    mut ours: impl FnMut() -> [f64; N],
    mut peer: impl FnMut() -> [f64; N],
) -> [Compared; N] {
    let mut found = Vec::with_capacity(rounds);
    for round in 0..rounds {
        found.push(if round.is_multiple_of(2) {
            let first = ours();
            (first, peer())
        } else {
            let first = peer();
            (ours(), first)
        });
    }
    columns(&found)
}

fn mean<const N: usize>(both: [[f64; N]; 2]) -> [f64; N] {
    std::array::from_fn(|at| f64::midpoint(both[0][at], both[1][at]))
}

fn columns<const N: usize>(found: &[([f64; N], [f64; N])]) -> [Compared; N] {
    std::array::from_fn(|at| {
        let pairs: Vec<(f64, f64)> = found.iter().map(|(a, b)| (a[at], b[at])).collect();
        Compared::of(&pairs)
    })
}

/// Seconds that the work took.
pub(crate) fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begin = Clock::now();
    let done = work();
    (begin.elapsed().as_secs_f64(), done)
}

/// A walk through questions, round and round, in slices of time.
#[derive(Debug)]
pub(crate) struct Walk<'a, Q> {
    questions: &'a [Q],
    at: usize,
    slice: Duration,
    took: Vec<u32>,
}

impl<'a, Q> Walk<'a, Q> {
    pub(crate) fn new(questions: &'a [Q], slice: Duration) -> Self {
        Self {
            questions,
            at: 0,
            slice,
            took: Vec::new(),
        }
    }

    fn next(&mut self) -> &'a Q {
        self.at = if self.at + 1 < self.questions.len() {
            self.at + 1
        } else {
            0
        };
        &self.questions[self.at]
    }

    /// Nanoseconds of a call, the median and the 99th percentile: each call is timed by itself. What the clock costs is
    /// part of every figure.
    pub(crate) fn percentiles<A>(&mut self, mut ask: impl FnMut(&Q) -> A) -> [f64; 2] {
        self.took.clear();
        let begin = Clock::now();
        let mut last = begin;
        while last - begin < self.slice {
            let question = self.next();
            let before = Clock::now();
            black_box(ask(question));
            last = Clock::now();
            self.took.push((last - before).as_nanos() as u32);
        }
        [self.percentile(50), self.percentile(99)]
    }

    fn percentile(&mut self, percent: usize) -> f64 {
        let place = (self.took.len() * percent / 100).min(self.took.len() - 1);
        let (_, found, _) = self.took.select_nth_unstable(place);
        f64::from(*found)
    }

    /// Calls a second.
    pub(crate) fn rate<A>(&mut self, mut ask: impl FnMut(&Q) -> A) -> f64 {
        let begin = Clock::now();
        let mut calls = 0.0;
        loop {
            for _ in 0..256 {
                let question = self.next();
                black_box(ask(question));
            }
            calls += 256.0;
            let passed = begin.elapsed();
            if passed >= self.slice {
                return calls / passed.as_secs_f64();
            }
        }
    }
}
