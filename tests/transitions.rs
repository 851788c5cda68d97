//! The transition table, cell by cell: what each change does to a grant that is absent, live or over.
//!
//! A day is a number: day 0 is 1 January 2026. A grant starts on day 0 and is paid to day 30 unless a test says otherwise. The
//! change under test takes effect on day 10.

use std::fmt::Write as _;

use tenure::domain::fold::{BlockHistory, Folded, fold};
use tenure::{
    Cause, Change, DedupeKey, EffectiveAt, End, Event, EventKey, GrantId, GrantStatement, Granted,
    How, Instant, Length, Origin, Policy, Position, RecordedAt, RecordedEvent, RefundPolicy, State,
    Statement, Term, UserChange, UserStatement,
};

const DAY: i64 = 86_400_000_000;

fn day(number: i64) -> Instant {
    let start: Instant = "2026-01-01T00:00:00Z".parse().unwrap();
    Instant::from_micros(start.micros() + number * DAY).unwrap()
}

fn name(end: End) -> String {
    match end {
        End::Never => "ever".to_owned(),
        End::At(at) => {
            let micros = at.micros() - day(0).micros();
            assert_eq!(micros % DAY, 0, "tests use whole days");
            (micros / DAY).to_string()
        }
    }
}

/// One statement of a history.
#[derive(Clone)]
struct Said {
    day: i64,
    by: &'static str,
    what: What,
}

