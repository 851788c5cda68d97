//! Comparing the projection as a whole with what follows from the log.
//!
//! One thread goes through the grants from the first on. Another adds up what is stored, and goes through the grants from the
//! last on, until the two meet. Each reads in the order in which rows lie, and folds what it reads.

use std::panic::resume_unwind;
use std::thread;

use super::facts::{GrantFacts, project_facts, rules_at};
use super::meeting::Meeting;
use super::verify::Progress;
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
                add_grants(
                    &meeting,
                    snapshot,
                    Order::Descending,
                    &mut upper,
                    &mut |_| {},
                )
            })
        };
        let other = thread::Builder::new().name("tenure comparing".to_owned());
        let Ok(other) = other.spawn_scoped(scope, from_above) else {
            return Ok(None);
        };
        let below = first.read(|snapshot| {
            add_grants(&meeting, snapshot, Order::Ascending, &mut lower, progress)
        });
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
        grants: meeting.done(),
        projected: lower.projected(),
    }))
}

/// Adds what follows from every grant that the other does not come to before. Gives the end of the log.
fn add_grants(
    meeting: &Meeting,
    snapshot: &dyn Snapshot,
    order: Order,
    sums: &mut ProjectionSums,
    progress: &mut dyn FnMut(Progress),
) -> Result<Head, StoreError> {
    let rules = rules_at(&snapshot.rules()?, None);
    let mut add = |facts: &mut GrantFacts| {
        let projected = project_facts(snapshot, facts, &rules, None)?;
        let projection = projected.as_ref().map(|(_, projection)| projection);
        sums.add(&facts.grant, &facts.named, projection);
        Ok(true)
    };
    meeting.each_grant(snapshot, order, &rules, &mut add, progress)?;
    snapshot.head()
}
