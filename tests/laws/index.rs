//! The laws of the access index: it is the same decision, however it was filled.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tenure::domain::decision::Question;
use tenure::{
    AccessIndex, Decision, DenyReason, Engine, Instant, MemoryStore, Position, ResourceName,
    Secrets, SqliteStore, SqliteStoreOptions, Store, UserId, Verdict,
};

use crate::strategies::{
    History, Line, at, engine, history, in_memory, line, now, plain_rules, questions, rules, tell,
};

use super::erasing::erase;
use super::stores::{folder, in_file};
use super::{checks, hold, some_of};

/// How much the index left to `check`.
#[derive(Default)]
struct Told {
    answers: Cell<u64>,
    left_open: Cell<u64>,
}

impl Told {
    fn agrees(&self, index: &AccessIndex, decision: &Decision) -> TestCaseResult {
        let Question {
            user, resource, at, ..
        } = &decision.question;
        let allowed = decision.verdict.is_allowed();
        let asked = &decision.question;
        prop_assert_eq!(index.allows(user, resource, *at), allowed, "{:?}", asked);
        let answer = index.answer(user, resource, *at);
        prop_assert_eq!(answer.is_allowed, allowed, "{:?}", asked);
        prop_assert_eq!(answer.until, decision.next_change_at, "{:?}", asked);
        self.answers.set(self.answers.get() + 1);
        match answer.verdict {
            Some(verdict) => prop_assert_eq!(verdict, decision.verdict, "{:?}", asked),
            None => {
                prop_assert!(matches!(decision.verdict, Verdict::Deny(_)), "{:?}", asked);
                self.left_open.set(self.left_open.get() + 1);
            }
        }
        Ok(())
    }

    fn agree<S: Store>(
        &self,
        engine: &Engine<S>,
        index: &AccessIndex,
        most: usize,
    ) -> TestCaseResult {
        let asked = some_of(&questions(engine, None), most);
        checks(engine, &asked)
            .iter()
            .try_for_each(|decision| self.agrees(index, decision))
    }
}

fn index<S: Store>(engine: &mut Engine<S>) -> Arc<AccessIndex> {
    engine.index().unwrap()
}

#[test]
fn the_index_answers_as_check_does() {
    let told = Told::default();
    let cases = (
        history(12),
        rules(),
        proptest::collection::vec(line(), 0..4),
    );
    hold(1500, cases, |(history, other_rules, later)| {
        let mut engine = in_memory(&history.rules);
        let followed = index(&mut engine);
        for (id, line) in history.lines.iter().enumerate() {
            tell(&mut engine, std::slice::from_ref(line), id);
            told.agree(&engine, &followed, 40)?;
        }
        told.agree(&engine, &followed, usize::MAX)?;
        engine.apply(&other_rules, now(), &mut |_| {}).unwrap();
        told.agree(&engine, &followed, 200)?;
        tell(&mut engine, &later, 1_000);
        told.agree(&engine, &followed, 200)?;
        let position = engine.reader().unwrap().statistics().unwrap().entries;
        prop_assert_eq!(followed.position().0, position);
        Ok(())
    });
    let (answers, left_open) = (told.answers.get(), told.left_open.get());
    assert!(
        left_open * 20 < answers,
        "{left_open} of {answers} reasons are left to check"
    );
}

#[test]
fn filled_at_once_or_followed_the_index_is_the_same() {
    let told = Told::default();
    hold(400, history(14), |history: History| {
        let mut engine = in_memory(&history.rules);
        let (first, second): (&[Line], &[Line]) = history.lines.split_at(history.lines.len() / 2);
        tell(&mut engine, first, 0);
        let filled = index(&mut engine);
        told.agree(&engine, &filled, 200)?;
        tell(&mut engine, second, first.len());
        told.agree(&engine, &filled, 200)?;
        engine.rebuild(&mut |_| {}).unwrap();
        told.agree(&engine, &filled, 200)
    });
}

/// A file is read in a way of its own: segments are listed without their ids, and what a grant names without its events.
#[test]
fn the_index_of_a_file_answers_as_check_does() {
    let told = Told::default();
    hold(120, history(14), |history: History| {
        let folder = folder();
        let (first, later) = history.lines.split_at(history.lines.len() / 2);
        let first = History {
            lines: first.to_vec(),
            ..history.clone()
        };
        let mut engine = in_file(&folder.path().join("tenure.db"), &first);
        let index = index(&mut engine);
        told.agree(&engine, &index, 300)?;
        tell(&mut engine, later, first.lines.len());
        told.agree(&engine, &index, 300)
    });
}

