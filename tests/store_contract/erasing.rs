//! Erasing: what goes, what follows it, and what a file keeps.

use std::fs;
use std::time::Duration;

use tenure::rusqlite::Connection;
use tenure::store::chain::{digest, hash};
use tenure::store::{
    BatchMark, EntryKind, FormerKey, NewEntry, Packet, Redaction, RunId, Settled, SqliteStore,
    SqliteStoreOptions, Store, StoreError, Transaction,
};
use tenure::{Change, Event, Hash, Mention, Position, UserId};

use super::facts::*;
use super::{Fresh, for_every_store, options, read, write};

for_every_store!(
    what_was_received_goes_and_the_chain_stays,
    every_look_up_follows_an_erasure,
    an_erasure_that_fails_leaves_everything,
    an_erasure_keeps_number_changes_and_times_of_events,
    former_keys_packets_and_receipts_are_kept_and_forgotten,
    what_comes_erased_is_noted,
    draws_differ_and_repeat,
);

fn to(name: &str, of: &str) -> Event {
    let change = Change::Transferred { user: user(name) };
    stated(of, Some("ann"), change)
}

/// Ann's grant, what was parked and discarded of hers, what she withdrew; and Bob's.
fn fill(log: &mut dyn Transaction) -> Result<(), StoreError> {
    log.append(delivery(
        1,
        "ann-1",
        vec![
            granted("ann", "g-ann", Some("g-ann-parent")),
            to("bob", "g-ann"),
        ],
    ))?;
    log.append(delivery(
        2,
        "bob-1",
        vec![granted("bob", "g2", Some("g-ann"))],
    ))?;
    log.append(undecodable(3, "ann-2"))?;
    log.append(delivery(
        4,
        "w",
        vec![withdrawal("ann-1"), link("ann", "bob")],
    ))?;
    Ok(())
}

fn erased_by() -> Position {
    Position(5)
}

fn redaction(position: u64, key_now: &str, events: Vec<Event>) -> Redaction {
    Redaction {
        position: Position(position),
        erased_by: erased_by(),
        dedupe_key: key(key_now),
        body: Vec::new(),
        events,
    }
}

fn first() -> Redaction {
    let mut to_bob = to("bob", "g-x");
    if let tenure::Statement::Grant(statement) = &mut to_bob.statement {
        statement.user = Some(user("x"));
    }
    redaction(
        1,
        "x-1",
        vec![granted("x", "g-x", Some("g-x-parent")), to_bob],
    )
}

fn redact_all(log: &mut dyn Transaction) -> Result<Vec<Hash>, StoreError> {
    Ok(vec![
        log.redact(&first())?,
        log.redact(&redaction(
            2,
            "bob-1",
            vec![granted("bob", "g2", Some("g-x"))],
        ))?,
        log.redact(&redaction(3, "x-2", Vec::new()))?,
        log.redact(&redaction(
            4,
            "w",
            vec![withdrawal("x-1"), link("x", "bob")],
        ))?,
    ])
}

fn what_was_received_goes_and_the_chain_stays<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, fill);
    let before = read(&store, |snapshot| snapshot.entries_after(Position(0), 10));
    let digests = write(&mut store, redact_all);
    read(&store, |snapshot| {
        let after = snapshot.entries_after(Position(0), 10)?;
        let mut previous = Hash::default();
        for ((before, after), left) in before.iter().zip(&after).zip(digests) {
            assert!(before.erased_by.is_none() && after.erased_by == Some(erased_by()));
            let fact = &after.fact;
            assert!(fact.body.is_empty() && fact.headers.is_none() && fact.query.is_none());
            if let Some(refusal) = &fact.refusal {
                assert_eq!(
                    (refusal.field.as_str(), refusal.detail.as_str()),
                    ("body", "")
                );
            }
            assert_ne!(before.salt, after.salt);
            assert_eq!((before.digest, before.hash), (after.digest, after.hash));
            let found = hash(previous, after.position, fact, after.digest);
            assert_eq!(found, after.hash);
            previous = after.hash;
            let events = snapshot.events_of(after.position)?;
            let events: Vec<Event> = events.into_iter().map(|it| it.event).collect();
            assert_eq!(digest(fact, &events, &after.salt), left);
            let same = |fact: &NewEntry| {
                let reason = fact.refusal.as_ref().map(|it| it.reason);
                (
                    fact.kind,
                    fact.recorded_at,
                    fact.received_at,
                    fact.outcome,
                    reason,
                )
            };
            assert_eq!(same(&before.fact), same(fact));
        }
        assert_eq!(snapshot.count_erased()?, 4);
        Ok(())
    });
}

