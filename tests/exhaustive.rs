//! Small scope, exhaustive: every history of up to four changes of one grant.
//!
//! The alphabet is every change there is, fifteen of a grant and three of its user, each at two instants: 36 letters. The
//! second instant is exactly one period after the first, so that a period granted at the first ends at the second. A history
//! is a multiset of letters (order is what is tried out, and one statement made twice is two letters). Covered are
//!
//! - 1, 2 and 3 changes, all 36 + 666 + 8,436 histories, through the engine in every order of arrival with one delivery
//!   repeated: all orders give one projection, and that is the model's;
//! - the same 1 and 2 changes once more, with a grant given a month earlier as one delivery more, in every order of arrival;
//! - 3 changes after such a grant, all 8,436, folded directly;
//! - 4 changes, all 82,251, folded directly; every 7th of them, 11,751, through the engine in all 24 orders (all of them with
//!   `TENURE_CASES=7`).
//!
//! Held against the model are the windows of both users, the anomalies, and access on both sides of each boundary.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tenure::domain::fold::{BlockHistory, fold};
use tenure::domain::window::{segments, windows};
use tenure::store::Projection;
use tenure::{
    Anomaly, DedupeKey, Engine, EventKey, GrantId, Instant, MemoryStore, Position, RecordedAt,
    RecordedEvent, Rules, UserId, Window,
};

use crate::laws::more_cases;
use crate::model::Model;
use crate::strategies::{Line, at, in_memory, now, projections, recorded};

const BEFORE: &str = "2023-12-31T00:00:00Z";
const FIRST: &str = "2024-01-31T00:00:00Z";
const SECOND: &str = "2024-02-29T00:00:00Z";
const LETTERS: usize = 36;

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
        _ => panic!("there are {LETTERS} letters"),
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
        state,
        segments,
        windows,
        anomalies,
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
    let rest = format!("{state:?} {segments:?}");
    (
        Outcome {
            windows,
            anomalies,
            rest,
        },
        engine,
    )
}

/// The same without the engine: events of the model and of the fold alike.
fn folded(events: &[RecordedEvent], rules: &Rules) -> Outcome {
    let mut sorted = events.to_vec();
    sorted.sort_by(RecordedEvent::fold_order);
    let folded = fold(&grant(), &sorted, &rules.policy(&grant().source));
    let blocks = users().map(|user| {
        let history = BlockHistory::fold(&grant().source, &user, &sorted);
        (user, history)
    });
    let segments = segments(&folded.history, &BTreeMap::from(blocks), &BTreeMap::new());
    let number = |place: usize| usize::try_from(sorted[place].position.0).unwrap() - 2;
    Outcome {
        windows: windows(&segments),
        anomalies: folded
            .anomalies
            .iter()
            .map(|(place, it)| (number(*place), *it))
            .collect(),
        rest: String::new(),
    }
}

fn users() -> [UserId; 2] {
    ["u", "w"].map(|user| user.parse().unwrap())
}

fn assert_equals_the_model(outcome: &Outcome, model: &Model<'_>, context: &dyn Fn() -> String) {
    for user in users() {
        let own = outcome.windows.iter().filter(|window| window.user == user);
        let own = own.map(|it| (grant(), it.product.clone(), it.start, it.end));
        assert_eq!(
            own.collect::<Vec<_>>(),
            model.windows(&user, None),
            "{}",
            context()
        );
    }
    let kept = |name: &str| name != "same_instant";
    let left = outcome.anomalies.iter().map(|(id, it)| (*id, it.name()));
    let expected = model.anomalies(None).into_iter();
    let expected: BTreeSet<_> = expected
        .map(|(position, _, name, _)| (usize::try_from(position.0).unwrap() - 2, name))
        .collect();
    let left: BTreeSet<_> = left.filter(|(_, name)| kept(name)).collect();
    assert_eq!(left, expected, "{}", context());
    for window in &outcome.windows {
        let resource = window.product.as_str().parse().unwrap();
        let bounds = [Some(window.start), window.end.instant()];
        for at in bounds
            .into_iter()
            .flatten()
            .flat_map(|at| [at.previous(), at])
        {
            let covers = |it: &&Window| {
                (&it.user, &it.product) == (&window.user, &window.product)
                    && it.start <= at
                    && it.end.is_after(at)
            };
            let access = outcome.windows.iter().any(|it| covers(&it));
            let expected = model.access(&window.user, &resource, at, None);
            assert_eq!(access, expected, "at {at}: {}", context());
        }
    }
}

