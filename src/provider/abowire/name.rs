//! What an event is called, and what it says.

use super::wire::Envelope;
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::id::LONGEST_ID;

/// What an event says of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Created,
    Updated,
    Disabled,
    Enabled,
    BulkDisabled,
    BulkEnabled,
    PaymentAccepted,
    PaymentDeclined,
}

/// Every event of the vendor's pages.
pub(super) const KINDS: &[&str] = &[
    "subscription:create",
    "subscription:update",
    "subscription:disable",
    "subscription:enable",
    "subscription:bulk-disable",
    "subscription:bulk-enable",
    "payment:accepted",
    "payment:declined",
    "payment:create",
    "invoice:create",
    "product:create",
    "product:update",
    "subscriber:create",
    "subscriber:update",
    "account:update",
    "account-subaccount:create",
    "account-subaccount:update",
    "api-key:create",
    "api-key:revoke",
];

/// What the event of that name says; `None` is nothing of access.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    Some(match name {
        "subscription:create" => Meaning::Created,
        "subscription:update" => Meaning::Updated,
        "subscription:disable" => Meaning::Disabled,
        "subscription:enable" => Meaning::Enabled,
        "subscription:bulk-disable" => Meaning::BulkDisabled,
        "subscription:bulk-enable" => Meaning::BulkEnabled,
        "payment:accepted" => Meaning::PaymentAccepted,
        "payment:declined" => Meaning::PaymentDeclined,
        _ => return None,
    })
}

impl Envelope<'_> {
    /// The name of the event: the end of `eventArn` or, if that is none that is known, `component` and `action`; of two
    /// that are unknown the former.
    pub(super) fn name(&self) -> Result<String, Refusal> {
        let arn = self.event_arn.at("eventArn");
        let tail = arn.text().ok().flatten().and_then(tail);
        let parts = self.parts();
        let known = [tail.as_ref(), parts.as_ref().ok().and_then(Option::as_ref)];
        let is_known = |name: &&String| KINDS.contains(&name.as_str());
        if let Some(known) = known.into_iter().flatten().find(is_known) {
            return Ok(known.clone());
        }
        if let Some(tail) = tail {
            return Ok(tail);
        }
        if let Some(parts) = parts? {
            return Ok(parts);
        }
        arn.required(arn.text()?)?;
        Err(arn.refuse(Reason::BadField, "does not end in a name, `entity:verb`"))
    }

    fn parts(&self) -> Result<Option<String>, Refusal> {
        let component = self.component.at("component").text()?;
        let action = self.action.at("action").text()?;
        let parts = component.zip(action);
        Ok(parts.and_then(|(component, action)| named(component, action)))
    }
}

/// `entity:verb` at the end of an ARN: behind the last colon but one, or behind a slash.
fn tail(arn: &str) -> Option<String> {
    let (before, verb) = arn.rsplit_once(':')?;
    let entity = before.rsplit([':', '/']).next()?;
    named(entity, verb)
}

/// Held to the limits of an id, since it is stored and shown.
fn named(entity: &str, verb: &str) -> Option<String> {
    let name = format!("{entity}:{verb}");
    let is_name = !entity.is_empty()
        && !verb.is_empty()
        && name.len() <= LONGEST_ID
        && !name.chars().any(char::is_control);
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_end_of_the_arn() {
        for (arn, expected) in [
            (
                "arn:abowire:webhooks:eu:acct:subscription:create",
                "subscription:create",
            ),
            (
                "arn:abowire:webhooks:eu:acct/subscription:create",
                "subscription:create",
            ),
            (
                "arn:abowire:webhooks:eu::subscription:bulk-enable",
                "subscription:bulk-enable",
            ),
            ("subscription:create", "subscription:create"),
        ] {
            assert_eq!(tail(arn).as_deref(), Some(expected), "{arn}");
        }
        for arn in [
            "",
            "subscription",
            "subscription:",
            ":create",
            "a:b/:create",
            "a:b\n:c",
        ] {
            assert_eq!(tail(arn), None, "{arn}");
        }
    }

    #[test]
    fn whatever_says_something_is_a_kind() {
        let telling = KINDS.iter().filter(|kind| meaning(kind).is_some());
        assert_eq!(telling.count(), 8);
    }
}
