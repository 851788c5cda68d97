//! What a write promises.

use tenure::domain::event::Cause;
use tenure::domain::grant::{Anomaly, How};
use tenure::domain::window::{Phase, Segment};
use tenure::store::{
    BatchMark, EntryKind, Hash, Packet, Projected, Projection, RecordedAnomaly, RunId, Settled,
    Snapshot, StoreError, Transaction, chain,
};
use tenure::{Change, End, Outcome, Position};

use super::facts::*;
use super::{Fresh, for_every_store, read, write};

for_every_store!(
    positions_count_up_from_one_without_gaps,
    an_error_leaves_no_trace,
    a_panic_leaves_no_trace,
    recorded_times_strictly_increase,
    a_key_is_held_once,
    what_cannot_be_read_back_is_refused,
    the_chain_can_be_checked,
    reads_in_a_transaction_see_its_writes,
    a_projection_is_replaced_and_removed,
    mending_leaves_what_was_asked_for_and_says_whether_it_differed,
);

fn positions_count_up_from_one_without_gaps<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    for turn in 1..=5_i64 {
        let position = write(&mut store, |log| {
            log.append(delivery(turn * 10, &turn.to_string(), vec![]))
        });
        assert_eq!(position, Position(u64::try_from(turn).unwrap()));
        let failed: Result<(), StoreError> = store.write(|log| {
            log.append(delivery(turn * 10 + 1, "gone", vec![]))?;
            Err(StoreError::OutOfOrder)
        });
        assert!(matches!(failed, Err(StoreError::OutOfOrder)));
    }
    let head = read(&store, |snapshot| snapshot.head());
    assert_eq!(
        (head.position, head.recorded_at),
        (Position(5), Some(recorded(50)))
    );
}

/// One of everything.
pub(super) fn fill(log: &mut dyn Transaction, from: i64) -> Result<(), StoreError> {
    let name = |name: &str| format!("{name}{from}");
    let granting = vec![
        granted("ann", "g1", None),
        granted("bob", "g2", Some("g1")),
        link("ann", "cid"),
    ];
    let first = log.append(delivery(from, &name("a"), granting))?;
    let parked = log.append(undecodable(from + 1, &name("q")))?;
    log.count_repetition(first)?;
    log.count_repetition(parked)?;
    let retry = delivery(
        from + 2,
        &name("q"),
        vec![stated("g1", Some("ann"), Change::Revoked)],
    );
    let retry = log.append(about(parked, EntryKind::Retry, retry))?;
    log.settle(parked, &Settled::Retried(retry))?;
    log.append(delivery(from + 3, &name("w"), vec![withdrawal(&name("q"))]))?;
    let mut rules = delivery(from + 4, &name("r"), vec![]);
    (rules.kind, rules.body, rules.source) = (EntryKind::Rules, b"{}".to_vec(), source("tenure"));
    log.append(rules)?;
    let odd = RecordedAnomaly {
        position: first,
        index: 1,
        anomaly: Anomaly::FromInPast,
        grant: grant("g2"),
    };
    log.project(
        &grant("g2"),
        Some(&projection(vec![segment(10, End::Never, "bob")], vec![odd])),
    )?;
    log.remember_packet(&source("shop"), &grant("g1").key, &packet(1))?;
    log.mark_batch(&RunId(Hash([1; 32])), 3, &mark(2))
}

pub(super) fn packet(digest: u8) -> Packet {
    Packet {
        key: key("p"),
        text_digest: Hash([digest; 32]),
    }
}

pub(super) fn mark(lines: u64) -> BatchMark {
    BatchMark {
        lines,
        digest: Hash([4; 32]),
        receipts: vec![1, 2, 3],
    }
}

/// All a store tells, bookkeeping included.
fn told(snapshot: &dyn Snapshot) -> Result<String, StoreError> {
    let run = RunId(Hash([1; 32]));
    let packet = snapshot.latest_packet(&source("shop"), &grant("g1").key)?;
    Ok(format!(
        "{}{packet:?}{:?}",
        everything(snapshot)?,
        snapshot.batch(&run, 3)?
    ))
}

