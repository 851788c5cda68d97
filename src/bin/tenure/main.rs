//! The command `tenure`: the only place that reads the clock, the environment and files.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::{Cli, Command};
use crate::failure::{BUG, Ending, Failure};
use crate::output::{Out, safe};
use crate::run::Run;

mod args;
mod ask;
mod changes;
mod config;
mod demo;
mod erase;
mod explain;
mod failure;
mod holders;
mod import;
mod ingest;
mod moment;
mod output;
mod paragraph;
mod progress;
mod quarantine;
mod reconcile;
mod record;
mod remarks;
mod rules;
mod run;
mod scenario;
mod secret;
mod sending;
mod staff;
mod stats;
mod timeline;
mod trigger;
mod upkeep;
mod verify;
mod words;

fn main() -> ExitCode {
    ExitCode::from(guarded(command))
}

/// A bug ends with a short message and a code of its own, never with a backtrace.
fn guarded(work: impl FnOnce() -> u8) -> u8 {
    std::panic::set_hook(Box::new(|bug| {
        let place = bug
            .location()
            .map(|at| format!(" ({}:{})", at.file(), at.line()));
        let what = bug.payload_as_str().unwrap_or("no message");
        say(&format!(
            "this is a bug in tenure, please report it: {what}{}. what was acknowledged is safe",
            place.unwrap_or_default()
        ));
    }));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(BUG)
}

fn command() -> u8 {
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        let names_db = matches.value_source("db") == Some(ValueSource::CommandLine);
        Cli::from_arg_matches(&matches).map(|cli| (cli, names_db))
    });
    let (cli, names_db) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help that cannot be written was not wanted: `tenure --help | head -1`.
            let _unheard = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let mut run = Run {
        db: cli.db,
        config: cli.config,
        json: cli.json,
        out: Out::new(),
    };
    let done = dispatch(&mut run, &cli.command, names_db);
    let done = run.out.flush().and(done);
    match done {
        Ok(ending) => ending.code(),
        Err(failure) => {
            say(&failure.message(&run.db));
            failure.code()
        }
    }
}

fn dispatch(run: &mut Run, command: &Command, names_db: bool) -> Result<Ending, Failure> {
    match command {
        Command::Demo => demo::demo(run, names_db),
        Command::Ingest(args) => ingest::ingest(run, args),
        Command::Import(args) => import::import(run, args),
        Command::Reconcile(args) => reconcile::reconcile(run, args),
        Command::Check(args) => ask::check(run, args),
        Command::Explain(args) => explain::explain(run, args),
        Command::Windows(args) => ask::windows(run, args),
        Command::Timeline(args) => timeline::timeline(run, args),
        Command::Changes(args) => changes::changes(run, args),
        Command::Who(args) => holders::who(run, args),
        Command::What(args) => holders::what(run, args),
        Command::Log(args) => record::log(run, args),
        Command::Grants(args) => ask::grants(run, args),
        Command::Anomalies { user } => record::anomalies(run, user.as_deref()),
        Command::Quarantine(command) => quarantine::quarantine(run, command),
        Command::Plan(args) => rules::plan(run, args),
        Command::Apply(args) => rules::apply(run, args),
        Command::Grant(args) => staff::grant(run, args),
        Command::Revoke(args) => staff::revoke(run, args),
        Command::Reinstate(args) => staff::reinstate(run, args),
        Command::Suspend(args) => staff::suspend(run, args),
        Command::Resume(args) => staff::resume(run, args),
        Command::Withdraw(args) => staff::withdraw(run, args),
        Command::Link(args) => staff::link(run, args),
        Command::Rebuild => upkeep::rebuild(run),
        Command::Verify(args) => verify::verify(run, args),
        Command::Head => verify::head(run),
        Command::Stats { sizes } => stats::stats(run, *sizes),
        Command::Export { file } => upkeep::export(run, file.as_deref()),
        Command::Backup { file } => upkeep::backup(run, file),
        Command::Erase(args) => erase::erase(run, args),
        Command::Trigger(args) => trigger::trigger(run, args),
        Command::Test(args) => scenario::test(run, args),
        Command::Completions { shell } => upkeep::completions(run, *shell),
    }
}

/// Says what went wrong, on standard error.
fn say(text: &str) {
    // There is nowhere left to say that standard error is closed.
    let _unheard = writeln!(std::io::stderr().lock(), "error: {}", safe(text));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{Cli, guarded};

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    #[allow(clippy::panic, reason = "it is what is tested")]
    fn a_bug_has_its_own_exit_code() {
        assert_eq!(guarded(|| panic!("for the test")), 70);
        let _default = std::panic::take_hook();
    }
}
