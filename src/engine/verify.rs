//! Verifying the log, and that the projection follows from it.

use super::EngineError;
use super::erasing::record::Left;
use super::erasing::verifying::{is_as_left, knows_no_other};
use super::facts::{project, rules_at};
use super::head::KeptHead;
use super::reader::Reader;
use crate::domain::event::{Event, RecordedEvent, Statement};
use crate::domain::id::{DedupeKey, GrantId, Position, SourceName};
use crate::store::chain::hash;
use crate::store::{Entry, Hash, RecordedLink, Snapshot, StoreError, StoreReader};

/// How many entries or grants are held in memory at a time.
pub(super) const CHUNK: usize = 1_000;

/// How far a long work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being counted.
    pub what: &'static str,
    /// How many are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// What [`Reader::verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// How many entries of the log were checked.
    pub entries: u64,
    /// How many grants were folded and compared.
    pub grants: u64,
    /// The last entry that is sound.
    pub head: KeptHead,
    /// The first fault, if there is one.
    pub fault: Option<Fault>,
}

/// What is wrong with a log or its projection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An entry is missing: another one stands in its place.
    #[error("position {expected}: the entry is missing, position {found} follows")]
    Missing {
        /// The position that should come next.
        expected: Position,
        /// The one that does.
        found: Position,
    },
    /// The content of an entry, its body or events, is not what was recorded.
    #[error("position {0}: the content is not what was recorded")]
    Content(Position),
    /// An entry is not the one that was chained here: it was altered, inserted or moved.
    #[error("position {0}: the entry does not follow the one before")]
    Chain(Position),
    /// A look-up by which an event of the entry has to be found passes it over: an index was altered.
    #[error("position {0}: a look-up does not find an event of the entry")]
    Lookup(Position),
    /// An entry was not recorded after the one before.
    #[error("position {0}: recorded no later than the entry before")]
    RecordedTime(Position),
    /// The log ends before an entry whose hash was kept: what stood there was cut off.
    #[error(
        "the log ends at position {end}, but a head was kept of position {kept}: what followed was cut off"
    )]
    Cut {
        /// The position of the head that was kept.
        kept: Position,
        /// The last position there is.
        end: Position,
    },
    /// The log is sound in itself, but not the one whose hash was kept: from here or from before on it was written anew.
    #[error("position {0}: not the entry whose hash was kept; the log was rewritten")]
    Rewritten(Position),
    /// What the store keeps beside the log contradicts it.
    #[error("{0}")]
    Contradiction(String),
    /// An entry that is not there counts as erased, or a key as one that held an erased id, though no erasure says so.
    #[error("the tables of what was erased say other things than the erasures of the log")]
    Erased,
    /// What is stored of a grant is not what follows from the log. A rebuild mends this.
    #[error("grant {0}: the projection does not follow from the log; `rebuild` mends it")]
    Projection(GrantId),
    /// Something is stored of a grant that the log does not know. A rebuild mends this.
    #[error("grant {0}: is projected, but no event names it; `rebuild` mends it")]
    Stray(GrantId),
}

impl Fault {
    /// The position of the fault, if it lies in the log.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Missing { expected, .. } => Some(*expected),
            Self::Content(position)
            | Self::Chain(position)
            | Self::Lookup(position)
            | Self::RecordedTime(position)
            | Self::Rewritten(position) => Some(*position),
            Self::Cut { end, .. } => Some(Position(end.0.saturating_add(1))),
            Self::Contradiction(_) | Self::Erased | Self::Projection(_) | Self::Stray(_) => None,
        }
    }
}

