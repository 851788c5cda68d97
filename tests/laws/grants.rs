//! The laws of what changes do to access.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::json;
use tenure::domain::decision::Question;
use tenure::{End, Engine, GrantId, Instant, State, Store, Window};

use crate::strategies::{
    GRANTS, History, Line, grant_line, history, in_memory, instant, now, projections, questions,
    state, told,
};

use super::{checks, grant, hold, windows_of};

fn ends_by(windows: &[Window], at: Instant) -> bool {
    windows.iter().all(|window| !window.end.is_after(at))
}

fn an_end() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["ended", "revoked", "user_removed"])
}

fn ending(verb: &str, time: Instant) -> Line {
    let line = Line::of_grant("crm", verb, "g", time);
    if verb != "user_removed" {
        return line;
    }
    let mut line = line.for_user("u");
    line.data.clear();
    line
}

#[test]
fn an_end_event_leaves_no_window_open() {
    hold(
        1000,
        (history(10), instant(), an_end()),
        |(history, time, verb)| {
            let history = history.up_to(time).and([ending(verb, time)]);
            for window in windows_of(&projections(&told(&history)), &grant("g")) {
                let ends_others = verb == "user_removed" && window.user.as_str() != "u";
                prop_assert!(ends_others || !window.end.is_after(time), "{:?}", window);
            }
            Ok(())
        },
    );
}

#[test]
fn ended_implies_revoked() {
    hold(
        800,
        (history(10), instant(), instant()),
        |(history, one, two)| {
            let (first, second) = (one.min(two), one.max(two));
            let history = history.up_to(first);
            let after = |lines: Vec<Line>| {
                windows_of(&projections(&told(&history.and(lines))), &grant("g"))
            };
            let (ended, revoked) = (|at| ending("ended", at), |at| ending("revoked", at));
            let expected = after(vec![ended(first)]);
            for lines in [
                vec![revoked(first)],
                vec![revoked(first), ended(first)],
                vec![ended(first), revoked(second)],
                vec![revoked(second), ended(first)],
                vec![
                    ended(second),
                    revoked(first),
                    ended(second),
                    revoked(second),
                ],
            ] {
                prop_assert_eq!(&expected, &after(lines.clone()), "{:?}", lines);
            }
            Ok(())
        },
    );
}

#[test]
fn grace_never_revives_an_ended_grant() {
    let late = vec(
        (
            prop::sample::select(vec!["grace_extended", "payment_failed"]),
            instant(),
        ),
        1..4,
    );
    hold(
        1000,
        (history(10), instant(), an_end(), late),
        |(history, time, verb, late)| {
            let ended = history.up_to(time).and([ending(verb, time)]);
            let without = told(&ended);
            // Who was not removed keeps the grant, and grace may well lengthen it.
            let State::Over(_) = state(&without, &grant("g")) else {
                return Ok(());
            };
            let late = late.into_iter().map(|(verb, at)| {
                let until = json!(Instant::LAST);
                let line = Line::of_grant("crm", verb, "g", at.max(time)).for_user("u");
                line.with("product", json!("pro")).with("until", until)
            });
            let with = projections(&told(&ended.and(late)));
            prop_assert_eq!(
                windows_of(&projections(&without), &grant("g")),
                windows_of(&with, &grant("g"))
            );
            Ok(())
        },
    );
}

#[test]
fn a_failed_payment_never_gives_access_to_a_blocked_or_cancelled_reader() {
    let stop = prop::sample::select(vec!["suspended", "cancelled"]);
    hold(
        1200,
        (history(10), instant(), instant(), stop),
        |(history, one, two, stop)| {
            let (time, later) = (one.min(two), one.max(two));
            if time == later {
                // At one instant the failed payment is folded before the cancellation.
                return Ok(());
            }
            let stopped = history
                .up_to(time)
                .and([Line::of_grant("crm", stop, "g", time)]);
            let engine = told(&stopped);
            let without = windows_of(&projections(&engine), &grant("g"));
            let failed = stopped.and([Line::of_grant("crm", "payment_failed", "g", later)]);
            let with = windows_of(&projections(&told(&failed)), &grant("g"));
            prop_assert_eq!(&without, &with);
            prop_assert!(stop == "cancelled" || ends_by(&with, time), "{:?}", with);
            Ok(())
        },
    );
}

/// Whoever had access by the first has it by the second.
fn access_is_kept<S: Store>(before: &Engine<S>, after: &Engine<S>) -> TestCaseResult {
    let asked: BTreeSet<_> = [questions(before, None), questions(after, None)]
        .concat()
        .into_iter()
        .map(|it| (it.user, it.resource, it.at))
        .collect();
    let asked: Vec<Question> = asked
        .into_iter()
        .map(|(user, resource, at)| Question {
            user,
            resource,
            at,
            as_of: None,
        })
        .collect();
    for (before, after) in checks(before, &asked).iter().zip(checks(after, &asked)) {
        let kept = !before.verdict.is_allowed() || after.verdict.is_allowed();
        prop_assert!(
            kept,
            "{:?}: {} became {}",
            before.question,
            before.verdict,
            after.verdict
        );
    }
    Ok(())
}

