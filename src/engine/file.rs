//! Taking a whole file of deliveries, batch by batch, so that reading it again after an interruption goes on where it
//! stopped and ends as if there had been none.

use std::io::{self, BufRead, Read as _};

use super::delivery::{Delivery, Receipt};
use super::history::{HistoryLine, history_line};
use super::ingest::Batch;
use super::line::delivery_of_line;
use super::{Engine, EngineError};
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::id::SourceName;
use crate::domain::time::Instant;
use crate::provider::{Request, digest};
use crate::store::{Hash, RunId, Store, StoreError};

/// A batch is one transaction: large enough to share the cost of making it durable, small enough to lose little time to an
/// interruption. Reading a file again has to cut it alike, so these only ever change together with the run's name.
const LINES_IN_BATCH: usize = 1_000;
const BYTES_IN_BATCH: usize = 8 * 1024 * 1024;
/// Nothing that long is a webhook; the beginning is kept so that a person can see what it was.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// How a file of deliveries is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// The source of every line; without one, every line has to be an envelope that names its own.
    pub source: Option<SourceName>,
    /// Whether the recorded times are those of the envelopes, `recorded_at` or else `received_at`: for the import of a
    /// history. Without a source, what Tenure itself recorded in the course of it is then recorded again, too.
    pub backfill: bool,
}

/// One line that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineReceipt<'a> {
    /// The number of the line in the file, from 1.
    pub line: u64,
    /// What became of it.
    pub receipt: &'a Receipt,
    /// Whether an interrupted reading of the same file had taken it.
    pub was_taken: bool,
}

/// Why a file could not be taken to its end. All lines whose receipts were given are in.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file could not be read, or the receipts could not be handed on.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl<S: Store> Engine<S> {
    /// Takes every line of a file, in order. `clock` is asked once a batch; `on_receipt` is told of each line once it is
    /// durable.
    ///
    /// Blank lines are skipped. No line stops the file: what cannot be read is quarantined. If the reading is interrupted and
    /// the same file is read again, the lines that were taken get the receipts they had and change nothing.
    ///
    /// # Errors
    /// [`FileError`]; the lines before are in, and reading the file again goes on after them.
    pub fn ingest_file(
        &mut self,
        input: &mut dyn BufRead,
        options: &FileOptions,
        clock: &mut dyn FnMut() -> Instant,
        on_receipt: &mut dyn FnMut(LineReceipt<'_>) -> io::Result<()>,
    ) -> Result<(), FileError> {
        if let Some(source) = &options.source {
            self.require_source(source)?;
        }
        let any = SourceName::new("any")
            .map_err(|error| EngineError::from(StoreError::Corrupt(error.to_string())))?;
        let mut lines = Lines {
            input,
            number: 0,
            ended: false,
        };
        let mut run: Option<RunId> = None;
        for number in 0.. {
            let read = lines.next_batch()?;
            if read.is_empty() {
                if let Some(run) = run {
                    self.finish_run(&run)?;
                }
                break;
            }
            let lines_digest = digest_of(&read);
            let run = run.get_or_insert_with(|| run_id(options, lines_digest));
            let batch = Batch {
                run: run.clone(),
                number,
                lines: u64::try_from(read.len()).unwrap_or(u64::MAX),
                digest: lines_digest,
                is_last: lines.ended,
            };
            let numbers: Vec<u64> = read.iter().map(|line| line.number).collect();
            let read = read.into_iter().map(|line| line.open(options, &any));
            let taken = self.ingest_history(&batch, read.collect(), clock())?;
            for (line, receipt) in numbers.into_iter().zip(&taken.receipts) {
                on_receipt(LineReceipt {
                    line,
                    receipt,
                    was_taken: taken.was_taken,
                })?;
            }
            if lines.ended {
                break;
            }
        }
        Ok(())
    }
}

/// One reading of one file is known by how it is read and by its first batch.
fn run_id(options: &FileOptions, first: Hash) -> RunId {
    let source = options.source.as_ref().map_or("", SourceName::as_str);
    let backfill = [u8::from(options.backfill)];
    RunId(Hash(digest(&[
        b"run 1",
        &first.0,
        &backfill,
        source.as_bytes(),
    ])))
}

fn digest_of(lines: &[RawLine]) -> Hash {
    let parts: Vec<&[u8]> = lines
        .iter()
        .flat_map(|line| [line.bytes.as_slice(), b"\n"])
        .collect();
    Hash(digest(&parts))
}

struct RawLine {
    number: u64,
    bytes: Vec<u8>,
    is_cut: bool,
}

impl RawLine {
    fn open(self, options: &FileOptions, any: &SourceName) -> HistoryLine {
        let delivery = self.delivery(options, any);
        if options.source.is_some() {
            return HistoryLine::OfFile(delivery);
        }
        history_line(delivery)
    }

    fn delivery(self, options: &FileOptions, any: &SourceName) -> Delivery {
        if self.is_cut {
            let detail = "a line of more than 64 MiB; only its beginning is kept";
            let request = Request {
                body: self.bytes,
                ..Request::default()
            };
            let source = options.source.as_ref().unwrap_or(any).clone();
            let refusal = Refusal::new(Reason::TooLarge, "body", detail);
            return Delivery::unreadable(source, request, refusal);
        }
        let delivery = delivery_of_line(&self.bytes, options.source.as_ref(), any);
        if options.backfill {
            delivery.claiming_recorded_time()
        } else {
            delivery.without_history()
        }
    }
}

struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: u64,
    ended: bool,
}

impl Lines<'_> {
    /// The next lines that are not blank.
    fn next_batch(&mut self) -> io::Result<Vec<RawLine>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < LINES_IN_BATCH && bytes < BYTES_IN_BATCH {
            let Some(line) = self.next_line()? else {
                self.ended = true;
                break;
            };
            if !line.bytes.iter().all(u8::is_ascii_whitespace) {
                bytes += line.bytes.len();
                batch.push(line);
            }
        }
        Ok(batch)
    }

    fn next_line(&mut self) -> io::Result<Option<RawLine>> {
        let mut bytes = Vec::new();
        let mut limited = (&mut *self.input).take(LONGEST_LINE);
        if limited.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let is_cut = bytes.last() != Some(&b'\n') && limited.limit() == 0;
        if is_cut {
            self.input.skip_until(b'\n')?;
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if self.number == 1 && bytes.starts_with(b"\xEF\xBB\xBF") {
            bytes.drain(..3);
        }
        Ok(Some(RawLine {
            number: self.number,
            bytes,
            is_cut,
        }))
    }
}
