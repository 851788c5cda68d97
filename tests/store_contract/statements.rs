//! Entries and their statements, as they come back from the log.

use tenure::domain::event::UserChange;
use tenure::store::{EntryFilter, NewEntry};
use tenure::{Cause, Change, End, Event, Position};

use super::facts::*;
use super::{Fresh, for_every_store, read, write};

for_every_store!(
    every_statement_is_restored_exactly,
    entries_are_restored_exactly,
    entries_are_found,
    the_sequence_is_the_deliverys_position,
);

/// One of every kind of statement, with and without what is optional.
fn statements() -> Vec<Event> {
    let until = Some(at(7));
    let by = Some("debt".parse().unwrap());
    let end = End::At(at(7));
    let mut events: Vec<_> = [
        Change::Reinstated { until },
        Change::Resumed { by: by.clone() },
        Change::Switched {
            product: "max".parse().unwrap(),
            until: None,
        },
        Change::Transferred { user: user("bob") },
        Change::Modified { until: End::Never },
        Change::Rescheduled { until: end },
        Change::Renewed {
            until,
            period: "P1M".parse().ok(),
            period_key: "k".parse().ok(),
        },
        Change::Renewed {
            until: None,
            period: None,
            period_key: None,
        },
        Change::GraceExtended { until },
        Change::PaymentFailed,
        Change::Suspended { by: None },
        Change::Cancelled { until },
        Change::Refunded {
            period_key: "k".parse().ok(),
        },
        Change::Revoked,
        Change::Ended {
            cause: Cause::RenewalFailed,
            product: "pro".parse().ok(),
        },
    ]
    .into_iter()
    .flat_map(|change| {
        [
            stated("g1", None, change.clone()),
            stated("g1", Some("ann"), change),
        ]
    })
    .collect();
    events.extend([
        granted("ann", "g1", Some("g0")),
        granted("ann", "g1", Some("g1")),
        of_user("ann", UserChange::UserRemoved),
        of_user("ann", UserChange::Suspended { by: by.clone() }),
        of_user("ann", UserChange::Resumed { by: None }),
        link("ann", "bob"),
        link("ann", "ann"),
        withdrawal("a \"b\" \\"),
    ]);
    events
}

fn every_statement_is_restored_exactly<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let events = statements();
    write(&mut store, |log| {
        log.append(delivery(1, "a", events.clone()))
    });
    read(&store, |snapshot| {
        let restored = snapshot.events_of(Position(1))?;
        let indexes: Vec<u32> = restored.iter().map(|event| event.key.index).collect();
        assert_eq!(
            indexes,
            (0..u32::try_from(events.len()).unwrap()).collect::<Vec<_>>()
        );
        assert_eq!(
            restored
                .into_iter()
                .map(|event| event.event)
                .collect::<Vec<_>>(),
            events
        );
        let of_grant = snapshot.grant_events(&grant("g1"))?;
        assert_eq!(of_grant.len(), 32);
        assert!(of_grant.is_sorted_by_key(|event| (event.position, event.key.index)));
        let of_user = snapshot.user_events(&source("shop"), &user("ann"))?;
        assert_eq!(of_user.len(), 3);
        assert_eq!(snapshot.user_events(&source("other"), &user("ann"))?, []);
        assert_eq!(snapshot.user_events(&source("shop"), &user("bob"))?, []);
        Ok(())
    });
}

/// Entries that name users and grants in every way.
fn facts() -> Vec<NewEntry> {
    vec![
        delivery(1, "a", vec![granted("ann", "g1", None)]),
        delivery(
            2,
            "b",
            vec![granted("bob", "g2", None), granted("bob", "g1", None)],
        ),
        delivery(3, "c", vec![stated("g1", None, Change::Revoked)]),
        delivery(4, "d", vec![link("cid", "ann")]),
        delivery(5, "e", vec![of_user("ann", UserChange::UserRemoved)]),
        undecodable(6, "f"),
        delivery(
            7,
            "g",
            vec![stated(
                "g1",
                Some("bob"),
                Change::Transferred { user: user("ann") },
            )],
        ),
    ]
}