impl<R: StoreReader> Reader<R> {
    /// Checks the hash chain over the whole log, that what stands beside it agrees with it, and that the projection is what
    /// follows from it. Stops at the first fault.
    ///
    /// # Errors
    /// If the store cannot be read. A fault is not an error but a finding.
    pub fn verify(
        &mut self,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Verification, EngineError> {
        self.verify_against(&[], progress)
    }

    /// As [`Reader::verify`], and that the log still goes through the heads that were kept elsewhere. Only so a log whose
    /// end was cut off, or that was written anew as a whole, is told from a sound one.
    ///
    /// # Errors
    /// As [`Reader::verify`].
    pub fn verify_against(
        &mut self,
        kept: &[KeptHead],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Verification, EngineError> {
        self.read(|snapshot| {
            let (entries, head, fault) = verify_log(snapshot, progress)?;
            let mut verification = Verification {
                entries,
                grants: 0,
                head,
                fault,
            };
            if verification.fault.is_none() {
                verification.fault = beside_log(snapshot, kept)?;
            }
            if verification.fault.is_none() {
                (verification.grants, verification.fault) = verify_projection(snapshot, progress)?;
            }
            Ok(verification)
        })
    }
}

/// What a log that is sound in itself is still to be held against.
fn beside_log(snapshot: &dyn Snapshot, kept: &[KeptHead]) -> Result<Option<Fault>, StoreError> {
    for head in kept.iter().filter(|head| head.position.0 > 0) {
        match snapshot.entry(head.position)? {
            None => {
                let (kept, end) = (head.position, snapshot.head()?.position);
                return Ok(Some(Fault::Cut { kept, end }));
            }
            Some(entry) if entry.hash != head.hash => {
                return Ok(Some(Fault::Rewritten(head.position)));
            }
            Some(_) => {}
        }
    }
    Ok(snapshot.contradiction()?.map(Fault::Contradiction))
}

fn verify_log(
    snapshot: &dyn Snapshot,
    progress: &mut dyn FnMut(Progress),
) -> Result<(u64, KeptHead, Option<Fault>), StoreError> {
    let total = snapshot.statistics()?.entries;
    let left = Left::of(&snapshot.erasures()?);
    let mut erased = 0;
    let mut before: Option<Entry> = None;
    let mut done = 0;
    loop {
        let after = before
            .as_ref()
            .map_or(Position::default(), |entry| entry.position);
        let entries = snapshot.entries_after(after, CHUNK)?;
        if entries.is_empty() {
            let fault = (!knows_no_other(snapshot, &left, erased)?).then_some(Fault::Erased);
            return Ok((done, head_of(before.as_ref()), fault));
        }
        for entry in entries {
            if let Some(fault) = fault_of(snapshot, before.as_ref(), &entry, &left)? {
                return Ok((done, head_of(before.as_ref()), Some(fault)));
            }
            done += 1;
            erased += u64::from(entry.erased_by.is_some());
            before = Some(entry);
        }
        progress(Progress {
            what: "entries",
            done,
            total,
        });
    }
}

fn head_of(entry: Option<&Entry>) -> KeptHead {
    entry.map_or_else(KeptHead::default, |entry| KeptHead {
        position: entry.position,
        hash: entry.hash,
    })
}

fn fault_of(
    snapshot: &dyn Snapshot,
    before: Option<&Entry>,
    entry: &Entry,
    left: &Left,
) -> Result<Option<Fault>, StoreError> {
    let expected = Position(before.map_or(0, |entry| entry.position.0).saturating_add(1));
    if entry.position != expected {
        let found = entry.position;
        return Ok(Some(Fault::Missing { expected, found }));
    }
    let recorded = snapshot.events_of(entry.position)?;
    if !are_of(entry, &recorded) {
        return Ok(Some(Fault::Content(entry.position)));
    }
    let events: Vec<Event> = recorded.iter().map(|it| it.event.clone()).collect();
    if !is_as_left(entry, &events, left) {
        return Ok(Some(Fault::Content(entry.position)));
    }
    let previous = before.map_or(Hash::default(), |entry| entry.hash);
    if hash(previous, entry.position, &entry.fact, entry.digest) != entry.hash {
        return Ok(Some(Fault::Chain(entry.position)));
    }
    for event in &recorded {
        if !is_found(snapshot, event)? {
            return Ok(Some(Fault::Lookup(entry.position)));
        }
    }
    if before.is_some_and(|before| before.fact.recorded_at >= entry.fact.recorded_at) {
        return Ok(Some(Fault::RecordedTime(entry.position)));
    }
    Ok(None)
}

/// Whether what each event repeats of its entry, which the digest does not cover, is what the entry says.
fn are_of(entry: &Entry, events: &[RecordedEvent]) -> bool {
    let delivery = entry.fact.of.unwrap_or(entry.position);
    let sequence = if entry.fact.arrival_is_order {
        delivery.0
    } else {
        0
    };
    let is_of = |(index, event): (u32, &RecordedEvent)| {
        event.position == entry.position
            && event.recorded_at == entry.fact.recorded_at
            && event.sequence == sequence
            && event.key.source == entry.fact.source
            && event.key.dedupe_key == entry.fact.dedupe_key
            && event.key.index == index
    };
    u32::try_from(events.len()) == Ok(entry.events) && (0..).zip(events).all(is_of)
}

/// Whether an event is found by whatever asks for it: the log is only as good as the look-ups that lead into it.
fn is_found(snapshot: &dyn Snapshot, recorded: &RecordedEvent) -> Result<bool, StoreError> {
    let same =
        |found: &RecordedEvent| found.position == recorded.position && found.key == recorded.key;
    let is_found = match &recorded.event.statement {
        Statement::Grant(statement) => {
            let grant = &statement.grant;
            for user in statement.users() {
                if !snapshot.grants_naming(user)?.contains(grant) {
                    return Ok(false);
                }
            }
            match statement.parent_grant() {
                None => true,
                Some(parent) => snapshot.children(&parent)?.contains(grant),
            }
        }
        Statement::User(statement) => {
            let found = snapshot.user_events(&statement.source, &statement.user)?;
            found.iter().any(same)
        }
        Statement::Link { user, alias } => {
            let joins = |link: &RecordedLink| link.user == *user && link.alias == *alias;
            snapshot.links(user)?.iter().any(joins) && snapshot.links(alias)?.iter().any(joins)
        }
        Statement::Withdrawal { source, key } => took_effect(snapshot, source, key, recorded)?,
    };
    Ok(is_found && is_withdrawn_by_log(snapshot, recorded)?)
}

/// Whether what a withdrawal names, if it is there, counts as taken back from the withdrawal on at the latest.
fn took_effect(
    snapshot: &dyn Snapshot,
    source: &SourceName,
    key: &DedupeKey,
    withdrawal: &RecordedEvent,
) -> Result<bool, StoreError> {
    let Some(holder) = snapshot.key_holder(source, key)? else {
        return Ok(true);
    };
    let named = snapshot.events_of(holder)?;
    Ok(named.iter().all(|event| {
        matches!(event.event.statement, Statement::Withdrawal { .. })
            || event
                .withdrawn_at
                .is_some_and(|at| at <= withdrawal.recorded_at)
    }))
}

/// Whether an event that counts as taken back was taken back by an entry of the log.
fn is_withdrawn_by_log(
    snapshot: &dyn Snapshot,
    recorded: &RecordedEvent,
) -> Result<bool, StoreError> {
    let Some(withdrawn_at) = recorded.withdrawn_at else {
        return Ok(true);
    };
    let events = snapshot.events_of(snapshot.position_at(withdrawn_at)?)?;
    Ok(events.iter().any(|event| {
        let names_it = match &event.event.statement {
            Statement::Withdrawal { source, key } => {
                *source == recorded.key.source && *key == recorded.key.dedupe_key
            }
            Statement::Grant(_) | Statement::User(_) | Statement::Link { .. } => false,
        };
        names_it && event.recorded_at == withdrawn_at
    }))
}

fn verify_projection(
    snapshot: &dyn Snapshot,
    progress: &mut dyn FnMut(Progress),
) -> Result<(u64, Option<Fault>), StoreError> {
    let rules = rules_at(&snapshot.rules()?, None);
    let total = snapshot.statistics()?.grants;
    let mut done = 0;
    let mut after: Option<GrantId> = None;
    loop {
        let grants = snapshot.grants_after(after.as_ref(), CHUNK)?;
        let Some(last) = grants.last().cloned() else {
            break;
        };
        for grant in grants {
            if project(snapshot, &grant, &rules, None)? != snapshot.projection(&grant)? {
                return Ok((done, Some(Fault::Projection(grant))));
            }
            done += 1;
        }
        progress(Progress {
            what: "grants",
            done,
            total: total.max(done),
        });
        after = Some(last);
    }
    Ok((done, stray(snapshot)?.map(Fault::Stray)))
}

/// The first grant that has a projection though no event names it.
fn stray(snapshot: &dyn Snapshot) -> Result<Option<GrantId>, StoreError> {
    let mut after: Option<GrantId> = None;
    loop {
        let projected = snapshot.projected_after(after.as_ref(), CHUNK)?;
        let Some(last) = projected.last() else {
            return Ok(None);
        };
        for grant in &projected {
            if snapshot.grant_events(grant)?.is_empty() {
                return Ok(Some(grant.clone()));
            }
        }
        after = Some(last.clone());
    }
}
