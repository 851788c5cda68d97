//! Questions about access: `check`, `windows`, `grants`.

use std::io::IsTerminal as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tenure::{
    Decision, GrantSummary, GrantView, Instant, Question, RecordedAt, UserId, Verdict, Window,
    decision_json,
};

use crate::args::{CheckArgs, PastArgs, Times, WindowsArgs};
use crate::failure::{Ending, Failure};
use crate::moment::moment;
use crate::output::{Ink, Table, safe};
use crate::progress::Input;
use crate::run::{Run, as_of, id, now, time};
use crate::words;

/// The question of a command line.
pub(crate) fn question(
    user: &str,
    resource: &str,
    times: &Times,
    now: Instant,
) -> Result<Question, Failure> {
    let at = times
        .at
        .as_deref()
        .map(|text| time("--at", text, now))
        .transpose()?;
    Ok(Question {
        user: id("user id", user)?,
        resource: id("resource", resource)?,
        at: at.unwrap_or(now),
        as_of: as_of(times.as_of.as_deref(), now)?,
    })
}

pub(crate) fn check(run: &mut Run, args: &CheckArgs) -> Result<Ending, Failure> {
    if let Some(file) = &args.batch {
        return check_batch(run, file);
    }
    let user = args.user.as_deref().unwrap_or_default();
    let resource = args.resource.as_deref().unwrap_or_default();
    let question = question(user, resource, &args.times, now())?;
    let decision = run.reader()?.check(&question)?;
    if run.json {
        run.out.line(format_args!("{}", decision_json(&decision)))?;
    } else {
        show(run, &decision)?;
    }
    Ok(if decision.verdict.is_allowed() {
        Ending::Done
    } else {
        Ending::Deny
    })
}

pub(crate) fn ink(verdict: Verdict) -> Ink {
    if verdict.is_allowed() {
        Ink::Good
    } else {
        Ink::Bad
    }
}

/// A decision for a person.
pub(crate) fn show(run: &mut Run, decision: &Decision) -> Result<(), Failure> {
    let verdict = decision.verdict;
    let name = run.out.ink(ink(verdict), verdict.name());
    run.out
        .line(format_args!("{name}: {}", safe(&words::answer(decision))))?;
    let mut row =
        |name: &str, text: &str| run.out.line(format_args!("  {name:<12} {}", safe(text)));
    row(
        "reason",
        &format!("{}: {}", verdict.reason(), words::reason(verdict)),
    )?;
    if let Some(access) = &decision.access {
        if let Some((start, end)) = access.window {
            row("window", &words::span(start, end))?;
        }
        row(
            "grant",
            &format!("{}, product {}", access.grant, access.product),
        )?;
    }
    row("next change", &words::next_change(decision))
}

/// A line of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    user: UserId,
    resource: tenure::ResourceName,
    #[serde(default)]
    at: Option<String>,
    #[serde(default)]
    as_of: Option<String>,
}

/// What is written in the place of an answer to a line that is no question.
#[derive(Serialize)]
struct NoQuestion {
    error: String,
    line: u64,
}

fn check_batch(run: &mut Run, file: &Path) -> Result<Ending, Failure> {
    let mut reader = run.reader()?;
    let mut input = Input::open(Some(file))?;
    let text = input
        .read_all()
        .map_err(|error| Failure::unreadable(file, &error))?;
    let now = now();
    let (mut questions, mut refused) = (Vec::new(), Vec::new());
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match asked(line, now) {
            Ok(question) => questions.push(question),
            Err(error) => refused.push((
                questions.len(),
                NoQuestion {
                    error,
                    line: number,
                },
            )),
        }
    }
    // One call, so that all answers come from one state of the log.
    let decisions = reader.check_batch(&questions)?;
    let mut refused = refused.iter().peekable();
    let ending = if refused.peek().is_some() {
        Ending::BadQuestions
    } else {
        Ending::Done
    };
    for (place, decision) in decisions.iter().map(Some).chain([None]).enumerate() {
        while let Some((_, no_question)) = refused.next_if(|(before, _)| *before <= place) {
            run.out.json(no_question)?;
        }
        if let Some(decision) = decision {
            run.out.line(format_args!("{}", decision_json(decision)))?;
        }
        if run.out.is_closed() {
            break;
        }
    }
    Ok(ending)
}

