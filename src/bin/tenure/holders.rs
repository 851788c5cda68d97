//! `who` has access to a resource, and to `what` a user has.

use clap::Args;
use tenure::{
    Decision, EntryFilter, HoldersQuestion, Instant, Reader, RecordedAt, ResourceName,
    SqliteReader, UserId, decision_json,
};

use crate::args::Times;
use crate::failure::{Ending, Failure};
use crate::output::{Table, counted, safe};
use crate::run::{Run, as_of, id, now, time};

pub(crate) const WHO: &str = "\
Of linked ids each is listed. With --json a decision a line, as `check` gives it.

Examples:
  tenure who news
  tenure who news --at 2026-01-15 --as-of 2026-01-20
  tenure who news --limit 100 --after u1        the next hundred after u1
  tenure who archive --json | wc -l";

pub(crate) const WHAT: &str = "\
Products are listed by their own names, with every product and resource that the rules name; `news/*` stands for all \
that begin so. With --json a decision a line, as `check` gives it.

Examples:
  tenure what u1
  tenure what u1 --at +30d";

/// How many answers are held in memory at a time.
const PAGE: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct WhoArgs {
    /// The resource
    resource: String,
    #[command(flatten)]
    times: Times,
    /// Only users after this one, in the order of their ids
    #[arg(long, value_name = "USER")]
    after: Option<String>,
    /// At most so many [default: 1000; all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct WhatArgs {
    /// The user
    user: String,
    #[command(flatten)]
    times: Times,
    /// Only resources after this one, in the order of their names
    #[arg(long, value_name = "RESOURCE")]
    after: Option<String>,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// The instant and the knowledge asked about.
fn instants(times: &Times, now: Instant) -> Result<(Instant, Option<RecordedAt>), Failure> {
    let at = times.at.as_deref().map(|text| time("--at", text, now));
    Ok((
        at.transpose()?.unwrap_or(now),
        as_of(times.as_of.as_deref(), now)?,
    ))
}

fn at_least_one(limit: Option<usize>) -> Result<Option<usize>, Failure> {
    match limit {
        Some(0) => Err(Failure::Usage(
            "--limit `0`: ask for at least one".to_owned(),
        )),
        limit => Ok(limit),
    }
}

pub(crate) fn who(run: &mut Run, args: &WhoArgs) -> Result<Ending, Failure> {
    let (at, as_of) = instants(&args.times, now())?;
    let resource: ResourceName = id("resource", &args.resource)?;
    let after: Option<UserId> = args
        .after
        .as_deref()
        .map(|text| id("user id", text))
        .transpose()?;
    let mut reader = run.reader()?;
    // All pages are answered from one state of the log, whatever is recorded meanwhile.
    let question = HoldersQuestion {
        resource,
        at,
        as_of: as_of.or(head(&mut reader)?),
    };
    let mut listing = Listing::new(as_of, "user");
    let all = if run.json { usize::MAX } else { PAGE };
    let mut left = at_least_one(args.limit)?.unwrap_or(all);
    let mut last = after;
    while left > 0 && !run.out.is_closed() {
        let page = reader.who(&question, last.as_ref(), left.min(PAGE))?;
        let is_last = page.len() < left.min(PAGE);
        left -= page.len();
        last = page.last().map(|it| it.question.user.clone()).or(last);
        listing.add(run, page)?;
        if is_last {
            break;
        }
    }
    let is_cut = left == 0 && !reader.who(&question, last.as_ref(), 1)?.is_empty();
    let after = args.after.as_ref().map(|after| format!(" after {after}"));
    let after = after.unwrap_or_default();
    let nobody = format!("nobody{after} has access to {} at {at}", args.resource);
    listing.end(run, &nobody, "user")?;
    if let (true, Some(last), false) = (is_cut, &last, run.json) {
        let after = safe(last.as_str());
        run.out
            .line(format_args!("there are more: go on with --after '{after}'"))?;
    }
    Ok(Ending::Done)
}

/// When the last entry was recorded.
fn head(reader: &mut Reader<SqliteReader>) -> Result<Option<RecordedAt>, Failure> {
    let last = reader.log(&EntryFilter::default(), None, 1)?;
    Ok(last.first().map(|entry| entry.entry.fact.recorded_at))
}

pub(crate) fn what(run: &mut Run, args: &WhatArgs) -> Result<Ending, Failure> {
    let (at, as_of) = instants(&args.times, now())?;
    let user: UserId = id("user id", &args.user)?;
    let after: Option<ResourceName> = args
        .after
        .as_deref()
        .map(|text| id("resource", text))
        .transpose()?;
    let limit = at_least_one(args.limit)?.unwrap_or(usize::MAX);
    let mut reader = run.reader()?;
    let found = reader.what(&user, at, as_of, after.as_ref(), limit)?;
    let mut listing = Listing::new(as_of, "resource");
    listing.add(run, found)?;
    let after = args.after.as_ref().map(|after| format!(" after {after}"));
    let after = after.unwrap_or_default();
    let nothing = format!("{user} has access to nothing{after} at {at}");
    listing.end(run, &nothing, "resource")?;
    Ok(Ending::Done)
}

/// Decisions that allow: a line each for programs, a table for people.
struct Listing {
    as_of: Option<RecordedAt>,
    table: Table,
    number: u64,
    lists_users: bool,
}

impl Listing {
    fn new(as_of: Option<RecordedAt>, first: &str) -> Self {
        Self {
            as_of,
            table: Table::new(&[first, "until", "why", "product", "grant", "source"]),
            number: 0,
            lists_users: first == "user",
        }
    }

    fn add(&mut self, run: &mut Run, decisions: Vec<Decision>) -> Result<(), Failure> {
        for mut decision in decisions {
            self.number += 1;
            if run.json {
                // As it was asked, not as all pages are held together.
                decision.question.as_of = self.as_of;
                run.out.line(format_args!("{}", decision_json(&decision)))?;
            } else {
                self.row(&decision);
            }
        }
        Ok(())
    }

    fn row(&mut self, decision: &Decision) {
        let first = if self.lists_users {
            decision.question.user.to_string()
        } else {
            decision.question.resource.to_string()
        };
        let until = decision.next_change_at;
        let access = decision.access.as_ref();
        let of = |text: Option<String>| text.unwrap_or_default();
        self.table.row([
            first,
            until.map_or_else(|| "unlimited".to_owned(), |at| at.to_string()),
            decision.verdict.reason().to_owned(),
            of(access.map(|access| access.product.to_string())),
            of(access.map(|access| access.grant.key.to_string())),
            of(access.map(|access| access.grant.source.to_string())),
        ]);
    }

    fn end(self, run: &mut Run, nothing: &str, one: &str) -> Result<(), Failure> {
        if run.json {
            return Ok(());
        }
        if self.table.is_empty() {
            return run.out.line(format_args!("{}", safe(nothing)));
        }
        run.out.table(&self.table)?;
        if self.number > 20 {
            let number = counted(self.number, one);
            run.out.line(format_args!("\n{number}"))?;
        }
        Ok(())
    }
}