/// Two products include the resource, and the reader is moved from one to the other and back: whoever saw one delivery only
/// half would find a moment without access. New readers make the shards grow meanwhile.
#[test]
fn who_asks_while_deliveries_come_sees_each_wholly() {
    let rules = r#"{"sources": {"crm": {"provider": "cloudevents"}},
        "products": {"one": {"includes": ["page"]}, "two": {"includes": ["page"]}}}"#;
    let mut engine = in_memory(&serde_json::from_str(rules).unwrap());
    let index = index(&mut engine);
    let give =
        |engine: &mut Engine<MemoryStore>, id: usize, grant: &str, user: &str, product: &str| {
            let line = Line::of_grant("crm", "granted", grant, at("2026-01-01T00:00:00Z"));
            let line = line.for_user(user).with("product", product.into());
            tell(
                engine,
                &[line.with("until", "2027-01-01T00:00:00Z".into())],
                id,
            );
        };
    give(&mut engine, 0, "g", "u", "one");
    let (user, page): (UserId, ResourceName) = ("u".parse().unwrap(), "page".parse().unwrap());
    let instant = at("2026-06-01T00:00:00Z");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut askers = Vec::new();
        for _ in 0..2 {
            askers.push(scope.spawn(|| {
                let mut asked = 0_u64;
                while !is_done.load(Ordering::Acquire) {
                    assert!(
                        index.allows(&user, &page, instant),
                        "after {asked} questions"
                    );
                    let answer = index.answer(&user, &page, instant);
                    assert_eq!(answer.until, Some(at("2027-01-01T00:00:00Z")));
                    asked += 1;
                }
                asked
            }));
        }
        let begin = at("2026-01-02T00:00:00Z").micros();
        for id in 1..600 {
            let time = begin + 60_000_000 * i64::try_from(id).unwrap();
            let time = Instant::from_micros(time).unwrap();
            let product = if id % 2 == 0 { "one" } else { "two" };
            let line = Line::of_grant("crm", "switched", "g", time);
            let line = line.for_user("u").with("product", product.into());
            tell(&mut engine, &[line], 2 * id);
            give(
                &mut engine,
                2 * id + 1,
                &format!("g{id}"),
                &format!("u{id}"),
                "one",
            );
        }
        is_done.store(true, Ordering::Release);
        assert!(askers.into_iter().all(|asker| asker.join().unwrap() > 0));
    });
}

fn given(user: &str) -> [Line; 1] {
    let line = Line::of_grant(
        "crm",
        "granted",
        &format!("g-{user}"),
        at("2026-01-01T00:00:00Z"),
    );
    let line = line.for_user(user).with("product", "news".into());
    [line.with("until", "2027-01-01T00:00:00Z".into())]
}

#[test]
fn what_another_writer_records_is_learnt_when_asked_for_or_with_the_next_write() {
    let folder = folder();
    let path = folder.path().join("tenure.db");
    let open = || SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
    let mut engine = engine(open(), &plain_rules());
    let index = engine.index().unwrap();
    let mut other = Engine::new(open(), Secrets::default()).unwrap();
    let has = |user: &str| {
        let resource = "news".parse().unwrap();
        index.allows(
            &user.parse().unwrap(),
            &resource,
            at("2026-06-01T00:00:00Z"),
        )
    };

    tell(&mut other, &given("ann"), 1);
    assert!(!has("ann"));
    let mut reader = engine.reader().unwrap();
    reader.renew_index(&index).unwrap();
    assert!(has("ann"));
    reader.renew_index(&index).unwrap();
    assert_eq!(index.position(), Position(2));

    tell(&mut other, &given("bob"), 2);
    tell(&mut engine, &given("cid"), 3);
    assert!(has("bob") && has("cid"));
    assert_eq!(index.position(), Position(4));
    assert!(index.bytes() > 0);
}

#[test]
fn after_an_erasure_only_the_pseudonym_has_access() {
    let mut engine = in_memory(&plain_rules());
    let index = index(&mut engine);
    tell(&mut engine, &given("reader-4711"), 1);
    let (user, resource) = ("reader-4711".parse().unwrap(), "news".parse().unwrap());
    assert!(index.allows(&user, &resource, at("2026-06-01T00:00:00Z")));

    let erased = erase(&mut engine, &user, now()).unwrap();
    let gone = index.answer(&user, &resource, at("2026-06-01T00:00:00Z"));
    assert_eq!(gone.verdict, Some(Verdict::Deny(DenyReason::UnknownUser)));
    assert!(index.allows(&erased.pseudonym, &resource, at("2026-06-01T00:00:00Z")));
}
