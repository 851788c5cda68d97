//! `import`: the current subscribers of a system, from a list of them.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use csv::ByteRecord;
use serde::Serialize;
use tenure::{
    Engine, GrantKey, Import, Imported, Instant, MemoryStore, Outcome, Position, Secrets, Store,
    Subscriber, SubscriberRow,
};

use crate::failure::{Ending, Failure};
use crate::output::{count, counted};
use crate::progress::Input;
use crate::run::{Run, now, time};
use crate::staff::grounds;

mod date;
mod lines;
mod mapping;
mod rejects;
pub(crate) mod rows;

use rejects::Rejects;
use rows::{Reading, Rejected, Row, Rows, source};

pub(crate) const IMPORT: &str = "\
Each row gives one grant of SOURCE to one user, under the key the system knows it by, so that its webhooks go on with \
it. FIELD=COLUMN in --map names the column, FIELD==VALUE what is the same in every row:

  user      who, as the system calls them; the source's `user_prefix` is put before it
  product   what
  grant     the key of the grant; without it, the user, a space and the product
  from      the beginning; empty or absent: --at
  until     the first instant without access; of a date, its midnight
  through   the last day with access, which counts as a whole

Dates need --zone, for a day begins elsewhere at another instant; times that say their distance from UTC do not. A row \
that cannot be read is told with its reason, all others go in. The same row again is a duplicate, also in another file.

Examples:
  tenure import shop subscribers.csv --zone Europe/Berlin --dry-run --why 'the move' \\
    --map 'user=Email,product=Plan,grant=Id,through=Valid until'
  tenure import shop subscribers.csv --zone Europe/Berlin --rejects rejected.csv --why 'the move' \\
    --map 'user=Customer,product==pro,grant=Id,until=Next payment' \\
    --delimiter ';' --date-format '%d.%m.%Y'";

/// So many rows go in at a time.
const BATCH: usize = 500;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The source whose subscribers they are
    pub(crate) source: String,
    /// The list, CSV with a heading; `-` is standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Why, for those who read the log later
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: String,
    /// Who imports it [default: TENURE_ACTOR, else the name you are logged in with]
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// The instant the list speaks of [default: now]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// Write the rows that are not imported to this file, each with its reason
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Only say what would be imported
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What became of a row, as JSON.
#[derive(Serialize)]
struct RowJson<'a> {
    row: u64,
    outcome: &'static str,
    position: Option<Position>,
    grant: Option<&'a GrantKey>,
    column: Option<&'a str>,
    reason: Option<&'a str>,
}

/// Rows on their way into the database.
struct Importing<'a, S: Store> {
    run: &'a mut Run,
    engine: Engine<S>,
    import: Import,
    is_dry: bool,
    rejects: Rejects,
    /// What the file said of each grant, and in which row.
    seen: HashMap<GrantKey, (u64, Subscriber)>,
    batch: Vec<(SubscriberRow, ByteRecord)>,
    imported: u64,
    duplicate: u64,
    rows: u64,
}

pub(crate) fn import(run: &mut Run, args: &ImportArgs) -> Result<Ending, Failure> {
    let now = now();
    let at = args.at.as_deref().map(|text| time("--at", text, now));
    let import = Import {
        source: source(&args.source)?,
        at: at.transpose()?.unwrap_or(now),
        grounds: grounds(args.actor.as_deref(), &args.why)?,
        file: file_name(&args.file),
    };
    let mut input = Input::open(Some(&args.file))?;
    let mut rows = Rows::open(&mut input.reader, &args.reading, &args.file)?;
    let taken = if args.dry_run && !run.db.exists() {
        let mut engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
        engine.begin_with_rules(&run.rules()?)?;
        Importing::new(run, engine, &import, args, &rows)?.all(&mut rows, &args.file, now)
    } else {
        let engine = if args.dry_run {
            run.engine(None)?
        } else {
            run.stating_engine(&import.source)?
        };
        Importing::new(run, engine, &import, args, &rows)?.all(&mut rows, &args.file, now)
    };
    input.clear();
    taken
}

/// The name without its folders: whoever reads the log may sit at another machine.
pub(crate) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    match name.to_string_lossy() {
        name if name == "-" => "standard input".to_owned(),
        name => name.into_owned(),
    }
}

impl<'a, S: Store> Importing<'a, S> {
    fn new<R: Read>(
        run: &'a mut Run,
        engine: Engine<S>,
        import: &Import,
        args: &ImportArgs,
        rows: &Rows<R>,
    ) -> Result<Self, Failure> {
        engine.require_source(&import.source)?;
        Ok(Self {
            run,
            engine,
            import: import.clone(),
            is_dry: args.dry_run,
            rejects: Rejects::new(args.rejects.as_deref(), rows.delimiter, rows.heading())?,
            seen: HashMap::new(),
            batch: Vec::new(),
            imported: 0,
            duplicate: 0,
            rows: 0,
        })
    }

