//! The laws of what staff state by hand.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::string::string_regex;
use serde_json::json;
use tenure::{
    BlockName, Blocked, Change, DenyReason, EffectiveAt, End, Engine, GrantId, Grounds,
    GroundsError, Instant, MemoryStore, Origin, Outcome, Question, Receipt, StaffChange,
    StaffStatement, StandingBlock, Statement, Term, UserChange, UserId, Verdict,
};

use crate::strategies::{
    Line, at, grant_line, history, in_memory, instant, now, plain_rules, projections, recorded,
    tell, told,
};

use super::{check, grant, hold, windows_of};

const JANUARY: &str = "2024-01-01T00:00:00Z";
const FEBRUARY: &str = "2024-02-01T00:00:00Z";
const MARCH: &str = "2024-03-01T00:00:00Z";
const APRIL: &str = "2024-04-01T00:00:00Z";

fn of(source: &str, key: &str) -> GrantId {
    GrantId {
        source: source.parse().unwrap(),
        key: key.parse().unwrap(),
    }
}

fn by_hand(id: &str, time: Instant, change: StaffChange) -> StaffStatement {
    StaffStatement {
        id: id.parse().unwrap(),
        at: EffectiveAt(time),
        grounds: Grounds::new("anna", "for the test").unwrap(),
        change,
    }
}

fn state(engine: &mut Engine<MemoryStore>, id: &str, time: &str, change: StaffChange) -> Receipt {
    let statement = by_hand(id, at(time), change);
    engine.ingest(statement.delivery(), now()).unwrap()
}

fn revoked(grant: GrantId) -> StaffChange {
    StaffChange::Revoked { grant, user: None }
}

fn reinstated(grant: GrantId) -> StaffChange {
    StaffChange::Reinstated {
        grant,
        user: None,
        until: None,
    }
}

fn granted(grant: GrantId, user: &str, until: End) -> StaffChange {
    StaffChange::Granted {
        grant,
        user: user.parse().unwrap(),
        product: "pro".parse().unwrap(),
        until,
        from: None,
        origin: Origin::Complimentary,
    }
}

fn until(time: &str) -> End {
    End::At(at(time))
}

/// Crm sells `g` to `u`, from January until April.
fn sold() -> Engine<MemoryStore> {
    let mut engine = in_memory(&plain_rules());
    tell(&mut engine, &[sale()], 0);
    engine
}

fn sale() -> Line {
    let line = Line::of_grant("crm", "granted", "g", at(JANUARY)).for_user("u");
    line.with("product", json!("pro"))
        .with("until", json!(APRIL))
}

fn verdict(engine: &Engine<MemoryStore>, user: &str, time: &str) -> Verdict {
    let question = Question {
        user: user.parse().unwrap(),
        resource: "pro".parse().unwrap(),
        at: at(time),
        as_of: None,
    };
    check(engine, &question).verdict
}

fn has_pro(engine: &Engine<MemoryStore>, user: &str, time: &str) -> bool {
    verdict(engine, user, time).is_allowed()
}

#[test]
fn what_is_revoked_by_staff_no_statement_of_the_provider_gives_again() {
    let later = vec(grant_line(Just("g")), 0..8);
    hold(
        600,
        (history(8), instant(), later),
        |(history, time, later)| {
            let mut engine = told(&history.up_to(time));
            let statement = by_hand("r", time, revoked(grant("g")));
            engine.ingest(statement.delivery(), now()).unwrap();
            let later: Vec<Line> = later
                .into_iter()
                .filter(|line| line.time > time && line.source != "staff")
                .collect();
            tell(&mut engine, &later, 100);
            for window in windows_of(&projections(&engine), &grant("g")) {
                prop_assert!(!window.end.is_after(time), "{:?}", window);
            }
            Ok(())
        },
    );
}

