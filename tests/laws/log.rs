//! The laws of taking deliveries: order, repetition, parts, withdrawals, and what is known when.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use tenure::domain::decision::Question;
use tenure::{Delivery, Outcome, Position, Statement};

use crate::strategies::{
    History, Line, change_of, essence, history, in_memory, line, now, odd_line, projections,
    questions, recorded, rules, tell, told,
};

use super::{checks, hold, said, some_of};

fn permuted(most: usize) -> impl Strategy<Value = (History, Vec<usize>)> {
    history(most).prop_flat_map(|history| {
        let order: Vec<usize> = (0..history.lines.len()).collect();
        (Just(history), Just(order).prop_shuffle())
    })
}

#[test]
fn arrival_order_does_not_matter() {
    hold(1000, permuted(12), |(history, order)| {
        let in_order = told(&history);
        let mut other = in_memory(&history.rules);
        for id in order {
            other.ingest(history.lines[id].delivery(id), now()).unwrap();
        }
        prop_assert_eq!(essence(&in_order), essence(&other));
        let questions = some_of(&questions(&in_order, None), 150);
        for (one, two) in checks(&in_order, &questions)
            .iter()
            .zip(checks(&other, &questions))
        {
            prop_assert_eq!(said(one), said(&two), "{:?}", one.question);
        }
        Ok(())
    });
}

#[test]
fn duplicates_do_not_matter() {
    let repeated = history(10).prop_flat_map(|history| {
        let most = history.lines.len();
        let repeats = vec((0..most.max(1), 0..most.max(1)), 0..8);
        (Just(history), repeats)
    });
    hold(600, repeated, |(history, repeats)| {
        let once = told(&history);
        let mut often = in_memory(&history.rules);
        let mut again = 0;
        for (id, line) in history.lines.iter().enumerate() {
            often.ingest(line.delivery(id), now()).unwrap();
            for (_, earlier) in repeats
                .iter()
                .filter(|(after, what)| *after == id && *what <= id)
            {
                let receipt = often.ingest(history.lines[*earlier].delivery(*earlier), now());
                again += u64::from(receipt.unwrap().outcome == Outcome::Duplicate);
            }
        }
        prop_assert_eq!(projections(&once), projections(&often));
        prop_assert_eq!(recorded(&once).events, recorded(&often).events);
        let counted = often.reader().unwrap().statistics().unwrap().duplicate;
        prop_assert_eq!(counted, again);
        Ok(())
    });
}

#[test]
fn rebuild_equals_incremental() {
    hold(800, history(12), |history| {
        let mut engine = told(&history);
        let incremental = format!("{:?}", projections(&engine));
        engine.rebuild(&mut |_| {}).unwrap();
        prop_assert_eq!(incremental, format!("{:?}", projections(&engine)));
        Ok(())
    });
}

#[test]
fn folding_in_two_parts_equals_folding_once() {
    let split = history(10).prop_flat_map(|history| {
        let most = history.lines.len();
        (Just(history), 0..=most)
    });
    hold(800, split, |(history, split)| {
        let lines: Vec<Delivery> = history
            .lines
            .iter()
            .enumerate()
            .map(|(id, line)| line.delivery(id))
            .collect();
        let one_by_one = told(&history);
        let mut at_once = in_memory(&history.rules);
        at_once.ingest_batch(lines.clone(), now()).unwrap();
        let mut in_two = in_memory(&history.rules);
        let (first, second) = lines.split_at(split);
        in_two.ingest_batch(first.to_vec(), now()).unwrap();
        in_two.ingest_batch(second.to_vec(), now()).unwrap();
        prop_assert_eq!(projections(&one_by_one), projections(&at_once));
        prop_assert_eq!(projections(&one_by_one), projections(&in_two));
        prop_assert_eq!(recorded(&one_by_one).events, recorded(&in_two).events);
        Ok(())
    });
}

#[test]
fn a_later_recording_never_changes_an_earlier_as_of_answer() {
    hold(240, (history(10), 0_usize..10), |(history, split)| {
        let split = split.min(history.lines.len());
        let (first, later) = history.lines.split_at(split);
        let mut engine = in_memory(&history.rules);
        tell(&mut engine, first, 0);
        let whole = told(&history);
        let mut asked = Vec::new();
        for as_of in recorded(&engine).times {
            asked.extend(some_of(&questions(&whole, Some(as_of)), 60));
        }
        let mut reader = engine.reader().unwrap();
        let before = checks(&engine, &asked);
        let last = recorded(&engine).times.last().copied();
        let explained = |reader: &mut tenure::Reader<tenure::MemoryReader>| {
            let some = some_of(&asked, 20);
            some.iter()
                .map(|it| reader.explain(it, None).unwrap())
                .collect::<Vec<_>>()
        };
        let (windows, explanations) = (
            recorded(&whole)
                .users()
                .into_iter()
                .map(|user| reader.windows(&user, last).unwrap())
                .collect::<Vec<_>>(),
            explained(&mut reader),
        );
        tell(&mut engine, later, split);
        prop_assert_eq!(before, checks(&engine, &asked));
        let again = recorded(&whole)
            .users()
            .into_iter()
            .map(|user| reader.windows(&user, last).unwrap());
        prop_assert_eq!(windows, again.collect::<Vec<_>>());
        prop_assert_eq!(explanations, explained(&mut reader));
        Ok(())
    });
}