fn every_look_up_follows_an_erasure<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, fill);
    write(&mut store, redact_all);
    read(&store, |snapshot| {
        let shop = source("shop");
        assert_eq!(snapshot.key_holder(&shop, &key("ann-1"))?, None);
        assert_eq!(snapshot.key_holder(&shop, &key("x-1"))?, Some(Position(1)));
        assert!(snapshot.parked_with_key(&shop, &key("ann-2"))?.is_empty());
        assert_eq!(snapshot.parked_with_key(&shop, &key("x-2"))?.len(), 1);
        assert!(
            snapshot
                .parked_mentioning(&Mention::new("ann-2").unwrap())?
                .is_empty()
        );
        assert!(snapshot.grants_naming(&user("ann"))?.is_empty());
        assert_eq!(snapshot.grants_naming(&user("x"))?, [grant("g-x")]);
        assert_eq!(
            snapshot.grants_naming(&user("bob"))?,
            [grant("g-x"), grant("g2")]
        );
        assert!(snapshot.grant_events(&grant("g-ann"))?.is_empty());
        let events = snapshot.grant_events(&grant("g-x"))?;
        assert_eq!(events.len(), 2);
        // The withdrawal was renamed with what it takes back.
        assert!(
            events
                .iter()
                .all(|event| event.withdrawn_at == Some(recorded(4)))
        );
        assert!(
            events
                .iter()
                .all(|event| event.key.dedupe_key == key("x-1"))
        );
        assert!(snapshot.children(&grant("g-ann"))?.is_empty());
        assert_eq!(snapshot.children(&grant("g-x"))?, [grant("g2")]);
        assert!(snapshot.links(&user("ann"))?.is_empty());
        assert_eq!(snapshot.links(&user("bob"))?.len(), 1);
        assert!(!snapshot.is_named(&user("ann"), None)?);
        let users: Vec<UserId> = snapshot.users_after(None, 10)?;
        assert_eq!(users, [user("bob"), user("x")]);
        Ok(())
    });
}

fn an_erasure_that_fails_leaves_everything<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, fill);
    let before = read(&store, everything);
    let mentioning = |store: &S| {
        read(store, |snapshot| {
            snapshot.parked_mentioning(&Mention::new("ann-2").unwrap())
        })
    };
    let mentions = mentioning(&store);
    let failed = store.write(|log| {
        redact_all(log)?;
        log.remember_former_key(&FormerKey {
            digest: Hash([7; 32]),
            now: "x".to_owned(),
        })?;
        Err::<(), _>(StoreError::OutOfOrder)
    });
    assert!(failed.is_err());
    assert_eq!(read(&store, everything), before);
    assert_eq!(mentioning(&store), mentions);
    read(&store, |snapshot| {
        assert_eq!(snapshot.count_erased()?, 0);
        assert!(snapshot.former_keys()?.is_empty());
        Ok(())
    });
}

fn an_erasure_keeps_number_changes_and_times_of_events<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, fill);
    let mut too_few = first();
    too_few.events.pop();
    let mut another_time = first();
    another_time.events[0].effective_at = tenure::EffectiveAt(at(7));
    let mut another_change = first();
    another_change.events.swap(0, 1);
    let missing = redaction(9, "x-1", Vec::new());
    for wrong in [too_few, another_time, another_change, missing] {
        let before = read(&store, everything);
        let refused = store.write(|log| log.redact(&wrong)).unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
        assert_eq!(read(&store, everything), before);
    }
}

