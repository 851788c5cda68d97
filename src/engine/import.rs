//! Taking over the current subscribers of a system from a list of them.
//!
//! Each row becomes a `granted` of origin `import`: a delivery of the source itself where that speaks Tenure's own dialect,
//! else a statement of staff about a grant of the source, so that what the system sends later goes on with the same grant.
//! A row is known by what it says, not by where it stands, so the same row of another file is a repetition.

use std::collections::BTreeMap;

use super::delivery::{Delivery, Receipt};
use super::facts::{GrantFacts, rules_at};
use super::reader::Reader;
use super::sources::{Source, source, unknown_source};
use super::staff::{Grounds, StaffChange, StaffStatement, trusted};
use super::taking::take;
use super::{Engine, EngineError};
use crate::domain::event::Origin;
use crate::domain::grant::State;
use crate::domain::id::{
    DedupeKey, GrantId, GrantKey, IdError, Position, ProductName, SourceName, StatementId, UserId,
};
use crate::domain::rules::Rules;
use crate::domain::time::{EffectiveAt, End, Instant};
use crate::provider::digest;
use crate::store::{Snapshot, Store, StoreReader};

/// What an imported row calls itself where it is a delivery of its own source: the `source` of its body.
const SENDER: &str = "tenure-import";

/// So many bytes of a digest tell rows and keys apart.
const TELLING: usize = 16;

/// Whether a delivery of that key is a row of a list.
pub(super) fn is_import(key: &DedupeKey) -> bool {
    let rest = key.as_str().strip_prefix(SENDER);
    rest.is_some_and(|rest| rest.starts_with(' '))
}

/// A current subscriber, as a list of the system has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// The key of the grant; a list that has none names each grant by its user and product.
    pub grant: Option<GrantKey>,
    /// Who holds it, as the system calls them: the source's `user_prefix` is put before it here.
    pub user: UserId,
    /// What it gives.
    pub product: ProductName,
    /// When access began or begins, where the list says so.
    pub from: Option<Instant>,
    /// The first instant without access.
    pub until: End,
}

impl Subscriber {
    /// The key of its grant. If the list has none, the user, a space and the product, where neither holds a space and both
    /// fit into a key; else `import-` and a digest of the two.
    pub fn grant_key(&self) -> GrantKey {
        if let Some(key) = &self.grant {
            return key.clone();
        }
        let (user, product) = (self.user.as_str(), self.product.as_str());
        let told_apart = !user.contains(' ') && !product.contains(' ');
        let text = format!("{user} {product}");
        let key = GrantKey::new(&text).ok().filter(|_| told_apart);
        key.unwrap_or_else(|| (&named(&[user, product])).into())
    }

    /// The holder with the source's prefix.
    pub(super) fn holder(&self, prefix: &str) -> Result<UserId, IdError> {
        if prefix.is_empty() {
            return Ok(self.user.clone());
        }
        UserId::new(&format!("{prefix}{}", self.user))
    }

    /// What the row is known by: all that it says, and of which source.
    fn statement_id(&self, source: &SourceName) -> StatementId {
        let from = self.from.map(Instant::micros).unwrap_or(i64::MIN);
        let parts = [
            source.as_str(),
            self.grant_key().as_str(),
            self.user.as_str(),
            self.product.as_str(),
            &from.to_string(),
            &self.until.micros().to_string(),
        ]
        .map(str::to_owned);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        named(&parts)
    }
}

/// `import-` and a digest of the parts, which cannot run into one another.
fn named(parts: &[&str]) -> StatementId {
    let lengths: Vec<String> = parts.iter().map(|it| format!("{} ", it.len())).collect();
    let whole = lengths
        .iter()
        .map(String::as_str)
        .zip(parts.iter().copied());
    let bytes: Vec<&[u8]> = whole
        .flat_map(|(length, part)| [length.as_bytes(), part.as_bytes()])
        .collect();
    let digest = digest(&bytes);
    let (told, _) = digest.split_at(TELLING.min(digest.len()));
    let key = DedupeKey::of_digest(told);
    StatementId::of_digest("import", &key)
}

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberRow {
    /// Where it stands: the heading is row 1.
    pub row: u64,
    /// What it says.
    pub subscriber: Subscriber,
}

