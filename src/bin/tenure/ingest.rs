//! `ingest`: a file of deliveries into the database.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use tenure::{
    FileOptions, LineReceipt, Outcome, Position, Reason, Receipt, SourceName, brings_rules,
};

use crate::args::IngestArgs;
use crate::failure::{Ending, Failure};
use crate::output::{Out, Table, count, counted};
use crate::progress::Input;
use crate::run::{Run, id, now};

/// The name that stands for files of mixed sources.
const ANY: &str = "any";

/// A receipt as JSON.
#[derive(Serialize)]
pub(crate) struct ReceiptJson<'a> {
    line: u64,
    outcome: &'a str,
    position: Position,
    kind: Option<&'a str>,
    events: u32,
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    resumed: bool,
}

impl<'a> ReceiptJson<'a> {
    fn of(line: &LineReceipt<'a>) -> Self {
        Self {
            resumed: line.was_taken,
            ..Self::of_receipt(line.line, line.receipt)
        }
    }

    /// The receipt of the delivery that stands in the place of the `line`th line.
    pub(crate) fn of_receipt(line: u64, receipt: &'a Receipt) -> Self {
        let refusal = receipt.refusal.as_ref();
        Self {
            line,
            outcome: receipt.outcome.name(),
            position: receipt.position,
            kind: receipt.kind.as_deref(),
            events: receipt.events,
            reason: refusal.map(|refusal| refusal.reason.code()),
            field: refusal.map(|refusal| refusal.field.as_str()),
            resumed: false,
        }
    }
}

/// What became of the lines.
#[derive(Default)]
struct Summary {
    lines: u64,
    resumed: u64,
    applied: u64,
    duplicate: u64,
    ignored: u64,
    quarantined: BTreeMap<&'static str, (Reason, u64)>,
}

impl Summary {
    fn add(&mut self, line: &LineReceipt<'_>) {
        self.lines += 1;
        self.resumed += u64::from(line.was_taken);
        match line.receipt.outcome {
            Outcome::Applied => self.applied += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Ignored => self.ignored += 1,
            Outcome::Quarantined => {
                if let Some(refusal) = &line.receipt.refusal {
                    let of_reason = self.quarantined.entry(refusal.reason.code());
                    of_reason.or_insert((refusal.reason, 0)).1 += 1;
                }
            }
        }
    }

    fn show(&self, out: &mut Out) -> Result<(), Failure> {
        let quarantined = self.quarantined.values().map(|(_, number)| number).sum();
        out.line(format_args!(
            "{}: {} applied, {} duplicate, {} ignored, {} quarantined",
            counted(self.lines, "line"),
            count(self.applied),
            count(self.duplicate),
            count(self.ignored),
            count(quarantined)
        ))?;
        if self.resumed > 0 {
            let resumed = count(self.resumed);
            out.line(format_args!(
                "{resumed} of them had been taken before an interruption"
            ))?;
        }
        if quarantined == 0 {
            return Ok(());
        }
        let mut table = Table::new(&["reason", "lines", "needs"]);
        for (code, (reason, number)) in &self.quarantined {
            table.row([
                (*code).to_owned(),
                count(*number),
                reason.remedy().to_owned(),
            ]);
        }
        out.line(format_args!(""))?;
        out.table(&table)?;
        out.line(format_args!("\n`tenure quarantine list` shows them"))
    }
}

pub(crate) fn ingest(run: &mut Run, args: &IngestArgs) -> Result<Ending, Failure> {
    let source: Option<SourceName> = match args.source.as_str() {
        ANY => None,
        name => Some(id("source", name)?),
    };
    let mut input = Input::open(args.file.as_deref())?;
    let is_history = source.is_none() && args.backfill;
    let brings_rules = is_history && {
        let first = input.first_line();
        let path = args.file.as_deref().unwrap_or(Path::new("-"));
        brings_rules(&first.map_err(|error| Failure::unreadable(path, &error))?)
    };
    let mut engine = if brings_rules {
        run.history_engine()?
    } else {
        run.taking_engine(source.as_ref())?
    };
    let options = FileOptions {
        source,
        backfill: args.backfill,
    };
    let mut summary = Summary::default();
    let mut unwritten = None;
    let (json, out) = (run.json, &mut run.out);
    let taken = engine.ingest_file(&mut input.reader, &options, &mut now, &mut |line| {
        summary.add(&line);
        // The deliveries matter more than the receipts: they go in even if nobody takes the receipts any more.
        if json && unwritten.is_none() && !out.is_closed() {
            unwritten = out.json(&ReceiptJson::of(&line)).err();
        }
        Ok(())
    });
    input.clear();
    let path = args.file.as_deref().unwrap_or(Path::new("-"));
    taken.map_err(|error| Failure::of_file(error, path))?;
    if let Some(failure) = unwritten {
        return Err(failure);
    }
    if !json {
        summary.show(out)?;
    }
    if brings_rules {
        run.compare_rules()?;
    }
    Ok(if summary.quarantined.is_empty() {
        Ending::Done
    } else {
        Ending::Quarantined
    })
}
