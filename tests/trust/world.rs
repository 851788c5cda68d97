//! The real engine on a real file, step by step beside the bookkeeping and the model.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tenure::domain::decision::Question;
use tenure::rusqlite::{self, Connection, types::Value};
use tenure::store::chain::Salts;
use tenure::{
    Delivery, Engine, EngineError, FileError, FileOptions, GrantId, Instant, Position, Reader,
    Receipt, RecordedEvent, Retried, Rules, Secrets, SqliteStore, SqliteStoreOptions,
    write_request,
};

use crate::agreement::as_answer;
use crate::family::Family;
use crate::follower::Follower;
use crate::ledger::{Expected, Ledger, Redriven, Sent, request};
use crate::model::Known;
use crate::seam::{SOUND, Seam, SeamReader, SeamStore, Trouble, UNANSWERED, UNDONE};
use crate::strategies::recorded;
use crate::workload::Random;

/// Something that happens, and what the clock says then.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) now: Instant,
    pub(crate) deed: Deed,
}

/// A line each, what is sent on lines of its own.
pub(crate) fn listed(steps: &[Step]) -> String {
    let listed = steps.iter().map(|step| {
        let deed = format!("{:?}", step.deed);
        format!(
            "{} {}",
            step.now,
            deed.replace(" of family ", "\n    of family ")
        )
    });
    listed.collect::<Vec<_>>().join("\n")
}

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// In one transaction. Where that fails, the sender tries again.
    Take {
        sent: Vec<Sent>,
        trouble: u8,
    },
    /// The same by another handle on the file.
    TakeBeside(Vec<Sent>),
    /// As lines of a file.
    File {
        sent: Vec<Sent>,
        is_backfill: bool,
    },
    RetryAll,
    /// One of what is in quarantine.
    Discard(usize),
    Apply(Box<Rules>),
    Rebuild,
    Reopen,
    /// The follower reads on, that many pages; killed, it has handled only a part of the last.
    Follow {
        pages: usize,
        is_killed: bool,
    },
}

/// What a world is to do wrong.
#[derive(Clone, Copy)]
pub(crate) struct Bug {
    pub(crate) seam: Seam,
    /// What befalls a transaction instead of being undone.
    pub(crate) undone: u8,
    /// The follower keeps the place of its whole page before it has handled it.
    pub(crate) is_hasty: bool,
}

pub(crate) const NO_BUG: Bug = Bug {
    seam: SOUND,
    undone: UNDONE,
    is_hasty: false,
};

/// How much is looked at when all is done.
#[derive(Clone, Copy)]
pub(crate) struct Looks {
    pub(crate) families: usize,
    pub(crate) answers: usize,
}

/// After that many steps what follows from the log is made anew and compared.
const REBUILD_AFTER: u64 = 6;

/// What was done, for the table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) deliveries: u64,
    pub(crate) appends: u64,
    pub(crate) answers: u64,
    pub(crate) failures: u64,
    pub(crate) reopenings: u64,
    pub(crate) kills: u64,
}

impl Done {
    pub(crate) const NOTHING: Self = Self {
        deliveries: 0,
        appends: 0,
        answers: 0,
        failures: 0,
        reopenings: 0,
        kills: 0,
    };

    pub(crate) fn and(self, other: &Self) -> Self {
        Self {
            deliveries: self.deliveries + other.deliveries,
            appends: self.appends + other.appends,
            answers: self.answers + other.answers,
            failures: self.failures + other.failures,
            reopenings: self.reopenings + other.reopenings,
            kills: self.kills + other.kills,
        }
    }
}

type SeamEngine = Engine<SeamStore<SqliteStore>>;

pub(crate) struct World {
    path: PathBuf,
    bug: Bug,
    engine: SeamEngine,
    trouble: Trouble,
    /// Opened at the beginning, it has to see all that is acknowledged later.
    reader: Reader<SeamReader<tenure::SqliteReader>>,
    follower: Follower,
    pub(crate) ledger: Ledger,
    remembered: Vec<(Question, String)>,
    random: Random,
    steps: u64,
    pub(crate) transcript: String,
    pub(crate) done: Done,
    // Removed last.
    _folder: TempDir,
}

