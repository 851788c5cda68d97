//! Every vector through the whole engine, on both stores: what becomes of each delivery, and the windows that are left.

use serde_json::{Value, json};
use tenure::{
    Delivery, Engine, GrantId, MemoryStore, Outcome, Secret, Secrets, SqliteStore,
    SqliteStoreOptions, Store, StoreError, StoreReader,
};

use super::{PROVIDERS, Source, Vector, vectors};

fn secrets(vector: &Vector, source: &Source) -> Secrets {
    match &vector.secret {
        Some(text) => {
            let secret = Secret::new(text.as_bytes()).expect("a secret");
            Secrets::default().with(source.name.clone(), secret)
        }
        None => Secrets::default(),
    }
}

fn run(vector: &Vector, store: impl Store) {
    let about = &vector.about;
    let source = Source::of(vector);
    let mut engine = Engine::new(store, secrets(vector, &source)).unwrap();
    engine.begin_with_rules(&source.rules).unwrap();
    for (number, delivery) in vector.deliveries.iter().enumerate() {
        let request = Delivery::trusted(source.name.clone(), delivery.request())
            .received_at(Some(delivery.received_at));
        let receipt = engine.ingest(request, delivery.received_at).unwrap();
        let expect = &delivery.expect;
        let refusal = receipt.refusal.as_ref();
        let is = (
            receipt.outcome,
            receipt.kind.as_deref(),
            refusal.map(|refusal| refusal.reason.code()),
            refusal.map(|refusal| refusal.field.as_str()),
        );
        let should_be = (
            expect.outcome,
            expect.kind.as_deref(),
            expect.reason.as_deref(),
            expect.field.as_deref(),
        );
        assert_eq!(is, should_be, "{about}: delivery {number}");
        assert_eq!(receipt.events > 0, receipt.outcome == Outcome::Applied);
    }
    let windows = all_windows(engine.store());
    assert_eq!(Value::from(windows), json!(vector.windows), "{about}");
    let verification = engine.reader().unwrap().verify(&mut |_| {}).unwrap();
    assert_eq!(verification.fault, None, "{about}");
}

/// The windows of everybody, by start, then grant.
fn all_windows<S: Store>(store: &S) -> Vec<Value> {
    let mut reader = store.reader().unwrap();
    let mut found: Vec<(GrantId, tenure::Window)> = reader
        .read(|snapshot| {
            let mut found = Vec::new();
            for grant in snapshot.projected_after(None, usize::MAX)? {
                let projection = snapshot.projection(&grant)?;
                let windows = projection.into_iter().flat_map(|it| it.windows);
                found.extend(windows.map(|window| (grant.clone(), window)));
            }
            Ok::<_, StoreError>(found)
        })
        .unwrap();
    found.sort_by(|(a, one), (b, two)| (one.start, &a.key).cmp(&(two.start, &b.key)));
    let shown = found.into_iter().map(|(grant, window)| {
        json!({
            "user": window.user,
            "product": window.product,
            "grant": grant.key,
            "start": window.start,
            "end": window.end,
        })
    });
    shown.collect()
}

#[test]
fn every_vector_has_its_effect_in_memory() {
    for vector in PROVIDERS.iter().flat_map(|provider| vectors(*provider)) {
        run(&vector, MemoryStore::new().unwrap());
    }
}

#[test]
fn every_vector_has_its_effect_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let vectors = PROVIDERS.iter().flat_map(|provider| vectors(*provider));
    for (number, vector) in vectors.enumerate() {
        let path = folder.path().join(format!("{number}.db"));
        let options = SqliteStoreOptions::default();
        run(
            &vector,
            SqliteStore::create_or_open(&path, options).unwrap(),
        );
    }
}

/// Reversed, turned, and dealt out anew some times, the same ways on every run.
fn other_orders(count: usize) -> Vec<Vec<usize>> {
    let in_order: Vec<usize> = (0..count).collect();
    let mut reversed = in_order.clone();
    reversed.reverse();
    let mut turned = in_order.clone();
    turned.rotate_left(count / 2);
    let mut orders = vec![reversed, turned];
    let mut state = 1_u64;
    for _ in 0..4 {
        let mut order = in_order.clone();
        for at in (1..count).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005);
            state = state.wrapping_add(1_442_695_040_888_963_407);
            order.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        orders.push(order);
    }
    orders
}

#[test]
fn where_events_state_their_times_vectors_have_their_effect_in_any_order() {
    let stating = PROVIDERS.iter().filter(|it| !it.arrival_is_order());
    for vector in stating.flat_map(|provider| vectors(*provider)) {
        let source = Source::of(&vector);
        for order in other_orders(vector.deliveries.len()) {
            let store = MemoryStore::new().unwrap();
            let mut engine = Engine::new(store, secrets(&vector, &source)).unwrap();
            engine.begin_with_rules(&source.rules).unwrap();
            // They come when they come: the clock does not go back with them.
            let received = vector.deliveries.iter().map(|it| it.received_at);
            for (place, received_at) in order.iter().zip(received) {
                let request = vector.deliveries[*place].request();
                let delivery = Delivery::trusted(source.name.clone(), request);
                engine.ingest(delivery, received_at).unwrap();
            }
            let windows = Value::from(all_windows(engine.store()));
            assert_eq!(
                windows,
                json!(vector.windows),
                "{}: {order:?}",
                vector.about
            );
        }
    }
}

