//! What a read answers, and in which order.

use tenure::domain::event::UserChange;
use tenure::domain::grant::Anomaly;
use tenure::store::{
    EntryKind, GrantNames, Order, Projection, ProjectionSums, RecordedAnomaly, StoreError,
};
use tenure::{Change, End, GrantId, Position, ProductName, Statement, UserId};

use super::clauses::{name_two_users, stages};
use super::facts::*;
use super::{Fresh, for_every_store, read, write};

for_every_store!(
    withdrawals_reach_both_ways,
    users_are_found_by_every_statement_that_names_them,
    children_are_found_by_their_parent,
    what_a_grant_names_is_what_its_events_name,
    events_of_a_grant_can_be_had_after_a_position,
    links_are_found_by_either_id,
    rules_are_remembered,
    grants_come_in_order,
    grants_are_walked_through_from_either_end,
    sums_tell_whether_what_is_stored_is_what_is_meant,
    anomalies_come_in_order,
    windows_come_by_start_and_grant,
);

fn what_a_grant_names_is_what_its_events_name<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let switched = Change::Switched {
        product: "extra".parse().unwrap(),
        until: None,
    };
    let mut failed = stated("g1", Some("bob"), Change::PaymentFailed);
    if let Statement::Grant(statement) = &mut failed.statement {
        statement.product = Some("news".parse().unwrap());
    }
    let transferred = Change::Transferred { user: user("cid") };
    let steps = [
        (granted("ann", "g1", None), 1, 1),
        (stated("g1", None, switched), 1, 2),
        (failed, 2, 3),
        (stated("g1", None, transferred), 3, 3),
        (stated("g1", None, Change::Revoked), 3, 3),
        (granted("dan", "g2", None), 3, 3),
        // What is taken back is named nevertheless.
        (withdrawal("1"), 3, 3),
    ];
    for (turn, (event, users, products)) in (1..).zip(steps) {
        write(&mut store, |log| {
            log.append(delivery(turn, &turn.to_string(), vec![event]))
        });
        read(&store, |snapshot| {
            let names = snapshot.names_of(&grant("g1"))?;
            assert_eq!((names.users.len(), names.products.len()), (users, products));
            Ok(())
        });
    }
    read(&store, |snapshot| {
        let names = snapshot.names_of(&grant("g1"))?;
        assert!(
            names
                .users
                .iter()
                .map(UserId::as_str)
                .eq(["ann", "bob", "cid"])
        );
        let products = names.products.iter().map(ProductName::as_str);
        assert!(products.eq(["extra", "news", "pro"]));
        assert_eq!(snapshot.names_of(&grant("never"))?, GrantNames::default());
        Ok(())
    });
}

fn events_of_a_grant_can_be_had_after_a_position<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| {
        for turn in 1..6 {
            let other = granted("bob", "g2", None);
            let events = vec![granted("ann", "g1", None), other];
            log.append(delivery(turn, &turn.to_string(), events))?;
        }
        log.append(delivery(6, "w", vec![withdrawal("4")]))
    });
    read(&store, |snapshot| {
        let all = snapshot.grant_events(&grant("g1"))?;
        assert_eq!(all.len(), 5);
        for (after, passed) in (0..).zip([0, 1, 2, 3, 4, 5, 5]) {
            let later = snapshot.grant_events_after(&grant("g1"), Position(after))?;
            assert_eq!(later, all[passed..], "after {after}");
        }
        Ok(())
    });
}

