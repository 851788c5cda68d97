//! The laws of changing the rules: what a plan says is what applying does, and what was answered before stays.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::json;
use tenure::domain::decision::Question;
use tenure::{
    Decision, Direction, End, Engine, Instant, MemoryStore, PlanSummary, PlannedChange, RecordedAt,
    ResourceName, Rules, Store, UserId,
};

use crate::strategies::{
    History, Line, at, boundaries, engine, history, in_memory, instants_to_ask, line, now,
    projections, questions, recorded, resources, rules, state, tell, told,
};

use super::{checks, hold, some_of};
use crate::agreement::the_answers_agree;

fn plan<S: Store>(engine: &Engine<S>, rules: &Rules) -> (Vec<PlannedChange>, PlanSummary) {
    let mut changes = Vec::new();
    let mut reader = engine.reader().unwrap();
    let summary = reader
        .plan(
            rules,
            now(),
            &mut |change| changes.push(change),
            &mut |_| {},
        )
        .unwrap();
    (changes, summary)
}

fn apply<S: Store>(engine: &mut Engine<S>, rules: &Rules) {
    engine.apply(rules, now(), &mut |_| {}).unwrap();
}

/// A history, and the rules that come after those it was told under.
fn two_rules(most: usize) -> impl Strategy<Value = (History, Rules)> {
    (history(most), rules())
}

/// The resource by whose name a plan speaks of `resource`: its own, else the longest prefix either version names.
fn spoken_of(resource: &ResourceName, versions: [&Rules; 2]) -> Option<ResourceName> {
    let mut named: BTreeSet<ResourceName> = BTreeSet::new();
    for rules in versions {
        for (product, of_product) in &rules.products {
            named.insert(product.into());
            named.extend(
                of_product
                    .includes
                    .iter()
                    .map(|include| include.name.clone()),
            );
        }
    }
    if named.contains(resource) {
        return Some(resource.clone());
    }
    let begins = |name: &&ResourceName| {
        let prefix = name.as_str().strip_suffix('*');
        prefix.is_some_and(|prefix| resource.as_str().starts_with(prefix))
    };
    named
        .iter()
        .filter(begins)
        .max_by_key(|name| name.as_str().len())
        .cloned()
}

/// What the plan says of a question: access gained, lost, or nothing.
fn said(
    plan: &[PlannedChange],
    question: &Question,
    spoken_of: Option<&ResourceName>,
) -> Option<Direction> {
    let holds = |planned: &&PlannedChange| {
        let change = &planned.change;
        planned.users.contains(&question.user)
            && Some(&change.resource) == spoken_of
            && change.start <= question.at
            && change.end.is_after(question.at)
    };
    let mut said = plan
        .iter()
        .filter(holds)
        .map(|planned| planned.change.direction);
    let first = said.next();
    assert!(said.next().is_none(), "said twice of {question:?}");
    first
}

fn became(before: &Decision, after: &Decision) -> Option<Direction> {
    match (before.verdict.is_allowed(), after.verdict.is_allowed()) {
        (false, true) => Some(Direction::Gains),
        (true, false) => Some(Direction::Loses),
        (true, true) | (false, false) => None,
    }
}

/// Every user and resource at every instant that either version knows.
fn asked(engine: &Engine<MemoryStore>, instants: &BTreeSet<Instant>) -> Vec<Question> {
    let more = ["news/2", "news/*", "other"].map(|name| name.parse().unwrap());
    let mut questions = Vec::new();
    for user in recorded(engine).users() {
        for resource in resources().into_iter().chain(more.clone()) {
            questions.extend(instants.iter().map(|at| Question {
                user: user.clone(),
                resource: resource.clone(),
                at: *at,
                as_of: None,
            }));
        }
    }
    questions
}

#[test]
fn plan_then_apply_gives_what_plan_said() {
    hold(600, two_rules(12), |(history, rules)| {
        let mut engine = told(&history);
        let mut instants = boundaries(&projections(&engine), &history.rules);
        let (plan, summary) = plan(&engine, &rules);
        let mut later = told(&history);
        apply(&mut later, &rules);
        instants.extend(boundaries(&projections(&later), &rules));
        let questions = asked(&engine, &instants_to_ask(&instants));
        let before = checks(&engine, &questions);
        apply(&mut engine, &rules);
        let after = checks(&engine, &questions);
        for (before, after) in before.iter().zip(&after) {
            let question = &before.question;
            let name = spoken_of(&question.resource, [&history.rules, &rules]);
            let said = said(&plan, question, name.as_ref());
            prop_assert_eq!(said, became(before, after), "{:?}\n{:?}", question, plan);
        }
        let total = summary.gains.total() + summary.losses.total();
        prop_assert_eq!(u64::try_from(plan.len()).unwrap(), total);
        Ok(())
    });
}

