//! The laws of erasing: every answer stays, under a pseudonym, and nothing of the id does.

use std::cell::Cell;
use std::io::Cursor;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tenure::store::chain::Salts;
use tenure::{
    Delivery, Engine, Erased, ErasureGrounds, FileOptions, Instant, MemoryStore, Outcome, Position,
    Question, Request, Secrets, Settled, SqliteStore, SqliteStoreOptions, Store, UserId,
    decision_json,
};

use super::exports::exported;
use super::{hold, some_of};
use crate::strategies::{
    History, Line, at, engine, history, line, odd_line, projections, questions, recorded,
};

mod named;

/// The ids, so that no other text holds one, and a short one.
const IDS: [(&str, &str); 3] = [("u", "reader-4711"), ("v", "jürgen.müller"), ("w", "w")];

fn id(user: &str) -> &str {
    let found = IDS.iter().find(|(short, _)| *short == user);
    found.map_or(user, |(_, id)| id)
}

/// The body of a line with ids that also stand in keys: of the grant `g`, of every third delivery, of a block and a period.
fn body(line: &Line, number: usize) -> String {
    let text = line.body(number);
    let Ok(mut body) = serde_json::from_str::<Value>(&text) else {
        return format!("{text} \"{}\"", id("u"));
    };
    let told_apart = |number: usize| match number % 3 {
        0 => format!("e{number}:{}", id("u")),
        _ => format!("e{number}"),
    };
    if body.get("specversion").is_none() {
        return format!("{text} \"{}\"", id("v"));
    }
    body["id"] = json!(told_apart(number));
    if let Some(subject) = body["subject"].as_str() {
        body["subject"] = json!(id(subject));
    }
    let Some(data) = body["data"].as_object_mut() else {
        return body.to_string();
    };
    let is_g = data.get("grant").is_some_and(|grant| *grant == json!("g"));
    for (name, value) in data.iter_mut() {
        let Some(text) = value.as_str() else { continue };
        let new = match (name.as_str(), text) {
            ("user" | "alias", user) => id(user).to_owned(),
            ("grant" | "parent", "g") => format!("{}/g", id("u")),
            ("by", "crm") if is_g => format!("by {}", id("u")),
            ("period_key", "k1") if is_g => format!("invoice of {}", id("u")),
            ("id", key) => match key.split_once(" e") {
                Some((source, number)) => {
                    format!("{source} {}", told_apart(number.parse().unwrap()))
                }
                None => key.to_owned(),
            },
            (_, other) => other.to_owned(),
        };
        *value = json!(new);
    }
    body.to_string()
}

