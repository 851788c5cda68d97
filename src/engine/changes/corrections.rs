//! What entries recorded since alter in what was given.

use std::collections::{BTreeMap, BTreeSet};

use super::{Corrected, Correction, Knowledge, Pass, UserTurn, Walk};
use crate::domain::difference::{Comparison, altered_sources};
use crate::domain::event::{Event, Statement};
use crate::domain::id::{Position, UserId};
use crate::domain::turn::Scope;
use crate::engine::people::People;
use crate::engine::taking::concern;
use crate::store::{EntryKind, StoreError};

/// How many entries are held in memory at a time.
const CHUNK: usize = 256;

/// Whose turns may have changed.
enum Affected {
    Some(BTreeSet<UserId>),
    Everyone,
}

impl Walk<'_> {
    /// Gives the corrections between the knowledge of the cursor and that of a later entry. Whether it came to its end.
    pub(super) fn correct(&mut self, pass: Pass) -> Result<bool, StoreError> {
        let before = Knowledge::at(self.snapshot, self.cursor.position, &self.scope)?;
        let after = Knowledge::at(self.snapshot, pass.to, &self.scope)?;
        self.cursor.pass = Some(pass.clone());
        let first = pass.last.as_ref().map(|last| last.user.clone());
        let affected = match &self.cursor.user {
            Some(user) => Affected::Some(BTreeSet::from([user.clone()])),
            None => self.affected(&before, &after)?,
        };
        match affected {
            Affected::Some(users) => {
                let left = users.into_iter();
                for user in left.skip_while(|user| first.as_ref().is_some_and(|it| user < it)) {
                    if !self.correct_user(&user, &before, &after)? {
                        return Ok(false);
                    }
                }
            }
            Affected::Everyone => {
                let mut people = People::from(self.snapshot, first);
                while let Some(user) = people.next()? {
                    if !self.correct_user(&user, &before, &after)? {
                        return Ok(false);
                    }
                }
            }
        }
        self.cursor.move_to(self.snapshot, pass.to)?;
        Ok(true)
    }

    /// The corrections of one user that are still to be given. Whether all of them were.
    fn correct_user(
        &mut self,
        user: &UserId,
        before: &Knowledge,
        after: &Knowledge,
    ) -> Result<bool, StoreError> {
        let (_, was) = self.turns_of(user, before)?;
        let (person, is) = self.turns_of(user, after)?;
        let given = |turns: Vec<UserTurn>, is_added: bool| {
            let given = turns.into_iter().filter(|turn| self.was_given(turn));
            let key = move |turn: UserTurn| {
                let corrected = Corrected {
                    user: user.clone(),
                    at: turn.at,
                    of: turn.place.of.clone(),
                    is_added,
                    begins: turn.turn == crate::domain::turn::Turn::Begins,
                };
                (corrected, turn)
            };
            given.map(key).collect::<BTreeMap<Corrected, UserTurn>>()
        };
        let (was, is) = (given(was, false), given(is, true));
        let opposite = |of: &Corrected| Corrected {
            is_added: !of.is_added,
            ..of.clone()
        };
        let mut corrections: Vec<(Corrected, UserTurn)> = Vec::new();
        for (turns, others) in [(&was, &is), (&is, &was)] {
            let differs = |(key, _): &(&Corrected, _)| !others.contains_key(&opposite(key));
            let differing = turns.iter().filter(differs);
            corrections.extend(differing.map(|(key, turn)| (key.clone(), turn.clone())));
        }
        corrections.sort_unstable();
        for (key, turn) in corrections {
            let Some(pass) = &mut self.cursor.pass else {
                return Ok(true);
            };
            if pass.last.as_ref().is_some_and(|last| key <= *last) {
                continue;
            }
            if self.turns.len() >= self.limit {
                return Ok(false);
            }
            let correction = if key.is_added {
                Correction::Added
            } else {
                Correction::Retracted
            };
            pass.last = Some(key);
            self.push(&person, after, &turn, Some(correction))?;
        }
        Ok(true)
    }

    /// Whether the cursor stands behind a turn.
    pub(super) fn was_given(&self, turn: &UserTurn) -> bool {
        let cursor = &self.cursor;
        turn.at < cursor.before
            || turn.at == cursor.before && cursor.place.as_ref() >= Some(&turn.place)
    }

    /// Everybody whose turns may differ between two states of knowledge: the cost is that of the entries between them.
    fn affected(&self, before: &Knowledge, after: &Knowledge) -> Result<Affected, StoreError> {
        let sources = altered_sources(&before.rules, &after.rules);
        let is_followed = matches!(self.scope, Scope::Resource(_));
        let catalog = || Comparison::new(&before.rules, &after.rules).alters_products();
        if !sources.is_empty() || is_followed && catalog() {
            return Ok(Affected::Everyone);
        }
        let mut users = BTreeSet::new();
        let mut last = before.position;
        while last < after.position {
            let entries = self.snapshot.entries_after(last, CHUNK)?;
            let Some(end) = entries.last() else { break };
            last = end.position;
            let of_events = |kind| matches!(kind, EntryKind::Delivery | EntryKind::Retry);
            for entry in entries {
                if entry.position <= after.position && of_events(entry.fact.kind) {
                    self.affected_by(entry.position, &mut users)?;
                }
            }
        }
        Ok(Affected::Some(self.with_linked(users)?))
    }

    fn affected_by(
        &self,
        position: Position,
        found: &mut BTreeSet<UserId>,
    ) -> Result<(), StoreError> {
        let recorded = self.snapshot.events_of(position)?;
        let events: Vec<Event> = recorded.into_iter().map(|it| it.event).collect();
        let mut grants = BTreeSet::new();
        concern(self.snapshot, &events, &mut grants)?;
        let children = grants
            .iter()
            .map(|grant| self.snapshot.children(grant))
            .collect::<Result<Vec<_>, _>>()?;
        grants.extend(children.into_iter().flatten());
        for grant in &grants {
            // Also of events that were taken back: they counted before.
            found.extend(self.snapshot.names_of(grant)?.users);
        }
        for event in &events {
            self.joined_by(&event.statement, found)?;
        }
        Ok(())
    }

    /// The ids that a link joins, or that its withdrawal parts.
    fn joined_by(
        &self,
        statement: &Statement,
        users: &mut BTreeSet<UserId>,
    ) -> Result<(), StoreError> {
        match statement {
            Statement::Link { user, alias } => {
                users.extend([user.clone(), alias.clone()]);
            }
            Statement::Withdrawal { source, key } => {
                if let Some(holder) = self.snapshot.key_holder(source, key)? {
                    for recorded in self.snapshot.events_of(holder)? {
                        if let Statement::Link { user, alias } = recorded.event.statement {
                            users.extend([user, alias]);
                        }
                    }
                }
            }
            Statement::Grant(_) | Statement::User(_) => {}
        }
        Ok(())
    }

    /// The ids and every id that was ever linked to one of them, whether or not the link was taken back.
    fn with_linked(&self, users: BTreeSet<UserId>) -> Result<BTreeSet<UserId>, StoreError> {
        let mut unvisited: Vec<UserId> = users.iter().cloned().collect();
        let mut all = users;
        while let Some(id) = unvisited.pop() {
            for link in self.snapshot.links(&id)? {
                for end in [link.user, link.alias] {
                    if all.insert(end.clone()) {
                        unvisited.push(end);
                    }
                }
            }
        }
        Ok(all)
    }
}
