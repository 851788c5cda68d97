//! What a transaction writes.

use rusqlite::{ErrorCode, params};

use super::of_grant::of_grant;
use super::redact::PUT_ERASED;
use super::rows::{self, StatementColumns};
use super::{Session, must_reopen};
use crate::domain::delivery::Outcome;
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::id::{GrantId, GrantKey, Position, SourceName};
use crate::domain::window::Window;
use crate::store::chain::{self, Hash};
use crate::store::{
    BatchMark, EntryKind, FormerKey, Head, NewEntry, Packet, Projected, Projection, Redaction,
    RunId, Settled, Snapshot as _, StoreError, Transaction, append,
};

const INSERT_DELIVERY: &str = "INSERT INTO deliveries (position, kind, of_position, source, dedupe_key, recorded_at, \
     received_at, outcome, arrival_is_order, event_count, event_name, reason, field, detail, salt, digest, hash, \
     query, headers, body) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
const INSERT_EVENT: &str = "INSERT INTO events (source, grant_key, position, event_index, change, effective_at, \
     recorded_at, sequence, delivery_source, dedupe_key, user_id, other_user_id, product, parent, statement) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
const NAME_USER: &str = "INSERT INTO segments (user_id, source, grant_key, segments) VALUES (?1, ?2, ?3, x'') \
     ON CONFLICT DO NOTHING";
const INSERT_WITHDRAWAL: &str = "INSERT INTO withdrawals (source, dedupe_key, recorded_at, position) \
     VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
const INSERT_PARKED: &str = "INSERT INTO quarantine (position, source, dedupe_key, settled, settled_by) \
     VALUES (?1, ?2, ?3, 'open', NULL)";
pub(super) const INSERT_MENTION: &str =
    "INSERT INTO mentions (mention, position) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const COUNT_REPETITION: &str = "INSERT INTO repetitions (position, count) VALUES (?1, 1) \
     ON CONFLICT DO UPDATE SET count = count + 1";
const REMEMBER_PACKET: &str = "INSERT INTO packets (source, grant_key, dedupe_key, text_digest) \
     VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE \
     SET dedupe_key = excluded.dedupe_key, text_digest = excluded.text_digest";
const FORGET_PACKET: &str = "DELETE FROM packets WHERE source = ?1 AND grant_key = ?2";
const SETTLE: &str = "UPDATE quarantine SET settled = ?2, settled_by = ?3 WHERE position = ?1";
const MARK_BATCH: &str = "INSERT INTO batches (run, batch, lines, digest, receipts) VALUES (?1, ?2, ?3, ?4, ?5) \
     ON CONFLICT DO UPDATE SET lines = excluded.lines, digest = excluded.digest, receipts = excluded.receipts";
const ADD_TOTALS: &str = "UPDATE totals SET applied = applied + ?1, ignored = ignored + ?2, repeated = repeated + ?3, \
     events = events + ?4, grants = grants + ?5, windows = windows + ?6, anomalies = anomalies + ?7 WHERE id = 1";

/// What a transaction adds to the totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) applied: i64,
    pub(super) ignored: i64,
    pub(super) repeated: i64,
    pub(super) events: i64,
    pub(super) grants: i64,
    pub(super) windows: i64,
    pub(super) anomalies: i64,
}