#[test]
fn a_file_read_twice_after_an_interruption_ends_as_if_read_once() {
    let grant =
        r#"{"event":"new_purchase","aid":"A","uid":"u1","rid":"R1","access_id":"g1","expires":0}"#;
    let revoke = r#"{"event":"access_revoked","aid":"A","uid":"u1","rid":"R1","access_id":"g1"}"#;
    // Packets without ids: taken twice, they would mean something else.
    let lines = [grant, revoke].repeat(1_250).join("\n");
    let clock = || "2026-01-01T00:00:00Z".parse().unwrap();
    let options = tenure::FileOptions {
        source: Some("piano".parse().unwrap()),
        backfill: false,
    };
    let mut whole = Engine::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap();
    let mut given = Vec::new();
    whole
        .ingest_file(
            &mut lines.as_bytes(),
            &options,
            &mut { clock },
            &mut |line| {
                given.push((line.line, line.receipt.clone()));
                Ok(())
            },
        )
        .unwrap();

    let mut broken = Engine::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap();
    let stop = broken.ingest_file(
        &mut lines.as_bytes(),
        &options,
        &mut { clock },
        &mut |line| {
            if line.line == 1_700 {
                return Err(std::io::Error::other("interrupted"));
            }
            Ok(())
        },
    );
    assert!(stop.is_err());
    let mut given_again = Vec::new();
    broken
        .ingest_file(
            &mut lines.as_bytes(),
            &options,
            &mut { clock },
            &mut |line| {
                given_again.push((line.line, line.receipt.clone()));
                Ok(())
            },
        )
        .unwrap();
    assert_eq!(given, given_again, "the same receipts");
    assert_eq!(all_windows(whole.store()), all_windows(broken.store()));
    let figures = |engine: &Engine<MemoryStore>| engine.reader().unwrap().statistics().unwrap();
    assert_eq!(figures(&whole), figures(&broken));
    // The run is over: the same lines may come again, and mean what they say.
    let mut resumed = 0;
    broken
        .ingest_file(
            &mut lines.as_bytes(),
            &options,
            &mut { clock },
            &mut |line| {
                resumed += u64::from(line.was_taken);
                Ok(())
            },
        )
        .unwrap();
    assert_eq!(resumed, 0);
}

/// Whole batches leave nothing to read when the file ends, and the run ends all the same.
#[test]
fn a_file_of_exactly_a_thousand_lines_ends_its_run() {
    let line = r#"{"event":"test","aid":"A","uid":"u1"}"#;
    let lines = [line].repeat(1_000).join("\n");
    let options = tenure::FileOptions {
        source: Some("piano".parse().unwrap()),
        backfill: false,
    };
    let mut engine = Engine::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap();
    for _ in 0..2 {
        let mut clock = || "2026-01-01T00:00:00Z".parse().unwrap();
        engine
            .ingest_file(&mut lines.as_bytes(), &options, &mut clock, &mut |line| {
                assert!(!line.was_taken);
                Ok(())
            })
            .unwrap();
    }
}

const PURCHASE: &str =
    r#"{"event":"new_purchase","aid":"A","uid":"u1","rid":"R1","access_id":"g1","expires":0}"#;
const REVOCATION: &str =
    r#"{"event":"access_revoked","aid":"A","uid":"u1","rid":"R1","access_id":"g1"}"#;

/// An engine that could not open one packet when it came, for want of the secret.
struct Retrying {
    engine: Engine<MemoryStore>,
    second: u32,
}

impl Retrying {
    fn new() -> Self {
        let secret = Secret::new(b"the key of the publisher").unwrap();
        let secrets = Secrets::default().with("piano".parse().unwrap(), secret);
        let engine = Engine::new(MemoryStore::new().unwrap(), secrets).unwrap();
        Self { engine, second: 0 }
    }

    fn now(&mut self) -> tenure::Instant {
        self.second += 1;
        format!("2026-01-01T00:00:{:02}Z", self.second)
            .parse()
            .unwrap()
    }

    fn take(&mut self, body: &str) -> Outcome {
        let request = tenure::Request {
            body: body.as_bytes().to_vec(),
            ..Default::default()
        };
        let delivery = Delivery::trusted("piano".parse().unwrap(), request);
        let now = self.now();
        self.engine.ingest(delivery, now).unwrap().outcome
    }
}

#[test]
fn a_packet_decoded_by_a_retry_is_known_when_it_comes_again() {
    let mut retrying = Retrying::new();
    let rules = |tenant: &str| {
        let rules = json!({"sources": {"piano": {"provider": "piano", "tenant": tenant}}});
        serde_json::from_value::<tenure::Rules>(rules).unwrap()
    };
    retrying.engine.begin_with_rules(&rules("A")).unwrap();
    assert_eq!(retrying.take(PURCHASE), Outcome::Applied);
    let piano = tenure::provider::provider("piano").unwrap();
    let other = Secret::new(b"another key").unwrap();
    let sealed = piano.seal(REVOCATION.as_bytes(), Some(&other), tenure::Instant::EPOCH);
    let delivery = Delivery::trusted("piano".parse().unwrap(), sealed.unwrap());
    let now = retrying.now();
    let parked = retrying.engine.ingest(delivery, now).unwrap();
    assert_eq!(parked.outcome, Outcome::Quarantined);
    let secrets = Secrets::default().with("piano".parse().unwrap(), other);
    let mut engine = retrying.engine.with_secrets(secrets);
    let now = "2026-01-01T00:01:00Z".parse().unwrap();
    let retried = engine.retry(parked.position, now).unwrap();
    assert!(
        matches!(retried, tenure::Retried::Recorded { events: 1, .. }),
        "{retried:?}"
    );
    let mut retrying = Retrying { engine, second: 10 };
    assert_eq!(retrying.take(REVOCATION), Outcome::Duplicate);
    assert_eq!(
        retrying.take(PURCHASE),
        Outcome::Applied,
        "again, after the revocation"
    );
    assert_eq!(retrying.take(REVOCATION), Outcome::Applied, "and again");
}
