//! Scripts of what an engine on a file is asked to do, each step with the log that has to be there after it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use tenure::rusqlite::Connection;
use tenure::store::EntryKind;
use tenure::store::chain::Salts;
use tenure::{
    Delivery, Engine, EngineError, Hash, Instant, Position, Reader, Request, Rules, Secrets,
    SqliteStore, SqliteStoreOptions, Store as _, StoreReader,
};

/// Random numbers that the seed alone decides.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Of one case among many of the same seed.
    pub(crate) fn of(seed: u64, case: u64) -> Self {
        let mut dice = Self(seed ^ case.wrapping_mul(0xA076_1D64_78BD_642F));
        dice.next();
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// Whether something happens that happens so many times in a hundred.
    pub(crate) fn percent(&mut self, often: usize) -> bool {
        self.below(100) < often
    }
}

/// One thing that is asked of the engine.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Deliveries of one source, in one transaction.
    Take(&'static str, Vec<String>),
    Apply(Box<Rules>),
    Retry(Position),
    Discard(Position),
    Rebuild,
    /// The content of the write-ahead log is moved into the file, in that mode.
    Checkpoint(&'static str),
    /// The file is closed and opened again.
    Reopen,
}

/// An entry of the log as it has to be: its kind, its body, how often it came again.
pub(crate) type Told = (EntryKind, Vec<u8>, u64);

/// Steps, and the log before the first and after each.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    pub(crate) logs: Vec<Vec<Told>>,
}

/// A source whose readers have names that are too long under the first rules: all its deliveries are parked.
const PARKED: &str = "shop";

impl Script {
    /// Rules, then so many steps.
    pub(crate) fn random(dice: &mut Dice, length: usize) -> Self {
        let mut writing = Writing::new();
        while writing.script.steps.len() < length {
            writing.one_more(dice);
        }
        writing.script
    }

    /// Steps on a file of the first schema, whose log is this one.
    pub(crate) fn after(log: Vec<Told>, dice: &mut Dice, length: usize) -> Self {
        let mut writing = Writing::on(log);
        while writing.script.steps.len() < length {
            match dice.below(8) {
                0 => writing.same(Step::Rebuild),
                1 => writing.same(Step::Checkpoint("PASSIVE")),
                2 => writing.same(Step::Reopen),
                number => writing.take_from(dice, "staff", number - 2),
            }
        }
        writing.script
    }

    /// Every kind of step at least once, the two that nothing is acknowledged of left out.
    pub(crate) fn of_each_kind(dice: &mut Dice) -> Self {
        let mut writing = Writing::new();
        writing.take_from(dice, "crm", 4);
        writing.take_from(dice, PARKED, 3);
        writing.take_from(dice, "crm", 1);
        writing.discard(dice);
        writing.take_from(dice, "crm", 12);
        writing.mend();
        writing.retry(dice);
        writing.same(Step::Rebuild);
        writing.take_from(dice, "crm", 1);
        writing.retry(dice);
        writing.script
    }

    /// The number of steps after which the log is this one, if it is between these two.
    pub(crate) fn place_of(&self, log: &[Told], least: usize, most: usize) -> Option<usize> {
        (least..=most)
            .rev()
            .find(|steps| self.logs.get(*steps).is_some_and(|it| it == log))
    }
}

struct Writing {
    script: Script,
    sent: Vec<(&'static str, String, Position)>,
    parked: Vec<Position>,
    is_mended: bool,
}

impl Writing {
    fn new() -> Self {
        let mut writing = Self::on(Vec::new());
        writing.apply(rules(250));
        writing
    }

    fn on(log: Vec<Told>) -> Self {
        Self {
            script: Script {
                steps: Vec::new(),
                logs: vec![log],
            },
            sent: Vec::new(),
            parked: Vec::new(),
            is_mended: false,
        }
    }

    fn one_more(&mut self, dice: &mut Dice) {
        match dice.below(20) {
            0 => self.same(Step::Rebuild),
            1 => self.same(Step::Checkpoint("PASSIVE")),
            2 => self.same(Step::Checkpoint("TRUNCATE")),
            3 => self.same(Step::Reopen),
            4 if !self.is_mended && !self.parked.is_empty() => self.mend(),
            5 | 6 if self.is_mended && !self.parked.is_empty() => self.retry(dice),
            7 if !self.parked.is_empty() => self.discard(dice),
            kind => {
                let number = if kind < 13 { 1 } else { 2 + dice.below(5) };
                let to_park = !self.is_mended && dice.percent(20);
                self.take_from(dice, if to_park { PARKED } else { "crm" }, number);
            }
        }
    }

    /// Rules under which what was parked can be taken.
    fn mend(&mut self) {
        self.is_mended = true;
        self.apply(rules(2));
    }

    fn retry(&mut self, dice: &mut Dice) {
        let position = self.parked.swap_remove(dice.below(self.parked.len()));
        self.entry(Step::Retry(position), EntryKind::Retry, Vec::new());
    }

