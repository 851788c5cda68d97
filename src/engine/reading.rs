//! Reading a delivery: what arrived is opened and decoded, by the rules and secrets of its source.

use super::delivery::Content as Arrived;
use super::sources::{Source, source};
use super::{EngineError, Secrets, unknown_source};
use crate::domain::delivery::Refusal;
use crate::domain::id::SourceName;
use crate::domain::rules::Rules;
use crate::provider::{Content, Decoded, Dedupe, PROVIDERS, Request, Verified};

/// A delivery as far as it could be read.
pub(crate) struct Read {
    pub(crate) request: Request,
    /// The text that dedupe keys and digests speak of.
    pub(crate) text: Vec<u8>,
    pub(crate) decoded: Decoded,
    pub(crate) arrival_is_order: bool,
}

/// Opens what arrived and decodes it.
///
/// # Errors
/// [`EngineError::UnknownSource`] if there is no such source.
pub(crate) fn read(
    rules: &Rules,
    secrets: &Secrets,
    content: Arrived,
    name: &SourceName,
) -> Result<Read, EngineError> {
    let Some(source) = source(rules, name) else {
        return match content {
            Arrived::Unreadable(request, refusal) => {
                // Nobody knows whose it is, so whatever any system would conceal is concealed.
                let request = concealed(request, secrets);
                Ok(unreadable(request, refusal, false))
            }
            Arrived::Verified(_) | Arrived::Trusted(_) => Err(unknown_source(rules, name)),
        };
    };
    let opened = match content {
        Arrived::Verified(verified) => Ok(verified),
        Arrived::Trusted(request) => Verified::trusted(source.provider, request, secrets.get(name)),
        Arrived::Unreadable(request, refusal) => {
            let secret = secrets.get(name);
            Err((source.provider.conceal(request, secret), refusal))
        }
    };
    Ok(decode(source, opened))
}

/// A request of which nobody knows whose it is, without what any system would conceal, with any of the secrets.
fn concealed(request: Request, secrets: &Secrets) -> Request {
    let secrets = secrets.all().map(Some).chain([None]);
    let ways = secrets.flat_map(|secret| PROVIDERS.iter().map(move |provider| (provider, secret)));
    ways.fold(request, |request, (provider, secret)| {
        provider.conceal(request, secret)
    })
}

/// Decodes what was opened; what was not is quarantined.
pub(crate) fn decode(source: Source<'_>, opened: Result<Verified, (Request, Refusal)>) -> Read {
    let arrival_is_order = source.provider.arrival_is_order();
    match opened {
        Ok(verified) => Read {
            decoded: source.provider.decode(verified.text(), &source.context),
            text: verified.text().to_vec(),
            request: verified.request().clone(),
            arrival_is_order,
        },
        Err((request, refusal)) => unreadable(request, refusal, arrival_is_order),
    }
}

/// What cannot be read is known by the digest of all that was received.
pub(super) fn unreadable(request: Request, refusal: Refusal, arrival_is_order: bool) -> Read {
    let mut text = request.body.clone();
    text.extend_from_slice(request.query.as_deref().unwrap_or_default().as_bytes());
    Read {
        request,
        text,
        decoded: Decoded {
            kind: None,
            dedupe: Dedupe::Text,
            content: Content::Quarantined(refusal),
        },
        arrival_is_order,
    }
}