impl Transaction for Session<'_> {
    fn append(&mut self, mut fact: NewEntry) -> Result<Position, StoreError> {
        let head = self.head()?;
        append::check(&fact, &head)?;
        let position = Position(head.position.0.saturating_add(1));
        let events = std::mem::take(&mut fact.events);
        let mentions = std::mem::take(&mut fact.mentions);
        let salt = self.salts()?.salt(position, head.hash);
        let digest = chain::digest(&fact, &events, &salt);
        let hash = chain::hash(head.hash, position, &fact, digest);
        let events = append::recorded(&fact, events, position)?;
        self.insert_delivery(position, &fact, events.len(), (salt, digest, hash))?;
        for event in &events {
            self.insert_event(event)?;
        }
        if append::is_parked(&fact) {
            let key = fact.dedupe_key.as_str();
            let params = params![rows::number(position), fact.source.as_str(), key];
            self.run(INSERT_PARKED, params)?;
            for mention in &mentions {
                let params = params![mention.as_str(), rows::number(position)];
                self.run(INSERT_MENTION, params)?;
            }
        }
        let head = Head {
            position,
            recorded_at: Some(fact.recorded_at),
            hash,
        };
        self.learn_entry(head, fact.kind);
        let (applied, ignored) = counted_as(&fact);
        let events = i64::try_from(events.len()).unwrap_or(i64::MAX);
        self.add(|totals| {
            totals.applied += applied;
            totals.ignored += ignored;
            totals.events += events;
        });
        Ok(position)
    }

    fn count_repetition(&mut self, position: Position) -> Result<(), StoreError> {
        self.run(COUNT_REPETITION, [rows::number(position)])?;
        self.add(|totals| totals.repeated += 1);
        Ok(())
    }

    fn remember_packet(
        &mut self,
        source: &SourceName,
        grant: &GrantKey,
        packet: &Packet,
    ) -> Result<(), StoreError> {
        let (source, grant, key) = (source.as_str(), grant.as_str(), packet.key.as_str());
        let params = params![source, grant, key, packet.text_digest.0];
        self.run(REMEMBER_PACKET, params).map(|_| ())
    }

    fn settle(&mut self, position: Position, settled: &Settled) -> Result<(), StoreError> {
        let (name, by) = rows::settled_columns(settled);
        self.run(SETTLE, params![rows::number(position), name, by])
            .map(|_| ())
    }

    fn project(
        &mut self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<(), StoreError> {
        self.replace_projection(grant, projection)
    }

    fn project_after(
        &mut self,
        grant: &GrantId,
        before: &[Window],
        projection: &Projection,
    ) -> Result<(), StoreError> {
        self.replace_known(grant, before, projection)
    }

    fn mend(
        &mut self,
        grant: &GrantId,
        projection: Option<&Projection>,
    ) -> Result<bool, StoreError> {
        self.mend_projection(grant, projection)
    }

    fn count_anew(&mut self) -> Result<Projected, StoreError> {
        self.count_projected()
    }

    fn clear_projections(&mut self) -> Result<(), StoreError> {
        self.write_totals()?;
        for sql in [
            "DELETE FROM grants",
            "UPDATE segments SET segments = x'' WHERE segments <> x''",
            "DELETE FROM windows",
            "DELETE FROM anomalies",
            "UPDATE totals SET grants = 0, windows = 0, anomalies = 0",
        ] {
            self.run(sql, [])?;
        }
        Ok(())
    }

    fn mark_batch(&mut self, run: &RunId, batch: u64, mark: &BatchMark) -> Result<(), StoreError> {
        let batch = rows::number(Position(batch));
        let lines = rows::number(Position(mark.lines));
        let params = params![run.0.0, batch, lines, mark.digest.0, mark.receipts];
        self.run(MARK_BATCH, params).map(|_| ())
    }

    fn finish_run(&mut self, run: &RunId) -> Result<(), StoreError> {
        self.run("DELETE FROM batches WHERE run = ?1", [run.0.0])
            .map(|_| ())
    }

    fn redact(&mut self, redaction: &Redaction) -> Result<Hash, StoreError> {
        self.redact_entry(redaction)
    }

    fn note_erased(&mut self, position: Position) -> Result<(), StoreError> {
        let position = rows::number(position);
        self.run(PUT_ERASED, [position, position]).map(|_| ())
    }

    fn remember_former_key(&mut self, key: &FormerKey) -> Result<(), StoreError> {
        self.put_former_key(key)
    }

    fn forget_packet(&mut self, grant: &GrantId) -> Result<(), StoreError> {
        self.run(FORGET_PACKET, of_grant(grant)).map(|_| ())
    }

    fn forget_receipts(&mut self, hold: &dyn Fn(&[u8]) -> bool) -> Result<(), StoreError> {
        self.forget_receipts_that(hold)
    }

    fn draw(&self, number: u64) -> Result<[u8; 16], StoreError> {
        Ok(self.salts()?.draw(number, self.head()?.hash))
    }
}

