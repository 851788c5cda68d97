//! Events of the dialect, for whoever tries an endpoint out.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::Particulars;
use super::verb::{Verb, verb};
use crate::domain::id::UserId;

/// An envelope, its members in the order in which people read them.
#[derive(Serialize)]
struct Event<'a> {
    specversion: &'a str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    time: String,
    subject: &'a str,
    data: Value,
}

/// Who says so, in the sender's own words.
const SENDER: &str = "trigger";

/// The text of an event of that name.
pub(super) fn example(kind: &str, particulars: &Particulars) -> Option<String> {
    let event = Event {
        specversion: "1.0",
        id: &particulars.id,
        source: SENDER,
        kind,
        time: particulars.at.to_string(),
        subject: particulars.user.as_str(),
        data: data(verb(kind)?, particulars),
    };
    serde_json::to_string(&event).ok()
}

/// The fields of a change, without those that only staff may write.
fn data(verb: Verb, particulars: &Particulars) -> Value {
    let Particulars { grant, product, .. } = particulars;
    let until = particulars.until.to_string();
    match verb {
        Verb::Granted | Verb::Switched => {
            json!({"grant": grant, "product": product, "until": until})
        }
        Verb::Modified | Verb::Rescheduled | Verb::Renewed | Verb::GraceExtended => {
            json!({"grant": grant, "product": product, "until": until})
        }
        Verb::Cancelled | Verb::Reinstated => json!({"grant": grant, "until": until}),
        Verb::PaymentFailed | Verb::Revoked | Verb::Suspended | Verb::Resumed | Verb::Refunded => {
            json!({"grant": grant})
        }
        Verb::Ended => json!({"grant": grant, "product": product, "cause": "expired"}),
        // No field names what is taken back, so the grant's does: an earlier event of this sender with it as its id.
        Verb::Withdrawn => json!({"id": format!("{SENDER} {grant}")}),
        Verb::Transferred => json!({"grant": grant, "user": another(&particulars.user)}),
        Verb::UserRemoved => json!({}),
        Verb::Linked => json!({"alias": another(&particulars.user)}),
    }
}

/// A user who is not that one.
fn another(user: &UserId) -> String {
    let name = format!("{user}-2");
    match UserId::new(&name) {
        Ok(_) => name,
        // Too long: then a short name is another one.
        Err(_) => "u2".to_owned(),
    }
}