#[test]
fn only_staff_lift_the_bar_of_staff() {
    let mut engine = sold();
    state(&mut engine, "r", FEBRUARY, revoked(grant("g")));
    let mut restated = sale();
    restated.time = at(FEBRUARY).next();
    let reinstated_by_crm = Line::of_grant("crm", "reinstated", "g", at(FEBRUARY).next());
    let renewed = Line::of_grant("crm", "renewed", "g", at(FEBRUARY).next());
    let renewed = renewed.with("period", json!("P1Y"));
    let statements = [restated, reinstated_by_crm, renewed];
    tell(&mut engine, &statements, 1);
    assert!(has_pro(&engine, "u", JANUARY));
    assert_eq!(
        verdict(&engine, "u", MARCH),
        Verdict::Deny(DenyReason::Revoked)
    );
    state(&mut engine, "i", MARCH, reinstated(grant("g")));
    assert!(has_pro(&engine, "u", MARCH));
    assert!(!has_pro(&engine, "u", FEBRUARY), "only from then on");
    assert!(!has_pro(&engine, "u", APRIL), "the end is what it was");
}

#[test]
fn what_staff_revoke_before_it_is_sold_is_not_sold_until_they_reinstate() {
    let mut engine = in_memory(&plain_rules());
    state(&mut engine, "r", JANUARY, revoked(grant("g")));
    let mut late = sale();
    late.time = at(FEBRUARY);
    tell(&mut engine, &[late.clone()], 0);
    assert!(!has_pro(&engine, "u", MARCH));
    // There is nothing to reinstate, but the bar is gone for what is sold from then on.
    state(&mut engine, "i", JANUARY, reinstated(grant("g")));
    let before = has_pro(&engine, "u", MARCH);
    assert!(
        !before,
        "the revocation of the same instant has the last word"
    );
    state(
        &mut engine,
        "j",
        "2024-01-02T00:00:00Z",
        reinstated(grant("g")),
    );
    assert!(has_pro(&engine, "u", MARCH));
}

#[test]
fn no_provider_ends_a_grant_of_staff() {
    hold(400, history(14), |mut history| {
        history.lines.retain(|line| line.source != "staff");
        let mut engine = told(&history);
        let given = granted(of("staff", "g"), "u", End::Never);
        let statement = by_hand("s", at(JANUARY), given);
        engine.ingest(statement.delivery(), now()).unwrap();
        let windows = windows_of(&projections(&engine), &of("staff", "g"));
        let [window] = &windows[..] else {
            return Err(TestCaseError::fail(format!("{windows:?}")));
        };
        prop_assert_eq!((window.start, window.end), (at(JANUARY), End::Never));
        Ok(())
    });
}

#[test]
fn a_grant_of_staff_outlives_a_cancellation() {
    let mut engine = sold();
    let given = granted(of("staff", "support"), "u", until(MARCH));
    state(&mut engine, "s", JANUARY, given);
    let cancelled = Line::of_grant("crm", "cancelled", "g", at("2024-01-10T00:00:00Z"));
    let cancelled = cancelled.with("until", json!("2024-01-20T00:00:00Z"));
    let ended = Line::of_grant("crm", "ended", "g", at("2024-01-20T00:00:00Z"));
    let mut removed = Line::of_grant("crm", "user_removed", "", at("2024-01-21T00:00:00Z"));
    removed.data.clear();
    tell(&mut engine, &[cancelled, ended, removed.for_user("u")], 1);
    assert!(has_pro(&engine, "u", FEBRUARY));
    assert!(!has_pro(&engine, "u", MARCH));
}

