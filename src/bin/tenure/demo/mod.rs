//! `demo`: deliveries of four systems and of staff go in, and the questions a paywall and its support ask are answered.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use tenure::{
    Engine, EntryFilter, FileOptions, Instant, Question, Reader, RecordedAt, Secret, Secrets,
    SqliteReader, SqliteStore, SqliteStoreOptions, read_line,
};

use crate::config::Config;
use crate::failure::{Ending, Failure};
use crate::output::{Ink, Table, safe};
use crate::run::{Run, id};
use crate::{ask, explain, quarantine, record, timeline};

/// What four systems sent, and staff said, between January and April 2026: encrypted packets of one, plain facts of the
/// others.
const DELIVERIES: &[u8] = include_bytes!("deliveries.jsonl");
const RULES: &str = include_str!("tenure.toml");
/// What the packets are encrypted with. It is public: never use it for anything else.
const KEY: &str = include_str!("key.txt");
/// When the demo takes place, so that it reads the same on every day.
const NOW: &str = "2026-04-10T00:00:00Z";

/// A database that is removed when the demo ends.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("tenure-demo-{}", std::process::id()));
        // Fails if somebody else made it, and so never writes where somebody else leads it.
        std::fs::create_dir(&folder).map_err(|error| Failure::unwritable(&folder, &error))?;
        Ok(Self(folder))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What is left then is a small folder among the temporary ones.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn demo(run: &mut Run, keeps: bool) -> Result<Ending, Failure> {
    let temporary = if keeps { None } else { Some(Temporary::new()?) };
    if let Some(Temporary(folder)) = &temporary {
        run.db = folder.join("tenure.db");
    } else if run.db.exists() {
        let db = run.db.display();
        let message = format!(
            "`{db}` exists already: the demo makes its own database, name a new file with --db"
        );
        return Err(Failure::Usage(message));
    }
    let config = Config::parse(RULES, Path::new("demo/tenure.toml"))?;
    let secrets = config
        .rules
        .sources
        .keys()
        .fold(Secrets::default(), |secrets, source| {
            let secret = Secret::new(KEY.trim_end());
            secret.map_or_else(
                || secrets.clone(),
                |secret| secrets.clone().with(source.clone(), secret),
            )
        });
    let store = SqliteStore::create_or_open(&run.db, SqliteStoreOptions::default())?;
    let mut engine = Engine::new(store, secrets)?;
    engine.begin_with_rules(&config.rules)?;
    Demo { run, kept: keeps }.play(&mut engine)
}

struct Demo<'a> {
    run: &'a mut Run,
    kept: bool,
}

