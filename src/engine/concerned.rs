//! Whom other rules may concern: found by going through the grants in the order in which their events lie, folding each by both
//! versions of the rules. What a person gains or loses is worked out for these alone.

use std::hash::{BuildHasher, RandomState};
use std::iter::repeat_with;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::facts::{GrantFacts, project_facts};
use super::meeting::Meeting;
use super::verify::Progress;
use crate::domain::difference::Comparison;
use crate::domain::id::UserId;
use crate::domain::window::Window;
use crate::store::{Head, Order, Snapshot, StoreError, StoreReader};

/// How many marks there is room for, whatever the number of users: 1 MiB.
const MARKS: u64 = 1 << 23;

/// So many altered grants are looked for in any case.
const FEW: u64 = 1_000;

/// The ids of which something may change. An id that is not among them gains and loses nothing.
///
/// Ids are kept as marks at their hashes, so that the memory it takes does not depend on how many there are. Two ids may share a
/// mark: then both are looked at.
pub(super) struct Concerned {
    is_everyone: AtomicBool,
    marks: Vec<AtomicU64>,
    hashes: RandomState,
}

impl Concerned {
    /// Of whoever asks, it may be.
    pub(super) fn everyone() -> Self {
        Self {
            is_everyone: AtomicBool::new(true),
            marks: Vec::new(),
            hashes: RandomState::new(),
        }
    }

    fn nobody() -> Self {
        let words = usize::try_from(MARKS / 64).unwrap_or(0);
        Self {
            is_everyone: AtomicBool::new(false),
            marks: repeat_with(AtomicU64::default).take(words).collect(),
            hashes: RandomState::new(),
        }
    }

    /// Whether something may change for whoever has the id.
    pub(super) fn may_include(&self, user: &UserId) -> bool {
        let is_marked = || {
            let (word, bit) = self.place(user);
            let word = self.marks.get(word);
            word.is_none_or(|word| word.load(Ordering::Relaxed) & bit != 0)
        };
        self.is_everyone.load(Ordering::Relaxed) || is_marked()
    }

    fn mark(&self, user: &UserId) {
        let (word, bit) = self.place(user);
        if let Some(word) = self.marks.get(word) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn place(&self, user: &UserId) -> (usize, u64) {
        let mark = self.hashes.hash_one(user.as_str()) % MARKS;
        // Where there is no such word, `may_include` says so of everyone.
        let word = usize::try_from(mark / 64).unwrap_or(usize::MAX);
        (word, 1 << (mark % 64))
    }
}

/// Finds whom the other rules concern; by two threads, if there is a second handle.
///
/// It goes through all events. Where more than a quarter of the grants fold otherwise, that does not pay: then it stops, and
/// everyone is concerned.
pub(super) fn concerned<R: StoreReader>(
    snapshot: &dyn Snapshot,
    comparison: &Comparison<'_>,
    second: Option<&mut R>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Concerned, StoreError> {
    let head = snapshot.head()?;
    let search = Search {
        comparison,
        are_products_altered: comparison.alters_products(),
        found: Concerned::nobody(),
        enough: FEW.max(snapshot.statistics()?.grants / 4),
        altered: AtomicU64::default(),
        meeting: Meeting::default(),
    };
    thread::scope(|scope| {
        let other = second.and_then(|second| {
            let other = thread::Builder::new().name("tenure planning".to_owned());
            // Where no thread is to be had, the first goes all the way.
            let work = || search.add_from_above(second, head);
            other.spawn_scoped(scope, work).ok()
        });
        let below = search.add(snapshot, Order::Ascending, progress);
        let above = other.map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        below?;
        // It may have failed in a grant that it had taken, and that nobody looks at now.
        if matches!(above, Some(Err(_))) {
            search.found.is_everyone.store(true, Ordering::Relaxed);
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(search.found)
}

/// A search as it goes on, shared by the two threads.
struct Search<'a> {
    comparison: &'a Comparison<'a>,
    are_products_altered: bool,
    found: Concerned,
    /// How many altered grants are more than it pays to look for.
    enough: u64,
    altered: AtomicU64,
    meeting: Meeting,
}

impl Search<'_> {
    /// Leaves at once if the handle sees another state of the log: then it is of no help.
    fn add_from_above<R: StoreReader>(&self, second: &mut R, head: Head) -> Result<(), StoreError> {
        second.read(|snapshot| {
            if snapshot.head()? != head {
                return Ok(());
            }
            self.add(snapshot, Order::Descending, &mut |_| {})
        })
    }

    fn add(
        &self,
        snapshot: &dyn Snapshot,
        order: Order,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), StoreError> {
        let mut each = |facts: &mut GrantFacts| {
            self.look_at(snapshot, facts)?;
            Ok(!self.found.is_everyone.load(Ordering::Relaxed))
        };
        let before = self.comparison.before;
        self.meeting
            .each_grant(snapshot, order, before, &mut each, progress)
    }

    /// Marks who holds the grant by either version of the rules, if that makes a difference.
    fn look_at(&self, snapshot: &dyn Snapshot, facts: &mut GrantFacts) -> Result<(), StoreError> {
        let comparison = self.comparison;
        let folds_otherwise = comparison.altered_sources.contains(&facts.grant.source);
        if !folds_otherwise && !self.are_products_altered {
            return Ok(());
        }
        let (rules, other_rules) = (comparison.before, comparison.after);
        let windows = |facts: &GrantFacts, rules| {
            let projected = project_facts(snapshot, facts, rules, None)?;
            Ok::<_, StoreError>(projected.map_or_else(Vec::new, |(_, it)| it.windows))
        };
        let mut held: Vec<Window> = windows(facts, rules)?;
        let mut is_altered = held.iter().any(|it| comparison.alters(&it.product));
        if folds_otherwise {
            facts.turn_to(other_rules);
            let after = windows(facts, other_rules)?;
            is_altered |= held != after || after.iter().any(|it| comparison.alters(&it.product));
            held.extend(after);
        }
        if is_altered {
            held.iter().for_each(|window| self.found.mark(&window.user));
            if self.altered.fetch_add(1, Ordering::Relaxed) >= self.enough {
                self.found.is_everyone.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
