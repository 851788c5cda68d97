//! Changing the rules: `plan` says what would change, `apply` makes it so.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;

use serde::Serialize;
use tenure::{
    Direction, End, Instant, PlanSummary, PlannedChange, Position, ResourceName, Spans, UserId,
};

use crate::args::{ApplyArgs, PlanArgs};
use crate::config::Config;
use crate::failure::{Ending, Failure};
use crate::output::{Ink, Table, count, counted, safe};
use crate::progress::Meter;
use crate::run::{Run, now, warn};

/// How many changes are shown to a person who did not ask for all.
const SHOWN: u64 = 20;
/// How many rows are aligned with each other: all of them need not fit into memory.
const ROWS: usize = 10_000;

/// The figures as JSON: the first line of a plan.
#[derive(Serialize)]
struct PlanJson<'a> {
    #[serde(flatten)]
    summary: &'a PlanSummary,
    notes: Vec<String>,
}

/// A change as JSON: each further line of a plan.
#[derive(Serialize)]
struct ChangeJson<'a> {
    /// The first id of the person.
    user: Option<&'a UserId>,
    /// The ids linked to it.
    linked: &'a [UserId],
    resource: &'a ResourceName,
    change: &'static str,
    when: &'static str,
    start: Instant,
    end: End,
}

impl<'a> ChangeJson<'a> {
    fn of(planned: &'a PlannedChange, now: Instant) -> Self {
        let change = &planned.change;
        let (user, linked) = match planned.users.split_first() {
            Some((first, others)) => (Some(first), others),
            None => (None, &[][..]),
        };
        Self {
            user,
            linked,
            resource: &change.resource,
            change: direction(change.direction),
            when: when(change.start, change.end, now),
            start: change.start,
            end: change.end,
        }
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Gains => "gains",
        Direction::Loses => "loses",
    }
}

fn when(start: Instant, end: End, now: Instant) -> &'static str {
    if start > now {
        "future"
    } else if end.is_after(now) {
        "present"
    } else {
        "past"
    }
}

pub(crate) fn plan(run: &mut Run, args: &PlanArgs) -> Result<Ending, Failure> {
    let config = Config::load(&args.file)?;
    let mut reader = run.reader_for_rules()?;
    let now = now();
    let mut changes = Changes::new(now, args.all || run.json)?;
    let meter = Meter::new();
    let planned = reader.plan(
        &config.rules,
        now,
        &mut |change| changes.take(&change),
        &mut |progress| meter.show(progress),
    );
    meter.clear();
    let summary = planned?;
    config.warn_of_remarks();
    if run.json {
        let notes = summary.notes.iter().map(ToString::to_string).collect();
        run.out.json(&PlanJson {
            summary: &summary,
            notes,
        })?;
        return changes.write_json(run);
    }
    figures(run, &args.file, &summary)?;
    changes.write_table(run)
}

/// The figures come first: they say whether the list is worth reading.
fn figures(run: &mut Run, file: &Path, summary: &PlanSummary) -> Result<(), Failure> {
    for note in &summary.notes {
        warn(&note.to_string());
    }
    let PlanSummary { gains, losses, .. } = summary;
    let file = safe(&file.display().to_string());
    if gains.total() == 0 && losses.total() == 0 {
        return run.out.line(format_args!(
            "with the rules of {file} nobody gains or loses anything"
        ));
    }
    let line = format!(
        "with the rules of {file}, of {} {} {} gain and {} lose something",
        count(summary.people),
        if summary.people == 1 {
            "person"
        } else {
            "people"
        },
        count(summary.gaining),
        count(summary.losing)
    );
    run.out.line(format_args!("{line}"))?;
    run.out.line(format_args!(""))?;
    let mut table = Table::new(&["spans of access", "past", "now", "future"]);
    let mut row = |name: &str, spans: &Spans| {
        let [past, present, future] = [spans.past, spans.present, spans.future].map(count);
        table.row([name.to_owned(), past, present, future]);
    };
    row("gained", gains);
    row("lost", losses);
    run.out.table(&table)?;
    run.out.line(format_args!(""))
}

/// The changes of a plan. The figures are shown before them and known only after them, and there may be more than fit into
/// memory: they wait in a file without a name.
struct Changes {
    now: Instant,
    /// Whether all are wanted, or the first few.
    all: bool,
    waiting: BufWriter<File>,
    count: u64,
    failed: Option<io::Error>,
}

