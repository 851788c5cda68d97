//! What a question costs: the rows it reads follow from the person's own events, not from the length of the log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tenure::domain::decision::Question;
use tenure::store::{
    BatchMark, EachGrant, FormerKey, Hash, Head, Order, Packet, Projection, ProjectionSums,
    RecordedAnomaly, RecordedLink, RecordedRules, Snapshot, UserGrants,
};
use tenure::{
    ChangesQuestion, DedupeKey, Delivery, Engine, Entry, EntryFilter, GrantId, GrantKey, Instant,
    MemoryStore, Mention, Parked, Position, ProductName, Reader, RecordedAt, RecordedEvent,
    Request, RunId, Secrets, Segment, SourceName, Statistics, Store, StoreError, StoreReader,
    UserId, Window,
};

/// A store's reader that counts what it is asked for: a call counts one, and so does each row it gives.
struct Counting<R> {
    reader: R,
    rows: Arc<AtomicU64>,
}

impl<R: StoreReader> StoreReader for Counting<R> {
    fn read<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, E>,
    ) -> Result<T, E> {
        let rows = &self.rows;
        self.reader
            .read(|snapshot| work(&Counted { snapshot, rows }))
    }
}

struct Counted<'a> {
    snapshot: &'a dyn Snapshot,
    rows: &'a AtomicU64,
}

/// How many rows an answer of the store holds.
trait Rows {
    fn rows(&self) -> u64 {
        1
    }
}

impl Rows for () {}

impl<T> Rows for Vec<T> {
    fn rows(&self) -> u64 {
        self.len() as u64
    }
}

impl<T> Rows for Arc<[T]> {
    fn rows(&self) -> u64 {
        self.len() as u64
    }
}

impl Rows for UserGrants {
    fn rows(&self) -> u64 {
        self.grants.rows()
    }
}

impl<T> Rows for Option<T> {
    fn rows(&self) -> u64 {
        u64::from(self.is_some())
    }
}

impl Rows for Head {}
impl Rows for Position {}
impl Rows for Statistics {}
impl Rows for bool {}
impl Rows for u64 {}

macro_rules! counted {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $found:ty;)*) => {
        impl Snapshot for Counted<'_> {
            $(fn $name(&self, $($argument: $type),*) -> Result<$found, StoreError> {
                let found = self.snapshot.$name($($argument),*)?;
                self.rows.fetch_add(1 + found.rows(), Ordering::Relaxed);
                Ok(found)
            })*
        }
    };
}

counted! {
    fn head() -> Head;
    fn position_at(known_at: RecordedAt) -> Position;
    fn entry(position: Position) -> Option<Entry>;
    fn entries_after(after: Position, limit: usize) -> Vec<Entry>;
    fn entries_before(before: Option<Position>, filter: &EntryFilter, limit: usize) -> Vec<Entry>;
    fn events_of(position: Position) -> Vec<RecordedEvent>;
    fn key_holder(source: &SourceName, key: &DedupeKey) -> Option<Position>;
    fn parked_with_key(source: &SourceName, key: &DedupeKey) -> Vec<Parked>;
    fn latest_packet(source: &SourceName, grant: &GrantKey) -> Option<Packet>;
    fn grant_events_after(grant: &GrantId, after: Position) -> Vec<RecordedEvent>;
    fn each_grant(order: Order, each: &mut EachGrant<'_>) -> ();
    fn user_events(source: &SourceName, user: &UserId) -> Vec<RecordedEvent>;
    fn grants_naming(user: &UserId) -> Vec<GrantId>;
    fn children(parent: &GrantId) -> Vec<GrantId>;
    fn grants_after(after: Option<&GrantId>, limit: usize) -> Vec<GrantId>;
    fn users_after(after: Option<&UserId>, limit: usize) -> Vec<UserId>;
    fn linked_after(after: Option<&UserId>, limit: usize) -> Vec<UserId>;
    fn users_stated_after(after: Option<&UserId>, limit: usize) -> Vec<UserId>;
    fn holders_after(after: Option<&UserId>, products: &BTreeSet<ProductName>, at: Instant, limit: usize) -> Vec<UserId>;
    fn window_bounds_after(at: Instant, after: Option<&UserId>, before: Instant, limit: usize) -> Vec<(Instant, UserId)>;
    fn parked_mentioning(mention: &Mention) -> Vec<Position>;
    fn count_users() -> u64;
    fn links(user: &UserId) -> Vec<RecordedLink>;
    fn is_named(user: &UserId, known_at: Option<RecordedAt>) -> bool;
    fn rules() -> Arc<[RecordedRules]>;
    fn projection(grant: &GrantId) -> Option<Projection>;
    fn segments_naming(user: &UserId) -> Vec<(GrantId, Vec<Segment>)>;
    fn segments_giving(user: &UserId, is_asked_for: &dyn Fn(&str) -> bool) -> UserGrants;
    fn windows_of(user: &UserId) -> Vec<(GrantId, Window)>;
    fn projected_after(after: Option<&GrantId>, limit: usize) -> Vec<GrantId>;
    fn sum_projections(sums: &mut ProjectionSums) -> ();
    fn anomalies_after(after: Option<&RecordedAnomaly>, limit: usize) -> Vec<RecordedAnomaly>;
    fn parked_after(after: Position, limit: usize) -> Vec<Parked>;
    fn parked(position: Position) -> Option<Parked>;
    fn batch(run: &RunId, batch: u64) -> Option<BatchMark>;
    fn contradiction() -> Option<String>;
    fn erasures() -> Vec<Entry>;
    fn count_erased() -> u64;
    fn former_key(digest: &Hash) -> Option<String>;
    fn former_keys() -> Vec<FormerKey>;
    fn packets_after(after: Option<&GrantId>, limit: usize) -> Vec<(GrantId, Packet)>;
    fn statistics() -> Statistics;
}

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn delivery(id: &str, verb: &str, time: &str, user: &str, data: &str) -> Delivery {
    let body = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"shop","type":"tenure.{verb}","time":"{time}","subject":"{user}","data":{{{data}}}}}"#
    );
    let request = Request {
        body: body.into_bytes(),
        ..Request::default()
    };
    Delivery::trusted("cloudevents".parse().unwrap(), request)
}

