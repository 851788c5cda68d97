//! The law of leaving: a log that is exported and taken in elsewhere is the same log.

use std::cell::Cell;
use std::io::Cursor;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use tenure::{
    Delivery, Engine, FileOptions, Instant, MemoryStore, Position, Rules, Secrets, Settled, Store,
};

use crate::strategies::{
    Line, at, history, in_memory, instant, line, now, odd_line, projections, questions, recorded,
    rules, tell,
};

use super::{checks, hold, some_of};

/// What happens to a log.
#[derive(Clone, Debug)]
enum Happening {
    /// A delivery with its id, and when it says it was received.
    Told(Line, usize, Option<Instant>, bool),
    /// Rules are put in force; those of an unknown source leave its deliveries in quarantine.
    Applied(Rules),
    RetriedAll,
    Discarded(usize),
}

fn told() -> impl Strategy<Value = Happening> {
    let line = prop_oneof![6 => line(), 2 => odd_line()];
    let received = proptest::option::weighted(0.4, instant());
    (line, 0_usize..14, received, prop::bool::weighted(0.2))
        .prop_map(|(line, id, received, backfill)| Happening::Told(line, id, received, backfill))
}

fn without_shop(mut rules: Rules) -> Rules {
    rules.sources.retain(|name, _| name.as_str() != "shop");
    rules
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => told(),
        2 => rules().prop_map(Happening::Applied),
        1 => rules().prop_map(|it| Happening::Applied(without_shop(it))),
        2 => Just(Happening::RetriedAll),
        1 => (0_usize..3).prop_map(Happening::Discarded),
    ]
}

fn happened(
    first: Option<&Rules>,
    lines: &[Line],
    happenings: &[Happening],
) -> Engine<MemoryStore> {
    let mut engine = match first {
        Some(rules) => in_memory(rules),
        None => Engine::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap(),
    };
    let mut now = at("2024-03-15T00:00:00Z");
    let lines = lines.iter().enumerate();
    let lines = lines.map(|(id, line)| Happening::Told(line.clone(), id, None, false));
    for happening in lines.chain(happenings.iter().cloned()) {
        now = now.next().next().next();
        happen(&mut engine, happening, now);
    }
    engine
}

fn happen(engine: &mut Engine<MemoryStore>, happening: Happening, now: Instant) {
    match happening {
        Happening::Told(line, id, received, backfill) => {
            let mut envelope = json!({"source": line.source, "body": line.body(id)});
            if let Some(received) = received {
                envelope["received_at"] = json!(received);
            }
            let options = FileOptions {
                source: None,
                backfill,
            };
            let text = format!("{envelope}\n");
            let taken =
                engine.ingest_file(&mut Cursor::new(text), &options, &mut || now, &mut |_| {
                    Ok(())
                });
            taken.unwrap();
        }
        Happening::Applied(rules) => {
            engine.apply(&rules, now, &mut |_| {}).unwrap();
        }
        Happening::RetriedAll => {
            for position in open(engine) {
                let _result = engine.retry(position, now).unwrap();
            }
        }
        Happening::Discarded(which) => {
            if let Some(position) = open(engine).get(which) {
                engine.discard(*position, "why \"not\"", now).unwrap();
            }
        }
    }
}

fn open(engine: &Engine<MemoryStore>) -> Vec<Position> {
    let parked = engine
        .reader()
        .unwrap()
        .parked(Position::default(), 1_000)
        .unwrap();
    let open = parked
        .iter()
        .filter(|(parked, _)| parked.settled == Settled::Open);
    open.map(|(parked, _)| parked.position).collect()
}

pub(super) fn exported<S: Store>(engine: &Engine<S>) -> String {
    let mut reader = engine.reader().unwrap();
    let mut export = reader.export().unwrap();
    let mut text = String::new();
    while let Some(lines) = reader.export_lines(&mut export, 3).unwrap() {
        for line in lines {
            text.push_str(&line.text);
            text.push('\n');
        }
    }
    text
}

