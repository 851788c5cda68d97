//! Statements in short: `granted = { grant = "g1", user = "u1", ... }` stands for the body that a system would send. It is
//! decoded like any other.

use serde_json::{Map, Value, json};
use tenure::{End, Instant};

use super::document::{Document, Entry, Node};
use super::fields::{Fields, end, instant};
use crate::config::instead;
use crate::failure::Failure;

/// Every change that can be stated in short, and the keys its table may have. `user` is whom the statement is about; of
/// `transferred` it is the new holder.
const CHANGES: [(&str, &[&str]); 18] = [
    (
        "granted",
        &[
            "grant",
            "user",
            "product",
            "until",
            "period",
            "from",
            "recurring",
            "period_key",
            "parent",
            "origin",
        ],
    ),
    ("modified", &["grant", "user", "product", "until"]),
    ("rescheduled", &["grant", "user", "product", "until"]),
    (
        "renewed",
        &["grant", "user", "product", "until", "period", "period_key"],
    ),
    ("grace_extended", &["grant", "user", "product", "until"]),
    ("payment_failed", &["grant", "user"]),
    ("cancelled", &["grant", "user", "until"]),
    ("reinstated", &["grant", "user", "until"]),
    ("switched", &["grant", "user", "product", "until"]),
    ("transferred", &["grant", "user"]),
    ("suspended", &["grant", "user", "by"]),
    ("resumed", &["grant", "user", "by"]),
    ("refunded", &["grant", "user", "period_key"]),
    ("revoked", &["grant", "user"]),
    ("ended", &["grant", "user", "cause", "product"]),
    ("user_removed", &["user"]),
    ("linked", &["user", "alias"]),
    ("withdrawn", &["id", "id_source"]),
];

/// The changes that can say that there is no end. For the others, an end of null is one that is not stated.
const STATE_NO_END: [&str; 3] = ["granted", "modified", "rescheduled"];

/// What staff may say besides.
const OF_STAFF: [&str; 3] = ["grant_source", "actor", "why"];

/// The changes there are.
pub(super) fn changes() -> impl Iterator<Item = &'static str> {
    CHANGES.iter().map(|(change, _)| *change)
}

/// A statement that was written in short.
pub(super) struct Short<'a> {
    change: &'static str,
    known: &'static [&'static str],
    node: &'a Node,
}

impl<'a> Short<'a> {
    /// The one statement among the entries of a delivery, if it has one.
    pub(super) fn among(
        document: &Document,
        entries: &'a [Entry],
    ) -> Result<Option<Self>, Failure> {
        let mut found = None;
        for entry in entries {
            let Some((change, known)) = CHANGES.iter().find(|(name, _)| *name == entry.key) else {
                continue;
            };
            if found.is_some() {
                let message = "a delivery states one change in short: make two deliveries of it";
                return Err(document.wrong(&entry.at, message));
            }
            found = Some(Self {
                change,
                known,
                node: &entry.value,
            });
        }
        Ok(found)
    }

    /// The body that says it, of effect at that instant. `id` and `source` are those of the event.
    pub(super) fn body(
        &self,
        document: &Document,
        at: Instant,
        id: &str,
        source: &str,
    ) -> Result<Vec<u8>, Failure> {
        let (mut subject, mut data) = (None, Map::new());
        for entry in Fields::of_any(document, self.node, "a statement")?.entries() {
            let key = entry.key.as_str();
            if !self.known.contains(&key) && !OF_STAFF.contains(&key) {
                let hint = instead(key, "the keys are:", self.known);
                let message = format!("unknown key `{key}` in `{}`{hint}", self.change);
                return Err(document.wrong(&entry.at, &message));
            }
            let value = value(document, self.change, key, &entry.value)?;
            if key == "user" && self.change != "transferred" {
                subject = Some(value);
            } else {
                data.insert(key.to_owned(), value);
            }
        }
        let mut body = json!({
            "specversion": "1.0",
            "id": id,
            "source": source,
            "type": format!("tenure.{}", self.change),
            "time": at,
            "data": data,
        });
        if let (Some(subject), Some(body)) = (subject, body.as_object_mut()) {
            body.insert("subject".to_owned(), subject);
        }
        Ok(body.to_string().into_bytes())
    }
}

/// Times may be dates and ends unlimited, which no system writes so.
fn value(document: &Document, change: &str, key: &str, node: &Node) -> Result<Value, Failure> {
    match key {
        "until" => match end(document, key, node)? {
            End::At(end) => Ok(json!(end)),
            End::Never if STATE_NO_END.contains(&change) => Ok(Value::Null),
            End::Never => {
                let message = format!("`until` of `{change}` is a time, or left out");
                Err(document.wrong(&node.at, &message))
            }
        },
        "from" => Ok(json!(instant(document, key, node)?)),
        _ => Ok(node.to_json()),
    }
}
