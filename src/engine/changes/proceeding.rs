//! What is new: turns behind the cursor, by all that is known.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::{Knowledge, UserTurn, Walk};
use crate::domain::id::{Position, ProductName, UserId};
use crate::domain::time::Instant;
use crate::domain::turn::{Scope, turns};
use crate::engine::facts::linked_ids;
use crate::engine::people::People;
use crate::store::StoreError;

/// How many candidates are held in memory at a time.
const CHUNK: usize = 500;

/// An instant at which some window of that holder has a bound.
type Candidate = (Instant, UserId);

impl Walk<'_> {
    /// Gives what is new up to the end of the span. Whether it came to its end.
    pub(super) fn proceed(&mut self, target: Position) -> Result<bool, StoreError> {
        let knowledge = Knowledge::at(self.snapshot, target, &self.scope)?;
        let flow = match self.cursor.user.clone() {
            Some(user) => self.of_one(&user, &knowledge)?,
            None if knowledge.known_at.is_none() => self.of_everybody_now(&knowledge)?,
            None => self.of_everybody_then(&knowledge)?,
        };
        if flow.is_break() {
            return Ok(false);
        }
        if self.to > self.cursor.before {
            self.cursor.before = self.to;
            self.cursor.place = None;
        }
        Ok(true)
    }

    fn of_one(
        &mut self,
        user: &UserId,
        knowledge: &Knowledge,
    ) -> Result<ControlFlow<()>, StoreError> {
        let (person, turns) = self.turns_of(user, knowledge)?;
        for turn in turns {
            if self.is_next(&turn) {
                if self.is_full() {
                    return Ok(ControlFlow::Break(()));
                }
                self.give(&person, knowledge, &turn)?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether a turn lies in the span and behind the cursor.
    fn is_next(&self, turn: &UserTurn) -> bool {
        turn.at < self.to && !self.was_given(turn)
    }

    fn give(
        &mut self,
        person: &crate::domain::decision::Person,
        knowledge: &Knowledge,
        turn: &UserTurn,
    ) -> Result<(), StoreError> {
        self.cursor.before = turn.at;
        self.cursor.place = Some(turn.place.clone());
        self.push(person, knowledge, turn, None)
    }

    /// The projection knows in which order windows begin and end.
    fn of_everybody_now(&mut self, knowledge: &Knowledge) -> Result<ControlFlow<()>, StoreError> {
        let holder = self.cursor.place.as_ref().map(|place| place.holder.clone());
        let mut after = (self.cursor.before, holder);
        // The people at the cursor's place may not have come to their end.
        let mut candidates: Vec<Candidate> = Vec::new();
        if let (at, Some(holder)) = &after {
            candidates.push((*at, holder.clone()));
        }
        let dates = self.catalog_dates(knowledge);
        loop {
            candidates.extend(self.candidates(&after, &dates)?);
            let Some(last) = candidates.last().cloned() else {
                return Ok(ControlFlow::Continue(()));
            };
            for candidate in candidates.drain(..) {
                if self.of_candidate(&candidate, knowledge)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            after = (last.0, Some(last.1));
        }
    }

    /// The turns at the instant of the person behind a holder. Those of a person met by a smaller id were given then.
    fn of_candidate(
        &mut self,
        (at, holder): &Candidate,
        knowledge: &Knowledge,
    ) -> Result<ControlFlow<()>, StoreError> {
        let person = knowledge.person(self.snapshot, holder)?;
        let all = turns(&person, &knowledge.rules, &self.scope).into_iter();
        let here: Vec<_> = all.filter(|turn| turn.at == *at).collect();
        if here.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        for user in linked_ids(self.snapshot, holder, knowledge.known_at)? {
            for turn in &here {
                let turn = UserTurn::of(turn.clone(), &user);
                if self.is_next(&turn) {
                    if self.is_full() {
                        return Ok(ControlFlow::Break(()));
                    }
                    self.give(&person, knowledge, &turn)?;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// When a product begins or ceases to include the resource, and which products do so then.
    fn catalog_dates(&self, knowledge: &Knowledge) -> BTreeMap<Instant, BTreeSet<ProductName>> {
        let mut dates: BTreeMap<Instant, BTreeSet<ProductName>> = BTreeMap::new();
        if let Scope::Resource(resource) = &self.scope {
            for product in knowledge.rules.products.keys() {
                for at in knowledge.rules.inclusion(product, resource).bounds() {
                    dates.entry(at).or_default().insert(product.clone());
                }
            }
        }
        dates
    }

    fn candidates(
        &self,
        (at, holder): &(Instant, Option<UserId>),
        dates: &BTreeMap<Instant, BTreeSet<ProductName>>,
    ) -> Result<Vec<Candidate>, StoreError> {
        let holder = holder.as_ref();
        let bounds = self
            .snapshot
            .window_bounds_after(*at, holder, self.to, CHUNK)?;
        let mut candidates: BTreeSet<Candidate> = bounds.into_iter().collect();
        for (date, products) in dates.range(*at..self.to) {
            let is_enough = candidates.iter().nth(CHUNK - 1);
            if is_enough.is_some_and(|(last, _)| last < date) {
                break;
            }
            let after = holder.filter(|_| date == at);
            let holders = self.snapshot.holders_after(after, products, *date, CHUNK)?;
            candidates.extend(holders.into_iter().map(|holder| (*date, holder)));
        }
        Ok(candidates.into_iter().take(CHUNK).collect())
    }

    /// Of the past there is no projection: everybody is looked at, and the first turns of all are kept.
    fn of_everybody_then(&mut self, knowledge: &Knowledge) -> Result<ControlFlow<()>, StoreError> {
        let room = self
            .limit
            .saturating_sub(self.turns.len())
            .saturating_add(1);
        let mut first: BTreeSet<UserTurn> = BTreeSet::new();
        let mut people = People::after(self.snapshot, None);
        while let Some(user) = people.next()? {
            let (_, turns) = self.turns_of(&user, knowledge)?;
            for turn in turns.into_iter().filter(|turn| self.is_next(turn)) {
                first.insert(turn);
                if first.len() > room {
                    first.pop_last();
                }
            }
        }
        for turn in first {
            if self.is_full() {
                return Ok(ControlFlow::Break(()));
            }
            let person = knowledge.person(self.snapshot, &turn.place.user)?;
            self.give(&person, knowledge, &turn)?;
        }
        Ok(ControlFlow::Continue(()))
    }
}
