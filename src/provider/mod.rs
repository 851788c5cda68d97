//! The systems whose webhooks are read. A provider is one folder here and two lines in this file.
//!
//! A provider says whether a request is authentic and what it states. It never asks for current state, reads no clock and
//! knows nothing of stores.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::delivery::Refusal;
use crate::domain::event::Statement;
use crate::domain::id::{DedupeKey, GrantKey, ProductName, SourceName, UserId};
use crate::domain::rules::{AbsentExpires, MemberPlan, Rules, SourceRules};
use crate::domain::time::{EffectiveAt, Instant, Length, Period};

mod abowire;
mod cloudevents;
mod field;
mod gately;
mod json;
mod piano;
mod signature;
mod token;
mod tonos;
mod value;

pub use signature::Secret;
#[allow(unused_imports, reason = "the engine digests bodies with it")]
pub(crate) use signature::digest;

/// Every provider. The command's values, the contract tests and the documentation iterate over it.
pub static PROVIDERS: &[&dyn Provider] = &[
    &abowire::Abowire,
    &cloudevents::CloudEvents,
    &gately::Gately,
    &piano::Piano,
    &tonos::Tonos,
];

/// The provider of that name.
pub fn provider(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS
        .iter()
        .copied()
        .find(|provider| provider.name() == name)
}

/// One kind of system that sends webhooks.
pub trait Provider: fmt::Debug + Send + Sync {
    /// Its name in rules, commands and the log.
    fn name(&self) -> &'static str;

    /// Whether the staff's own statements are written in this dialect.
    fn speaks_for_staff(&self) -> bool {
        false
    }

    /// Whether the order of arrival is the order of events. Such a system states no event times; an event takes effect when
    /// it is received, and events are folded in the order of the log.
    fn arrival_is_order(&self) -> bool;

    /// The names of the events it sends that have an effect or are known to have none, for documentation and tests.
    fn kinds(&self) -> &'static [&'static str];

    /// How it sends: what it does to be believed, what it takes for success and when it tries again.
    fn sending(&self) -> Sending;

    /// Takes out of a request what would let its reader pass for the sender. It is done before anything of the request is
    /// stored or shown, and twice is the same as once.
    fn conceal(&self, request: Request, _secret: Option<&Secret>) -> Request {
        request
    }

    /// Shows that a request from the network comes from the system that holds the secret, and opens it if it is encrypted.
    ///
    /// # Errors
    /// [`VerifyError`] if that cannot be shown. Nothing of the request may then be believed.
    fn verify(
        &self,
        request: Request,
        secret: Option<&Secret>,
        now: Instant,
    ) -> Result<Verified, VerifyError>;

    /// Opens a request from a place that is trusted itself, a file or the log: only what is encrypted needs the secret.
    ///
    /// # Errors
    /// [`Refusal`] if an encrypted request is not whole or was not made with the secret.
    fn open(&self, request: &Request, _secret: Option<&Secret>) -> Result<Vec<u8>, Refusal> {
        Ok(request.body.clone())
    }

    /// Makes the request by which the system would send `text`: encrypted or signed with the secret, where it does that.
    ///
    /// # Errors
    /// [`VerifyError::NoSecret`] if there is no secret that can serve and the system sends nothing without.
    fn seal(
        &self,
        text: &[u8],
        secret: Option<&Secret>,
        now: Instant,
    ) -> Result<Request, VerifyError>;

    /// Reads what an opened body states. Total: whatever the bytes are, there is an answer.
    fn decode(&self, text: &[u8], source: &SourceContext<'_>) -> Decoded;

    /// The text of an event of that name as the system would write it; `None` for a name that is none of
    /// [`kinds`](Provider::kinds). To be [sealed](Provider::seal), sent and decoded as any other.
    fn example(&self, kind: &str, particulars: &Particulars) -> Option<String>;
}