/// How many applied and how many ignored deliveries an entry adds.
fn counted_as(fact: &NewEntry) -> (i64, i64) {
    match (fact.kind, fact.outcome) {
        (EntryKind::Delivery | EntryKind::Retry, Outcome::Applied) => (1, 0),
        (EntryKind::Delivery | EntryKind::Retry, Outcome::Ignored) => (0, 1),
        (EntryKind::Delivery | EntryKind::Retry, Outcome::Quarantined | Outcome::Duplicate)
        | (EntryKind::Discard | EntryKind::Rules | EntryKind::Erasure, _) => (0, 0),
    }
}

impl Session<'_> {
    fn insert_delivery(
        &self,
        position: Position,
        fact: &NewEntry,
        events: usize,
        (salt, digest, hash): ([u8; 16], Hash, Hash),
    ) -> Result<(), StoreError> {
        let refusal = fact.refusal.as_ref();
        let params = params![
            rows::number(position),
            fact.kind.name(),
            fact.of.map(rows::number),
            fact.source.as_str(),
            fact.dedupe_key.as_str(),
            fact.recorded_at.0.micros(),
            fact.received_at.map(|at| at.micros()),
            fact.outcome.name(),
            fact.arrival_is_order,
            rows::limit(events),
            fact.event_name,
            refusal.map(|refusal| refusal.reason.code()),
            refusal.map(|refusal| refusal.field.as_str()),
            refusal.map(|refusal| refusal.detail.as_str()),
            salt,
            digest.0,
            hash.0,
            fact.query,
            fact.headers,
            fact.body,
        ];
        let inserted = self
            .connection
            .prepare_cached(INSERT_DELIVERY)
            .and_then(|mut statement| statement.execute(params));
        match inserted {
            Ok(_) => Ok(()),
            // Position and time follow the head, so only the key can be taken. Nothing was written: the transaction goes on.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
                    && !must_reopen(&error)
                    && self.key_holder(&fact.source, &fact.dedupe_key)?.is_some() =>
            {
                Err(StoreError::KeyHeld)
            }
            Err(error) => Err(self.note(&error)),
        }
    }

    fn insert_event(&self, recorded: &RecordedEvent) -> Result<(), StoreError> {
        let statement = &recorded.event.statement;
        let columns = self.columns(recorded)?;
        let source = columns.source.as_str();
        let params = params![
            source,
            columns.grant_key,
            rows::number(recorded.position),
            recorded.key.index,
            statement.name(),
            recorded.event.effective_at.0.micros(),
            recorded.recorded_at.0.micros(),
            rows::number(Position(recorded.sequence)),
            recorded.key.source.as_str(),
            recorded.key.dedupe_key.as_str(),
            columns.user_id.map(|user| user.as_str()),
            columns.other_user_id.map(|user| user.as_str()),
            columns.product.map(|product| product.as_str()),
            columns.parent.map(|parent| parent.as_str()),
            columns.statement,
        ];
        self.run(INSERT_EVENT, params)?;
        self.learn_event(recorded);
        self.name_grant_users(&columns)?;
        if let Statement::Withdrawal { source, key } = statement {
            let recorded_at = recorded.recorded_at.0.micros();
            let position = rows::number(recorded.position);
            let params = params![source.as_str(), key.as_str(), recorded_at, position];
            self.run(INSERT_WITHDRAWAL, params)?;
        }
        Ok(())
    }

    pub(super) fn name_grant_users(
        &self,
        columns: &StatementColumns<'_>,
    ) -> Result<(), StoreError> {
        if !columns.grant_key.is_empty() {
            for user in columns.user_id.into_iter().chain(columns.other_user_id) {
                let params = [user.as_str(), columns.source.as_str(), columns.grant_key];
                self.run(NAME_USER, params)?;
            }
        }
        Ok(())
    }

    pub(super) fn add(&self, change: impl FnOnce(&mut Totals)) {
        let mut totals = self.pending.get();
        change(&mut totals);
        self.pending.set(totals);
    }

    /// Brings the totals up to what was written.
    pub(super) fn write_totals(&self) -> Result<(), StoreError> {
        let totals = self.pending.take();
        if totals == Totals::default() {
            return Ok(());
        }
        let params = [
            totals.applied,
            totals.ignored,
            totals.repeated,
            totals.events,
            totals.grants,
            totals.windows,
            totals.anomalies,
        ];
        self.run(ADD_TOTALS, params).map(|_| ())
    }
}
