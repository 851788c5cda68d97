//! What staff state by hand: how such a statement becomes a delivery, and how the log is asked who made it and why.
//!
//! A statement by hand is a delivery of the source `staff` like any other: kept byte for byte, told from repetitions by its
//! id, taken back by a withdrawal. Who made it and why stand in its body beside what it says; whatever decodes the body
//! passes over them.

use serde::Serialize;

use super::EngineError;
use super::delivery::Delivery;
use super::erasing::record::Recorded;
use super::import::is_import;
use crate::domain::event::Origin;
use crate::domain::id::{
    BlockName, DedupeKey, GrantId, GrantKey, ProductName, SourceName, StatementId, UserId,
};
use crate::domain::time::{EffectiveAt, End, Instant};
use crate::provider::Request;
use crate::store::{Entry, EntryKind, Snapshot};

/// Who states something by hand, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    actor: String,
    why: String,
    file: Option<String>,
    row: Option<u64>,
}

/// Why texts are no grounds for a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroundsError {
    /// Nobody, or a text of blanks.
    #[error("nobody is named as the one who states it")]
    NoActor,
    /// A name of more than [`Grounds::LONGEST_ACTOR`] bytes.
    #[error(
        "the name of who states it has more than {} bytes",
        Grounds::LONGEST_ACTOR
    )]
    LongActor,
    /// Nothing, or a text of blanks.
    #[error("it is not said why")]
    NoWhy,
    /// A text of more than [`Grounds::LONGEST_WHY`] bytes.
    #[error("the reason has more than {} bytes", Grounds::LONGEST_WHY)]
    LongWhy,
    /// A control character, as a tab or a line break, in either of them.
    #[error("neither the name nor the reason may hold control characters, as a line break")]
    ControlCharacter,
}

impl Grounds {
    /// The longest name of an actor, in bytes.
    pub const LONGEST_ACTOR: usize = 256;
    /// The longest reason, in bytes.
    pub const LONGEST_WHY: usize = 2_000;

    /// Checks both texts.
    ///
    /// # Errors
    /// [`GroundsError`] if one of them says nothing, is too long or holds a control character.
    pub fn new(actor: &str, why: &str) -> Result<Self, GroundsError> {
        if actor.trim().is_empty() {
            return Err(GroundsError::NoActor);
        }
        if actor.len() > Self::LONGEST_ACTOR {
            return Err(GroundsError::LongActor);
        }
        if why.trim().is_empty() {
            return Err(GroundsError::NoWhy);
        }
        if why.len() > Self::LONGEST_WHY {
            return Err(GroundsError::LongWhy);
        }
        if actor.chars().chain(why.chars()).any(char::is_control) {
            return Err(GroundsError::ControlCharacter);
        }
        Ok(Self {
            actor: actor.to_owned(),
            why: why.to_owned(),
            file: None,
            row: None,
        })
    }

    /// The same, with where it is read from: a file and, if it is one of its rows, which. What a text of an id may not hold
    /// is left out of the name, and all after [`Grounds::LONGEST_ACTOR`] bytes.
    #[must_use]
    pub fn read_from(mut self, file: &str, row: Option<u64>) -> Self {
        let mut name = String::new();
        for letter in file.chars().filter(|letter| !letter.is_control()) {
            if name.len() + letter.len_utf8() > Self::LONGEST_ACTOR {
                break;
            }
            name.push(letter);
        }
        self.file = Some(name);
        self.row = row;
        self
    }
}

/// Something staff state by hand.
///
/// ```
/// use tenure::{
///     EffectiveAt, Engine, GrantId, Grounds, MemoryStore, Secrets, StaffChange, StaffStatement,
/// };
///
/// let mut engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
/// let now = "2026-01-10T09:00:00Z".parse()?;
/// let statement = StaffStatement {
///     id: "case-4711".parse()?,
///     at: EffectiveAt(now),
///     grounds: Grounds::new("anna", "chargeback")?,
///     change: StaffChange::Revoked {
///         grant: GrantId { source: "shop".parse()?, key: "g1".parse()? },
///         user: Some("u1".parse()?),
///     },
/// };
/// let receipt = engine.ingest(statement.delivery(), now)?;
///
/// let entry = engine.reader()?.entry(receipt.position)?.ok_or("recorded")?;
/// let attribution = entry.attribution.ok_or("stated by hand")?;
/// assert_eq!(attribution.actor.as_deref(), Some("anna"));
/// assert_eq!(attribution.why.as_deref(), Some("chargeback"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffStatement {
    /// The same id with the same content counts once. With another content it goes into quarantine.
    pub id: StatementId,
    /// From when on it holds. Withdrawals and links count from their recording on, whatever stands here.
    pub at: EffectiveAt,
    /// Who states it, and why.
    pub grounds: Grounds,
    /// What is stated.
    pub change: StaffChange,
}

