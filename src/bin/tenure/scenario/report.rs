//! What came of the scenarios, for people and for programs.

use serde::Serialize;

use super::reading::Scenario;
use super::running::{Difference, Finding};
use crate::failure::Failure;
use crate::output::{Ink, safe};
use crate::run::Run;

/// A scenario as JSON.
#[derive(Serialize)]
struct ScenarioJson<'a> {
    file: &'a str,
    name: &'a str,
    passed: bool,
    expectations: usize,
    failures: &'a [Finding],
}

pub(super) fn json(
    run: &mut Run,
    file: &str,
    scenario: &Scenario,
    findings: &[Finding],
) -> Result<(), Failure> {
    run.out.json(&ScenarioJson {
        file,
        name: &scenario.name,
        passed: findings.is_empty(),
        expectations: scenario.expectations(),
        failures: findings,
    })
}

pub(super) fn show(
    run: &mut Run,
    scenario: &Scenario,
    findings: &[Finding],
) -> Result<(), Failure> {
    let (ink, word) = if findings.is_empty() {
        (Ink::Good, "ok")
    } else {
        (Ink::Bad, "FAILED")
    };
    // Aligned before it is coloured: colours have a width for those who count letters.
    let word = run.out.ink(ink, &format!("{word:<6}"));
    let name = safe(&scenario.name);
    run.out.line(format_args!("  {word}  {name}"))?;
    if findings.is_empty() {
        return Ok(());
    }
    if let Some(about) = &scenario.about {
        let lines = about.lines().map(str::trim).filter(|it| !it.is_empty());
        for line in lines {
            let line = run.out.ink(Ink::Faint, &safe(line));
            run.out.line(format_args!("          {line}"))?;
        }
    }
    for finding in findings {
        show_finding(run, finding)?;
    }
    Ok(())
}

fn show_finding(run: &mut Run, finding: &Finding) -> Result<(), Failure> {
    let heading = format!("{}, line {}", finding.of, finding.line);
    let heading = run.out.ink(Ink::Heading, &heading);
    let asked = safe(&finding.asked);
    run.out.line(format_args!("    {heading}: {asked}"))?;
    for difference in &finding.differences {
        show_difference(run, difference)?;
    }
    let mut label = "why";
    for line in &finding.why {
        let line = safe(line);
        run.out.line(format_args!("      {label:<9} {line}"))?;
        label = "";
    }
    Ok(())
}

fn show_difference(run: &mut Run, difference: &Difference) -> Result<(), Failure> {
    let both = [
        ("expected", &difference.expected),
        ("actual", &difference.actual),
    ];
    let mut what = difference.what;
    for (label, lines) in both {
        let mut label = label;
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for line in if lines.is_empty() {
            vec!["none"]
        } else {
            lines
        } {
            let line = safe(line);
            run.out
                .line(format_args!("      {what:<9} {label:<8} {line}"))?;
            (what, label) = ("", "");
        }
    }
    Ok(())
}

/// The line that closes the report.
pub(super) fn close(run: &mut Run, passed: usize, failed: usize) -> Result<(), Failure> {
    let ink = if failed == 0 { Ink::Good } else { Ink::Bad };
    let text = run
        .out
        .ink(ink, &format!("{passed} passed, {failed} failed"));
    run.out.line(format_args!("\n{text}"))
}