impl World {
    pub(crate) fn begin(rules: &Rules, seed: u64, bug: Bug) -> Self {
        let shared = Path::new("/dev/shm");
        let folder = if shared.is_dir() {
            tempfile::tempdir_in(shared)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.unwrap();
        let path = folder.path().join("tenure.db");
        let trouble = Trouble::default();
        let mut engine = open(&path, bug.seam, &trouble);
        engine.begin_with_rules(rules).unwrap();
        Self {
            reader: engine.reader().unwrap(),
            engine,
            trouble,
            path,
            bug,
            follower: Follower::new(bug.is_hasty),
            ledger: Ledger::begin(rules),
            remembered: Vec::new(),
            random: Random::new(seed),
            steps: 0,
            transcript: String::new(),
            done: Done::default(),
            _folder: folder,
        }
    }

    pub(crate) fn step(&mut self, step: &Step) -> Result<(), String> {
        let before = self.ledger.head();
        let now = step.now;
        match &step.deed {
            Deed::Take { sent, trouble } => self.take(sent, *trouble, now)?,
            Deed::TakeBeside(sent) => {
                let mut beside = open(&self.path, self.bug.seam, &Trouble::default());
                let receipts = beside.ingest_batch(deliveries(sent), now).map_err(said)?;
                self.expect(&receipts, sent, now)?;
            }
            Deed::File { sent, is_backfill } => self.file(sent, *is_backfill, now)?,
            Deed::RetryAll => self.retry_all(now)?,
            Deed::Discard(place) => {
                let open = self.ledger.open();
                if let Some(position) = open.get(place % open.len().max(1)) {
                    self.engine
                        .discard(*position, "no use", now)
                        .map_err(said)?;
                    self.ledger.discard(*position, now);
                }
            }
            Deed::Apply(rules) => {
                self.engine.apply(rules, now, &mut |_| {}).map_err(said)?;
                self.ledger.apply(rules, now);
            }
            Deed::Rebuild => self.rebuild()?,
            Deed::Reopen => {
                self.engine = open(&self.path, self.bug.seam, &self.trouble);
                self.done.reopenings += 1;
            }
            Deed::Follow { pages, is_killed } => {
                self.done.kills += u64::from(*is_killed);
                let part = is_killed.then(|| self.random.place(4));
                self.follower.read(&mut self.reader, *pages, part)?;
            }
        }
        self.done.appends += self.ledger.head().0 - before.0;
        self.look_at_log(before)?;
        self.steps += 1;
        if self.steps.is_multiple_of(REBUILD_AFTER) {
            self.rebuild()?;
        }
        self.ask_and_remember(now)
    }

    fn take(&mut self, sent: &[Sent], trouble: u8, now: Instant) -> Result<(), String> {
        let trouble = if trouble == UNDONE {
            self.bug.undone
        } else {
            trouble
        };
        self.trouble.comes(trouble);
        let receipts = match self.engine.ingest_batch(deliveries(sent), now) {
            Ok(receipts) => receipts,
            Err(EngineError::Store(_)) if trouble != 0 => {
                self.done.failures += 1;
                if trouble == UNANSWERED {
                    // It is in, only nobody was told.
                    for it in sent {
                        self.ledger.take(it, now);
                    }
                }
                let again = self.engine.ingest_batch(deliveries(sent), now);
                again.map_err(said)?
            }
            Err(error) => return Err(said(error)),
        };
        self.expect(&receipts, sent, now)
    }

    fn expect(&mut self, receipts: &[Receipt], sent: &[Sent], now: Instant) -> Result<(), String> {
        self.done.deliveries += sent.len() as u64;
        let expected: Vec<Expected> = sent.iter().map(|it| self.ledger.take(it, now)).collect();
        let found = receipts.iter().map(|it| Expected {
            outcome: it.outcome,
            position: it.position,
            events: it.events as usize,
        });
        same("receipts", &found.collect(), &expected)?;
        writeln!(self.transcript, "{receipts:?}").unwrap();
        Ok(())
    }

    fn file(&mut self, sent: &[Sent], is_backfill: bool, now: Instant) -> Result<(), String> {
        let sent: Vec<Sent> = sent
            .iter()
            .map(|it| Sent {
                received_at: Some(it.received_at.unwrap_or(now)),
                is_backfill,
                ..it.clone()
            })
            .collect();
        let line = |it: &Sent| {
            let received_at = it.received_at.unwrap();
            write_request(&request(it), received_at, &it.source.parse().unwrap())
        };
        let file = sent.iter().map(line).collect::<Vec<_>>().join("\n");
        let options = FileOptions {
            source: None,
            backfill: is_backfill,
        };
        let mut receipts = Vec::new();
        let taken =
            self.engine
                .ingest_file(&mut file.as_bytes(), &options, &mut || now, &mut |line| {
                    receipts.push(line.receipt.clone());
                    Ok::<(), io::Error>(())
                });
        taken.map_err(|error: FileError| error.to_string())?;
        self.expect(&receipts, &sent, now)
    }

    fn retry_all(&mut self, now: Instant) -> Result<(), String> {
        for position in self.ledger.open() {
            let found = self.engine.retry(position, now).map_err(said)?;
            let expected = self.ledger.retry(position, now);
            let found = match found {
                Retried::Recorded { position, .. } => Redriven::Recorded(position),
                Retried::TakenBefore { position } => Redriven::TakenBefore(position),
                Retried::StillParked { refusal } => Redriven::StillParked(refusal.reason),
            };
            same(&format!("the retry of {position}"), &found, &expected)?;
        }
        Ok(())
    }

    /// What follows from the log is the same, byte for byte.
    fn rebuild(&mut self) -> Result<(), String> {
        let before = self.dump(&["grants", "segments", "windows", "anomalies"]);
        self.engine.rebuild(&mut |_| {}).map_err(said)?;
        let after = self.dump(&["grants", "segments", "windows", "anomalies"]);
        same("what a rebuild leaves", &after, &before)
    }

    /// Every row of the tables, as text.
    fn dump(&self, tables: &[&str]) -> Vec<String> {
        let connection = Connection::open(&self.path).unwrap();
        let mut rows = Vec::new();
        for table in tables {
            let select = format!("SELECT * FROM {table}");
            let mut statement = connection.prepare(&select).unwrap();
            let columns = statement.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                let values = (0..columns).map(|it| row.get::<_, Value>(it));
                values.collect::<Result<Vec<_>, _>>()
            };
            let read = statement.query_map([], row).unwrap();
            rows.extend(read.map(|row| format!("{table} {:?}", row.unwrap())));
        }
        rows
    }

