//! Small scope, exhaustive: every history of up to five changes of one grant.
//!
//! The alphabet is every change there is, fifteen of a grant and three of its user, each at two instants: 36 letters. The
//! second instant is exactly one period after the first, so that a period granted at the first ends at the second. A history
//! is a multiset of letters (order is what is tried out, and one statement made twice is two letters). Covered are
//!
//! - 1 to 5 changes, all 36 + 666 + 8,436 + 82,251 + 658,008 histories, folded directly;
//! - 1 to 4 changes once more after each of three pasts, which began a month earlier, folded directly;
//! - 1, 2 and 3 changes, and every 35th history of 4, through the engine in every order of arrival with one delivery
//!   repeated: all orders give one projection, and that is the model's; 1 and 2 changes also with a grant given a month
//!   earlier as one delivery more.
//!
//! Held against the model are the windows of both users, the anomalies, and access on both sides of each boundary.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tenure::domain::fold::{BlockHistory, fold};
use tenure::domain::window::{segments, windows};
use tenure::store::Projection;
use tenure::{
    Anomaly, Change, DedupeKey, Engine, EventKey, GrantId, GrantStatement, Instant, Length,
    MemoryStore, Position, RecordedAt, RecordedEvent, Rules, Statement, UserId, Window,
};

use crate::harness::{Extent, Harness, Report, caught};
use crate::model::Model;
use crate::strategies::{Line, at, in_memory, now, projections, recorded, state};

pub(crate) const HARNESS: Harness = Harness {
    name: "exhaustive",
    guarantee: "in whatever order events arrive, a grant gives what the law says: all small histories",
    not_covered: "more than five changes of one grant; more than two instants",
    run,
};

const BEFORE: &str = "2023-12-31T00:00:00Z";
const BETWEEN: &str = "2024-01-10T00:00:00Z";
const FIRST: &str = "2024-01-31T00:00:00Z";
const SECOND: &str = "2024-02-29T00:00:00Z";
const LETTERS: usize = 36;
/// What may have happened a month earlier. The numbers are of letters that only a past has.
const PASTS: [&[usize]; 4] = [&[], &[36], &[36, 37], &[36, 38]];
/// Of the histories of four changes every how manieth is delivered in every order.
const STEP: usize = 35;
/// More would say the same.
const MOST_VIOLATIONS: usize = 5;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    let scope = Scope::new();
    for size in 1..=5 {
        let pasts = if size < 5 { &PASTS[..] } else { &PASTS[..1] };
        for past in pasts {
            scope.fold_all(size, past, &mut report);
        }
    }
    let times = usize::try_from(extent.times).unwrap_or(usize::MAX);
    let step = (STEP / times).max(1);
    for (size, is_granted, step) in [
        (1, false, 1),
        (1, true, 1),
        (2, false, 1),
        (2, true, 1),
        (3, false, 1),
        (4, false, step),
    ] {
        scope.in_every_order(size, is_granted, step, &mut report);
    }
    report.at_least(1_000_000, FOLDED);
    report.at_least(100_000, ORDERS);
    for (bug, seam) in PLANTS {
        let small: Vec<_> = (1..=3).flat_map(multisets).collect();
        report.plant(bug, small.len() as u64, |number| {
            scope.holds(&small[usize::try_from(number).unwrap()], seam)
        });
    }
    report
}

const FOLDED: &str = "histories folded";
const ORDERS: &str = "orders of arrival";

/// What stands between the events and the fold, and between the fold and its reader.
#[derive(Clone, Copy)]
struct Seam {
    events: fn(&mut Vec<RecordedEvent>),
    windows: fn(&mut Vec<Window>),
}

const SOUND: Seam = Seam {
    events: |events| events.sort_by(RecordedEvent::fold_order),
    windows: |_| {},
};