/// What all rows of an import have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The source of the grants.
    pub source: SourceName,
    /// The instant the list speaks of.
    pub at: Instant,
    /// Who imports it, and why.
    pub grounds: Grounds,
    /// The name of the file.
    pub file: String,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It was handed in; a row that was imported before is a duplicate.
    Stated(Receipt),
    /// Only asked: it would be stated.
    WouldBeStated,
    /// Only asked: it was imported before, at this position.
    WouldBeDuplicate(Position),
    /// It was not handed in.
    Refused(ImportRefusal),
}

/// Why a row that can be read is not imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefusal {
    /// It ends before or when it begins.
    #[error("it would begin at {start} and end at {until}: an end has to come after the start")]
    Empty {
        /// The start.
        start: Instant,
        /// The end.
        until: End,
    },
    /// The grant is barred: a list is no reason to undo that.
    #[error("{by} barred grant `{grant}`. if it is to give access again, `tenure reinstate` it")]
    Barred {
        /// The grant.
        grant: GrantKey,
        /// The source that barred it.
        by: SourceName,
    },
    /// The user's id does not fit behind the source's prefix.
    #[error("with the source's `user_prefix`: {0}")]
    User(IdError),
}

/// What is to be done with a row.
enum Plan {
    /// State it.
    State(DedupeKey, Delivery),
    /// It is there already; what is handed in is what was.
    Repeat(Position, Delivery),
    Refuse(ImportRefusal),
}

impl<S: Store> Engine<S> {
    /// Takes rows of a list of current subscribers, in order, in one transaction: all of them or none.
    ///
    /// A grant that no event names yet begins at its `from`, or at [`Import::at`] if the row has none or it lies later. One
    /// that is known is stated anew from [`Import::at`] on; what was before stays. A row that says the same as one imported
    /// earlier, of whatever file, is a duplicate.
    ///
    /// ```
    /// use tenure::{
    ///     End, Engine, Grounds, Import, Imported, MemoryStore, Secrets, Subscriber, SubscriberRow,
    /// };
    ///
    /// let mut engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
    /// let now = "2026-05-01T00:00:00Z".parse()?;
    /// let import = Import {
    ///     source: "tonos".parse()?,
    ///     at: now,
    ///     grounds: Grounds::new("anna", "the move to Tenure")?,
    ///     file: "subscribers.csv".to_owned(),
    /// };
    /// let row = SubscriberRow {
    ///     row: 2,
    ///     subscriber: Subscriber {
    ///         grant: Some("s-77".parse()?),
    ///         user: "u1".parse()?,
    ///         product: "news".parse()?,
    ///         from: None,
    ///         until: End::At("2026-06-01T00:00:00Z".parse()?),
    ///     },
    /// };
    /// let imported = engine.import(&import, &[row], now)?;
    /// assert!(matches!(&imported[..], [Imported::Stated(receipt)] if receipt.events == 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`EngineError::UnknownSource`] if there is no such source; else as [`Engine::ingest`].
    pub fn import(
        &mut self,
        import: &Import,
        rows: &[SubscriberRow],
        now: Instant,
    ) -> Result<Vec<Imported>, EngineError> {
        self.write_taking(|transaction, secrets, long_grants| {
            let rules = rules_at(&transaction.rules()?, None);
            let mut outcomes = Vec::with_capacity(rows.len());
            let mut deliveries = Vec::with_capacity(rows.len());
            let mut stated: BTreeMap<DedupeKey, Delivery> = BTreeMap::new();
            for row in rows {
                let delivery = match plan(&*transaction, &rules, import, row)? {
                    Plan::Refuse(refusal) => {
                        outcomes.push(Some(refusal));
                        continue;
                    }
                    // Twice in one batch: what is handed in again has to be the same, byte for byte.
                    Plan::State(key, delivery) => stated.entry(key).or_insert(delivery).clone(),
                    Plan::Repeat(_, delivery) => delivery,
                };
                outcomes.push(None);
                deliveries.push(delivery);
            }
            let mut receipts =
                take(transaction, secrets, deliveries, now, long_grants)?.into_iter();
            let imported = outcomes.into_iter().filter_map(|refusal| match refusal {
                Some(refusal) => Some(Imported::Refused(refusal)),
                None => receipts.next().map(Imported::Stated),
            });
            Ok(imported.collect())
        })
    }
}

