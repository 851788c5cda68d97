//! Measures 1 to 3: a question to the index in memory, in time and in bytes.
//!
//! Ours is [`AccessIndex::allows`] and [`AccessIndex::answer`]; a question is a `UserId`, a `ResourceName` and an `Instant`, as a
//! request is made into one. The peers are a flat table, which is about the least that hardware allows for string ids, and a
//! hash map of boxed strings, which is what one writes first. All three hold the windows of one database, hash the strings
//! at each call with a key, and are asked the same questions in the same order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tenure::{AccessIndex, Engine, SqliteStore};

use super::Run;
use crate::database::open;
use crate::interleaved::{Spread, Walk, interleaved};
use crate::memory::counted;
use crate::peer::boxed::BoxedTable;
use crate::peer::flat::{FlatTable, second_of};
use crate::questions::{Asked, Draw, asked, enough};
use crate::requests::Renewals;
use crate::table::{Reach, Row, Unit};

pub(crate) fn rows(run: &Run<'_>) -> Vec<Row> {
    let mut engine = open(&run.database.path());
    let (of_index, index) = counted(|| engine.index().unwrap());
    let (of_boxed, boxed) = counted(|| BoxedTable::of(&run.database.path()));
    let flat = FlatTable::of(&run.database.path());
    let users = run.database.users;
    let questions = [Draw::Uniform, Draw::Zipf].map(|draw| asked(draw, users, enough(users)));
    agree(&index, &flat, &boxed, &questions.concat());
    eprintln!(
        "  {:.2} windows a user, {:.0} bytes a user in the flat table",
        boxed.windows() as f64 / users as f64,
        flat.bytes() as f64 / users as f64,
    );

    let mut rows = Vec::new();
    if run.arguments.wants(1) {
        for (draw, questions) in [Draw::Uniform, Draw::Zipf].into_iter().zip(&questions) {
            rows.extend(one_call(run, draw, &index, &flat, &boxed, questions));
        }
        rows.push(two_threads(run, &index, &questions[0]));
        rows.push(while_ingesting(run, &mut engine, &index, &questions[0]));
    }
    if run.arguments.wants(2) {
        rows.push(answers(run, &index, &flat, &questions[0]));
    }
    if run.arguments.wants(3) {
        rows.extend(bytes(users, of_index.kept, of_boxed.kept, index.bytes()));
    }
    rows
}

/// All give the same answers, and about half of them are yes.
fn agree(index: &AccessIndex, flat: &FlatTable, boxed: &BoxedTable, questions: &[Asked]) {
    let mut allowed = 0;
    for it in questions {
        let (user, product) = (it.user.as_str(), it.resource.as_str());
        let ours = index.allows(&it.user, &it.resource, it.at);
        assert_eq!(ours, flat.allows(user, product, it.at), "{it:?}");
        assert_eq!(ours, boxed.allows(user, product, it.at), "{it:?}");
        let answer = index.answer(&it.user, &it.resource, it.at);
        let answer = (answer.is_allowed, second_of(answer.until));
        assert_eq!(answer, flat.answer(user, product, it.at), "{it:?}");
        allowed += usize::from(ours);
    }
    let part = allowed as f64 / questions.len() as f64;
    assert!(
        (0.4..0.6).contains(&part),
        "{part} of the questions are answered with yes"
    );
}

fn one_call(
    run: &Run<'_>,
    draw: Draw,
    index: &AccessIndex,
    flat: &FlatTable,
    boxed: &BoxedTable,
    questions: &[Asked],
) -> Vec<Row> {
    let pace = run.arguments.pace;
    let walk = || Walk::new(questions, pace.slice);
    let (mut ours, mut peer) = (walk(), walk());
    let [p50, p99] = interleaved(
        pace.rounds,
        || ours.percentiles(|it| index.allows(&it.user, &it.resource, it.at)),
        || peer.percentiles(|it| flat.allows(it.user.as_str(), it.resource.as_str(), it.at)),
    );
    let (mut ours, mut peer) = (walk(), walk());
    let [boxed50, boxed99] = interleaved(
        pace.rounds,
        || ours.percentiles(|it| index.allows(&it.user, &it.resource, it.at)),
        || peer.percentiles(|it| boxed.allows(it.user.as_str(), it.resource.as_str(), it.at)),
    );
    let named = |percentile: &str| {
        let draw = match draw {
            Draw::Uniform => "uniform",
            Draw::Zipf => "Zipf",
        };
        format!("`allows`, {draw}, {percentile}")
    };
    let row = |percentile, against, compared, reach| {
        Row::compared(1, &named(percentile), against, Unit::Time, compared, reach)
    };
    vec![
        row("p50", "flat table", p50, Reach::AtMost(1.5)),
        row("p99", "flat table", p99, Reach::AtMost(1.6)),
        row("p50", "hashbrown, boxed", boxed50, Reach::AtMost(0.5)),
        row("p99", "hashbrown, boxed", boxed99, Reach::Told),
    ]
}