/// What staff may state by hand. Each says what the change of its name says; the grants and users are of any source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaffChange {
    /// A grant is given, or stated anew as a whole.
    Granted {
        /// Which grant.
        grant: GrantId,
        /// Who holds it.
        user: UserId,
        /// What is given.
        product: ProductName,
        /// Until when.
        until: End,
        /// The start, if it is not the effective time.
        from: Option<Instant>,
        /// How it comes about.
        origin: Origin,
    },
    /// A grant is taken away, and barred if it is of another source than staff's own.
    Revoked {
        /// Which grant.
        grant: GrantId,
        /// Who holds it, where that is known: so that the log finds the statement by the user.
        user: Option<UserId>,
    },
    /// A grant has come to its end. Unlike a revocation it bars nothing: what its source states later may revive it.
    Ended {
        /// Which grant.
        grant: GrantId,
        /// Who holds it, where that is known.
        user: Option<UserId>,
    },
    /// A grant has another end.
    Modified {
        /// Which grant.
        grant: GrantId,
        /// Who holds it, where that is known.
        user: Option<UserId>,
        /// The end.
        until: End,
    },
    /// A grant gives another product.
    Switched {
        /// Which grant.
        grant: GrantId,
        /// Who holds it, where that is known.
        user: Option<UserId>,
        /// What it gives.
        product: ProductName,
    },
    /// A grant has another holder.
    Transferred {
        /// Which grant.
        grant: GrantId,
        /// Who held it, where that is known.
        from: Option<UserId>,
        /// Who holds it.
        user: UserId,
    },
    /// A cancellation, an end or a bar of staff is taken back.
    Reinstated {
        /// Which grant.
        grant: GrantId,
        /// Who holds it, where that is known.
        user: Option<UserId>,
        /// The new end, if one is stated.
        until: Option<Instant>,
    },
    /// A block is set.
    Suspended {
        /// On what.
        on: Blocked,
        /// Who holds the grant, where that is known.
        user: Option<UserId>,
        /// Its name; not stated: `staff`.
        by: Option<BlockName>,
    },
    /// The block of that name is lifted.
    Resumed {
        /// From what.
        on: Blocked,
        /// Who holds the grant, where that is known.
        user: Option<UserId>,
        /// Its name; not stated: `staff`.
        by: Option<BlockName>,
    },
    /// A delivery is taken back.
    Withdrawn {
        /// The source of the delivery.
        source: SourceName,
        /// Its dedupe key.
        key: DedupeKey,
    },
    /// Two ids are one person.
    Linked {
        /// One id.
        user: UserId,
        /// The other.
        alias: UserId,
    },
}

/// What a block stands on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blocked {
    /// One grant.
    Grant(GrantId),
    /// Whatever grant of one source a user holds.
    User {
        /// Exactly this id.
        user: UserId,
        /// In this source.
        source: SourceName,
    },
}

impl StaffStatement {
    /// The statement on its way into the log.
    pub fn delivery(&self) -> Delivery {
        let body = self.body(SourceName::STAFF, self.change.parts());
        trusted(SourceName::staff(), body)
    }

    /// The statement on its way into the log as one of a source about a grant of its own. `sender` is how it calls itself in
    /// the body.
    pub(super) fn delivery_of(&self, source: &SourceName, sender: &str) -> Delivery {
        let (subject, data) = self.change.parts();
        let data = Data {
            grant_source: None,
            ..data
        };
        trusted(source.clone(), self.body(sender, (subject, data)))
    }

    /// The dedupe key the log knows it by: what a withdrawal has to name.
    pub fn dedupe_key(&self) -> DedupeKey {
        (&self.id).into()
    }

