//! Handing deliveries to the engine: one, several in one transaction, or a batch of the lines of a file.

use serde_json::json;

use super::delivery::{Delivery, Receipt};
use super::history::{HistoryLine, take_history};
use super::long_grants::LongGrants;
use super::reading::{InForce, MANY, read_ahead};
use super::taking::take;
use super::{Engine, EngineError, Secrets};
use crate::domain::delivery::{Outcome, Reason, Refusal};
use crate::domain::id::{DedupeKey, Position, SourceName};
use crate::domain::rules::Rules;
use crate::domain::time::{Instant, RecordedAt};
use crate::provider::digest;
use crate::store::{
    BatchMark, EntryKind, Hash, NewEntry, RunId, Store, StoreError, StoreReader as _, Transaction,
};

/// A batch of the lines of a file, so that reading the file again after an interruption goes on where it stopped.
///
/// A run is one reading of one file. As long as it is unfinished, its batches are remembered with their receipts; a batch
/// that was taken is not taken again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Which run.
    pub run: RunId,
    /// Counted from 0.
    pub number: u64,
    /// How many lines it has.
    pub lines: u64,
    /// SHA-256 of these lines.
    pub digest: Hash,
    /// Whether the run ends with it. The run is then forgotten: the same lines may come again and mean something new.
    pub is_last: bool,
}

/// The receipts of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchReceipts {
    /// One for each delivery, in order.
    pub receipts: Vec<Receipt>,
    /// Whether the batch had been taken before, by a run that was interrupted.
    pub was_taken: bool,
}

impl<S: Store> Engine<S> {
    /// Takes one delivery. When this returns, it is durable and every later check sees it.
    ///
    /// # Errors
    /// [`EngineError::Store`] if it is unknown whether it was stored: send it again. [`EngineError::UnknownSource`] if
    /// there is no such source.
    pub fn ingest(&mut self, delivery: Delivery, now: Instant) -> Result<Receipt, EngineError> {
        let receipts = self.ingest_batch(vec![delivery], now)?;
        let receipt = receipts.into_iter().next();
        receipt.ok_or_else(|| StoreError::Corrupt("no receipt was given".to_owned()).into())
    }

    /// Takes several deliveries, in order, in one transaction: all of them or none.
    ///
    /// # Errors
    /// As [`Engine::ingest`].
    pub fn ingest_batch(
        &mut self,
        mut deliveries: Vec<Delivery>,
        now: Instant,
    ) -> Result<Vec<Receipt>, EngineError> {
        self.read_ahead(deliveries.iter_mut().collect());
        self.write_taking(|transaction, secrets, long_grants| {
            take(transaction, secrets, deliveries, now, long_grants)
        })
    }

    /// Takes a batch of lines of a file, unless it was taken before.
    ///
    /// # Errors
    /// As [`Engine::ingest`].
    pub fn ingest_lines(
        &mut self,
        batch: &Batch,
        deliveries: Vec<Delivery>,
        now: Instant,
    ) -> Result<BatchReceipts, EngineError> {
        let lines = deliveries.into_iter().map(HistoryLine::Delivery);
        self.ingest_history(batch, lines.collect(), now)
    }

    /// As [`Engine::ingest_lines`], for lines that are not all deliveries.
    pub(crate) fn ingest_history(
        &mut self,
        batch: &Batch,
        mut lines: Vec<HistoryLine>,
        now: Instant,
    ) -> Result<BatchReceipts, EngineError> {
        self.read_ahead(lines.iter_mut().filter_map(HistoryLine::delivery).collect());
        self.write_taking(|transaction, secrets, long_grants| {
            if let Some(mark) = transaction.batch(&batch.run, batch.number)?
                && mark.digest == batch.digest
            {
                return Ok(BatchReceipts {
                    receipts: receipts_from(&mark.receipts)?,
                    was_taken: true,
                });
            }
            let receipts = take_history(transaction, secrets, lines, now, long_grants)?;
            if batch.is_last {
                transaction.finish_run(&batch.run)?;
            } else {
                let mark = BatchMark {
                    lines: batch.lines,
                    digest: batch.digest,
                    receipts: receipts_to(&receipts),
                };
                transaction.mark_batch(&batch.run, batch.number, &mark)?;
            }
            Ok(BatchReceipts {
                receipts,
                was_taken: false,
            })
        })
    }

