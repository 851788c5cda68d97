//! Measure 11: the command, from the start of its process to its end.
//!
//! Ours is `tenure check`, which gives the whole decision; the peer is the `sqlite3` shell with the `SELECT` of docs/schema.md on
//! the same file. Both open the file, answer one question and end.

use std::process::{Command, Stdio};

use tenure::Question;

use super::Run;
use super::check::questions;
use crate::interleaved::{interleaved, seconds};
use crate::table::{Reach, Row, Unit};

pub(crate) fn rows(run: &Run<'_>) -> Vec<Row> {
    let what = "`tenure check`, the process";
    let shell = Command::new("sqlite3").arg("--version").output();
    if !shell.is_ok_and(|output| output.status.success()) {
        return vec![Row::not_measured(11, what, "no sqlite3 shell")];
    }
    let questions = questions(run.database.users);
    let mut allowed = [0, 0];
    let next = std::cell::Cell::new(0);
    let question = || {
        next.set(next.get() + 1);
        &questions[next.get() % questions.len()]
    };
    for question in questions.iter().take(10) {
        let answers = [checked(run, question), selected(run, question)];
        assert_eq!(answers[0], answers[1], "{question:?}");
        allowed[usize::from(answers[0])] += 1;
    }
    assert!(allowed[0] > 0 && allowed[1] > 0, "both answers occur");
    let starts = if run.arguments.is_test { 1 } else { 10 };
    let time = |ask: &dyn Fn(&Question) -> bool| {
        let (took, ()) = seconds(|| {
            for _ in 0..starts {
                ask(question());
            }
        });
        [took * 1e9 / f64::from(starts)]
    };
    let [compared] = interleaved(
        run.arguments.pace.rounds,
        || time(&|question| checked(run, question)),
        || time(&|question| selected(run, question)),
    );
    let reach = Reach::AtMost(1.5);
    vec![Row::compared(
        11,
        what,
        "sqlite3 shell",
        Unit::Time,
        compared,
        reach,
    )]
}

/// By the code it exits with.
fn checked(run: &Run<'_>, question: &Question) -> bool {
    let status = Command::new(env!("CARGO_BIN_EXE_tenure"))
        .current_dir(run.shelf.folder())
        .arg("--db")
        .arg(run.database.path())
        .args(["check", question.user.as_str(), question.resource.as_str()])
        .args(["--at", &question.at.to_string()])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    match status.code() {
        Some(0) => true,
        Some(1) => false,
        code => panic!("the command ended with {code:?}"),
    }
}

fn selected(run: &Run<'_>, question: &Question) -> bool {
    let quoted = |text: &str| text.replace('\'', "''");
    let select = format!(
        "SELECT end_at FROM windows WHERE user_id = '{}' AND product = '{}' AND start_at <= {at} AND end_at > {at}",
        quoted(question.user.as_str()),
        quoted(question.resource.as_str()),
        at = question.at.micros(),
    );
    let output = Command::new("sqlite3")
        .arg("-readonly")
        .arg(run.database.path())
        .arg(select)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    !output.stdout.is_empty()
}
