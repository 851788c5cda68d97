//! Gately: members with a plan, and their subscriptions. See the README beside this file.

use super::json;
use super::{
    Decoded, Dedupe, Method, Particulars, Proof, Provider, Request, Secret, Sending, SourceContext,
    Success, Verified, VerifyError,
};
use crate::domain::time::{Instant, Length};

mod example;
mod reading;
mod seal;
mod wire;

use wire::Envelope;

/// Gately: JSON, signed over its bytes.
#[derive(Debug)]
pub(super) struct Gately;

/// What an event's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    MemberCreated,
    MemberUpdated,
    MemberDeleted,
    MemberPlanChanged,
    SubscriptionCreated,
    SubscriptionRenewed,
    SubscriptionUpdated,
    SubscriptionCancelled,
}

/// The names of events that say something of access.
fn meaning(name: &str) -> Option<Meaning> {
    Some(match name {
        "member.created" => Meaning::MemberCreated,
        "member.updated" => Meaning::MemberUpdated,
        "member.deleted" => Meaning::MemberDeleted,
        "member.plan_changed" => Meaning::MemberPlanChanged,
        "subscription.created" => Meaning::SubscriptionCreated,
        "subscription.renewed" => Meaning::SubscriptionRenewed,
        "subscription.updated" => Meaning::SubscriptionUpdated,
        "subscription.cancelled" => Meaning::SubscriptionCancelled,
        _ => return None,
    })
}

impl Provider for Gately {
    fn name(&self) -> &'static str {
        "gately"
    }

    fn arrival_is_order(&self) -> bool {
        false
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[
            "member.created",
            "member.updated",
            "member.deleted",
            "member.login",
            "member.plan_changed",
            "subscription.created",
            "subscription.renewed",
            "subscription.updated",
            "subscription.cancelled",
            "payment.succeeded",
            "payment.failed",
            "refund.created",
            "form.submitted",
            "form.created",
            "ticket.created",
            "ticket.replied",
            "testimonial.submitted",
            "testimonial.approved",
        ]
    }

    fn sending(&self) -> Sending {
        const WAITS: &[Length] = &[
            Length::seconds(60),
            Length::seconds(5 * 60),
            Length::seconds(30 * 60),
            Length::seconds(2 * 3_600),
        ];
        Sending {
            method: Method::Post,
            proof: Proof::Signature,
            success: Success::Exactly200,
            waits: WAITS,
        }
    }

    fn verify(
        &self,
        request: Request,
        secret: Option<&Secret>,
        _now: Instant,
    ) -> Result<Verified, VerifyError> {
        seal::verify(&request, secret)?;
        Ok(Verified::vouch(request, None))
    }

    fn seal(
        &self,
        text: &[u8],
        secret: Option<&Secret>,
        _now: Instant,
    ) -> Result<Request, VerifyError> {
        seal::seal(text, secret)
    }

    fn example(&self, kind: &str, particulars: &Particulars) -> Option<String> {
        example::text(kind, particulars)
    }

    fn decode(&self, text: &[u8], source: &SourceContext<'_>) -> Decoded {
        let envelope = match json::read::<Envelope<'_>>(text) {
            Ok(envelope) => envelope,
            Err(refusal) => return Decoded::refused(None, Dedupe::Text, refusal),
        };
        let key = envelope.id.at("id").required_event_id();
        let dedupe = key.map_or(Dedupe::Text, Dedupe::Key);
        let kind = envelope.event.at("event").name().ok().flatten();
        let kind = kind.map(str::to_owned);
        Decoded::of(kind, dedupe, envelope.content(source))
    }
}
