//! Rows that were not taken: told to people, and written back so that they can be corrected and imported again.

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Writer, WriterBuilder};

use super::rows::Rejected;
use crate::failure::{Ending, Failure};
use crate::output::{Out, Table, counted, safe};

/// The heading of the column that says why.
const WHY: &[u8] = b"not imported because";

/// So many a person is shown.
const SHOWN: usize = 20;

/// The rows that were not taken.
pub(crate) struct Rejects {
    to: Option<(PathBuf, Writer<File>)>,
    /// The column of an earlier reason, where the file is one that was written here.
    earlier: Option<usize>,
    shown: Vec<(u64, Rejected)>,
    pub(crate) number: u64,
}

impl Rejects {
    /// `path` must not exist.
    pub(crate) fn new(
        path: Option<&Path>,
        delimiter: u8,
        heading: &ByteRecord,
    ) -> Result<Self, Failure> {
        let earlier = heading.iter().position(|name| name == WHY);
        let mut rejects = Self {
            to: None,
            earlier,
            shown: Vec::new(),
            number: 0,
        };
        if let Some(path) = path {
            let file = File::create_new(path).map_err(|error| Failure::unwritable(path, &error))?;
            let mut builder = WriterBuilder::new();
            let writer = builder.delimiter(delimiter).flexible(true);
            rejects.to = Some((path.to_owned(), writer.from_writer(file)));
            rejects.write(heading, WHY)?;
        }
        Ok(rejects)
    }

    pub(crate) fn add(
        &mut self,
        row: u64,
        record: &ByteRecord,
        rejected: Rejected,
    ) -> Result<(), Failure> {
        self.number += 1;
        let told = match &rejected.column {
            Some(column) => format!("{column}: {}", rejected.why),
            None => rejected.why.clone(),
        };
        self.write(record, told.as_bytes())?;
        if self.shown.len() < SHOWN {
            self.shown.push((row, rejected));
        }
        Ok(())
    }

    fn write(&mut self, record: &ByteRecord, why: &[u8]) -> Result<(), Failure> {
        let Some((path, writer)) = &mut self.to else {
            return Ok(());
        };
        let cells = record.iter().enumerate();
        let kept = cells.filter(|(at, _)| Some(*at) != self.earlier);
        let cells = kept.map(|(_, cell)| cell).chain([why]);
        let written = writer.write_record(cells);
        written.map_err(|error| Failure::unwritable(path, &error.into()))
    }

    /// All that was written is in the file.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        if let Some((path, writer)) = &mut self.to {
            let flushed = writer.flush();
            flushed.map_err(|error| Failure::unwritable(path, &error))?;
        }
        Ok(())
    }

    pub(crate) fn show(&self, out: &mut Out) -> Result<(), Failure> {
        if self.number == 0 {
            return Ok(());
        }
        let mut table = Table::new(&["row", "column", "why"]);
        for (row, rejected) in &self.shown {
            table.row([
                row.to_string(),
                rejected.column.clone().unwrap_or_default(),
                rejected.why.clone(),
            ]);
        }
        out.line(format_args!(""))?;
        out.table(&table)?;
        let shown = u64::try_from(self.shown.len()).unwrap_or(u64::MAX);
        if self.number > shown {
            let more = counted(self.number.saturating_sub(shown), "more row");
            out.line(format_args!("and {more}"))?;
        }
        match &self.to {
            Some((path, _)) => out.line(format_args!(
                "\nthey are in {}, each with its reason: correct them and import that file",
                safe(&path.display().to_string())
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn ending(&self) -> Ending {
        if self.number == 0 {
            Ending::Done
        } else {
            Ending::Quarantined
        }
    }
}
