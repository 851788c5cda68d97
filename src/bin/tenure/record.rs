//! What was recorded: `log`, `anomalies`.

use serde::Serialize;
use tenure::{
    Attribution, EntryFilter, LogEntry, Position, Reader, RecordedEvent, SqliteReader, Statement,
    UserId,
};

use crate::args::LogArgs;
use crate::failure::{Ending, Failure};
use crate::output::Table;
use crate::run::{Run, id};
use crate::words;

const CHUNK: usize = 1_000;

/// An entry of the log as JSON.
#[derive(Serialize)]
struct EntryJson<'a> {
    position: Position,
    entry: &'a str,
    of: Option<Position>,
    source: &'a str,
    recorded_at: tenure::RecordedAt,
    received_at: Option<tenure::Instant>,
    outcome: &'a str,
    kind: Option<&'a str>,
    key: &'a str,
    repetitions: u64,
    reason: Option<&'a str>,
    field: Option<&'a str>,
    /// The erasure that took away what was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    erased_at: Option<Position>,
    /// Of what was made by hand: who made it, and why.
    #[serde(flatten)]
    attribution: Option<&'a Attribution>,
    events: Vec<EventJson<'a>>,
}

/// An event as JSON.
#[derive(Serialize)]
struct EventJson<'a> {
    change: &'a str,
    effective_at: tenure::EffectiveAt,
    users: Vec<&'a UserId>,
    grant: Option<&'a str>,
    source: Option<&'a str>,
    /// The dedupe key of what it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    takes_back: Option<&'a str>,
    withdrawn_at: Option<tenure::RecordedAt>,
}

impl<'a> EntryJson<'a> {
    fn of(entry: &'a LogEntry) -> Self {
        let fact = &entry.entry.fact;
        let refusal = fact.refusal.as_ref();
        Self {
            position: entry.entry.position,
            entry: fact.kind.name(),
            of: fact.of,
            source: fact.source.as_str(),
            recorded_at: fact.recorded_at,
            received_at: fact.received_at,
            outcome: fact.outcome.name(),
            kind: fact.event_name.as_deref(),
            key: fact.dedupe_key.as_str(),
            repetitions: entry.entry.repetitions,
            reason: refusal.map(|refusal| refusal.reason.code()),
            field: refusal.map(|refusal| refusal.field.as_str()),
            erased_at: entry.entry.erased_by,
            attribution: entry.attribution.as_ref(),
            events: entry.events.iter().map(EventJson::of).collect(),
        }
    }
}

impl<'a> EventJson<'a> {
    fn of(recorded: &'a RecordedEvent) -> Self {
        let statement = &recorded.event.statement;
        let (grant, source) = match statement {
            Statement::Grant(of) => (Some(of.grant.key.as_str()), Some(of.grant.source.as_str())),
            Statement::User(of) => (None, Some(of.source.as_str())),
            Statement::Link { .. } => (None, None),
            Statement::Withdrawal { source, .. } => (None, Some(source.as_str())),
        };
        let takes_back = match statement {
            Statement::Withdrawal { key, .. } => Some(key.as_str()),
            Statement::Grant(_) | Statement::User(_) | Statement::Link { .. } => None,
        };
        Self {
            change: statement.name(),
            effective_at: recorded.event.effective_at,
            users: statement.users(),
            grant,
            source,
            takes_back,
            withdrawn_at: recorded.withdrawn_at,
        }
    }

    fn words(&self) -> String {
        let mut text = self.change.to_owned();
        if let Some(grant) = self.grant {
            text.push_str(&format!(" {grant}"));
        }
        let users: Vec<&str> = self.users.iter().map(|user| user.as_str()).collect();
        if !users.is_empty() {
            text.push_str(&format!(" ({})", users.join(", ")));
        }
        if let (Some(key), Some(source)) = (self.takes_back, self.source) {
            text.push_str(&format!(" `{key}` of {source}"));
        }
        if self.withdrawn_at.is_some() {
            text.push_str(", withdrawn");
        }
        text
    }
}

/// An event in a few words.
pub(crate) fn event_words(recorded: &RecordedEvent) -> String {
    EventJson::of(recorded).words()
}

pub(crate) fn log(run: &mut Run, args: &LogArgs) -> Result<Ending, Failure> {
    let source = args
        .source
        .as_deref()
        .map(|text| id("source", text))
        .transpose()?;
    let user = args
        .user
        .as_deref()
        .map(|text| id("user id", text))
        .transpose()?;
    let grant = args
        .grant
        .as_deref()
        .map(|text| id("grant", text))
        .transpose()?;
    let filter = EntryFilter {
        source,
        user,
        grant,
    };
    let mut reader = run.reader()?;
    let shown = Shown {
        limit: args.limit,
        keys: args.keys,
    };
    entries(run, &mut reader, &filter, shown)
}

