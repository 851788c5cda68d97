//! Reading a delivery: what arrived is opened and decoded, by the rules and secrets of its source.
//!
//! The deliveries of a large batch are read before the transaction that takes them begins, while others may write, and by two
//! threads. Should other rules have come into force until then, they are read once more.

use std::sync::Arc;
use std::thread;

use super::delivery::{Content as Arrived, Delivery};
use super::facts::rules_at;
use super::sources::{Source, source};
use super::{EngineError, Secrets, unknown_source};
use crate::domain::delivery::Refusal;
use crate::domain::id::{Position, SourceName};
use crate::domain::rules::Rules;
use crate::provider::{Content, Decoded, Dedupe, PROVIDERS, Request, Verified};
use crate::store::{Snapshot, StoreError};

/// From how many on it is worth it.
pub(crate) const MANY: usize = 100;

/// A delivery as far as it could be read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) request: Request,
    /// The text that dedupe keys and digests speak of.
    pub(crate) text: Vec<u8>,
    pub(crate) decoded: Decoded,
    pub(crate) arrival_is_order: bool,
}

/// A delivery that was read before the transaction that takes it.
#[derive(Clone, Debug)]
pub(crate) struct ReadAhead {
    read: Read,
    /// Where the rules stand by which it was read.
    by: Position,
}

/// The rules in force, and where they stand in the log: at zero if none were ever recorded.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) rules: Arc<Rules>,
    at: Position,
}

impl InForce {
    pub(crate) fn of(snapshot: &dyn Snapshot) -> Result<Self, StoreError> {
        let recorded = snapshot.rules()?;
        Ok(Self {
            rules: rules_at(&recorded, None),
            at: recorded.last().map(|it| it.position).unwrap_or_default(),
        })
    }
}

/// Reads what can be read by these rules, by two threads.
pub(crate) fn read_ahead(
    in_force: &InForce,
    secrets: &Secrets,
    mut deliveries: Vec<&mut Delivery>,
) {
    let read = |deliveries: Vec<&mut Delivery>| {
        for delivery in deliveries {
            delivery.read_ahead(in_force, secrets);
        }
    };
    let others = deliveries.split_off(deliveries.len() / 2);
    thread::scope(|scope| {
        // Where no thread is to be had, the other half is read when it is taken.
        let builder = thread::Builder::new().name("tenure reading".to_owned());
        let _is_there = builder.spawn_scoped(scope, || read(others));
        read(deliveries);
    });
}

impl Delivery {
    fn read_ahead(&mut self, in_force: &InForce, secrets: &Secrets) {
        // What cannot be read is told when it is taken.
        let read = read(&in_force.rules, secrets, self.content.clone(), &self.source);
        let by = in_force.at;
        self.ahead = read.ok().map(|read| Box::new(ReadAhead { read, by }));
    }

    /// Opens what arrived and decodes it, unless that was done by the same rules.
    ///
    /// # Errors
    /// [`EngineError::UnknownSource`] if there is no such source.
    pub(super) fn read(self, in_force: &InForce, secrets: &Secrets) -> Result<Read, EngineError> {
        match self.ahead {
            Some(ahead) if ahead.by == in_force.at => Ok(ahead.read),
            Some(_) | None => read(&in_force.rules, secrets, self.content, &self.source),
        }
    }
}

fn read(
    rules: &Rules,
    secrets: &Secrets,
    content: Arrived,
    name: &SourceName,
) -> Result<Read, EngineError> {
    let Some(source) = source(rules, name) else {
        return match content {
            Arrived::Unreadable(request, refusal) => {
                // Nobody knows whose it is, so whatever any system would conceal is concealed.
                let request = concealed(request, secrets);
                Ok(unreadable(request, refusal, false))
            }
            Arrived::Verified(_) | Arrived::Trusted(_) => Err(unknown_source(rules, name)),
        };
    };
    let opened = match content {
        Arrived::Verified(verified) => Ok(verified),
        Arrived::Trusted(request) => Verified::trusted(source.provider, request, secrets.get(name)),
        Arrived::Unreadable(request, refusal) => {
            let secret = secrets.get(name);
            Err((source.provider.conceal(request, secret), refusal))
        }
    };
    Ok(decode(source, opened))
}

/// A request of which nobody knows whose it is, without what any system would conceal, with any of the secrets.
fn concealed(request: Request, secrets: &Secrets) -> Request {
    let secrets = secrets.all().map(Some).chain([None]);
    let ways = secrets.flat_map(|secret| PROVIDERS.iter().map(move |provider| (provider, secret)));
    ways.fold(request, |request, (provider, secret)| {
        provider.conceal(request, secret)
    })
}

/// Decodes what was opened; what was not is quarantined.
pub(crate) fn decode(source: Source<'_>, opened: Result<Verified, (Request, Refusal)>) -> Read {
    let arrival_is_order = source.provider.arrival_is_order();
    match opened {
        Ok(verified) => Read {
            decoded: source.provider.decode(verified.text(), &source.context),
            text: verified.text().to_vec(),
            request: verified.request().clone(),
            arrival_is_order,
        },
        Err((request, refusal)) => unreadable(request, refusal, arrival_is_order),
    }
}

/// What cannot be read is known by the digest of all that was received.
pub(super) fn unreadable(request: Request, refusal: Refusal, arrival_is_order: bool) -> Read {
    let mut text = request.body.clone();
    text.extend_from_slice(request.query.as_deref().unwrap_or_default().as_bytes());
    Read {
        request,
        text,
        decoded: Decoded {
            kind: None,
            dedupe: Dedupe::Text,
            content: Content::Quarantined(refusal),
        },
        arrival_is_order,
    }
}