fn former_keys_packets_and_receipts_are_kept_and_forgotten<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let old = FormerKey::of_delivery(&source("shop"), &key("ann-1"));
    assert_ne!(old, FormerKey::of_delivery(&source("shop"), &key("ann-2")));
    assert_ne!(old, FormerKey::of_grant(&grant("ann-1")));
    let former = FormerKey {
        digest: old,
        now: "x-1".to_owned(),
    };
    let packet = Packet {
        key: key("p"),
        text_digest: Hash([1; 32]),
    };
    let mark = |receipts: &str| BatchMark {
        lines: 1,
        digest: Hash([2; 32]),
        receipts: receipts.as_bytes().to_vec(),
    };
    let run = RunId(Hash([3; 32]));
    write(&mut store, |log| {
        log.remember_former_key(&former)?;
        for name in ["g1", "g2", "g3"] {
            log.remember_packet(&source("shop"), &grant(name).key, &packet)?;
        }
        log.forget_packet(&grant("g2"))?;
        log.mark_batch(&run, 0, &mark("ann"))?;
        log.mark_batch(&run, 1, &mark("bob"))?;
        log.forget_receipts(&|receipts| receipts == b"ann")
    });
    read(&store, |snapshot| {
        assert_eq!(snapshot.former_key(&old)?, Some("x-1".to_owned()));
        assert_eq!(snapshot.former_key(&Hash::default())?, None);
        assert_eq!(snapshot.former_keys()?, std::slice::from_ref(&former));
        let packets = snapshot.packets_after(None, 1)?;
        assert_eq!(packets, [(grant("g1"), packet.clone())]);
        let packets = snapshot.packets_after(Some(&grant("g1")), 9)?;
        assert_eq!(packets, [(grant("g3"), packet.clone())]);
        assert_eq!(snapshot.batch(&run, 0)?, None);
        assert_eq!(snapshot.batch(&run, 1)?, Some(mark("bob")));
        Ok(())
    });
}

fn what_comes_erased_is_noted<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, fill);
    write(&mut store, |log| {
        log.note_erased(Position(3))?;
        log.settle(Position(3), &Settled::Discarded(Position(4)))?;
        let mut erasure = delivery(9, "erasure", Vec::new());
        (erasure.kind, erasure.source) = (EntryKind::Erasure, source("tenure"));
        log.append(erasure)
    });
    read(&store, |snapshot| {
        let entry = snapshot.entry(Position(3))?.unwrap();
        assert_eq!(entry.erased_by, Some(Position(3)));
        assert_eq!(snapshot.count_erased()?, 1);
        let erasures = snapshot.erasures()?;
        assert_eq!(erasures.len(), 1);
        assert_eq!(
            (erasures[0].position, erasures[0].fact.kind),
            (Position(5), EntryKind::Erasure)
        );
        Ok(())
    });
}

fn draws_differ_and_repeat<S: Fresh>() {
    let draws = || {
        let (mut store, _ground) = S::fresh();
        write(&mut store, |log| {
            let first = [log.draw(0)?, log.draw(1)?];
            fill(log)?;
            Ok([first, [log.draw(0)?, log.draw(1)?]])
        })
    };
    let drawn = draws();
    assert_eq!(drawn, draws());
    let mut all = drawn.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4);
}