fn an_error_leaves_no_trace<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    for from in [100, 200] {
        let before = read(&store, told);
        let failed: Result<(), StoreError> = store.write(|log| {
            fill(log, from)?;
            log.settle(Position(2), &Settled::Open)?;
            log.project(&grant("g2"), None)?;
            log.project(&grant("g3"), Some(&projection(vec![], vec![])))?;
            log.clear_projections()?;
            log.remember_packet(&source("shop"), &grant("g1").key, &packet(9))?;
            log.finish_run(&RunId(Hash([1; 32])))?;
            Err(StoreError::Unavailable("on purpose".to_owned()))
        });
        assert!(matches!(failed, Err(StoreError::Unavailable(_))));
        assert_eq!(read(&store, told), before);
        write(&mut store, |log| fill(log, from));
        assert_ne!(read(&store, told), before);
    }
}

fn a_panic_leaves_no_trace<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| fill(log, 100));
    let before = read(&store, told);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.write(|log| -> Result<(), StoreError> {
            fill(log, 200)?;
            panic!("on purpose")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(read(&store, told), before);
    write(&mut store, |log| fill(log, 200));
}

fn recorded_times_strictly_increase<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| log.append(delivery(50, "a", vec![])));
    for late in [50, 49, -1] {
        let refused = store.write(|log| log.append(delivery(late, "b", vec![])));
        assert!(matches!(refused, Err(StoreError::OutOfOrder)));
    }
    write(&mut store, |log| log.append(delivery(51, "b", vec![])));
    read(&store, |snapshot| {
        let found = [49, 50, 51, 52].map(|at| snapshot.position_at(recorded(at)).unwrap().0);
        assert_eq!(found, [0, 1, 2, 2]);
        Ok(())
    });
}

fn a_key_is_held_once<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let events = vec![granted("ann", "g1", None)];
    write(&mut store, |log| {
        log.append(undecodable(1, "a"))?;
        log.append(undecodable(2, "a"))?;
        log.append(delivery(3, "a", events.clone()))?;
        // It can be told, and the transaction goes on.
        assert!(matches!(
            log.append(delivery(4, "a", vec![])),
            Err(StoreError::KeyHeld)
        ));
        log.append(undecodable(4, "a"))?;
        let mut other = delivery(5, "a", vec![]);
        other.source = source("other");
        log.append(other)
    });
    let refused = store.write(|log| {
        log.append(about(
            Position(1),
            EntryKind::Retry,
            delivery(9, "a", events),
        ))
    });
    assert!(matches!(refused, Err(StoreError::KeyHeld)));
    read(&store, |snapshot| {
        assert_eq!(
            snapshot.key_holder(&source("shop"), &key("a"))?,
            Some(Position(3))
        );
        assert_eq!(
            snapshot.key_holder(&source("other"), &key("a"))?,
            Some(Position(5))
        );
        assert_eq!(snapshot.key_holder(&source("shop"), &key("b"))?, None);
        let parked = snapshot.parked_with_key(&source("shop"), &key("a"))?;
        assert_eq!(
            parked
                .iter()
                .map(|parked| parked.position.0)
                .collect::<Vec<_>>(),
            [1, 2, 4]
        );
        assert_eq!(snapshot.head()?.position, Position(5));
        assert_eq!(snapshot.grant_events(&grant("g1"))?.len(), 1);
        Ok(())
    });
}

fn what_cannot_be_read_back_is_refused<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let mut duplicate = delivery(1, "a", vec![]);
    duplicate.outcome = Outcome::Duplicate;
    let mut reasonless = undecodable(1, "a");
    reasonless.refusal = None;
    let mut rules = delivery(1, "a", vec![]);
    rules.kind = EntryKind::Rules;
    let orphan = about(Position(7), EntryKind::Retry, delivery(1, "a", vec![]));
    for fact in [duplicate, reasonless, rules, orphan] {
        let refused = store.write(|log| log.append(fact));
        assert!(matches!(refused, Err(StoreError::Corrupt(_))));
    }
    assert_eq!(
        read(&store, |snapshot| snapshot.head()).position,
        Position(0)
    );
}

fn the_chain_can_be_checked<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| fill(log, 100));
    write(&mut store, |log| fill(log, 200));
    read(&store, |snapshot| {
        let mut previous = Hash::default();
        for entry in snapshot.entries_after(Position(0), 100)? {
            let events = snapshot.events_of(entry.position)?;
            assert_eq!(events.len(), usize::try_from(entry.events).unwrap());
            let events: Vec<_> = events.into_iter().map(|event| event.event).collect();
            let digest = chain::digest(&entry.fact, &events, &entry.salt);
            assert_eq!(entry.digest, digest);
            assert_eq!(
                entry.hash,
                chain::hash(previous, entry.position, &entry.fact, digest)
            );
            previous = entry.hash;
        }
        assert_eq!(snapshot.head()?.hash, previous);
        Ok(())
    });
}

