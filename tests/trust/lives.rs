//! Whole lives of readers as their systems send them, and what a bad week makes of it: repeated, late, out of order, lost and
//! sent again, damaged, with the same id and another body.

use std::collections::BTreeMap;

use serde_json::json;
use tenure::provider::provider;
use tenure::{Instant, Length, Rules};

use crate::ledger::Sent;
use crate::seam::{UNANSWERED, UNDONE};
use crate::workload::{self, Delivered, Random};
use crate::world::{Deed, Step};

/// The rules a life begins under, and what happens.
pub(crate) fn life(seed: u64) -> (Rules, Vec<Step>) {
    let mut random = Random::new(seed);
    let random = &mut random;
    let sent = sent(random);
    let begin = rules(random);
    let mut steps = Vec::new();
    let mut sent = sent.into_iter().peekable();
    while sent.peek().is_some() {
        let count = 1 + random.place(6);
        let batch: Vec<(Instant, Sent)> = sent.by_ref().take(count).collect();
        let now = batch.iter().map(|(at, _)| *at).max().unwrap();
        let now = jumped(now, random);
        let sent: Vec<Sent> = batch.into_iter().map(|(_, sent)| sent).collect();
        let deed = match random.place(12) {
            0 => Deed::File {
                sent,
                is_backfill: random.place(2) == 0,
            },
            1 => Deed::TakeBeside(sent),
            2 => Deed::Take {
                sent,
                trouble: UNDONE,
            },
            3 => Deed::Take {
                sent,
                trouble: UNANSWERED,
            },
            _ => Deed::Take { sent, trouble: 0 },
        };
        steps.push(Step { now, deed });
        steps.extend(meanwhile(random).map(|deed| Step { now, deed }));
    }
    let now = "2028-01-01T00:00:00Z".parse().unwrap();
    let sound = Deed::Apply(Box::new(rules_of(0)));
    steps.extend([sound, Deed::RetryAll].map(|deed| Step { now, deed }));
    (begin, steps)
}

/// What else happens between two deliveries.
fn meanwhile(random: &mut Random) -> Option<Deed> {
    match random.place(30) {
        0..6 => Some(Deed::Follow {
            pages: 1 + random.place(3),
            is_killed: random.place(2) == 0,
        }),
        6 => Some(Deed::Reopen),
        7 => Some(Deed::Rebuild),
        8 => Some(Deed::RetryAll),
        9 => Some(Deed::Discard(random.place(5))),
        10 | 11 => Some(Deed::Apply(Box::new(rules(random)))),
        _ => None,
    }
}

/// The clock is mostly right; at times it is days off, either way.
fn jumped(now: Instant, random: &mut Random) -> Instant {
    let days = match random.place(15) {
        0 => 3,
        1 => -3,
        _ => 0,
    };
    Instant::from_micros(now.micros() + days * Length::DAY.micros()).unwrap()
}

/// In the order of arrival, with the time of arrival.
fn sent(random: &mut Random) -> Vec<(Instant, Sent)> {
    let sources: Vec<&'static str> = tenure::PROVIDERS.iter().map(|it| it.name()).collect();
    let mut happened: Vec<(usize, Delivered)> = Vec::new();
    for family in 0..2 + random.place(3) {
        let mut own = Vec::new();
        workload::reader(family as u64, &sources, random, &mut own);
        happened.extend(own.into_iter().map(|it| (family, it)));
    }
    happened.sort_by_key(|(_, it)| it.second);
    let mut queues: BTreeMap<&str, usize> = BTreeMap::new();
    let mut placed: Vec<(usize, Instant, Sent)> = Vec::new();
    for (place, (family, delivered)) in happened.iter().enumerate() {
        let keeps_order = provider(delivered.source).unwrap().arrival_is_order();
        let mut at = place + late(random, happened.len());
        if keeps_order {
            // The system sends one after the other: it is late as a whole.
            let queue = queues.entry(delivered.source).or_default();
            at = at.max(*queue).min(place + 40);
            *queue = at;
        }
        let arrived =
            workload::time(delivered.second + delivered.delay + 3_600 * (at - place) as u64);
        let arrived: Instant = arrived.parse().unwrap();
        let one = Sent {
            family: *family,
            source: delivered.source,
            body: delivered.body.clone(),
            received_at: (random.place(4) != 0).then_some(arrived),
            is_backfill: false,
        };
        let mut again = Vec::new();
        match random.place(10) {
            // It comes again: right behind where order matters, anywhere else.
            0 | 1 => again.push((random.place(happened.len()), one.clone())),
            2 if !keeps_order => again.push((random.place(20), altered(&one))),
            3 => again.push((0, damaged(&one))),
            _ => {}
        }
        placed.push((at, arrived, one));
        for (later, sent) in again {
            let later = if keeps_order { 0 } else { later };
            placed.push((at + later, arrived, sent));
        }
    }
    placed.sort_by_key(|(at, ..)| *at);
    let in_order = placed.into_iter();
    in_order.map(|(_, arrived, sent)| (arrived, sent)).collect()
}

/// Mostly a little, at times by any part of all.
fn late(random: &mut Random, all: usize) -> usize {
    match random.place(10) {
        0 => random.place(all),
        1..4 => random.place(12),
        _ => 0,
    }
}

/// The same id, another body.
fn altered(sent: &Sent) -> Sent {
    Sent {
        body: format!("{} ", sent.body.replace("product-0", "product-1")),
        ..sent.clone()
    }
}

/// Cut off on the way.
fn damaged(sent: &Sent) -> Sent {
    let half: String = sent.body.chars().take(sent.body.len() / 2).collect();
    Sent {
        body: half,
        ..sent.clone()
    }
}

fn rules(random: &mut Random) -> Rules {
    rules_of(random.place(5))
}

/// The first are those under which all is read.
fn rules_of(variant: usize) -> Rules {
    let policy = match variant {
        2 => json!({"payment_failed_grace": "P3D", "refund": "ignore"}),
        3 => json!({"renewal_access": "PT1H", "renewal_leeway": "P10D"}),
        _ => json!({}),
    };
    let mut sources = serde_json::Map::new();
    for provider in tenure::PROVIDERS {
        let mut source = json!({"provider": provider.name(), "policy": policy});
        // Only one of them names a tenant in what it sends here.
        if provider.arrival_is_order() && variant == 1 {
            source["tenant"] = json!("another");
        }
        sources.insert(provider.name().to_owned(), source);
    }
    let products = match variant {
        4 => json!({"product-001": {"includes": ["product-002"]}}),
        _ => json!({}),
    };
    serde_json::from_value(json!({"sources": sources, "products": products})).unwrap()
}