fn entries_are_restored_exactly<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let facts = facts();
    write(&mut store, |log| {
        for fact in facts.clone() {
            log.append(fact)?;
        }
        let mut other = delivery(8, "h", vec![]);
        other.source = source("other");
        log.append(other)
    });
    read(&store, |snapshot| {
        for (index, fact) in facts.iter().enumerate() {
            let entry = snapshot.entry(Position(index as u64 + 1))?.unwrap();
            let events = std::mem::take(&mut fact.clone().events);
            assert_eq!(usize::try_from(entry.events).unwrap(), events.len());
            let mut fact = fact.clone();
            fact.events.clear();
            fact.mentions.clear();
            assert_eq!(entry.fact, fact);
        }
        assert_eq!(snapshot.entry(Position(0))?, None);
        assert_eq!(snapshot.entry(Position(9))?, None);
        Ok(())
    });
}

fn entries_are_found<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let facts = facts();
    write(&mut store, |log| {
        for fact in facts.clone() {
            log.append(fact)?;
        }
        let mut other = delivery(8, "h", vec![]);
        other.source = source("other");
        log.append(other)
    });
    read(&store, |snapshot| {
        let after: Vec<u64> = snapshot
            .entries_after(Position(2), 3)?
            .iter()
            .map(|entry| entry.position.0)
            .collect();
        assert_eq!(after, [3, 4, 5]);
        let found = |before: Option<u64>, filter: EntryFilter, limit| {
            let entries = snapshot
                .entries_before(before.map(Position), &filter, limit)
                .unwrap();
            entries
                .iter()
                .map(|entry| entry.position.0)
                .collect::<Vec<_>>()
        };
        let none = EntryFilter::default;
        let of_user = |name| EntryFilter {
            user: Some(user(name)),
            ..none()
        };
        let of_grant = |name| EntryFilter {
            grant: Some(grant(name).key),
            ..none()
        };
        assert_eq!(found(None, none(), 3), [8, 7, 6]);
        assert_eq!(found(Some(3), none(), 9), [2, 1]);
        assert_eq!(
            found(
                None,
                EntryFilter {
                    source: Some(source("other")),
                    ..none()
                },
                9
            ),
            [8]
        );
        assert_eq!(found(None, of_user("ann"), 9), [7, 5, 4, 1]);
        assert_eq!(found(None, of_user("bob"), 9), [7, 2]);
        assert_eq!(found(None, of_user("cid"), 9), [4]);
        assert_eq!(found(None, of_user("dan"), 9), [0; 0]);
        assert_eq!(found(Some(7), of_grant("g1"), 9), [3, 2, 1]);
        assert_eq!(
            found(
                None,
                EntryFilter {
                    user: Some(user("bob")),
                    ..of_grant("g2")
                },
                9
            ),
            [2]
        );
        Ok(())
    });
}

fn the_sequence_is_the_deliverys_position<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| {
        log.append(delivery(1, "a", vec![granted("ann", "g1", None)]))?;
        let mut by_arrival = delivery(2, "b", vec![granted("ann", "g2", None)]);
        by_arrival.arrival_is_order = true;
        log.append(by_arrival)?;
        let parked = log.append(undecodable(3, "c"))?;
        let mut retry = delivery(4, "c", vec![granted("ann", "g3", None)]);
        retry.arrival_is_order = true;
        log.append(about(parked, tenure::store::EntryKind::Retry, retry))
    });
    read(&store, |snapshot| {
        let found = ["g1", "g2", "g3"].map(|name| {
            let event = snapshot.grant_events(&grant(name)).unwrap().remove(0);
            (event.sequence, event.position.0)
        });
        assert_eq!(found, [(0, 1), (2, 2), (3, 4)]);
        Ok(())
    });
}
