//! Working out a plan, person by person.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::facts::{linked_ids, project, rules_at};
use super::plan::PlannedChange;
use super::verify::Progress;
use crate::domain::difference::{Comparison, Held, altered_sources};
use crate::domain::id::{GrantId, SourceName, UserId};
use crate::domain::rules::Rules;
use crate::domain::window::Window;
use crate::store::{Head, Snapshot, StoreError, StoreReader};

/// How many users are held in memory at a time.
const CHUNK: usize = 1_000;

/// What changes for each person of a chunk.
type Changes = Vec<Vec<PlannedChange>>;

/// A plan as it is being worked out.
pub(super) struct Planning<'a> {
    snapshot: &'a dyn Snapshot,
    rules: &'a Rules,
    comparison: Comparison<'a>,
    /// The sources whose grants fold differently.
    sources: BTreeSet<SourceName>,
}

/// Works it out for everyone, in the order of their first ids. The second handle, if there is one, takes every other chunk
/// of users in a thread of its own.
pub(super) fn everyone<R: StoreReader>(
    planning: &Planning<'_>,
    second: Option<R>,
    of_person: &mut dyn FnMut(Vec<PlannedChange>),
    progress: &mut dyn FnMut(Progress),
) -> Result<(), StoreError> {
    let (snapshot, rules) = (planning.snapshot, planning.rules);
    let head = snapshot.head()?;
    thread::scope(|scope| {
        let (giving, given) = channel();
        let (telling, told) = channel();
        match second {
            Some(second) => {
                let other = thread::Builder::new().name("tenure planning".to_owned());
                let work = move || beside(second, head, rules, &given, &telling);
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
    rules: &Rules,
    given: &Receiver<Vec<UserId>>,
    telling: &Sender<Result<Changes, StoreError>>,
) {
    // What fails before anything is told, the other one meets itself.
    let _left = reader.read(|snapshot| {
        if snapshot.head()? != head {
            return Ok(());
        }
        let before = rules_at(&snapshot.rules()?, None);
        let planning = Planning::new(snapshot, &before, rules);
        for users in given {
            if telling.send(planning.people(&users)).is_err() {
                break;
            }
        }
        Ok::<_, StoreError>(())
    });
}

impl<'a> Planning<'a> {
    pub(super) fn new(snapshot: &'a dyn Snapshot, before: &'a Rules, rules: &'a Rules) -> Self {
        Self {
            snapshot,
            rules,
            sources: altered_sources(before, rules),
            comparison: Comparison::new(before, rules),
        }
    }

    pub(super) fn alters_nothing(&self) -> bool {
        self.sources.is_empty() && !self.comparison.alters_products()
    }

    /// Compares for the people behind these ids.
    fn people(&self, users: &[UserId]) -> Result<Changes, StoreError> {
        let people = users.iter().map(|user| self.person(user));
        people.filter_map(Result::transpose).collect()
    }

    /// Compares for the person behind an id, unless they were met by a smaller one.
    fn person(&self, user: &UserId) -> Result<Option<Vec<PlannedChange>>, StoreError> {
        let ids = linked_ids(self.snapshot, user, None)?;
        for smaller in ids.range::<UserId, _>(..user) {
            if !self.snapshot.grants_naming(smaller)?.is_empty() {
                return Ok(None);
            }
        }
        let (before, after) = self.held(&ids)?;
        let changes = self.comparison.changes(&before, &after).into_iter();
        let changes = changes.map(|change| PlannedChange {
            users: ids.iter().cloned().collect(),
            change,
        });
        Ok(Some(changes.collect()))
    }

    /// What the ids hold now, and what they would hold.
    fn held(&self, ids: &BTreeSet<UserId>) -> Result<(Vec<Held>, Vec<Held>), StoreError> {
        let mut before = Vec::new();
        let mut after = Vec::new();
        let mut folded: BTreeSet<GrantId> = BTreeSet::new();
        for id in ids {
            for (grant, window) in self.snapshot.windows_of(id)? {
                if !self.sources.contains(&grant.source) {
                    after.push(held(&window));
                }
                before.push(held(&window));
            }
            if self.sources.is_empty() {
                continue;
            }
            for grant in self.snapshot.grants_naming(id)? {
                if self.sources.contains(&grant.source) && folded.insert(grant.clone()) {
                    let projection = project(self.snapshot, &grant, self.rules, None)?;
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
