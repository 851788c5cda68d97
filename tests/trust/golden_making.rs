//! Making a golden log: the story told to an engine, the questions, and what they are answered with.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tenure::rusqlite::Connection;
use tenure::store::chain::Salts;
use tenure::{
    Delivery, Engine, EngineError, EntryFilter, Instant, Position, Reader, RecordedAt, Request,
    Rules, Secret, Secrets, Settled, SourceName, SqliteReader, SqliteStore, SqliteStoreOptions,
    UserId, UserWindow, provider_of,
};

use crate::golden::Place;

/// What the senders and the sources share; of `app` also in `app.key`.
const SECRETS: &[(&str, &str)] = &[
    ("app", "a key of more than thirty-two bytes, made up"),
    ("shop", "a token of the shop"),
    ("wire", "a token of the wire"),
    ("club", "what the club signs with"),
    ("crm", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
];

/// What happens at an instant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    at: Instant,
    source: Option<SourceName>,
    /// A text that the source's system sends: encrypted or signed as it does.
    sent: Option<Box<RawValue>>,
    /// A body as it lay in a file: JSON, or a text.
    trusted: Option<Value>,
    rules: Option<Rules>,
    #[serde(default)]
    /// All that is parked is retried.
    retry: bool,
    /// Why the latest that is parked is discarded.
    discard: Option<String>,
}

/// Makes the folder of the newest schema, unless it is there, and that of the first, which is brought back.
pub(crate) fn make_missing(folder: &Path) {
    let story = std::fs::read_to_string(folder.join("story.jsonl")).unwrap();
    let place = Place::new();
    tell(&story, &place.db());
    let raw = Connection::open(place.db()).unwrap();
    let schema: i64 = raw
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    drop(raw);
    keep(&place, &folder.join(format!("schema_{schema}")));
    let first = folder.join("schema_1");
    if schema == 2 && !first.exists() {
        let older = Connection::open(place.db()).unwrap();
        let back = std::fs::read_to_string(folder.join("back_to_schema_1.sql")).unwrap();
        older.execute_batch(&back).unwrap();
        older
            .execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")
            .unwrap();
        drop(older);
        keep(&place, &first);
    }
}

/// Writes the folder of a log, whole or not at all.
fn keep(place: &Place, to: &Path) {
    if to.exists() {
        println!("{} is there already and stays as it is", to.display());
        return;
    }
    std::fs::create_dir(to).unwrap();
    let database = std::fs::read(place.db()).unwrap();
    // The questions are asked of a copy, for asking brings an older one up to date.
    let copy = Place::new();
    std::fs::write(copy.db(), &database).unwrap();
    let (questions, windows) = questions(&copy.db());
    let answers = copy.asked(&questions).unwrap();
    let export = copy.run(&["export"], "").unwrap();
    for (name, text) in [
        ("tenure.db", database),
        ("answers.jsonl", answers.into_bytes()),
        ("windows.jsonl", windows.into_bytes()),
        ("export.jsonl", export.into_bytes()),
    ] {
        std::fs::write(to.join(name), text).unwrap();
    }
    println!("{} is made", to.display());
}

fn tell(story: &str, database: &Path) {
    let options = SqliteStoreOptions {
        salts: Some(Salts::from_seed([7; 32])),
        ..SqliteStoreOptions::default()
    };
    let store = SqliteStore::create_or_open(database, options).unwrap();
    let secrets = SECRETS
        .iter()
        .fold(Secrets::default(), |secrets, (name, secret)| {
            secrets.with(name.parse().unwrap(), Secret::new(*secret).unwrap())
        });
    let mut engine = Engine::new(store, secrets).unwrap();
    for (line, number) in story.lines().zip(1..) {
        let step: Step =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{number}: {error}"));
        take(&mut engine, &step).unwrap_or_else(|error| panic!("line {number}: {error}"));
    }
}

