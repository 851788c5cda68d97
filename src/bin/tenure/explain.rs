//! `explain`: the answer and what led to it, as a support agent would read it out.

use tenure::{Explanation, Step, UserId};

use crate::args::ExplainArgs;
use crate::ask;
use crate::failure::{Ending, Failure};
use crate::output::{Ink, safe};
use crate::run::{Run, now, time};
use crate::words;

pub(crate) fn explain(run: &mut Run, args: &ExplainArgs) -> Result<Ending, Failure> {
    let now = now();
    let question = ask::question(&args.user, &args.resource, &args.times, now)?;
    let since = args
        .since
        .as_deref()
        .map(|text| time("--since", text, now))
        .transpose()?;
    let explanation = run.reader()?.explain(&question, since)?;
    if run.json {
        run.out.json(&explanation)?;
    } else {
        show(run, &explanation)?;
    }
    Ok(Ending::Done)
}

pub(crate) fn show(run: &mut Run, explanation: &Explanation) -> Result<(), Failure> {
    let decision = &explanation.decision;
    ask::show(run, decision)?;
    let others: Vec<&str> = explanation
        .linked
        .iter()
        .filter(|id| **id != decision.question.user)
        .map(UserId::as_str)
        .collect();
    if !others.is_empty() {
        run.out.line(format_args!(
            "  {:<12} {}",
            "also known as",
            safe(&others.join(", "))
        ))?;
    }
    show_since(run, explanation)?;
    let (decisive, others): (Vec<&Step>, Vec<&Step>) =
        explanation.steps.iter().partition(|step| step.decisive);
    if explanation.steps.is_empty() {
        return run
            .out
            .line(format_args!("\nno event speaks of a grant of this user"));
    }
    show_steps(run, "What led to it", &decisive)?;
    let heading = if decisive.is_empty() {
        "What happened to the user's grants"
    } else {
        "The user's other grants"
    };
    show_steps(run, heading, &others)
}

/// What made the answer differ from the one at the other instant.
fn show_since(run: &mut Run, explanation: &Explanation) -> Result<(), Failure> {
    let Some(since) = &explanation.since else {
        return Ok(());
    };
    let (before, after) = (since.verdict, explanation.decision.verdict);
    let at = since.question.at;
    let heading = run.out.ink(Ink::Heading, &format!("Since {at}"));
    run.out.line(format_args!("\n{heading}"))?;
    if before == after {
        run.out
            .line(format_args!("  the answer was the same: {before}"))?;
    } else {
        run.out
            .line(format_args!("  the answer was {before} and is {after}"))?;
    }
    if explanation.took_effect_since.is_empty() {
        let what = if before == after {
            "nothing took effect between"
        } else {
            "no event did that: time passed"
        };
        return run.out.line(format_args!("  {what}"));
    }
    for place in &explanation.took_effect_since {
        if let Some(step) = explanation.steps.get(*place) {
            let text = format!(
                "{} {} of grant {}",
                step.effective_at.0, step.change, step.grant
            );
            run.out.line(format_args!(
                "  {}: {}",
                safe(&text),
                safe(&words::effect(step))
            ))?;
        }
    }
    Ok(())
}

fn show_steps(run: &mut Run, heading: &str, steps: &[&Step]) -> Result<(), Failure> {
    let mut grant = None;
    for step in steps {
        if grant != Some((&step.source, &step.grant)) {
            grant = Some((&step.source, &step.grant));
            let heading = run.out.ink(Ink::Heading, heading);
            let about = format!("grant {} of {}", step.grant, step.source);
            run.out
                .line(format_args!("\n{heading}: {}", safe(&about)))?;
        }
        show_step(run, step)?;
    }
    Ok(())
}

fn show_step(run: &mut Run, step: &Step) -> Result<(), Failure> {
    let stated = words::stated(step);
    let effect = words::effect(step);
    let line = format!("{}  {stated}", step.effective_at.0);
    // Who gave a reason is read first; what it did to the grant then has a line of its own.
    let (line, below) = match &step.attribution {
        Some(_) => (line, Some(effect)),
        None => (format!("{line}: {effect}"), None),
    };
    let line = safe(&line);
    if step.in_effect {
        run.out.line(format_args!("  {line}"))?;
    } else {
        let later = run
            .out
            .ink(Ink::Faint, &format!("{line} (takes effect later)"));
        run.out.line(format_args!("  {later}"))?;
    }
    if let Some(effect) = below {
        run.out.line(format_args!("    {}", safe(&effect)))?;
    }
    for anomaly in &step.anomalies {
        run.out.line(format_args!(
            "    ! {}: {}",
            anomaly.name(),
            anomaly.meaning()
        ))?;
    }
    let recorded = format!(
        "    recorded {} at position {}",
        step.recorded_at.0, step.position
    );
    let recorded = run.out.ink(Ink::Faint, &safe(&recorded));
    run.out.line(format_args!("{recorded}"))
}