/// In every order of arrival, and once against the model. Gives how often something was delivered.
fn try_every_order(lines: &[Line], orders: &[Vec<usize>], rules: &Rules) -> usize {
    let (first, engine) = delivered(lines, &orders[0], rules);
    let events = recorded(&engine).events;
    let rules_known = [(RecordedAt(Instant::FIRST), rules.clone())];
    let model = Model {
        events: &events,
        rules: &rules_known,
    };
    assert_equals_the_model(&first, &model, &|| format!("{lines:#?}"));
    for order in &orders[1..] {
        let (other, _) = delivered(lines, order, rules);
        assert_eq!(first, other, "in the order {order:?}: {lines:#?}");
    }
    orders.len() * (lines.len() + 1)
}

fn in_every_order(size: usize, base: bool, shard: usize, of: usize) {
    let (rules, mut deliveries, mut count) = (rules(), 0, 0);
    let orders = orders(size + usize::from(base));
    for letters in multisets(size).into_iter().skip(shard).step_by(of) {
        let mut lines: Vec<Line> = letters.into_iter().map(line).collect();
        lines.extend(base.then(|| granted(BEFORE)));
        deliveries += try_every_order(&lines, &orders, &rules);
        count += 1;
    }
    println!(
        "{count} histories of {size} changes in {} orders: {deliveries} deliveries",
        orders.len()
    );
}

/// What each letter decodes to, and the earlier grant last; as the delivery of the number it is at.
fn decoded_letters(rules: &Rules) -> Vec<RecordedEvent> {
    let lines = (0..LETTERS).map(line).chain([granted(BEFORE)]);
    let decode = |line: Line| {
        let mut engine = in_memory(rules);
        engine.ingest(line.delivery(0), now()).unwrap();
        recorded(&engine).events.remove(0)
    };
    lines.map(decode).collect()
}

fn numbered(event: &RecordedEvent, number: usize) -> RecordedEvent {
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

fn fold_all(size: usize, base: bool, shard: usize, of: usize) {
    let rules = rules();
    let rules_known = [(RecordedAt(Instant::FIRST), rules.clone())];
    let letters = decoded_letters(&rules);
    let (mut count, mut with_access) = (0, 0);
    for mut multiset in multisets(size).into_iter().skip(shard).step_by(of) {
        multiset.extend(base.then_some(LETTERS));
        let events: Vec<_> = multiset
            .iter()
            .enumerate()
            .map(|(number, letter)| numbered(&letters[*letter], number))
            .collect();
        let outcome = folded(&events, &rules);
        let model = Model {
            events: &events,
            rules: &rules_known,
        };
        assert_equals_the_model(&outcome, &model, &|| format!("{events:#?}"));
        count += 1;
        with_access += usize::from(!outcome.windows.is_empty());
    }
    println!("{count} histories of {size} changes folded, {with_access} of them give access");
}

#[test]
fn one_and_two_changes_in_every_order() {
    assert_eq!(
        [1, 2, 3, 4].map(|size| multisets(size).len()),
        [36, 666, 8_436, 82_251]
    );
    for size in [1, 2] {
        in_every_order(size, false, 0, 1);
        in_every_order(size, true, 0, 1);
    }
}

#[test]
fn three_changes_in_every_order_the_even_ones() {
    in_every_order(3, false, 0, 2);
}

#[test]
fn three_changes_in_every_order_the_odd_ones() {
    in_every_order(3, false, 1, 2);
}

#[test]
fn three_changes_after_a_grant() {
    fold_all(3, true, 0, 1);
}

#[test]
fn four_changes_the_even_ones() {
    fold_all(4, false, 0, 2);
}

#[test]
fn four_changes_the_odd_ones() {
    fold_all(4, false, 1, 2);
}

/// Every how manieth history of four changes is delivered.
fn step() -> usize {
    (7 / usize::try_from(more_cases()).unwrap()).max(1)
}

#[test]
fn some_four_changes_in_every_order_the_even_ones() {
    in_every_order(4, false, 0, 2 * step());
}

#[test]
fn some_four_changes_in_every_order_the_odd_ones() {
    in_every_order(4, false, step(), 2 * step());
}
