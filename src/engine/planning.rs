//! Working out a plan, person by person: access is that of all grants of a person together.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::concerned::Concerned;
use super::facts::{linked_ids, project};
use super::plan::PlannedChange;
use super::verify::Progress;
use crate::domain::difference::{Comparison, Held};
use crate::domain::id::{GrantId, UserId};
use crate::domain::window::Window;
use crate::store::{Head, Snapshot, StoreError, StoreReader};

/// How many users are held in memory at a time.
const CHUNK: usize = 1_000;

/// What changes for each person of a chunk.
type Changes = Vec<Vec<PlannedChange>>;

/// A plan as it is being worked out.
pub(super) struct Planning<'a> {
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) comparison: &'a Comparison<'a>,
    /// Nobody else gains or loses anything.
    pub(super) concerned: &'a Concerned,
}

/// Works it out for everyone, in the order of their first ids. The second handle, if there is one, takes every other chunk
/// of users in a thread of its own.
pub(super) fn everyone<R: StoreReader>(
    planning: &Planning<'_>,
    second: Option<R>,
    of_person: &mut dyn FnMut(Vec<PlannedChange>),
    progress: &mut dyn FnMut(Progress),
) -> Result<(), StoreError> {
    let Planning {
        snapshot,
        comparison,
        concerned,
    } = *planning;
    let head = snapshot.head()?;
    thread::scope(|scope| {
        let (giving, given) = channel();
        let (telling, told) = channel();
        match second {
            Some(second) => {
                let other = thread::Builder::new().name("tenure planning".to_owned());
                let work = move || beside(second, head, (comparison, concerned), &given, &telling);
                // Where no thread is to be had, nobody takes the chunks, and they are worked out here.
                let _is_there = other.spawn_scoped(scope, work);
            }
            None => drop((given, telling)),
        }
        let total = snapshot.count_users()?;
        let mut done = 0;
        let mut after: Option<UserId> = None;
        loop {
            let theirs = snapshot.users_after(after.as_ref(), CHUNK)?;
            let Some(last) = theirs.last() else {
                return Ok(());
            };
            let ours = snapshot.users_after(Some(last), CHUNK)?;
            after = ours.last().or(Some(last)).cloned();
            done += length(&theirs) + length(&ours);
            let is_given = giving.send(theirs.clone()).is_ok();
            let own = planning.people(&ours)?;
            let other = is_given.then(|| told.recv().ok()).flatten();
            let other = other.unwrap_or_else(|| planning.people(&theirs))?;
            other.into_iter().chain(own).for_each(&mut *of_person);
            progress(Progress {
                what: "users",
                done,
                total: total.max(done),
            });
        }
    })
}

fn length(users: &[UserId]) -> u64 {
    u64::try_from(users.len()).unwrap_or(u64::MAX)
}

/// Works out what is given, until no more is. Leaves at once if it sees another state of the log: then it is of no help.
fn beside<R: StoreReader>(
    mut reader: R,
    head: Head,
    (comparison, concerned): (&Comparison<'_>, &Concerned),
    given: &Receiver<Vec<UserId>>,
    telling: &Sender<Result<Changes, StoreError>>,
) {
    // What fails before anything is told, the other one meets itself.
    let _left = reader.read(|snapshot| {
        if snapshot.head()? != head {
            return Ok(());
        }
        let planning = Planning {
            snapshot,
            comparison,
            concerned,
        };
        for users in given {
            if telling.send(planning.people(&users)).is_err() {
                break;
            }
        }
        Ok::<_, StoreError>(())
    });
}

impl Planning<'_> {
    /// Compares for the people behind these ids, which are sorted and leave out none between them.
    fn people(&self, users: &[UserId]) -> Result<Changes, StoreError> {
        let linked = self.linked_among(users)?;
        let people = users.iter().map(|user| match linked.contains(user) {
            true => self.person(user),
            false => self.changes(&BTreeSet::from([user.clone()])).map(Some),
        });
        people.filter_map(Result::transpose).collect()
    }

    /// Those of the ids that links name; perhaps the first without one.
    fn linked_among(&self, users: &[UserId]) -> Result<BTreeSet<UserId>, StoreError> {
        let mut linked: BTreeSet<UserId> = users.first().cloned().into_iter().collect();
        while linked.last() < users.last() {
            let more = self.snapshot.linked_after(linked.last(), CHUNK)?;
            if more.is_empty() {
                break;
            }
            linked.extend(more);
        }
        Ok(linked)
    }

    /// Compares for the person behind an id, unless they were met by a smaller one.
    fn person(&self, user: &UserId) -> Result<Option<Vec<PlannedChange>>, StoreError> {
        let ids = linked_ids(self.snapshot, user, None)?;
        for smaller in ids.range::<UserId, _>(..user) {
            if !self.snapshot.grants_naming(smaller)?.is_empty() {
                return Ok(None);
            }
        }
        self.changes(&ids).map(Some)
    }

    /// Compares for the person who has these ids.
    fn changes(&self, ids: &BTreeSet<UserId>) -> Result<Vec<PlannedChange>, StoreError> {
        if !ids.iter().any(|id| self.concerned.may_include(id)) {
            return Ok(Vec::new());
        }
        let (before, after) = self.held(ids)?;
        let changes = self.comparison.changes(&before, &after).into_iter();
        let changes = changes.map(|change| PlannedChange {
            users: ids.iter().cloned().collect(),
            change,
        });
        Ok(changes.collect())
    }

    /// What the ids hold now, and what they would hold.
    fn held(&self, ids: &BTreeSet<UserId>) -> Result<(Vec<Held>, Vec<Held>), StoreError> {
        let sources = &self.comparison.altered_sources;
        let mut before = Vec::new();
        let mut after = Vec::new();
        let mut folded: BTreeSet<GrantId> = BTreeSet::new();
        for id in ids {
            for (grant, window) in self.snapshot.windows_of(id)? {
                if !sources.contains(&grant.source) {
                    after.push(held(&window));
                }
                before.push(held(&window));
            }
            if sources.is_empty() {
                continue;
            }
            for grant in self.snapshot.grants_naming(id)? {
                if sources.contains(&grant.source) && folded.insert(grant.clone()) {
                    let projection = project(self.snapshot, &grant, self.comparison.after, None)?;
                    let windows = projection.into_iter().flat_map(|it| it.windows);
                    let own = windows.filter(|window| ids.contains(&window.user));
                    after.extend(own.map(|window| held(&window)));
                }
            }
        }
        Ok((before, after))
    }
}

fn held(window: &Window) -> Held {
    Held {
        product: window.product.clone(),
        start: window.start,
        end: window.end,
    }
}
