//! `erase`: a user's personal data goes, every answer stays.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;
use serde::Serialize;
use tenure::{EngineError, Erased, ErasureGrounds, ErasurePlan, Position, StoreError, UserId};

use crate::failure::{Ending, Failure};
use crate::output::{Ink, counted, safe};
use crate::progress::Meter;
use crate::run::{Needed, Run, id, now, warn};
use crate::staff::stated::actor;

const HELP: &str = "\
What was received of the user is removed: bodies, headers, queries. In events and keys a pseudonym takes the place of \
the id, so every window and answer stays, under that name, and `verify` still finds the log whole. The erasure is an \
entry of the log itself, with who asked for it and when, never with the id. Then the database file is rewritten, so \
that no byte of it is left there.

Erase at the system that sends the deliveries first: what it states of the user afterwards is taken as new. Ids that \
are linked to this one stay; the command names them. Backups and exports made before still hold everything: replace \
them. Encrypted deliveries can only be looked into with the secrets of their sources.

If the command is interrupted, run it again. On a terminal it says what it will touch, and asks.

With --json one line; `pseudonym`, `position` and `head` are null if there was nothing to erase:
  {\"erased\":true,\"pseudonym\":\"erased-1f...\",\"position\":18,\"head\":\"18:9a...\",\"entries\":9,\"grants\":2,\
\"parked\":1,\"left\":0,\"unopened\":0,\"linked\":[\"u2\"],\"keeps_order\":true}

Examples:
  tenure erase u1
  tenure erase u1 --why 'request of 3 May' --actor anna
  tenure erase u1 --yes && tenure backup after.db";

/// What `erase` may be told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct EraseArgs {
    /// The user
    user: String,
    /// Why, for those who read the log later; never with the id
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Who asks for it [default: TENURE_ACTOR, else the name you are logged in with]
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What an erasure did, as JSON.
#[derive(Serialize)]
struct ErasedJson<'a> {
    erased: bool,
    pseudonym: Option<&'a UserId>,
    position: Option<Position>,
    head: Option<String>,
    entries: usize,
    grants: u64,
    parked: u64,
    left: u64,
    unopened: u64,
    linked: &'a [UserId],
    keeps_order: bool,
}

pub(crate) fn erase(run: &mut Run, args: &EraseArgs) -> Result<Ending, Failure> {
    let user: UserId = id("user id", &args.user)?;
    let grounds = ErasureGrounds::new(&actor(args.actor.as_deref()), args.why.as_deref());
    let grounds = grounds.map_err(|error| {
        Failure::Usage(format!(
            "{error}. --why TEXT says why; --actor NAME or TENURE_ACTOR says who"
        ))
    })?;
    let mut engine = run.engine(Some(Needed::All))?;
    let meter = Meter::new();
    let planned = engine.plan_erasure(&user, &mut |progress| meter.show(progress));
    meter.clear();
    let plan = planned?;
    let is_asked =
        !args.yes && !run.json && io::stdin().is_terminal() && io::stderr().is_terminal();
    if is_asked && !plan.is_empty() && !agrees(&plan)? {
        run.out.line(format_args!("nothing was erased"))?;
        return Ok(Ending::Done);
    }
    let looked = plan.clone();
    let erased = engine.erase(plan, &grounds, now(), &mut |progress| meter.show(progress));
    meter.clear();
    let erased = erased?;
    let wiped = engine.wipe_erased();
    if run.json {
        let plan = erased.as_ref().map_or(&looked, |erased| &erased.plan);
        run.out.json(&json(erased.as_ref(), plan))?;
    } else {
        say(run, &user, erased.as_ref(), &looked)?;
    }
    wiped.map_err(|error| unwiped(run, &error))?;
    if !run.json {
        run.out.line(format_args!(
            "the database file is rewritten without it; backups and exports made before still hold it all"
        ))?;
    }
    Ok(Ending::Done)
}