impl Changes {
    fn new(now: Instant, all: bool) -> Result<Self, Failure> {
        let file = tempfile::tempfile().map_err(|error| unwritable(&error))?;
        Ok(Self {
            now,
            all,
            waiting: BufWriter::new(file),
            count: 0,
            failed: None,
        })
    }

    fn take(&mut self, planned: &PlannedChange) {
        self.count += 1;
        if self.failed.is_some() || !self.all && self.count > SHOWN {
            return;
        }
        let line = serde_json::to_vec(&ChangeJson::of(planned, self.now));
        let written = line.map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.waiting.write_all(&line)
        });
        self.failed = written.err();
    }

    /// What waits, from the beginning.
    fn waiting(self) -> Result<BufReader<File>, Failure> {
        if let Some(error) = self.failed {
            return Err(unwritable(&error));
        }
        let file = self.waiting.into_inner();
        let mut file = file.map_err(|error| unwritable(error.error()))?;
        file.rewind().map_err(|error| unwritable(&error))?;
        Ok(BufReader::new(file))
    }

    fn write_json(self, run: &mut Run) -> Result<Ending, Failure> {
        let mut waiting = self.waiting()?;
        let mut line = Vec::new();
        while !run.out.is_closed() {
            line.clear();
            let read = waiting.read_until(b'\n', &mut line);
            if read.map_err(|error| unwritable(&error))? == 0 {
                break;
            }
            run.out.bytes(&line)?;
        }
        Ok(Ending::Done)
    }

    fn write_table(self, run: &mut Run) -> Result<Ending, Failure> {
        let left = if self.all {
            0
        } else {
            self.count.saturating_sub(SHOWN)
        };
        let mut lines = self.waiting()?.lines();
        loop {
            let mut table = Table::new(&["user", "", "resource", "from", "to", ""]);
            for line in lines.by_ref().take(ROWS) {
                let line = line.map_err(|error| unwritable(&error))?;
                table.row(cells(&line)?);
            }
            if table.is_empty() || run.out.is_closed() {
                break;
            }
            run.out.table(&table)?;
        }
        if left > 0 {
            let more = format!("and {} more: --all shows them, --json too", count(left));
            let more = run.out.ink(Ink::Faint, &more);
            run.out.line(format_args!("{more}"))?;
        }
        Ok(Ending::Done)
    }
}

/// The cells of a change, from its JSON.
fn cells(line: &str) -> Result<[String; 6], Failure> {
    let change: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(line).map_err(|error| unwritable(&error.into()))?;
    let text = |key: &str| {
        let text = change.get(key).and_then(serde_json::Value::as_str);
        text.map(str::to_owned)
    };
    let end = text("end").unwrap_or_else(|| "unlimited".to_owned());
    let [mut users, direction, resource, start, when] =
        ["user", "change", "resource", "start", "when"].map(|key| text(key).unwrap_or_default());
    let linked = change.get("linked").and_then(serde_json::Value::as_array);
    for id in linked
        .into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_str)
    {
        users.push_str(", ");
        users.push_str(id);
    }
    let when = if when == "present" {
        "now".to_owned()
    } else {
        when
    };
    Ok([users, direction, resource, start, end, when])
}

fn unwritable(error: &io::Error) -> Failure {
    Failure::Output(format!(
        "the changes cannot be kept in a temporary file: {error}"
    ))
}

/// What applying did, as JSON.
#[derive(Serialize)]
struct AppliedJson {
    /// The entry that records the rules; null if they were in force already.
    position: Option<Position>,
    grants: u64,
}

pub(crate) fn apply(run: &mut Run, args: &ApplyArgs) -> Result<Ending, Failure> {
    let config = Config::load(&args.file)?;
    let mut engine = run.engine_for_rules()?;
    config.warn_of_remarks();
    let meter = Meter::new();
    let applied = engine.apply(&config.rules, now(), &mut |progress| meter.show(progress));
    meter.clear();
    let applied = applied?;
    if run.json {
        run.out.json(&AppliedJson {
            position: applied.position,
            grants: applied.grants,
        })?;
        return Ok(Ending::Done);
    }
    let file = safe(&args.file.display().to_string());
    match applied.position {
        None => run
            .out
            .line(format_args!("the rules of {file} are in force already")),
        Some(position) => run.out.line(format_args!(
            "the rules of {file} are in force from position {position} on; {} folded again",
            counted(applied.grants, "grant")
        )),
    }?;
    Ok(Ending::Done)
}