    fn discard(&mut self, dice: &mut Dice) {
        let position = self.parked.swap_remove(dice.below(self.parked.len()));
        let why = DISCARDED.as_bytes().to_vec();
        self.entry(Step::Discard(position), EntryKind::Discard, why);
    }

    /// A step that leaves the log as it is.
    fn same(&mut self, step: Step) {
        let log = self.script.logs.last().unwrap().clone();
        self.script.steps.push(step);
        self.script.logs.push(log);
    }

    fn entry(&mut self, step: Step, kind: EntryKind, body: Vec<u8>) {
        self.same(step);
        let log = self.script.logs.last_mut().unwrap();
        log.push((kind, body, 0));
    }

    fn apply(&mut self, rules: Rules) {
        let body = serde_json::to_vec(&rules).unwrap();
        self.entry(Step::Apply(Box::new(rules)), EntryKind::Rules, body);
    }

    fn take_from(&mut self, dice: &mut Dice, source: &'static str, number: usize) {
        let to_park = source == PARKED;
        self.same(Step::Take(source, Vec::new()));
        let log = self.script.logs.last_mut().unwrap();
        let mut bodies = Vec::new();
        for _ in 0..number {
            let again = self.sent.iter().filter(|sent| sent.0 == source);
            let again: Vec<_> = again.collect();
            if !again.is_empty() && !to_park && dice.percent(15) {
                let (_, body, position) = again[dice.below(again.len())];
                log[usize::try_from(position.0).unwrap() - 1].2 += 1;
                bodies.push(body.clone());
                continue;
            }
            let id = self.sent.len();
            let body = body(dice, source, id);
            log.push((EntryKind::Delivery, body.clone().into_bytes(), 0));
            let position = Position(log.len() as u64);
            if to_park {
                self.parked.push(position);
            }
            self.sent.push((source, body.clone(), position));
            bodies.push(body);
        }
        *self.script.steps.last_mut().unwrap() = Step::Take(source, bodies);
    }
}

const DISCARDED: &str = "a test of the sender";

/// Rules under which the ids of one source are so much longer.
fn rules(prefix: usize) -> Rules {
    let grace = if prefix > 6 { "P3D" } else { "P5D" };
    serde_json::from_value(json!({
        "sources": {
            "crm": {"provider": "cloudevents", "policy": {"payment_failed_grace": grace}},
            PARKED: {"provider": "cloudevents", "user_prefix": "x".repeat(prefix)},
        },
        "products": {"pro": {"includes": ["archive", "news/*"]}},
    }))
    .unwrap()
}

const VERBS: [&str; 10] = [
    "granted",
    "granted",
    "granted",
    "renewed",
    "payment_failed",
    "cancelled",
    "suspended",
    "resumed",
    "revoked",
    "reinstated",
];

/// A delivery of its own id: mostly of a few grants, at times one that is ignored, or a long one.
fn body(dice: &mut Dice, source: &str, id: usize) -> String {
    let day = |dice: &mut Dice| format!("2026-01-{:02}T00:00:00Z", 1 + dice.below(28));
    let user = format!("reader-{}", dice.below(4));
    let mut data = BTreeMap::new();
    data.insert("grant", json!(format!("g{}", dice.below(5))));
    let verb = VERBS[dice.below(VERBS.len())];
    if verb == "granted" {
        data.insert("product", json!("pro"));
        let until = day(dice).replace("2026-01", "2026-03");
        data.insert("until", json!(until));
        data.insert("period", json!("P1M"));
    }
    if dice.percent(10) {
        let length = dice.below(20_000);
        data.insert("note", json!("n".repeat(length)));
    }
    // What is ignored is not looked into, and so never parked.
    let kind = if source != PARKED && dice.percent(5) {
        "other.thing".to_owned()
    } else {
        format!("tenure.{verb}")
    };
    let body = json!({
        "specversion": "1.0", "id": format!("e{id}"), "source": source, "type": kind,
        "time": day(dice), "subject": user, "data": data,
    });
    body.to_string()
}

/// In memory, where there is such a folder: what is lost is decided by the harness, not by this machine's disk.
pub(crate) fn fast_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        return tempfile::tempdir_in(memory).unwrap();
    }
    tempfile::tempdir().unwrap()
}

/// Makes a file as the first schema's program left it. Gives its log.
pub(crate) fn lay_older(path: &Path) -> Vec<Told> {
    let raw = Connection::open(path).unwrap();
    raw.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    let text = include_str!("../store_contract/schema_1.sql");
    raw.execute_batch(text).unwrap();
    let sql = "SELECT kind, body, coalesce(count, 0) FROM deliveries
               LEFT JOIN repetitions USING (position) ORDER BY position";
    let mut statement = raw.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let told = rows.unwrap().map(|row| {
        let (kind, body, count): (String, Vec<u8>, u32) = row.unwrap();
        let kind = serde_json::from_value(json!(kind)).unwrap();
        (kind, body, u64::from(count))
    });
    told.collect()
}

