//! Erasing an entry in memory, and what is read of erasures.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::write::{Session, forget, index};
use super::{Key, Tables};
use crate::domain::event::RecordedEvent;
use crate::domain::id::{GrantId, Mention, Position};
use crate::store::chain::{self, Hash};
use crate::store::erasure::left_of;
use crate::store::{Entry, EntryKind, FormerKey, Packet, Redaction, StoreError, append};

impl Session<'_> {
    pub(super) fn redact_entry(&mut self, redaction: &Redaction) -> Result<Hash, StoreError> {
        let position = redaction.position;
        let missing = || StoreError::Corrupt(format!("position {position}: there is no entry"));
        let (before, events) = self.tables.at(position).cloned().ok_or_else(missing)?;
        let head = self.tables.head_hash();
        let fact = left_of(&before, redaction);
        let recorded = append::redacted(&fact, redaction, &events)?;
        let mut entry = Entry {
            fact,
            salt: self.salts.replacement(position, redaction.erased_by, head),
            ..before.clone()
        };
        entry.erased_by = Some(redaction.erased_by);
        let digest = chain::digest(&entry.fact, &redaction.events, &entry.salt);
        self.tables.put(entry, recorded);
        let mentions = self.tables.forget_mentions(position);
        self.undo_by(move |tables| {
            tables.put(before, events);
            for mention in mentions {
                let positions = tables.mentions.entry(mention).or_default();
                positions.insert(position);
            }
        });
        Ok(digest)
    }

    pub(super) fn set_erased_by(&mut self, position: Position, erased_by: Option<Position>) {
        if let Some((entry, _)) = self.tables.at_mut(position) {
            entry.erased_by = erased_by;
        }
    }
}

impl Tables {
    pub(super) fn at_mut(
        &mut self,
        position: Position,
    ) -> Option<&mut (Entry, Vec<RecordedEvent>)> {
        let index = usize::try_from(position.0).ok()?.checked_sub(1)?;
        self.log.get_mut(index)
    }

    fn head_hash(&self) -> Hash {
        self.log
            .last()
            .map_or(Hash::default(), |(entry, _)| entry.hash)
    }

    /// Puts an entry with its events in the place of the one that stands there, and brings the look-ups along.
    fn put(&mut self, entry: Entry, events: Vec<RecordedEvent>) {
        let position = entry.position;
        let Some((old, old_events)) = self.at(position).cloned() else {
            return;
        };
        for event in old_events.iter().rev() {
            forget(self, event);
        }
        let key =
            |entry: &Entry| -> Key { (entry.fact.source.clone(), entry.fact.dedupe_key.clone()) };
        if self.holders.get(&key(&old)) == Some(&position) {
            self.holders.remove(&key(&old));
            self.holders.insert(key(&entry), position);
        }
        if let (Some(parked), Some(refusal)) =
            (self.quarantine.get_mut(&position), &entry.fact.refusal)
        {
            parked.refusal = refusal.clone();
        }
        for event in &events {
            index(self, event);
        }
        if let Some(slot) = self.at_mut(position) {
            *slot = (entry, events);
        }
    }

    fn forget_mentions(&mut self, position: Position) -> Vec<Mention> {
        let mut forgotten = Vec::new();
        for (mention, positions) in &mut self.mentions {
            if positions.remove(&position) {
                forgotten.push(mention.clone());
            }
        }
        self.mentions
            .retain(|_, positions: &mut BTreeSet<Position>| !positions.is_empty());
        forgotten
    }

    pub(super) fn recorded_erasures(&self) -> Vec<Entry> {
        let entries = self.log.iter().map(|(entry, _)| entry);
        let erasures = entries.filter(|entry| entry.fact.kind == EntryKind::Erasure);
        erasures.cloned().collect()
    }

    pub(super) fn erased(&self) -> usize {
        let entries = self.log.iter();
        entries
            .filter(|(entry, _)| entry.erased_by.is_some())
            .count()
    }

    pub(super) fn all_former_keys(&self) -> Vec<FormerKey> {
        let keys = self.former_keys.iter();
        keys.map(|(digest, now)| FormerKey {
            digest: *digest,
            now: now.clone(),
        })
        .collect()
    }

    pub(super) fn latest_packets(
        &self,
        after: Option<&GrantId>,
        limit: usize,
    ) -> Vec<(GrantId, Packet)> {
        let after = after.map(|grant| (grant.source.clone(), grant.key.clone()));
        let lower = after.map_or(Bound::Unbounded, Bound::Excluded);
        let packets = self.packets.range((lower, Bound::Unbounded)).take(limit);
        let grant = |(source, key): &(_, _)| GrantId {
            source: Clone::clone(source),
            key: Clone::clone(key),
        };
        packets
            .map(|(key, packet)| (grant(key), packet.clone()))
            .collect()
    }
}
