//! The table of what was tried: made by the run, never typed.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::harness::{Extent, Harness, Planted, Report};

const PAGE: &str = "docs/trust.md";
const BEGIN: &str =
    "<!-- the table begins: made by `cargo test --release --test trust -- --write` -->";
const END: &str = "<!-- the table ends -->";

pub(crate) struct Row<'a> {
    pub(crate) harness: &'a Harness,
    pub(crate) report: &'a Report,
}

/// Nothing was violated, something was tried, and every planted bug was caught.
pub(crate) fn holds(report: &Report) -> bool {
    report.violations.is_empty()
        && !report.cases.is_empty()
        && !report.planted.is_empty()
        && report.planted.iter().all(|it| it.caught_after.is_some())
}

/// The table as Markdown, with what it was made of below.
pub(crate) fn text(rows: &[Row<'_>], extent: &Extent) -> String {
    let mut out = String::from(
        "| guarantee | test | cases | faults | violations | planted bug, caught after | not covered |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Row { harness, report } in rows {
        writeln!(
            out,
            "| {} | `{}` | {} | {} | {} | {} | {} |",
            harness.guarantee,
            harness.name,
            counted(&report.cases),
            counted(&report.faults),
            report.violations.len(),
            planted(&report.planted),
            harness.not_covered,
        )
        .unwrap();
    }
    let times = match extent.times {
        1 => "the short form".to_owned(),
        times => format!("{times} times the short form"),
    };
    let build = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    writeln!(
        out,
        "\nSeed {}, {times}, {build} profile, commit {}.",
        extent.seed,
        commit()
    )
    .unwrap();
    out
}

fn counted(counted: &[(u64, &'static str)]) -> String {
    if counted.is_empty() {
        return "none".to_owned();
    }
    let counted = counted
        .iter()
        .map(|(it, what)| format!("{} {what}", grouped(*it)));
    counted.collect::<Vec<_>>().join(", ")
}

fn planted(planted: &[Planted]) -> String {
    let said = planted.iter().map(|it| match it.caught_after {
        Some(after) => format!("{}: {}", it.bug, grouped(after)),
        None => format!("{}: **not caught**", it.bug),
    });
    said.collect::<Vec<_>>().join("; ")
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The commit the program was made from; `+` where something is not committed.
fn commit() -> String {
    let git = |words: &[&str]| {
        let done = Command::new("git").args(words).output().ok()?;
        let text = String::from_utf8(done.stdout).ok()?;
        done.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let is_clean =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|it| it.is_empty());
    if is_clean {
        commit
    } else {
        format!("{commit}+")
    }
}

/// What did not hold, in words.
pub(crate) fn faults(rows: &[Row<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    for Row { harness, report } in rows.iter().filter(|row| !holds(row.report)) {
        let mut out = format!("`{}` did not hold: {}", harness.name, harness.guarantee);
        for violation in &report.violations {
            write!(out, "\n  {}", violation.replace('\n', "\n  ")).unwrap();
        }
        for planted in report.planted.iter().filter(|it| it.caught_after.is_none()) {
            write!(out, "\n  the planted bug was not caught: {}", planted.bug).unwrap();
        }
        if report.cases.is_empty() || report.planted.is_empty() {
            out.push_str("\n  it tried nothing, or planted no bug");
        }
        faults.push(out);
    }
    faults
}

/// Puts the table into the page, between its two marks.
pub(crate) fn write(rows: &[Row<'_>], extent: &Extent) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let before = std::fs::read_to_string(&page).unwrap();
    let (head, rest) = before
        .split_once(BEGIN)
        .expect("the page marks where the table begins");
    let (_, tail) = rest
        .split_once(END)
        .expect("the page marks where the table ends");
    let table = text(rows, extent);
    std::fs::write(&page, format!("{head}{BEGIN}\n{table}{END}{tail}")).unwrap();
}