/// How a system sends its webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// How the request is made.
    pub method: Method,
    /// What shows that the request is the system's.
    pub proof: Proof,
    /// What the system takes for success.
    pub success: Success,
    /// How long it waits before each further attempt, from the end of the one before; none if it is not known to repeat.
    pub waits: &'static [Length],
}

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// What is sent stands in the query.
    Get,
    /// What is sent stands in the body.
    Post,
}

/// What shows that a request is the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A signature that covers what is sent.
    Signature,
    /// A shared token that goes along. It says nothing of the body, and whoever reads it can forge.
    Token,
}

/// What a system takes for success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// Status 200 and no other.
    Exactly200,
    /// Any status from 200 to 299.
    Any2xx,
}

impl Success {
    /// Whether an answer of that status ends the attempts.
    pub fn is(self, status: u16) -> bool {
        match self {
            Self::Exactly200 => status == 200,
            Self::Any2xx => (200..300).contains(&status),
        }
    }
}

/// What an example of an event is to speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Particulars {
    /// Tells the event from all others.
    pub id: String,
    /// The user, without the source's prefix.
    pub user: UserId,
    /// The product.
    pub product: ProductName,
    /// The grant.
    pub grant: GrantKey,
    /// When it happened.
    pub at: Instant,
    /// The end of what is granted or paid for.
    pub until: Instant,
    /// The tenant, where one has to be named.
    pub tenant: Option<String>,
}

/// One request as it was received.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// The headers that were kept, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The query string, without `?`.
    pub query: Option<String>,
}

impl Request {
    /// A POST of `text`, as that media type.
    fn posted(text: &[u8], media_type: &str) -> Self {
        let header = ("content-type".to_owned(), media_type.to_owned());
        Self {
            body: text.to_vec(),
            headers: BTreeMap::from([header]),
            query: None,
        }
    }
}

/// Shows sizes only: bodies, headers and queries hold personal data and secrets.
impl fmt::Debug for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Request")
            .field("body_bytes", &self.body.len())
            .field("headers", &self.headers.len())
            .field("has_query", &self.query.is_some())
            .finish()
    }
}

/// A request that was shown to be authentic, or comes from a place that is trusted.
///
/// Only the code beside the signature checks can make one, so whatever takes a `Verified` cannot be handed a forgery.
#[derive(Clone, Debug)]
pub struct Verified {
    request: Request,
    /// The readable body where it differs from the one received.
    opened: Option<Vec<u8>>,
}

impl Verified {
    /// Vouches for a request. To be called only where its authenticity was just shown.
    fn vouch(request: Request, opened: Option<Vec<u8>>) -> Self {
        Self { request, opened }
    }

    /// Takes a request from a trusted place, as a file given by the operator or the log itself.
    ///
    /// # Errors
    /// The request and the [`Refusal`] if it is encrypted and cannot be opened with `secret`.
    #[allow(
        clippy::result_large_err,
        reason = "the request goes back to the caller, who keeps it"
    )]
    pub fn trusted(
        provider: &dyn Provider,
        request: Request,
        secret: Option<&Secret>,
    ) -> Result<Self, (Request, Refusal)> {
        let request = provider.conceal(request, secret);
        match provider.open(&request, secret) {
            Ok(text) if text == request.body => Ok(Self::vouch(request, None)),
            Ok(text) => Ok(Self::vouch(request, Some(text))),
            Err(refusal) => Err((request, refusal)),
        }
    }

    /// The request as it was received.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The readable body: decrypted, where it was received encrypted.
    pub fn text(&self) -> &[u8] {
        self.opened.as_deref().unwrap_or(&self.request.body)
    }
}

/// Why a request from the network is not believed. One error for all failures of the signature itself, so that a forger
/// learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is not signed with the source's secret.
    #[error("the request is not signed with the source's secret")]
    NotAuthentic,
    /// The signature is right but its time is not now: a replay, or a wrong clock. Worth an alarm.
    #[error("the request's signature is right but its time is more than five minutes from now")]
    StaleTime,
    /// The source has no secret to check with, or none that can serve as one.
    #[error("the source has no secret to check requests with")]
    NoSecret,
}