fn withdrawals_reach_both_ways<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| {
        log.append(delivery(
            1,
            "a",
            vec![granted("ann", "g1", None), link("ann", "bob")],
        ))?;
        log.append(delivery(2, "w1", vec![withdrawal("a"), withdrawal("b")]))?;
        log.append(delivery(3, "b", vec![granted("cid", "g2", None)]))?;
        log.append(delivery(
            4,
            "w2",
            vec![withdrawal("a"), withdrawal("w1"), withdrawal("w2")],
        ))?;
        log.append(delivery(5, "c", vec![granted("cid", "g1", None)]))
    });
    read(&store, |snapshot| {
        let of_grant = snapshot.grant_events(&grant("g1"))?;
        let withdrawn: Vec<_> = of_grant.iter().map(|event| event.withdrawn_at).collect();
        assert_eq!(withdrawn, [Some(recorded(2)), None]);
        assert_eq!(
            snapshot.grant_events(&grant("g2"))?[0].withdrawn_at,
            Some(recorded(2))
        );
        assert!(
            snapshot
                .events_of(Position(2))?
                .iter()
                .all(|event| event.withdrawn_at.is_none())
        );
        assert_eq!(
            snapshot.links(&user("bob"))?[0].withdrawn_at,
            Some(recorded(2))
        );
        let is_named =
            |name, at: Option<i64>| snapshot.is_named(&user(name), at.map(recorded)).unwrap();
        assert_eq!(
            [0, 1, 2].map(|at| is_named("ann", Some(at))),
            [false, true, false]
        );
        assert_eq!(
            [3, 4, 5].map(|at| is_named("cid", Some(at))),
            [false, false, true]
        );
        assert_eq!(
            ["ann", "bob", "cid"].map(|name| is_named(name, None)),
            [false, false, true]
        );
        // Withdrawn events still count where it is only asked which grants to look at.
        assert_eq!(snapshot.grants_naming(&user("ann"))?, [grant("g1")]);
        Ok(())
    });
    let failed = store.write(|log| {
        log.append(delivery(6, "w3", vec![withdrawal("c")]))?;
        Err::<(), _>(StoreError::OutOfOrder)
    });
    assert!(failed.is_err());
    assert!(read(&store, |snapshot| snapshot.is_named(&user("cid"), None)));
}

fn users_are_found_by_every_statement_that_names_them<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let by_staff = |name: &str, of: &str| {
        let mut event = granted(name, of, None);
        if let Statement::Grant(statement) = &mut event.statement {
            statement.grant.source = source("abo");
        }
        event
    };
    write(&mut store, |log| {
        log.append(delivery(
            1,
            "a",
            vec![stated(
                "g2",
                Some("ann"),
                Change::Transferred { user: user("bob") },
            )],
        ))?;
        log.append(delivery(
            2,
            "b",
            vec![granted("ann", "g1", None), by_staff("ann", "g9")],
        ))?;
        log.append(delivery(
            3,
            "c",
            vec![of_user("cid", UserChange::UserRemoved)],
        ))?;
        log.append(delivery(4, "d", vec![link("dan", "eve")]))?;
        log.append(undecodable(5, "e"))
    });
    read(&store, |snapshot| {
        let abo = GrantId {
            source: source("abo"),
            ..grant("g9")
        };
        assert_eq!(
            snapshot.grants_naming(&user("ann"))?,
            [abo, grant("g1"), grant("g2")]
        );
        assert_eq!(snapshot.grants_naming(&user("bob"))?, [grant("g2")]);
        assert_eq!(snapshot.grants_naming(&user("cid"))?, []);
        let named = ["ann", "bob", "cid", "dan", "eve", "fay"]
            .map(|name| snapshot.is_named(&user(name), None).unwrap());
        assert_eq!(named, [true, true, true, true, true, false]);
        assert_eq!(snapshot.users_after(None, 9)?, ["ann", "bob"].map(user));
        assert_eq!(snapshot.linked_after(None, 9)?, ["dan", "eve"].map(user));
        assert_eq!(snapshot.users_stated_after(None, 9)?, [user("cid")]);
        assert_eq!(
            snapshot.users_stated_after(Some(&user("bob")), 1)?,
            [user("cid")]
        );
        assert_eq!(snapshot.users_stated_after(Some(&user("cid")), 9)?, []);
        assert!(!snapshot.is_named(&user("eve"), Some(recorded(3)))?);
        assert!(snapshot.is_named(&user("eve"), Some(recorded(4)))?);
        Ok(())
    });
}

fn children_are_found_by_their_parent<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| {
        log.append(delivery(
            1,
            "a",
            vec![
                granted("ann", "g3", Some("g1")),
                granted("ann", "g2", Some("g1")),
            ],
        ))?;
        log.append(delivery(
            2,
            "b",
            vec![
                granted("bob", "g3", Some("g1")),
                granted("ann", "g1", Some("g1")),
            ],
        ))
    });
    read(&store, |snapshot| {
        assert_eq!(snapshot.children(&grant("g1"))?, [grant("g2"), grant("g3")]);
        assert_eq!(snapshot.children(&grant("g2"))?, []);
        Ok(())
    });
}