#[test]
fn a_block_of_staff_is_lifted_by_no_provider() {
    for on in [
        Blocked::Grant(grant("g")),
        Blocked::User {
            user: "u".parse().unwrap(),
            source: "crm".parse().unwrap(),
        },
    ] {
        let mut engine = sold();
        let (user, by) = (None, None);
        let suspended = StaffChange::Suspended {
            on: on.clone(),
            user: user.clone(),
            by: by.clone(),
        };
        state(&mut engine, "b", FEBRUARY, suspended);
        let resumed = Line::of_grant("crm", "resumed", "g", at(FEBRUARY).next());
        let mut of_user = resumed.clone().for_user("u");
        of_user.data.clear();
        let mut restated = sale();
        restated.time = at(FEBRUARY).next();
        tell(&mut engine, &[resumed, of_user, restated], 1);
        assert_eq!(
            verdict(&engine, "u", MARCH),
            Verdict::Deny(DenyReason::Suspended)
        );
        let standing = engine.reader().unwrap().blocks_at(&on, at(MARCH)).unwrap();
        let name: BlockName = "staff".parse().unwrap();
        let on_it = on.clone();
        assert_eq!(standing, [StandingBlock { on: on_it, name }]);
        state(
            &mut engine,
            "l",
            MARCH,
            StaffChange::Resumed { on, user, by },
        );
        assert!(has_pro(&engine, "u", MARCH));
        assert!(!has_pro(&engine, "u", FEBRUARY));
    }
}

#[test]
fn the_blocks_on_a_grant_are_its_own_and_those_on_its_holder() {
    let mut engine = sold();
    let blocks = |engine: &Engine<MemoryStore>, on: &Blocked, time| {
        let blocks = engine.reader().unwrap().blocks_at(on, at(time)).unwrap();
        let names = blocks.into_iter().map(|it| it.name.to_string());
        names.collect::<Vec<String>>()
    };
    let of_grant = Blocked::Grant(grant("g"));
    let of_user = |user: &str, source: &str| Blocked::User {
        user: user.parse().unwrap(),
        source: source.parse().unwrap(),
    };
    for (id, on, name) in [
        ("1", of_grant.clone(), "abuse"),
        ("2", of_user("u", "crm"), "police"),
        ("3", of_user("u", "shop"), "shop"),
        ("4", of_user("v", "crm"), "other"),
    ] {
        let by = Some(name.parse().unwrap());
        let user = None;
        state(
            &mut engine,
            id,
            FEBRUARY,
            StaffChange::Suspended { on, user, by },
        );
    }
    for on in [&of_grant, &of_user("u", "crm")] {
        assert_eq!(blocks(&engine, on, MARCH), ["abuse", "police"]);
        assert!(blocks(&engine, on, JANUARY).is_empty(), "not set yet");
    }
    assert_eq!(blocks(&engine, &of_user("u", "shop"), MARCH), ["shop"]);
}

#[test]
fn staff_take_back_what_any_source_said() {
    let mut engine = sold();
    let sold_by_shop = Line {
        source: "shop",
        ..sale()
    };
    tell(&mut engine, &[sold_by_shop], 1);
    state(
        &mut engine,
        "s",
        JANUARY,
        granted(of("staff", "s"), "u", until(APRIL)),
    );
    for (source, key, left) in [
        ("crm", "crm e0", true),
        ("staff", "staff s", true),
        ("shop", "shop e1", false),
    ] {
        let (source, key) = (
            source.parse().unwrap(),
            tenure::DedupeKey::new(key).unwrap(),
        );
        let named = engine
            .reader()
            .unwrap()
            .delivery_of_key(&source, &key)
            .unwrap();
        assert_eq!(named.unwrap().events.len(), 1);
        let withdrawn = StaffChange::Withdrawn {
            source,
            key: key.clone(),
        };
        state(&mut engine, key.as_str(), MARCH, withdrawn);
        assert_eq!(has_pro(&engine, "u", FEBRUARY), left, "without {key}");
    }
    assert_eq!(
        verdict(&engine, "u", FEBRUARY),
        Verdict::Deny(DenyReason::UnknownUser)
    );
}