    /// Takes deliveries in one transaction, with the folds of long grants at hand.
    pub(super) fn write_taking<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction, &Secrets, &mut LongGrants) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        // If it fails they are gone: they hold what may not have been recorded.
        let mut long_grants = std::mem::take(&mut self.long_grants);
        let secrets = &self.secrets;
        let work = |transaction: &mut dyn Transaction| work(transaction, secrets, &mut long_grants);
        let done = self.store.write(work)?;
        self.long_grants = long_grants;
        Ok(done)
    }

    /// Reads deliveries before anybody has to wait, if they are many. What stands in the way of that, the transaction tells.
    fn read_ahead(&self, deliveries: Vec<&mut Delivery>) {
        if deliveries.len() < MANY {
            return;
        }
        // A handle of its own, for one that is kept may hold up whoever puts the write-ahead log back.
        let reader = self.store.reader();
        let in_force = reader.and_then(|mut reader| reader.read(InForce::of));
        if let Ok(in_force) = in_force {
            read_ahead(&in_force, &self.secrets, deliveries);
        }
    }

    /// Forgets the batches of a run that has come to its end.
    pub(crate) fn finish_run(&mut self, run: &RunId) -> Result<(), EngineError> {
        self.store
            .write(|transaction| Ok(transaction.finish_run(run)?))
    }

    /// Puts rules in force from the beginning of time, so that also an imported history is judged by them.
    ///
    /// # Errors
    /// [`EngineError::NotEmpty`] if the log has an entry already. [`EngineError::ReservedName`] if a source is called
    /// `tenure`.
    pub fn begin_with_rules(&mut self, rules: &Rules) -> Result<(), EngineError> {
        refuse_reserved(rules)?;
        self.store.write(|transaction| {
            if transaction.head()?.position != Position::default() {
                return Err(EngineError::NotEmpty);
            }
            transaction.append(rules_entry(rules, RecordedAt(Instant::FIRST))?)?;
            Ok(())
        })
    }
}

/// The entry that puts rules in force. The same rules may come into force more than once, so its time is part of its key.
pub(crate) fn rules_entry(rules: &Rules, recorded_at: RecordedAt) -> Result<NewEntry, StoreError> {
    let damaged = |_| StoreError::Corrupt("rules that cannot be written".to_owned());
    let body = serde_json::to_vec(rules).map_err(damaged)?;
    Ok(NewEntry {
        kind: EntryKind::Rules,
        of: None,
        source: SourceName::tenure(),
        dedupe_key: DedupeKey::of_digest(&digest(&[&body, &recorded_at.0.micros().to_be_bytes()])),
        recorded_at,
        received_at: None,
        outcome: Outcome::Applied,
        event_name: Some("rules_applied".to_owned()),
        refusal: None,
        body,
        headers: None,
        query: None,
        events: Vec::new(),
        mentions: Vec::new(),
        arrival_is_order: false,
    })
}

/// Refuses rules that give a source the name under which Tenure records what it does itself.
pub(crate) fn refuse_reserved(rules: &Rules) -> Result<(), EngineError> {
    let reserved = rules.sources.keys().find(|name| name.is_tenure());
    reserved.map_or(Ok(()), |name| Err(EngineError::ReservedName(name.clone())))
}

/// Receipts as they are kept with a batch.
fn receipts_to(receipts: &[Receipt]) -> Vec<u8> {
    let lines: Vec<serde_json::Value> = receipts
        .iter()
        .map(|receipt| {
            let refusal = receipt.refusal.as_ref();
            json!([
                receipt.outcome,
                receipt.position,
                receipt.kind,
                receipt.events,
                refusal.map(|it| (it.reason, &it.field, &it.detail)),
            ])
        })
        .collect();
    serde_json::to_vec(&lines).unwrap_or_default()
}

fn receipts_from(bytes: &[u8]) -> Result<Vec<Receipt>, StoreError> {
    type Kept = (
        Outcome,
        Position,
        Option<String>,
        u32,
        Option<(Reason, String, String)>,
    );
    let kept: Vec<Kept> = serde_json::from_slice(bytes)
        .map_err(|error| StoreError::Corrupt(format!("receipts of a batch: {error}")))?;
    let receipts = kept
        .into_iter()
        .map(|(outcome, position, kind, events, refusal)| Receipt {
            outcome,
            position,
            kind,
            events,
            refusal: refusal.map(|(reason, field, detail)| Refusal {
                reason,
                field,
                detail,
            }),
        });
    Ok(receipts.collect())
}