/// What a decoder may know of the source it reads for.
#[derive(Clone, Copy, Debug)]
pub struct SourceContext<'a> {
    /// The source's name.
    pub name: &'a SourceName,
    /// Its rules; `None` means the defaults.
    pub rules: Option<&'a SourceRules>,
    /// The rules of all products.
    pub products: &'a Rules,
}

impl SourceContext<'_> {
    /// The tenant deliveries must name, if one is set.
    pub fn tenant(&self) -> Option<&str> {
        self.rules?.tenant.as_deref()
    }

    /// What is put before every user id of this source.
    pub fn user_prefix(&self) -> &str {
        self.rules.map_or("", |rules| &rules.user_prefix)
    }

    /// What a missing end means.
    pub fn absent_expires(&self) -> AbsentExpires {
        self.rules.map_or(AbsentExpires::Quarantine, |rules| {
            rules.policy.absent_expires
        })
    }

    /// What membership gives.
    pub fn member_plan(&self) -> &MemberPlan {
        self.rules
            .map_or(&MemberPlan::Grant, |rules| &rules.policy.member_plan)
    }

    /// The period of a product's subscriptions.
    pub fn period(&self, product: &ProductName) -> Option<Period> {
        self.products.period(product)
    }
}

/// What a decoder makes of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The name of the event as the system calls it, where it could be read.
    pub kind: Option<String>,
    /// What makes the delivery the same as another one.
    pub dedupe: Dedupe,
    /// What it states.
    pub content: Content,
}

impl Decoded {
    /// A delivery whose content was read or refused.
    fn of(kind: Option<String>, dedupe: Dedupe, read: Result<Content, Refusal>) -> Self {
        Self {
            kind,
            dedupe,
            content: read.unwrap_or_else(Content::Quarantined),
        }
    }

    /// A delivery that cannot be applied.
    fn refused(kind: Option<String>, dedupe: Dedupe, refusal: Refusal) -> Self {
        Self {
            kind,
            dedupe,
            content: Content::Quarantined(refusal),
        }
    }
}

/// What a delivery states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// At least one event.
    Events(Vec<Stated>),
    /// Understood, and without effect on access.
    Ignored,
    /// It cannot be applied.
    Quarantined(Refusal),
}

/// An event as a delivery states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// From when on; `None` where the system states no event times: from its reception on.
    pub effective_at: Option<EffectiveAt>,
    /// What.
    pub statement: Statement,
    /// Where the effective time is known only on reception and the end is counted from it: what is granted ends that long
    /// after the effective time. The statement's term then reads [`End::Never`](crate::domain::time::End::Never) and is
    /// to be replaced by that end.
    pub lasts: Option<Length>,
}

/// What makes two deliveries of a source the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dedupe {
    /// The system names its events.
    Key(DedupeKey),
    /// The system does not, and sends the packets of a grant one after the other: a packet is known by its text.
    Packet {
        /// The grant it belongs to.
        grant: GrantKey,
        /// Whether the same text is the same packet however long ago it came. Otherwise only if it came last: a grant, a
        /// revocation and the same grant again are three packets.
        once: bool,
    },
    /// It cannot be read, or names neither event nor grant: known by the digest of its text.
    Text,
}

impl Dedupe {
    /// The key of a delivery with that `text`, after the latest different packet of its grant had the key `previous`.
    pub fn key(&self, text: &[u8], previous: Option<&DedupeKey>) -> DedupeKey {
        match self {
            Self::Key(key) => key.clone(),
            Self::Text | Self::Packet { once: true, .. } => DedupeKey::of_digest(&digest(&[text])),
            Self::Packet { once: false, .. } => {
                let previous = previous.map_or("", DedupeKey::as_str);
                DedupeKey::of_digest(&digest(&[text, previous.as_bytes()]))
            }
        }
    }
}