#[derive(Clone)]
enum What {
    Change(Change),
    /// With the user and product that adoption needs.
    Adoptable(Change),
    Removed(&'static str),
}

fn said(day: i64, change: Change) -> Said {
    Said {
        day,
        by: "crm",
        what: What::Change(change),
    }
}

fn by_staff(day: i64, change: Change) -> Said {
    Said {
        by: "staff",
        ..said(day, change)
    }
}

fn adoptable(day: i64, change: Change) -> Said {
    Said {
        what: What::Adoptable(change),
        ..said(day, Change::Revoked)
    }
}

fn removed(day: i64, user: &'static str) -> Said {
    Said {
        what: What::Removed(user),
        ..said(day, Change::Revoked)
    }
}

fn granted() -> Granted {
    Granted {
        user: "u".parse().unwrap(),
        product: "news".parse().unwrap(),
        term: Term::Until(End::At(day(30))),
        recurring: None,
        from: None,
        period_key: None,
        parent: None,
        origin: Origin::Purchase,
    }
}

fn ten_days() -> tenure::Period {
    "P10D".parse().unwrap()
}

/// A subscription of ten-day periods: day 0 to day 10, period `p1`.
fn subscribed() -> Said {
    let granted = Granted {
        term: Term::Period(ten_days()),
        period_key: Some("p1".parse().unwrap()),
        ..granted()
    };
    said(0, Change::Granted(granted))
}

fn live() -> Said {
    said(0, Change::Granted(granted()))
}

fn renewed(until: Option<i64>) -> Change {
    Change::Renewed {
        until: until.map(day),
        period: None,
        period_key: None,
    }
}

fn renewed_for(key: &str) -> Change {
    Change::Renewed {
        until: None,
        period: None,
        period_key: Some(key.parse().unwrap()),
    }
}

fn ended(cause: Cause) -> Change {
    Change::Ended {
        cause,
        product: None,
    }
}

fn suspended(by: Option<&str>) -> Change {
    Change::Suspended {
        by: by.map(|by| by.parse().unwrap()),
    }
}

fn resumed(by: Option<&str>) -> Change {
    Change::Resumed {
        by: by.map(|by| by.parse().unwrap()),
    }
}

fn refunded(key: Option<&str>) -> Change {
    Change::Refunded {
        period_key: key.map(|key| key.parse().unwrap()),
    }
}

fn record(history: &[Said]) -> Vec<RecordedEvent> {
    let grant = GrantId {
        source: "crm".parse().unwrap(),
        key: "g".parse().unwrap(),
    };
    let mut events: Vec<RecordedEvent> = history
        .iter()
        .enumerate()
        .map(|(number, said)| {
            let change_of_grant = |change: &Change, adoptable: bool| {
                Statement::Grant(GrantStatement {
                    grant: grant.clone(),
                    user: adoptable.then(|| "u".parse().unwrap()),
                    product: adoptable.then(|| "news".parse().unwrap()),
                    change: change.clone(),
                })
            };
            let statement = match &said.what {
                What::Change(change) => change_of_grant(change, false),
                What::Adoptable(change) => change_of_grant(change, true),
                What::Removed(user) => Statement::User(UserStatement {
                    source: grant.source.clone(),
                    user: user.parse().unwrap(),
                    change: UserChange::UserRemoved,
                }),
            };
            RecordedEvent {
                event: Event {
                    effective_at: EffectiveAt(day(said.day)),
                    statement,
                },
                key: EventKey {
                    source: said.by.parse().unwrap(),
                    dedupe_key: DedupeKey::new(&format!("e{number}")).unwrap(),
                    index: 0,
                },
                sequence: 0,
                position: Position(number as u64 + 1),
                recorded_at: RecordedAt(day(0)),
                withdrawn_at: None,
            }
        })
        .collect();
    events.sort_by(RecordedEvent::fold_order);
    events
}

fn grant_id() -> GrantId {
    GrantId {
        source: "crm".parse().unwrap(),
        key: "g".parse().unwrap(),
    }
}

/// The state after the last event, and the anomalies that event left.
fn after_with(history: &[Said], policy: &Policy) -> String {
    let events = record(history);
    let folded = fold(&grant_id(), &events, policy);
    show(&folded, events.len() - 1, policy)
}

fn after(history: &[Said]) -> String {
    after_with(history, &Policy::default())
}

fn show(folded: &Folded, last: usize, policy: &Policy) -> String {
    let mut text = match &folded.state {
        State::Absent => "absent".to_owned(),
        State::Live(live) => {
            let (start, end) = (name(End::At(live.start)), name(live.end(policy)));
            let mut text = format!("live {}/{} {start}..{end}", live.user, live.product);
            if live.paid_until != live.end(policy) {
                let _ = write!(text, " paid {}", name(live.paid_until));
            }
            if let Some(cancelled) = live.cancelled {
                text.push_str(" cancelled");
                if let Some(at) = cancelled.ends_at {
                    let _ = write!(text, "@{}", name(End::At(at)));
                }
            }
            for block in &live.blocks {
                let _ = write!(text, " blocked by {block}");
            }
            if let Some(parent) = &live.parent {
                let _ = write!(text, " under {parent}");
            }
            text
        }
        State::Over(over) => {
            let how = match over.how {
                How::Revoked => "revoked".to_owned(),
                How::Ended(cause) => format!("{cause:?}").to_lowercase(),
            };
            let mut text = format!("over {} {how}", name(End::At(over.at)));
            if let Some(barred) = &over.barred {
                let _ = write!(text, " barred by {barred}");
            }
            if over.last.is_none() {
                text.push_str(" tombstone");
            }
            text
        }
    };
    for (place, anomaly) in &folded.anomalies {
        if *place == last {
            let _ = write!(text, " !{anomaly}");
        }
    }
    text
}

#[test]
fn granted_on_absent() {
    let from = |from| {
        said(
            10,
            Change::Granted(Granted {
                from: Some(day(from)),
                ..granted()
            }),
        )
    };
    let until = |term| said(10, Change::Granted(Granted { term, ..granted() }));
    assert_eq!(
        after(&[said(10, Change::Granted(granted()))]),
        "live u/news 10..30"
    );
    assert_eq!(after(&[from(20)]), "live u/news 20..30");
    assert_eq!(after(&[from(5)]), "live u/news 10..30 !from_in_past");
    assert_eq!(
        after(&[until(Term::Until(End::Never))]),
        "live u/news 10..ever"
    );
    assert_eq!(
        after(&[until(Term::Period(ten_days()))]),
        "live u/news 10..20"
    );
    let both = Term::UntilThenPeriod(End::At(day(17)), ten_days());
    assert_eq!(after(&[until(both)]), "live u/news 10..17");
    let own_parent = Granted {
        parent: Some("g".parse().unwrap()),
        ..granted()
    };
    assert_eq!(
        after(&[said(0, Change::Granted(own_parent))]),
        "live u/news 0..30"
    );
}

#[test]
fn a_period_without_an_end_is_counted_from_the_stated_start() {
    let late = Granted {
        from: Some(day(5)),
        term: Term::Period(ten_days()),
        ..granted()
    };
    assert_eq!(
        after(&[said(10, Change::Granted(late))]),
        "live u/news 10..15 !from_in_past"
    );
}

#[test]
fn granted_on_live_states_it_anew() {
    let again = |day, granted| said(day, Change::Granted(granted));
    assert_eq!(
        after(&[
            live(),
            again(
                10,
                Granted {
                    term: Term::Until(End::At(day(20))),
                    ..granted()
                }
            )
        ]),
        "live u/news 0..20"
    );
    let other_user = Granted {
        user: "v".parse().unwrap(),
        ..granted()
    };
    assert_eq!(
        after(&[live(), again(10, other_user)]),
        "live v/news 0..30 !moved"
    );
    let later = Granted {
        from: Some(day(20)),
        ..granted()
    };
    assert_eq!(
        after(&[live(), again(10, later.clone())]),
        "live u/news 0..30"
    );
    let cancelled = Change::Cancelled {
        until: Some(day(5)),
    };
    assert_eq!(
        after(&[live(), said(2, cancelled), again(4, granted())]),
        "live u/news 0..30"
    );
    let after_lapse = Granted {
        term: Term::Until(End::At(day(60))),
        ..granted()
    };
    assert_eq!(
        after(&[live(), again(40, after_lapse.clone())]),
        "live u/news 40..60"
    );
    assert_eq!(
        after(&[again(0, later), again(10, granted())]),
        "live u/news 10..30",
        "a start that has not come is stated anew"
    );
    let blocked = [
        live(),
        said(1, suspended(None)),
        said(2, suspended(Some("legal"))),
    ];
    let restated = |day, granted: &Granted| [&blocked[..], &[again(day, granted.clone())]].concat();
    assert_eq!(
        after(&restated(10, &granted())),
        "live u/news 0..30 blocked by crm blocked by legal"
    );
    assert_eq!(
        after(&restated(40, &after_lapse)),
        "live u/news 40..60 blocked by legal",
        "a new window drops the block of the grant's own source only"
    );
}

#[test]
fn granted_on_over_opens_a_new_window() {
    let again = said(10, Change::Granted(granted()));
    assert_eq!(
        after(&[live(), said(5, Change::Revoked), again.clone()]),
        "live u/news 10..30"
    );
    assert_eq!(
        after(&[said(5, Change::Revoked), again.clone()]),
        "live u/news 10..30"
    );
    assert_eq!(
        after(&[live(), by_staff(5, Change::Revoked), again]),
        "over 5 revoked barred by staff !barred"
    );
    assert_eq!(
        after(&[
            live(),
            by_staff(5, Change::Revoked),
            by_staff(10, Change::Granted(granted()))
        ]),
        "live u/news 10..30"
    );
}

#[test]
fn modified_and_rescheduled_state_the_end() {
    for change in [
        Change::Modified {
            until: End::At(day(20)),
        },
        Change::Rescheduled {
            until: End::At(day(20)),
        },
    ] {
        assert_eq!(after(&[said(10, change.clone())]), "absent !orphan");
        assert_eq!(
            after(&[adoptable(10, change.clone())]),
            "live u/news 10..20 !adopted"
        );
        assert_eq!(
            after(&[live(), said(10, change.clone())]),
            "live u/news 0..20"
        );
        assert_eq!(
            after(&[live(), said(5, Change::Revoked), said(10, change.clone())]),
            "over 5 revoked !after_end"
        );
        let cancelled = said(
            5,
            Change::Cancelled {
                until: Some(day(8)),
            },
        );
        assert_eq!(
            after(&[live(), cancelled, said(6, change)]),
            "live u/news 0..20 cancelled",
            "the instant is taken back, the mark stays"
        );
    }
}

#[test]
fn renewed_on_absent_adopts() {
    assert_eq!(after(&[said(10, renewed(Some(20)))]), "absent !orphan");
    assert_eq!(
        after(&[adoptable(10, renewed(Some(20)))]),
        "live u/news 10..20 !adopted"
    );
    assert_eq!(after(&[adoptable(10, renewed(None))]), "absent !orphan");
    let period = Change::Renewed {
        until: None,
        period: Some(ten_days()),
        period_key: None,
    };
    assert_eq!(
        after(&[adoptable(10, period)]),
        "live u/news 10..20 !adopted"
    );
}

#[test]
fn renewed_on_live() {
    assert_eq!(
        after(&[live(), said(10, renewed(Some(60)))]),
        "live u/news 0..60"
    );
    assert_eq!(
        after(&[live(), said(10, renewed(Some(20)))]),
        "live u/news 0..30 !stale_renewal",
        "a renewal never shortens"
    );
    assert_eq!(
        after(&[live(), said(10, renewed(None))]),
        "live u/news 0..30 !no_period"
    );
    assert_eq!(
        after(&[live(), said(10, renewed(Some(5)))]),
        "live u/news 0..30 !stale_renewal !no_period"
    );
    assert_eq!(
        after(&[subscribed(), said(9, renewed(None))]),
        "live u/news 0..20"
    );
    assert_eq!(
        after(&[subscribed(), said(9, renewed(Some(5)))]),
        "live u/news 0..20 !stale_renewal"
    );
    assert_eq!(
        after(&[subscribed(), said(13, renewed(None))]),
        "live u/news 0..20",
        "three days late still continues the period"
    );
    assert_eq!(
        after(&[subscribed(), said(14, renewed(None))]),
        "live u/news 0..24",
        "later than that begins a new one"
    );
    let cancelled = said(5, Change::Cancelled { until: None });
    assert_eq!(
        after(&[subscribed(), cancelled, said(9, renewed(None))]),
        "live u/news 0..20"
    );
    let blocked = said(5, suspended(None));
    assert_eq!(
        after(&[subscribed(), blocked, said(9, renewed(None))]),
        "live u/news 0..20 blocked by crm"
    );
}

#[test]
fn one_period_key_buys_one_period() {
    assert_eq!(
        after(&[subscribed(), said(9, renewed_for("p1"))]),
        "live u/news 0..10"
    );
    assert_eq!(
        after(&[
            subscribed(),
            said(8, renewed_for("p2")),
            said(9, renewed_for("p2"))
        ]),
        "live u/news 0..20"
    );
    let twice = [subscribed(), said(9, renewed(None)), said(9, renewed(None))];
    assert_eq!(
        after(&twice),
        "live u/news 0..20",
        "without a key the instant is the key"
    );
}

#[test]
fn renewed_on_over() {
    for cause in [Cause::Expired, Cause::RenewalFailed, Cause::Unspecified] {
        assert_eq!(
            after(&[
                subscribed(),
                said(10, ended(cause)),
                said(12, renewed(None))
            ]),
            "live u/news 12..22 !revived"
        );
        assert_eq!(
            after(&[
                subscribed(),
                said(10, ended(cause)),
                said(12, renewed(Some(30)))
            ]),
            "live u/news 12..30 !revived"
        );
    }
    for cause in [Cause::Cancelled, Cause::Refunded] {
        let history = [
            subscribed(),
            said(10, ended(cause)),
            said(12, renewed(None)),
        ];
        assert!(after(&history).ends_with("!after_end"), "{cause:?}");
    }
    let revoked = [
        subscribed(),
        said(5, Change::Revoked),
        said(6, renewed(Some(30))),
    ];
    assert_eq!(after(&revoked), "over 5 revoked !after_end");
    let tombstone = [
        said(5, ended(Cause::Expired)),
        adoptable(6, renewed(Some(30))),
    ];
    assert_eq!(after(&tombstone), "over 5 expired tombstone !after_end");
    let seen = [
        subscribed(),
        said(10, ended(Cause::Expired)),
        said(12, renewed_for("p1")),
    ];
    assert_eq!(after(&seen), "over 10 expired !after_end");
    let no_period = [
        live(),
        said(10, ended(Cause::Expired)),
        said(12, renewed(None)),
    ];
    assert_eq!(after(&no_period), "over 10 expired !no_period");
    let barred = [
        subscribed(),
        said(5, ended(Cause::Expired)),
        by_staff(6, Change::Revoked),
        said(7, renewed(None)),
    ];
    assert_eq!(after(&barred), "over 5 expired barred by staff !after_end");
}

#[test]
fn grace_extended() {
    let grace = |until: Option<i64>| Change::GraceExtended {
        until: until.map(day),
    };
    assert_eq!(after(&[said(10, grace(Some(20)))]), "absent !orphan");
    assert_eq!(
        after(&[adoptable(10, grace(Some(20)))]),
        "live u/news 10..20 paid 10 !adopted"
    );
    assert_eq!(after(&[adoptable(10, grace(None))]), "absent !orphan");
    assert_eq!(
        after(&[live(), said(10, grace(Some(40)))]),
        "live u/news 0..40 paid 30"
    );
    assert_eq!(
        after(&[live(), said(10, grace(Some(20)))]),
        "live u/news 0..30"
    );
    assert_eq!(
        after(&[live(), said(10, grace(None))]),
        "live u/news 0..31 paid 30"
    );
    assert_eq!(
        after(&[live(), said(40, grace(None))]),
        "live u/news 0..41 paid 30"
    );
    assert_eq!(
        after(&[
            live(),
            said(5, ended(Cause::Expired)),
            said(10, grace(Some(40)))
        ]),
        "over 5 expired !after_end"
    );
}

#[test]
fn payment_failed() {
    let policy = Policy {
        payment_failed_grace: Some(Length::days(3)),
        ..Policy::default()
    };
    let failed = said(10, Change::PaymentFailed);
    assert_eq!(
        after_with(std::slice::from_ref(&failed), &policy),
        "absent !orphan"
    );
    assert_eq!(
        after_with(&[subscribed(), failed.clone()], &policy),
        "live u/news 0..13 paid 10"
    );
    assert_eq!(after(&[subscribed(), failed.clone()]), "live u/news 0..10");
    assert_eq!(
        after_with(&[live(), failed.clone()], &policy),
        "live u/news 0..30",
        "not recurring"
    );
    let cancelled = said(5, Change::Cancelled { until: None });
    assert_eq!(
        after_with(&[subscribed(), cancelled, failed.clone()], &policy),
        "live u/news 0..10 cancelled"
    );
    let trial = Granted {
        origin: Origin::Trial,
        term: Term::Period(ten_days()),
        ..granted()
    };
    let trial = said(0, Change::Granted(trial));
    assert_eq!(
        after_with(&[trial.clone(), failed.clone()], &policy),
        "live u/news 0..10"
    );
    assert_eq!(
        after_with(&[trial, said(9, renewed(None)), failed.clone()], &policy),
        "live u/news 0..23 paid 20",
        "renewed once, it is paid"
    );
    assert_eq!(
        after_with(&[live(), said(5, Change::Revoked), failed], &policy),
        "over 5 revoked"
    );
}

#[test]
fn cancelled() {
    let cancelled = |until: Option<i64>| {
        said(
            10,
            Change::Cancelled {
                until: until.map(day),
            },
        )
    };
    assert_eq!(after(&[cancelled(None)]), "absent !orphan");
    assert_eq!(
        after(&[live(), cancelled(None)]),
        "live u/news 0..30 cancelled"
    );
    assert_eq!(
        after(&[live(), cancelled(Some(20))]),
        "live u/news 0..20 paid 30 cancelled@20"
    );
    assert_eq!(
        after(&[live(), cancelled(Some(40))]),
        "live u/news 0..30 cancelled@40"
    );
    let earlier = said(
        5,
        Change::Cancelled {
            until: Some(day(15)),
        },
    );
    assert_eq!(
        after(&[live(), earlier.clone(), cancelled(Some(20))]),
        "live u/news 0..20 paid 30 cancelled@20"
    );
    assert_eq!(
        after(&[live(), earlier, cancelled(None)]),
        "live u/news 0..15 paid 30 cancelled@15"
    );
    assert_eq!(
        after(&[live(), said(5, Change::Revoked), cancelled(None)]),
        "over 5 revoked"
    );
}

#[test]
fn reinstated() {
    let reinstated = |until: Option<i64>| Change::Reinstated {
        until: until.map(day),
    };
    assert_eq!(after(&[said(10, reinstated(None))]), "absent !orphan");
    let cancelled = said(
        5,
        Change::Cancelled {
            until: Some(day(15)),
        },
    );
    assert_eq!(
        after(&[live(), cancelled.clone(), said(10, reinstated(None))]),
        "live u/news 0..30"
    );
    assert_eq!(
        after(&[live(), cancelled, said(10, reinstated(Some(50)))]),
        "live u/news 0..50"
    );
    let over = [live(), said(2, suspended(None)), said(5, Change::Revoked)];
    let then = |last: Said| [&over[..], &[last]].concat();
    assert_eq!(
        after(&then(said(10, reinstated(None)))),
        "live u/news 10..30 blocked by crm"
    );
    assert_eq!(
        after(&then(said(10, reinstated(Some(50))))),
        "live u/news 10..50 blocked by crm"
    );
    let barred = [live(), by_staff(5, Change::Revoked)];
    assert_eq!(
        after(&[&barred[..], &[said(10, reinstated(None))]].concat()),
        "over 5 revoked barred by staff !barred"
    );
    assert_eq!(
        after(&[&barred[..], &[by_staff(10, reinstated(None))]].concat()),
        "live u/news 10..30"
    );
    assert_eq!(
        after(&[said(5, Change::Revoked), said(10, reinstated(None))]),
        "over 5 revoked tombstone !after_end"
    );
    assert_eq!(
        after(&[by_staff(5, Change::Revoked), by_staff(10, reinstated(None))]),
        "over 5 revoked tombstone !after_end",
        "the bar is lifted all the same"
    );
}

#[test]
fn switched() {
    let switched = |until: Option<i64>| Change::Switched {
        product: "pro".parse().unwrap(),
        until: until.map(day),
    };
    assert_eq!(after(&[said(10, switched(Some(20)))]), "absent !orphan");
    assert_eq!(
        after(&[adoptable(10, switched(Some(20)))]),
        "live u/pro 10..20 !adopted"
    );
    assert_eq!(after(&[adoptable(10, switched(None))]), "absent !orphan");
    let cancelled = said(5, Change::Cancelled { until: None });
    assert_eq!(
        after(&[live(), cancelled.clone(), said(10, switched(None))]),
        "live u/pro 0..30 cancelled"
    );
    assert_eq!(
        after(&[live(), cancelled, said(10, switched(Some(40)))]),
        "live u/pro 0..40"
    );
    assert_eq!(
        after(&[live(), said(5, Change::Revoked), said(10, switched(None))]),
        "over 5 revoked !after_end"
    );
}

#[test]
fn transferred() {
    let transferred = said(
        10,
        Change::Transferred {
            user: "v".parse().unwrap(),
        },
    );
    assert_eq!(after(std::slice::from_ref(&transferred)), "absent !orphan");
    assert_eq!(after(&[live(), transferred.clone()]), "live v/news 0..30");
    assert_eq!(
        after(&[live(), said(5, Change::Revoked), transferred]),
        "over 5 revoked !after_end"
    );
}

#[test]
fn suspended_and_resumed() {
    assert_eq!(after(&[said(10, suspended(None))]), "absent !orphan");
    assert_eq!(after(&[said(10, resumed(None))]), "absent !orphan");
    assert_eq!(
        after(&[live(), said(10, suspended(None))]),
        "live u/news 0..30 blocked by crm"
    );
    assert_eq!(
        after(&[live(), by_staff(10, suspended(None))]),
        "live u/news 0..30 blocked by staff"
    );
    let blocked = [live(), said(5, suspended(None))];
    assert_eq!(
        after(&[&blocked[..], &[said(10, resumed(None))]].concat()),
        "live u/news 0..30"
    );
    assert_eq!(
        after(&[&blocked[..], &[said(10, resumed(Some("legal")))]].concat()),
        "live u/news 0..30 blocked by crm",
        "a block is lifted only by its name"
    );
    let over = [live(), said(5, Change::Revoked)];
    assert_eq!(
        after(&[&over[..], &[said(10, suspended(None))]].concat()),
        "over 5 revoked"
    );
    assert_eq!(
        after(&[&over[..], &[said(10, resumed(None))]].concat()),
        "over 5 revoked"
    );
}

#[test]
fn refunded_on_each_state() {
    let twice = [subscribed(), said(8, renewed_for("p2"))];
    let then = |day, key| after(&[&twice[..], &[said(day, refunded(key))]].concat());
    assert_eq!(after(&[said(10, refunded(None))]), "absent !orphan");
    assert_eq!(
        then(9, Some("p2")),
        "live u/news 0..10",
        "a period yet to come is taken off"
    );
    assert_eq!(then(12, Some("p2")), "over 12 refunded");
    assert_eq!(
        then(12, Some("p1")),
        "live u/news 0..20",
        "a period gone by changes nothing"
    );
    assert_eq!(then(9, Some("p1")), "over 9 refunded");
    assert_eq!(then(9, Some("p9")), "live u/news 0..20 !unknown_period");
    assert_eq!(then(9, None), "over 9 refunded");
    let policy = Policy {
        refund: RefundPolicy::Ignore,
        ..Policy::default()
    };
    let history = [subscribed(), said(5, refunded(None))];
    assert_eq!(after_with(&history, &policy), "live u/news 0..10");
    assert_eq!(
        after(&[live(), said(5, Change::Revoked), said(10, refunded(None))]),
        "over 5 revoked"
    );
}

#[test]
fn revoked_on_each_state() {
    assert_eq!(
        after(&[said(10, Change::Revoked)]),
        "over 10 revoked tombstone"
    );
    assert_eq!(
        after(&[by_staff(10, Change::Revoked)]),
        "over 10 revoked barred by staff tombstone"
    );
    assert_eq!(
        after(&[live(), said(10, Change::Revoked)]),
        "over 10 revoked"
    );
    assert_eq!(
        after(&[live(), by_staff(10, Change::Revoked)]),
        "over 10 revoked barred by staff"
    );
    assert_eq!(
        after(&[
            live(),
            said(5, ended(Cause::Expired)),
            said(10, Change::Revoked)
        ]),
        "over 5 expired"
    );
    assert_eq!(
        after(&[
            live(),
            said(5, ended(Cause::Expired)),
            by_staff(10, Change::Revoked)
        ]),
        "over 5 expired barred by staff"
    );
}

#[test]
fn ended_on_each_state() {
    let of_product = |product: &str| Change::Ended {
        cause: Cause::Cancelled,
        product: Some(product.parse().unwrap()),
    };
    assert_eq!(
        after(&[said(10, ended(Cause::Expired))]),
        "over 10 expired tombstone"
    );
    assert_eq!(
        after(&[live(), said(10, ended(Cause::Expired))]),
        "over 10 expired"
    );
    assert_eq!(
        after(&[live(), said(10, of_product("news"))]),
        "over 10 cancelled"
    );
    assert_eq!(
        after(&[live(), said(10, of_product("pro"))]),
        "live u/news 0..30"
    );
    let then = |first: Change, second: Change| after(&[live(), said(5, first), said(10, second)]);
    assert_eq!(
        then(Change::Revoked, ended(Cause::Expired)),
        "over 5 expired"
    );
    assert_eq!(
        then(Change::Revoked, ended(Cause::Unspecified)),
        "over 5 unspecified"
    );
    assert_eq!(
        then(ended(Cause::Unspecified), ended(Cause::Expired)),
        "over 5 expired"
    );
    assert_eq!(
        then(ended(Cause::Expired), ended(Cause::Cancelled)),
        "over 5 expired"
    );
    assert_eq!(then(Change::Revoked, of_product("pro")), "over 5 cancelled");
}

#[test]
fn user_removed_on_each_state() {
    assert_eq!(after(&[removed(10, "u")]), "absent");
    assert_eq!(after(&[live(), removed(10, "u")]), "over 10 userremoved");
    assert_eq!(after(&[live(), removed(10, "v")]), "live u/news 0..30");
    assert_eq!(
        after(&[live(), said(5, Change::Revoked), removed(10, "u")]),
        "over 5 revoked"
    );
    assert_eq!(
        after(&[live(), removed(5, "u"), said(10, renewed(Some(30)))]),
        "over 5 userremoved !after_end"
    );
}

#[test]
fn subscription_ended_implies_access_revoked() {
    let both = [
        [
            said(9, Change::Revoked),
            said(12, ended(Cause::Unspecified)),
        ],
        [
            said(12, Change::Revoked),
            said(9, ended(Cause::Unspecified)),
        ],
        [said(9, Change::Revoked), said(9, ended(Cause::Unspecified))],
    ];
    for [first, second] in both {
        let one_way = after(&[live(), first.clone(), second.clone(), first.clone()]);
        let other_way = after(&[second.clone(), first, second, live()]);
        assert_eq!(one_way, "over 9 unspecified");
        assert_eq!(other_way, "over 9 unspecified");
    }
}

#[test]
fn months_are_counted_from_the_anchor() {
    let month: tenure::Period = "P1M".parse().unwrap();
    let monthly = Granted {
        term: Term::Period(month),
        ..granted()
    };
    let mut history = vec![said(30, Change::Granted(monthly))];
    assert_eq!(
        after(&history),
        "live u/news 30..58",
        "31 January to 28 February"
    );
    history.push(said(57, renewed(None)));
    assert_eq!(after(&history), "live u/news 30..89", "to 31 March");
    history.push(said(88, renewed(None)));
    assert_eq!(after(&history), "live u/news 30..119", "to 30 April");
}

#[test]
fn at_one_instant_the_restricting_change_wins() {
    let history = [
        live(),
        said(10, renewed(Some(60))),
        said(10, Change::Revoked),
    ];
    assert_eq!(after(&history), "over 10 revoked !same_instant");
    let ends = [20, 40].map(|end| {
        said(
            10,
            Change::Modified {
                until: End::At(day(end)),
            },
        )
    });
    assert_eq!(
        after(&[vec![live()], ends.to_vec()].concat()),
        "live u/news 0..40 !same_instant",
        "of two ends the longer"
    );
}

#[test]
fn renewal_access_bridges_the_minutes_until_the_payments_message() {
    let policy = Policy {
        renewal_access: Length::days(1),
        ..Policy::default()
    };
    assert_eq!(
        after_with(&[subscribed()], &policy),
        "live u/news 0..11 paid 10"
    );
    assert_eq!(after_with(&[live()], &policy), "live u/news 0..30");
    let cancelled = said(5, Change::Cancelled { until: None });
    assert_eq!(
        after_with(&[subscribed(), cancelled], &policy),
        "live u/news 0..10 cancelled"
    );
}

#[test]
fn what_speaks_of_something_else_is_passed_over() {
    let mut events = record(&[subscribed(), removed(5, "u"), said(5, Change::Revoked)]);
    let policy = Policy::default();
    let of_others = |recorded: &mut RecordedEvent| match &mut recorded.event.statement {
        Statement::Grant(statement) => statement.grant.key = "h".parse().unwrap(),
        Statement::User(statement) => statement.source = "shop".parse().unwrap(),
        Statement::Link { .. } | Statement::Withdrawal { .. } => {}
    };
    let all_over = fold(&grant_id(), &events, &policy);
    assert!(matches!(all_over.state, State::Over(_)));
    // On the same instant, and twice, so that they would contradict each other.
    let ended = said(5, Change::Revoked);
    events.extend(record(&[ended, said(5, renewed(Some(60)))]));
    events.iter_mut().skip(1).for_each(of_others);
    events.sort_by(RecordedEvent::fold_order);
    let alone = fold(&grant_id(), &events, &policy);
    assert!(matches!(alone.state, State::Live(_)));
    assert_eq!(alone.anomalies, []);
}

#[test]
fn a_block_stands_from_its_own_instant_on_and_for_its_own_user_and_source() {
    let mut events = record(&[removed(5, "u")]);
    for recorded in &mut events {
        if let Statement::User(statement) = &mut recorded.event.statement {
            statement.change = UserChange::Suspended { by: None };
        }
    }
    let names = |source: &str, user: &str, at: Instant| {
        let (source, user) = (source.parse().unwrap(), user.parse().unwrap());
        let standing = BlockHistory::fold(&source, &user, &events).blocks_at(at);
        let names = BlockHistory::names_at(&source, &user, &events, at);
        assert_eq!(standing, !names.is_empty());
        names.len()
    };
    assert_eq!(names("crm", "u", day(5)), 1);
    assert_eq!(names("crm", "u", day(5).previous()), 0);
    assert_eq!(names("crm", "v", day(9)), 0);
    assert_eq!(names("shop", "u", day(9)), 0);
}
