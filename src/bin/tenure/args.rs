//! What the command line may say.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tenure::PROVIDERS;

use crate::erase::EraseArgs;
use crate::explain::ExplainArgs;
use crate::scenario::TestArgs;
use crate::staff::args as staff;
use crate::timeline::TimelineArgs;
use crate::trigger::TriggerArgs;
use crate::verify::VerifyArgs;
use crate::{changes, holders, import, reconcile};

const EXIT_CODES: &str = "\
Exit codes:
  0   done; `check`: allow
  1   `check`: deny; `verify`: a fault was found; `trigger`: nobody took the event;
      `test`: a scenario failed; `reconcile`: something differs
  2   the command line, a question or the rules file is wrong
  3   done, but some deliveries are in quarantine, or some rows not imported
  4   no such file or database
  5   the database cannot be used; the message says what is safe
  70  a bug in tenure

Times are RFC 3339 (2026-01-15T00:00:00Z), a date (midnight UTC), `now`, or relative to now (-3d, +1h; units s m h \
d w).

Secrets are never written into the rules file. A source without `secret_env` or `secret_file` there takes its \
secret from the environment variable TENURE_<SOURCE>_SECRET, the source's name in capitals.

Examples:
  tenure demo
  tenure ingest any deliveries.jsonl
  tenure check u1 news
  tenure explain u1 news --at -3d";

