//! What was read of one state of the file, so that it is read once.

use std::sync::Arc;

use super::Session;
use super::queries::{
    HAS_FORMER_KEYS, HAS_LINKS, HAS_PARENTS, HAS_USER_STATEMENTS, HAS_WITHDRAWALS, HEAD, RULES,
};
use super::rows::Columns as _;
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::time::RecordedAt;
use crate::store::{EntryKind, Head, RecordedRules, StoreError, append};

/// What is the same as long as nothing is written. A transaction that writes learns what it alters.
#[derive(Debug, Default)]
pub(super) struct Known {
    head: Option<Head>,
    rules: Option<Arc<[RecordedRules]>>,
    /// By [`Rare`].
    exists: [Option<bool>; 5],
}

/// What most logs have none of, or little: where there is none, nobody has to look for it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rare {
    /// Links between ids.
    Link,
    /// Grants that hang on another.
    Parent,
    /// Statements about a user instead of a grant, links among them.
    UserStatement,
    /// Keys that held an erased id.
    FormerKey,
    /// Deliveries taken back.
    Withdrawal,
}

impl Rare {
    fn query(self) -> &'static str {
        match self {
            Self::Link => HAS_LINKS,
            Self::Parent => HAS_PARENTS,
            Self::UserStatement => HAS_USER_STATEMENTS,
            Self::FormerKey => HAS_FORMER_KEYS,
            Self::Withdrawal => HAS_WITHDRAWALS,
        }
    }
}

impl Known {
    fn exists(&mut self, rare: Rare) -> Option<&mut Option<bool>> {
        self.exists.get_mut(rare as usize)
    }

    fn add(&mut self, rare: Rare) {
        if let Some(exists) = self.exists(rare) {
            *exists = Some(true);
        }
    }
}

impl Session<'_> {
    pub(super) fn known_head(&self) -> Result<Head, StoreError> {
        if let Some(head) = self.known.borrow().head {
            return Ok(head);
        }
        let head = self.one(HEAD, [], |row| {
            Ok(Head {
                position: row.position(0)?,
                recorded_at: Some(RecordedAt(row.instant(1)?)),
                hash: row.hash(2)?,
            })
        })?;
        let head = head.unwrap_or_default();
        self.known.borrow_mut().head = Some(head);
        Ok(head)
    }

    pub(super) fn known_rules(&self) -> Result<Arc<[RecordedRules]>, StoreError> {
        if let Some(rules) = &self.known.borrow().rules {
            return Ok(Arc::clone(rules));
        }
        let bodies = self.all(RULES, [], |row| {
            let body: Vec<u8> = row.get(2)?;
            Ok((row.position(0)?, RecordedAt(row.instant(1)?), body))
        })?;
        let read = |(position, recorded_at, body): (_, _, Vec<u8>)| {
            Ok(RecordedRules {
                position,
                recorded_at,
                rules: append::rules(&body)?.into(),
            })
        };
        let rules = bodies.into_iter().map(read);
        let rules: Arc<[RecordedRules]> = rules.collect::<Result<_, StoreError>>()?;
        self.known.borrow_mut().rules = Some(Arc::clone(&rules));
        Ok(rules)
    }

    /// Whether there is anything of the kind.
    pub(super) fn has(&self, rare: Rare) -> Result<bool, StoreError> {
        let known = self.known.borrow_mut().exists(rare).and_then(|it| *it);
        if let Some(exists) = known {
            return Ok(exists);
        }
        let exists = self.one(rare.query(), [], |row| row.get(0))?;
        let exists = exists.unwrap_or(false);
        if let Some(known) = self.known.borrow_mut().exists(rare) {
            *known = Some(exists);
        }
        Ok(exists)
    }

    /// What is known after an entry was appended.
    pub(super) fn learn_entry(&self, head: Head, kind: EntryKind) {
        let mut known = self.known.borrow_mut();
        known.head = Some(head);
        if kind == EntryKind::Rules {
            known.rules = None;
        }
    }

    /// What is known after an event was recorded.
    pub(super) fn learn_event(&self, recorded: &RecordedEvent) {
        let mut known = self.known.borrow_mut();
        match &recorded.event.statement {
            Statement::Link { .. } => {
                known.add(Rare::Link);
                known.add(Rare::UserStatement);
            }
            Statement::User(_) => known.add(Rare::UserStatement),
            Statement::Grant(statement) if statement.parent().is_some() => known.add(Rare::Parent),
            Statement::Withdrawal { .. } => known.add(Rare::Withdrawal),
            Statement::Grant(_) => {}
        }
    }

    pub(super) fn learn(&self, rare: Rare) {
        self.known.borrow_mut().add(rare);
    }
}