/// An engine on a file that goes through a script.
pub(crate) struct Going {
    path: PathBuf,
    engine: Option<Engine<SqliteStore>>,
}

/// Salts from a seed, so that the same steps leave the same bytes; nobody else is waited for.
pub(crate) fn options() -> SqliteStoreOptions {
    SqliteStoreOptions {
        salts: Some(Salts::from_seed([7; 32])),
        busy_timeout: std::time::Duration::ZERO,
    }
}

fn opened(path: &Path) -> Result<Engine<SqliteStore>, EngineError> {
    let store = SqliteStore::create_or_open(path, options())?;
    Engine::new(store, Secrets::default())
}

impl Going {
    /// On a file that is opened when it is needed.
    pub(crate) fn on(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            engine: None,
        }
    }

    pub(crate) fn open(path: &Path) -> Result<Self, EngineError> {
        let mut going = Self::on(path);
        going.engine()?;
        Ok(going)
    }

    pub(crate) fn backup(&mut self, to: &Path) -> Result<(), EngineError> {
        let mut reader = self.engine()?.store().reader()?;
        Ok(reader.backup(to, &mut |_, _| {})?)
    }

    pub(crate) fn engine(&mut self) -> Result<&mut Engine<SqliteStore>, EngineError> {
        if self.engine.is_none() {
            self.engine = Some(opened(&self.path)?);
        }
        Ok(self.engine.as_mut().unwrap())
    }

    /// Takes a step, as the `number`th. Nothing is acknowledged unless it gives `Ok`.
    pub(crate) fn step(&mut self, step: &Step, number: usize) -> Result<(), EngineError> {
        let now = now(number);
        match step {
            Step::Take(source, bodies) => {
                let deliveries = bodies.iter().map(|body| delivery(source, body));
                let deliveries = deliveries.collect();
                self.engine()?.ingest_batch(deliveries, now).map(|_| ())
            }
            Step::Apply(rules) => {
                let engine = self.engine()?;
                engine.apply(rules, now, &mut |_| {}).map(|_| ())
            }
            Step::Retry(position) => settled(self.engine()?.retry(*position, now).map(|_| ())),
            Step::Discard(position) => {
                let engine = self.engine()?;
                settled(engine.discard(*position, DISCARDED, now).map(|_| ()))
            }
            Step::Rebuild => self.engine()?.rebuild(&mut |_| {}).map(|_| ()),
            Step::Checkpoint(mode) => {
                // Not the engine's to promise anything of: whether it succeeds is all the same.
                let _done = Connection::open(&self.path)
                    .and_then(|raw| raw.execute_batch(&format!("PRAGMA wal_checkpoint({mode})")));
                Ok(())
            }
            Step::Reopen => {
                self.engine = None;
                self.engine().map(|_| ())
            }
        }
    }
}

/// It is settled already if an earlier try, which ended in an error, went through all the same.
fn settled(done: Result<(), EngineError>) -> Result<(), EngineError> {
    match done {
        Err(EngineError::NotParked(_)) => Ok(()),
        done => done,
    }
}

fn now(number: usize) -> Instant {
    let second = i64::try_from(number).unwrap() * 1_000_000;
    Instant::from_micros(1_770_000_000_000_000 + second).unwrap()
}

pub(crate) fn delivery(source: &str, body: &str) -> Delivery {
    let request = Request {
        body: body.as_bytes().to_vec(),
        ..Request::default()
    };
    Delivery::trusted(source.parse().unwrap(), request)
}

/// The log without how often each entry came again: a try that ended in an error may have gone through, and then counts.
pub(crate) fn without_repetitions(log: &[Told]) -> Vec<Told> {
    let once = log.iter().cloned().map(|(kind, body, _)| (kind, body, 0));
    once.collect()
}

/// The log as it is and the end of its chain, if the chain is whole and the projection follows from it.
pub(crate) fn told<R: StoreReader>(reader: &mut Reader<R>) -> Result<(Vec<Told>, Hash), String> {
    let failed = |error: EngineError| format!("it cannot be read: {error}");
    let entries = reader.entries_after(Position(0), usize::MAX);
    let entries = entries.map_err(failed)?;
    let found = reader.verify(&mut |_| {}).map_err(failed)?;
    if let Some(fault) = found.fault {
        return Err(format!("verify finds a fault: {fault}"));
    }
    let told = entries
        .into_iter()
        .map(|entry| (entry.fact.kind, entry.fact.body, entry.repetitions));
    Ok((told.collect(), found.head.hash))
}

/// A log in a few words, for a message.
pub(crate) fn in_short(log: &[Told]) -> String {
    let repeated: u64 = log.iter().map(|it| it.2).sum();
    format!("{} entries, {repeated} repetitions", log.len())
}