fn links_are_found_by_either_id<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    write(&mut store, |log| {
        log.append(delivery(
            1,
            "a",
            vec![link("ann", "bob"), link("ann", "ann")],
        ))?;
        log.append(delivery(
            2,
            "b",
            vec![link("cid", "ann"), of_user("ann", UserChange::UserRemoved)],
        ))
    });
    read(&store, |snapshot| {
        let links = |name| {
            let links = snapshot.links(&user(name)).unwrap();
            let pairs = links.iter().map(|link| {
                format!(
                    "{}-{}@{}",
                    link.user,
                    link.alias,
                    link.recorded_at.0.micros()
                )
            });
            pairs.collect::<Vec<_>>()
        };
        assert_eq!(links("ann"), ["ann-bob@1", "ann-ann@1", "cid-ann@2"]);
        assert_eq!(links("bob"), ["ann-bob@1"]);
        assert_eq!(links("dan"), [""; 0]);
        Ok(())
    });
}

fn rules_are_remembered<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let bodies = ["{}", r#"{"products":{"pro":{"includes":["archive"]}}}"#];
    write(&mut store, |log| {
        log.append(delivery(1, "x", vec![]))?;
        for (turn, body) in (0..).zip(bodies) {
            let mut rules = delivery(turn + 2, &format!("r{turn}"), vec![]);
            (rules.kind, rules.body) = (EntryKind::Rules, body.as_bytes().to_vec());
            log.append(rules)?;
        }
        Ok(())
    });
    let rules = read(&store, |snapshot| snapshot.rules());
    assert_eq!(
        rules
            .iter()
            .map(|rules| rules.position.0)
            .collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(rules[1].recorded_at, recorded(3));
    assert_eq!(rules[1].rules, serde_json::from_str(bodies[1]).unwrap());
}

fn grants_come_in_order<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let names = ["Z", "b", "a", "é", "a0"];
    write(&mut store, |log| {
        let events = names
            .iter()
            .flat_map(|name| [granted("ann", name, None), granted("bob", name, None)]);
        log.append(delivery(
            1,
            "x",
            events.chain([link("ann", "bob")]).collect(),
        ))?;
        log.append(delivery(
            2,
            "y",
            vec![of_user("ann", UserChange::UserRemoved), withdrawal("z")],
        ))?;
        names
            .iter()
            .try_for_each(|name| log.project(&grant(name), Some(&projection(vec![], vec![]))))
    });
    let sorted: Vec<GrantId> = ["Z", "a", "a0", "b", "é"].map(grant).into();
    read(&store, |snapshot| {
        assert_eq!(snapshot.grants_after(None, 99)?, sorted);
        assert_eq!(snapshot.grants_after(Some(&grant("a")), 2)?, sorted[2..4]);
        assert_eq!(snapshot.projected_after(None, 99)?, sorted);
        assert_eq!(
            snapshot.projected_after(Some(&grant("a")), 2)?,
            sorted[2..4]
        );
        assert_eq!(snapshot.grants_naming(&user("bob"))?, sorted);
        Ok(())
    });
    write(&mut store, |log| log.clear_projections());
    assert_eq!(
        read(&store, |snapshot| snapshot.projected_after(None, 99)),
        []
    );
    assert_eq!(read(&store, |snapshot| snapshot.statistics()).grants, 0);
}

