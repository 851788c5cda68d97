//! Looking after a database: `rebuild`, `verify`, `export`, `backup`, and `completions`.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use serde::Serialize;
use tenure::{EntryKind, Reader, SqliteReader};

use crate::args::{Cli, Shell};
use crate::failure::{Ending, Failure};
use crate::output::{counted, safe};
use crate::progress::Meter;
use crate::run::Run;

const CHUNK: usize = 1_000;

/// What a rebuild did, as JSON.
#[derive(Serialize)]
struct RebuiltJson {
    grants: u64,
}

pub(crate) fn rebuild(run: &mut Run) -> Result<Ending, Failure> {
    let mut engine = run.engine(None)?;
    let meter = Meter::new();
    let rebuilt = engine.rebuild(&mut |progress| meter.show(progress));
    meter.clear();
    let grants = rebuilt?;
    if run.json {
        run.out.json(&RebuiltJson { grants })?;
    } else {
        run.out.line(format_args!(
            "{} rebuilt from the log",
            counted(grants, "grant")
        ))?;
    }
    Ok(Ending::Done)
}

/// What an export wrote, as JSON.
#[derive(Serialize)]
struct ExportedJson<'a> {
    deliveries: u64,
    /// The other lines: changes of rules, retries and discards.
    others: u64,
    file: &'a Path,
}

pub(crate) fn export(run: &mut Run, file: Option<&Path>) -> Result<Ending, Failure> {
    let mut reader = run.reader()?;
    let Some(path) = file.filter(|path| *path != Path::new("-")) else {
        each_line(&mut reader, &mut |line| {
            run.out.bytes(line.as_bytes())?;
            Ok(!run.out.is_closed())
        })?;
        return Ok(Ending::Done);
    };
    let failed = |error: io::Error| Failure::unwritable(path, &error);
    let new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    let mut to = BufWriter::new(new);
    let written = each_line(&mut reader, &mut |line| {
        to.write_all(line.as_bytes()).map_err(failed)?;
        Ok(true)
    });
    let finished = written.and_then(|lines| {
        to.flush()
            .and_then(|()| to.get_ref().sync_all())
            .map_err(failed)?;
        Ok(lines)
    });
    let lines = finished.inspect_err(|_| {
        // Half an export must not be taken for a whole one; that it stays changes nothing in the message.
        let _removed = std::fs::remove_file(path);
    })?;
    if run.json {
        run.out.json(&ExportedJson {
            deliveries: lines.deliveries,
            others: lines.others,
            file: path,
        })?;
    } else {
        let name = safe(&path.display().to_string());
        let others = match lines.others {
            0 => String::new(),
            others => format!(" and {}", counted(others, "other line")),
        };
        run.out.line(format_args!(
            "{}{others} written to {name}",
            counted(lines.deliveries, "delivery")
        ))?;
    }
    Ok(Ending::Done)
}

/// How many lines an export has.
#[derive(Clone, Copy, Default)]
struct Lines {
    deliveries: u64,
    /// Changes of rules, and what became of parked deliveries.
    others: u64,
}

/// Hands over what was there at the beginning, line by line; `false` stops. Gives the number of lines.
fn each_line(
    reader: &mut Reader<SqliteReader>,
    take: &mut dyn FnMut(String) -> Result<bool, Failure>,
) -> Result<Lines, Failure> {
    let mut export = reader.export()?;
    let meter = Meter::new();
    let mut lines = Lines::default();
    while let Some(next) = reader.export_lines(&mut export, CHUNK)? {
        for mut line in next {
            line.text.push('\n');
            if !take(line.text)? {
                return Ok(lines);
            }
            match line.kind {
                EntryKind::Delivery => lines.deliveries += 1,
                EntryKind::Rules | EntryKind::Retry | EntryKind::Discard | EntryKind::Erasure => {
                    lines.others += 1;
                }
            }
        }
        meter.count("entries", export.position().0, export.until().0);
    }
    meter.clear();
    Ok(lines)
}

/// What a backup wrote, as JSON.
#[derive(Serialize)]
struct BackedUpJson<'a> {
    file: &'a Path,
    bytes: u64,
}

pub(crate) fn backup(run: &mut Run, file: &Path) -> Result<Ending, Failure> {
    let mut reader = run.reader()?;
    if file.symlink_metadata().is_ok() {
        return Err(Failure::unwritable(
            file,
            &io::ErrorKind::AlreadyExists.into(),
        ));
    }
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Failure::unwritable(file, &io::ErrorKind::NotFound.into()));
    }
    let meter = Meter::new();
    let copied = reader.store().backup(file, &mut |left, total| {
        meter.count("pages", total.saturating_sub(left), total);
    });
    meter.clear();
    copied?;
    let bytes = file
        .metadata()
        .map_err(|error| Failure::unreadable(file, &error))?
        .len();
    if run.json {
        run.out.json(&BackedUpJson { file, bytes })?;
    } else {
        let name = safe(&file.display().to_string());
        run.out
            .line(format_args!("{} copied to {name}", counted(bytes, "byte")))?;
    }
    Ok(Ending::Done)
}

pub(crate) fn completions(run: &mut Run, shell: Shell) -> Result<Ending, Failure> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tenure", &mut script);
    run.out.bytes(&script)?;
    Ok(Ending::Done)
}