/// Everyone some event of a grant names that was not withdrawn, with the ids linked to them.
fn people<S: Store>(engine: &Engine<S>) -> BTreeSet<Vec<UserId>> {
    let mut reader = engine.reader().unwrap();
    let users = recorded(engine).users().into_iter();
    let timelines = users.map(|user| reader.timeline(&user, None).unwrap());
    let with_grants = timelines.filter(|timeline| !timeline.lanes.is_empty());
    with_grants.map(|timeline| timeline.linked).collect()
}

#[test]
fn a_plan_looks_at_everyone_once_and_tells_of_them_in_order() {
    hold(300, two_rules(12), |(history, rules)| {
        let engine = told(&history.without_withdrawals());
        let (plan, summary) = plan(&engine, &rules);
        let people = people(&engine);
        if summary.people == 0 {
            prop_assert_eq!(&plan, &[]);
        } else {
            prop_assert_eq!(summary.people, u64::try_from(people.len()).unwrap());
        }
        prop_assert!(plan.iter().all(|planned| people.contains(&planned.users)));
        let first_ids: Vec<_> = plan.iter().map(|planned| planned.users.first()).collect();
        prop_assert!(first_ids.is_sorted());
        Ok(())
    });
}

/// Where more people are concerned than it pays to look for, the plan is the same as where there are few.
#[test]
fn a_plan_that_concerns_nearly_everyone_tells_of_each() {
    let days = |days: i64| -> Rules {
        let policy = json!({"payment_failed_grace": format!("P{days}D")});
        let source = json!({"provider": "cloudevents", "policy": policy});
        serde_json::from_value(json!({"sources": {"crm": source}})).unwrap()
    };
    let user = |number: usize| format!("u{number:04}");
    let fails = |number: &usize| !number.is_multiple_of(5);
    let mut lines = Vec::new();
    for number in 0..1_500 {
        let grant = format!("g{number:04}");
        let line = |verb, time| Line::of_grant("crm", verb, &grant, at(time));
        let granted = line("granted", "2026-01-01T00:00:00Z").for_user(&user(number));
        let granted = granted
            .with("product", json!("p"))
            .with("recurring", json!(true));
        lines.push(granted.with("until", json!("2026-02-01T00:00:00Z")));
        if fails(&number) {
            lines.push(line("payment_failed", "2026-01-31T00:00:00Z"));
        }
    }
    let mut engine = in_memory(&days(1));
    tell(&mut engine, &lines, 0);
    let (plan, summary) = plan(&engine, &days(9));
    assert_eq!((summary.people, summary.gaining), (1_500, 1_200));
    let told: Vec<_> = plan.iter().map(|planned| planned.users.clone()).collect();
    let all = (0..1_500)
        .filter(fails)
        .map(|it| vec![user(it).parse().unwrap()]);
    let all: Vec<Vec<UserId>> = all.collect();
    assert_eq!(told, all);
}

#[test]
fn applied_rules_leave_nothing_to_plan_and_nothing_to_rebuild() {
    hold(300, two_rules(12), |(history, rules)| {
        let mut engine = told(&history);
        apply(&mut engine, &rules);
        prop_assert_eq!(plan(&engine, &rules).0, vec![]);
        let applied = projections(&engine);
        engine.rebuild(&mut |_| {}).unwrap();
        prop_assert_eq!(applied, projections(&engine));
        let again = engine.apply(&rules, now(), &mut |_| {}).unwrap();
        prop_assert_eq!(again.position, None);
        Ok(())
    });
}

#[test]
fn applying_rules_is_as_if_all_had_been_told_under_them() {
    hold(300, two_rules(12), |(mut history, mut rules)| {
        // What is decoded under other rules may differ, and is not decoded again: here the prefix stays.
        rules.sources.clone_from(&history.rules.sources);
        for (source, other) in [("crm", "shop"), ("shop", "crm")] {
            let policy = history.rules.policy(&other.parse().unwrap());
            if let Some(source) = rules.sources.get_mut(source) {
                source.policy = policy;
            }
        }
        let mut engine = told(&history);
        apply(&mut engine, &rules);
        history.rules = rules;
        let segments = |engine: &Engine<MemoryStore>| {
            let projections = projections(engine).into_iter();
            let parts = projections.map(|(grant, it)| {
                let state = state(engine, &grant);
                (grant, state, it.segments, it.windows)
            });
            parts.collect::<Vec<_>>()
        };
        prop_assert_eq!(segments(&engine), segments(&told(&history)));
        Ok(())
    });
}

