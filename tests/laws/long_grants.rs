//! The law of long grants: what is folded onto what was folded before is what follows from all events.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use tenure::{Engine, Instant, Length, Rules, Secrets};

use crate::strategies::{History, Line, at, grant_line, line, now, rules, tell};

use super::hold;
use super::stores::{dump, folder, in_file, store};

/// What happens to a grant that is long already.
#[derive(Clone, Debug)]
enum Step {
    /// It is told of something after all else.
    Next(Line),
    /// As the last thing, it goes to somebody whom nothing has named.
    ToSomebodyNew,
    /// Anything is told, of any time.
    Any(Line),
    /// Another engine over the same file takes it.
    Beside(Line),
    /// Other rules come into force.
    Rules(Box<Rules>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => grant_line(Just("g")).prop_map(Step::Next),
        1 => Just(Step::ToSomebodyNew),
        3 => line().prop_map(Step::Any),
        1 => grant_line(Just("g")).prop_map(Step::Beside),
        1 => rules().prop_map(|rules| Step::Rules(Box::new(rules))),
    ]
}

/// Enough events of one grant that some are kept folded. A grant that names a parent is not.
fn beginning() -> impl Strategy<Value = Vec<Line>> {
    vec(grant_line(Just("g")), 40..46).prop_map(|mut lines| {
        for (hour, line) in (0..).zip(&mut lines) {
            line.data.remove("parent");
            line.time = hours_after("2020-01-01T00:00:00Z", hour);
        }
        lines
    })
}

fn hours_after(begin: &str, hours: u32) -> Instant {
    at(begin)
        .plus(Length::seconds(hours * 3_600))
        .instant()
        .unwrap()
}

#[test]
fn what_is_kept_of_a_long_grant_alters_nothing() {
    let tables = ["grants", "segments", "windows", "anomalies"];
    hold(
        150,
        (rules(), beginning(), vec(step(), 1..10)),
        |(rules, lines, steps)| {
            let folder = folder();
            let path = folder.path().join("tenure.db");
            let mut engine = in_file(&path, &History { rules, lines });
            for (number, step) in (0..).zip(&steps) {
                let next = |engine: &mut Engine<_>, line: &Line| {
                    let mut line = line.clone();
                    line.time = hours_after("2025-06-01T00:00:00Z", number);
                    tell(engine, &[line], 100 + number as usize);
                };
                match step {
                    Step::Next(line) => next(&mut engine, line),
                    Step::ToSomebodyNew => {
                        let line = Line::of_grant("crm", "transferred", "g", now());
                        let somebody = json!(format!("new {number}"));
                        next(&mut engine, &line.with("user", somebody));
                    }
                    Step::Any(line) => {
                        tell(
                            &mut engine,
                            std::slice::from_ref(line),
                            100 + number as usize,
                        );
                    }
                    Step::Beside(line) => {
                        let mut other = Engine::new(store(&path), Secrets::default()).unwrap();
                        next(&mut other, line);
                    }
                    Step::Rules(rules) => {
                        engine.apply(rules, now(), &mut |_| {}).unwrap();
                    }
                }
                let told = dump(&path, &tables);
                engine.rebuild(&mut |_| {}).unwrap();
                prop_assert_eq!(&told, &dump(&path, &tables), "after {:?}", step);
            }
            Ok(())
        },
    );
}
