//! Erasing a user's personal data: the bodies go, a pseudonym takes the place of the id in events and keys, and every
//! answer stays.
//!
//! The log stays a log. Metadata, digests and hashes of the erased entries are left, so the chain goes on; the erasure is an
//! entry of its own, which says what is left of them.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::rules_at;
use super::head::KeptHead;
use super::long_grants::LongGrants;
use super::quarantine::recorded_now;
use super::staff::{Grounds, GroundsError};
use super::taking::project_all;
use super::verify::Progress;
use super::{Engine, EngineError};
use crate::domain::delivery::Outcome;
use crate::domain::event::{Event, Statement};
use crate::domain::id::{DedupeKey, GrantId, Position, SourceName, UserId};
use crate::domain::rules::Rules;
use crate::domain::time::{Instant, RecordedAt};
use crate::provider::digest;
use crate::store::{
    Entry, EntryKind, FormerKey, Hash, NewEntry, Packet, Redaction, Settled, Snapshot, Store,
    StoreError, StoreReader as _, Transaction,
};

pub(super) mod again;
pub(super) mod lines;
mod order;
mod plan;
pub(super) mod record;
mod renaming;
mod trace;
pub(super) mod verifying;

pub use plan::ErasurePlan;

use record::{Left, Recorded, USER_ERASED, written};
use renaming::{Renaming, Scope};
use trace::Found;
use verifying::is_as_left;

/// How many pseudonyms are tried before one is taken that does not keep every order.
const TRIES: u64 = 48;
/// What may stand before a pseudonym. Where keys decide an order, it has to sort among them as the id did that it replaces.
const LEADS: [&str; 24] = [
    "", "!", "~", "0", "2", "4", "6", "8", "A", "D", "G", "K", "N", "R", "U", "_", "a", "d", "g",
    "k", "n", "r", "u", "x",
];
const CHUNK: usize = 1_000;

/// Who asks for an erasure, and perhaps why. Neither may hold the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureGrounds {
    actor: String,
    why: Option<String>,
}

impl ErasureGrounds {
    /// Checks both texts as [`Grounds::new`] does; it need not be said why.
    ///
    /// # Errors
    /// [`GroundsError`] if one of them says nothing, is too long or holds a control character.
    pub fn new(actor: &str, why: Option<&str>) -> Result<Self, GroundsError> {
        Grounds::new(actor, why.unwrap_or(USER_ERASED))?;
        Ok(Self {
            actor: actor.to_owned(),
            why: why.map(str::to_owned),
        })
    }
}

/// What an erasure did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// What stands in the place of the id.
    pub pseudonym: UserId,
    /// The entry that records the erasure.
    pub position: Position,
    /// That position and the hash of the entry: the head of the log from now on, to be kept elsewhere.
    pub head: KeptHead,
    /// What was erased.
    pub plan: ErasurePlan,
    /// Whether keys sort as they did. If not, an answer that hung on the order of two keys alone may be another one.
    pub keeps_order: bool,
}

impl<S: Store> Engine<S> {
    /// What an erasure of the user's personal data would touch. Nothing is changed.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn plan_erasure(
        &self,
        user: &UserId,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ErasurePlan, EngineError> {
        let secrets = &self.secrets;
        let mut reader = self.store.reader()?;
        reader.read(|snapshot| plan::plan(snapshot, secrets, user, progress))
    }

