//! Between rows and values. Whatever a row holds that no value has is damage, never a guess.

use std::borrow::Borrow;
use std::error::Error;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Result, Row};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::domain::delivery::{Outcome, Reason};
use crate::domain::event::{
    Change, Event, EventKey, GrantStatement, RecordedEvent, Statement, UserStatement, written,
};
use crate::domain::grant::Anomaly;
use crate::domain::id::{
    DedupeKey, GrantId, GrantKey, IdError, Position, ProductName, SourceName, UserId,
};
use crate::domain::time::{EffectiveAt, End, Instant, RecordedAt};
use crate::domain::window::Window;
use crate::store::{
    Entry, EntryKind, EntryRefusal, Hash, NewEntry, Parked, RecordedAnomaly, Settled,
};

/// A text that no value of its column has.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a value of this column")]
struct UnknownName(String);

pub(super) fn damaged(
    column: usize,
    kind: Type,
    error: impl Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

/// Columns as values of the domain.
pub(super) trait Columns {
    fn value(&self, column: usize) -> Result<ValueRef<'_>>;

    fn value_or_null(&self, column: usize) -> Result<Option<ValueRef<'_>>> {
        let value = self.value(column)?;
        Ok((value != ValueRef::Null).then_some(value))
    }

    fn text(&self, column: usize) -> Result<&str> {
        text(self.value(column)?, column)
    }

    fn text_or_null(&self, column: usize) -> Result<Option<&str>> {
        self.value_or_null(column)?
            .map(|value| text(value, column))
            .transpose()
    }

    fn id<T>(&self, column: usize, new: impl Fn(&str) -> Result<T, IdError>) -> Result<T> {
        new(self.text(column)?).map_err(|error| damaged(column, Type::Text, error))
    }

    /// As [`Columns::id`]; where the text is that of `like`, that one once more, which costs no memory.
    fn id_like<T: Borrow<str> + Clone>(
        &self,
        column: usize,
        like: Option<&T>,
        new: impl Fn(&str) -> Result<T, IdError>,
    ) -> Result<T> {
        same_or_new(self.value(column)?, column, like, new)
    }

    fn id_like_or_null<T: Borrow<str> + Clone>(
        &self,
        column: usize,
        like: Option<&T>,
        new: impl Fn(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>> {
        self.value_or_null(column)?
            .map(|value| same_or_new(value, column, like, new))
            .transpose()
    }

    fn id_or_null<T>(
        &self,
        column: usize,
        new: impl Fn(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>> {
        self.text_or_null(column)?
            .map(|text| new(text).map_err(|error| damaged(column, Type::Text, error)))
            .transpose()
    }

    /// The value of that stored name.
    fn named<T>(&self, column: usize, value: impl Fn(&str) -> Option<T>) -> Result<T> {
        let text = self.text(column)?;
        value(text).ok_or_else(|| damaged(column, Type::Text, UnknownName(text.to_owned())))
    }

    fn json<T: DeserializeOwned>(&self, column: usize) -> Result<T> {
        serde_json::from_str(self.text(column)?).map_err(|error| damaged(column, Type::Text, error))
    }

    fn position(&self, column: usize) -> Result<Position>;
    fn instant(&self, column: usize) -> Result<Instant>;
    fn end(&self, column: usize) -> Result<End>;
    fn hash(&self, column: usize) -> Result<Hash>;
    /// The grant whose source and key stand in this column and the next.
    fn grant(&self, column: usize) -> Result<GrantId> {
        Ok(GrantId {
            source: self.id(column, SourceName::new)?,
            key: self.id(column + 1, GrantKey::new)?,
        })
    }
}

fn text(value: ValueRef<'_>, column: usize) -> Result<&str> {
    let damaged = |error| damaged(column, value.data_type(), error);
    value.as_str().map_err(damaged)
}

/// The id of that text of a column: that of `like` once more, or else a new one. What is like a text that was looked at is
/// not looked at again.
fn same_or_new<T: Borrow<str> + Clone>(
    value: ValueRef<'_>,
    column: usize,
    like: Option<&T>,
    new: impl Fn(&str) -> Result<T, IdError>,
) -> Result<T> {
    match like.filter(|like| value == ValueRef::Text((*like).borrow().as_bytes())) {
        Some(like) => Ok(like.clone()),
        None => new(text(value, column)?).map_err(|error| damaged(column, Type::Text, error)),
    }
}

impl Columns for Row<'_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>> {
        self.get_ref(column)
    }

    fn position(&self, column: usize) -> Result<Position> {
        let value: i64 = self.get(column)?;
        u64::try_from(value)
            .map(Position)
            .map_err(|error| damaged(column, Type::Integer, error))
    }

    fn instant(&self, column: usize) -> Result<Instant> {
        Instant::from_micros(self.get(column)?)
            .map_err(|error| damaged(column, Type::Integer, error))
    }

    fn end(&self, column: usize) -> Result<End> {
        End::from_micros(self.get(column)?).map_err(|error| damaged(column, Type::Integer, error))
    }

    fn hash(&self, column: usize) -> Result<Hash> {
        Ok(Hash(self.get(column)?))
    }
}

/// A position as SQLite holds it. Positions are counted by SQLite itself, so none is beyond.
pub(super) fn number(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

/// A limit as SQLite takes it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A count as a number that can be read back.
pub(super) fn count(row: &Row<'_>, column: usize) -> Result<u64> {
    row.position(column).map(|position| position.0)
}

macro_rules! entry_columns {
    () => {
        "d.position, d.kind, d.of_position, d.source, d.dedupe_key, d.recorded_at, d.received_at, d.outcome, \
         d.arrival_is_order, d.event_count, d.event_name, d.reason, d.field, d.detail, d.salt, d.digest, d.hash, \
         d.query, d.headers, d.body, (SELECT r.count FROM repetitions r WHERE r.position = d.position), \
         (SELECT x.erased_by FROM erased x WHERE x.position = d.position)"
    };
}
pub(super) use entry_columns;

/// The row of `entry_columns!`.
pub(super) fn entry(row: &Row<'_>) -> Result<Entry> {
    let of: Option<i64> = row.get(2)?;
    let received_at: Option<i64> = row.get(6)?;
    let repetitions: Option<i64> = row.get(20)?;
    let erased_by: Option<i64> = row.get(21)?;
    let fact = NewEntry {
        kind: row.named(1, kind)?,
        of: of.map(|_| row.position(2)).transpose()?,
        source: row.id(3, SourceName::new)?,
        dedupe_key: row.id(4, DedupeKey::new)?,
        recorded_at: RecordedAt(row.instant(5)?),
        received_at: received_at.map(|_| row.instant(6)).transpose()?,
        outcome: row.named(7, outcome)?,
        event_name: row.get(10)?,
        refusal: refusal(row, 11)?,
        body: row.get(19)?,
        headers: row.get(18)?,
        query: row.get(17)?,
        events: Vec::new(),
        mentions: Vec::new(),
        arrival_is_order: flag(row, 8)?,
    };
    Ok(Entry {
        position: row.position(0)?,
        fact,
        events: row.get(9)?,
        repetitions: repetitions.map_or(Ok(0), |_| count(row, 20))?,
        salt: row.get(14)?,
        digest: row.hash(15)?,
        hash: row.hash(16)?,
        erased_by: erased_by.map(|_| row.position(21)).transpose()?,
    })
}

/// A truth value. SQLite takes any number but 0 for one that is true, but only 1 is ever written.
fn flag(row: &Row<'_>, column: usize) -> Result<bool> {
    match row.get(column)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(column, other)),
    }
}

fn kind(name: &str) -> Option<EntryKind> {
    use EntryKind::{Delivery, Discard, Erasure, Retry, Rules};
    [Delivery, Retry, Discard, Rules, Erasure]
        .into_iter()
        .find(|kind| kind.name() == name)
}

fn outcome(name: &str) -> Option<Outcome> {
    [Outcome::Applied, Outcome::Ignored, Outcome::Quarantined]
        .into_iter()
        .find(|outcome| outcome.name() == name)
}

/// The refusal whose reason, field and detail stand from `column` on.
fn refusal(row: &Row<'_>, column: usize) -> Result<Option<EntryRefusal>> {
    if row.text_or_null(column)?.is_none() {
        return Ok(None);
    }
    Ok(Some(EntryRefusal {
        reason: row.named(column, |code| code.parse::<Reason>().ok())?,
        field: row.get(column + 1)?,
        detail: row.get(column + 2)?,
    }))
}

/// A row of position, settled, settled_by, reason, field, detail.
pub(super) fn parked(row: &Row<'_>) -> Result<Parked> {
    let settled = match row.text(1)? {
        "open" => Settled::Open,
        "retried" => Settled::Retried(row.position(2)?),
        "discarded" => Settled::Discarded(row.position(2)?),
        other => return Err(damaged(1, Type::Text, UnknownName(other.to_owned()))),
    };
    let refusal = refusal(row, 3)?
        .ok_or_else(|| damaged(3, Type::Null, UnknownName("no reason".to_owned())))?;
    Ok(Parked {
        position: row.position(0)?,
        refusal,
        settled,
    })
}

/// The name and the entry by which a delivery was settled.
pub(super) fn settled_columns(settled: &Settled) -> (&'static str, Option<i64>) {
    match settled {
        Settled::Open => ("open", None),
        Settled::Retried(by) => ("retried", Some(number(*by))),
        Settled::Discarded(by) => ("discarded", Some(number(*by))),
    }
}

const LINKED: &str = "linked";
const WITHDRAWN: &str = "withdrawn";

/// The columns of an event: all of any event, or those that an event of a grant has. What is left out is null.
macro_rules! event_columns {
    ($change:literal, $other_user_id:literal, $withdrawn_at:expr) => {
        concat!(
            "e.source, e.grant_key, e.position, e.event_index, ",
            $change,
            ", e.effective_at, e.recorded_at, e.sequence, e.delivery_source, e.dedupe_key, e.user_id, ",
            $other_user_id,
            ", e.product, e.statement, ",
            $withdrawn_at
        )
    };
    () => {
        event_columns!("e.change", "e.other_user_id", withdrawn_at!())
    };
    (of_grant) => {
        event_columns!("NULL", "NULL", withdrawn_at!())
    };
    // Where nothing was ever withdrawn.
    (of_grant, all_standing) => {
        event_columns!("NULL", "NULL", "NULL")
    };
}
pub(super) use event_columns;

macro_rules! withdrawn_at {
    () => {
        "(SELECT w.recorded_at FROM withdrawals w WHERE w.source = e.delivery_source \
         AND w.dedupe_key = e.dedupe_key AND e.change <> 'withdrawn')"
    };
}
pub(super) use withdrawn_at;

/// The row of `event_columns!`. It comes after that of another event, if `before` is there: of one grant, many ids are the same.
pub(super) fn event_after(row: &Row<'_>, before: Option<&RecordedEvent>) -> Result<RecordedEvent> {
    let withdrawn_at: Option<i64> = row.get(14)?;
    let source = before.map(|before| &before.key.source);
    Ok(RecordedEvent {
        event: Event {
            effective_at: EffectiveAt(row.instant(5)?),
            statement: statement(row, before.map(|before| &before.event.statement))?,
        },
        key: EventKey {
            source: row.id_like(8, source, SourceName::new)?,
            dedupe_key: row.id(9, DedupeKey::new)?,
            index: row.get(3)?,
        },
        sequence: count(row, 7)?,
        position: row.position(2)?,
        recorded_at: RecordedAt(row.instant(6)?),
        withdrawn_at: withdrawn_at
            .map(|_| row.instant(14).map(RecordedAt))
            .transpose()?,
    })
}

#[derive(serde::Deserialize)]
struct Withdrawn {
    key: DedupeKey,
}

fn statement(row: &Row<'_>, before: Option<&Statement>) -> Result<Statement> {
    let grant_key = row.value(1)?;
    if grant_key != ValueRef::Text(b"") {
        let like = before.and_then(|before| match before {
            Statement::Grant(statement) => Some(statement),
            Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => None,
        });
        let user = like.and_then(|like| like.user.as_ref());
        let product = like.and_then(|like| like.product.as_ref());
        return Ok(Statement::Grant(GrantStatement {
            grant: GrantId {
                source: row.id_like(0, like.map(|like| &like.grant.source), SourceName::new)?,
                key: same_or_new(
                    grant_key,
                    1,
                    like.map(|like| &like.grant.key),
                    GrantKey::new,
                )?,
            },
            user: row.id_like_or_null(10, user, UserId::new)?,
            product: row.id_like_or_null(12, product, ProductName::new)?,
            change: change(row, 13)?,
        }));
    }
    match row.text(4)? {
        LINKED => Ok(Statement::Link {
            user: row.id(10, UserId::new)?,
            alias: row.id(11, UserId::new)?,
        }),
        WITHDRAWN => Ok(Statement::Withdrawal {
            source: row.id(0, SourceName::new)?,
            key: row.json::<Withdrawn>(13)?.key,
        }),
        _ => Ok(Statement::User(UserStatement {
            source: row.id(0, SourceName::new)?,
            user: row.id(10, UserId::new)?,
            change: row.json(13)?,
        })),
    }
}

/// The change of a grant. What is not written as Tenure writes it, another program wrote, or an id in it has to be escaped.
pub(super) fn change(row: &Row<'_>, column: usize) -> Result<Change> {
    let written = written::change(row.text(column)?);
    written.map_or_else(|| row.json(column), Ok)
}

/// The columns in which a statement is kept.
pub(super) struct StatementColumns<'a> {
    pub(super) source: &'a SourceName,
    pub(super) grant_key: &'a str,
    pub(super) user_id: Option<&'a UserId>,
    pub(super) other_user_id: Option<&'a UserId>,
    pub(super) product: Option<&'a ProductName>,
    pub(super) parent: Option<&'a GrantKey>,
    pub(super) statement: String,
}