#[test]
fn plain_sql_can_change_nothing_but_what_an_erasure_takes() {
    let (mut store, folder) = SqliteStore::fresh();
    write(&mut store, fill);
    write(&mut store, |log| log.redact(&first()));
    let raw = Connection::open(folder.path().join("tenure.db")).unwrap();
    raw.execute_batch("PRAGMA recursive_triggers = ON").unwrap();
    let before = read(&store, everything);
    for sql in [
        "DELETE FROM erased",
        "DELETE FROM deliveries WHERE position = 1",
        "DELETE FROM events WHERE position = 1",
        "UPDATE deliveries SET body = x'00' WHERE position = 1",
        "UPDATE deliveries SET headers = '{}' WHERE position = 1",
        "UPDATE deliveries SET query = 'a' WHERE position = 1",
        "UPDATE deliveries SET position = 9 WHERE position = 1",
        "UPDATE deliveries SET kind = 'rules' WHERE position = 1",
        "UPDATE deliveries SET of_position = 1 WHERE position = 1",
        "UPDATE deliveries SET source = 'a' WHERE position = 1",
        "UPDATE deliveries SET recorded_at = 0 WHERE position = 1",
        "UPDATE deliveries SET received_at = NULL WHERE position = 1",
        "UPDATE deliveries SET outcome = 'ignored' WHERE position = 1",
        "UPDATE deliveries SET arrival_is_order = 1 WHERE position = 1",
        "UPDATE deliveries SET event_count = 1 WHERE position = 1",
        "UPDATE deliveries SET event_name = NULL WHERE position = 1",
        "UPDATE deliveries SET reason = 'bad_id' WHERE position = 1",
        "UPDATE deliveries SET digest = hash WHERE position = 1",
        "UPDATE deliveries SET hash = digest WHERE position = 1",
        "UPDATE deliveries SET salt = randomblob(16) WHERE position = 2",
        "UPDATE events SET source = 'a' WHERE position = 1",
        "UPDATE events SET position = 9 WHERE position = 1",
        "UPDATE events SET event_index = 9 WHERE position = 1",
        "UPDATE events SET change = 'ended' WHERE position = 1",
        "UPDATE events SET effective_at = 0 WHERE position = 1",
        "UPDATE events SET recorded_at = 0 WHERE position = 1",
        "UPDATE events SET sequence = 9 WHERE position = 1",
        "UPDATE events SET delivery_source = 'a' WHERE position = 1",
        "UPDATE events SET product = 'a' WHERE position = 1",
        "UPDATE events SET user_id = 'a' WHERE position = 2",
    ] {
        let refused = raw.execute(sql, []).unwrap_err();
        assert!(
            refused.to_string().contains("append-only"),
            "{sql}: {refused}"
        );
    }
    assert_eq!(read(&store, everything), before);
}

#[test]
fn what_was_erased_leaves_the_file_and_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let impatient = SqliteStoreOptions {
        busy_timeout: Duration::from_millis(20),
        ..options()
    };
    let path = folder.path().join("tenure.db");
    let mut store = SqliteStore::create_or_open(&path, impatient).unwrap();
    write(&mut store, |log| {
        for turn in 1..200_i64 {
            let mut fact = delivery(turn, &format!("key {turn}"), Vec::new());
            fact.body = format!("a trace of somebody, {turn}")
                .repeat(20)
                .into_bytes();
            log.append(fact)?;
        }
        Ok(())
    });
    let holds = || {
        let files = fs::read_dir(folder.path()).unwrap();
        let files = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        files
            .map(|bytes| bytes.windows(7).filter(|it| *it == b"a trace").count())
            .sum::<usize>()
    };
    write(&mut store, |log| {
        for turn in 1..200_u64 {
            let mut redaction = redaction(turn, &format!("key {turn}"), Vec::new());
            redaction.erased_by = Position(200);
            log.redact(&redaction)?;
        }
        Ok(())
    });
    assert!(holds() > 0, "the write-ahead log keeps what was written");
    // One who reads an older state keeps it on the disk.
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("BEGIN; SELECT count(*) FROM deliveries")
        .unwrap();
    let held_up = store.wipe_erased().unwrap_err();
    assert!(held_up.is_retryable(), "{held_up}");
    raw.execute_batch("ROLLBACK").unwrap();
    store.wipe_erased().unwrap();
    assert_eq!(holds(), 0);
    write(&mut store, |log| log.append(delivery(900, "z", Vec::new())));
}