#[test]
fn the_engine_equals_the_model_also_after_the_rules_have_changed() {
    let more = prop::collection::vec(line(), 0..4);
    hold(200, (two_rules(9), more), |((history, rules), more)| {
        let mut engine = told(&history);
        let mut instants = boundaries(&projections(&engine), &history.rules);
        apply(&mut engine, &rules);
        tell(&mut engine, &more, 100);
        instants.extend(boundaries(&projections(&engine), &rules));
        let recorded = recorded(&engine);
        let all = asked(&engine, &instants_to_ask(&instants));
        the_answers_agree(&engine, &recorded, &some_of(&all, 60))?;
        for as_of in recorded.times.iter().copied().map(Some) {
            let as_of_then = all.iter().cloned().map(|it| Question { as_of, ..it });
            let asked: Vec<Question> = as_of_then.collect();
            the_answers_agree(&engine, &recorded, &some_of(&asked, 12))?;
        }
        Ok(())
    });
}

#[test]
fn an_answer_given_before_new_rules_stays() {
    hold(300, two_rules(10), |(history, rules)| {
        let mut engine = told(&history);
        let times: Vec<RecordedAt> = recorded(&engine).times;
        let mut asked = Vec::new();
        for as_of in times {
            asked.extend(some_of(&questions(&engine, Some(as_of)), 30));
        }
        let before = checks(&engine, &asked);
        apply(&mut engine, &rules);
        prop_assert_eq!(before, checks(&engine, &asked));
        Ok(())
    });
}

#[test]
fn both_stores_plan_and_apply_alike() {
    hold(60, two_rules(12), |(history, rules)| -> TestCaseResult {
        let folder = super::stores::folder();
        let path = folder.path().join("tenure.db");
        let store = tenure::SqliteStore::create_or_open(&path, Default::default()).unwrap();
        let mut file = engine(store, &history.rules);
        tell(&mut file, &history.lines, 0);
        let mut memory = told(&history);
        prop_assert_eq!(plan(&memory, &rules), plan(&file, &rules));
        apply(&mut memory, &rules);
        apply(&mut file, &rules);
        prop_assert_eq!(projections(&memory), projections(&file));
        let verified = file.reader().unwrap().verify(&mut |_| {}).unwrap();
        prop_assert_eq!(verified.fault, None);
        Ok(())
    });
}

#[test]
fn rules_may_come_into_force_again() {
    let history = History {
        rules: crate::strategies::plain_rules(),
        lines: Vec::new(),
    };
    let mut engine = told(&history);
    let other = Rules::default();
    for rules in [&other, &history.rules, &other, &history.rules] {
        apply(&mut engine, rules);
        assert_eq!(&engine.rules().unwrap(), rules);
    }
    assert_eq!(recorded(&engine).rules.len(), 5);
}

/// A product that the rules do not name is a resource as well, and a prefix of theirs may include it.
#[test]
fn a_plan_tells_of_a_product_that_another_includes_by_a_prefix() {
    let with = |includes: &[&str]| -> Rules {
        let source = json!({"provider": "cloudevents"});
        let rules =
            json!({"sources": {"crm": source}, "products": {"pro": {"includes": includes}}});
        serde_json::from_value(rules).unwrap()
    };
    let given = |product: &str, from: &str, until: &str| {
        let line = Line::of_grant("crm", "granted", product, at(from));
        let line = line.for_user("u").with("product", product.into());
        line.with("until", until.into())
    };
    let (january, middle, february) = (
        "2026-01-01T00:00:00Z",
        "2026-01-15T00:00:00Z",
        "2026-02-01T00:00:00Z",
    );
    let mut engine = in_memory(&with(&["news/*"]));
    tell(&mut engine, &[given("pro", january, february)], 0);
    tell(
        &mut engine,
        &[given("news/today", middle, "2026-03-01T00:00:00Z")],
        1,
    );
    let (changes, _) = plan(&engine, &with(&[]));
    let of_product = changes
        .iter()
        .filter(|it| it.change.resource.as_str() == "news/today");
    let told: Vec<_> = of_product
        .map(|it| (it.change.start, it.change.end, it.change.direction))
        .collect();
    assert_eq!(told, [(at(january), End::At(at(middle)), Direction::Loses)]);
}