impl<'a> StatementColumns<'a> {
    /// `delivery_source` stands for the source of a link, which speaks of none.
    pub(super) fn of(
        statement: &'a Statement,
        delivery_source: &'a SourceName,
    ) -> serde_json::Result<Self> {
        let mut columns = Self {
            source: delivery_source,
            grant_key: "",
            user_id: None,
            other_user_id: None,
            product: None,
            parent: None,
            statement: String::new(),
        };
        match statement {
            Statement::Grant(grant) => {
                columns.source = &grant.grant.source;
                columns.grant_key = grant.grant.key.as_str();
                columns.user_id = grant.user.as_ref();
                columns.other_user_id = grant
                    .users()
                    .find(|user| Some(*user) != grant.user.as_ref());
                columns.product = grant.product.as_ref();
                columns.parent = grant.parent();
                columns.statement = serde_json::to_string(&grant.change)?;
            }
            Statement::User(user) => {
                columns.source = &user.source;
                columns.user_id = Some(&user.user);
                columns.statement = serde_json::to_string(&user.change)?;
            }
            Statement::Link { user, alias } => {
                columns.user_id = Some(user);
                columns.other_user_id = Some(alias);
                columns.statement = json!({ "change": LINKED }).to_string();
            }
            Statement::Withdrawal { source, key } => {
                columns.source = source;
                columns.statement = json!({ "change": WITHDRAWN, "key": key }).to_string();
            }
        }
        Ok(columns)
    }
}

/// A row of start_at, end_at, user_id, product.
pub(super) fn window(row: &Row<'_>) -> Result<Window> {
    Ok(Window {
        start: row.instant(0)?,
        end: row.end(1)?,
        user: row.id(2, UserId::new)?,
        product: row.id(3, ProductName::new)?,
    })
}

/// A row of position, event_index, source, grant_key, anomaly.
pub(super) fn anomaly(row: &Row<'_>) -> Result<RecordedAnomaly> {
    Ok(RecordedAnomaly {
        position: row.position(0)?,
        index: row.get(1)?,
        grant: row.grant(2)?,
        anomaly: row.named(4, anomaly_of_name)?,
    })
}

fn anomaly_of_name(name: &str) -> Option<Anomaly> {
    // The domain keeps name and value together; its JSON form is the name.
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}