    /// The same statement gives the same bytes, always: else a repetition would be a conflict.
    fn body(&self, source: &str, parts: (Option<&UserId>, Data<'_>)) -> Vec<u8> {
        let (subject, data) = parts;
        let envelope = Envelope {
            specversion: "1.0",
            id: &self.id,
            source,
            kind: self.change.kind(),
            time: self.at,
            subject,
            data: Data {
                actor: &self.grounds.actor,
                why: &self.grounds.why,
                file: self.grounds.file.as_deref(),
                row: self.grounds.row,
                ..data
            },
        };
        // Texts and numbers under texts: there is nothing in it that could not be written.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }
}

/// A body that Tenure made itself needs no signature.
pub(super) fn trusted(source: SourceName, body: Vec<u8>) -> Delivery {
    let request = Request {
        body,
        ..Request::default()
    };
    Delivery::trusted(source, request)
}

impl StaffChange {
    /// The type.
    fn kind(&self) -> &'static str {
        match self {
            Self::Granted { .. } => "tenure.granted",
            Self::Revoked { .. } => "tenure.revoked",
            Self::Ended { .. } => "tenure.ended",
            Self::Modified { .. } => "tenure.modified",
            Self::Switched { .. } => "tenure.switched",
            Self::Transferred { .. } => "tenure.transferred",
            Self::Reinstated { .. } => "tenure.reinstated",
            Self::Suspended { .. } => "tenure.suspended",
            Self::Resumed { .. } => "tenure.resumed",
            Self::Withdrawn { .. } => "tenure.withdrawn",
            Self::Linked { .. } => "tenure.linked",
        }
    }

    /// The subject and the fields of the body.
    fn parts(&self) -> (Option<&UserId>, Data<'_>) {
        match self {
            Self::Granted {
                grant,
                user,
                product,
                until,
                from,
                origin,
            } => {
                let data = Data {
                    product: Some(product),
                    until: Some(*until),
                    from: *from,
                    origin: Some(*origin),
                    ..Data::of_grant(grant)
                };
                (Some(user), data)
            }
            Self::Revoked { grant, user } | Self::Ended { grant, user } => {
                (user.as_ref(), Data::of_grant(grant))
            }
            Self::Modified { grant, user, until } => {
                let data = Data::of_grant(grant);
                (user.as_ref(), data.until(Some(*until)))
            }
            Self::Switched {
                grant,
                user,
                product,
            } => {
                let data = Data {
                    product: Some(product),
                    ..Data::of_grant(grant)
                };
                (user.as_ref(), data)
            }
            Self::Transferred { grant, from, user } => {
                let data = Data {
                    user: Some(user),
                    ..Data::of_grant(grant)
                };
                (from.as_ref(), data)
            }
            Self::Reinstated { grant, user, until } => {
                let data = Data::of_grant(grant);
                (user.as_ref(), data.until(until.map(End::At)))
            }
            Self::Suspended { on, user, by } | Self::Resumed { on, user, by } => {
                Data::of_block(on, user.as_ref(), by.as_ref())
            }
            Self::Withdrawn { source, key } => {
                let data = Data {
                    id: Some(key),
                    id_source: Some(source),
                    ..Data::default()
                };
                (None, data)
            }
            Self::Linked { user, alias } => {
                let data = Data {
                    alias: Some(alias),
                    ..Data::default()
                };
                (Some(user), data)
            }
        }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'static str,
    id: &'a StatementId,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    time: EffectiveAt,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a UserId>,
    data: Data<'a>,
}

#[derive(Default, Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a GrantKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_source: Option<&'a SourceName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<&'a ProductName>,
    /// An end that is stated as none is written as null.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<End>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a BlockName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a DedupeKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_source: Option<&'a SourceName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<&'a UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a UserId>,
    actor: &'a str,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
}

impl<'a> Data<'a> {
    fn of_grant(grant: &'a GrantId) -> Self {
        Self {
            grant: Some(&grant.key),
            grant_source: Some(&grant.source),
            ..Self::default()
        }
    }

    fn until(self, until: Option<End>) -> Self {
        Self { until, ..self }
    }

    fn of_block(
        on: &'a Blocked,
        holder: Option<&'a UserId>,
        by: Option<&'a BlockName>,
    ) -> (Option<&'a UserId>, Self) {
        let (subject, data) = match on {
            Blocked::Grant(grant) => (holder, Self::of_grant(grant)),
            Blocked::User { user, source } => {
                let data = Self {
                    grant_source: Some(source),
                    ..Self::default()
                };
                (Some(user), data)
            }
        };
        (subject, Self { by, ..data })
    }
}

/// Who made an entry of the log by hand and why, as far as it says so.
///
/// As JSON: `actor`, `why`; null where it does not say. `file` and `row`, where it was read from a row of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attribution {
    /// Who.
    pub actor: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// The name of the file it was read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The row of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
}

/// Reads out of an entry who made it by hand and why. `None` for what systems state, and for staff's own deliveries that do
/// not say either, as those of a file need not. A row of a list of subscribers is stated by hand too.
pub(super) fn attribution(
    snapshot: &dyn Snapshot,
    entry: &Entry,
) -> Result<Option<Attribution>, EngineError> {
    let is_staff = entry.fact.source.is_staff() || is_import(&entry.fact.dedupe_key);
    match (entry.fact.kind, entry.fact.of) {
        (EntryKind::Delivery, _) if is_staff => Ok(attribution_of(&entry.fact.body)),
        // The body of a retry is the delivery's.
        (EntryKind::Retry, Some(of)) if is_staff => {
            let delivery = snapshot.entry(of)?;
            Ok(delivery.and_then(|delivery| attribution_of(&delivery.fact.body)))
        }
        (EntryKind::Discard, _) => {
            let why = String::from_utf8_lossy(&entry.fact.body).into_owned();
            Ok((!why.is_empty()).then_some(Attribution {
                actor: None,
                why: Some(why),
                file: None,
                row: None,
            }))
        }
        (EntryKind::Erasure, _) => {
            let recorded = Recorded::read(entry)?;
            Ok(recorded.actor.is_some().then_some(Attribution {
                actor: recorded.actor,
                why: recorded.why,
                file: None,
                row: None,
            }))
        }
        (EntryKind::Delivery | EntryKind::Retry | EntryKind::Rules, _) => Ok(None),
    }
}

fn attribution_of(body: &[u8]) -> Option<Attribution> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = |field| Some(body.pointer(field)?.as_str()?.to_owned());
    let (actor, why) = (text("/data/actor"), text("/data/why"));
    (actor.is_some() || why.is_some()).then_some(Attribution {
        actor,
        why,
        file: text("/data/file"),
        row: body.pointer("/data/row").and_then(|row| row.as_u64()),
    })
}