/// What happens to a log.
#[derive(Clone, Debug)]
enum Happening {
    Told(Line, Option<Instant>),
    RetriedAll,
    Discarded,
    Erased(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let told = || prop_oneof![8 => line(), 1 => odd_line()];
    let received = proptest::option::weighted(0.3, crate::strategies::instant());
    prop_oneof![
        16 => (told(), received).prop_map(|(line, received)| Happening::Told(line, received)),
        1 => Just(Happening::RetriedAll),
        1 => Just(Happening::Discarded),
        2 => (0_usize..3).prop_map(Happening::Erased),
    ]
}

fn ingest<S: Store>(
    engine: &mut Engine<S>,
    line: &Line,
    number: usize,
    received: Option<Instant>,
    now: Instant,
) {
    let request = Request {
        body: body(line, number).into_bytes(),
        ..Request::default()
    };
    let delivery = Delivery::trusted(line.source.parse().unwrap(), request);
    engine.ingest(delivery.received_at(received), now).unwrap();
}

pub(super) fn erase<S: Store>(
    engine: &mut Engine<S>,
    user: &UserId,
    now: Instant,
) -> Option<Erased> {
    let plan = engine.plan_erasure(user, &mut |_| {}).unwrap();
    let grounds = ErasureGrounds::new("anna", Some("she asked for it")).unwrap();
    engine.erase(plan, &grounds, now, &mut |_| {}).unwrap()
}

fn open<S: Store>(engine: &Engine<S>) -> Vec<Position> {
    let mut reader = engine.reader().unwrap();
    let parked = reader.parked(Position::default(), 1_000).unwrap();
    let open = parked.iter().filter(|(it, _)| it.settled == Settled::Open);
    open.map(|(parked, _)| parked.position).collect()
}

/// The log after all that, and the clock.
fn happened<S: Store>(
    store: S,
    history: &History,
    happenings: &[Happening],
) -> (Engine<S>, Instant) {
    let mut engine = engine(store, &history.rules);
    let mut now = at("2024-03-15T00:00:00Z");
    let first = history.lines.iter().cloned();
    let first = first.map(|line| Happening::Told(line, None));
    for (number, happening) in first.chain(happenings.iter().cloned()).enumerate() {
        now = now.next().next().next();
        match happening {
            Happening::Told(line, received) => ingest(&mut engine, &line, number, received, now),
            Happening::RetriedAll => {
                for position in open(&engine) {
                    let _result = engine.retry(position, now).unwrap();
                }
            }
            Happening::Discarded => {
                if let Some(position) = open(&engine).first() {
                    engine
                        .discard(*position, "a test of reader-4711", now)
                        .unwrap();
                }
            }
            Happening::Erased(which) => {
                let user = id(IDS[which].0).parse().unwrap();
                erase(&mut engine, &user, now);
            }
        }
    }
    (engine, now)
}

fn salts() -> Salts {
    Salts::from_seed([3; 32])
}

fn in_memory(history: &History, happenings: &[Happening]) -> (Engine<MemoryStore>, Instant) {
    happened(MemoryStore::with_salts(salts()), history, happenings)
}

/// What an answer says, apart from the names that an erasure changes and how far the log has come.
fn said<S: Store>(engine: &Engine<S>, questions: &[Question]) -> Vec<Value> {
    let decisions = engine.reader().unwrap().check_batch(questions).unwrap();
    let said = decisions.iter().map(|decision| {
        let mut said: Value = serde_json::from_str(&decision_json(decision)).unwrap();
        for name in ["user", "grant", "position"] {
            said.as_object_mut().unwrap().remove(name);
        }
        said
    });
    said.collect()
}

fn renamed(questions: &[Question], user: &UserId, pseudonym: &UserId) -> Vec<Question> {
    let renamed = questions.iter().map(|question| {
        let mut question = question.clone();
        if question.user == *user {
            question.user = pseudonym.clone();
        }
        question
    });
    renamed.collect()
}

/// Everything a store has of the log, as text.
fn all_of<S: Store>(engine: &Engine<S>) -> String {
    let mut reader = engine.reader().unwrap();
    let entries = reader.log(&Default::default(), None, 1_000).unwrap();
    let mut text = String::new();
    for entry in &entries {
        let fact = &entry.entry.fact;
        let body = String::from_utf8_lossy(&fact.body);
        let rest = (&fact.headers, &fact.query, &fact.dedupe_key, &fact.refusal);
        text.push_str(&format!("{body} {rest:?} {:?}\n", entry.events));
    }
    text
}

/// A log, and whose data is erased after all that.
fn cases() -> impl Strategy<Value = (History, Vec<Happening>, usize)> {
    (history(8), vec(happening(), 0..12), 0_usize..3)
}

#[test]
fn every_answer_stays_under_the_pseudonym() {
    let (erasures, unkept) = (Cell::new(0), Cell::new(0));
    hold(500, cases(), |(history, happenings, which)| {
        let (mut engine, now) = in_memory(&history, &happenings);
        let user: UserId = IDS[which].1.parse().unwrap();
        let times = recorded(&engine).times;
        let mut asked = some_of(&questions(&engine, None), 120);
        for as_of in some_of(&times, 8) {
            asked.extend(some_of(&questions(&engine, Some(as_of)), 40));
        }
        let before = said(&engine, &asked);
        let Some(erased) = erase(&mut engine, &user, now.next().next()) else {
            return Ok(());
        };
        erasures.set(erasures.get() + 1);
        if !erased.keeps_order {
            unkept.set(unkept.get() + 1);
            return Ok(());
        }
        let after = said(&engine, &renamed(&asked, &user, &erased.pseudonym));
        for ((question, before), after) in asked.iter().zip(before).zip(after) {
            prop_assert_eq!(before, after, "{:?}", question);
        }
        let is_known = questions(&engine, None).iter().any(|it| it.user == user);
        prop_assert!(!is_known);
        let verified = engine.reader().unwrap().verify(&mut |_| {}).unwrap();
        prop_assert_eq!(verified.fault, None);
        prop_assert_eq!(verified.head, erased.head);
        let projected = projections(&engine);
        engine.rebuild(&mut |_| {}).unwrap();
        prop_assert_eq!(projected, projections(&engine));
        Ok(())
    });
    let (erasures, unkept) = (erasures.get(), unkept.get());
    assert!(erasures > 300, "only {erasures} erasures");
    assert!(
        unkept * 20 < erasures,
        "{unkept} of {erasures} keep no order"
    );
}

#[test]
fn nothing_of_the_id_is_left_but_in_keys_of_others() {
    let bare = Cell::new(0);
    hold(300, cases(), |(history, happenings, which)| {
        let (mut engine, now) = in_memory(&history, &happenings);
        let user: UserId = IDS[which].1.parse().unwrap();
        let erased = erase(&mut engine, &user, now.next().next());
        let left = engine.plan_erasure(&user, &mut |_| {}).unwrap();
        prop_assert!(left.is_empty(), "{:?}", left);
        if user.as_str().len() > 4 && left.left == 0 {
            bare.set(bare.get() + u32::from(erased.is_some()));
            let text = all_of(&engine);
            prop_assert!(!text.contains(user.as_str()), "{}", text);
            let escaped = json!(user).to_string();
            prop_assert!(!text.contains(&escaped), "{}", text);
        }
        Ok(())
    });
    let bare = bare.get();
    assert!(bare > 100, "only {bare} logs were searched");
}

#[test]
fn what_was_erased_does_not_come_back_for_being_sent_again() {
    let again = Cell::new(0);
    hold(300, cases(), |(history, happenings, which)| {
        let (mut engine, now) = in_memory(&history, &happenings);
        let user: UserId = IDS[which].1.parse().unwrap();
        let now = now.next().next();
        let lines = history
            .lines
            .iter()
            .cloned()
            .map(|it| Happening::Told(it, None));
        let all = lines.chain(happenings.iter().cloned()).enumerate();
        let sent = |engine: &mut Engine<MemoryStore>| {
            let mut receipts = Vec::new();
            for (number, happening) in all.clone() {
                let Happening::Told(line, received) = happening else {
                    continue;
                };
                let request = Request {
                    body: body(&line, number).into_bytes(),
                    ..Request::default()
                };
                let delivery = Delivery::trusted(line.source.parse().unwrap(), request);
                receipts.push(engine.ingest(delivery.received_at(received), now).unwrap());
            }
            receipts
        };
        // Whatever was parked with a cause that is gone is taken first, so that all is a repetition.
        sent(&mut engine);
        erase(&mut engine, &user, now);
        let head = recorded(&engine).times.len();
        let receipts = sent(&mut engine);
        for receipt in &receipts {
            prop_assert!(
                matches!(receipt.outcome, Outcome::Duplicate | Outcome::Quarantined),
                "{:?}",
                receipt
            );
            again.set(again.get() + 1);
        }
        prop_assert_eq!(head, recorded(&engine).times.len());
        Ok(())
    });
    assert!(again.get() > 2_000);
}

#[test]
fn an_export_with_erasures_taken_in_elsewhere_is_the_same_log() {
    let lines = [Cell::new(0), Cell::new(0)];
    hold(300, cases(), |(history, happenings, which)| {
        let (mut engine, now) = in_memory(&history, &happenings);
        let user: UserId = IDS[which].1.parse().unwrap();
        erase(&mut engine, &user, now.next().next());
        let file = exported(&engine);
        for (what, count) in ["erased", "erasure"].into_iter().zip(&lines) {
            let found = file.matches(&format!("{{\"tenure\":\"{what}\"")).count();
            count.set(count.get() + found);
        }
        let mut again = Engine::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap();
        again.begin_with_rules(&history.rules).unwrap();
        let options = FileOptions {
            source: None,
            backfill: true,
        };
        let later = at("2400-01-01T00:00:00Z");
        let take = |engine: &mut Engine<MemoryStore>| {
            let mut file = Cursor::new(&file);
            engine
                .ingest_file(&mut file, &options, &mut || later, &mut |_| Ok(()))
                .unwrap();
        };
        take(&mut again);
        prop_assert_eq!(&file, &exported(&again));
        prop_assert_eq!(projections(&engine), projections(&again), "{}", file);
        let (one, two) = (recorded(&engine), recorded(&again));
        prop_assert_eq!(&one.times, &two.times);
        prop_assert_eq!(&one.events, &two.events);
        for as_of in some_of(&one.times, 6).into_iter().map(Some).chain([None]) {
            let asked = some_of(&questions(&engine, as_of), 30);
            prop_assert_eq!(
                super::checks(&engine, &asked),
                super::checks(&again, &asked)
            );
        }
        let verified = again.reader().unwrap().verify(&mut |_| {}).unwrap();
        prop_assert_eq!(verified.fault, None);
        take(&mut again);
        prop_assert_eq!(two.times.len(), recorded(&again).times.len(), "{}", file);
        Ok(())
    });
    let lines = lines.map(Cell::into_inner);
    assert!(lines.iter().all(|it| *it > 200), "{lines:?}");
}

#[test]
fn both_stores_erase_alike() {
    hold(120, cases(), |(history, happenings, which)| {
        let folder = super::stores::folder();
        let path = folder.path().join("tenure.db");
        let options = SqliteStoreOptions {
            salts: Some(salts()),
            ..SqliteStoreOptions::default()
        };
        let store = SqliteStore::create_or_open(&path, options).unwrap();
        let (mut file, now) = happened(store, &history, &happenings);
        let (mut memory, _) = in_memory(&history, &happenings);
        let user: UserId = IDS[which].1.parse().unwrap();
        let now = now.next().next();
        prop_assert_eq!(erase(&mut memory, &user, now), erase(&mut file, &user, now));
        file.wipe_erased().unwrap();
        prop_assert_eq!(all_of(&memory), all_of(&file));
        prop_assert_eq!(projections(&memory), projections(&file));
        let (memory, file) = (memory.reader().unwrap(), file.reader().unwrap());
        let verified = [verified(memory), verified(file)];
        prop_assert_eq!(&verified[0], &verified[1]);
        Ok(())
    });
}

fn verified<R: tenure::StoreReader>(mut reader: tenure::Reader<R>) -> tenure::Verification {
    let verified = reader.verify(&mut |_| {}).unwrap();
    assert_eq!(verified.fault, None);
    verified
}