fn grants_are_walked_through_from_either_end<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let names = ["b", "a", "é", "a0"];
    write(&mut store, |log| {
        for (turn, name) in (1..).zip(names.iter().chain(&["a", "b", "a"])) {
            let events = vec![granted("ann", name, None), link("ann", "bob")];
            log.append(delivery(turn, &turn.to_string(), events))?;
        }
        log.append(delivery(
            99,
            "w",
            vec![withdrawal("2"), of_user("ann", UserChange::UserRemoved)],
        ))
    });
    read(&store, |snapshot| {
        let mut expected = Vec::new();
        for name in ["a", "a0", "b", "é"].map(grant) {
            let events = snapshot.grant_events(&name)?;
            expected.push((name, events));
        }
        assert!(expected[0].1[0].withdrawn_at.is_some());
        for order in [Order::Ascending, Order::Descending] {
            for limit in 0..=expected.len() {
                let mut walked = Vec::new();
                snapshot.each_grant(order, &mut |grant, events| {
                    // Taken or left, the next grant has none of them.
                    let of_grant = match order {
                        Order::Ascending => std::mem::take(events),
                        Order::Descending => events.clone(),
                    };
                    walked.push((grant, of_grant));
                    // Other reads are going on meanwhile, as a fold needs them.
                    assert_eq!(
                        snapshot.user_events(&source("shop"), &user("ann"))?.len(),
                        1
                    );
                    Ok(walked.len() < limit)
                })?;
                let mut met = expected.clone();
                if order == Order::Descending {
                    met.reverse();
                }
                met.truncate(limit.max(1));
                assert_eq!(walked, met);
            }
            let failed = snapshot.each_grant(order, &mut |_, _| Err(StoreError::KeyHeld));
            assert!(matches!(failed, Err(StoreError::KeyHeld)));
        }
        Ok(())
    });
}

fn sums_tell_whether_what_is_stored_is_what_is_meant<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    name_two_users(&mut store);
    let named = [user("ann"), user("bob")].into();
    let wanted = stages().into_iter().map(Some).chain([None]);
    let wanted: Vec<Option<Projection>> = wanted.collect();
    let none = ProjectionSums::unpredictable();
    for stored in &wanted {
        write(&mut store, |log| log.project(&grant("g1"), stored.as_ref()));
        let mut found = none.of_nothing();
        read(&store, |snapshot| snapshot.sum_projections(&mut found));
        for meant in &wanted {
            let mut sums = none.of_nothing();
            sums.add(&grant("g1"), &named, meant.as_ref());
            let differing = sums.differing(&found);
            assert_eq!(
                differing.is_empty(),
                stored == meant,
                "{stored:?} {meant:?}"
            );
            assert_eq!(differing.has(&grant("g1")), stored != meant);
            if stored == meant {
                assert_eq!(sums.projected(), found.projected());
            }
        }
    }
}

fn anomalies_come_in_order<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let mut all = Vec::new();
    write(&mut store, |log| {
        log.append(delivery(
            1,
            "x",
            vec![link("ann", "bob"), link("ann", "bob")],
        ))?;
        log.append(delivery(2, "y", vec![]))?;
        for name in ["g2", "g1", "g3"] {
            let mut own = Vec::new();
            for (position, index) in [(1, 0), (1, 1), (2, 0)] {
                for anomaly in [Anomaly::Orphan, Anomaly::Adopted, Anomaly::Barred] {
                    own.push(RecordedAnomaly {
                        position: Position(position),
                        index,
                        anomaly,
                        grant: grant(name),
                    });
                }
            }
            log.project(&grant(name), Some(&projection(vec![], own.clone())))?;
            all.extend(own);
        }
        Ok(())
    });
    all.sort();
    read(&store, |snapshot| {
        for size in 1..=all.len() + 1 {
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let page = snapshot.anomalies_after(after.as_ref(), size)?;
                assert!(page.len() <= size);
                let Some(last) = page.last() else { break };
                after = Some(last.clone());
                pages.extend(page);
            }
            assert_eq!(pages, all);
        }
        Ok(())
    });
}

fn windows_come_by_start_and_grant<S: Fresh>() {
    let (mut store, _ground) = S::fresh();
    let ends = |to| End::At(at(to));
    write(&mut store, |log| {
        for (name, from) in [("g3", 10), ("g1", 20), ("g2", 10)] {
            let segments = vec![
                segment(from, ends(from + 5), "ann"),
                segment(from + 50, End::Never, "bob"),
            ];
            log.project(&grant(name), Some(&projection(segments, vec![])))?;
        }
        Ok(())
    });
    let windows = read(&store, |snapshot| snapshot.windows_of(&user("ann")));
    let found: Vec<_> = windows
        .iter()
        .map(|(of, window)| (of.clone(), window.start, window.end))
        .collect();
    let expected = [("g2", 10), ("g3", 10), ("g1", 20)]
        .map(|(of, from)| (grant(of), at(from), ends(from + 5)));
    assert_eq!(found, expected);
}
