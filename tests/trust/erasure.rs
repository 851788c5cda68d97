//! An erasure keeps every answer and the chain, and leaves no byte of the id in any file.

use serde_json::{Value, json};
use tempfile::TempDir;
use tenure::provider::Particulars;
use tenure::rusqlite::Connection;
use tenure::store::chain::Salts;
use tenure::{
    Delivery, Engine, Erased, ErasureGrounds, Instant, PROVIDERS, Position, Question, Request,
    Rules, Secret, Secrets, SourceName, SqliteStore, SqliteStoreOptions, UserId, Verified,
    decision_json,
};

use crate::harness::{Extent, Harness, Report, caught};
use crate::steps::fast_folder;
use crate::strategies::{DAYS, PRODUCTS, at, questions, recorded};

pub(crate) const HARNESS: Harness = Harness {
    name: "erasure",
    guarantee: "an erasure keeps all answers and the chain, and leaves no byte of the id in a file",
    not_covered: "ids of less than five bytes, ids within longer words, base64 within a body, \
                  what a file system keeps of freed blocks",
    run,
};

const KEY: &[u8] = b"a key of more than thirty-two bytes, made up";

/// What is done wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// The file is not rewritten after the transaction.
    NotWiped,
    /// What one delivery held is put back.
    BodyLeft,
    /// A redacted event says something else.
    EventChanged,
    /// An erased entry is said to be whole.
    MarkRemoved,
}

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    for number in 0..extent.cases(220) {
        match caught(|| Case::new(extent.seed, number).hold(Bug::None)) {
            Ok(held) => {
                report.tried(1, "databases");
                report.tried(held.answers, "answers");
                report.tried(held.redacted, "entries erased");
                report.tried(held.bytes / 1_000, "kB searched");
                report.done(held.unkept, "orders no pseudonym keeps");
            }
            Err(message) => {
                let seed = extent.seed;
                report
                    .violations
                    .push(format!("seed {seed}, database {number}: {message}"));
            }
        }
    }
    report.at_least(200, "databases");
    report.at_least(10_000, "answers");
    for (bug, said) in [
        (Bug::NotWiped, "the file is not rewritten"),
        (Bug::BodyLeft, "a body is left"),
        (Bug::EventChanged, "an event is altered"),
        (Bug::MarkRemoved, "the mark of an erased entry is removed"),
    ] {
        report.plant(said, 20, |number| {
            Case::new(extent.seed, number).hold(bug).map(|_| ())
        });
    }
    report
}

/// What a case that held had tried.
struct Held {
    answers: u64,
    redacted: u64,
    bytes: u64,
    unkept: u64,
}

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(most).unwrap()).unwrap()
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn day(&mut self) -> Instant {
        at(DAYS[self.below(DAYS.len())])
    }
}

/// A database in a folder of its own, and three people in it.
struct Case {
    folder: TempDir,
    engine: Engine<SqliteStore>,
    dice: Dice,
    people: [String; 3],
    prefix: &'static str,
    now: Instant,
}