#[test]
fn a_link_by_staff_joins_two_ids_until_it_is_withdrawn() {
    let mut engine = sold();
    let (user, alias) = ("u".parse().unwrap(), "u@old".parse().unwrap());
    let linked = StaffChange::Linked { user, alias };
    let statement = by_hand("l", at(APRIL), linked);
    engine.ingest(statement.delivery(), now()).unwrap();
    assert!(has_pro(&engine, "u@old", FEBRUARY), "for any time");
    let withdrawn = StaffChange::Withdrawn {
        source: "staff".parse().unwrap(),
        key: statement.dedupe_key(),
    };
    state(&mut engine, "w", JANUARY, withdrawn);
    assert!(!has_pro(&engine, "u@old", FEBRUARY));
    assert!(has_pro(&engine, "u", FEBRUARY));
}

fn live(engine: &Engine<MemoryStore>, user: &str, product: &str, time: Instant) -> Vec<GrantId> {
    let (user, product) = (user.parse().unwrap(), product.parse().unwrap());
    let mut reader = engine.reader().unwrap();
    let held = reader.live_grants(&user, Some(&product), time).unwrap();
    held.into_iter().map(|it| it.grant).collect()
}

#[test]
fn live_grants_are_also_those_of_linked_ids_and_suspended_and_lapsed_ones() {
    let mut engine = sold();
    let lapsed = Line::of_grant("shop", "granted", "l", at(JANUARY)).for_user("v");
    let lapsed = lapsed
        .with("product", json!("pro"))
        .with("period", json!("P1W"));
    let other = Line::of_grant("crm", "granted", "o", at(JANUARY)).for_user("u");
    let other = other
        .with("product", json!("basic"))
        .with("until", json!(null));
    let ahead = Line::of_grant("crm", "granted", "a", at(JANUARY)).for_user("u");
    let ahead = ahead
        .with("product", json!("pro"))
        .with("until", json!(null));
    let ahead = ahead.with("from", json!(MARCH));
    let over = Line::of_grant("crm", "granted", "r", at(JANUARY)).for_user("u");
    let over = over
        .with("product", json!("pro"))
        .with("until", json!(null));
    let ended = Line::of_grant("crm", "ended", "r", at("2024-01-02T00:00:00Z"));
    let switched = Line::of_grant("crm", "switched", "o", at(APRIL));
    let switched = switched.with("product", json!("pro"));
    tell(
        &mut engine,
        &[lapsed, other, ahead, over, ended, switched],
        1,
    );
    let suspended = StaffChange::Suspended {
        on: Blocked::Grant(grant("g")),
        user: None,
        by: None,
    };
    state(&mut engine, "b", JANUARY, suspended);
    let own = [grant("a"), grant("g")];
    assert_eq!(
        live(&engine, "u", "pro", at(FEBRUARY)),
        own,
        "a begins later"
    );
    let (user, alias) = ("v".parse().unwrap(), "u".parse().unwrap());
    state(
        &mut engine,
        "k",
        JANUARY,
        StaffChange::Linked { user, alias },
    );
    let both = [grant("a"), grant("g"), of("shop", "l")];
    assert_eq!(live(&engine, "u", "pro", at(FEBRUARY)), both);
    assert_eq!(live(&engine, "v", "pro", at(FEBRUARY)), both);
    assert_eq!(live(&engine, "u", "basic", at(FEBRUARY)), [grant("o")]);
    assert_eq!(live(&engine, "u", "pro", at(MARCH)), both);
    assert!(live(&engine, "u", "pro", at(APRIL)).contains(&grant("o")));
    assert!(live(&engine, "u", "pro", at(JANUARY).previous()).is_empty());
}