const INGEST: &str = "\
A line is a body as the system sends it, or an envelope
  {\"received_at\":\"2026-01-05T09:00:00Z\",\"body\":{...},\"headers\":{...},\"query\":\"...\",\"source\":\"...\"}

No line stops the file: what cannot be read goes into quarantine, and the command then exits with 3. If it is \
interrupted, run it again: it goes on where it stopped. The file is trusted, so bodies need no signature; an \
encrypted one is opened with the source's secret.

With --json a receipt for each line:
  {\"line\":1,\"outcome\":\"applied\",\"position\":17,\"kind\":\"new_purchase\",\"events\":1,\"reason\":null}

Examples:
  tenure ingest any deliveries.jsonl
  tenure ingest crm --backfill history.jsonl
  tail -n 100 webhooks.log | tenure ingest crm --json";

/// The sources there are without a rules file are not known before the library is asked.
fn ingest_help() -> String {
    let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name()).collect();
    format!(
        "The sources are those of the rules file, without one: {}. `staff` is one in any case.\n\n{INGEST}",
        names.join(", ")
    )
}

/// The entitlement engine behind a paywall: webhooks in, access windows out, every answer with its reason.
#[derive(Debug, Parser)]
#[command(name = "tenure", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// The database file
    #[arg(
        long,
        global = true,
        env = "TENURE_DB",
        default_value = "tenure.db",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub(crate) db: PathBuf,

    /// The rules file [default: tenure.toml, if there is one]
    #[arg(
        long,
        global = true,
        env = "TENURE_CONFIG",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,

    /// Write JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See it work: bundled deliveries in, answers, reasons and a timeline out
    #[command(after_help = "\
It runs in a temporary database and removes it. With --db FILE it makes that database and keeps it.

Examples:
  tenure demo
  tenure demo --db demo.db && tenure --db demo.db log")]
    Demo,

    /// Take a file of deliveries into the database
    #[command(after_help = ingest_help())]
    Ingest(IngestArgs),

    /// Take over the current subscribers of a system from a CSV list
    #[command(after_help = import::IMPORT)]
    Import(import::ImportArgs),

    /// Compare who has access with a system's list of its subscribers
    #[command(after_help = reconcile::RECONCILE)]
    Reconcile(reconcile::ReconcileArgs),

    /// Does a user have access to a resource? Exit code 0 is allow, 1 is deny
    #[command(after_help = "\
A batch is JSON Lines, `at` and `as_of` may be left out:
  {\"user\":\"u1\",\"resource\":\"news\",\"at\":\"2026-01-15\",\"as_of\":\"-1d\"}

All answers come from one state of the database, a decision a line; a line that is no question gets \
{\"error\":\"...\",\"line\":2} in its place, and the exit code is then 2, otherwise 0.

Examples:
  tenure check u1 news
  tenure check u1 news --at 2026-01-15 --json
  tenure check u1 news --at 2026-01-15 --as-of 2026-01-20T12:00:00Z
  tenure check --batch questions.jsonl
  echo '{\"user\":\"u1\",\"resource\":\"news\"}' | tenure check --batch -")]
    Check(CheckArgs),

    /// Why is that the answer? In sentences to read out, then the events behind it
    #[command(after_help = crate::explain::EXAMPLES)]
    Explain(ExplainArgs),

    /// When does a user have access to what
    #[command(after_help = "\
A window begins at `start` and ends before `end`; windows of linked ids are included. On a terminal it is a table, \
else a JSON array.

Examples:
  tenure windows u1
  tenure windows u1 --as-of 2026-01-20 --json")]
    Windows(WindowsArgs),

    /// What a user's grants gave over time, and what happened to them: a picture
    Timeline(TimelineArgs),

    /// Who gains and loses access, and when: each begin and end within a span
    #[command(after_help = changes::CHANGES)]
    Changes(changes::ChangesArgs),

    /// Who has access to a resource
    #[command(after_help = holders::WHO)]
    Who(holders::WhoArgs),

    /// What does a user have access to
    #[command(after_help = holders::WHAT)]
    What(holders::WhatArgs),

    /// The deliveries and the events they yielded, newest first
    #[command(after_help = "\
Examples:
  tenure log
  tenure log --user u1 --limit 5
  tenure log --keys                        with the ids that `withdraw` wants
  tenure log --source crm --grant g1 --json")]
    Log(LogArgs),

    /// The grants of a user and how each of them stands
    #[command(after_help = "\
Examples:
  tenure grants u1
  tenure grants u1 --json")]
    Grants(PastArgs),

    /// Events that could not be applied as stated, or are worth a look
    #[command(after_help = "\
Examples:
  tenure anomalies
  tenure anomalies u1")]
    Anomalies {
        /// Only of the grants of this user
        user: Option<String>,
    },

    /// The deliveries that could not be applied
    #[command(
        subcommand,
        after_help = "\
Examples:
  tenure quarantine list
  tenure quarantine show 17
  tenure quarantine retry                  all of them, after the cause was removed
  tenure quarantine discard 17 --why 'a test of the sender'"
    )]
    Quarantine(QuarantineCommand),

    /// What would other rules change: who gains or loses what, and when
    #[command(after_help = "\
The log is folded again under the rules of FILE; nothing is changed. The figures come first, then each span of access \
gained or lost, by user and resource; a prefix as `news/*` stands for all that begin so. With --json the first line holds \
the figures and each further line a change.

What is read from deliveries, as a tenant, a user prefix or a period, holds for deliveries to come: what was read \
before stays as it was read.

Examples:
  tenure plan tenure.toml
  tenure plan tenure.toml --all
  tenure plan tenure.toml --json | jq -c 'select(.change == \"loses\" and .when == \"present\")'")]
    Plan(PlanArgs),

    /// Put the rules of a file in force
    #[command(after_help = "\
The rules become an entry of the log and all windows follow them, in one step; until it is done the old ones stand. \
Answers as of an earlier time stay as they were. `plan` says beforehand what will change. A delivery that is in \
quarantine because of the old rules is decoded again by `quarantine retry`.

Example:
  tenure apply tenure.toml")]
    Apply(ApplyArgs),
    /// Give a user a product, by hand
    #[command(after_help = staff::GRANT)]
    Grant(staff::GrantArgs),

    /// Take a grant away, by hand
    #[command(after_help = staff::REVOKE)]
    Revoke(staff::RevokeArgs),

    /// Take back an end, a cancellation or a revocation, by hand
    #[command(after_help = staff::REINSTATE)]
    Reinstate(staff::ReinstateArgs),

    /// Block a grant or a user, by hand
    #[command(after_help = staff::SUSPEND)]
    Suspend(staff::BlockArgs),

    /// Lift a block, by hand
    #[command(after_help = staff::RESUME)]
    Resume(staff::BlockArgs),

    /// Take back a delivery, by hand: what it said counts no more
    #[command(after_help = staff::WITHDRAW)]
    Withdraw(staff::WithdrawArgs),

    /// State by hand that two ids are one person
    #[command(after_help = staff::LINK)]
    Link(staff::LinkArgs),

    /// Build the windows again from the log
    #[command(after_help = "\
Until it is done the old windows stand. It changes nothing unless `verify` found a fault in a grant.

Example:
  tenure rebuild")]
    Rebuild,

    /// Check that the log is what was recorded, and the windows what follows from it
    Verify(VerifyArgs),

    /// The end of the log, to be kept elsewhere for `verify --head`
    #[command(after_help = "\
A position and the hash of the entry there, which covers every entry before it. No verification is done.

Examples:
  tenure head >> /elsewhere/heads.txt
  tenure verify --head \"$(tail -1 /elsewhere/heads.txt)\"")]
    Head,

    /// Figures of the database
    #[command(after_help = "\