impl Demo<'_> {
    fn play(&mut self, engine: &mut Engine<SqliteStore>) -> Result<Ending, Failure> {
        self.heading("Deliveries of four systems go in, and a word of the staff")?;
        self.ingest(engine)?;
        let mut reader = engine.reader()?;
        self.heading("A trial became a subscription. May anna read?")?;
        self.check(&mut reader, "anna", "news/today", "2026-02-10", None)?;
        self.heading("Ben's payment failed at the end of February. Why could he read on?")?;
        self.explain(&mut reader, "ben", "news/today", "2026-03-01")?;
        self.heading("A firm's licences were disabled in bulk, and all but one enabled again")?;
        self.check(&mut reader, "carl", "archive", "2026-03-01", None)?;
        self.check(&mut reader, "cora", "archive", "2026-03-01", None)?;
        self.heading("An end came before its beginning. What was known then, what is known now?")?;
        let between = Some("2026-03-20T17:00:00Z");
        self.check(&mut reader, "emil", "podcasts/1", "2026-03-10", between)?;
        self.check(&mut reader, "emil", "podcasts/1", "2026-03-10", None)?;
        self.heading("Dana went from free to plus and cancelled; a gift of the staff goes on")?;
        self.explain(&mut reader, "dana", "podcasts/1", "2026-03-10")?;
        self.heading("The same over time, and Ben's payments")?;
        self.timeline(&mut reader, "dana")?;
        self.timeline(&mut reader, "ben")?;
        self.heading("One packet was damaged on its way. It is kept whole, and can be retried")?;
        self.prompt("quarantine list")?;
        quarantine::list(self.run, &mut reader, false)?;
        self.gap()?;
        self.heading("What is in the log")?;
        self.prompt("log --user dana --limit 3")?;
        let filter = EntryFilter {
            user: Some(id("user id", "dana")?),
            ..EntryFilter::default()
        };
        let shown = record::Shown {
            limit: 3,
            keys: false,
        };
        record::entries(self.run, &mut reader, &filter, shown)?;
        self.gap()?;
        self.farewell()?;
        Ok(Ending::Done)
    }

    /// For people only: programs get one JSON value a line, and nothing else.
    fn heading(&mut self, text: &str) -> Result<(), Failure> {
        if self.run.json {
            return Ok(());
        }
        let text = self.run.out.ink(Ink::Heading, text);
        self.run.out.line(format_args!("{text}\n"))
    }

    fn gap(&mut self) -> Result<(), Failure> {
        if self.run.json {
            return Ok(());
        }
        self.run.out.line(format_args!(""))
    }

    fn prompt(&mut self, command: &str) -> Result<(), Failure> {
        if self.run.json {
            return Ok(());
        }
        let db = if self.kept {
            format!(" --db {}", self.run.db.display())
        } else {
            String::new()
        };
        let line = self
            .run
            .out
            .ink(Ink::Faint, &safe(&format!("$ tenure{db} {command}")));
        self.run.out.line(format_args!("{line}"))
    }

    fn ingest(&mut self, engine: &mut Engine<SqliteStore>) -> Result<(), Failure> {
        let options = FileOptions {
            source: None,
            backfill: true,
        };
        let now = instant(NOW)?;
        let mut lines = DELIVERIES.split(|byte| *byte == b'\n').map(read_line);
        let mut table = Table::new(&["received", "source", "event", "outcome"]);
        let taken = engine.ingest_file(
            &mut BufReader::new(DELIVERIES),
            &options,
            &mut || now,
            &mut |taken| {
                let receipt = taken.receipt;
                let line = lines.next();
                let received = line.as_ref().and_then(|line| line.received_at);
                let source = line.and_then(|line| line.source);
                let outcome = match &receipt.refusal {
                    Some(refusal) => format!("{}: {}", receipt.outcome, refusal.reason),
                    None => receipt.outcome.to_string(),
                };
                table.row([
                    received.map(|at| at.to_string()).unwrap_or_default(),
                    source.map(|source| source.to_string()).unwrap_or_default(),
                    receipt.kind.clone().unwrap_or_else(|| "-".to_owned()),
                    outcome,
                ]);
                Ok(())
            },
        );
        taken.map_err(|error| Failure::of_file(error, Path::new("deliveries.jsonl")))?;
        if self.run.json {
            return Ok(());
        }
        self.run.out.table(&table)?;
        self.gap()
    }

    fn check(
        &mut self,
        reader: &mut Reader<SqliteReader>,
        user: &str,
        resource: &str,
        at: &str,
        as_of: Option<&str>,
    ) -> Result<(), Failure> {
        let mut question = question(user, resource, at)?;
        let mut command = format!("check {user} {resource} --at {at}");
        if let Some(as_of) = as_of {
            question.as_of = Some(RecordedAt(crate::run::time(
                "--as-of",
                as_of,
                instant(NOW)?,
            )?));
            command.push_str(&format!(" --as-of {as_of}"));
        }
        let decision = reader.check(&question)?;
        if self.run.json {
            return self.run.out.json(&decision);
        }
        self.prompt(&command)?;
        ask::show(self.run, &decision)?;
        self.gap()
    }

    fn explain(
        &mut self,
        reader: &mut Reader<SqliteReader>,
        user: &str,
        resource: &str,
        at: &str,
    ) -> Result<(), Failure> {
        let explanation = reader.explain(&question(user, resource, at)?, None)?;
        if self.run.json {
            return self.run.out.json(&explanation);
        }
        self.prompt(&format!("explain {user} {resource} --at {at}"))?;
        explain::show(self.run, &explanation, instant(NOW)?)?;
        self.gap()
    }

    fn timeline(&mut self, reader: &mut Reader<SqliteReader>, user: &str) -> Result<(), Failure> {
        let timeline = reader.timeline(&id("user id", user)?, None)?;
        if self.run.json {
            return self.run.out.json(&timeline);
        }
        self.prompt(&format!("timeline {user}"))?;
        timeline::show(self.run, &timeline, instant(NOW)?)?;
        self.gap()
    }

    fn farewell(&mut self) -> Result<(), Failure> {
        if self.run.json {
            return Ok(());
        }
        self.heading("Next")?;
        let kept = self.run.db.display().to_string();
        let db = if self.kept { kept.as_str() } else { "demo.db" };
        let mut hints = Vec::new();
        if !self.kept {
            hints.push((
                format!("tenure --db {db} demo"),
                "the same, and keep the database",
            ));
        }
        hints.push((
            format!("tenure --db {db} grants anna"),
            "how her grants stood",
        ));
        hints.push((
            format!("tenure --db {db} verify"),
            "is the log what was recorded?",
        ));
        hints.push(("tenure ingest --help".to_owned(), "your own deliveries"));
        let width = hints
            .iter()
            .map(|(command, _)| command.chars().count())
            .max()
            .unwrap_or(0);
        for (command, what) in hints {
            self.run
                .out
                .line(format_args!("  {:<width$}  {what}", safe(&command)))?;
        }
        Ok(())
    }
}

fn instant(text: &str) -> Result<Instant, Failure> {
    crate::moment::fixed(text).map_err(|error| Failure::Usage(format!("`{text}`: {error}")))
}

fn question(user: &str, resource: &str, at: &str) -> Result<Question, Failure> {
    Ok(Question {
        user: id("user id", user)?,
        resource: id("resource", resource)?,
        at: instant(at)?,
        as_of: None,
    })
}