#[test]
fn a_renewal_never_shortens() {
    let renewal = grant_line(Just("g")).prop_map(|mut line| {
        line.verb = "renewed".to_owned();
        line.data.retain(|name, _| {
            ["grant", "grant_source", "period_key", "until", "period"].contains(&name.as_str())
        });
        line
    });
    hold(800, (history(10), renewal), |(history, renewal)| {
        let mut history = history.up_to(renewal.time);
        // At the same instant a restriction of another kind has the last word.
        history.lines.retain(|line| line.time < renewal.time);
        access_is_kept(&told(&history), &told(&history.and([renewal])))
    });
}

#[test]
fn revoking_one_grant_leaves_the_others() {
    let key = prop::sample::select(GRANTS.as_slice());
    hold(
        1000,
        (history(12), instant(), key),
        |(history, time, key)| {
            let mut with = history.clone();
            with.lines.push(Line::of_grant("crm", "revoked", key, time));
            // A withdrawal may have been waiting for the id that the revocation gets.
            let (history, with) = (history.without_withdrawals(), with.without_withdrawals());
            let children: BTreeSet<_> = history
                .lines
                .iter()
                .filter(|line| line.text("parent") == Some(key))
                .filter_map(|line| line.grant().map(|(_, key)| key.to_owned()))
                .collect();
            let others = |history: &History| {
                let mut projections = projections(&told(history));
                projections.retain(|grant, _| {
                    grant.key.as_str() != key && !children.contains(grant.key.as_str())
                        || grant.source.as_str() != "crm"
                });
                projections
            };
            prop_assert_eq!(others(&history), others(&with));
            Ok(())
        },
    );
}

#[test]
fn a_block_is_lifted_only_by_its_name() {
    let later = vec(grant_line(Just("g")), 0..8);
    let name = prop::sample::select(vec!["abuse", "police"]);
    let user_level = any::<bool>();
    hold(
        1000,
        (history(6), instant(), name, later, user_level),
        |(history, time, name, mut later, user_level)| {
            let mut block = Line::of_grant("crm", "suspended", "g", time).with("by", json!(name));
            if user_level {
                block.data.remove("grant");
                block = block.for_user("u");
            }
            let blocked = history.up_to(time).and([block]);
            if !user_level {
                let State::Live(live) = state(&told(&blocked), &grant("g")) else {
                    return Ok(());
                };
                prop_assert!(live.blocks.iter().any(|it| it.as_str() == name));
            }
            later.retain(|line| {
                line.time > time && !(line.verb == "resumed" && line.text("by") == Some(name))
            });
            let lifted = Line::of_grant("crm", "resumed", "g", time).with("by", json!("another"));
            let engine = told(&blocked.and(later).and([lifted]));
            for (grant, projection) in projections(&engine) {
                for window in projection.windows {
                    let concerned = if user_level {
                        grant.source.as_str() == "crm" && window.user.as_str() == "u"
                    } else {
                        grant == self::grant("g")
                    };
                    prop_assert!(!concerned || !window.end.is_after(time), "{:?}", window);
                }
            }
            Ok(())
        },
    );
}

#[test]
fn a_child_never_outlives_its_parents_access() {
    hold(1200, history(12), |mut history| {
        for line in &mut history.lines {
            let is_granted = line.verb == "granted";
            match line.grant() {
                Some((_, "p")) => drop(line.data.remove("parent")),
                Some((_, "g")) if is_granted => {
                    drop(line.data.insert("parent".to_owned(), json!("p")))
                }
                // Adopted, it would have no parent.
                Some((_, "g")) => line.subject = None,
                _ => {}
            }
        }
        let projections = projections(&told(&history));
        for source in ["crm", "shop"] {
            let of = |key: &str| {
                windows_of(
                    &projections,
                    &GrantId {
                        source: source.parse().unwrap(),
                        key: key.parse().unwrap(),
                    },
                )
            };
            // Windows of the parent touch where it changed hands.
            let mut parent: Vec<(Instant, End)> = Vec::new();
            for part in of("p") {
                match parent.last_mut() {
                    Some((_, end)) if *end == End::At(part.start) => *end = part.end,
                    Some(_) | None => parent.push((part.start, part.end)),
                }
            }
            for window in of("g") {
                let inside =
                    |(start, end): &(Instant, End)| *start <= window.start && window.end <= *end;
                prop_assert!(
                    parent.iter().any(inside),
                    "{:?} beside {:?}",
                    window,
                    parent
                );
            }
        }
        Ok(())
    });
}

#[test]
fn adding_a_grant_never_removes_access() {
    let added = vec((grant_line(Just("z")), any::<prop::sample::Index>()), 1..6);
    hold(480, (history(8), added), |(history, added)| {
        let history = history.without_withdrawals();
        // The old deliveries keep their ids, which are the last thing the order of events goes by.
        let mut more: Vec<_> = history.lines.iter().enumerate().collect();
        for (id, (line, place)) in (100..).zip(&added) {
            more.insert(place.index(more.len() + 1), (id, line));
        }
        let (before, mut after) = (told(&history), in_memory(&history.rules));
        for (id, line) in more {
            after.ingest(line.delivery(id), now()).unwrap();
        }
        let is_old = |grant: &GrantId| grant.key.as_str() != "z";
        let windows = |engine| {
            let kept = projections(engine)
                .into_iter()
                .filter(|(grant, _)| is_old(grant));
            kept.map(|(grant, it)| (grant, it.windows, it.segments))
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(windows(&before), windows(&after));
        access_is_kept(&before, &after)
    });
}
