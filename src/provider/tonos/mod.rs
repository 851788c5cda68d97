//! Tonos: subscriptions, and the invoices and payments that buy their periods. See the README beside this file.

use super::json;
use super::token;
use super::{
    Decoded, Dedupe, Method, Particulars, Proof, Provider, Request, Secret, Sending, SourceContext,
    Success, Verified, VerifyError,
};
use crate::domain::time::Instant;

mod example;
mod length;
mod reading;
mod wire;

use wire::Envelope;

/// Tonos: plain JSON that brings a shared token along.
#[derive(Debug)]
pub(super) struct Tonos;

/// The header the token is sent in.
const TOKEN_HEADER: &str = "x-webhook-token";

/// What a `type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    SubscriptionCreated,
    SubscriptionUpdated,
    SubscriptionCanceled,
    SubscriptionExpired,
    InvoiceUpdated,
    PaymentCreated,
    PaymentFailed,
    PaymentRefunded,
    LicenseRedeemed,
}

/// The types that say something of access.
fn meaning(kind: &str) -> Option<Meaning> {
    Some(match kind {
        "subscription:created" => Meaning::SubscriptionCreated,
        "subscription:updated" => Meaning::SubscriptionUpdated,
        "subscription:canceled" => Meaning::SubscriptionCanceled,
        "subscription:expired" => Meaning::SubscriptionExpired,
        "invoice:updated" => Meaning::InvoiceUpdated,
        "payment:created" => Meaning::PaymentCreated,
        "payment:failed" => Meaning::PaymentFailed,
        "payment:refunded" => Meaning::PaymentRefunded,
        // The second one is how the vendor's page spells it.
        "license:redeemed" | "license:redeened" => Meaning::LicenseRedeemed,
        _ => return None,
    })
}

impl Provider for Tonos {
    fn name(&self) -> &'static str {
        "tonos"
    }

    fn arrival_is_order(&self) -> bool {
        false
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[
            "subscription:created",
            "subscription:updated",
            "subscription:canceled",
            "subscription:expired",
            "invoice:created",
            "invoice:updated",
            "invoice:canceled",
            "payment:created",
            "payment:updated",
            "payment:failed",
            "payment:refunded",
            "license:created",
            "license:redeemed",
            "license:redeened",
            "addon:promotioncode:created",
        ]
    }

    /// What it takes for success, and whether it tries again, is not said.
    fn sending(&self) -> Sending {
        Sending {
            method: Method::Post,
            proof: Proof::Token,
            success: Success::Any2xx,
            waits: &[],
        }
    }

    fn conceal(&self, request: Request, _secret: Option<&Secret>) -> Request {
        token::conceal(request)
    }

    fn verify(
        &self,
        request: Request,
        secret: Option<&Secret>,
        _now: Instant,
    ) -> Result<Verified, VerifyError> {
        token::verify(&request, secret)?;
        Ok(Verified::vouch(self.conceal(request, secret), None))
    }

    fn seal(
        &self,
        text: &[u8],
        secret: Option<&Secret>,
        _now: Instant,
    ) -> Result<Request, VerifyError> {
        let token = secret
            .and_then(|secret| std::str::from_utf8(secret.bytes()).ok())
            .ok_or(VerifyError::NoSecret)?;
        let mut request = Request::posted(text, "application/json");
        request
            .headers
            .insert(TOKEN_HEADER.to_owned(), token.to_owned());
        Ok(request)
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
        let kind = envelope.kind.at("type").name().ok().flatten();
        let kind = kind.map(str::to_owned);
        Decoded::of(kind, dedupe, envelope.content(source))
    }
}