impl<R: StoreReader> Reader<R> {
    /// What [`Engine::import`] would do; nothing is recorded.
    ///
    /// # Errors
    /// [`EngineError::UnknownSource`], or if the store cannot be read.
    pub fn preview_import(
        &mut self,
        import: &Import,
        rows: &[SubscriberRow],
    ) -> Result<Vec<Imported>, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, None);
            let planned = rows.iter().map(|row| {
                Ok(match plan(snapshot, &rules, import, row)? {
                    Plan::State(..) => Imported::WouldBeStated,
                    Plan::Repeat(position, _) => Imported::WouldBeDuplicate(position),
                    Plan::Refuse(refusal) => Imported::Refused(refusal),
                })
            });
            planned.collect()
        })
    }
}

fn plan(
    snapshot: &dyn Snapshot,
    rules: &Rules,
    import: &Import,
    row: &SubscriberRow,
) -> Result<Plan, EngineError> {
    let name = &import.source;
    let found = source(rules, name).ok_or_else(|| unknown_source(rules, name))?;
    let subscriber = &row.subscriber;
    let id = subscriber.statement_id(name);
    let as_itself = found.provider.speaks_for_staff() && !name.is_staff();
    let (speaker, key) = if as_itself {
        let key = DedupeKey::new(&format!("{SENDER} {id}"));
        (name.clone(), key.unwrap_or_else(|_| (&id).into()))
    } else {
        (SourceName::staff(), (&id).into())
    };
    if let Some(position) = snapshot.key_holder(&speaker, &key)?
        && let Some(entry) = snapshot.entry(position)?
    {
        return Ok(Plan::Repeat(position, trusted(speaker, entry.fact.body)));
    }
    let holder = match subscriber.holder(prefix(&found)) {
        // A source's own delivery has its prefix put to it where it is decoded.
        Ok(_) if as_itself => subscriber.user.clone(),
        Ok(holder) => holder,
        Err(error) => return Ok(Plan::Refuse(ImportRefusal::User(error))),
    };
    let grant = GrantId {
        source: name.clone(),
        key: subscriber.grant_key(),
    };
    let facts = GrantFacts::load(snapshot, &grant, rules, None)?;
    let is_known = !facts.events.is_empty();
    if let State::Over(over) = &facts.fold().state
        && let Some(by) = &over.barred
    {
        return Ok(Plan::Refuse(ImportRefusal::Barred {
            grant: grant.key,
            by: by.clone(),
        }));
    }
    let statement = match statement(import, row, id, (grant, holder), is_known) {
        Ok(statement) => statement,
        Err(refusal) => return Ok(Plan::Refuse(refusal)),
    };
    let delivery = if as_itself {
        statement.delivery_of(name, SENDER)
    } else {
        statement.delivery()
    };
    Ok(Plan::State(key, delivery))
}

/// What the row states of a grant, which may be known.
fn statement(
    import: &Import,
    row: &SubscriberRow,
    id: StatementId,
    (grant, user): (GrantId, UserId),
    is_known: bool,
) -> Result<StaffStatement, ImportRefusal> {
    let subscriber = &row.subscriber;
    let begun = subscriber.from.filter(|from| *from < import.at);
    let at = begun.filter(|_| !is_known).unwrap_or(import.at);
    let from = subscriber.from.filter(|from| *from > at);
    let start = from.unwrap_or(at);
    let until = subscriber.until;
    if !until.is_after(start) {
        return Err(ImportRefusal::Empty { start, until });
    }
    let grounds = import.grounds.clone();
    Ok(StaffStatement {
        id,
        at: EffectiveAt(at),
        grounds: grounds.read_from(&import.file, Some(row.row)),
        change: StaffChange::Granted {
            grant,
            user,
            product: subscriber.product.clone(),
            until,
            from,
            origin: Origin::Import,
        },
    })
}

pub(super) fn prefix<'a>(of: &Source<'a>) -> &'a str {
    of.context.rules.map_or("", |rules| &rules.user_prefix)
}
