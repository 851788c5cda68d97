//! Every answer as of the past stays what it was, in whatever form it was asked for.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tenure::domain::decision::Question;
use tenure::{ChangesQuestion, Engine, HoldersQuestion, Instant, RecordedAt, Store, UserId};

use crate::strategies::{
    DAYS, RESOURCES, USERS, at, history, in_memory, line, now, recorded, rules, tell,
};

use super::{hold, some_of};

/// Answers as of an instant, each by what was asked.
type Answers = BTreeMap<String, String>;

/// Whatever can be asked as of `as_of` about some users and instants; the positions of later entries play no part in it.
fn ask_everything<S: Store>(engine: &Engine<S>, as_of: RecordedAt) -> Answers {
    let mut reader = engine.reader().unwrap();
    let mut answers = Answers::new();
    let mut remember = |asked: String, answer: String| answers.insert(asked, answer);
    let users: Vec<UserId> = USERS.iter().map(|it| it.parse().unwrap()).collect();
    let instants: Vec<Instant> = some_of(&DAYS, 4).into_iter().map(at).collect();
    let known = Some(as_of);
    for user in &users {
        let windows = reader.windows(user, known).unwrap();
        remember(format!("windows {user}"), format!("{windows:?}"));
        let grants = reader.grants(user, known).unwrap();
        remember(format!("grants {user}"), format!("{grants:?}"));
        for instant in &instants {
            let what = reader.what(user, *instant, known, None, 100).unwrap();
            remember(format!("what {user} {instant}"), format!("{what:?}"));
        }
    }
    for resource in RESOURCES.map(|it| it.parse().unwrap()) {
        let followed = ChangesQuestion {
            from: Instant::FIRST,
            to: Instant::LAST,
            user: None,
            resource: Some(resource),
            as_of: known,
        };
        let changes: Vec<_> = reader
            .changes(&followed, None)
            .map(|turn| {
                let turn = turn.unwrap();
                (turn.at, turn.user, turn.change, turn.cause)
            })
            .collect();
        let resource = followed.resource.unwrap();
        remember(format!("changes {resource}"), format!("{changes:?}"));
        for instant in &instants {
            let holders = HoldersQuestion {
                resource: resource.clone(),
                at: *instant,
                as_of: known,
            };
            let who = reader.who(&holders, None, 100).unwrap();
            remember(format!("who {resource} {instant}"), format!("{who:?}"));
            for user in &users {
                let question = Question {
                    user: user.clone(),
                    resource: resource.clone(),
                    at: *instant,
                    as_of: known,
                };
                let decision = reader.check(&question).unwrap();
                remember(format!("check {question:?}"), format!("{decision:?}"));
                let explained = reader
                    .explain(&question, instants.first().copied())
                    .unwrap();
                remember(format!("explain {question:?}"), format!("{explained:?}"));
            }
        }
    }
    answers
}

/// What is recorded: a delivery, or other rules.
#[derive(Clone, Debug)]
enum Recording {
    Line(crate::strategies::Line),
    Rules(Box<tenure::Rules>),
}

#[test]
fn what_was_answered_as_of_then_is_answered_for_ever() {
    let recording = prop_oneof![
        8 => line().prop_map(Recording::Line),
        1 => rules().prop_map(|rules| Recording::Rules(Box::new(rules))),
    ];
    let later = prop::collection::vec(recording, 1..8);
    hold(120, (history(4), later), |(history, later)| {
        let mut engine = in_memory(&history.rules);
        tell(&mut engine, &history.lines, 0);
        let mut remembered: BTreeMap<RecordedAt, Answers> = BTreeMap::new();
        for (place, recording) in later.iter().enumerate() {
            let last = recorded(&engine).times.last().copied().unwrap();
            remembered.insert(last, ask_everything(&engine, last));
            match recording {
                Recording::Line(line) => tell(&mut engine, std::slice::from_ref(line), 100 + place),
                Recording::Rules(rules) => {
                    engine.apply(rules, now(), &mut |_| {}).unwrap();
                }
            }
        }
        for (as_of, answers) in remembered {
            let again = ask_everything(&engine, as_of);
            for (asked, answer) in answers {
                prop_assert_eq!(&again[&asked], &answer, "{} as of {:?}", asked, as_of);
            }
        }
        Ok(())
    });
}
