//! Measure 4: a question to the file, without the index.
//!
//! Ours is [`Reader::check`]: the whole decision with reason and next change, links, blocks, parents and rules taken into
//! account. The peer is the `SELECT` that docs/schema.md gives to other programs, prepared once, on the same file with the same
//! pragmas: does one window cover the instant? It is asked in one read transaction that is held open, whereby it would
//! never learn anything new, and in one of its own for each question.

use std::thread;

use tenure::rusqlite::{Connection, Statement, params};
use tenure::{Question, Reader, SqliteReader, SqliteStore};

use super::Run;
use crate::interleaved::{Walk, interleaved};
use crate::peer::windows::read_only;
use crate::questions::{Draw, asked, enough};
use crate::table::{Reach, Row, Unit};

pub(crate) const SELECT: &str = "SELECT end_at FROM windows WHERE user_id = ?1 AND product = ?2 AND start_at <= ?3 AND end_at > ?3";

pub(crate) fn rows(run: &Run<'_>) -> Vec<Row> {
    let questions = questions(run.database.users);
    agree(run, &questions);
    let pace = run.arguments.pace;
    let walk = || Walk::new(&questions, pace.slice);
    let mut reader = reader(run);
    let by_hand = read_only(&run.database.path());

    let (mut ours, mut peer) = (walk(), walk());
    by_hand.execute_batch("BEGIN").unwrap();
    let mut select = by_hand.prepare(SELECT).unwrap();
    let [held, held99] = interleaved(
        pace.rounds,
        || ours.percentiles(|it| reader.check(it).unwrap()),
        || peer.percentiles(|it| selected(&mut select, it)),
    );
    by_hand.execute_batch("ROLLBACK").unwrap();
    let (mut ours, mut peer) = (walk(), walk());
    let [own, _] = interleaved(
        pace.rounds,
        || ours.percentiles(|it| reader.check(it).unwrap()),
        || peer.percentiles(|it| selected(&mut select, it)),
    );
    let row = |what, against, compared, reach| {
        Row::compared(4, what, against, Unit::Time, compared, reach)
    };
    vec![
        row(
            "`check`, p50",
            "SELECT, one snapshot held",
            held,
            Reach::AtMost(1.5),
        ),
        row(
            "`check`, p99",
            "SELECT, one snapshot held",
            held99,
            Reach::Told,
        ),
        row(
            "`check`, p50",
            "SELECT, a transaction each",
            own,
            Reach::AtMost(0.5),
        ),
        two_threads(run, &questions),
    ]
}

pub(crate) fn questions(users: u64) -> Vec<Question> {
    let asked = asked(Draw::Uniform, users, enough(users).min(200_000));
    asked.iter().map(|it| it.question()).collect()
}

fn reader(run: &Run<'_>) -> Reader<SqliteReader> {
    Reader::new(SqliteStore::open_reader(&run.database.path()).unwrap())
}

/// Whether one window covers the instant.
pub(crate) fn selected(select: &mut Statement<'_>, question: &Question) -> bool {
    let (user, resource) = (question.user.as_str(), question.resource.as_str());
    select
        .exists(params![user, resource, question.at.micros()])
        .unwrap()
}

fn agree(run: &Run<'_>, questions: &[Question]) {
    let mut reader = reader(run);
    let by_hand: Connection = read_only(&run.database.path());
    let mut select = by_hand.prepare(SELECT).unwrap();
    for question in questions.iter().take(10_000) {
        let ours = reader.check(question).unwrap().verdict.is_allowed();
        assert_eq!(ours, selected(&mut select, question), "{question:?}");
    }
}

/// Each thread has a reader of its own.
fn two_threads(run: &Run<'_>, questions: &[Question]) -> Row {
    let pace = run.arguments.pace;
    let (one, other) = questions.split_at(questions.len() / 2);
    let (mut first, mut second) = (Walk::new(one, pace.slice), Walk::new(other, pace.slice));
    let mut alone = Walk::new(questions, pace.slice);
    let (mut here, mut beside) = (reader(run), reader(run));
    let mut by_itself = reader(run);
    let [compared] = interleaved(
        pace.rounds,
        || {
            thread::scope(|scope| {
                let other = scope.spawn(|| second.rate(|it| beside.check(it).unwrap()));
                [first.rate(|it| here.check(it).unwrap()) + other.join().unwrap()]
            })
        },
        || [alone.rate(|it| by_itself.check(it).unwrap())],
    );
    let reach = Reach::AtLeast(1.7);
    Row::compared(
        4,
        "`check`, two threads",
        "one thread",
        Unit::Rate,
        compared,
        reach,
    )
}
