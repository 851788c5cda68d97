//! A pseudonym in the place of an id, wherever events and keys hold it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::trace::{Form, Trace};
use crate::domain::event::{Change, Event, Granted, Statement, UserChange, UserStatement};
use crate::domain::id::{
    BlockName, DedupeKey, GrantId, GrantKey, IdError, Mention, PeriodName, SourceName, UserId,
};
use crate::provider::digest;
use crate::store::{Snapshot, StoreError};

/// Whose data is erased, and which grants are the user's own.
pub(super) struct Scope {
    pub(super) user: UserId,
    pub(super) trace: Trace,
    /// Every grant some event of which names the id.
    pub(super) grants: BTreeSet<GrantId>,
    /// Of grants that do not, whether their key is renamed, as far as it was asked.
    others: RefCell<BTreeMap<GrantId, bool>>,
}

impl Scope {
    pub(super) fn of(snapshot: &dyn Snapshot, user: &UserId) -> Result<Self, StoreError> {
        Ok(Self {
            user: user.clone(),
            trace: Trace::new(user, &snapshot.rules()?),
            grants: snapshot.grants_naming(user)?.into_iter().collect(),
            others: RefCell::default(),
        })
    }

    /// Whether an event is about the user: it names the id, or a grant of the user's and nobody else.
    pub(super) fn is_about(&self, statement: &Statement) -> bool {
        let users = statement.users();
        users.contains(&&self.user)
            || match statement {
                Statement::Grant(grant) => users.is_empty() && self.grants.contains(&grant.grant),
                Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => false,
            }
    }

    /// Whether a grant's key is renamed for that form of the id in it. One that others hold, and never this user, keeps its
    /// key: what its system says next has to find it.
    fn renames_grant(
        &self,
        snapshot: &dyn Snapshot,
        grant: &GrantId,
        form: &Form,
    ) -> Result<bool, StoreError> {
        if self.grants.contains(grant) {
            return Ok(true);
        }
        if !form.is_telling() {
            return Ok(false);
        }
        if let Some(known) = self.others.borrow().get(grant) {
            return Ok(*known);
        }
        let renames = snapshot.names_of(grant)?.users.is_empty();
        self.others.borrow_mut().insert(grant.clone(), renames);
        Ok(renames)
    }

    /// Whether a delivery's key is renamed for that form of the id in it.
    fn renames_delivery(
        &self,
        snapshot: &dyn Snapshot,
        source: &SourceName,
        key: &DedupeKey,
        form: &Form,
    ) -> Result<bool, StoreError> {
        if form.is_telling() {
            return Ok(true);
        }
        if let Some(holder) = snapshot.key_holder(source, key)? {
            let events = snapshot.events_of(holder)?;
            if events.iter().any(|it| self.is_about(&it.event.statement)) {
                return Ok(true);
            }
        }
        let mentioning = snapshot.parked_mentioning(&Mention::from(&self.user))?;
        let parked = snapshot.parked_with_key(source, key)?;
        Ok(parked.iter().any(|it| mentioning.contains(&it.position)))
    }
}

/// A pseudonym for the id of a scope.
pub(super) struct Renaming<'a> {
    pub(super) scope: &'a Scope,
    pub(super) pseudonym: UserId,
    /// What nobody can guess, for keys that would become too long.
    pub(super) secret: [u8; 16],
}

