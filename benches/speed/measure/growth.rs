//! Measure 12: what 1, 4 and 5 cost at 1, 2, 4 and 8 times the users, as times of what they cost at 1.
//!
//! Caches and the depth of B-trees make anything slower that grows; how much, the peers of these measures say, which have
//! the same to fetch. So what is held against a bound is how much more ours grows than they do.

use tenure::rusqlite::Connection;
use tenure::{Question, Reader, SqliteReader, SqliteStore};

use super::Run;
use super::check::{SELECT, questions, selected};
use super::taking::{Verification, batch_pair};
use crate::database::{BATCH, Database};
use crate::growth_picture::{Curve, Point};
use crate::interleaved::{Compared, Spread, Walk};
use crate::peer::flat::FlatTable;
use crate::peer::receiver::Receiver;
use crate::peer::windows::read_only;
use crate::questions::{Draw, asked, enough};
use crate::requests::Renewals;
use crate::table::{Reach, Row, Unit};

const TIMES: [u64; 4] = [1, 2, 4, 8];

pub(crate) fn rows(run: &Run<'_>) -> Vec<Row> {
    let smaller: Vec<Database> = TIMES[..3]
        .iter()
        .map(|times| run.shelf.database(run.database.users * times / 8))
        .collect();
    let mut sizes: Vec<&Database> = smaller.iter().collect();
    sizes.push(run.database);
    let curves = [
        lookups(run, &sizes),
        checks(run, &sizes),
        batches(run, &sizes),
    ];
    drop(sizes);
    for database in smaller {
        run.shelf.drop(database);
    }
    let rows = curves.iter().map(row).collect();
    run.curves.borrow_mut().extend(curves);
    rows
}

/// How ours grows from 1 to 8 times, against how the peer does.
fn row(curve: &Curve) -> Row {
    let grown = |at: fn(&Point) -> f64| at(&curve.points[3]) / at(&curve.points[0]);
    let pair = (grown(|it| it.ours), grown(|it| it.peer));
    let what = format!("{}, at 8 times the users", curve.name);
    let compared = Compared::of(&[pair]);
    Row::compared(
        12,
        &what,
        curve.peer,
        Unit::Times,
        compared,
        Reach::AtMost(1.3),
    )
}

/// The median of each size's figures.
fn curve(
    name: &'static str,
    peer: &'static str,
    sizes: &[&Database],
    found: Vec<Vec<(f64, f64)>>,
) -> Curve {
    let points = sizes.iter().zip(found).map(|(database, pairs)| {
        let of = |at: fn(&(f64, f64)) -> f64| Spread::of(pairs.iter().map(at).collect()).median;
        Point {
            users: database.users,
            ours: of(|pair| pair.0),
            peer: of(|pair| pair.1),
        }
    });
    Curve {
        name,
        peer,
        points: points.collect(),
    }
}

fn lookups(run: &Run<'_>, sizes: &[&Database]) -> Curve {
    let pace = run.arguments.pace;
    let held: Vec<_> = sizes
        .iter()
        .map(|database| {
            database.warm();
            let index = database.engine().index().unwrap();
            let questions = asked(Draw::Uniform, database.users, enough(database.users));
            (index, FlatTable::of(&database.path()), questions)
        })
        .collect();
    let walk = |at: usize| Walk::new(&held[at].2, pace.slice);
    let mut walks: Vec<_> = (0..sizes.len()).map(|at| (walk(at), walk(at))).collect();
    let mut found = vec![Vec::new(); sizes.len()];
    for _ in 0..pace.rounds {
        for (at, (index, flat, _)) in held.iter().enumerate() {
            let (ours, peer) = &mut walks[at];
            let [ours, _] = ours.percentiles(|it| index.allows(&it.user, &it.resource, it.at));
            let [peer, _] =
                peer.percentiles(|it| flat.allows(it.user.as_str(), it.resource.as_str(), it.at));
            found[at].push((ours, peer));
        }
    }
    curve("`allows`", "flat table", sizes, found)
}

struct Checked {
    reader: Reader<SqliteReader>,
    by_hand: Connection,
    questions: Vec<Question>,
}

fn checks(run: &Run<'_>, sizes: &[&Database]) -> Curve {
    let pace = run.arguments.pace;
    let mut held: Vec<_> = sizes
        .iter()
        .map(|database| {
            database.warm();
            Checked {
                reader: Reader::new(SqliteStore::open_reader(&database.path()).unwrap()),
                by_hand: read_only(&database.path()),
                questions: questions(database.users),
            }
        })
        .collect();
    let mut found = vec![Vec::new(); sizes.len()];
    for _ in 0..pace.rounds {
        for (at, it) in held.iter_mut().enumerate() {
            let mut select = it.by_hand.prepare_cached(SELECT).unwrap();
            // Each round goes on where the one before stopped.
            let asked = it.questions.len() / 16;
            it.questions.rotate_left(asked);
            let mut walk = Walk::new(&it.questions, pace.slice);
            let [ours, _] = walk.percentiles(|question| it.reader.check(question).unwrap());
            let mut walk = Walk::new(&it.questions, pace.slice);
            let [peer, _] = walk.percentiles(|question| selected(&mut select, question));
            found[at].push((ours, peer));
        }
    }
    curve("`check`", "SELECT, a transaction each", sizes, found)
}

fn batches(run: &Run<'_>, sizes: &[&Database]) -> Curve {
    let (batch, rounds) = match run.arguments.is_test {
        true => (500, 1),
        false => (BATCH, run.arguments.pace.long_rounds),
    };
    let mut held: Vec<_> = sizes
        .iter()
        .map(|database| {
            let receiver = Receiver::open(&database.by_hand());
            (Renewals::new(database), database.engine(), receiver)
        })
        .collect();
    let mut found = vec![Vec::new(); sizes.len()];
    for round in 0..rounds {
        for (at, (renewals, engine, receiver)) in held.iter_mut().enumerate() {
            let arrived = renewals.take(batch);
            let timed = Verification::Timed;
            let (ours, peer) = batch_pair(arrived, timed, round, engine, receiver);
            // As time a delivery: what grows is what becomes worse.
            found[at].push((1e9 / ours, 1e9 / peer));
        }
    }
    curve("durable batches", "raw insert and upsert", sizes, found)
}
