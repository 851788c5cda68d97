//! Comparing the projection as a whole with what follows from the log.
//!
//! One thread goes through the grants from the first on. Another adds up what is stored, and goes through the grants from the
//! last on, until the two meet. Each reads in the order in which rows lie, and folds what it reads.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::facts::{GrantFacts, project_facts, rules_at};
use super::verify::{CHUNK, Progress};
use crate::domain::id::GrantId;
use crate::store::{
    DifferingLanes, Head, Order, Projected, ProjectionSums, Snapshot, StoreError, StoreReader,
};

/// What a comparison found.
pub(super) struct Compared {
    /// The end of the log that was compared.
    pub(super) head: Head,
    /// Where the grants are of whose projections something is missing, differs or is too much.
    pub(super) differing: DifferingLanes,
    /// How many grants events name.
    pub(super) grants: u64,
    /// How much is to be stored of them.
    pub(super) projected: Projected,
}

/// Compares by two handles. `None` if it came to nothing, because something was recorded meanwhile.
pub(super) fn compare<R: StoreReader>(
    [mut first, mut second]: [R; 2],
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Compared>, StoreError> {
    let meeting = Meeting::default();
    let none = ProjectionSums::unpredictable();
    let (mut lower, mut upper) = (none.of_nothing(), none.of_nothing());
    let mut stored = none;
    let heads = thread::scope(|scope| {
        let from_above = || {
            second.read(|snapshot| {
                snapshot.sum_projections(&mut stored)?;
                meeting.add_grants(snapshot, Order::Descending, &mut upper, &mut |_| {})
            })
        };
        let other = thread::Builder::new().name("tenure comparing".to_owned());
        let Ok(other) = other.spawn_scoped(scope, from_above) else {
            return Ok(None);
        };
        let below = first
            .read(|snapshot| meeting.add_grants(snapshot, Order::Ascending, &mut lower, progress));
        let above = other.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok::<_, StoreError>(Some((below?, above?)))
    })?;
    let Some((head, _)) = heads.filter(|(below, above)| below == above) else {
        return Ok(None);
    };
    lower.join(&upper);
    Ok(Some(Compared {
        head,
        differing: lower.differing(&stored),
        grants: meeting.done.into_inner(),
        projected: lower.projected(),
    }))
}

/// Where two that come from both ends are.
#[derive(Default)]
struct Meeting {
    reached: Mutex<Reached>,
    done: AtomicU64,
}

/// The last grant that was taken from each end.
#[derive(Default)]
struct Reached {
    below: Option<GrantId>,
    above: Option<GrantId>,
}

impl Meeting {
    /// Adds what follows from every grant that the other does not come to before. Gives the end of the log.
    fn add_grants(
        &self,
        snapshot: &dyn Snapshot,
        order: Order,
        sums: &mut ProjectionSums,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Head, StoreError> {
        let rules = rules_at(&snapshot.rules()?, None);
        let total = snapshot.statistics()?.grants;
        let mut show = |done: u64| {
            progress(Progress {
                what: "grants",
                done,
                total: total.max(done),
            });
        };
        let mut own: usize = 0;
        snapshot.each_grant(order, &mut |grant, events| {
            if !self.is_taken(&grant, order) {
                return Ok(false);
            }
            let facts = GrantFacts::of_events(snapshot, &grant, events, &rules, None)?;
            let projected = project_facts(snapshot, &facts, &rules, None)?;
            let projection = projected.as_ref().map(|(_, projection)| projection);
            sums.add(&grant, &facts.named, projection);
            own += 1;
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if own.is_multiple_of(CHUNK) {
                show(done);
            }
            Ok(true)
        })?;
        show(self.done.load(Ordering::Relaxed));
        snapshot.head()
    }

    /// Takes the next grant, unless the other has come as far.
    fn is_taken(&self, grant: &GrantId, order: Order) -> bool {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let Reached { below, above } = &mut *reached;
        let (own, is_free) = match order {
            Order::Ascending => (below, above.as_ref().is_none_or(|above| grant < above)),
            Order::Descending => (above, below.as_ref().is_none_or(|below| grant > below)),
        };
        if is_free {
            *own = Some(grant.clone());
        }
        is_free
    }
}
