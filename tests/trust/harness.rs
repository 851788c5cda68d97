//! What a harness is and what it reports.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// What random cases are made from. The same seed makes the same cases.
    pub(crate) seed: u64,
    /// How many times as much as in the short form.
    pub(crate) times: u64,
}

impl Extent {
    /// That many cases in the short form, more in a longer one.
    pub(crate) fn cases(&self, short: u64) -> u64 {
        short.saturating_mul(self.times)
    }
}

/// One guarantee and what holds the program to it.
pub(crate) struct Harness {
    /// The name by which it can be run alone.
    pub(crate) name: &'static str,
    /// What is guaranteed, as a sentence.
    pub(crate) guarantee: &'static str,
    /// What this harness does not reach.
    pub(crate) not_covered: &'static str,
    pub(crate) run: fn(&Extent) -> Report,
}

/// What a harness did and found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What was tried, each with its number: `20,000 histories`.
    pub(crate) cases: Vec<(u64, &'static str)>,
    /// What was done to it, each with its number: `300 kills`.
    pub(crate) faults: Vec<(u64, &'static str)>,
    /// What did not hold. Each says enough to see it again.
    pub(crate) violations: Vec<String>,
    pub(crate) planted: Vec<Planted>,
}

/// A bug that was put in on purpose.
#[derive(Debug)]
pub(crate) struct Planted {
    pub(crate) bug: &'static str,
    /// After how many cases it was caught; `None` if it was not.
    pub(crate) caught_after: Option<u64>,
}

impl Report {
    /// Counts what was tried.
    pub(crate) fn tried(&mut self, number: u64, what: &'static str) {
        add(&mut self.cases, number, what);
    }

    /// Counts what was done to it.
    pub(crate) fn done(&mut self, number: u64, what: &'static str) {
        add(&mut self.faults, number, what);
    }

    /// A violation if the number is smaller than what the harness promises.
    pub(crate) fn at_least(&mut self, least: u64, what: &'static str) {
        let counted = self.cases.iter().chain(&self.faults);
        let found = counted.filter(|(_, it)| *it == what).map(|(it, _)| *it);
        let found: u64 = found.sum();
        if found < least {
            let message = format!("only {found} {what} were tried, {least} are promised");
            self.violations.push(message);
        }
    }

    /// Plants a bug and tries one case after the other until one falls, at most `most`.
    pub(crate) fn plant(
        &mut self,
        bug: &'static str,
        most: u64,
        mut case: impl FnMut(u64) -> Result<(), String>,
    ) {
        let falls = |number: &u64| caught(|| case(*number)).is_err();
        let caught_after = (0..most).find(falls).map(|number| number + 1);
        self.plant_caught(bug, caught_after);
    }

    /// As [`Report::plant`], where another runner has tried the cases.
    pub(crate) fn plant_caught(&mut self, bug: &'static str, caught_after: Option<u64>) {
        self.planted.push(Planted { bug, caught_after });
    }
}

fn add(counted: &mut Vec<(u64, &'static str)>, number: u64, what: &'static str) {
    match counted.iter_mut().find(|(_, it)| *it == what) {
        Some((sum, _)) => *sum += number,
        None => counted.push((number, what)),
    }
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether the running thread wants no word of its panics.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.get()
}

/// Runs a case; a panic is a finding like any other, and nothing is printed.
pub(crate) fn caught<T>(case: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let before = IS_QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(case));
    IS_QUIET.set(before);
    result.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        Err(text.unwrap_or_else(|| "a panic without a message".to_owned()))
    })
}
