//! Whether other names keep the order in which events are folded and grants are preferred.
//!
//! Both orders end in names: at one instant, of events alike in everything else, the smaller dedupe key is folded first, and
//! of windows that end together the smaller grant key gives the reason. A pseudonym that sorts elsewhere than the id could
//! change an answer there.

use std::collections::BTreeSet;

use super::renaming::Renaming;
use crate::domain::event::{EventKey, RecordedEvent};
use crate::domain::id::{GrantId, UserId};
use crate::domain::rules::Rules;
use crate::engine::facts::{GrantFacts, linked_ids, users};
use crate::store::{Snapshot, StoreError};

/// Whether the renaming leaves every order as it is among these grants.
pub(super) fn is_kept(
    snapshot: &dyn Snapshot,
    renaming: &Renaming<'_>,
    grants: &BTreeSet<GrantId>,
    rules: &Rules,
) -> Result<bool, StoreError> {
    let mut people = BTreeSet::new();
    for grant in grants {
        let facts = GrantFacts::load(snapshot, grant, rules, None)?;
        people.extend(users(&facts.events));
        if !folds_alike(snapshot, renaming, grant)? {
            return Ok(false);
        }
    }
    let mut theirs = grants.clone();
    for id in all_linked(snapshot, people)? {
        theirs.extend(snapshot.grants_naming(&id)?);
    }
    let renamed = theirs.iter().map(|grant| renaming.grant(snapshot, grant));
    let renamed = renamed.collect::<Result<Vec<GrantId>, StoreError>>()?;
    Ok(renamed.is_sorted())
}

fn all_linked(
    snapshot: &dyn Snapshot,
    people: BTreeSet<UserId>,
) -> Result<BTreeSet<UserId>, StoreError> {
    let mut all = BTreeSet::new();
    for user in people {
        if !all.contains(&user) {
            all.extend(linked_ids(snapshot, &user, None)?);
        }
    }
    Ok(all)
}

/// Whether the events of a grant, and those about its users, are folded in the order they were. Withdrawn ones count: they
/// count for answers as of earlier.
fn folds_alike(
    snapshot: &dyn Snapshot,
    renaming: &Renaming<'_>,
    grant: &GrantId,
) -> Result<bool, StoreError> {
    let mut events = snapshot.grant_events(grant)?;
    for user in users(&events) {
        events.extend(snapshot.user_events(&grant.source, &user)?);
    }
    events.sort_by(RecordedEvent::fold_order);
    let renamed = events.into_iter().map(|recorded| {
        let key = &recorded.key;
        Ok(RecordedEvent {
            key: EventKey {
                dedupe_key: renaming.delivery(snapshot, &key.source, &key.dedupe_key)?,
                ..key.clone()
            },
            ..recorded
        })
    });
    let renamed = renamed.collect::<Result<Vec<RecordedEvent>, StoreError>>()?;
    Ok(renamed.is_sorted_by(|one, next| one.fold_order(next).is_le()))
}