fn json<'a>(erased: Option<&'a Erased>, plan: &'a ErasurePlan) -> ErasedJson<'a> {
    ErasedJson {
        erased: erased.is_some(),
        pseudonym: erased.map(|erased| &erased.pseudonym),
        position: erased.map(|erased| erased.position),
        head: erased.map(|erased| erased.head.to_string()),
        entries: plan.entries.len(),
        grants: plan.grants,
        parked: plan.parked,
        left: plan.left,
        unopened: plan.unopened,
        linked: &plan.linked,
        keeps_order: erased.is_none_or(|erased| erased.keeps_order),
    }
}

/// Shows a person what is going to be touched, and asks.
fn agrees(plan: &ErasurePlan) -> Result<bool, Failure> {
    let failed = |error: io::Error| Failure::Output(format!("the question cannot be put: {error}"));
    let mut out = io::stderr().lock();
    for line in about(plan) {
        writeln!(out, "{line}").map_err(failed)?;
    }
    write!(
        out,
        "erase `{}` for good? type yes: ",
        safe(plan.user.as_str())
    )
    .map_err(failed)?;
    out.flush().map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}

fn say(
    run: &mut Run,
    user: &UserId,
    erased: Option<&Erased>,
    looked: &ErasurePlan,
) -> Result<(), Failure> {
    let user = safe(user.as_str());
    let Some(erased) = erased else {
        run.out.line(format_args!(
            "nothing here speaks of `{user}`: there was nothing to erase"
        ))?;
        for line in rest(looked) {
            run.out.line(format_args!("{line}"))?;
        }
        return Ok(());
    };
    let done = run.out.ink(Ink::Good, "erased");
    run.out.line(format_args!(
        "{done}: `{user}` is {} from now on",
        erased.pseudonym
    ))?;
    for line in about(&erased.plan) {
        run.out.line(format_args!("{line}"))?;
    }
    run.out.line(format_args!(
        "recorded at position {}; head {}",
        erased.position, erased.head
    ))?;
    if !erased.keeps_order {
        warn(
            "no pseudonym keeps the order of all keys: where two statements of one instant contradict each other, an \
             answer may be another one now. `tenure anomalies` shows such statements as same_instant",
        );
    }
    Ok(())
}

/// What is touched and what is not, a line each.
fn about(plan: &ErasurePlan) -> Vec<String> {
    let entries = u64::try_from(plan.entries.len()).unwrap_or(u64::MAX);
    let mut lines = vec![format!(
        "  {} lose what was received, about {}",
        counted(entries, "entry"),
        counted(plan.grants, "grant")
    )];
    if plan.parked > 0 {
        lines.push(format!(
            "  {} of these in quarantine: discarded",
            counted(plan.parked, "delivery")
        ));
    }
    lines.extend(rest(plan));
    lines
}

fn rest(plan: &ErasurePlan) -> Vec<String> {
    let mut lines = Vec::new();
    if plan.left > 0 {
        lines.push(format!(
            "  {} keep a word that reads like the id, in what concerns others",
            counted(plan.left, "entry")
        ));
    }
    if plan.unopened > 0 {
        lines.push(format!(
            "  {} cannot be opened without the secret, nor looked into",
            counted(plan.unopened, "delivery")
        ));
    }
    for other in &plan.linked {
        lines.push(format!(
            "  `{}` is linked to it and stays: erase it as well",
            safe(other.as_str())
        ));
    }
    lines
}

/// The transaction is done; only what lies on the disk is not.
fn unwiped(run: &Run, error: &EngineError) -> Failure {
    let cause =
        if let EngineError::Store(StoreError::Unavailable(text) | StoreError::Full(text)) = error {
            text.clone()
        } else {
            error.to_string()
        };
    Failure::Output(format!(
        "`{}`: the erasure is recorded, but what it removed still lies in the file: {cause}. end what reads it, or \
         make space, and run the same command again",
        run.db.display()
    ))
}
