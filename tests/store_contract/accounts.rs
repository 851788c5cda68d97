//! What is kept beside the log: quarantine, figures, bookkeeping.

use tenure::store::{EntryKind, Hash, NewEntry, RunId, Settled, StoreError};
use tenure::{Mention, Position};

use super::clauses::{mark, packet};
use super::facts::*;
use super::{Fresh, for_every_store, read, write};

for_every_store!(
    quarantine_is_kept_and_settled,
    parked_deliveries_are_found_by_what_they_mention,
    every_delivery_is_accounted_for,
    what_was_taken_meanwhile_is_accounted_for_as_a_repetition,
    bookkeeping_is_kept,
);

fn quarantine_is_kept_and_settled<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| {
        for turn in 1..=4 {
            log.append(undecodable(turn, &turn.to_string()))?;
        }
        let mut discard = undecodable(5, "2");
        discard.body = b"spam".to_vec();
        let discard = log.append(about(Position(2), EntryKind::Discard, discard))?;
        log.settle(Position(2), &Settled::Discarded(discard))?;
        let retry = log.append(about(
            Position(3),
            EntryKind::Retry,
            delivery(6, "3", vec![granted("ann", "g1", None)]),
        ))?;
        log.settle(Position(3), &Settled::Retried(retry))
    });
    read(&store, |snapshot| {
        let parked = snapshot.parked_after(Position(1), 2)?;
        assert_eq!(
            parked
                .iter()
                .map(|parked| parked.settled)
                .collect::<Vec<_>>(),
            [
                Settled::Discarded(Position(5)),
                Settled::Retried(Position(6)),
            ]
        );
        let open = snapshot.parked(Position(4))?.unwrap();
        assert_eq!((open.settled, open.refusal), (Settled::Open, refusal()));
        assert_eq!(snapshot.parked(Position(5))?, None);
        let event = &snapshot.grant_events(&grant("g1"))?[0];
        assert_eq!(
            (event.position, event.recorded_at),
            (Position(6), recorded(6))
        );
        assert_eq!((event.key.dedupe_key.as_str(), event.sequence), ("3", 0));
        Ok(())
    });
}

fn parked_deliveries_are_found_by_what_they_mention<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let mention = |text: &str| Mention::new(text).unwrap();
    let mentioning = |fact: NewEntry, texts: &[&str]| NewEntry {
        mentions: texts.iter().map(|text| mention(text)).collect(),
        ..fact
    };
    let first = write(&mut store, |log| {
        let first = log.append(mentioning(undecodable(1, "a"), &["ann", "g1", "ann"]))?;
        // Of what is not parked nothing is kept.
        log.append(mentioning(delivery(2, "b", vec![]), &["ann"]))?;
        log.append(mentioning(undecodable(3, "c"), &["Ann", "ann"]))?;
        let discard = mentioning(undecodable(4, "a"), &["ann", "bob"]);
        let discard = log.append(about(first, EntryKind::Discard, discard))?;
        log.settle(first, &Settled::Discarded(discard))?;
        // A read in the transaction sees it.
        assert_eq!(log.parked_mentioning(&mention("g1"))?, [first]);
        Ok(first)
    });
    let failed = store.write(|log| {
        log.append(mentioning(undecodable(9, "z"), &["ann", "new"]))?;
        Err::<(), _>(StoreError::KeyHeld)
    });
    failed.unwrap_err();
    read(&store, |snapshot| {
        let third = Position(3);
        assert_eq!(snapshot.parked_mentioning(&mention("ann"))?, [first, third]);
        assert_eq!(snapshot.parked_mentioning(&mention("Ann"))?, [third]);
        assert_eq!(snapshot.parked_mentioning(&mention("g1"))?, [first]);
        for none in ["bob", "new", "an", "a"] {
            assert_eq!(snapshot.parked_mentioning(&mention(none))?, []);
        }
        let entry = snapshot.entry(first)?.unwrap();
        assert_eq!(entry.fact.mentions, []);
        Ok(())
    });
}

fn every_delivery_is_accounted_for<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| {
        // Applied, come again twice.
        let applied = log.append(delivery(1, "a", vec![granted("ann", "g1", None)]))?;
        log.count_repetition(applied)?;
        log.count_repetition(applied)?;
        log.append(delivery(2, "i", vec![]))?;
        // Parked, come again once.
        let open = log.append(undecodable(3, "q1"))?;
        log.count_repetition(open)?;
        // Parked, come again once, then recorded by a retry.
        let retried = log.append(undecodable(4, "q2"))?;
        log.count_repetition(retried)?;
        let by = log.append(about(
            retried,
            EntryKind::Retry,
            delivery(5, "q2", vec![granted("ann", "g2", None)]),
        ))?;
        log.settle(retried, &Settled::Retried(by))?;
        let discarded = log.append(undecodable(6, "q3"))?;
        let by = log.append(about(discarded, EntryKind::Discard, undecodable(7, "q3")))?;
        log.settle(discarded, &Settled::Discarded(by))
    });
    let figures = read(&store, |snapshot| snapshot.statistics());
    let outcomes = [
        figures.applied,
        figures.ignored,
        figures.quarantined,
        figures.duplicate,
    ];
    assert_eq!(outcomes, [2, 1, 3, 3]);
    assert_eq!(figures.received, outcomes.iter().sum::<u64>());
    assert_eq!([figures.entries, figures.parked, figures.events], [7, 1, 2]);
    assert!(figures.bytes > 0);
    let entry = read(&store, |snapshot| snapshot.entry(Position(1))).unwrap();
    assert_eq!(entry.repetitions, 2);
}

/// It was parked, came again and was taken, and a retry then found that there was nothing left to record.
fn what_was_taken_meanwhile_is_accounted_for_as_a_repetition<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| {
        let parked = log.append(undecodable(1, "a"))?;
        log.count_repetition(parked)?;
        let taken = log.append(delivery(2, "a", vec![granted("ann", "g1", None)]))?;
        log.settle(parked, &Settled::Retried(taken))
    });
    let figures = read(&store, |snapshot| snapshot.statistics());
    let outcomes = [figures.applied, figures.ignored, figures.quarantined];
    assert_eq!(outcomes, [1, 0, 0]);
    assert_eq!((figures.duplicate, figures.received), (2, 3));
}

fn bookkeeping_is_kept<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let (run, other) = (RunId(Hash([1; 32])), RunId(Hash([2; 32])));
    let of = grant("g1");
    write(&mut store, |log| {
        log.remember_packet(&of.source, &of.key, &packet(1))?;
        log.remember_packet(&of.source, &of.key, &packet(2))?;
        log.mark_batch(&run, 0, &mark(5))?;
        log.mark_batch(&run, 1, &mark(6))?;
        log.mark_batch(&other, 1, &mark(7))
    });
    read(&store, |snapshot| {
        assert_eq!(
            snapshot.latest_packet(&of.source, &of.key)?,
            Some(packet(2))
        );
        assert_eq!(snapshot.latest_packet(&source("other"), &of.key)?, None);
        assert_eq!(snapshot.batch(&run, 1)?, Some(mark(6)));
        assert_eq!(snapshot.batch(&run, 2)?, None);
        Ok(())
    });
    write(&mut store, |log| log.finish_run(&run));
    read(&store, |snapshot| {
        assert_eq!(snapshot.batch(&run, 0)?, None);
        assert_eq!(snapshot.batch(&other, 1)?, Some(mark(7)));
        Ok(())
    });
}
