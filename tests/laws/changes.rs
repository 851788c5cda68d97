//! The laws of changes: every turn of access is told, once, at its place, and what later entries alter is corrected.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tenure::{
    AccessTurn, ChangesCursor, ChangesQuestion, Correction, Engine, Instant, RecordedAt,
    ResourceName, Store, Turn, UserId,
};

use crate::model::Model;
use crate::strategies::{
    History, Line, PRODUCTS, Recorded, engine, history, in_memory, line, now, recorded, resources,
    rules, tell, told,
};

use super::stores::folder;
use super::{hold, some_of};

/// A turn: when, whose, of what, and whether access begins.
type Told = (Instant, UserId, ResourceName, bool);

fn everything(resource: Option<ResourceName>, as_of: Option<RecordedAt>) -> ChangesQuestion {
    ChangesQuestion {
        from: Instant::FIRST,
        to: Instant::LAST,
        user: None,
        resource,
        as_of,
    }
}

fn read<S: Store>(engine: &Engine<S>, question: &ChangesQuestion) -> Vec<AccessTurn> {
    let mut reader = engine.reader().unwrap();
    let turns = reader.changes(question, None);
    turns.collect::<Result<_, _>>().unwrap()
}

fn as_told(turn: &AccessTurn) -> Told {
    let product = turn.product.as_ref().map(ResourceName::from);
    let of = product.or(turn.resource.clone()).unwrap();
    (turn.at, turn.user.clone(), of, turn.change == Turn::Begins)
}

fn told_of(turns: &[AccessTurn]) -> BTreeSet<Told> {
    turns.iter().map(as_told).collect()
}

/// What the model says of every id that is named.
fn of_model(recorded: &Recorded, question: &ChangesQuestion) -> BTreeSet<Told> {
    let mut rules = recorded.rules.clone();
    let of: Vec<ResourceName> = match &question.resource {
        Some(resource) => vec![resource.clone()],
        None => {
            // Each product by itself: what products include plays no part.
            for (_, rules) in &mut rules {
                rules.products.clear();
            }
            PRODUCTS.map(|it| it.parse().unwrap()).to_vec()
        }
    };
    let model = Model {
        events: &recorded.events,
        rules: &rules,
    };
    let users = recorded.users().into_iter();
    let users = users.filter(|user| question.user.as_ref().is_none_or(|only| only == user));
    let mut turns = BTreeSet::new();
    for user in users {
        for resource in &of {
            for (at, begins) in model.turns(&user, resource, question.as_of) {
                if at >= question.from && at < question.to {
                    turns.insert((at, user.clone(), resource.clone(), begins));
                }
            }
        }
    }
    turns
}

fn the_changes_agree<S: Store>(
    engine: &Engine<S>,
    recorded: &Recorded,
    question: &ChangesQuestion,
) -> TestCaseResult {
    let turns = read(engine, question);
    prop_assert_eq!(
        told_of(&turns),
        of_model(recorded, question),
        "{:?}",
        question
    );
    prop_assert_eq!(told_of(&turns).len(), turns.len(), "a turn was told twice");
    prop_assert!(turns.is_sorted_by_key(|turn| turn.at), "{:?}", turns);
    prop_assert!(turns.iter().all(|turn| turn.correction.is_none()));
    Ok(())
}

#[test]
fn changes_equal_the_model() {
    hold(1000, history(12), |history| {
        let engine = told(&history);
        let recorded = recorded(&engine);
        let followed = resources().into_iter().map(Some).chain([None]);
        for resource in followed {
            the_changes_agree(&engine, &recorded, &everything(resource, None))?;
        }
        for as_of in some_of(&recorded.times, 3) {
            the_changes_agree(&engine, &recorded, &everything(None, Some(as_of)))?;
        }
        Ok(())
    });
}

#[test]
fn changes_of_one_user_and_of_a_span_are_those_of_all() {
    hold(
        300,
        (history(10), 0_usize..40, 0_usize..40),
        |(history, a, b)| {
            let engine = told(&history);
            let recorded = recorded(&engine);
            for resource in [None, Some("news/1".parse().unwrap())] {
                let whole = everything(resource, None);
                let all = told_of(&read(&engine, &whole));
                let instants: Vec<Instant> = all.iter().map(|it| it.0).collect();
                let at = |place: usize| instants.get(place % instants.len().max(1)).copied();
                let (a, b) = (at(a).unwrap_or(now()), at(b).unwrap_or(now()));
                for user in recorded.users().into_iter().map(Some).chain([None]) {
                    let part = ChangesQuestion {
                        from: a.min(b),
                        to: a.max(b),
                        user: user.clone(),
                        ..whole.clone()
                    };
                    let own = all.iter().filter(|it| {
                        it.0 >= part.from
                            && it.0 < part.to
                            && user.as_ref().is_none_or(|user| it.1 == *user)
                    });
                    prop_assert_eq!(
                        told_of(&read(&engine, &part)),
                        own.cloned().collect::<BTreeSet<_>>()
                    );
                }
            }
            Ok(())
        },
    );
}