#[test]
fn revoking_what_is_live_leaves_no_access_to_the_product_and_all_to_others() {
    hold(400, (history(12), instant()), |(mut history, time)| {
        for line in &mut history.lines {
            // A child goes with its parent, whatever its product.
            line.data.remove("parent");
        }
        let mut engine = told(&history);
        let user: UserId = "u".parse().unwrap();
        let windows = |engine: &Engine<MemoryStore>, product: &str| {
            let windows = engine.reader().unwrap().windows(&user, None).unwrap();
            let of_product = windows
                .into_iter()
                .filter(|it| it.product.as_str() == product);
            let open = of_product.filter(|it| it.start <= time && it.end.is_after(time));
            open.map(|it| (it.source, it.grant))
                .collect::<BTreeSet<_>>()
        };
        let found = live(&engine, "u", "pro", time);
        for (source, key) in windows(&engine, "pro") {
            prop_assert!(found.contains(&GrantId { source, key }), "{:?}", found);
        }
        let others = windows(&engine, "basic");
        let statements = found.iter().enumerate().map(|(number, grant)| {
            by_hand(&format!("r{number}"), time, revoked(grant.clone())).delivery()
        });
        engine.ingest_batch(statements.collect(), now()).unwrap();
        prop_assert_eq!(windows(&engine, "pro"), BTreeSet::new());
        prop_assert_eq!(windows(&engine, "basic"), others);
        prop_assert_eq!(live(&engine, "u", "pro", time), []);
        Ok(())
    });
}

#[test]
fn a_grant_at_an_instant_is_what_the_events_until_then_make_of_it() {
    let mut engine = sold();
    state(&mut engine, "r", FEBRUARY, revoked(grant("g")));
    let mut reader = engine.reader().unwrap();
    let mut state = |time| reader.grant_at(&grant("g"), at(time)).unwrap().unwrap();
    assert!(matches!(state(JANUARY).state, tenure::State::Live(_)));
    assert!(matches!(state(FEBRUARY).state, tenure::State::Over(_)));
    assert_eq!(state(FEBRUARY).held().unwrap().user.as_str(), "u");
    let before = at(JANUARY).previous();
    let before = reader.grant_at(&grant("g"), before).unwrap().unwrap();
    assert!(before.held().is_none());
    assert!(
        reader
            .grant_at(&of("shop", "g"), at(JANUARY))
            .unwrap()
            .is_none()
    );
}

#[test]
fn every_statement_by_hand_is_decoded_as_it_was_meant() {
    let g = || grant("g");
    let user: UserId = "u".parse().unwrap();
    let (product, key): (tenure::ProductName, _) = (
        "pro".parse().unwrap(),
        tenure::DedupeKey::new("crm e1").unwrap(),
    );
    let on_user = Blocked::User {
        user: user.clone(),
        source: "crm".parse().unwrap(),
    };
    let by: Option<BlockName> = Some("police".parse().unwrap());
    let changes = [
        granted(of("shop", "k"), "u", End::Never),
        StaffChange::Granted {
            grant: g(),
            user: user.clone(),
            product: product.clone(),
            until: until(MARCH),
            from: Some(at(FEBRUARY)),
            origin: Origin::Gift,
        },
        revoked(g()),
        StaffChange::Reinstated {
            grant: g(),
            user: Some(user.clone()),
            until: Some(at(MARCH)),
        },
        StaffChange::Suspended {
            on: Blocked::Grant(g()),
            user: None,
            by: by.clone(),
        },
        StaffChange::Resumed {
            on: on_user.clone(),
            user: None,
            by: by.clone(),
        },
        StaffChange::Suspended {
            on: on_user,
            user: None,
            by: None,
        },
        StaffChange::Withdrawn {
            source: "crm".parse().unwrap(),
            key: key.clone(),
        },
        StaffChange::Linked {
            user: user.clone(),
            alias: "v".parse().unwrap(),
        },
    ];
    let mut engine = in_memory(&plain_rules());
    for (number, change) in changes.into_iter().enumerate() {
        let receipt = state(&mut engine, &format!("s{number}"), JANUARY, change);
        assert_eq!(receipt.outcome, Outcome::Applied, "{receipt:?}");
    }
    let statements: Vec<Statement> = recorded(&engine)
        .events
        .into_iter()
        .map(|it| it.event.statement)
        .collect();
    let Statement::Grant(unlimited) = &statements[0] else {
        panic!("{statements:?}");
    };
    assert_eq!(unlimited.grant, of("shop", "k"));
    let Statement::Grant(first) = &statements[1] else {
        panic!("{statements:?}");
    };
    let Change::Granted(gift) = &first.change else {
        panic!("{first:?}");
    };
    assert_eq!(gift.term, Term::Until(until(MARCH)));
    assert_eq!((gift.origin, gift.from), (Origin::Gift, Some(at(FEBRUARY))));
    assert_eq!((&gift.user, &gift.product), (&user, &product));
    let names: Vec<&str> = statements.iter().map(Statement::name).collect();
    let expected = [
        "granted",
        "granted",
        "revoked",
        "reinstated",
        "suspended",
        "resumed",
        "suspended",
        "withdrawn",
        "linked",
    ];
    assert_eq!(names, expected);
    let Statement::User(resumed) = &statements[5] else {
        panic!("{statements:?}");
    };
    assert_eq!(resumed.change, UserChange::Resumed { by });
    let source = "crm".parse().unwrap();
    assert_eq!(statements[7], Statement::Withdrawal { source, key });
}