Examples:
  tenure stats
  tenure stats --sizes
  tenure stats --json")]
    Stats {
        /// Also what takes how much room: goes through the whole file
        #[arg(long)]
        sizes: bool,
    },

    /// Write the deliveries as JSON Lines
    #[command(after_help = "\
`tenure ingest any --backfill` of it into a new database, with the same secrets, gives the same windows and the same \
answers as of any time. Rules stand in it if they changed in the course of the log; else it takes the rules of the \
place it is read at, so bring the rules file along. A file that is there already is not written over.

Examples:
  tenure export deliveries.jsonl
  tenure export | gzip > deliveries.jsonl.gz")]
    Export {
        /// Where to; standard output if absent
        file: Option<PathBuf>,
    },

    /// Copy the database while it is being used
    #[command(after_help = "\
Example:
  tenure backup tenure-2026-01-15.db")]
    Backup {
        /// The copy; must not exist
        file: PathBuf,
    },

    /// Erase a user's personal data; every answer stays, under another name
    Erase(EraseArgs),

    /// Try an endpoint out: make an event as its system would, and print or send it
    Trigger(TriggerArgs),

    /// Do answers come out as scenario files say? Needs no database
    Test(TestArgs),

    /// Write what a shell needs to complete this command
    #[command(after_help = "\
Examples:
  tenure completions bash > /etc/bash_completion.d/tenure
  tenure completions zsh > ~/.zfunc/_tenure
  tenure completions fish > ~/.config/fish/completions/tenure.fish")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// The source the deliveries are of; `any`: each line is an envelope that names its own
    pub(crate) source: String,
    /// JSON Lines; standard input if absent or `-`
    pub(crate) file: Option<PathBuf>,
    /// The recorded times are the envelopes' `received_at`: for the import of a history
    #[arg(long)]
    pub(crate) backfill: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Times {
    /// The instant asked about [default: now]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// Judge by what was recorded up to here [default: all that is recorded]
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    pub(crate) as_of: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The user
    #[arg(required_unless_present = "batch")]
    pub(crate) user: Option<String>,
    /// The resource
    #[arg(required_unless_present = "batch")]
    pub(crate) resource: Option<String>,
    #[command(flatten)]
    pub(crate) times: Times,
    /// Answer the questions of a file, one a line; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "resource", "at", "as_of"])]
    pub(crate) batch: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The rules file
    pub(crate) file: PathBuf,
    /// Show every change, not only the first few
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The rules file
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct WindowsArgs {
    #[command(flatten)]
    pub(crate) past: PastArgs,
    /// A table for people, also where no terminal is
    #[arg(long)]
    pub(crate) table: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PastArgs {
    /// The user
    pub(crate) user: String,
    /// Judge by what was recorded up to here [default: all that is recorded]
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    pub(crate) as_of: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Only with an event that names this user
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Only with an event that names a grant of this key
    #[arg(long)]
    pub(crate) grant: Option<String>,
    /// Only of this source
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Also show the dedupe keys, as `withdraw` wants them
    #[arg(long)]
    pub(crate) keys: bool,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// What is in quarantine, and why
    List {
        /// Also what was retried or discarded
        #[arg(long)]
        all: bool,
    },
    /// One delivery as it was received, why it could not be applied, and what would help
    Show {
        /// Its position in the log
        position: u64,
    },
    /// Decode again, after the rules, the secret or the program changed
    Retry {
        /// Its position in the log; without it, all
        position: Option<u64>,
    },
    /// Take out of the list for good; it stays in the log
    Discard {
        /// Its position in the log
        position: u64,
        /// Why, for those who read the log later
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}
