//! Rebuilding the projection from the log.

use super::comparing::{Compared, compare};
use super::facts::{project, rules_at};
use super::verify::{CHUNK, Progress};
use super::{Engine, EngineError};
use crate::domain::id::GrantId;
use crate::domain::rules::Rules;
use crate::store::{Projected, Store, StoreError, Transaction};

impl<S: Store> Engine<S> {
    /// Compares the projection with what follows from the log, and replaces what differs, in one transaction: until it is
    /// done the old projection stands. Where something is stored that belongs to no grant of the log, all of the projection
    /// is dropped and made anew. Gives the number of grants.
    ///
    /// Comparing takes two threads, and nobody who writes waits for it.
    ///
    /// # Errors
    /// If the store fails; the old projection then stands.
    pub fn rebuild(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<u64, EngineError> {
        let readers = [self.store.reader()?, self.store.reader()?];
        let compared = compare(readers, progress)?;
        self.store.write_anew(|transaction| {
            let head = transaction.head()?;
            let rules = rules_at(&transaction.rules()?, None);
            let (grants, is_whole) = match compared.filter(|it| it.head == head) {
                Some(found) => (found.grants, mend(transaction, &rules, &found, progress)?),
                None => mend_all(transaction, &rules, progress)?,
            };
            if !is_whole {
                transaction.clear_projections()?;
                fold_again(transaction, &|_| true, &rules, grants, progress)?;
            }
            Ok(grants)
        })
    }
}

/// Replaces what was found to differ. Says whether nothing more is stored than belongs there.
fn mend(
    transaction: &mut dyn Transaction,
    rules: &Rules,
    found: &Compared,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, StoreError> {
    let figures = transaction.statistics()?;
    let counted = (figures.grants, figures.windows, figures.anomalies);
    let projected = found.projected;
    let is_counted = counted == (projected.grants, projected.windows, projected.anomalies);
    if found.differing.is_empty() && is_counted {
        return Ok(true);
    }
    let is_meant = |grant: &GrantId| found.differing.has(grant);
    mend_each(transaction, &is_meant, rules, found.grants, progress)?;
    Ok(transaction.count_anew()? == projected)
}

/// Looks at every grant, where it is not known what differs. Gives how many there are, and says what [`mend`] does.
fn mend_all(
    transaction: &mut dyn Transaction,
    rules: &Rules,
    progress: &mut dyn FnMut(Progress),
) -> Result<(u64, bool), StoreError> {
    let total = transaction.statistics()?.grants;
    let (grants, projected) = mend_each(transaction, &|_| true, rules, total, progress)?;
    // What belongs there is there now. If there is no more than that, nothing else is.
    Ok((grants, transaction.count_anew()? == projected))
}

/// Folds every grant that `is_meant`, and replaces what differs. Gives how many these are, and how much follows from them.
fn mend_each(
    transaction: &mut dyn Transaction,
    is_meant: &dyn Fn(&GrantId) -> bool,
    rules: &Rules,
    total: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<(u64, Projected), StoreError> {
    let mut projected = Projected::default();
    let mut mend = |transaction: &mut dyn Transaction, grant: &GrantId| {
        let projection = project(&*transaction, grant, rules, None)?;
        projection.iter().for_each(|it| projected.add(it));
        transaction.mend(grant, projection.as_ref()).map(|_| ())
    };
    let grants = each_grant(transaction, is_meant, total, &mut mend, progress)?;
    Ok((grants, projected))
}

/// Folds every grant that `is_meant` under the rules, and projects it. Gives how many these are; `total` is how many there
/// may be.
pub(super) fn fold_again(
    transaction: &mut dyn Transaction,
    is_meant: &dyn Fn(&GrantId) -> bool,
    rules: &Rules,
    total: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, StoreError> {
    let mut fold = |transaction: &mut dyn Transaction, grant: &GrantId| {
        let projection = project(&*transaction, grant, rules, None)?;
        transaction.project(grant, projection.as_ref())
    };
    each_grant(transaction, is_meant, total, &mut fold, progress)
}

/// Does `work` for every grant of the log that `is_meant`, in their order.
fn each_grant(
    transaction: &mut dyn Transaction,
    is_meant: &dyn Fn(&GrantId) -> bool,
    total: u64,
    work: &mut dyn FnMut(&mut dyn Transaction, &GrantId) -> Result<(), StoreError>,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, StoreError> {
    let mut done = 0;
    let mut after: Option<GrantId> = None;
    loop {
        let grants = transaction.grants_after(after.as_ref(), CHUNK)?;
        let Some(last) = grants.last().cloned() else {
            return Ok(done);
        };
        for grant in grants.iter().filter(|grant| is_meant(grant)) {
            work(transaction, grant)?;
            done += 1;
        }
        progress(Progress {
            what: "grants",
            done,
            total: total.max(done),
        });
        after = Some(last);
    }
}
