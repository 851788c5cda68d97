//! What was known at a position of the log, and where a cursor stands in it.

use std::sync::Arc;

use super::cursor::{ChangesCursor, CursorError};
use super::{ChangesQuestion, person};
use crate::domain::decision::Person;
use crate::domain::id::{Position, UserId};
use crate::domain::rules::Rules;
use crate::domain::time::RecordedAt;
use crate::domain::turn::Scope;
use crate::engine::EngineError;
use crate::engine::facts::rules_at;
use crate::store::{Snapshot, StoreError};

/// What was known at a position of the log.
pub(super) struct Knowledge {
    pub(super) position: Position,
    /// `None`: all that is recorded.
    pub(super) known_at: Option<RecordedAt>,
    /// Without the catalog where products are followed: each then includes itself only.
    pub(super) rules: Arc<Rules>,
}

impl Knowledge {
    pub(super) fn at(
        snapshot: &dyn Snapshot,
        position: Position,
        scope: &Scope,
    ) -> Result<Self, StoreError> {
        let known_at = if snapshot.head()?.position == position {
            None
        } else {
            recorded_at(snapshot, position)?
        };
        let mut rules = match position {
            Position(0) => Arc::default(),
            Position(_) => rules_at(&snapshot.rules()?, known_at),
        };
        if *scope == Scope::Products {
            Arc::make_mut(&mut rules).products.clear();
        }
        Ok(Self {
            position,
            known_at,
            rules,
        })
    }

    pub(super) fn person(
        &self,
        snapshot: &dyn Snapshot,
        user: &UserId,
    ) -> Result<Person, StoreError> {
        if self.position == Position::default() {
            return Ok(Person::default());
        }
        person(snapshot, user, &self.rules, self.known_at)
    }
}

fn recorded_at(
    snapshot: &dyn Snapshot,
    position: Position,
) -> Result<Option<RecordedAt>, StoreError> {
    let entry = snapshot.entry(position)?;
    Ok(entry.map(|entry| entry.fact.recorded_at))
}

/// The first bytes of the hash at a position: the same in a copy of the log, another in another log.
fn mark(snapshot: &dyn Snapshot, position: Position) -> Result<Option<String>, StoreError> {
    if position == Position::default() {
        return Ok(Some(String::new()));
    }
    let entry = snapshot.entry(position)?;
    Ok(entry.map(|entry| {
        let first = entry.hash.0.iter().take(4);
        first.map(|byte| format!("{byte:02x}")).collect()
    }))
}

impl ChangesCursor {
    /// Before everything, by what is known at `position`: nothing was given, so nothing has to be corrected.
    pub(super) fn begin(
        snapshot: &dyn Snapshot,
        question: &ChangesQuestion,
        position: Position,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            from: question.from,
            user: question.user.clone(),
            resource: question.resource.clone(),
            before: question.from,
            place: None,
            position,
            mark: mark(snapshot, position)?.unwrap_or_default(),
            pass: None,
        })
    }

    pub(super) fn checked(
        &self,
        snapshot: &dyn Snapshot,
        question: &ChangesQuestion,
        target: Position,
    ) -> Result<Self, EngineError> {
        let is_same = self.from == question.from
            && self.user == question.user
            && self.resource == question.resource;
        if !is_same {
            return Err(CursorError::OtherQuestion.into());
        }
        let seen = self.pass.as_ref().map_or(self.position, |pass| pass.to);
        if seen > target && seen <= snapshot.head()?.position {
            return Err(CursorError::LaterThanAsOf.into());
        }
        if seen > target || mark(snapshot, self.position)? != Some(self.mark.clone()) {
            return Err(CursorError::OtherLog.into());
        }
        Ok(self.clone())
    }

    /// Goes on to the knowledge of another position.
    pub(super) fn move_to(
        &mut self,
        snapshot: &dyn Snapshot,
        position: Position,
    ) -> Result<(), StoreError> {
        self.position = position;
        self.mark = mark(snapshot, position)?.unwrap_or_default();
        self.pass = None;
        Ok(())
    }

    /// The question a reading goes on with: that of the cursor, up to another instant.
    pub fn question(
        &self,
        to: crate::domain::time::Instant,
        as_of: Option<RecordedAt>,
    ) -> ChangesQuestion {
        ChangesQuestion {
            from: self.from,
            to,
            user: self.user.clone(),
            resource: self.resource.clone(),
            as_of,
        }
    }
}