#[test]
fn the_log_gives_back_who_and_why_as_they_were_said() {
    let text = |most: usize| string_regex(&format!("\\PC{{1,{most}}}")).unwrap();
    hold(200, (text(60), text(300)), |(actor, why)| {
        let Ok(grounds) = Grounds::new(&actor, &why) else {
            return Ok(());
        };
        let mut engine = sold();
        let statement = StaffStatement {
            grounds,
            ..by_hand("s", at(FEBRUARY), revoked(grant("g")))
        };
        let receipt = engine.ingest(statement.delivery(), now()).unwrap();
        prop_assert_eq!(receipt.outcome, Outcome::Applied);
        let again = engine.ingest(statement.delivery(), now()).unwrap();
        prop_assert_eq!(again.outcome, Outcome::Duplicate);
        let mut reader = engine.reader().unwrap();
        let said = reader.entry(receipt.position).unwrap().unwrap().attribution;
        let said = said.unwrap();
        prop_assert_eq!((said.actor, said.why), (Some(actor), Some(why)));
        Ok(())
    });
}

#[test]
fn what_does_not_say_who_and_why_is_taken_as_well() {
    let mut engine = sold();
    let plain = Line::of_grant("staff", "revoked", "g", at(FEBRUARY));
    let half = plain
        .clone()
        .with("why", json!("x"))
        .with("actor", json!(7));
    let of_crm = Line::of_grant("crm", "resumed", "g", at(FEBRUARY)).with("why", json!("x"));
    tell(&mut engine, &[plain, half, of_crm], 1);
    let mut reader = engine.reader().unwrap();
    let mut said = |position| {
        let entry = reader.entry(tenure::Position(position)).unwrap().unwrap();
        entry.attribution.map(|it| (it.actor, it.why))
    };
    assert_eq!(said(3), None);
    assert_eq!(said(4), Some((None, Some("x".to_owned()))));
    assert_eq!(said(5), None, "of other sources nothing is read");
}

#[test]
fn grounds_say_something_and_not_too_much() {
    let long = |length: usize| "x".repeat(length);
    for (actor, why, error) in [
        ("", "x", GroundsError::NoActor),
        (" ", "x", GroundsError::NoActor),
        (&long(257), "x", GroundsError::LongActor),
        ("a", "", GroundsError::NoWhy),
        ("a", "\u{2003}", GroundsError::NoWhy),
        ("a", &long(2_001), GroundsError::LongWhy),
        ("a", "x\ny", GroundsError::ControlCharacter),
        ("a\u{7f}b", "x", GroundsError::ControlCharacter),
    ] {
        assert_eq!(Grounds::new(actor, why), Err(error));
    }
    assert!(Grounds::new(&long(256), &long(2_000)).is_ok());
}