/// Who reads on: what was told so far, with the corrections applied.
struct Follower {
    question: ChangesQuestion,
    cursor: Option<ChangesCursor>,
    known: BTreeSet<Told>,
}

impl Follower {
    /// Reads a page, as a program would that is ended after some of its turns, and begins again after the last it handled.
    fn read<S: Store>(
        &mut self,
        engine: &Engine<S>,
        limit: usize,
        handled: usize,
    ) -> TestCaseResult {
        let mut reader = engine.reader().unwrap();
        let page = reader
            .changes_page(&self.question, self.cursor.as_ref(), limit)
            .unwrap();
        prop_assert!(page.turns.len() <= limit);
        let is_whole = handled >= page.turns.len();
        for turn in page.turns.into_iter().take(handled) {
            let told = as_told(&turn);
            match turn.correction {
                Some(Correction::Retracted) => {
                    prop_assert!(self.known.remove(&told), "never told: {:?}", turn);
                }
                Some(Correction::Added) | None => {
                    prop_assert!(self.known.insert(told), "told before: {:?}", turn);
                }
            }
            self.cursor = Some(turn.cursor);
        }
        if is_whole {
            self.cursor = Some(page.cursor);
        }
        // A cursor is kept as text.
        let text = self.cursor.as_ref().map(ToString::to_string);
        self.cursor = text.map(|text| text.parse().unwrap());
        Ok(())
    }