const PLANTS: [(&str, Seam); 5] = [
    (
        "ties by arrival",
        Seam {
            events: |events| events.sort_by_key(|it| (it.event.effective_at, it.position)),
            ..SOUND
        },
    ),
    (
        "the end inclusive",
        Seam {
            windows: |windows| {
                for window in windows {
                    window.end = window
                        .end
                        .instant()
                        .map_or(window.end, |it| it.next().into());
                }
            },
            ..SOUND
        },
    ),
    (
        "grace revives what ended",
        Seam {
            events: |events| {
                (SOUND.events)(events);
                for event in events {
                    revive(event);
                }
            },
            ..SOUND
        },
    ),
    (
        "the latest event lost",
        Seam {
            events: |events| {
                (SOUND.events)(events);
                if events.len() > 2 {
                    events.pop();
                }
            },
            ..SOUND
        },
    ),
    (
        "a block on the user ignored",
        Seam {
            events: |events| {
                (SOUND.events)(events);
                events.retain(|it| {
                    !matches!(&it.event.statement, Statement::User(of)
                        if matches!(of.change, tenure::UserChange::Suspended { .. }))
                });
            },
            ..SOUND
        },
    ),
];

/// Grace becomes a payment for a day.
fn revive(event: &mut RecordedEvent) {
    let until = event.event.effective_at.0.plus(Length::DAY);
    if let Statement::Grant(GrantStatement { change, .. }) = &mut event.event.statement
        && matches!(change, Change::GraceExtended { .. })
    {
        *change = Change::Renewed {
            until: until.instant(),
            period: None,
            period_key: None,
        };
    }
}

fn granted(time: &str) -> Line {
    let line = Line::of_grant("crm", "granted", "g", at(time)).for_user("u");
    line.with("product", json!("pro"))
        .with("period", json!("P1M"))
}

fn line(letter: usize) -> Line {
    let time = if letter.is_multiple_of(2) {
        FIRST
    } else {
        SECOND
    };
    let of_grant = |verb| Line::of_grant("crm", verb, "g", at(time));
    let of_user = |verb| {
        let mut line = of_grant(verb).for_user("u");
        line.data.clear();
        line
    };
    match letter / 2 {
        0 => granted(time),
        1 => of_grant("modified").with("until", json!("2024-03-31T00:00:00Z")),
        2 => of_grant("rescheduled").with("until", json!("2024-02-10T00:00:00Z")),
        3 => of_grant("renewed"),
        4 => of_grant("grace_extended"),
        5 => of_grant("payment_failed"),
        6 => of_grant("cancelled"),
        7 => of_grant("reinstated"),
        8 => of_grant("suspended"),
        9 => of_grant("resumed"),
        10 => of_grant("switched").with("product", json!("basic")),
        11 => of_grant("transferred").with("user", json!("w")),
        12 => of_grant("refunded"),
        13 => of_grant("revoked"),
        14 => of_grant("ended").with("cause", json!("renewal_failed")),
        15 => of_user("suspended"),
        16 => of_user("resumed"),
        17 => of_user("user_removed"),
        _ => past(letter),
    }
}

/// What is told of the month before.
fn past(letter: usize) -> Line {
    match letter - LETTERS {
        0 => granted(BEFORE),
        1 => Line::of_grant("crm", "ended", "g", at(BETWEEN)).with("cause", json!("expired")),
        2 => Line::of_grant("crm", "cancelled", "g", at(BETWEEN)),
        _ => panic!("there is no letter {letter}"),
    }
}

fn rules() -> Rules {
    let crm = json!({"provider": "cloudevents", "policy": {"payment_failed_grace": "P3D"}});
    serde_json::from_value(json!({"sources": {"crm": crm}})).unwrap()
}

fn grant() -> GrantId {
    GrantId {
        source: "crm".parse().unwrap(),
        key: "g".parse().unwrap(),
    }
}

/// Every multiset of that many letters, as ascending lists.
fn multisets(size: usize) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new()];
    for _ in 0..size {
        let longer = found.iter().flat_map(|shorter: &Vec<usize>| {
            let from = shorter.last().copied().unwrap_or(0);
            (from..LETTERS).map(move |letter| [shorter.as_slice(), &[letter]].concat())
        });
        found = longer.collect();
    }
    found
}