/// What of the log is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) limit: usize,
    /// Whether people see the dedupe keys; programs always do.
    pub(crate) keys: bool,
}

pub(crate) fn entries(
    run: &mut Run,
    reader: &mut Reader<SqliteReader>,
    filter: &EntryFilter,
    shown: Shown,
) -> Result<Ending, Failure> {
    let heading = [
        "position", "recorded", "source", "delivery", "outcome", "events",
    ];
    let mut table = if shown.keys {
        Table::new(&[&heading[..], &["key"]].concat())
    } else {
        Table::new(&heading)
    };
    let (mut before, mut left) = (None, shown.limit);
    while left > 0 && !run.out.is_closed() {
        let entries = reader.log(filter, before, left.min(CHUNK))?;
        let Some(last) = entries.last() else {
            break;
        };
        before = Some(last.entry.position);
        left = left.saturating_sub(entries.len());
        for entry in &entries {
            let entry = EntryJson::of(entry);
            if run.json {
                run.out.json(&entry)?;
            } else if shown.keys {
                let [a, b, c, d, e, f] = cells(&entry);
                table.row([a, b, c, d, e, f, entry.key.to_owned()]);
            } else {
                table.row(cells(&entry));
            }
        }
    }
    if !run.json {
        if table.is_empty() {
            run.out.line(format_args!("no deliveries"))?;
        } else {
            run.out.table(&table)?;
        }
    }
    Ok(Ending::Done)
}

fn cells(entry: &EntryJson<'_>) -> [String; 6] {
    let events: Vec<String> = entry.events.iter().map(EventJson::words).collect();
    let mut events = events.join("; ");
    if let Some(attribution) = entry.attribution {
        // Apart from the events: one of them may end with `withdrawn`, which is not whose doing this is.
        if !events.is_empty() {
            events.push_str("; ");
        }
        events.push_str(&words::attribution(attribution));
    }
    let mut outcome = match entry.reason {
        Some(reason) => format!("{}: {reason}", entry.outcome),
        None => entry.outcome.to_owned(),
    };
    if entry.repetitions > 0 {
        outcome.push_str(&format!(" (+{} again)", entry.repetitions));
    }
    let mut delivery = entry.kind.unwrap_or("-").to_owned();
    if let Some(of) = entry.of {
        delivery.push_str(&format!(" ({} of {of})", entry.entry));
    }
    if entry.erased_at.is_some() {
        delivery.push_str(", erased");
    }
    [
        entry.position.to_string(),
        entry.recorded_at.0.to_string(),
        entry.source.to_owned(),
        delivery,
        outcome,
        events,
    ]
}

/// An anomaly as JSON.
#[derive(Serialize)]
struct AnomalyJson<'a> {
    position: Position,
    index: u32,
    anomaly: &'a str,
    meaning: &'a str,
    grant: &'a str,
    source: &'a str,
}

pub(crate) fn anomalies(run: &mut Run, user: Option<&str>) -> Result<Ending, Failure> {
    let user: Option<UserId> = user.map(|text| id("user id", text)).transpose()?;
    let mut reader = run.reader()?;
    let mut table = Table::new(&["position", "grant", "source", "anomaly", "the event"]);
    let mut after = None;
    while !run.out.is_closed() {
        let found = reader.anomalies(user.as_ref(), after.as_ref(), CHUNK)?;
        let Some(last) = found.last() else {
            break;
        };
        for recorded in &found {
            if run.json {
                run.out.json(&AnomalyJson {
                    position: recorded.position,
                    index: recorded.index,
                    anomaly: recorded.anomaly.name(),
                    meaning: recorded.anomaly.meaning(),
                    grant: recorded.grant.key.as_str(),
                    source: recorded.grant.source.as_str(),
                })?;
            } else {
                table.row([
                    recorded.position.to_string(),
                    recorded.grant.key.to_string(),
                    recorded.grant.source.to_string(),
                    recorded.anomaly.name().to_owned(),
                    recorded.anomaly.meaning().to_owned(),
                ]);
            }
        }
        after = Some(last.clone());
    }
    if !run.json {
        if table.is_empty() {
            run.out.line(format_args!("no anomalies"))?;
        } else {
            run.out.table(&table)?;
        }
    }
    Ok(Ending::Done)
}