    /// Erases a user's personal data, in one transaction. What was recorded since the plan was made is looked at, too.
    /// `None` if there is nothing to erase.
    ///
    /// What is on the disk is another matter: [`Engine::wipe_erased`] has to follow.
    ///
    /// # Errors
    /// [`EngineError::NamesErased`] if the grounds hold the id. If the store fails, nothing is erased.
    pub fn erase(
        &mut self,
        plan: ErasurePlan,
        grounds: &ErasureGrounds,
        now: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Erased>, EngineError> {
        // It names users, and would be forgotten only with the next delivery.
        self.long_grants.forget();
        let secrets = &self.secrets;
        self.store.write(|transaction| {
            let plan = if plan.until == transaction.head()?.position {
                plan
            } else {
                plan::plan(transaction, secrets, &plan.user, progress)?
            };
            if plan.is_empty() {
                return Ok(None);
            }
            erase(transaction, plan, grounds, now).map(Some)
        })
    }

    /// Makes what was erased leave what lies on the disk: to be called after each erasure, and again until it succeeds.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if others who read or write hold it up, [`StoreError::Full`] if there is no room for it.
    /// The erasure stands either way.
    pub fn wipe_erased(&mut self) -> Result<(), EngineError> {
        // It may see an older state, which would hold this up.
        self.asking.close();
        Ok(self.store.wipe_erased()?)
    }
}

fn erase(
    transaction: &mut dyn Transaction,
    plan: ErasurePlan,
    grounds: &ErasureGrounds,
    now: Instant,
) -> Result<Erased, EngineError> {
    let scope = Scope::of(transaction, &plan.user)?;
    let said = [
        &grounds.actor,
        grounds.why.as_ref().unwrap_or(&grounds.actor),
    ];
    if said.into_iter().any(|text| scope.trace.is_said_in(text)) {
        return Err(EngineError::NamesErased);
    }
    let rules = rules_at(&transaction.rules()?, None);
    let recorded_at = recorded_now(transaction, now)?;
    let position = Position(transaction.head()?.position.0.saturating_add(1));
    let grants = concerned(transaction, &plan)?;
    let (renaming, keeps_order) = renaming(transaction, &scope, &grants, &rules)?;
    let renamed = renamed_grants(transaction, &renaming, &grants)?;
    let mut recorded = Recorded {
        pseudonym: Some(renaming.pseudonym.clone()),
        actor: Some(grounds.actor.clone()),
        why: grounds.why.clone(),
        ..Recorded::default()
    };
    let mut former_keys = former_grants(&renamed);
    // Whatever is to be read of the log as it was is read before anything of it changes.
    let redactions = redactions(transaction, &renaming, &plan, position, &mut former_keys)?;
    rename_packets(transaction, &renaming, &mut former_keys)?;
    for redaction in &redactions {
        let digest = transaction.redact(redaction)?;
        recorded
            .redacted
            .push((redaction.position, digest.to_string()));
    }
    for (digest, now) in former_keys {
        let key = FormerKey { digest, now };
        transaction.remember_former_key(&key)?;
        recorded.former_keys.push(written(&key));
    }
    append(transaction, &recorded, recorded_at)?;
    discard_parked(transaction, &plan.entries, position)?;
    let trace = &scope.trace;
    transaction.forget_receipts(&|receipts| {
        trace.found_in(&SourceName::tenure(), &[receipts]) == Found::Id
    })?;
    for (old, new) in &renamed {
        if old != new {
            transaction.project(old, None)?;
        }
    }
    let renamed = renamed.into_values().collect();
    project_all(transaction, &rules, renamed, &mut LongGrants::default())?;
    Ok(Erased {
        pseudonym: renaming.pseudonym,
        position,
        head: KeptHead {
            position,
            hash: transaction.head()?.hash,
        },
        plan,
        keeps_order,
    })
}

/// Every grant that an event to be erased speaks of.
fn concerned(snapshot: &dyn Snapshot, plan: &ErasurePlan) -> Result<BTreeSet<GrantId>, StoreError> {
    let mut grants: BTreeSet<GrantId> = snapshot.grants_naming(&plan.user)?.into_iter().collect();
    for position in &plan.entries {
        for recorded in snapshot.events_of(*position)? {
            if let Statement::Grant(statement) = recorded.event.statement {
                grants.extend(statement.parent_grant());
                grants.insert(statement.grant);
            }
        }
    }
    Ok(grants)
}

/// The first pseudonym under which everything keeps its order, or the first of all if none does.
fn renaming<'s>(
    transaction: &dyn Transaction,
    scope: &'s Scope,
    grants: &BTreeSet<GrantId>,
    rules: &Rules,
) -> Result<(Renaming<'s>, bool), EngineError> {
    let mut first = None;
    for number in 0..TRIES {
        let renaming = candidate(transaction, scope, number)?;
        // A short id may happen to stand in it.
        if scope.trace.is_within(renaming.pseudonym.as_str()) && number + 1 < TRIES {
            continue;
        }
        if order::is_kept(transaction, &renaming, grants, rules)? {
            return Ok((renaming, true));
        }
        first = first.or(Some(renaming));
    }
    let none = || StoreError::Corrupt("no pseudonym was found".to_owned());
    Ok((first.ok_or_else(none)?, false))
}

fn candidate<'s>(
    transaction: &dyn Transaction,
    scope: &'s Scope,
    number: u64,
) -> Result<Renaming<'s>, StoreError> {
    let drawn = transaction.draw(2 * number)?;
    let secret = transaction.draw(2 * number + 1)?;
    let digits = DedupeKey::of_digest(drawn.get(..10).unwrap_or_default());
    let lead = LEADS
        .iter()
        .cycle()
        .nth(usize::try_from(number).unwrap_or(0));
    let name = format!("{}erased-{digits}", lead.copied().unwrap_or_default());
    let unreadable = |_| StoreError::Corrupt("a pseudonym that is no id".to_owned());
    Ok(Renaming {
        scope,
        pseudonym: UserId::new(&name).map_err(unreadable)?,
        secret,
    })
}

/// Each grant with what it is from now on.
fn renamed_grants(
    snapshot: &dyn Snapshot,
    renaming: &Renaming<'_>,
    grants: &BTreeSet<GrantId>,
) -> Result<BTreeMap<GrantId, GrantId>, StoreError> {
    let renamed = |grant: &GrantId| Ok((grant.clone(), renaming.grant(snapshot, grant)?));
    grants.iter().map(renamed).collect()
}

fn former_grants(renamed: &BTreeMap<GrantId, GrantId>) -> BTreeMap<Hash, String> {
    let moved = renamed.iter().filter(|(old, new)| old != new);
    moved
        .map(|(old, new)| (FormerKey::of_grant(old), new.key.to_string()))
        .collect()
}