impl Renaming<'_> {
    /// To find out what is renamed at all, before there is a pseudonym.
    pub(super) fn probe(scope: &Scope) -> Result<Renaming<'_>, StoreError> {
        let names = ["erased-", "erased+"];
        let other = names.into_iter().find(|name| *name != scope.user.as_str());
        Ok(Renaming {
            scope,
            pseudonym: UserId::new(other.unwrap_or_default()).map_err(unreadable)?,
            secret: [0; 16],
        })
    }

    pub(super) fn user(&self, user: &UserId) -> UserId {
        if *user == self.scope.user {
            self.pseudonym.clone()
        } else {
            user.clone()
        }
    }

    pub(super) fn grant(
        &self,
        snapshot: &dyn Snapshot,
        grant: &GrantId,
    ) -> Result<GrantId, StoreError> {
        let renames = |form: &Form| self.scope.renames_grant(snapshot, grant, form);
        let key = self.renamed(&grant.source, grant.key.as_str(), &renames, GrantKey::new)?;
        Ok(GrantId {
            source: grant.source.clone(),
            key: key.unwrap_or_else(|| grant.key.clone()),
        })
    }

    pub(super) fn delivery(
        &self,
        snapshot: &dyn Snapshot,
        source: &SourceName,
        key: &DedupeKey,
    ) -> Result<DedupeKey, StoreError> {
        let renames = |form: &Form| self.scope.renames_delivery(snapshot, source, key, form);
        let renamed = self.renamed(source, key.as_str(), &renames, DedupeKey::new)?;
        Ok(renamed.unwrap_or_else(|| key.clone()))
    }

    pub(super) fn event(
        &self,
        snapshot: &dyn Snapshot,
        event: &Event,
    ) -> Result<Event, StoreError> {
        let statement = match &event.statement {
            Statement::Grant(statement) => {
                let mut renamed = statement.clone();
                let source = &statement.grant.source;
                renamed.grant = self.grant(snapshot, &statement.grant)?;
                renamed.user = statement.user.as_ref().map(|user| self.user(user));
                self.change(snapshot, source, &mut renamed.change)?;
                if self.scope.grants.contains(&statement.grant) {
                    self.names(source, &mut renamed.change)?;
                }
                Statement::Grant(renamed)
            }
            Statement::User(statement) => Statement::User(self.of_user(statement)?),
            Statement::Link { user, alias } => Statement::Link {
                user: self.user(user),
                alias: self.user(alias),
            },
            Statement::Withdrawal { source, key } => Statement::Withdrawal {
                source: source.clone(),
                key: self.delivery(snapshot, source, key)?,
            },
        };
        Ok(Event {
            effective_at: event.effective_at,
            statement,
        })
    }

    /// The users and the parent a change names.
    fn change(
        &self,
        snapshot: &dyn Snapshot,
        source: &SourceName,
        change: &mut Change,
    ) -> Result<(), StoreError> {
        match change {
            Change::Granted(Granted { user, parent, .. }) => {
                *user = self.user(user);
                if let Some(key) = parent {
                    let (source, grant) = (source.clone(), key.clone());
                    let grant = GrantId { source, key: grant };
                    *key = self.grant(snapshot, &grant)?.key;
                }
            }
            Change::Transferred { user } => *user = self.user(user),
            Change::Reinstated { .. }
            | Change::Resumed { .. }
            | Change::Switched { .. }
            | Change::Modified { .. }
            | Change::Rescheduled { .. }
            | Change::Renewed { .. }
            | Change::GraceExtended { .. }
            | Change::PaymentFailed
            | Change::Suspended { .. }
            | Change::Cancelled { .. }
            | Change::Refunded { .. }
            | Change::Revoked
            | Change::Ended { .. } => {}
        }
        Ok(())
    }

    /// The names of periods and blocks in a change of a grant of the user's: they only mean something within it.
    fn names(&self, source: &SourceName, change: &mut Change) -> Result<(), StoreError> {
        match change {
            Change::Granted(Granted { period_key, .. })
            | Change::Renewed { period_key, .. }
            | Change::Refunded { period_key } => {
                if let Some(name) = period_key {
                    let renamed = self.renamed(source, name.as_str(), &always, PeriodName::new)?;
                    *name = renamed.unwrap_or_else(|| name.clone());
                }
            }
            Change::Suspended { by } | Change::Resumed { by } => self.block(source, by)?,
            Change::Reinstated { .. }
            | Change::Switched { .. }
            | Change::Transferred { .. }
            | Change::Modified { .. }
            | Change::Rescheduled { .. }
            | Change::GraceExtended { .. }
            | Change::PaymentFailed
            | Change::Cancelled { .. }
            | Change::Revoked
            | Change::Ended { .. } => {}
        }
        Ok(())
    }

    fn block(&self, source: &SourceName, by: &mut Option<BlockName>) -> Result<(), StoreError> {
        if let Some(name) = by {
            let renamed = self.renamed(source, name.as_str(), &always, BlockName::new)?;
            *name = renamed.unwrap_or_else(|| name.clone());
        }
        Ok(())
    }

    fn of_user(&self, statement: &UserStatement) -> Result<UserStatement, StoreError> {
        let mut renamed = statement.clone();
        if statement.user == self.scope.user {
            renamed.user = self.pseudonym.clone();
            match &mut renamed.change {
                UserChange::Suspended { by } | UserChange::Resumed { by } => {
                    self.block(&statement.source, by)?;
                }
                UserChange::UserRemoved => {}
            }
        }
        Ok(renamed)
    }

    /// The pseudonym for the id as it is spelled in a key. Two keys may differ in nothing else, as in the case of a GUID or in
    /// whether the prefix stands before it, and have to stay two.
    fn spelled(&self, spelled: &str) -> String {
        if spelled == self.scope.user.as_str() {
            return self.pseudonym.to_string();
        }
        let digest = digest(&[&self.secret, spelled.as_bytes()]);
        let mark = DedupeKey::of_digest(digest.get(..4).unwrap_or_default());
        format!("{}-{mark}", self.pseudonym)
    }

    /// The text with the pseudonym for each form of the id in it that `renames`; `None` if nothing is renamed.
    fn renamed<T>(
        &self,
        source: &SourceName,
        text: &str,
        renames: &dyn Fn(&Form) -> Result<bool, StoreError>,
        new: impl Fn(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>, StoreError> {
        let mut renamed = text.to_owned();
        for form in self.scope.trace.forms(source) {
            if form.is_in(&renamed) && renames(form)? {
                renamed = form.replaced(&renamed, &|spelled| self.spelled(spelled));
            }
        }
        if renamed == text {
            return Ok(None);
        }
        let short = || {
            let parts = [
                &self.secret[..],
                source.as_str().as_bytes(),
                text.as_bytes(),
            ];
            let digest = DedupeKey::of_digest(&digest(&parts));
            new(&format!("{}-{digest}", self.pseudonym))
        };
        let fitting = new(&renamed).or_else(|_| short());
        fitting.map(Some).map_err(unreadable)
    }
}

fn always(_: &Form) -> Result<bool, StoreError> {
    Ok(true)
}

fn unreadable(error: IdError) -> StoreError {
    StoreError::Corrupt(format!("a name that an erasure gives: {error}"))
}