/// Many deliveries are read before they are taken, by the rules of that moment.
#[test]
fn a_large_batch_is_as_one_delivery_after_the_other_also_where_rules_change_within() {
    let parts = (history(1), rules(), vec(line(), 100..130));
    hold(12, parts, |(history, other, lines)| {
        let mut singly = in_memory(&history.rules);
        let mut together = in_memory(&history.rules);
        let mut first = 0;
        for rules in [None, Some(&other)] {
            for engine in [&mut singly, &mut together] {
                if let Some(rules) = rules {
                    engine.apply(rules, now(), &mut |_| {}).unwrap();
                }
            }
            tell(&mut singly, &lines, first);
            let deliveries = lines.iter().zip(first..);
            let deliveries = deliveries.map(|(line, id)| line.delivery(id)).collect();
            let receipts = together.ingest_batch(deliveries, now()).unwrap();
            prop_assert_eq!(receipts.len(), lines.len());
            prop_assert_eq!(exported(&singly), exported(&together));
            prop_assert_eq!(projections(&singly), projections(&together));
            first += lines.len();
        }
        // In the file the rules stand among the deliveries, which are read before by those that are in force by then.
        let file = exported(&together);
        let options = FileOptions {
            source: None,
            backfill: true,
        };
        let takes = |engine: &mut Engine<MemoryStore>, text: &str| {
            let mut later = || at("2400-01-01T00:00:00Z");
            let mut text = Cursor::new(text);
            engine
                .ingest_file(&mut text, &options, &mut later, &mut |_| Ok(()))
                .unwrap();
        };
        let mut by_line = in_memory(&history.rules);
        let mut as_whole = in_memory(&history.rules);
        file.split_inclusive('\n')
            .for_each(|line| takes(&mut by_line, line));
        takes(&mut as_whole, &file);
        prop_assert_eq!(exported(&by_line), exported(&as_whole));
        prop_assert_eq!(projections(&by_line), projections(&as_whole));
        Ok(())
    });
}

#[test]
fn an_export_taken_in_elsewhere_is_the_same_log() {
    let begun = proptest::option::weighted(0.8, Just(()));
    let parts = (begun, history(4), vec(happening(), 0..10));
    let counts = [Cell::new(0), Cell::new(0), Cell::new(0)];
    hold(500, parts, |(begun, history, happenings)| {
        let first = begun.map(|()| &history.rules);
        let engine = happened(first, &history.lines, &happenings);
        let file = exported(&engine);
        let mut again = Engine::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap();
        let has_rules_lines = file
            .lines()
            .next()
            .is_some_and(|it| tenure::brings_rules(it.as_bytes()));
        // Without rules lines the file takes the rules of the place, which here are those it was recorded under.
        if let (Some((_, rules)), false) = (recorded(&engine).rules.first(), has_rules_lines) {
            again.begin_with_rules(rules).unwrap();
        }
        for (what, count) in ["rules", "retry", "discard"].into_iter().zip(&counts) {
            let lines = file.matches(&format!("{{\"tenure\":\"{what}\"")).count();
            count.set(count.get() + lines);
        }
        let later = at("2400-01-01T00:00:00Z");
        let options = FileOptions {
            source: None,
            backfill: true,
        };
        again
            .ingest_file(
                &mut Cursor::new(&file),
                &options,
                &mut || later,
                &mut |_| Ok(()),
            )
            .unwrap();
        prop_assert_eq!(projections(&engine), projections(&again), "{}", file);
        prop_assert_eq!(&file, &exported(&again));
        let (one, two) = (recorded(&engine), recorded(&again));
        prop_assert_eq!(&one.times, &two.times);
        prop_assert_eq!(&one.events, &two.events);
        prop_assert_eq!(&one.rules, &two.rules);
        for as_of in some_of(&one.times, 8).into_iter().map(Some).chain([None]) {
            let asked = some_of(&questions(&engine, as_of), 30);
            prop_assert_eq!(checks(&engine, &asked), checks(&again, &asked));
        }
        let parked = |engine: &Engine<MemoryStore>| {
            let parked = engine
                .reader()
                .unwrap()
                .parked(Position::default(), 1_000)
                .unwrap();
            parked
                .into_iter()
                .map(|(parked, _)| parked)
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(parked(&engine), parked(&again));
        Ok(())
    });
    let counts = counts.map(Cell::into_inner);
    assert!(
        counts.iter().all(|lines| *lines > 20),
        "the histories are worth little: {counts:?}"
    );
}

#[test]
fn a_source_cannot_go_by_the_name_of_tenure() {
    let rules = json!({"sources": {"tenure": {"provider": "cloudevents"}}});
    let rules: Rules = serde_json::from_value(rules).unwrap();
    let mut engine = Engine::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap();
    let now = at("2026-01-01T00:00:00Z");
    assert!(engine.begin_with_rules(&rules).is_err());
    assert!(engine.apply_first(&rules, now).is_err());
    let error = engine.apply(&rules, now, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("`tenure`"), "{error}");
    assert!(engine.rules().unwrap().sources.is_empty());
    let trusted = Delivery::trusted("tenure".parse().unwrap(), Default::default());
    assert!(engine.ingest(trusted, now).is_err());
}