/// The order of writing first.
fn orders(size: usize) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new()];
    for next in 0..size {
        let longer = found.iter().flat_map(|shorter: &Vec<usize>| {
            (0..=shorter.len()).rev().map(move |place| {
                let mut longer = shorter.clone();
                longer.insert(place, next);
                longer
            })
        });
        found = longer.collect();
    }
    found
}

/// What must be the same however it came about.
#[derive(Debug, PartialEq)]
struct Outcome {
    windows: Vec<Window>,
    /// The number of the delivery and what it left.
    anomalies: BTreeSet<(usize, Anomaly)>,
    rest: String,
}

/// Delivers in that order, the first one once more at the end.
fn delivered(lines: &[Line], order: &[usize], rules: &Rules) -> (Outcome, Engine<MemoryStore>) {
    let mut engine = in_memory(rules);
    for id in order.iter().chain(order.first()) {
        engine.ingest(lines[*id].delivery(*id), now()).unwrap();
    }
    let projection = projections(&engine).remove(&grant());
    let Some(Projection {
        segments,
        windows,
        anomalies,
        ..
    }) = projection
    else {
        let (windows, anomalies, rest) = (Vec::new(), BTreeSet::new(), String::new());
        return (
            Outcome {
                windows,
                anomalies,
                rest,
            },
            engine,
        );
    };
    // The rules stand at 1, and the repetition is not appended.
    let said = |position: Position| order[usize::try_from(position.0).unwrap() - 2];
    let anomalies = anomalies
        .iter()
        .map(|it| (said(it.position), it.anomaly))
        .collect();
    let rest = format!("{:?} {segments:?}", state(&engine, &grant()));
    (
        Outcome {
            windows,
            anomalies,
            rest,
        },
        engine,
    )
}

/// The letters, decoded once, and what holds for all of them.
struct Scope {
    rules: Rules,
    rules_known: [(RecordedAt, Rules); 1],
    letters: Vec<RecordedEvent>,
    grant: GrantId,
    users: [UserId; 2],
}

impl Scope {
    fn new() -> Self {
        let rules = rules();
        let decode = |line: Line| {
            let mut engine = in_memory(&rules);
            engine.ingest(line.delivery(0), now()).unwrap();
            recorded(&engine).events.remove(0)
        };
        Self {
            letters: (0..LETTERS + 3).map(|it| decode(line(it))).collect(),
            rules_known: [(RecordedAt(Instant::FIRST), rules.clone())],
            rules,
            grant: grant(),
            users: ["u", "w"].map(|user| user.parse().unwrap()),
        }
    }

    fn fold_all(&self, size: usize, past: &[usize], report: &mut Report) {
        for mut letters in multisets(size) {
            letters.extend(past);
            report.tried(1, FOLDED);
            if let Err(violation) = caught(|| self.holds(&letters, SOUND)) {
                note(report, violation);
            }
        }
    }

    /// Folded through the seam, it is what the model says of the events.
    fn holds(&self, letters: &[usize], seam: Seam) -> Result<(), String> {
        let numbered = letters.iter().enumerate();
        let events: Vec<_> = numbered
            .map(|(number, letter)| numbered_as(&self.letters[*letter], number))
            .collect();
        let model = Model {
            events: &events,
            rules: &self.rules_known,
        };
        let outcome = self.folded(&events, seam);
        self.equals_the_model(&outcome, &model)
            .map_err(|error| format!("{error}\nof the letters {letters:?}: {}", told(letters)))
    }

