//! A large mixed file of every system there is, and the same as a bad week would deliver it.
//!
//! `TENURE_SHUFFLED=100000` takes that many deliveries.

use std::collections::BTreeMap;

use tenure::domain::decision::Question;
use tenure::provider::provider;
use tenure::store::Projection;
use tenure::{
    Engine, FileOptions, GrantId, Instant, MemoryStore, Outcome, SqliteStore, SqliteStoreOptions,
    Store, StoreError, StoreReader,
};

use super::{checks, said};

#[allow(
    clippy::cast_possible_truncation,
    reason = "a generator for benches and tests"
)]
#[path = "../../benches/workload/mod.rs"]
mod workload;

use workload::{Delivered, Random};

fn count() -> usize {
    let given = std::env::var("TENURE_SHUFFLED").ok();
    given.map_or(10_000, |count| {
        count.parse().expect("TENURE_SHUFFLED is a number")
    })
}

/// Each delivery late by some places in the file, a fifth of them sent again up to three times, some of it much later.
///
/// Where arrival is the order of events, the system sends one after the other: it is late as a whole, and a repetition
/// comes right behind its first.
fn troubled(deliveries: &[Delivered], random: &mut Random) -> Vec<String> {
    let mut placed: Vec<(u64, String)> = Vec::new();
    let mut queues: BTreeMap<&str, u64> = BTreeMap::new();
    for (place, delivery) in deliveries.iter().enumerate() {
        let keeps_order = provider(delivery.source).unwrap().arrival_is_order();
        let mut at = place as u64 + late(random, deliveries.len());
        if keeps_order {
            let queue = queues.entry(delivery.source).or_default();
            at = at.max(*queue).min(place as u64 + 500);
            *queue = at;
        }
        placed.push((at, delivery.line(0)));
        let repetitions = if random.below(5) == 0 {
            1 + random.below(3)
        } else {
            0
        };
        for repetition in 1..=repetitions {
            let again = if keeps_order {
                at
            } else {
                place as u64 + late(random, deliveries.len())
            };
            placed.push((again, delivery.line(5 * repetition)));
        }
    }
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, line)| line).collect()
}

/// Mostly a little, at times by any part of the file.
fn late(random: &mut Random, all: usize) -> u64 {
    match random.below(10) {
        0 => random.below(all as u64),
        _ => random.below(200),
    }
}

fn taken<S: Store>(store: S, lines: &[String]) -> Engine<S> {
    let mut engine = Engine::new(store, tenure::Secrets::default()).unwrap();
    let file = lines.join("\n");
    let mut clock = || "2028-01-01T00:00:00Z".parse::<Instant>().unwrap();
    engine
        .ingest_file(
            &mut file.as_bytes(),
            &FileOptions::default(),
            &mut clock,
            &mut |line| {
                let receipt = line.receipt;
                assert_ne!(receipt.outcome, Outcome::Quarantined, "{receipt:?}");
                Ok(())
            },
        )
        .unwrap();
    engine
}

fn projections<S: Store>(engine: &Engine<S>) -> BTreeMap<GrantId, Projection> {
    let mut reader = engine.reader().unwrap();
    let read = reader.store().read(|snapshot| {
        let grants = snapshot.projected_after(None, usize::MAX)?.into_iter();
        let mut projections = BTreeMap::new();
        for grant in grants {
            // Which anomaly lies at which position depends on arrival.
            let mut projection = snapshot.projection(&grant)?.unwrap();
            projection.anomalies.clear();
            projections.insert(grant, projection);
        }
        Ok::<_, StoreError>(projections)
    });
    read.unwrap()
}

/// About readers of the file and others, at the instants at which something changes and beside them.
fn questions(projections: &BTreeMap<GrantId, Projection>, random: &mut Random) -> Vec<Question> {
    let users = count() as u64 / 15;
    let asked = workload::questions(7, users.max(1), 1_000).into_iter();
    let mut questions: Vec<Question> = asked
        .map(|(user, resource, at)| Question {
            user: user.parse().unwrap(),
            resource: resource.parse().unwrap(),
            at: at.parse().unwrap(),
            as_of: None,
        })
        .collect();
    let windows = projections.values().flat_map(|it| &it.windows);
    for window in windows {
        if random.below(5) != 0 {
            continue;
        }
        let resource = window.product.as_str().parse().unwrap();
        let edges = [Some(window.start), window.end.instant()];
        for at in edges.into_iter().flatten() {
            for at in [at.previous(), at] {
                questions.push(Question {
                    user: window.user.clone(),
                    resource: tenure::ResourceName::clone(&resource),
                    at,
                    as_of: None,
                });
            }
        }
    }
    questions
}

#[test]
fn a_retried_duplicated_shuffled_mixed_file_ends_in_the_same_windows_as_the_clean_one() {
    let deliveries = workload::deliveries(11, count());
    let mut random = Random::new(12);
    let clean: Vec<String> = deliveries.iter().map(|it| it.line(0)).collect();
    let troubled = troubled(&deliveries, &mut random);
    assert!(troubled.len() > clean.len());

    let clean = taken(MemoryStore::new().unwrap(), &clean);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("troubled.db");
    let store = SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
    let repeated = troubled.len() - deliveries.len();
    let troubled = taken(store, &troubled);

    let (expected, found) = (projections(&clean), projections(&troubled));
    for (grant, projection) in &expected {
        assert_eq!(found.get(grant), Some(projection), "{grant}");
    }
    assert_eq!(expected.len(), found.len());
    let windows = expected.values().map(|it| it.windows.len()).sum::<usize>();
    assert!(windows > deliveries.len() / 20, "{windows} windows");
    for known in tenure::PROVIDERS {
        let of_source = |grant: &&GrantId| grant.source.as_str() == known.name();
        assert!(
            expected.keys().any(|grant| of_source(&grant)),
            "{}",
            known.name()
        );
    }

    let questions = questions(&expected, &mut random);
    let (one, two) = (checks(&clean, &questions), checks(&troubled, &questions));
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(said(one), said(two), "{:?}", one.question);
    }
    let figures = |statistics: tenure::Statistics| statistics.duplicate;
    let once = figures(clean.reader().unwrap().statistics().unwrap());
    let often = figures(troubled.reader().unwrap().statistics().unwrap());
    assert_eq!(often - once, repeated as u64);
}
