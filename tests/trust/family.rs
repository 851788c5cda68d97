//! Those whose grants and users have nothing to do with those of others: what the law says of them follows from their own
//! events, so the model folds no others.

use std::collections::BTreeSet;

use tenure::domain::decision::Question;
use tenure::{
    Change, Instant, Length, RecordedAt, RecordedEvent, ResourceName, Rules, Statement, UserId,
};

use crate::ledger::Ledger;
use crate::model::Model;
use crate::workload::Random;

pub(crate) struct Family {
    pub(crate) number: usize,
    events: Vec<RecordedEvent>,
    pub(crate) users: Vec<UserId>,
    resources: Vec<ResourceName>,
}

/// A turn: when, whose, of what, and whether access begins.
pub(crate) type Told = (Instant, UserId, ResourceName, bool);

impl Family {
    /// One that something is recorded of, if there is any, found by any number.
    pub(crate) fn of(ledger: &Ledger, number: usize) -> Option<Self> {
        let numbers = ledger.families();
        let number = numbers.iter().nth(number % numbers.len().max(1))?;
        Self::exactly(ledger, *number)
    }

    pub(crate) fn exactly(ledger: &Ledger, number: usize) -> Option<Self> {
        let events = ledger.events_of(Some(number));
        let users: BTreeSet<UserId> = events
            .iter()
            .flat_map(|it| it.event.statement.users())
            .cloned()
            .collect();
        let products = events.iter().filter_map(|it| product(&it.event.statement));
        let resources: BTreeSet<ResourceName> = products.collect();
        (!users.is_empty() && !resources.is_empty()).then(|| Self {
            number,
            events,
            users: users.into_iter().collect(),
            resources: resources.into_iter().collect(),
        })
    }

    pub(crate) fn model<'a>(&'a self, ledger: &'a Ledger) -> Model<'a> {
        self.model_by(&ledger.rules)
    }

    fn model_by<'a>(&'a self, rules: &'a [(RecordedAt, Rules)]) -> Model<'a> {
        let events = &self.events;
        Model { events, rules }
    }

    /// At the time of an event or beside it, at the end of what it may have given, or now.
    pub(crate) fn question(&self, random: &mut Random, now: Instant) -> Question {
        let mut below = |bound: usize| random.place(bound);
        let event = &self.events[below(self.events.len())];
        let time = event.event.effective_at.0;
        let days = |count: i64| Length::DAY.micros() * count;
        let moved = |by: i64| Instant::from_micros(time.micros() + by).unwrap_or(time);
        let at = match below(7) {
            0 => time.previous(),
            1 => time,
            2 => time.next(),
            3 => moved(days(30) - 1),
            4 => moved(days(30)),
            5 => moved(days(3)),
            _ => now,
        };
        Question {
            user: self.users[below(self.users.len())].clone(),
            resource: self.resources[below(self.resources.len())].clone(),
            at,
            as_of: None,
        }
    }

    /// Every instant at which access to a product begins or ends, whatever products include.
    pub(crate) fn turns(&self, ledger: &Ledger) -> BTreeSet<Told> {
        let mut rules = ledger.rules.clone();
        for (_, rules) in &mut rules {
            rules.products.clear();
        }
        let model = self.model_by(&rules);
        let mut turns = BTreeSet::new();
        for user in &self.users {
            for resource in &self.resources {
                for (at, begins) in model.turns(user, resource, None) {
                    turns.insert((at, user.clone(), resource.clone(), begins));
                }
            }
        }
        turns
    }
}

fn product(statement: &Statement) -> Option<ResourceName> {
    let Statement::Grant(statement) = statement else {
        return None;
    };
    let product = match &statement.change {
        Change::Granted(granted) => Some(&granted.product),
        Change::Switched { product, .. } => Some(product),
        Change::Ended { .. }
        | Change::Modified { .. }
        | Change::Rescheduled { .. }
        | Change::Renewed { .. }
        | Change::GraceExtended { .. }
        | Change::PaymentFailed
        | Change::Cancelled { .. }
        | Change::Reinstated { .. }
        | Change::Transferred { .. }
        | Change::Suspended { .. }
        | Change::Resumed { .. }
        | Change::Refunded { .. }
        | Change::Revoked => statement.product.as_ref(),
    };
    product.map(ResourceName::from)
}
