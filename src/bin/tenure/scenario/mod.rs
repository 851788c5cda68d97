//! `test`: scenario files, which say what is delivered and what has to come of it.

use std::path::{Path, PathBuf};

use clap::Args;
use tenure::Rules;

use self::document::{Document, Form};
use self::reading::Scenario;
use crate::config::Config;
use crate::failure::{Ending, Failure};
use crate::output::safe;
use crate::progress::Input;
use crate::run::Run;

mod document;
mod expected;
mod fields;
mod reading;
mod report;
mod running;
mod statement;
mod windows;

const HELP: &str = "\
A scenario says what is delivered, and what has to come of it: what becomes of deliveries, answers, windows. Each \
scenario is gone through in memory: no database is read or made, and no rules file but the one of --rules.

A complete one:
  name = \"a month that was paid is not taken back by a cancellation\"
  about = \"Terms of 2026, section 4: access ends with the paid month.\"
  rules.products.pro.includes = [\"news/*\"]

  [[deliveries]]
  at = 2026-01-01
  granted = { grant = \"g1\", user = \"u1\", product = \"pro\", until = 2026-02-01 }

  [[deliveries]]
  at = 2026-01-10
  cancelled = { grant = \"g1\" }
  expect = \"applied\"

  [[questions]]
  user = \"u1\"
  resource = \"news/today\"
  at = 2026-01-20
  expect = \"active\"                 # allow, deny, or the reason
  until = 2026-02-01                # when the answer changes

  [[questions]]
  user = \"u1\"
  resource = \"news/today\"
  at = 2026-02-01
  expect = \"cancelled\"

  [[windows]]
  user = \"u1\"
  expect = [{ product = \"pro\", grant = \"g1\", start = 2026-01-01, end = 2026-02-01 }]

A delivery may also be a `body` of any system, with `source` and `received_at`; `apply = { ... }` puts other rules in \
force, `retry = true` retries what is in quarantine. A file may hold several scenarios, each under [[scenario]]. A file \
whose name ends in .json has the same shape in JSON.

Exit code 0: all passed, 1: some failed, 2: a file is no scenario. With --json a line for each scenario:
  {\"file\":\"a.toml\",\"name\":\"...\",\"passed\":true,\"expectations\":4,\"failures\":[]}

Examples:
  tenure test scenarios/
  tenure test --rules tenure.toml scenarios/
  tenure test scenarios/refunds.toml --filter cancelled
  tenure test - < scenario.toml";

/// What `test` may be told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct TestArgs {
    /// Scenario files, or folders of them (*.toml, *.json); `-` is standard input, as TOML
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The rules of this file are in force in scenarios that state none
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Only the scenarios whose name has this in it
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
}

pub(crate) fn test(run: &mut Run, args: &TestArgs) -> Result<Ending, Failure> {
    let config = args.rules.as_deref().map(Config::load).transpose()?;
    let rules = config.map(|config| config.rules);
    // All are read before one is gone through: a mistake in the last is not found after minutes.
    let mut files = Vec::new();
    for path in found(&args.files)? {
        let mut scenarios = read(&path, rules.as_ref())?;
        if let Some(part) = &args.filter {
            scenarios.retain(|scenario| scenario.name.contains(part));
        }
        files.push((path, scenarios));
    }
    if files.iter().all(|(_, scenarios)| scenarios.is_empty()) {
        let message = match &args.filter {
            Some(part) => format!("no scenario has `{part}` in its name"),
            None => "there is no scenario in what was named".to_owned(),
        };
        return Err(Failure::Usage(message));
    }
    let (mut passed, mut failed) = (0, 0);
    for (path, scenarios) in &files {
        let file = shown(path);
        if !run.json && !scenarios.is_empty() {
            run.out.line(format_args!("{}", safe(&file)))?;
        }
        for scenario in scenarios {
            let findings = running::findings(scenario)?;
            if run.json {
                report::json(run, &file, scenario, &findings)?;
            } else {
                report::show(run, scenario, &findings)?;
            }
            let count = if findings.is_empty() {
                &mut passed
            } else {
                &mut failed
            };
            *count += 1;
        }
    }
    if !run.json {
        report::close(run, passed, failed)?;
    }
    Ok(if failed == 0 {
        Ending::Done
    } else {
        Ending::Unexpected
    })
}

fn read(path: &Path, rules: Option<&Rules>) -> Result<Vec<Scenario>, Failure> {
    let bytes = Input::open(Some(path))?.read_all();
    let bytes = bytes.map_err(|error| Failure::unreadable(path, &error))?;
    let form = match path.extension() {
        Some(ending) if ending == "json" => Form::Json,
        Some(_) | None => Form::Toml,
    };
    let (document, root) = Document::parse(Path::new(&shown(path)), bytes, form)?;
    reading::scenarios(&document, &root, rules)
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    path.display().to_string()
}

/// The files that were named, and those in the folders that were named, by name.
fn found(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        of_folder(path, &mut files)?;
        if files.len() == before {
            return Err(Failure::Usage(format!(
                "`{}` holds no scenario: their names end in .toml or .json",
                path.display()
            )));
        }
    }
    Ok(files)
}

fn of_folder(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error| Failure::unreadable(folder, &error);
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let entries: Result<Vec<_>, _> = entries.collect();
    let mut paths: Vec<PathBuf> = entries
        .map_err(failed)?
        .iter()
        .map(std::fs::DirEntry::path)
        .collect();
    paths.sort();
    for path in paths {
        // A folder behind a link could hold itself.
        if path.is_dir() && !path.is_symlink() {
            of_folder(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|it| it == "toml" || it == "json")
        {
            files.push(path);
        }
    }
    Ok(())
}
