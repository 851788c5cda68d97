//! `changes`: who gains and loses access, and when.

use clap::Args;
use serde::Serialize;
use tenure::{
    AccessTurn, ChangesCursor, ChangesQuestion, Correction, Instant, ResourceName, Turn, UserId,
};

use crate::failure::{Ending, Failure};
use crate::output::{Ink, Table, counted, safe};
use crate::run::{Run, as_of, id, now, time};

pub(crate) const CHANGES: &str = "\
Every instant in [T0, T1) at which access of a user to a product begins or ends, in order, each with its cause. With \
--resource, access to that resource by whatever product includes it. The same log gives the same changes.

Each line of --json has a `cursor`, and the last line is `{\"cursor\":\"...\",\"complete\":true}`. Keep the cursor of \
what you handled last and go on with --after: nothing is missed, nothing is told twice. If something was recorded \
meanwhile that alters what you were told, corrections come first: `\"correction\":\"retracted\"` takes a change back, \
`\"added\"` tells one whose instant had passed. Applied in order they leave what is known.

Examples:
  tenure changes --from 2026-01-01 --to 2026-02-01
  tenure changes --from -1d --user u1
  tenure changes --from now --to +7d --resource news     who loses access next week
  tenure changes --from 2026-01-01 --json > changes.jsonl
  tenure changes --after \"$(tail -n 1 changes.jsonl | jq -r .cursor)\" --json";

/// So many lines a person may want to read.
const READABLE: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct ChangesArgs {
    /// The first instant
    #[arg(
        long,
        value_name = "T0",
        allow_hyphen_values = true,
        required_unless_present = "after"
    )]
    from: Option<String>,
    /// The first instant after the span [default: now]
    #[arg(long, value_name = "T1", allow_hyphen_values = true)]
    to: Option<String>,
    /// Only of this user
    #[arg(long)]
    user: Option<String>,
    /// Access to this resource instead of to each product
    #[arg(long)]
    resource: Option<String>,
    /// Judge by what was recorded up to here [default: all that is recorded]
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    as_of: Option<String>,
    /// Go on after this cursor; it remembers --from, --user and --resource
    #[arg(long, value_name = "CURSOR", conflicts_with_all = ["from", "user", "resource"])]
    after: Option<String>,
    /// At most so many [default: 1000; all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct End<'a> {
    cursor: &'a str,
    complete: bool,
}

pub(crate) fn changes(run: &mut Run, args: &ChangesArgs) -> Result<Ending, Failure> {
    let (question, after) = asked(args, now())?;
    let limit = match args.limit {
        Some(0) => {
            let message = "--limit `0`: ask for at least one change".to_owned();
            return Err(Failure::Usage(message));
        }
        Some(limit) => limit,
        None if run.json => usize::MAX,
        None => READABLE,
    };
    if run.json {
        as_json(run, &question, after, limit)
    } else {
        as_table(run, &question, after.as_ref(), limit)
    }
}

fn asked(
    args: &ChangesArgs,
    now: Instant,
) -> Result<(ChangesQuestion, Option<ChangesCursor>), Failure> {
    let to = args.to.as_deref().map(|text| time("--to", text, now));
    let to = to.transpose()?.unwrap_or(now);
    let as_of = as_of(args.as_of.as_deref(), now)?;
    if let Some(text) = &args.after {
        let cursor: ChangesCursor = text
            .parse()
            .map_err(|error| Failure::Usage(format!("--after `{text}`: {error}")))?;
        return Ok((cursor.question(to, as_of), Some(cursor)));
    }
    let from = args.from.as_deref().unwrap_or("now");
    let from = time("--from", from, now)?;
    if from > to {
        return Err(Failure::Usage(format!(
            "the span is empty: it would begin at {from} and end before {to}. name a later --to"
        )));
    }
    let user: Option<UserId> = args
        .user
        .as_deref()
        .map(|text| id("user id", text))
        .transpose()?;
    let resource: Option<ResourceName> = args
        .resource
        .as_deref()
        .map(|text| id("resource", text))
        .transpose()?;
    let question = ChangesQuestion {
        from,
        to,
        user,
        resource,
        as_of,
    };
    Ok((question, None))
}