impl Case {
    fn new(seed: u64, number: u64) -> Self {
        let mut dice = Dice(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let prefix = *dice.one(&["", "app-"]);
        let folder = fast_folder();
        let options = SqliteStoreOptions {
            salts: Some(Salts::from_seed([7; 32])),
            ..SqliteStoreOptions::default()
        };
        let path = folder.path().join("tenure.db");
        let store = SqliteStore::create_or_open(&path, options).unwrap();
        let secrets = Secrets::default().with(app(), Secret::new(KEY.to_vec()).unwrap());
        let mut engine = Engine::new(store, secrets).unwrap();
        engine.begin_with_rules(&rules(prefix)).unwrap();
        let people = [0, 1, 2].map(|which| person(&mut dice, which));
        let mut case = Self {
            folder,
            engine,
            dice,
            people,
            prefix,
            now: at("2024-03-15T00:00:00Z"),
        };
        for number in 0..6 + case.dice.below(24) {
            case.tell(number);
        }
        case
    }

    fn tell(&mut self, number: usize) {
        self.now = self.now.next().next();
        let (source, request) = match self.dice.below(8) {
            0 | 1 => (app(), self.packet(number)),
            2 => (crm(), self.unreadable(number)),
            3 => (
                "staff".parse().unwrap(),
                self.statement(number, Some("crm")),
            ),
            _ => (crm(), self.statement(number, None)),
        };
        let delivery = Delivery::trusted(source, request);
        self.engine.ingest(delivery, self.now).unwrap();
    }

    /// An encrypted packet of the app, whose users go by its prefix.
    fn packet(&mut self, number: usize) -> Request {
        let provider = PROVIDERS.iter().find(|it| it.name() == "piano").unwrap();
        let person = self.dice.one(&self.people).clone();
        let time = self.dice.day();
        let particulars = Particulars {
            id: format!("p{number}"),
            user: person.parse().unwrap(),
            product: self.dice.one(&PRODUCTS).parse().unwrap(),
            grant: format!("{person}:{}", self.dice.below(2)).parse().unwrap(),
            at: time,
            until: at("2025-02-28T00:00:00Z"),
            tenant: None,
        };
        let kind = *self.dice.one(provider.kinds());
        let text = provider.example(kind, &particulars).unwrap();
        let secret = Secret::new(KEY.to_vec());
        provider
            .seal(text.as_bytes(), secret.as_ref(), time)
            .unwrap()
    }

    /// What cannot be decoded, or means nothing, with an id written in one of many ways.
    fn unreadable(&mut self, number: usize) -> Request {
        let person = self.dice.one(&self.people).clone();
        let escaped: String = person
            .encode_utf16()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect();
        let percent: String = person.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let within = json!(json!({"user": person}).to_string()).to_string();
        let seen = json!({"specversion": "1.0", "id": format!("s{number}"), "source": "shop",
            "type": "com.example.seen", "time": "2024-01-01T00:00:00Z", "data": {"by": person}});
        let bodies = [
            format!("cut off: {{\"user\":{}", json!(person)),
            format!("{{\"specversion\":\"1.0\",\"user\":\"{escaped}\",\"n\":{number}}}"),
            format!("a form: user={percent}&n={number}"),
            format!("{{\"data\":{within},\"n\":{number}}}"),
            seen.to_string(),
        ];
        let body = self.dice.one(&bodies).clone().into_bytes();
        let query = (self.dice.below(4) == 0).then(|| format!("who={percent}"));
        Request {
            body,
            query,
            ..Request::default()
        }
    }

    /// A statement, with ids in keys now and then. `of`: about grants of another source.
    fn statement(&mut self, number: usize, of: Option<&str>) -> Request {
        let person = self.dice.one(&self.people).clone();
        let other = self.dice.one(&self.people).clone();
        let id = match self.dice.below(3) {
            0 => format!("{person}#{number}"),
            _ => format!("e{number}"),
        };
        let grant = match self.dice.below(3) {
            0 => format!("g{}", self.dice.below(2)),
            _ => format!("{person}/{}", self.dice.below(2)),
        };
        let until = json!(self.dice.day());
        let product = *self.dice.one(&PRODUCTS);
        let full = json!({"grant": grant, "product": product, "until": until, "period": "P1M",
            "period_key": format!("bill of {person}")});
        let (kind, data) = match self.dice.below(14) {
            0..=4 => ("granted", full),
            5 => (
                "renewed",
                json!({"grant": grant, "period_key": format!("{number}")}),
            ),
            6 => ("revoked", json!({"grant": grant})),
            7 => (
                "suspended",
                json!({"grant": grant, "by": format!("by {person}")}),
            ),
            8 => (
                "resumed",
                json!({"grant": grant, "by": format!("by {person}")}),
            ),
            9 => ("suspended", json!({})),
            10 => ("resumed", json!({})),
            11 => ("linked", json!({"alias": other})),
            12 => ("transferred", json!({"grant": grant, "user": other})),
            _ => {
                let before = self.dice.below(number + 1);
                ("withdrawn", json!({"id": format!("shop e{before}")}))
            }
        };
        let mut body = json!({"specversion": "1.0", "id": id, "source": "shop",
            "type": format!("tenure.{kind}"), "time": self.dice.day(), "data": data});
        if kind != "withdrawn" {
            body["subject"] = json!(person);
        }
        if let (Some(of), false) = (of, kind == "linked") {
            let name = if kind == "withdrawn" {
                "id_source"
            } else {
                "grant_source"
            };
            body["data"][name] = json!(of);
        }
        Request {
            body: body.to_string().into_bytes(),
            ..Request::default()
        }
    }

    /// Erases the first of the people, by an id that is the source's own or bears the prefix, and looks at all that must hold.
    fn hold(mut self, bug: Bug) -> Result<Held, String> {
        let name = format!("{}{}", self.prefix, self.people[0]);
        // The same person without the prefix is another id, and goes too: else its bytes would be those looked for. After
        // it, for the app writes the one in keys of the other's grants.
        let mut users = vec![name, self.people[0].clone()];
        users.dedup();
        let (mut answers, mut redacted, mut unkept) = (0, 0, 0);
        for user in &users {
            let user: UserId = user.parse().unwrap();
            let asked = self.asked();
            let before = self.said(&asked);
            let Some(erased) = self.erase(&user)? else {
                continue;
            };
            self.plant(bug, &erased);
            redacted += u64::try_from(erased.plan.entries.len()).unwrap();
            if !erased.keeps_order {
                unkept += 1;
                continue;
            }
            let renamed: Vec<Question> = asked
                .iter()
                .map(|question| {
                    let mut question = question.clone();
                    if question.user == user {
                        question.user = erased.pseudonym.clone();
                    }
                    question
                })
                .collect();
            let after = self.said(&renamed);
            answers += u64::try_from(before.len()).unwrap();
            for ((before, after), question) in before.iter().zip(&after).zip(&asked) {
                if before != after {
                    return Err(format!("{question:?}\n  was {before}\n  is  {after}"));
                }
            }
        }
        if bug != Bug::NotWiped {
            self.engine
                .wipe_erased()
                .map_err(|error| error.to_string())?;
        }
        let bytes = self.search()?;
        let verified = self.engine.reader().unwrap().verify(&mut |_| {}).unwrap();
        if let Some(fault) = verified.fault {
            return Err(fault.to_string());
        }
        Ok(Held {
            answers,
            redacted,
            bytes,
            unkept,
        })
    }

    fn erase(&mut self, user: &UserId) -> Result<Option<Erased>, String> {
        let plan = self.engine.plan_erasure(user, &mut |_| {}).unwrap();
        if plan.left > 0 || plan.unopened > 0 {
            return Err(format!("something would be left: {plan:?}"));
        }
        self.now = self.now.next().next();
        let grounds = ErasureGrounds::new("anna", Some("on request")).unwrap();
        let erased = self.engine.erase(plan, &grounds, self.now, &mut |_| {});
        Ok(erased.unwrap())
    }

    fn plant(&mut self, bug: Bug, erased: &Erased) {
        let Some(first) = erased.plan.entries.first() else {
            return;
        };
        let raw = Connection::open(self.folder.path().join("tenure.db")).unwrap();
        let free = "DROP TRIGGER deliveries_never_change; DROP TRIGGER events_never_change; \
                    DROP TRIGGER erased_never_go;";
        let edit = match bug {
            Bug::None | Bug::NotWiped => return,
            Bug::BodyLeft => format!(
                "UPDATE deliveries SET body = CAST('{}' AS BLOB) WHERE position = {first}",
                self.people[0].replace('\'', "")
            ),
            Bug::EventChanged => format!(
                "UPDATE events SET product = 'other', effective_at = effective_at + 1 \
                 WHERE position IN (SELECT position FROM erased WHERE erased_by = {})",
                erased.position
            ),
            Bug::MarkRemoved => format!("DELETE FROM erased WHERE position = {first}"),
        };
        raw.execute_batch(free).unwrap_or_default();
        raw.execute_batch(&edit).unwrap();
        drop(raw);
        self.engine.rebuild(&mut |_| {}).unwrap();
    }

    fn asked(&self) -> Vec<Question> {
        let times = recorded(&self.engine).times;
        let as_of = times.iter().step_by(3).copied().map(Some).chain([None]);
        let mut asked = Vec::new();
        for as_of in as_of {
            let all = questions(&self.engine, as_of);
            let step = all.len().div_ceil(24).max(1) | 1;
            asked.extend(all.into_iter().step_by(step));
        }
        asked
    }

    /// What the answers say, apart from names and how far the log has come.
    fn said(&self, asked: &[Question]) -> Vec<Value> {
        let decisions = self.engine.reader().unwrap().check_batch(asked).unwrap();
        let said = decisions.iter().map(|decision| {
            let mut said: Value = serde_json::from_str(&decision_json(decision)).unwrap();
            for name in ["user", "grant", "position"] {
                said.as_object_mut().unwrap().remove(name);
            }
            said
        });
        said.collect()
    }

    /// Looks through every file, a new backup and a new export, and what encrypted packets hold. Gives the bytes it saw.
    fn search(&mut self) -> Result<u64, String> {
        let wanted = spellings(&self.people[0]);
        let copy = self.folder.path().join("backup.db");
        self.engine
            .reader()
            .unwrap()
            .store()
            .backup(&copy, &mut |_, _| {})
            .unwrap();
        let mut reader = self.engine.reader().unwrap();
        let mut export = reader.export().unwrap();
        let mut texts = vec![("the export".to_owned(), Vec::new())];
        while let Some(lines) = reader.export_lines(&mut export, 100).unwrap() {
            for line in lines {
                texts[0].1.extend(line.text.into_bytes());
            }
        }
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = file.unwrap().path();
            texts.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
        for entry in reader.entries_after(Position::default(), 1_000).unwrap() {
            let request = Request {
                body: entry.fact.body,
                query: entry.fact.query,
                ..Request::default()
            };
            let provider = PROVIDERS.iter().find(|it| it.name() == "piano").unwrap();
            let secret = Secret::new(KEY.to_vec());
            if let Ok(opened) = Verified::trusted(*provider, request, secret.as_ref()) {
                texts.push((
                    format!("position {}", entry.position),
                    opened.text().to_vec(),
                ));
            }
        }
        let mut searched = 0;
        for (place, text) in texts {
            searched += u64::try_from(text.len()).unwrap();
            let text = text.to_ascii_lowercase();
            for spelling in &wanted {
                if text
                    .windows(spelling.len())
                    .any(|it| it == spelling.as_bytes())
                {
                    return Err(format!("`{spelling}` is left in {place}"));
                }
            }
        }
        Ok(searched)
    }
}

/// An id as it may stand in bytes, in lower case.
fn spellings(id: &str) -> Vec<String> {
    let escaped = id.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    let percent = id.bytes().map(|byte| format!("%{byte:02x}"));
    let quoted = json!(id).to_string();
    let all = [
        id.to_owned(),
        quoted.trim_matches('"').to_owned(),
        escaped.collect(),
        percent.collect(),
    ];
    all.map(|text: String| text.to_ascii_lowercase()).to_vec()
}

/// A form no other id has, and no other text.
fn person(dice: &mut Dice, which: usize) -> String {
    let number = dice.next() % 1_000_000;
    match dice.below(4) {
        0 => format!("reader-{which}-{number:06}"),
        1 => format!("{number:08x}-0000-4000-8000-00000000000{which}"),
        2 => format!("jürgen.{which}.{number:06}@example.com"),
        _ => format!("a \"name\" \\ {which} of {number:06}"),
    }
}

fn rules(prefix: &str) -> Rules {
    let rules = json!({"sources": {
        "crm": {"provider": "cloudevents"},
        "app": {"provider": "piano", "user_prefix": prefix, "policy": {"absent_expires": "unlimited"}},
    }, "products": {"pro": {"includes": ["news/*", "basic"]}}});
    serde_json::from_value(rules).unwrap()
}

fn crm() -> SourceName {
    "crm".parse().unwrap()
}

fn app() -> SourceName {
    "app".parse().unwrap()
}