    fn read_to_the_end<S: Store>(&mut self, engine: &Engine<S>) -> TestCaseResult {
        for _ in 0..1_000 {
            self.read(engine, 7, 7)?;
            let mut reader = engine.reader().unwrap();
            let ahead = reader.changes_page(&self.question, self.cursor.as_ref(), 1);
            let ahead = ahead.unwrap();
            if ahead.is_complete && ahead.turns.is_empty() {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("no end"))
    }
}

/// One step of a history that is followed.
#[derive(Clone, Debug)]
enum Step {
    Tell(Line),
    Apply(Box<tenure::Rules>),
    /// Up to which instant, with what limit, and how many of the page are handled.
    Read(Instant, usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let read = (crate::strategies::instant(), 1_usize..6, 0_usize..6);
    prop_oneof![
        5 => line().prop_map(Step::Tell),
        1 => rules().prop_map(|rules| Step::Apply(Box::new(rules))),
        5 => read.prop_map(|(to, limit, handled)| Step::Read(to, limit, handled)),
    ]
}

fn follow<S: Store>(
    engine: &mut Engine<S>,
    steps: &[Step],
    resource: Option<ResourceName>,
    user: Option<UserId>,
) -> TestCaseResult {
    let mut question = everything(resource, None);
    question.user = user;
    let mut follower = Follower {
        question,
        cursor: None,
        known: BTreeSet::new(),
    };
    for (place, step) in steps.iter().enumerate() {
        match step {
            Step::Tell(line) => tell(engine, std::slice::from_ref(line), 100 + place),
            Step::Apply(rules) => {
                engine.apply(rules, now(), &mut |_| {}).unwrap();
            }
            Step::Read(to, limit, handled) => {
                follower.question.to = *to;
                follower.read(engine, *limit, *handled)?;
            }
        }
    }
    follower.question.to = Instant::LAST;
    follower.read_to_the_end(engine)?;
    let fresh = told_of(&read(engine, &follower.question));
    prop_assert_eq!(follower.known, fresh);
    Ok(())
}

#[test]
fn who_follows_the_changes_knows_what_is_known_however_it_is_read() {
    let steps = prop::collection::vec(step(), 2..24);
    hold(1500, (history(5), steps), |(history, steps)| {
        for resource in [None, Some("news/1".parse().unwrap())] {
            for user in [None, Some("u".parse().unwrap())] {
                let mut engine = in_memory(&history.rules);
                tell(&mut engine, &history.lines, 0);
                follow(&mut engine, &steps, resource.clone(), user)?;
            }
        }
        Ok(())
    });
}

#[test]
fn the_cause_of_a_change_is_what_check_says_then() {
    hold(300, history(10), |history| {
        let engine = told(&history);
        let mut reader = engine.reader().unwrap();
        let question = everything(Some("news/1".parse().unwrap()), None);
        for turn in read(&engine, &question) {
            let asked = tenure::Question {
                user: turn.user.clone(),
                resource: "news/1".parse().unwrap(),
                at: turn.at,
                as_of: None,
            };
            let decision = reader.check(&asked).unwrap();
            prop_assert_eq!(decision.verdict.is_allowed(), turn.change == Turn::Begins);
            prop_assert_eq!(decision.verdict.reason(), turn.cause.reason);
            let grant = decision.access.map(|access| access.grant);
            let (key, source) = grant.clone().map(|it| (it.key, it.source)).unzip();
            prop_assert_eq!((&key, &source), (&turn.cause.grant, &turn.cause.source));
            prop_assert!(grant.is_none() || turn.cause.position.is_some());
        }
        Ok(())
    });
}

#[test]
fn both_stores_tell_the_same_changes() {
    let steps = prop::collection::vec(step(), 2..12);
    hold(60, (history(8), steps), |(history, steps): (History, _)| {
        let memory = told(&history);
        let folder = folder();
        let path = folder.path().join("tenure.db");
        let store = tenure::SqliteStore::create_or_open(&path, Default::default()).unwrap();
        let mut file = engine(store, &history.rules);
        tell(&mut file, &history.lines, 0);
        for resource in [None, Some("news/1".parse().unwrap())] {
            let question = everything(resource.clone(), None);
            prop_assert_eq!(
                read(&memory, &question)
                    .iter()
                    .map(as_told)
                    .collect::<Vec<_>>(),
                read(&file, &question)
                    .iter()
                    .map(as_told)
                    .collect::<Vec<_>>()
            );
        }
        follow(&mut file, &steps, Some("news/1".parse().unwrap()), None)
    });
}

#[test]
fn a_cursor_of_another_question_or_log_is_refused() {
    let line = |id: usize, user: &str| {
        let time = crate::strategies::at("2026-01-01T00:00:00Z");
        let line = Line::of_grant("crm", "granted", "g", time).for_user(user);
        let line = line.with("product", "pro".into());
        line.with("until", "2026-02-01T00:00:00Z".into())
            .delivery(id)
    };
    let rules = crate::strategies::plain_rules();
    let (mut one, mut other) = (in_memory(&rules), in_memory(&rules));
    one.ingest(line(1, "u"), now()).unwrap();
    other.ingest(line(1, "v"), now()).unwrap();
    let question = everything(None, None);
    let page = one.reader().unwrap().changes_page(&question, None, 1);
    let cursor = page.unwrap().cursor;
    let refused = |engine: &Engine<_>, question: &ChangesQuestion| {
        let mut reader = engine.reader().unwrap();
        let page = reader.changes_page(question, Some(&cursor), 1);
        page.map(|_| ()).unwrap_err().to_string()
    };
    let another = ChangesQuestion {
        user: Some("u".parse().unwrap()),
        ..question.clone()
    };
    assert!(refused(&one, &another).contains("another question"));
    assert!(refused(&other, &question).contains("does not hold"));
    let text = cursor.to_string();
    let cut: String = text.chars().skip(3).collect();
    let parsed: Result<ChangesCursor, _> = cut.parse();
    assert!(parsed.unwrap_err().to_string().contains("not a cursor"));
}

#[test]
fn what_happens_to_a_parent_is_corrected_for_the_users_of_its_children() {
    let on = |day: &str| crate::strategies::at(&format!("2026-01-{day}T00:00:00Z"));
    let granted = |grant: &str, user: &str| {
        let line = Line::of_grant("crm", "granted", grant, on("01")).for_user(user);
        let line = line.with("product", "pro".into());
        line.with("until", "2026-03-01T00:00:00Z".into())
    };
    let child = granted("child", "reader").with("parent", "company".into());
    let mut engine = in_memory(&crate::strategies::plain_rules());
    tell(&mut engine, &[granted("company", "boss"), child], 0);
    let mut follower = Follower {
        question: everything(None, None),
        cursor: None,
        known: BTreeSet::new(),
    };
    follower.read_to_the_end(&engine).unwrap();
    let revoked = Line::of_grant("crm", "revoked", "company", on("10"));
    tell(&mut engine, &[revoked], 10);
    follower.read_to_the_end(&engine).unwrap();
    let ends = |user: &str| {
        let user: UserId = user.parse().unwrap();
        let ends = follower.known.iter().filter(|it| it.1 == user && !it.3);
        ends.map(|it| it.0).collect::<Vec<_>>()
    };
    assert_eq!(ends("boss"), [on("10")]);
    assert_eq!(ends("reader"), [on("10")]);
}