    /// The events of the model and of the fold are the same, or differ by what the seam does.
    fn folded(&self, events: &[RecordedEvent], seam: Seam) -> Outcome {
        let mut sorted = events.to_vec();
        (seam.events)(&mut sorted);
        let folded = fold(&self.grant, &sorted, &self.rules.policy(&self.grant.source));
        let blocks = self.users.iter().map(|user| {
            let history = BlockHistory::fold(&self.grant.source, user, &sorted);
            (user.clone(), history)
        });
        let segments = segments(&folded.history, &blocks.collect(), &BTreeMap::new());
        let number = |place: usize| usize::try_from(sorted[place].position.0).unwrap() - 2;
        let mut windows = windows(&segments);
        (seam.windows)(&mut windows);
        Outcome {
            windows,
            anomalies: folded
                .anomalies
                .iter()
                .map(|(place, it)| (number(*place), *it))
                .collect(),
            rest: String::new(),
        }
    }

    fn equals_the_model(&self, outcome: &Outcome, model: &Model<'_>) -> Result<(), String> {
        let known = model.known(None);
        let own = outcome.windows.iter();
        let own = own.map(|it| {
            let (user, product) = (it.user.clone(), it.product.clone());
            (user, self.grant.clone(), product, it.start, it.end)
        });
        same("windows", &own.collect(), &known.windows_of_all())?;
        let kept = |name: &str| name != "same_instant";
        let left = outcome.anomalies.iter().map(|(id, it)| (*id, it.name()));
        let expected: BTreeSet<_> = known
            .anomalies()
            .into_iter()
            .map(|(position, _, name, _)| (usize::try_from(position.0).unwrap() - 2, name))
            .collect();
        let left = left.filter(|(_, name)| kept(name)).collect();
        same("anomalies", &left, &expected)?;
        for window in &outcome.windows {
            let resource = window.product.as_str().parse().unwrap();
            let bounds = [Some(window.start), window.end.instant()];
            let bounds = bounds.into_iter().flatten();
            for at in bounds.flat_map(|at| [at.previous(), at]) {
                let covers = |it: &Window| {
                    (&it.user, &it.product) == (&window.user, &window.product)
                        && it.start <= at
                        && it.end.is_after(at)
                };
                let access = outcome.windows.iter().any(covers);
                let expected = known.has_access(&window.user, &resource, at);
                same(
                    &format!("access of {} at {at}", window.user),
                    &access,
                    &expected,
                )?;
            }
        }
        Ok(())
    }

    fn in_every_order(&self, size: usize, is_granted: bool, step: usize, report: &mut Report) {
        let orders = orders(size + usize::from(is_granted));
        for mut letters in multisets(size).into_iter().step_by(step) {
            letters.extend(is_granted.then_some(LETTERS));
            report.tried(orders.len() as u64, ORDERS);
            if let Err(violation) = caught(|| self.agrees_in(&letters, &orders)) {
                note(report, violation);
            }
        }
    }

    /// One projection, and that is the model's.
    fn agrees_in(&self, letters: &[usize], orders: &[Vec<usize>]) -> Result<(), String> {
        let lines: Vec<Line> = letters.iter().map(|letter| line(*letter)).collect();
        let (first, engine) = delivered(&lines, &orders[0], &self.rules);
        let events = recorded(&engine).events;
        let model = Model {
            events: &events,
            rules: &self.rules_known,
        };
        let of = |error: String| format!("{error}\nof the letters {letters:?}: {}", told(letters));
        self.equals_the_model(&first, &model).map_err(of)?;
        for order in &orders[1..] {
            let (other, _) = delivered(&lines, order, &self.rules);
            same(&format!("in the order {order:?}"), &other, &first).map_err(of)?;
        }
        Ok(())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}

fn told(letters: &[usize]) -> String {
    let lines = letters.iter().map(|letter| format!("{:?}", line(*letter)));
    lines.collect::<Vec<_>>().join("; ")
}

fn note(report: &mut Report, violation: String) {
    if report.violations.len() < MOST_VIOLATIONS {
        report.violations.push(violation);
    }
}

fn numbered_as(event: &RecordedEvent, number: usize) -> RecordedEvent {
    let position = u64::try_from(number).unwrap() + 2;
    RecordedEvent {
        key: EventKey {
            dedupe_key: DedupeKey::new(&format!("crm e{number}")).unwrap(),
            ..event.key.clone()
        },
        position: Position(position),
        ..event.clone()
    }
}