fn asked(line: &[u8], now: Instant) -> Result<Question, String> {
    // What the names are read into would take a list in their order as well.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err("not an object as {\"user\":\"u1\",\"resource\":\"news\"}".to_owned());
    }
    let asked: Asked = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let instant = |key: &str, text: &Option<String>| {
        let instant = text.as_deref().map(|text| moment(text, now)).transpose();
        instant.map_err(|error| format!("{key}: {error}"))
    };
    Ok(Question {
        at: instant("at", &asked.at)?.unwrap_or(now),
        as_of: instant("as_of", &asked.as_of)?.map(RecordedAt),
        user: asked.user,
        resource: asked.resource,
    })
}

/// For programs, and so JSON, unless a person looks on.
pub(crate) fn windows(run: &mut Run, args: &WindowsArgs) -> Result<Ending, Failure> {
    let is_table = !run.json && (args.table || std::io::stdout().is_terminal());
    let args = &args.past;
    let user: UserId = id("user id", &args.user)?;
    let as_of = as_of(args.as_of.as_deref(), now())?;
    let windows = run.reader()?.windows(&user, as_of)?;
    if !is_table {
        run.out.json(&windows)?;
        return Ok(Ending::Done);
    }
    let mut table = Table::new(&["start", "end", "product", "grant", "source", "user"]);
    for window in &windows {
        table.row([
            window.start.to_string(),
            window.end.to_string(),
            window.product.to_string(),
            window.grant.to_string(),
            window.source.to_string(),
            window.user.to_string(),
        ]);
    }
    if table.is_empty() {
        run.out
            .line(format_args!("no windows for {}", safe(user.as_str())))?;
    } else {
        run.out.table(&table)?;
    }
    Ok(Ending::Done)
}

/// A grant as JSON.
#[derive(Serialize)]
struct GrantJson<'a> {
    grant: &'a str,
    source: &'a str,
    #[serde(flatten)]
    summary: GrantSummary,
    windows: &'a [Window],
}

impl<'a> GrantJson<'a> {
    fn of(view: &'a GrantView) -> Self {
        Self {
            grant: view.grant.key.as_str(),
            source: view.grant.source.as_str(),
            summary: GrantSummary::of(&view.state, &view.policy),
            windows: &view.windows,
        }
    }
}

pub(crate) fn grants(run: &mut Run, args: &PastArgs) -> Result<Ending, Failure> {
    let user: UserId = id("user id", &args.user)?;
    let as_of = as_of(args.as_of.as_deref(), now())?;
    let views = run.reader()?.grants(&user, as_of)?;
    if run.json {
        let grants: Vec<GrantJson<'_>> = views.iter().map(GrantJson::of).collect();
        run.out.json(&grants)?;
        return Ok(Ending::Done);
    }
    let mut table = Table::new(&[
        "grant", "source", "state", "user", "product", "start", "end", "notes",
    ]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for view in &views {
        let summary = GrantSummary::of(&view.state, &view.policy);
        table.row([
            view.grant.key.to_string(),
            view.grant.source.to_string(),
            summary.state.to_owned(),
            or_dash(summary.user.as_ref().map(ToString::to_string)),
            or_dash(summary.product.as_ref().map(ToString::to_string)),
            or_dash(summary.start.map(|start| start.to_string())),
            or_dash(summary.end.map(|end| end.to_string())),
            notes(&summary),
        ]);
    }
    if table.is_empty() {
        run.out
            .line(format_args!("no grants of {}", safe(user.as_str())))?;
    } else {
        run.out.table(&table)?;
    }
    Ok(Ending::Done)
}

fn notes(summary: &GrantSummary) -> String {
    let mut notes: Vec<String> = summary.how.map(str::to_owned).into_iter().collect();
    if summary.cancelled {
        notes.push("will not renew".to_owned());
    }
    if let Some(blocks) = words::blocks(summary) {
        notes.push(format!("suspended by {blocks}"));
    }
    if let (Some(paid_until), true) = (summary.paid_until, summary.paid_until != summary.end) {
        notes.push(format!("paid until {paid_until}"));
    }
    notes.join(", ")
}