fn reads_in_a_transaction_see_its_writes<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let inside = write(&mut store, |log| {
        fill(log, 100)?;
        told(&*log)
    });
    assert_eq!(read(&store, told), inside);
}

/// Projections of one grant that differ in every part.
pub(super) fn stages() -> [Projection; 6] {
    let over = |how| Segment {
        from: at(90),
        to: End::Never,
        phase: Phase::Over {
            how,
            holder: Some(user("ann")),
        },
    };
    let odd = |anomaly| RecordedAnomaly {
        position: Position(1),
        index: 0,
        anomaly,
        grant: grant("g1"),
    };
    [
        projection(
            vec![segment(10, End::Never, "ann")],
            vec![odd(Anomaly::Moved), odd(Anomaly::SameInstant)],
        ),
        projection(
            vec![
                segment(10, End::At(at(50)), "ann"),
                segment(60, End::At(at(90)), "bob"),
            ],
            vec![],
        ),
        projection(
            vec![
                segment(10, End::At(at(50)), "ann"),
                segment(60, End::At(at(80)), "bob"),
                over(How::Revoked),
            ],
            vec![],
        ),
        projection(
            vec![
                segment(11, End::At(at(90)), "bob"),
                over(How::Ended(Cause::RenewalFailed)),
            ],
            vec![odd(Anomaly::Barred)],
        ),
        projection(vec![over(How::Ended(Cause::Unspecified))], vec![]),
        projection(vec![], vec![]),
    ]
    // Also those who hold nothing at that stage are named.
    .map(|stage| Projection {
        users: [user("ann"), user("bob")].into(),
        ..stage
    })
}

/// Two users, as the stages name them.
pub(super) fn name_two_users<S: Fresh>(store: &mut S) {
    write(store, |log| {
        log.append(delivery(
            1,
            "a",
            vec![granted("ann", "g1", None), granted("bob", "g1", None)],
        ))
    });
}

fn a_projection_is_replaced_and_removed<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    name_two_users(&mut store);
    let stages = stages();
    // Every stage after every other, also after itself.
    for first in &stages {
        for second in &stages {
            for stage in [first, second] {
                write(&mut store, |log| log.project(&grant("g1"), Some(stage)));
                read(&store, |snapshot| {
                    assert_eq!(snapshot.projection(&grant("g1"))?.as_ref(), Some(stage));
                    let figures = snapshot.statistics()?;
                    let sizes =
                        [1, stage.windows.len(), stage.anomalies.len()].map(|size| size as u64);
                    assert_eq!([figures.grants, figures.windows, figures.anomalies], sizes);
                    assert_eq!(snapshot.anomalies_after(None, 9)?, stage.anomalies);
                    let windows = ["ann", "bob"]
                        .map(|name| snapshot.windows_of(&user(name)).unwrap())
                        .concat();
                    assert_eq!(windows.len(), stage.windows.len());
                    let segments: Vec<_> = snapshot
                        .segments_naming(&user("bob"))?
                        .into_iter()
                        .flat_map(|(_, all)| all)
                        .collect();
                    assert_eq!(segments, stage.segments);
                    Ok(())
                });
            }
        }
        write(&mut store, |log| log.project(&grant("g1"), None));
        read(&store, |snapshot| {
            assert_eq!(snapshot.projection(&grant("g1"))?, None);
            assert_eq!(snapshot.projected_after(None, 9)?, []);
            assert_eq!(snapshot.statistics()?.windows, 0);
            Ok(())
        });
    }
}

fn mending_leaves_what_was_asked_for_and_says_whether_it_differed<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    name_two_users(&mut store);
    let wanted: Vec<Option<Projection>> = stages().into_iter().map(Some).chain([None]).collect();
    for first in &wanted {
        for second in &wanted {
            write(&mut store, |log| log.project(&grant("g1"), first.as_ref()));
            let differed = write(&mut store, |log| log.mend(&grant("g1"), second.as_ref()));
            assert_eq!(differed, first != second, "{first:?} {second:?}");
            read(&store, |snapshot| {
                assert_eq!(snapshot.projection(&grant("g1"))?, *second);
                Ok(())
            });
            let mut size = Projected::default();
            second.iter().for_each(|it| size.add(it));
            assert_eq!(write(&mut store, |log| log.count_anew()), size);
            let figures = read(&store, |snapshot| snapshot.statistics());
            assert_eq!(
                (figures.grants, figures.windows, figures.anomalies),
                (size.grants, size.windows, size.anomalies)
            );
        }
    }
}
