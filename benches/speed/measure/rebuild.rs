//! Measures 7 and 10: everything anew, by the same rules or by others.
//!
//! `Engine::rebuild` reads every event in the order of its grant, folds all grants and holds segments, windows and anomalies
//! against what is stored; what differs it writes, durably, in one transaction. That is nothing where the projection is
//! sound, and everything where it was lost: both are measured. The peers only read and fold into a hash map, on one core,
//! and compare and write nothing: from typed columns; from bodies that are parsed into borrowed structs; and the bare scan
//! of all bodies is the floor for whatever reads them. Each is done twice in a row, and the second time counts: of a large
//! file, kernels drop the pages that nobody has read for a minute. The log keeps what was decoded, so a rebuild decodes
//! nothing; there is none from bodies.
//!
//! `Reader::plan` is made for rules under which every source folds otherwise, so that every grant is folded under both.

use tenure::rusqlite::Connection;
use tenure::{Length, Policy, Progress, Reader, Rules, SourceRules, SqliteStore};

use super::Run;
use crate::database::received;
use crate::interleaved::{Compared, Spread, alternating, seconds};
use crate::memory::{Taken, counted};
use crate::peer::folded::{of_bodies, of_columns, scanned};
use crate::table::{Reach, Row, Unit};

pub(crate) fn rows(run: &Run<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    let rounds = run.arguments.pace.long_rounds;
    if run.arguments.wants(7) {
        rows.extend(against_folds(run, rounds));
        rows.push(of_nothing(run, rounds));
    }
    if run.arguments.wants(10) {
        rows.push(plan(run, rounds));
    }
    rows
}

/// Events a second of each, in turns: ours, columns, bodies, scan.
fn against_folds(run: &Run<'_>, rounds: usize) -> Vec<Row> {
    let by_hand = run.database.by_hand();
    let (mut columns, mut bodies, mut scan) = (Vec::new(), Vec::new(), Vec::new());
    let mut taken = Vec::new();
    for _ in 0..rounds {
        // Counting takes time of its own: two threads write to one counter.
        taken.push(counted(|| rebuild(run)).0);
        let ours = rebuild(run);
        let (took, (folded, count)) = seconds_warm(|| of_columns(&by_hand));
        assert_eq!(folded.grants() as u64, run.database.users * 3);
        columns.push((ours, count as f64 / took));
        drop(folded);
        let (took, (folded, count)) = seconds_warm(|| of_bodies(&by_hand));
        assert_eq!(folded.grants() as u64, run.database.users * 3);
        bodies.push((ours, count as f64 / took));
        drop(folded);
        let (took, (count, bytes)) = seconds_warm(|| scanned(&by_hand));
        assert!(bytes as u64 > count);
        scan.push((ours, count as f64 / took));
        eprintln!("  rebuilt at {ours:.0} events a second");
    }
    let row = |what, against, pairs: &[(f64, f64)], reach| {
        Row::compared(7, what, against, Unit::Rate, Compared::of(pairs), reach)
    };
    let mut rows = vec![
        row(
            "rebuild, events",
            "typed columns, fold",
            &columns,
            Reach::AtLeast(1.0),
        ),
        row(
            "rebuild, events",
            "bare scan of bodies",
            &scan,
            Reach::AtLeast(0.4),
        ),
        row(
            "rebuild, events",
            "bodies, parse and fold",
            &bodies,
            Reach::AtLeast(1.0),
        ),
    ];
    rows.extend(peaks(&taken));
    rows.push(Row::not_measured(
        7,
        "rebuild from bodies, two cores",
        "the log holds decoded events; nothing decodes all of it again",
    ));
    rows
}

/// Of a million users, one such rebuild takes ten minutes.
const MOST_LOST: u64 = 100_000;

/// The same where nothing is left of the projection.
fn of_nothing(run: &Run<'_>, rounds: usize) -> Row {
    let what = "rebuild of a lost projection, events";
    if run.database.users > MOST_LOST {
        return Row::not_measured(7, what, "it takes too long with so many users");
    }
    let by_hand = run.database.by_hand();
    let ours = || {
        lose_projection(run);
        [rebuild(run)]
    };
    let columns = || {
        let (took, (_, count)) = seconds(|| of_columns(&by_hand));
        [count as f64 / took]
    };
    let [compared] = alternating(rounds, ours, columns);
    Row::compared(
        7,
        what,
        "typed columns, fold",
        Unit::Rate,
        compared,
        Reach::Told,
    )
}

fn peaks(taken: &[Taken]) -> [Row; 2] {
    let peak = |what, found| Row::alone(7, what, Unit::Bytes, Spread::of(found), Reach::Told);
    let of_rust = taken.iter().map(|taken| taken.peak).collect();
    let of_process: Option<Vec<f64>> = taken.iter().map(|taken| taken.resident_peak).collect();
    [
        peak("rebuild, peak that Rust code held", of_rust),
        match of_process {
            Some(found) => peak("rebuild, peak of the process", found),
            None => Row::not_measured(7, "peak of the process", "the kernel does not say"),
        },
    ]
}

/// Seconds for work that was done just before: so is ours, while it is counted. What that gave is dropped afterwards, for
/// memory that was given back would be slower to have.
fn seconds_warm<T>(work: impl Fn() -> T) -> (f64, T) {
    let before = work();
    let timed = seconds(work);
    drop(before);
    timed
}

fn lose_projection(run: &Run<'_>) {
    let connection = Connection::open(run.database.path()).unwrap();
    connection
        .execute_batch(
            "BEGIN IMMEDIATE;
             DELETE FROM grants; DELETE FROM windows; DELETE FROM anomalies; UPDATE segments SET segments = x'';
             COMMIT;",
        )
        .unwrap();
}

/// Events a second.
fn rebuild(run: &Run<'_>) -> f64 {
    let mut engine = run.database.engine();
    let statistics = engine.reader().unwrap().statistics().unwrap();
    let mut shown = 0;
    let mut progress = |_: Progress| shown += 1;
    let (took, grants) = seconds(|| engine.rebuild(&mut progress).unwrap());
    assert_eq!(grants, statistics.grants);
    assert!(shown > 0, "progress was shown");
    statistics.events as f64 / took
}

fn plan(run: &Run<'_>, rounds: usize) -> Row {
    let rules = other_rules();
    let planned = || {
        let mut reader = Reader::new(SqliteStore::open_reader(&run.database.path()).unwrap());
        let mut changes: u64 = 0;
        let mut each = |_| changes += 1;
        let work = || reader.plan(&rules, received(), &mut each, &mut |_| {});
        let (took, summary) = seconds(work);
        assert!(summary.unwrap().people >= run.database.users);
        [took * 1e9]
    };
    let rebuilt = || {
        let mut engine = run.database.engine();
        let (took, _) = seconds(|| engine.rebuild(&mut |_| {}).unwrap());
        [took * 1e9]
    };
    let [compared] = alternating(rounds, planned, rebuilt);
    Row::compared(
        10,
        "`plan` over all windows",
        "rebuild",
        Unit::Time,
        compared,
        Reach::AtMost(1.5),
    )
}

/// Every source by its own name, with a grace after a failed payment: no default.
fn other_rules() -> Rules {
    let mut rules = Rules::default();
    for provider in tenure::PROVIDERS {
        let policy = Policy {
            payment_failed_grace: Some(Length::days(3)),
            ..Policy::default()
        };
        let source = SourceRules {
            provider: provider.name().to_owned(),
            tenant: None,
            user_prefix: String::new(),
            policy,
        };
        rules
            .sources
            .insert(provider.name().parse().unwrap(), source);
    }
    rules
}