fn take(engine: &mut Engine<SqliteStore>, step: &Step) -> Result<(), EngineError> {
    if let Some(rules) = &step.rules {
        engine.apply(rules, step.at, &mut |_| {})?;
    }
    let parked = engine.reader()?.parked(Position::default(), 1_000)?;
    let open = parked.iter().filter(|(it, _)| it.settled == Settled::Open);
    let mut open = open.map(|(it, _)| it.position);
    if let Some(why) = &step.discard {
        let latest = open.next_back().expect("one that is parked");
        engine.discard(latest, why, step.at)?;
    } else if step.retry {
        let mut at = step.at;
        for position in open {
            engine.retry(position, at)?;
            at = at.next();
        }
    }
    let Some(source) = &step.source else {
        return Ok(());
    };
    if let Some(text) = &step.sent {
        let provider = provider_of(&engine.rules()?, source)?;
        let secret = SECRETS.iter().find(|(name, _)| *name == source.as_str());
        let secret = secret.and_then(|(_, secret)| Secret::new(*secret));
        let request = provider.seal(text.get().as_bytes(), secret.as_ref(), step.at)?;
        let delivery = engine.verify_request(source, request, step.at)?;
        engine.ingest(delivery.received_at(Some(step.at)), step.at)?;
    }
    if let Some(body) = &step.trusted {
        let text = body.as_str().map(str::to_owned);
        let request = Request {
            body: text.unwrap_or_else(|| body.to_string()).into_bytes(),
            ..Request::default()
        };
        engine.ingest(Delivery::trusted(source.clone(), request), step.at)?;
    }
    Ok(())
}

/// Questions at every boundary of the log, as lines, and the windows that the boundaries are those of.
fn questions(database: &Path) -> (Vec<String>, String) {
    let mut reader = Reader::new(SqliteStore::open_reader(database).unwrap());
    let (mut questions, mut lists) = (Vec::new(), String::new());
    for user in users(&mut reader) {
        let known = known(&mut reader, &user);
        let mut bounds = BTreeSet::new();
        let mut products = BTreeSet::from(["archive".to_owned()]);
        for as_of in &known {
            let windows = reader.windows(&user, *as_of).unwrap();
            lists.push_str(&windows_line(&user, *as_of, &windows));
            lists.push('\n');
            for window in windows {
                products.insert(window.product.to_string());
                bounds.extend(
                    [Some(window.start), window.end.instant()]
                        .into_iter()
                        .flatten(),
                );
            }
        }
        for as_of in known {
            for resource in &products {
                let just_before = bounds.iter().map(|at| at.previous());
                let ask_before = as_of.is_none();
                let before = just_before.filter(|_| ask_before);
                let at: BTreeSet<Instant> = bounds.iter().copied().chain(before).collect();
                let line = |at: Instant| json!({"user": user, "resource": resource, "at": at, "as_of": as_of});
                questions.extend(at.into_iter().map(|at| line(at).to_string()));
            }
        }
        let podcast = json!({"user": user, "resource": "podcasts/1", "at": "2026-03-20T00:00:00Z"});
        questions.push(podcast.to_string());
    }
    (questions, lists)
}

/// Everybody the log names, and one it does not.
fn users(reader: &mut Reader<SqliteReader>) -> BTreeSet<UserId> {
    use tenure::store::{Snapshot, StoreError, StoreReader as _};
    let found = reader.store().read(|snapshot: &dyn Snapshot| {
        let mut users = snapshot.users_after(None, 1_000)?;
        users.extend(snapshot.linked_after(None, 1_000)?);
        Ok::<_, StoreError>(users)
    });
    let nobody = "nobody".parse().unwrap();
    found.unwrap().into_iter().chain([nobody]).collect()
}

/// By all that is known, and by what was known at each entry that may change something for a user.
fn known(reader: &mut Reader<SqliteReader>, user: &UserId) -> Vec<Option<RecordedAt>> {
    let filter = EntryFilter {
        user: Some(user.clone()),
        ..EntryFilter::default()
    };
    let own = reader.log(&filter, None, 1_000).unwrap().into_iter();
    let of_all = reader.log(&EntryFilter::default(), None, 1_000).unwrap();
    let of_all = of_all
        .into_iter()
        .filter(|it| it.entry.fact.source.is_tenure());
    let times = own.chain(of_all).map(|it| it.entry.fact.recorded_at);
    let times: BTreeSet<RecordedAt> = times.filter(|it| it.0 > Instant::FIRST).collect();
    times.into_iter().map(Some).chain([None]).collect()
}

pub(crate) fn windows_line(
    user: &UserId,
    as_of: Option<RecordedAt>,
    windows: &[UserWindow],
) -> String {
    json!({"user": user, "as_of": as_of, "windows": windows}).to_string()
}