/// Calls a second of two threads, each with half of the questions, against those of one.
fn two_threads(run: &Run<'_>, index: &AccessIndex, questions: &[Asked]) -> Row {
    let pace = run.arguments.pace;
    let allows = |it: &Asked| index.allows(&it.user, &it.resource, it.at);
    let (one, other) = questions.split_at(questions.len() / 2);
    let (mut first, mut second) = (Walk::new(one, pace.slice), Walk::new(other, pace.slice));
    let mut alone = Walk::new(questions, pace.slice);
    let [compared] = interleaved(
        pace.rounds,
        || {
            thread::scope(|scope| {
                let beside = scope.spawn(|| second.rate(allows));
                [first.rate(allows) + beside.join().unwrap()]
            })
        },
        || [alone.rate(allows)],
    );
    let reach = Reach::AtLeast(1.8);
    Row::compared(
        1,
        "`allows`, two threads",
        "one thread",
        Unit::Rate,
        compared,
        reach,
    )
}

/// The 99th percentile while another thread takes deliveries, which the index learns, against quiet.
fn while_ingesting(
    run: &Run<'_>,
    engine: &mut Engine<SqliteStore>,
    index: &AccessIndex,
    questions: &[Asked],
) -> Row {
    let pace = run.arguments.pace;
    let renewals = Mutex::new(Renewals::new(run.database));
    let engine = Mutex::new(engine);
    let allows = |it: &Asked| index.allows(&it.user, &it.resource, it.at);
    let (mut busy, mut quiet) = (
        Walk::new(questions, pace.slice),
        Walk::new(questions, pace.slice),
    );
    let [compared] = interleaved(
        pace.rounds,
        || {
            let is_over = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut engine = engine.lock().unwrap();
                    let mut renewals = renewals.lock().unwrap();
                    while !is_over.load(Ordering::Relaxed) {
                        renewals.ingest(&mut engine, 100);
                    }
                });
                let [_, p99] = busy.percentiles(allows);
                is_over.store(true, Ordering::Relaxed);
                [p99]
            })
        },
        || {
            let [_, p99] = quiet.percentiles(allows);
            [p99]
        },
    );
    let reach = Reach::AtMost(2.0);
    Row::compared(
        1,
        "`allows`, p99 while deliveries are taken",
        "quiet",
        Unit::Time,
        compared,
        reach,
    )
}

fn answers(run: &Run<'_>, index: &AccessIndex, flat: &FlatTable, questions: &[Asked]) -> Row {
    let pace = run.arguments.pace;
    let walk = || Walk::new(questions, pace.slice);
    let (mut ours, mut peer) = (walk(), walk());
    let [p50, _] = interleaved(
        pace.rounds,
        || ours.percentiles(|it| index.answer(&it.user, &it.resource, it.at)),
        || peer.percentiles(|it| flat.answer(it.user.as_str(), it.resource.as_str(), it.at)),
    );
    let reach = Reach::AtMost(2.0);
    Row::compared(
        2,
        "`answer`, p50",
        "flat table, no reason",
        Unit::Time,
        p50,
        reach,
    )
}

fn bytes(users: u64, index: f64, boxed: f64, said: usize) -> Vec<Row> {
    let a_user = |bytes: f64| bytes / users as f64;
    let compared = crate::interleaved::Compared::of(&[(a_user(index), a_user(boxed))]);
    eprintln!("  the index says of itself that it has {said} bytes, the allocator {index}");
    let alone = Spread::of(vec![a_user(index)]);
    vec![
        Row::compared(
            3,
            "index, bytes a user",
            "hashbrown, boxed",
            Unit::Bytes,
            compared,
            Reach::AtMost(1.5),
        ),
        Row::alone(
            3,
            "index, bytes a user",
            Unit::Bytes,
            alone,
            Reach::AtMost(200.0),
        ),
    ]
}
