//! The laws of timelines: what they show is what the answers are read from.

use proptest::prelude::*;
use tenure::{
    End, Instant, Part, PartKind, ProductName, RecordedAt, StoreReader, Timeline, UserId,
    UserWindow,
};

use crate::strategies::{history, in_memory, recorded, tell, told};

use super::hold;

/// The person's access by the parts of the lanes: what touches and agrees joined, as windows are.
fn access(timeline: &Timeline) -> Vec<UserWindow> {
    let mut found: Vec<UserWindow> = Vec::new();
    for lane in &timeline.lanes {
        let mut of_lane: Vec<UserWindow> = Vec::new();
        let gives = |part: &&Part| part.kind == PartKind::Active || part.kind == PartKind::Grace;
        for part in lane.parts.iter().filter(gives) {
            if !timeline.linked.contains(&part.user) {
                continue;
            }
            match of_lane.last_mut() {
                Some(last)
                    if last.end == End::At(part.start)
                        && (&last.user, &last.product) == (&part.user, &part.product) =>
                {
                    last.end = part.end;
                }
                _ => of_lane.push(UserWindow {
                    user: part.user.clone(),
                    product: part.product.clone(),
                    grant: lane.grant.clone(),
                    source: lane.source.clone(),
                    start: part.start,
                    end: part.end,
                }),
            }
        }
        found.extend(of_lane);
    }
    found.sort_by_key(order);
    found
}

type Order = (
    Instant,
    tenure::GrantKey,
    tenure::SourceName,
    End,
    UserId,
    ProductName,
);

fn order(window: &UserWindow) -> Order {
    let UserWindow {
        user,
        product,
        grant,
        source,
        start,
        end,
    } = window.clone();
    (start, grant, source, end, user, product)
}

fn timelines<R: StoreReader>(
    reader: &mut tenure::Reader<R>,
    users: &[UserId],
    as_of: Option<RecordedAt>,
) -> Vec<Timeline> {
    let timelines = users
        .iter()
        .map(|user| reader.timeline(user, as_of).unwrap());
    timelines.collect()
}

#[test]
fn the_parts_of_a_timeline_joined_are_the_windows() {
    hold(500, history(12), |history| {
        let engine = told(&history);
        let mut reader = engine.reader().unwrap();
        for as_of in recorded(&engine).times.into_iter().map(Some).chain([None]) {
            for user in recorded(&engine).users() {
                let timeline = reader.timeline(&user, as_of).unwrap();
                let mut windows = reader.windows(&user, as_of).unwrap();
                windows.sort_by_key(order);
                prop_assert_eq!(access(&timeline), windows, "{} {:?}", user, as_of);
            }
        }
        Ok(())
    });
}

#[test]
fn the_parts_of_a_lane_are_sorted_disjoint_and_not_empty() {
    hold(800, history(12), |history| {
        let engine = told(&history);
        let mut reader = engine.reader().unwrap();
        for user in recorded(&engine).users() {
            for lane in reader.timeline(&user, None).unwrap().lanes {
                for part in &lane.parts {
                    prop_assert!(part.end.is_after(part.start), "{:?} is empty", part);
                }
                for pair in lane.parts.windows(2) {
                    prop_assert!(pair[0].end <= End::At(pair[1].start), "{:?}", pair);
                    let what = |part: &Part| (part.kind, part.user.clone(), part.product.clone());
                    let touch = pair[0].end == End::At(pair[1].start);
                    let agree = what(&pair[0]) == what(&pair[1]);
                    prop_assert!(!(touch && agree), "one part in two: {:?}", pair);
                }
                let times = lane.events.iter().map(|event| event.effective_at);
                prop_assert!(times.is_sorted(), "{:?}", lane.events);
            }
        }
        Ok(())
    });
}

#[test]
fn a_part_is_what_a_decision_about_it_says() {
    use tenure::domain::decision::Question;
    hold(400, history(10), |history| {
        let engine = told(&history);
        let mut reader = engine.reader().unwrap();
        for user in recorded(&engine).users() {
            let timeline = reader.timeline(&user, None).unwrap();
            // With one grant the decision can be read from no other.
            let [lane] = timeline.lanes.as_slice() else {
                continue;
            };
            for part in lane
                .parts
                .iter()
                .filter(|it| timeline.linked.contains(&it.user))
            {
                let last = match part.end {
                    End::At(end) => end.previous(),
                    End::Never => Instant::LAST,
                };
                for at in [part.start, last] {
                    let decision = reader.check(&Question {
                        user: user.clone(),
                        resource: part.product.as_str().parse().unwrap(),
                        at,
                        as_of: None,
                    });
                    let decision = decision.unwrap();
                    prop_assert_eq!(decision.verdict.is_allowed(), part.kind.gives_access());
                    if part.kind.gives_access() {
                        prop_assert_eq!(decision.verdict.reason(), part.kind.name());
                    }
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_timeline_as_of_k_is_that_of_an_engine_told_only_what_was_recorded_by_k() {
    hold(240, (history(10), 0_usize..10), |(history, split)| {
        let (first, later) = history.lines.split_at(split.min(history.lines.len()));
        let mut engine = in_memory(&history.rules);
        tell(&mut engine, first, 0);
        let users: Vec<UserId> = recorded(&told(&history)).users().into_iter().collect();
        let times = recorded(&engine).times;
        let mut reader = engine.reader().unwrap();
        // Up to here the engine knows nothing else.
        let known = times.last().copied();
        let without_later = timelines(&mut reader, &users, None);
        let before: Vec<_> = times
            .iter()
            .map(|at| timelines(&mut reader, &users, Some(*at)))
            .collect();
        tell(&mut engine, later, first.len());
        let mut reader = engine.reader().unwrap();
        let after: Vec<_> = times
            .iter()
            .map(|at| timelines(&mut reader, &users, Some(*at)))
            .collect();
        prop_assert_eq!(
            before,
            after,
            "a later recording changed an earlier timeline"
        );
        let mut as_of = timelines(&mut reader, &users, known);
        for timeline in &mut as_of {
            timeline.as_of = None;
        }
        if known.is_some() {
            prop_assert_eq!(as_of, without_later);
        }
        Ok(())
    });
}