/// A log in which that many other readers stand before and after the deliveries of one, who renewed so often.
fn log(others: usize, renewals: usize) -> Engine<MemoryStore> {
    let mut engine = Engine::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap();
    let mut take = |deliveries: Vec<Delivery>| {
        for receipt in deliveries.chunks(1_000).map(<[Delivery]>::to_vec) {
            engine
                .ingest_batch(receipt, at("2026-01-01T00:00:00Z"))
                .unwrap();
        }
    };
    let granted = |grant: &str| format!(r#""grant":"{grant}","product":"news","period":"P1M""#);
    let of_others = |from: usize, to: usize| {
        let of_one = |number: usize| {
            let (user, grant) = (format!("u{number}"), granted(&format!("g{number}")));
            let id = format!("o{number}");
            delivery(&id, "granted", "2025-06-01T00:00:00Z", &user, &grant)
        };
        (from..to).map(of_one).collect::<Vec<_>>()
    };
    take(of_others(0, others / 2));
    let first = delivery(
        "e0",
        "granted",
        "2025-01-01T00:00:00Z",
        "lea",
        &granted("lea"),
    );
    let renewed = |number: usize| {
        let data = format!(r#""grant":"lea","period_key":"p{number}""#);
        delivery(
            &format!("r{number}"),
            "renewed",
            "2025-02-01T00:00:00Z",
            "lea",
            &data,
        )
    };
    take(
        [first]
            .into_iter()
            .chain((0..renewals).map(renewed))
            .collect(),
    );
    take(of_others(others / 2, others));
    engine
}

/// The rows read by a check, an explanation, a timeline, what she has, her changes and the windows, as of the middle of the
/// log or of now.
fn rows(engine: &Engine<MemoryStore>, is_past: bool) -> [u64; 6] {
    let rows = Arc::new(AtomicU64::new(0));
    let counting = Counting {
        reader: engine.store().reader().unwrap(),
        rows: Arc::clone(&rows),
    };
    let mut plain = engine.reader().unwrap();
    let lea: UserId = "lea".parse().unwrap();
    let events = plain.timeline(&lea, None).unwrap().lanes.remove(0).events;
    // Something is recorded later, so that what was known is another thing than what is known.
    let as_of = events
        .last()
        .map(|last| last.recorded_at)
        .filter(|_| is_past);
    let question = Question {
        user: lea.clone(),
        resource: "news".parse().unwrap(),
        at: at("2025-01-15T00:00:00Z"),
        as_of,
    };
    let mut reader = Reader::new(counting);
    let spent = || rows.swap(0, Ordering::Relaxed);
    assert!(reader.check(&question).unwrap().verdict.is_allowed());
    let check = spent();
    assert!(!reader.explain(&question, None).unwrap().steps.is_empty());
    let explain = spent();
    assert_eq!(reader.timeline(&lea, as_of).unwrap().lanes.len(), 1);
    let timeline = spent();
    let what = reader.what(&lea, question.at, as_of, None, 10);
    assert_eq!(what.unwrap().len(), 1);
    let what = spent();
    let followed = ChangesQuestion {
        from: Instant::FIRST,
        to: Instant::LAST,
        user: Some(lea.clone()),
        resource: None,
        as_of,
    };
    assert!(reader.changes(&followed, None).count() > 0);
    let changes = spent();
    assert_eq!(reader.windows(&lea, as_of).unwrap().len(), 1);
    [check, explain, timeline, what, changes, spent()]
}

#[test]
fn what_a_question_reads_does_not_grow_with_the_log() {
    let (small, large) = (log(20, 5), log(6_000, 5));
    for is_past in [false, true] {
        let read = rows(&small, is_past);
        assert_eq!(read, rows(&large, is_past), "past: {is_past}");
        assert!(read.iter().all(|rows| *rows > 0 && *rows < 60), "{read:?}");
    }
    // The count does see what is read: a person's own events are, and only for the past.
    let longer = log(20, 105);
    assert!(rows(&longer, true).iter().all(|rows| *rows > 100));
    let ([check, .., windows], [small, .., of_small]) = (rows(&longer, false), rows(&small, false));
    assert_eq!([check, windows], [small, of_small]);
}