/// What is to be left of each entry. Keys that are renamed are added to the former ones.
fn redactions(
    snapshot: &dyn Snapshot,
    renaming: &Renaming<'_>,
    plan: &ErasurePlan,
    erased_by: Position,
    former_keys: &mut BTreeMap<Hash, String>,
) -> Result<Vec<Redaction>, StoreError> {
    let mut redactions = Vec::with_capacity(plan.entries.len());
    let left = Left::of(&snapshot.erasures()?);
    for position in &plan.entries {
        let Some(entry) = snapshot.entry(*position)? else {
            continue;
        };
        let (source, key) = (&entry.fact.source, &entry.fact.dedupe_key);
        let dedupe_key = renaming.delivery(snapshot, source, key)?;
        if dedupe_key != *key {
            former_keys.insert(FormerKey::of_delivery(source, key), dedupe_key.to_string());
        }
        if is_parked(&entry) {
            let (body, query) = (&entry.fact.body, entry.fact.query.as_deref());
            let digest = FormerKey::of_parked(source, key, body, query);
            former_keys.insert(digest, dedupe_key.to_string());
        }
        let events = snapshot.events_of(*position)?;
        let events: Vec<Event> = events.into_iter().map(|it| it.event).collect();
        // What is erased cannot be verified afterwards: an edit must not become what the erasure vouches for.
        if !is_as_left(&entry, &events, &left) {
            return Err(StoreError::Corrupt(format!(
                "position {position}: the content is not what was recorded, so nothing was erased; see `verify`"
            )));
        }
        let events = events.iter().map(|event| renaming.event(snapshot, event));
        redactions.push(Redaction {
            position: *position,
            erased_by,
            dedupe_key,
            body: body_left(&entry)?,
            events: events.collect::<Result<_, StoreError>>()?,
        });
    }
    Ok(redactions)
}

/// Whether the entry is a delivery in quarantine, as it was received.
fn is_parked(entry: &Entry) -> bool {
    entry.fact.kind == EntryKind::Delivery
        && entry.fact.outcome == Outcome::Quarantined
        && entry.erased_by.is_none()
}

/// Nothing, but of an erasure what is needed to know what it left.
fn body_left(entry: &Entry) -> Result<Vec<u8>, StoreError> {
    match entry.fact.kind {
        EntryKind::Erasure => Recorded::read(entry)?.unsaid().to_body(),
        EntryKind::Delivery | EntryKind::Retry | EntryKind::Discard | EntryKind::Rules => {
            Ok(Vec::new())
        }
    }
}

/// The latest packets of grants whose key, or the packet's, is renamed.
fn rename_packets(
    transaction: &mut dyn Transaction,
    renaming: &Renaming<'_>,
    former_keys: &mut BTreeMap<Hash, String>,
) -> Result<(), StoreError> {
    let mut after: Option<GrantId> = None;
    let mut renamed: Vec<(GrantId, GrantId, Packet)> = Vec::new();
    loop {
        let packets = transaction.packets_after(after.as_ref(), CHUNK)?;
        let Some((last, _)) = packets.last() else {
            break;
        };
        after = Some(last.clone());
        for (old, packet) in packets {
            let new = renaming.grant(transaction, &old)?;
            let key = renaming.delivery(transaction, &old.source, &packet.key)?;
            if new != old || key != packet.key {
                renamed.push((old, new, Packet { key, ..packet }));
            }
        }
    }
    for (old, new, packet) in renamed {
        transaction.forget_packet(&old)?;
        transaction.remember_packet(&new.source, &new.key, &packet)?;
        if new != old {
            former_keys.insert(FormerKey::of_grant(&old), new.key.to_string());
        }
    }
    Ok(())
}

pub(super) fn append(
    transaction: &mut dyn Transaction,
    recorded: &Recorded,
    recorded_at: RecordedAt,
) -> Result<Position, StoreError> {
    transaction.append(NewEntry {
        kind: EntryKind::Erasure,
        of: None,
        source: SourceName::tenure(),
        dedupe_key: key_of(recorded),
        recorded_at,
        received_at: None,
        outcome: Outcome::Applied,
        event_name: Some(USER_ERASED.to_owned()),
        refusal: None,
        body: recorded.to_body()?,
        headers: None,
        query: None,
        events: Vec::new(),
        mentions: Vec::new(),
        arrival_is_order: false,
    })
}

/// The pseudonym is used once, so it tells an erasure from all others.
pub(super) fn key_of(recorded: &Recorded) -> DedupeKey {
    let pseudonym = recorded.pseudonym.as_ref().map_or("", UserId::as_str);
    DedupeKey::of_digest(&digest(&[USER_ERASED.as_bytes(), pseudonym.as_bytes()]))
}

/// What is still in quarantine of what was erased cannot be retried any more.
pub(super) fn discard_parked(
    transaction: &mut dyn Transaction,
    entries: &BTreeSet<Position>,
    erasure: Position,
) -> Result<(), StoreError> {
    for position in entries {
        let parked = transaction.parked(*position)?;
        if parked.is_some_and(|parked| parked.settled == Settled::Open) {
            transaction.settle(*position, &Settled::Discarded(erasure))?;
        }
    }
    Ok(())
}
