//! Going through all grants by two threads: one from the first on, one from the last on, until they meet. Each reads in the
//! order in which events lie.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::facts::GrantFacts;
use super::verify::{CHUNK, Progress};
use crate::domain::id::GrantId;
use crate::domain::rules::Rules;
use crate::store::{Order, Snapshot, StoreError};

/// Where the two are.
#[derive(Default)]
pub(super) struct Meeting {
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
    /// Calls `each` with what is known of every grant that the other does not come to before, until it says `false`. The list
    /// of events is used again, if it is left there.
    pub(super) fn each_grant(
        &self,
        snapshot: &dyn Snapshot,
        order: Order,
        rules: &Rules,
        each: &mut dyn FnMut(&mut GrantFacts) -> Result<bool, StoreError>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), StoreError> {
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
            let of_grant = mem::take(events);
            let mut facts = GrantFacts::of_events(snapshot, &grant, of_grant, rules, None)?;
            let goes_on = each(&mut facts)?;
            *events = facts.events;
            own += 1;
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if own.is_multiple_of(CHUNK) {
                show(done);
            }
            Ok(goes_on)
        })?;
        show(self.done());
        Ok(())
    }

    /// How many grants both have gone through.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
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