#[test]
fn every_delivery_is_accounted_for() {
    let lines = vec(
        (prop_oneof![3 => line(), 1 => odd_line()], 0_usize..3),
        0..12,
    );
    hold(800, (rules(), lines), |(rules, lines)| {
        let mut engine = in_memory(&rules);
        let (mut handed, mut outcomes) = (0, BTreeMap::new());
        let mut places = BTreeSet::from([Position(1)]);
        // Few ids: some come again with another body.
        for (id, line) in lines
            .iter()
            .map(|(line, times)| (times + 3 * usize::from(line.source == "crm"), line))
        {
            for _ in 0..=id % 2 {
                let receipt = engine.ingest(line.delivery(id), now()).unwrap();
                handed += 1;
                *outcomes.entry(receipt.outcome.name()).or_insert(0) += 1;
                places.insert(receipt.position);
            }
        }
        let statistics = engine.reader().unwrap().statistics().unwrap();
        let of = |name| outcomes.get(name).copied().unwrap_or(0);
        prop_assert_eq!(statistics.received, handed);
        prop_assert_eq!(statistics.applied, of("applied"));
        prop_assert_eq!(statistics.ignored, of("ignored"));
        prop_assert_eq!(statistics.quarantined, of("quarantined"));
        prop_assert_eq!(statistics.duplicate, of("duplicate"));
        // Every receipt names an entry, every entry but the rules was named, and there is no gap.
        let entries: BTreeSet<_> = (1..=statistics.entries).map(Position).collect();
        prop_assert_eq!(places, entries);
        Ok(())
    });
}

#[test]
fn a_withdrawn_statement_leaves_no_trace_in_later_answers_and_all_of_it_in_earlier_ones() {
    let with_one = history(9).prop_flat_map(|history| {
        let most = history.lines.len().max(1);
        (Just(history.without_withdrawals()), 0..most, any::<bool>())
    });
    hold(480, with_one, |(history, which, before)| {
        let Some(taken_back) = history.lines.get(which).cloned() else {
            return Ok(());
        };
        let mut withdrawal = Line::of_grant(taken_back.source, "withdrawn", "", now());
        withdrawal.data = BTreeMap::from([(
            "id".to_owned(),
            json!(format!("{} e{which}", taken_back.source)),
        )]);
        let id = history.lines.len();

        let mut never = in_memory(&history.rules);
        let mut with = in_memory(&history.rules);
        if before {
            with.ingest(withdrawal.delivery(id), now()).unwrap();
        }
        for (id, line) in history.lines.iter().enumerate() {
            with.ingest(line.delivery(id), now()).unwrap();
            if id != which {
                never.ingest(line.delivery(id), now()).unwrap();
            }
        }
        let asked = some_of(
            &questions(&with, recorded(&with).times.last().copied()),
            200,
        );
        let earlier = checks(&with, &asked);
        if !before {
            with.ingest(withdrawal.delivery(id), now()).unwrap();
            prop_assert_eq!(earlier, checks(&with, &asked));
        }
        prop_assert_eq!(essence(&with), essence(&never));
        let later: Vec<_> = asked
            .into_iter()
            .map(|it| Question { as_of: None, ..it })
            .collect();
        for (with, never) in checks(&with, &later).iter().zip(checks(&never, &later)) {
            prop_assert_eq!(said(with), said(&never), "{:?}", with.question);
        }
        Ok(())
    });
}

#[test]
fn the_histories_are_worth_their_while() {
    // Strategies that only ever give orphans would hold any law.
    let verbs = Cell::new(BTreeSet::new());
    let counts = Cell::new((0, 0, 0, 0));
    let reasons = Cell::new(BTreeSet::new());
    hold(600, history(12), |history| {
        let engine = told(&history);
        let (mut lines, mut parked, mut windows, mut cases) = counts.get();
        cases += 1;
        lines += history.lines.len();
        let statistics = engine.reader().unwrap().statistics().unwrap();
        parked += usize::try_from(statistics.quarantined).unwrap();
        windows += usize::try_from(statistics.windows).unwrap();
        counts.set((lines, parked, windows, cases));
        let mut seen = verbs.take();
        for event in recorded(&engine).events {
            seen.insert(event.event.statement.name().to_owned());
            let optional = change_of(&event.event.statement).map(|it| it.stated_end().is_some());
            seen.extend(
                optional.map(|stated| format!("{} {stated}", event.event.statement.name())),
            );
            if let Statement::User(statement) = &event.event.statement {
                seen.insert(format!("{:?}", std::mem::discriminant(&statement.change)));
            }
        }
        verbs.set(seen);
        let mut seen = reasons.take();
        seen.extend(
            checks(&engine, &some_of(&questions(&engine, None), 100))
                .iter()
                .map(|it| it.verdict.reason()),
        );
        reasons.set(seen);
        Ok(())
    });
    let (lines, parked, windows, cases) = counts.get();
    let (verbs, reasons) = (verbs.into_inner(), reasons.into_inner());
    println!(
        "{cases} histories, {lines} deliveries, {parked} parked, {windows} windows, {reasons:?}"
    );
    assert!(parked * 4 < lines, "{parked} of {lines} are parked");
    assert!(
        windows * 5 > cases * 4,
        "{windows} windows in {cases} histories"
    );
    assert_eq!(reasons.len(), 14, "{reasons:?}");
    assert!(verbs.len() >= 18, "{verbs:?}");
}
