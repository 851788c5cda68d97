//! Measure 8: from opening a filled file to the first answer.
//!
//! Ours opens the file, fills the index from it and asks it once. The peer opens it and reads the windows in the order in which
//! they lie, each as an owned row: enough to have the data, not to answer from it. What it takes to also put them into
//! a hash map is told beside it. The first answer without an index is a `check` by a reader that was just opened.

use tenure::{Question, Reader, SqliteStore};

use super::Run;
use super::check::questions;
use crate::interleaved::{Spread, alternating, seconds};
use crate::peer::boxed::BoxedTable;
use crate::peer::windows::read_only;
use crate::table::{Reach, Row, Unit};

pub(crate) fn rows(run: &Run<'_>) -> Vec<Row> {
    let rounds = run.arguments.pace.long_rounds;
    let questions = questions(1_000.min(run.database.users));
    let path = run.database.path();
    let question = &questions[0];
    let indexed = || {
        let work = || {
            let mut engine = run.database.engine();
            let index = engine.index().unwrap();
            let allowed = index.allows(&question.user, &question.resource, question.at);
            (index, engine, allowed)
        };
        let (took, answered) = seconds(work);
        drop(answered);
        [took * 1e9]
    };
    let [rows] = alternating(rounds, indexed, || {
        let (took, rows) = seconds(|| windows(run));
        assert!(rows.len() as u64 > run.database.users);
        [took * 1e9]
    });
    let [mapped] = alternating(rounds, indexed, || {
        let (took, table) = seconds(|| BoxedTable::of(&path));
        drop(table);
        [took * 1e9]
    });
    let first = questions
        .iter()
        .take(200)
        .map(|question| first_answer(run, question));
    let what = "open until the first indexed answer";
    let row =
        |against, compared, reach| Row::compared(8, what, against, Unit::Time, compared, reach);
    vec![
        row("SELECT of all windows", rows, Reach::AtMost(1.5)),
        row("the same into a hash map", mapped, Reach::Told),
        // "In milliseconds": not in tenths of a second.
        Row::alone(
            8,
            "open until the first answer without index",
            Unit::Time,
            Spread::of(first.collect()),
            Reach::AtMost(10e6),
        ),
    ]
}

type OwnedRow = (Box<str>, Box<str>, i64, i64);

fn windows(run: &Run<'_>) -> Vec<OwnedRow> {
    let connection = read_only(&run.database.path());
    let mut select = connection
        .prepare("SELECT user_id, product, start_at, end_at FROM windows")
        .unwrap();
    let rows = select.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn first_answer(run: &Run<'_>, question: &Question) -> f64 {
    let (took, _) = seconds(|| {
        let mut reader = Reader::new(SqliteStore::open_reader(&run.database.path()).unwrap());
        reader.check(question).unwrap()
    });
    took * 1e9
}
