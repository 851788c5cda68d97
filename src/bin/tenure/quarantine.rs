//! `quarantine`: what could not be applied, and what to do about it.

use serde::Serialize;
use serde_json::value::RawValue;
use tenure::{
    EngineError, Entry, Parked, Position, Reader, Reason, Refusal, Retried, Settled, SqliteReader,
    write_line,
};

use crate::args::QuarantineCommand;
use crate::failure::{Ending, Failure};
use crate::output::{Table, counted, safe};
use crate::run::{Needed, Run, now};

const CHUNK: usize = 1_000;

pub(crate) fn quarantine(run: &mut Run, command: &QuarantineCommand) -> Result<Ending, Failure> {
    match command {
        QuarantineCommand::List { all } => {
            let mut reader = run.reader()?;
            list(run, &mut reader, *all)
        }
        QuarantineCommand::Show { position } => show(run, Position(*position)),
        QuarantineCommand::Retry { position } => retry(run, position.map(Position)),
        QuarantineCommand::Discard { position, why } => discard(run, Position(*position), why),
    }
}

/// A parked delivery as JSON.
#[derive(Serialize)]
struct ParkedJson<'a> {
    position: Position,
    source: &'a str,
    recorded_at: tenure::RecordedAt,
    received_at: Option<tenure::Instant>,
    kind: Option<&'a str>,
    reason: &'a str,
    field: &'a str,
    detail: &'a str,
    remedy: &'a str,
    repetitions: u64,
    settled: &'a str,
    settled_at: Option<Position>,
    /// The erasure that took away what was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    erased_at: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Box<RawValue>>,
}

impl<'a> ParkedJson<'a> {
    fn of(parked: &'a Parked, entry: &'a Entry) -> Self {
        let (settled, settled_at) = match parked.settled {
            Settled::Open => ("open", None),
            Settled::Retried(at) => ("retried", Some(at)),
            Settled::Discarded(at) => ("discarded", Some(at)),
        };
        Self {
            position: parked.position,
            source: entry.fact.source.as_str(),
            recorded_at: entry.fact.recorded_at,
            received_at: entry.fact.received_at,
            kind: entry.fact.event_name.as_deref(),
            reason: parked.refusal.reason.code(),
            field: &parked.refusal.field,
            detail: &parked.refusal.detail,
            remedy: parked.refusal.reason.remedy(),
            repetitions: entry.repetitions,
            settled,
            settled_at,
            erased_at: entry.erased_by,
            delivery: None,
        }
    }
}

pub(crate) fn list(
    run: &mut Run,
    reader: &mut Reader<SqliteReader>,
    all: bool,
) -> Result<Ending, Failure> {
    let mut table = Table::new(&[
        "position", "recorded", "source", "reason", "field", "detail", "state",
    ]);
    let mut after = Position::default();
    while !run.out.is_closed() {
        let found = reader.parked(after, CHUNK)?;
        let Some((last, _)) = found.last() else {
            break;
        };
        after = last.position;
        for (parked, entry) in &found {
            if parked.settled != Settled::Open && !all {
                continue;
            }
            let parked = ParkedJson::of(parked, entry);
            if run.json {
                run.out.json(&parked)?;
            } else {
                table.row([
                    parked.position.to_string(),
                    parked.recorded_at.0.to_string(),
                    parked.source.to_owned(),
                    parked.reason.to_owned(),
                    parked.field.to_owned(),
                    parked.detail.to_owned(),
                    parked.settled.to_owned(),
                ]);
            }
        }
    }
    if run.json {
        return Ok(Ending::Done);
    }
    if table.is_empty() {
        run.out.line(format_args!("nothing is in quarantine"))?;
    } else {
        run.out.table(&table)?;
    }
    Ok(Ending::Done)
}

fn parked(
    reader: &mut Reader<SqliteReader>,
    position: Position,
) -> Result<(Parked, Entry), Failure> {
    let before = Position(position.0.saturating_sub(1));
    let found = reader.parked(before, 1)?.into_iter().next();
    let found = found.filter(|(parked, _)| parked.position == position);
    found.ok_or(Failure::Engine(EngineError::NotParked(position)))
}

fn show(run: &mut Run, position: Position) -> Result<Ending, Failure> {
    let (parked, entry) = parked(&mut run.reader()?, position)?;
    let mut about = ParkedJson::of(&parked, &entry);
    if run.json {
        if entry.erased_by.is_none() {
            about.delivery = RawValue::from_string(write_line(&entry)).ok();
        }
        run.out.json(&about)?;
        return Ok(Ending::Done);
    }
    let mut row = |name: &str, text: &str| run.out.line(format_args!("{name:<10} {}", safe(text)));
    row("position", &position.to_string())?;
    row("source", about.source)?;
    row("recorded", &about.recorded_at.0.to_string())?;
    if let Some(received_at) = about.received_at {
        row("received", &received_at.to_string())?;
    }
    row("reason", about.reason)?;
    row("field", about.field)?;
    if !about.detail.is_empty() {
        row("detail", about.detail)?;
    }
    row("needs", about.remedy)?;
    let state = match about.settled_at {
        Some(at) => format!("{} at position {at}", about.settled),
        None => about.settled.to_owned(),
    };
    row("state", &state)?;
    row("came again", &counted(about.repetitions, "time"))?;
    if let Some(erased_by) = entry.erased_by {
        row("body", &format!("erased, at position {erased_by}"))?;
        return Ok(Ending::Done);
    }
    if let Some(headers) = &entry.fact.headers {
        row("headers", headers)?;
    }
    if let Some(query) = &entry.fact.query {
        row("query", query)?;
    }
    row(
        "body",
        &counted(
            u64::try_from(entry.fact.body.len()).unwrap_or(u64::MAX),
            "byte",
        ),
    )?;
    show_body(run, &entry.fact.body)?;
    Ok(Ending::Done)
}