    fn all<R: Read>(
        mut self,
        rows: &mut Rows<R>,
        path: &Path,
        now: Instant,
    ) -> Result<Ending, Failure> {
        while let Some(row) = rows.next(path)? {
            self.rows += 1;
            match self.judged(row) {
                (_, Ok(row)) => self.batch.push((row, rows.record().clone())),
                (number, Err(rejected)) => {
                    self.take(now)?;
                    self.reject(number, rows.record(), rejected)?;
                }
            }
            if self.batch.len() >= BATCH {
                self.take(now)?;
            }
        }
        self.take(now)?;
        self.rejects.finish()?;
        if !self.run.json {
            self.show()?;
        }
        Ok(self.rejects.ending())
    }

    /// Two rows that say different things of one grant cannot both hold: the first one stands.
    fn judged(&mut self, row: Row) -> (u64, Result<SubscriberRow, Rejected>) {
        let number = row.number;
        let judged = row.read.and_then(|subscriber| {
            let key = subscriber.grant_key();
            match self.seen.get(&key) {
                Some((first, other)) if *other != subscriber => Err(Rejected::row(format!(
                    "row {first} says something else of grant `{key}`: leave one of them out"
                ))),
                Some(_) => Ok(subscriber),
                None => {
                    self.seen.insert(key, (number, subscriber.clone()));
                    Ok(subscriber)
                }
            }
        });
        let row = judged.map(|subscriber| SubscriberRow {
            row: number,
            subscriber,
        });
        (number, row)
    }

    fn take(&mut self, now: Instant) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let rows: Vec<SubscriberRow> = batch.iter().map(|(row, _)| row.clone()).collect();
        let imported = if self.is_dry {
            self.engine.reader()?.preview_import(&self.import, &rows)?
        } else {
            let now = now.max(crate::run::now());
            self.engine.import(&self.import, &rows, now)?
        };
        for ((row, record), imported) in batch.iter().zip(imported) {
            self.settle(row, record, imported)?;
        }
        Ok(())
    }

    fn settle(
        &mut self,
        row: &SubscriberRow,
        record: &ByteRecord,
        imported: Imported,
    ) -> Result<(), Failure> {
        let (outcome, position) = match imported {
            Imported::Stated(receipt) if receipt.outcome == Outcome::Quarantined => {
                let refusal = receipt.refusal.as_ref().map(ToString::to_string);
                let why = format!(
                    "it is in quarantine at position {}: {}",
                    receipt.position,
                    refusal.unwrap_or_default()
                );
                return self.reject(row.row, record, Rejected::row(why));
            }
            Imported::Refused(refusal) => {
                return self.reject(row.row, record, Rejected::row(refusal.to_string()));
            }
            Imported::Stated(receipt) => (receipt.outcome, Some(receipt.position)),
            Imported::WouldBeStated => (Outcome::Applied, None),
            Imported::WouldBeDuplicate(position) => (Outcome::Duplicate, Some(position)),
        };
        if outcome == Outcome::Duplicate {
            self.duplicate += 1;
        } else {
            self.imported += 1;
        }
        let grant = row.subscriber.grant_key();
        self.tell(&RowJson {
            row: row.row,
            outcome: outcome.name(),
            position,
            grant: Some(&grant),
            column: None,
            reason: None,
        })
    }

    fn reject(&mut self, row: u64, record: &ByteRecord, rejected: Rejected) -> Result<(), Failure> {
        self.tell(&RowJson {
            row,
            outcome: "rejected",
            position: None,
            grant: None,
            column: rejected.column.as_deref(),
            reason: Some(&rejected.why),
        })?;
        self.rejects.add(row, record, rejected)
    }

    fn tell(&mut self, row: &RowJson<'_>) -> Result<(), Failure> {
        if self.run.json && !self.run.out.is_closed() {
            self.run.out.json(row)?;
        }
        Ok(())
    }

    fn show(&mut self) -> Result<(), Failure> {
        let would = if self.is_dry { "would be " } else { "" };
        self.run.out.line(format_args!(
            "{}: {} {would}imported, {} {}, {} {would}rejected",
            counted(self.rows, "row"),
            count(self.imported),
            count(self.duplicate),
            if self.duplicate == 1 {
                "duplicate"
            } else {
                "duplicates"
            },
            count(self.rejects.number)
        ))?;
        self.rejects.show(&mut self.run.out)
    }
}