    /// Every row of every table.
    pub(crate) fn dump_all(&self) -> Vec<String> {
        let tables: Vec<String> = {
            let connection = Connection::open(&self.path).unwrap();
            let select = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
            let mut statement = connection.prepare(select).unwrap();
            let names = statement.query_map([], |row| row.get(0)).unwrap();
            names.map(Result::unwrap).collect()
        };
        self.dump(&tables.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Positions without a gap, times that increase, every delivery accounted for, and the events as they were stated.
    fn look_at_log(&mut self, before: Position) -> Result<(), String> {
        let entries = self.reader.entries_after(before, 10_000).map_err(said)?;
        let found: Vec<_> = entries
            .iter()
            .map(|it| (it.position, it.fact.recorded_at))
            .collect();
        let times = self.ledger.times.iter().enumerate();
        let expected: Vec<_> = times
            .map(|(place, time)| (Position(place as u64 + 1), *time))
            .filter(|(position, _)| *position > before)
            .collect();
        same("positions and recorded times", &found, &expected)?;
        let mut events = Vec::new();
        for entry in entries.iter().filter(|it| it.events > 0) {
            let entry = self.reader.entry(entry.position).map_err(said)?;
            let recorded = entry.unwrap().events.into_iter();
            events.extend(recorded.map(|it| RecordedEvent {
                withdrawn_at: None,
                ..it
            }));
        }
        same("events", &events, &self.ledger.events_after(before))?;
        let figures = self.reader.statistics().map_err(said)?;
        let sum = figures.applied + figures.duplicate + figures.ignored + figures.quarantined;
        let ledger = &self.ledger;
        same(
            "received and accounted for",
            &(figures.received, sum),
            &(ledger.received, ledger.received),
        )?;
        let found = (
            figures.entries,
            figures.events,
            figures.applied,
            figures.ignored,
        );
        let expected = (
            ledger.head().0,
            ledger.count_events(),
            ledger.applied,
            ledger.ignored,
        );
        same("entries, events, applied, ignored", &found, &expected)?;
        same("parked", &figures.parked, &(ledger.open().len() as u64))
    }

    fn ask_and_remember(&mut self, now: Instant) -> Result<(), String> {
        let family = self.random.place(1_000);
        let Some(family) = Family::of(&self.ledger, family) else {
            return Ok(());
        };
        let model = family.model(&self.ledger);
        let known = model.known(None);
        for _ in 0..2 {
            let mut question = family.question(&mut self.random, now);
            let decision = self.reader.check(&question).map_err(said)?;
            let Question {
                user, resource, at, ..
            } = &question;
            let expected = known.has_access(user, resource, *at);
            let found = decision.verdict.is_allowed();
            same(&format!("access by {question:?}"), &found, &expected)?;
            same(
                "the position of a decision",
                &decision.position,
                &self.ledger.head(),
            )?;
            writeln!(self.transcript, "{decision:?}").unwrap();
            question.as_of = Some(self.ledger.last_recorded());
            let answer = self.reader.check(&question).map_err(said)?;
            self.remembered.push((question, format!("{answer:?}")));
            self.done.answers += 2;
        }
        Ok(())
    }

    /// All is done: everything is looked at once more, by a handle opened just now.
    pub(crate) fn end(&mut self, looks: Looks) -> Result<(), String> {
        self.engine = open(&self.path, self.bug.seam, &self.trouble);
        self.rebuild()?;
        let mut reader = self.engine.reader().map_err(said)?;
        let verified = reader.verify(&mut |_| {}).map_err(said)?;
        same("what verify finds", &verified.fault, &None)?;
        let found = recorded(&self.engine);
        same("all events", &found.events, &self.ledger.events_of(None))?;
        for (question, answer) in &self.remembered {
            let again = format!("{:?}", reader.check(question).map_err(said)?);
            same(
                &format!("the answer as of then to {question:?}"),
                &again,
                answer,
            )?;
        }
        let mut families: BTreeMap<usize, Family> = BTreeMap::new();
        for _ in 0..looks.families {
            let family = self.random.place(1_000);
            if let Some(family) = Family::of(&self.ledger, family) {
                families.insert(family.number, family);
            }
        }
        for family in families.values() {
            let model = family.model(&self.ledger);
            let known = model.known(None);
            self.windows_agree(&mut reader, family, &known)?;
            for _ in 0..looks.answers {
                let mut question = family.question(&mut self.random, self.ledger.last_recorded().0);
                let times = &self.ledger.times;
                let as_of = times[self.random.place(times.len())];
                question.as_of = (self.random.below(3) == 0).then_some(as_of);
                let decision = reader.check(&question).map_err(said)?;
                let Question {
                    user,
                    resource,
                    at,
                    as_of,
                } = &question;
                let expected = match as_of {
                    None => known.answer(user, resource, *at),
                    Some(_) => model.answer(user, resource, *at, *as_of),
                };
                same(
                    &format!("the answer to {question:?}"),
                    &as_answer(&decision),
                    &expected,
                )?;
                self.done.answers += 1;
            }
        }
        Ok(())
    }

    fn windows_agree(
        &self,
        reader: &mut Reader<SeamReader<tenure::SqliteReader>>,
        family: &Family,
        known: &Known<'_>,
    ) -> Result<(), String> {
        let all = known.windows_of_all();
        for user in &family.users {
            let windows = reader.windows(user, None).map_err(said)?;
            let mut found: Vec<_> = windows
                .into_iter()
                .filter(|it| it.user == *user)
                .map(|it| {
                    let (source, key) = (it.source, it.grant);
                    (GrantId { source, key }, it.product, it.start, it.end)
                })
                .collect();
            found.sort_by_key(|(grant, _, start, _)| (*start, grant.clone()));
            let own = all.iter().filter(|(holder, ..)| holder == user);
            let own = own.map(|(_, grant, product, start, end)| {
                (grant.clone(), product.clone(), *start, *end)
            });
            same(&format!("the windows of {user}"), &found, &own.collect())?;
        }
        Ok(())
    }

    /// The follower comes to the end: what it was told is what is so.
    pub(crate) fn follower_ends(&mut self) -> Result<(), String> {
        self.follower.read(&mut self.reader, usize::MAX, None)?;
        let mut expected = std::collections::BTreeSet::new();
        for number in 0..64 {
            if let Some(family) = Family::exactly(&self.ledger, number) {
                expected.extend(family.turns(&self.ledger));
            }
        }
        same("what the follower holds", self.follower.told(), &expected)
    }
}

fn open(path: &Path, seam: Seam, trouble: &Trouble) -> SeamEngine {
    let options = SqliteStoreOptions {
        salts: Some(Salts::from_seed([7; 32])),
        ..SqliteStoreOptions::default()
    };
    let store = SeamStore {
        store: SqliteStore::create_or_open(path, options).unwrap(),
        seam,
        trouble: trouble.clone(),
    };
    Engine::new(store, Secrets::default()).unwrap()
}

fn deliveries(sent: &[Sent]) -> Vec<Delivery> {
    let delivery = |it: &Sent| {
        let delivery = Delivery::trusted(it.source.parse().unwrap(), request(it));
        let delivery = delivery.received_at(it.received_at);
        if it.is_backfill {
            delivery.claiming_recorded_time()
        } else {
            delivery
        }
    };
    sent.iter().map(delivery).collect()
}

pub(crate) fn said(error: EngineError) -> String {
    format!("the engine failed: {error}")
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}
