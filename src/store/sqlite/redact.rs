//! Erasing an entry in the tables, and then in the file.

use rusqlite::{Connection, params};

use super::known::{Known, Rare};
use super::rows::{self, StatementColumns};
use super::{Session, failure};
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::id::{GrantId, UserId};
use crate::store::chain::{self, Hash};
use crate::store::erasure::left_of;
use crate::store::{FormerKey, NewEntry, Redaction, Snapshot as _, StoreError, append};

pub(super) const PUT_ERASED: &str = "INSERT INTO erased (position, erased_by) VALUES (?1, ?2) \
     ON CONFLICT DO UPDATE SET erased_by = excluded.erased_by";
const REDACT_DELIVERY: &str = "UPDATE deliveries SET dedupe_key = ?2, field = ?3, detail = ?4, salt = ?5, body = ?6, \
     query = NULL, headers = NULL WHERE position = ?1";
const REDACT_EVENT: &str = "UPDATE events SET grant_key = ?3, dedupe_key = ?4, user_id = ?5, other_user_id = ?6, \
     parent = ?7, statement = ?8 WHERE position = ?1 AND event_index = ?2";
const RENAME_PARKED: &str = "UPDATE quarantine SET dedupe_key = ?2 WHERE position = ?1";
const FORGET_MENTIONS: &str = "DELETE FROM mentions WHERE position = ?1";
const RENAME_WITHDRAWAL: &str =
    "UPDATE withdrawals SET dedupe_key = ?3 WHERE source = ?1 AND dedupe_key = ?2";
const FORGET_GRANT_USER: &str = "DELETE FROM segments WHERE user_id = ?1 AND source = ?2 AND grant_key = ?3 \
     AND NOT EXISTS (SELECT 1 FROM events e WHERE e.source = ?2 AND e.grant_key = ?3 \
     AND (e.user_id = ?1 OR e.other_user_id = ?1))";
const PUT_FORMER_KEY: &str = "INSERT INTO former_keys (digest, now) VALUES (?1, ?2) \
     ON CONFLICT DO UPDATE SET now = excluded.now";

impl Session<'_> {
    pub(super) fn redact_entry(&self, redaction: &Redaction) -> Result<Hash, StoreError> {
        let position = redaction.position;
        let missing = || StoreError::Corrupt(format!("position {position}: there is no entry"));
        let entry = self.entry(position)?.ok_or_else(missing)?;
        let events = self.events_of(position)?;
        let fact = left_of(&entry, redaction);
        let recorded = append::redacted(&fact, redaction, &events)?;
        let head = self.head()?.hash;
        let salt = self
            .salts()?
            .replacement(position, redaction.erased_by, head);
        let number = rows::number(position);
        // What is left may be other rules, or name other parents.
        self.known.replace(Known::default());
        // The triggers let nothing be changed of an entry that is not erased.
        self.run(PUT_ERASED, [number, rows::number(redaction.erased_by)])?;
        self.redact_delivery(number, &fact, salt)?;
        for (before, after) in events.iter().zip(&recorded) {
            self.redact_event(before, after)?;
        }
        if append::is_parked(&fact) {
            self.run(RENAME_PARKED, params![number, fact.dedupe_key.as_str()])?;
            self.run(FORGET_MENTIONS, [number])?;
        }
        Ok(chain::digest(&fact, &redaction.events, &salt))
    }

    fn redact_delivery(
        &self,
        position: i64,
        fact: &NewEntry,
        salt: [u8; 16],
    ) -> Result<(), StoreError> {
        let refusal = fact.refusal.as_ref();
        let params = params![
            position,
            fact.dedupe_key.as_str(),
            refusal.map(|refusal| refusal.field.as_str()),
            refusal.map(|refusal| refusal.detail.as_str()),
            salt,
            fact.body,
        ];
        self.run(REDACT_DELIVERY, params).map(|_| ())
    }

    fn redact_event(
        &self,
        before: &RecordedEvent,
        after: &RecordedEvent,
    ) -> Result<(), StoreError> {
        let columns = self.columns(after)?;
        let params = params![
            rows::number(after.position),
            after.key.index,
            columns.grant_key,
            after.key.dedupe_key.as_str(),
            columns.user_id.map(UserId::as_str),
            columns.other_user_id.map(UserId::as_str),
            columns.parent.map(|parent| parent.as_str()),
            columns.statement,
        ];
        self.run(REDACT_EVENT, params)?;
        if let Statement::Grant(statement) = &before.event.statement {
            for user in statement.users() {
                self.forget_grant_user(user, &statement.grant)?;
            }
        }
        self.name_grant_users(&columns)?;
        if let (Statement::Withdrawal { source, key }, Statement::Withdrawal { key: renamed, .. }) =
            (&before.event.statement, &after.event.statement)
            && key != renamed
        {
            let params = [source.as_str(), key.as_str(), renamed.as_str()];
            self.run(RENAME_WITHDRAWAL, params)?;
        }
        Ok(())
    }

    /// Unless another event still says so. What the grant gave the user goes as well: nothing else leads to it then.
    fn forget_grant_user(&self, user: &UserId, grant: &GrantId) -> Result<(), StoreError> {
        let params = [user.as_str(), grant.source.as_str(), grant.key.as_str()];
        if self.run(FORGET_GRANT_USER, params)? > 0 {
            self.delete_windows(grant, user)?;
        }
        Ok(())
    }

    pub(super) fn columns<'e>(
        &self,
        recorded: &'e RecordedEvent,
    ) -> Result<StatementColumns<'e>, StoreError> {
        let columns = StatementColumns::of(&recorded.event.statement, &recorded.key.source);
        columns.map_err(|error| {
            self.is_doomed.set(true);
            StoreError::Corrupt(error.to_string())
        })
    }

    pub(super) fn put_former_key(&self, key: &FormerKey) -> Result<(), StoreError> {
        self.learn(Rare::FormerKey);
        self.run(PUT_FORMER_KEY, params![key.digest.0, key.now])
            .map(|_| ())
    }

    pub(super) fn forget_receipts_that(
        &self,
        hold: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let batches = self.all("SELECT run, batch, receipts FROM batches", [], |row| {
            Ok((
                row.get::<_, [u8; 32]>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, Vec<u8>>(2)?,
            ))
        })?;
        for (run, batch, receipts) in batches {
            if hold(&receipts) {
                let forget = "DELETE FROM batches WHERE run = ?1 AND batch = ?2";
                self.run(forget, params![run, batch])?;
            }
        }
        Ok(())
    }
}

/// Rewrites the file without what was freed, and empties its log. `secure_delete` overwrites what is deleted, but what a
/// page held that was since written anew in another order may be left at its end.
pub(super) fn wipe(connection: &Connection) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| failure(&error);
    connection.execute_batch("VACUUM").map_err(failed)?;
    let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, bool>(0)
    });
    if is_busy.map_err(failed)? {
        let message =
            "another process reads an older state of it, which keeps what was erased on the disk";
        return Err(StoreError::Unavailable(message.to_owned()));
    }
    Ok(())
}
