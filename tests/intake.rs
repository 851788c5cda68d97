//! Many callers at once: each gets the receipt of its own delivery, and they share durable transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tenure::store::Transaction;
use tenure::{
    Delivery, Engine, EngineError, Instant, Intake, MemoryReader, MemoryStore, Outcome, Request,
    Secrets, SqliteStore, SqliteStoreOptions, Store, StoreError,
};

const CALLERS: usize = 40;

fn now() -> Instant {
    "2026-02-01T00:00:00Z".parse().unwrap()
}

fn delivery(source: &str, number: usize) -> Delivery {
    let body = format!(
        r#"{{"specversion":"1.0","id":"e{number}","source":"crm","type":"tenure.granted","time":"2026-01-01T00:00:00Z",
            "subject":"u{number}","data":{{"grant":"g{number}","product":"news","until":null}}}}"#
    );
    let request = Request {
        body: body.into_bytes(),
        ..Request::default()
    };
    Delivery::trusted(source.parse().unwrap(), request)
}

/// A store that counts its transactions.
struct Counting {
    store: MemoryStore,
    writes: Arc<AtomicUsize>,
}

impl Store for Counting {
    type Reader = MemoryReader;

    fn reader(&self) -> Result<MemoryReader, StoreError> {
        self.store.reader()
    }

    fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.store.write(work)
    }
}

fn counting() -> (Intake<Counting>, Arc<AtomicUsize>) {
    let writes = Arc::new(AtomicUsize::new(0));
    let store = Counting {
        store: MemoryStore::new().unwrap(),
        writes: Arc::clone(&writes),
    };
    let engine = Engine::new(store, Secrets::default()).unwrap();
    (Intake::new(engine).unwrap(), writes)
}

/// Runs a caller for each delivery while the engine is lent to somebody, so that all of them have to wait; gives what each
/// was told, in order.
fn while_it_is_lent<S: Store>(
    intake: &Intake<S>,
    deliveries: Vec<Delivery>,
) -> Vec<Result<tenure::Receipt, EngineError>> {
    thread::scope(|scope| {
        let callers = intake.with_engine(|_| {
            let spawned = deliveries
                .into_iter()
                .map(|delivery| scope.spawn(move || intake.ingest(delivery, now())));
            let spawned: Vec<_> = spawned.collect();
            thread::sleep(Duration::from_millis(200));
            spawned
        });
        let told = callers.into_iter().map(|caller| caller.join().unwrap());
        told.collect()
    })
}

#[test]
fn those_that_wait_share_a_transaction() {
    let (intake, writes) = counting();
    let deliveries = (0..CALLERS).map(|number| delivery("cloudevents", number));
    let told = while_it_is_lent(&intake, deliveries.collect());
    assert!(
        told.iter()
            .all(|it| it.as_ref().unwrap().outcome == Outcome::Applied)
    );
    let positions: std::collections::BTreeSet<_> = told
        .iter()
        .map(|it| it.as_ref().unwrap().position)
        .collect();
    assert_eq!(positions.len(), CALLERS);
    assert!(writes.load(Ordering::SeqCst) < CALLERS / 2);
}

#[test]
fn one_that_comes_alone_has_a_transaction_of_its_own() {
    let (intake, writes) = counting();
    for number in 0..3 {
        intake
            .ingest(delivery("cloudevents", number), now())
            .unwrap();
    }
    assert_eq!(writes.load(Ordering::SeqCst), 3);
}

#[test]
fn what_is_wrong_with_one_delivery_is_told_to_its_caller_alone() {
    let (intake, _) = counting();
    let deliveries = (0..CALLERS).map(|number| match number % 10 {
        3 => delivery("nobody", number),
        _ => delivery("cloudevents", number),
    });
    let told = while_it_is_lent(&intake, deliveries.collect());
    for (number, told) in told.into_iter().enumerate() {
        match number % 10 {
            3 => assert!(
                matches!(told, Err(EngineError::UnknownSource { .. })),
                "{number}"
            ),
            _ => assert!(told.is_ok(), "{number}"),
        }
    }
    let statistics = intake.with_engine(|engine| engine.reader().unwrap().statistics().unwrap());
    assert_eq!(statistics.applied, (CALLERS - CALLERS / 10) as u64);
}

#[test]
fn the_same_delivery_by_many_callers_is_taken_once_and_durably() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenure.db");
    let store = SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
    let intake = Intake::new(Engine::new(store, Secrets::default()).unwrap()).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..20 {
                    let receipt = intake.ingest(delivery("cloudevents", number), now());
                    let position = receipt.unwrap().position;
                    // What is acknowledged is there for whoever asks, also through another file handle.
                    let mut reader = SqliteStore::open_reader(&path)
                        .map(tenure::Reader::new)
                        .unwrap();
                    assert!(reader.entry(position).unwrap().is_some());
                }
            });
        }
    });
    let engine = intake.into_engine().unwrap();
    let statistics = engine.reader().unwrap().statistics().unwrap();
    assert_eq!((statistics.applied, statistics.duplicate), (20, 140));
}

#[test]
fn the_engine_is_given_back_by_the_last() {
    let (intake, _) = counting();
    let another = intake.clone();
    assert!(intake.into_engine().is_none());
    assert!(another.into_engine().is_some());
}