/// The whole body, line by line, with what is not text as escapes.
fn show_body(run: &mut Run, body: &[u8]) -> Result<(), Failure> {
    for line in body
        .split(|byte| *byte == b'\n')
        .filter(|_| !body.is_empty())
    {
        let mut text = String::with_capacity(line.len());
        for chunk in line.utf8_chunks() {
            text.push_str(&safe(chunk.valid()));
            for byte in chunk.invalid() {
                text.push_str(&format!("\\x{byte:02x}"));
            }
        }
        run.out.line(format_args!("  {text}"))?;
    }
    Ok(())
}

/// What a retry did, as JSON.
#[derive(Serialize)]
struct RetriedJson<'a> {
    position: Position,
    result: &'a str,
    at: Option<Position>,
    events: u32,
    reason: Option<&'a str>,
    field: Option<&'a str>,
}

fn retry(run: &mut Run, position: Option<Position>) -> Result<Ending, Failure> {
    let mut engine = run.engine(Some(Needed::All))?;
    let positions = match position {
        Some(position) => vec![position],
        None => open_positions(&mut engine.reader()?)?,
    };
    let (mut recorded, mut left) = (0, 0);
    for position in positions {
        let retried = match engine.retry(position, now()) {
            // The line named a source that the rules do not have; that must not keep the others back.
            Err(EngineError::UnknownSource { name, known }) => {
                let detail = format!("no source is called `{name}`; there are: {known}");
                let refusal = Refusal::new(Reason::BadField, "source", &detail);
                Retried::StillParked { refusal }
            }
            retried => retried?,
        };
        let (about, words) = match &retried {
            Retried::Recorded {
                position: at,
                events,
            } => {
                recorded += 1;
                let words = format!(
                    "applied at position {at}: {}",
                    counted(u64::from(*events), "event")
                );
                (of(position, "recorded", Some(*at), *events), words)
            }
            Retried::TakenBefore { position: at } => {
                recorded += 1;
                let words = format!("the same delivery is there already, at position {at}");
                (of(position, "taken_before", Some(*at), 0), words)
            }
            Retried::StillParked { refusal } => {
                left += 1;
                let mut about = of(position, "still_parked", None, 0);
                about.reason = Some(refusal.reason.code());
                about.field = Some(&refusal.field);
                (about, format!("still in quarantine: {refusal}"))
            }
        };
        if run.json {
            run.out.json(&about)?;
        } else {
            run.out.line(format_args!("{position}: {}", safe(&words)))?;
        }
    }
    if !run.json {
        run.out
            .line(format_args!("{recorded} taken, {left} still in quarantine"))?;
    }
    Ok(if left == 0 {
        Ending::Done
    } else {
        Ending::Quarantined
    })
}

fn of(position: Position, result: &str, at: Option<Position>, events: u32) -> RetriedJson<'_> {
    RetriedJson {
        position,
        result,
        at,
        events,
        reason: None,
        field: None,
    }
}

fn open_positions(reader: &mut Reader<SqliteReader>) -> Result<Vec<Position>, Failure> {
    let mut positions = Vec::new();
    let mut after = Position::default();
    loop {
        let found = reader.parked(after, CHUNK)?;
        let Some((last, _)) = found.last() else {
            return Ok(positions);
        };
        after = last.position;
        let open = found
            .iter()
            .filter(|(parked, _)| parked.settled == Settled::Open);
        positions.extend(open.map(|(parked, _)| parked.position));
    }
}

/// What a discard did, as JSON.
#[derive(Serialize)]
struct DiscardedJson {
    position: Position,
    discarded_at: Position,
}

fn discard(run: &mut Run, position: Position, why: &str) -> Result<Ending, Failure> {
    if why.trim().is_empty() {
        let message = "--why is empty: say why, for those who read the log later";
        return Err(Failure::Usage(message.to_owned()));
    }
    let discarded_at = run.engine(None)?.discard(position, why, now())?;
    if run.json {
        run.out.json(&DiscardedJson {
            position,
            discarded_at,
        })?;
    } else {
        run.out.line(format_args!(
            "{position}: discarded, recorded at position {discarded_at}"
        ))?;
    }
    Ok(Ending::Done)
}
