//! `explain`: the answer and what led to it, as a support agent would read it out.

use clap::Args;
use tenure::{Explanation, Instant, RecordedAt, Step, UserId};

use crate::args::Times;
use crate::ask;
use crate::failure::{Ending, Failure};
use crate::moment::in_words;
use crate::output::{Ink, safe};
use crate::paragraph::{about_reader, lines, paragraph, quarantined};
use crate::run::{Run, as_of, id, now, time};
use crate::words;

pub(crate) const EXAMPLES: &str = "\
First the answer in sentences, to be read out: why, since when, until when, and what would have kept access. Then the \
events of each grant, each with what it changed. Without a resource: the answer for each product the user ever had.

docs/support.md goes through what readers ask.

Examples:
  tenure explain u1                         what became of all that u1 ever had
  tenure explain u1 news
  tenure explain u1 news --at 2026-03-10
  tenure explain u1 news --since -7d        what changed the answer since a week ago
  tenure explain u1 news --as-of -7d        what the answer was by what was known then
  tenure explain u1 news --json | jq .kept_by";

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The user
    user: String,
    /// The resource; without it, every product the user ever had
    resource: Option<String>,
    #[command(flatten)]
    times: Times,
    /// Also say what changed the answer since this instant
    #[arg(long, value_name = "T0", allow_hyphen_values = true)]
    since: Option<String>,
}

pub(crate) fn explain(run: &mut Run, args: &ExplainArgs) -> Result<Ending, Failure> {
    let now = now();
    let instant =
        |name: &str, text: Option<&str>| text.map(|text| time(name, text, now)).transpose();
    let since = instant("--since", args.since.as_deref())?;
    let Some(resource) = &args.resource else {
        let user: UserId = id("user id", &args.user)?;
        let at = instant("--at", args.times.at.as_deref())?.unwrap_or(now);
        check_order(since, at)?;
        let question = Asked {
            user,
            at,
            as_of: as_of(args.times.as_of.as_deref(), now)?,
        };
        return explain_user(run, &question, since, now);
    };
    let question = ask::question(&args.user, resource, &args.times, now)?;
    check_order(since, question.at)?;
    let explanation = run.reader()?.explain(&question, since)?;
    if run.json {
        run.out.json(&explanation)?;
    } else {
        show(run, &explanation, now)?;
    }
    Ok(Ending::Done)
}

/// What changed since an instant can only be told of a later one.
fn check_order(since: Option<Instant>, at: Instant) -> Result<(), Failure> {
    match since {
        Some(since) if since > at => Err(Failure::Usage(format!(
            "--since `{since}` is later than the instant asked about, `{at}`: name an earlier one, or a later --at"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// A question about all that a user has.
struct Asked {
    user: UserId,
    at: Instant,
    as_of: Option<RecordedAt>,
}

fn explain_user(
    run: &mut Run,
    asked: &Asked,
    since: Option<Instant>,
    now: Instant,
) -> Result<Ending, Failure> {
    let mut reader = run.reader()?;
    let Asked { user, at, as_of } = asked;
    let explanations = reader.explain_user(user, *at, *as_of, since)?;
    if run.json {
        run.out.json(&explanations)?;
        return Ok(Ending::Done);
    }
    for (place, explanation) in explanations.iter().enumerate() {
        if place > 0 {
            run.out.line(format_args!(""))?;
        }
        let Explanation { decision, .. } = explanation;
        let name = run
            .out
            .ink(ask::ink(decision.verdict), decision.verdict.name());
        let product = decision.question.resource.as_str();
        run.out.line(format_args!("{name}: {}", safe(product)))?;
        show_paragraph(run, &paragraph(explanation, now))?;
    }
    let Some(first) = explanations.first() else {
        let text = [
            Some(match as_of {
                None => format!("{user} never had a product, by what is known."),
                Some(as_of) => {
                    let as_of = in_words(as_of.0);
                    format!("{user} never had a product, by what was known on {as_of}.")
                }
            }),
            quarantined(&reader.quarantined(user, *as_of)?),
        ];
        let text: Vec<String> = text.into_iter().flatten().collect();
        show_paragraph(run, &text.join(" "))?;
        return Ok(Ending::Done);
    };
    if let Some(text) = about_reader(first) {
        run.out.line(format_args!(""))?;
        show_paragraph(run, &text)?;
    }
    let hint = format!("`tenure explain {user} RESOURCE` shows the events behind an answer");
    let hint = run.out.ink(Ink::Faint, &safe(&hint));
    run.out.line(format_args!("\n{hint}"))?;
    Ok(Ending::Done)
}

fn show_paragraph(run: &mut Run, text: &str) -> Result<(), Failure> {
    for line in lines(text) {
        run.out.line(format_args!("{line}"))?;
    }
    Ok(())
}

pub(crate) fn show(run: &mut Run, explanation: &Explanation, now: Instant) -> Result<(), Failure> {
    let text = [Some(paragraph(explanation, now)), about_reader(explanation)];
    let text: Vec<String> = text.into_iter().flatten().collect();
    show_paragraph(run, &text.join(" "))?;
    run.out.line(format_args!(""))?;
    ask::show(run, &explanation.decision)?;
    show_since(run, explanation)?;
    show_without(run, explanation)?;
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

/// The events each of which alone took access, or all of them together.
fn show_without(run: &mut Run, explanation: &Explanation) -> Result<(), Failure> {
    let (one, all) = (&explanation.without, &explanation.without_all);
    let (heading, places) = match (one.as_slice(), all.as_slice()) {
        ([], []) => return Ok(()),
        ([], _) => ("Without all of these there would be access", all),
        ([_], _) => ("Without this there would be access", one),
        (_, _) => ("Without any one of these there would be access", one),
    };
    let heading = run.out.ink(Ink::Heading, heading);
    run.out.line(format_args!("\n{heading}"))?;
    show_places(run, explanation, places)
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
    if let Some(turned_at) = explanation.turned_at {
        let by = match explanation.turned_by.as_slice() {
            [] => ", by a date in the rules",
            _ => ", by",
        };
        run.out
            .line(format_args!("  it turned to that at {turned_at}{by}"))?;
        show_places(run, explanation, &explanation.turned_by)?;
    }
    let others = explanation.took_effect_since.iter();
    let others: Vec<usize> = others
        .filter(|place| !explanation.turned_by.contains(place))
        .copied()
        .collect();
    if !others.is_empty() {
        let also = if explanation.turned_by.is_empty() {
            ""
        } else {
            "also "
        };
        run.out.line(format_args!("  between took {also}effect"))?;
        return show_places(run, explanation, &others);
    }
    if explanation.turned_at.is_none() {
        let what = if before == after {
            "nothing took effect between"
        } else {
            "no event did that: time passed"
        };
        run.out.line(format_args!("  {what}"))?;
    }
    Ok(())
}

fn show_places(run: &mut Run, explanation: &Explanation, places: &[usize]) -> Result<(), Failure> {
    for place in places {
        if let Some(step) = explanation.steps.get(*place) {
            let at = step.effective_at.0;
            let what = format!(
                "{}, grant {} of {}",
                words::stated(step),
                step.grant,
                step.source
            );
            run.out.line(format_args!("    {at}  {}", safe(&what)))?;
            run.out
                .line(format_args!("      {}", safe(&words::effect(step))))?;
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
