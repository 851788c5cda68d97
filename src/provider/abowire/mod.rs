//! Abowire, version 1. See the README beside this file.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::signature::digest;
use super::value::Object;
use super::{
    Content, Decoded, Dedupe, Method, Particulars, Proof, Provider, Request, Secret, Sending,
    SourceContext, Stated, Success, Verified, VerifyError, json, token,
};
use crate::domain::delivery::Refusal;
use crate::domain::event::{Change, GrantStatement, Statement};
use crate::domain::id::{DedupeKey, GrantId, ResourceName};
use crate::domain::time::{EffectiveAt, Instant, Length};

mod bulk;
mod bytes;
mod conceal;
mod example;
mod name;
mod occurrence;
mod reading;
mod wire;

use name::{KINDS, Meaning, meaning};
use reading::Reading;
use wire::{Envelope, Payload, Related};

/// Abowire: plain JSON with a token in the address, and event times.
#[derive(Debug)]
pub(super) struct Abowire;

/// What need not be escaped in a query.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Provider for Abowire {
    fn name(&self) -> &'static str {
        "abowire"
    }

    fn arrival_is_order(&self) -> bool {
        false
    }

    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }

    /// After the last wait, half a minute after the first attempt, the event is lost.
    fn sending(&self) -> Sending {
        const WAITS: &[Length] = &[Length::seconds(5), Length::seconds(10), Length::seconds(15)];
        Sending {
            method: Method::Post,
            proof: Proof::Token,
            success: Success::Exactly200,
            waits: WAITS,
        }
    }

    fn conceal(&self, request: Request, secret: Option<&Secret>) -> Request {
        let mut request = token::conceal(request);
        request.body = conceal::body(request.body, secret);
        request
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
        let secret = secret.ok_or(VerifyError::NoSecret)?;
        let token = percent_encode(secret.bytes(), UNRESERVED);
        Ok(Request {
            query: Some(format!("token={token}")),
            ..Request::posted(text, "application/json")
        })
    }

    fn example(&self, kind: &str, particulars: &Particulars) -> Option<String> {
        example::of(kind, particulars)
    }

    fn decode(&self, text: &[u8], source: &SourceContext<'_>) -> Decoded {
        let envelope = match json::read::<Envelope<'_>>(text) {
            Ok(envelope) => envelope,
            Err(refusal) => return Decoded::refused(None, Dedupe::Text, refusal),
        };
        let kind = match envelope.name() {
            Ok(kind) => kind,
            Err(refusal) => return Decoded::refused(None, Dedupe::Text, refusal),
        };
        let dedupe = match envelope.key(&kind, text) {
            Ok(key) => Dedupe::Key(key),
            Err(refusal) => return Decoded::refused(Some(kind), Dedupe::Text, refusal),
        };
        let content = envelope.content(&kind, source);
        Decoded::of(Some(kind), dedupe, content)
    }
}

impl Envelope<'_> {
    /// A digest of all that tells one event from another: of `id` it is not said whether it names the event or its
    /// definition, so it is not enough by itself.
    fn key(&self, name: &str, text: &[u8]) -> Result<DedupeKey, Refusal> {
        let id: ResourceName = self.id.at("id").required_id()?;
        let timestamp = self.timestamp.at("timestamp");
        let timestamp = timestamp.required(timestamp.id_text()?)?;
        let payload_id = match self.payload_id() {
            Some(id) => id.to_string(),
            None => DedupeKey::of_digest(&digest(&[text])).to_string(),
        };
        let told = format!("{id}\n{name}\n{timestamp}\n{payload_id}\n");
        Ok(DedupeKey::of_digest(&digest(&[told.as_bytes()])))
    }

    /// What is no id tells nothing apart; whoever needs it refuses it.
    fn payload_id(&self) -> Option<ResourceName> {
        match self.payload.object::<Related<'_>>() {
            Object::Present(payload) => payload.id.at(PAYLOAD_ID).id().ok()?,
            Object::Missing | Object::Other => None,
        }
    }

    fn content(&self, kind: &str, source: &SourceContext<'_>) -> Result<Content, Refusal> {
        let Some(meaning) = meaning(kind) else {
            return Ok(Content::Ignored);
        };
        let timestamp = self.timestamp.at("timestamp");
        let at = timestamp.required(timestamp.instant()?)?;
        let by = None;
        let change = match meaning {
            Meaning::BulkDisabled => Change::Suspended { by },
            Meaning::BulkEnabled => Change::Resumed { by },
            Meaning::Created
            | Meaning::Updated
            | Meaning::Disabled
            | Meaning::Enabled
            | Meaning::PaymentAccepted
            | Meaning::PaymentDeclined => return self.of_one(meaning, at, source),
        };
        let subscriptions = bulk::subscriptions(self.payload)?.into_iter();
        let statement = |grant| GrantStatement {
            grant: GrantId {
                source: source.name.clone(),
                key: grant,
            },
            user: None,
            product: None,
            change: change.clone(),
        };
        let events = subscriptions.map(|grant| stated(at, statement(grant)));
        Ok(Content::Events(events.collect()))
    }

    fn of_one(
        &self,
        meaning: Meaning,
        at: Instant,
        source: &SourceContext<'_>,
    ) -> Result<Content, Refusal> {
        let payload: Payload<'_> = self.payload.object().or_empty("payload")?;
        let reading = Reading {
            payload: &payload,
            at,
            source,
        };
        reading.content(meaning)
    }
}

const PAYLOAD_ID: &str = "payload.id";

fn stated(at: Instant, statement: GrantStatement) -> Stated {
    Stated {
        effective_at: Some(EffectiveAt(at)),
        statement: Statement::Grant(statement),
        lasts: None,
    }
}
