//! Writing the log as lines of a file: what [`Engine::ingest_file`](super::Engine::ingest_file) makes the same log of.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::EngineError;
use super::erasing::lines::{erased_body, erasure_body, holder_of};
use super::line::{write_history_line, write_request};
use super::reader::Reader;
use crate::domain::id::{Position, SourceName};
use crate::domain::time::Instant;
use crate::provider::Request;
use crate::store::{Entry, EntryKind, Settled, Snapshot, StoreError, StoreReader};

/// How many parked deliveries are held in memory at a time.
const CHUNK: usize = 1_000;

/// An export under way: it ends with the entry that was the last one when it began.
#[derive(Clone, Debug)]
pub struct Export {
    after: Position,
    until: Position,
    until_recorded: Instant,
    /// Whether the rules changed, so that the file has to say which held when.
    with_rules: bool,
    has_begun: bool,
    has_ended: bool,
}

impl Export {
    /// The entry it has come to, zero at first.
    pub fn position(&self) -> Position {
        self.after
    }

    /// The last entry it is to hold.
    pub fn until(&self) -> Position {
        self.until
    }
}

/// A line of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedLine {
    /// The kind of entry it stands for.
    pub kind: EntryKind,
    /// The line, without a line break.
    pub text: String,
}

impl<R: StoreReader> Reader<R> {
    /// Begins an export of all that is recorded now.
    ///
    /// Every delivery becomes a line, and so does every retry, discard and erasure. What was erased is written as what is
    /// left of it. Rules become lines only if they changed in the
    /// course of the log: if they never did, the file takes the rules of the place it is read at.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn export(&mut self) -> Result<Export, EngineError> {
        self.read(|snapshot| {
            let head = snapshot.head()?;
            let rules = snapshot.rules()?;
            let is_first = |position| position == Position(1);
            let with_rules = match &*rules {
                [] => false,
                [only] => !is_first(only.position),
                [_, ..] => true,
            };
            Ok(Export {
                after: Position::default(),
                until: head.position,
                until_recorded: head.recorded_at.map_or(Instant::FIRST, |at| at.0),
                with_rules,
                has_begun: false,
                has_ended: false,
            })
        })
    }

    /// The next lines, those of up to `limit` entries; `None` at the end. There may be none for some entries.
    ///
    /// # Errors
    /// If the store cannot be read; what was given before is sound.
    pub fn export_lines(
        &mut self,
        export: &mut Export,
        limit: usize,
    ) -> Result<Option<Vec<ExportedLine>>, EngineError> {
        if export.has_ended {
            return Ok(None);
        }
        self.read(|snapshot| {
            let entries = snapshot.entries_after(export.after, limit)?;
            let mut lines = Vec::with_capacity(entries.len());
            for entry in &entries {
                if entry.position > export.until {
                    break;
                }
                let is_rules = entry.fact.kind == EntryKind::Rules;
                if !export.has_begun && export.with_rules && !is_rules {
                    // Until rules were put in force, the defaults held.
                    lines.push(own(EntryKind::Rules, Instant::FIRST, &rules_body("null")));
                }
                export.has_begun = true;
                lines.extend(line(snapshot, entry, export.with_rules)?);
                export.after = entry.position;
            }
            if entries.is_empty() || export.after >= export.until {
                lines.extend(taken_before(snapshot, export)?);
                export.has_ended = true;
            }
            Ok(Some(lines))
        })
    }
}

fn line(
    snapshot: &dyn Snapshot,
    entry: &Entry,
    with_rules: bool,
) -> Result<Option<ExportedLine>, StoreError> {
    let fact = &entry.fact;
    let recorded_at = fact.recorded_at.0;
    let body = match fact.kind {
        EntryKind::Delivery | EntryKind::Retry | EntryKind::Discard
            if entry.erased_by.is_some() =>
        {
            erased_body(snapshot, entry)?
        }
        EntryKind::Erasure => erasure_body(snapshot, entry)?,
        EntryKind::Delivery => {
            return Ok(Some(ExportedLine {
                kind: fact.kind,
                text: write_history_line(entry),
            }));
        }
        EntryKind::Rules if !with_rules => return Ok(None),
        EntryKind::Rules => {
            let rules: &RawValue = serde_json::from_slice(&fact.body)
                .map_err(|error| damaged(entry.position, &error.to_string()))?;
            rules_body(rules.get())
        }
        EntryKind::Retry => said_of("retry", &entry_of(snapshot, entry)?, &[]),
        EntryKind::Discard => {
            let why = String::from_utf8_lossy(&fact.body);
            let why = [("why", json!(why))];
            said_of("discard", &entry_of(snapshot, entry)?, &why)
        }
    };
    Ok(Some(own(fact.kind, recorded_at, &body)))
}

/// The parked delivery that a retry or a discard speaks of.
fn entry_of(snapshot: &dyn Snapshot, entry: &Entry) -> Result<Entry, StoreError> {
    let of = entry.fact.of.map(|of| snapshot.entry(of)).transpose()?;
    of.flatten()
        .ok_or_else(|| damaged(entry.position, "the delivery it speaks of is missing"))
}

fn damaged(position: Position, what: &str) -> StoreError {
    StoreError::Corrupt(format!("position {position}: {what}"))
}

/// Retries that found their delivery taken already. The log has no entry of them, but what is open in quarantine hangs on
/// them; where they stand makes no difference, so they come last.
fn taken_before(snapshot: &dyn Snapshot, export: &Export) -> Result<Vec<ExportedLine>, StoreError> {
    let mut lines = Vec::new();
    let mut after = Position::default();
    loop {
        let parked = snapshot.parked_after(after, CHUNK)?;
        let Some(last) = parked.last() else {
            return Ok(lines);
        };
        after = last.position;
        for one in &parked {
            let Settled::Retried(at) = one.settled else {
                continue;
            };
            let is_entry = snapshot.entry(at)?.is_some_and(|entry| {
                entry.fact.kind == EntryKind::Retry && entry.fact.of == Some(one.position)
            });
            if is_entry || one.position > export.until {
                continue;
            }
            if let Some(entry) = snapshot.entry(one.position)? {
                let holder = holder_of(snapshot, &entry, one.settled)?;
                let holder: Vec<(&str, Value)> =
                    holder.iter().map(|key| ("holder", json!(key))).collect();
                let body = said_of("retry", &entry, &holder);
                lines.push(own(EntryKind::Retry, export.until_recorded, &body));
            }
        }
    }
}

fn rules_body(rules: &str) -> String {
    format!("{{\"tenure\":\"rules\",\"rules\":{rules}}}")
}

/// What was done to a parked delivery. Its key alone need not tell it from others, so the time goes with it.
fn said_of(what: &str, parked: &Entry, more: &[(&str, Value)]) -> String {
    let fact = &parked.fact;
    let (source, key): (Value, Value) = (json!(fact.source), json!(fact.dedupe_key));
    let recorded_at = json!(fact.recorded_at);
    let more = more
        .iter()
        .map(|(name, value)| format!(",\"{name}\":{value}"));
    let more: String = more.collect();
    format!(
        "{{\"tenure\":\"{what}\",\"source\":{source},\"key\":{key},\"recorded_at\":{recorded_at}{more}}}"
    )
}

fn own(kind: EntryKind, recorded_at: Instant, body: &str) -> ExportedLine {
    let request = Request {
        body: body.as_bytes().to_vec(),
        ..Request::default()
    };
    ExportedLine {
        kind,
        text: write_request(&request, recorded_at, &SourceName::tenure()),
    }
}