fn as_json(
    run: &mut Run,
    question: &ChangesQuestion,
    after: Option<ChangesCursor>,
    limit: usize,
) -> Result<Ending, Failure> {
    let mut reader = run.reader()?;
    let mut changes = reader.changes(question, after);
    let mut left = limit;
    let mut complete = true;
    loop {
        if run.out.is_closed() {
            return Ok(Ending::Done);
        }
        if left == 0 {
            complete = false;
            break;
        }
        let Some(turn) = changes.next() else { break };
        run.out.json(&turn?)?;
        left -= 1;
    }
    let cursor = changes.cursor().map(ToString::to_string);
    let cursor = cursor.unwrap_or_default();
    run.out.json(&End {
        cursor: &cursor,
        complete,
    })?;
    Ok(Ending::Done)
}

fn as_table(
    run: &mut Run,
    question: &ChangesQuestion,
    after: Option<&ChangesCursor>,
    limit: usize,
) -> Result<Ending, Failure> {
    let page = run.reader()?.changes_page(question, after, limit)?;
    let (corrections, new): (Vec<&AccessTurn>, Vec<&AccessTurn>) = page
        .turns
        .iter()
        .partition(|turn| turn.correction.is_some());
    if !corrections.is_empty() {
        let heading = "Corrections of what was told before";
        let heading = run.out.ink(Ink::Heading, heading);
        run.out.line(format_args!("{heading}"))?;
        run.out.table(&table(&corrections))?;
        run.out.line(format_args!(""))?;
    }
    let what = match &question.resource {
        Some(resource) => format!("access to {resource}"),
        None => "access".to_owned(),
    };
    if new.is_empty() {
        let span = match after {
            None => format!(
                "no {what} begins or ends from {} to {}",
                question.from, question.to
            ),
            Some(_) => format!(
                "after that cursor no {what} begins or ends up to {}",
                question.to
            ),
        };
        run.out.line(format_args!("{}", safe(&span)))?;
    } else {
        run.out.table(&table(&new))?;
    }
    let number = u64::try_from(page.turns.len()).unwrap_or(u64::MAX);
    if !page.is_complete {
        run.out.line(format_args!(
            "\n{}, and more: go on with --after, or ask for all with --json",
            counted(number, "change")
        ))?;
    }
    let cursor = run.out.ink(Ink::Faint, &format!("cursor {}", page.cursor));
    run.out.line(format_args!("\n{cursor}"))?;
    Ok(Ending::Done)
}

fn table(turns: &[&AccessTurn]) -> Table {
    let is_corrected = turns.iter().any(|turn| turn.correction.is_some());
    let second = if is_corrected { "correction" } else { "" };
    let mut table = Table::new(&["at", "access", "user", "product", "why", second]);
    for turn in turns {
        let of = turn.product.as_ref().map(ToString::to_string);
        let of = of.or_else(|| turn.resource.as_ref().map(ToString::to_string));
        let correction = match turn.correction {
            Some(Correction::Retracted) => "was told, is none",
            Some(Correction::Added) => "was not told",
            None => "",
        };
        table.row([
            turn.at.to_string(),
            match turn.change {
                Turn::Begins => "begins".to_owned(),
                Turn::Ends => "ends".to_owned(),
            },
            turn.user.to_string(),
            of.unwrap_or_default(),
            why(turn),
            correction.to_owned(),
        ]);
    }
    table
}

/// `lapsed: g1 of crm, granted at position 1`.
fn why(turn: &AccessTurn) -> String {
    let cause = &turn.cause;
    let mut why = cause.reason.to_owned();
    if let (Some(grant), Some(source)) = (&cause.grant, &cause.source) {
        why.push_str(&format!(": {grant} of {source}"));
    }
    if let (Some(event), Some(position)) = (cause.event, cause.position) {
        why.push_str(&format!(", {event} at position {position}"));
    }
    why
}
