//! JSON Lines: how deliveries stand in files, to be ingested and as they are exported.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::delivery::Delivery;
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::id::{DedupeKey, SourceName};
use crate::domain::time::Instant;
use crate::provider::Request;
use crate::store::Entry;

/// A line of a file of deliveries.
#[derive(Clone, Debug)]
pub struct Line {
    /// The source the line names, if it is an envelope that names one.
    pub source: Option<SourceName>,
    /// When the request was received, if the envelope says so.
    pub received_at: Option<Instant>,
    /// When the log it comes from recorded it, where that was not when it was received.
    pub recorded_at: Option<Instant>,
    /// Why the log it comes from has it in quarantine, if it has.
    pub quarantined: Option<StatedRefusal>,
    /// The request.
    pub request: Request,
    /// Why the envelope cannot be taken apart; the request then is the whole line.
    pub refusal: Option<Refusal>,
}

/// As what, and why, a delivery was put into quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedRefusal {
    /// The key it has in the log.
    pub key: DedupeKey,
    /// Why.
    pub refusal: Refusal,
}

/// The delivery a line stands for. `source` is the source of all lines of the file; without one, every line has to name its
/// own, and one that does not is parked under `any`.
///
/// A line that is refused as a whole is parked as a whole, so that a retry cannot take its inside for a statement of a
/// source it does not name.
pub(crate) fn delivery_of_line(
    bytes: &[u8],
    source: Option<&SourceName>,
    any: &SourceName,
) -> Delivery {
    let line = read_line(bytes);
    let refusal = line
        .refusal
        .or_else(|| refusal_of_source(bytes, source, line.source.as_ref()));
    let source = source.or(line.source.as_ref()).unwrap_or(any).clone();
    let delivery = match refusal {
        Some(refusal) => Delivery::unreadable(source, body_only(bytes), refusal),
        None => Delivery::trusted(source, line.request),
    };
    Delivery {
        recorded_at: line.recorded_at,
        parked: line.quarantined,
        ..delivery.received_at(line.received_at)
    }
}

fn refusal_of_source(
    bytes: &[u8],
    given: Option<&SourceName>,
    named: Option<&SourceName>,
) -> Option<Refusal> {
    match (given, named) {
        (Some(given), Some(named)) if given != named => {
            let detail =
                format!("the line is of `{named}`, the file was given as one of `{given}`");
            Some(Refusal::new(Reason::BadField, "source", &detail))
        }
        (None, None) => Some(refusal_of_anonymous(bytes)),
        (Some(_), Some(_) | None) | (None, Some(_)) => None,
    }
}

/// Why a line that names no source is none of a mixed file: the first of its faults.
fn refusal_of_anonymous(bytes: &[u8]) -> Refusal {
    let detail = "a line of mixed sources has to be an envelope that names its source";
    if std::str::from_utf8(bytes).is_err() {
        return Refusal::new(Reason::NotUtf8, "body", detail);
    }
    match serde_json::from_slice::<&RawValue>(bytes) {
        Err(_) => Refusal::new(Reason::NotJson, "body", detail),
        Ok(raw) if !raw.get().starts_with('{') => Refusal::new(Reason::NotAnObject, "body", detail),
        Ok(_) => Refusal::new(Reason::MissingField, "source", detail),
    }
}

/// The keys an envelope may have; an object with any other key is a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(borrow, default)]
    body_encoding: Option<&'a RawValue>,
    #[serde(borrow, default)]
    received_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    recorded_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    quarantined: Option<&'a RawValue>,
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    query: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
}

/// Reads a line: a body as the system sent it, or an envelope
/// `{"received_at":"…Z","body":<JSON or string>,"headers":{…},"query":"…","source":"…"}`, with
/// `"body_encoding":"base64"` where the body is no text, and with `recorded_at` and `quarantined` where it comes from
/// another log.
///
/// Total: what is neither is a body, and whoever decodes it says what is wrong with it.
pub fn read_line(line: &[u8]) -> Line {
    let envelope = match line.first() {
        Some(b'{') => serde_json::from_slice::<Envelope<'_>>(line).ok(),
        Some(_) | None => None,
    };
    let Some(envelope) = envelope else {
        return Line {
            refusal: None,
            ..bare(line)
        };
    };
    open(&envelope).unwrap_or_else(|refusal| Line {
        refusal: Some(refusal),
        ..bare(line)
    })
}

/// A line that is a body and nothing else.
fn bare(line: &[u8]) -> Line {
    Line {
        source: None,
        received_at: None,
        recorded_at: None,
        quarantined: None,
        request: body_only(line),
        refusal: None,
    }
}

fn body_only(line: &[u8]) -> Request {
    Request {
        body: line.to_vec(),
        ..Request::default()
    }
}

fn open(envelope: &Envelope<'_>) -> Result<Line, Refusal> {
    let source: Option<String> = field(envelope.source, "source")?;
    let headers: Option<BTreeMap<String, String>> = field(envelope.headers, "headers")?;
    let headers = headers.unwrap_or_default().into_iter();
    Ok(Line {
        source: source
            .map(|name| SourceName::new(&name))
            .transpose()
            .map_err(|error| Refusal::new(Reason::BadId, "source", &error.to_string()))?,
        received_at: instant(envelope.received_at, "received_at")?,
        recorded_at: instant(envelope.recorded_at, "recorded_at")?,
        quarantined: quarantined(envelope.quarantined)?,
        request: Request {
            body: body(envelope)?,
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            query: field(envelope.query, "query")?,
        },
        refusal: None,
    })
}

fn field<T: for<'a> Deserialize<'a>>(
    raw: Option<&RawValue>,
    name: &str,
) -> Result<Option<T>, Refusal> {
    raw.map_or(Ok(None), |raw| {
        // The parser's own words repeat what stands there, which may be a token.
        let refused = |_| Refusal::new(Reason::BadField, name, "not of the type it has to be");
        serde_json::from_str(raw.get()).map_err(refused)
    })
}

fn instant(raw: Option<&RawValue>, name: &str) -> Result<Option<Instant>, Refusal> {
    let text: Option<String> = field(raw, name)?;
    let read = text.map(|text| text.parse::<Instant>()).transpose();
    read.map_err(|error| {
        let reason = match error {
            crate::domain::time::TimeError::Malformed => Reason::BadTime,
            crate::domain::time::TimeError::OutOfRange => Reason::TimeOutOfRange,
        };
        Refusal::new(reason, name, &error.to_string())
    })
}

/// The refusal of a delivery, as it stands in a file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct WrittenRefusal<'a> {
    key: Cow<'a, str>,
    reason: Reason,
    field: Cow<'a, str>,
    detail: Cow<'a, str>,
}

fn quarantined(raw: Option<&RawValue>) -> Result<Option<StatedRefusal>, Refusal> {
    let Some(stated) = field::<WrittenRefusal<'_>>(raw, "quarantined")? else {
        return Ok(None);
    };
    let key = DedupeKey::new(&stated.key)
        .map_err(|error| Refusal::new(Reason::BadId, "quarantined.key", &error.to_string()))?;
    let refusal = Refusal::new(stated.reason, &stated.field, &stated.detail);
    Ok(Some(StatedRefusal { key, refusal }))
}

fn body(envelope: &Envelope<'_>) -> Result<Vec<u8>, Refusal> {
    let encoding: Option<String> = field(envelope.body_encoding, "body_encoding")?;
    let raw = envelope.body.get();
    match (encoding.as_deref(), raw.as_bytes().first()) {
        (None, Some(b'"')) => {
            let text: Option<String> = field(Some(envelope.body), "body")?;
            Ok(text.unwrap_or_default().into_bytes())
        }
        (None, Some(b'n')) => Ok(Vec::new()),
        (None, Some(_) | None) => Ok(raw.as_bytes().to_vec()),
        (Some("base64"), _) => {
            let text: Option<String> = field(Some(envelope.body), "body")?;
            BASE64
                .decode(text.unwrap_or_default())
                .map_err(|error| Refusal::new(Reason::BadField, "body", &error.to_string()))
        }
        (Some(_), _) => Err(Refusal::new(
            Reason::BadField,
            "body_encoding",
            "only `base64` is known",
        )),
    }
}

/// Writes a delivery of the log as one line, without a line break. [`read_line`] gives back the same request, byte for byte.
pub fn write_line(entry: &Entry) -> String {
    let fact = &entry.fact;
    written(&Written {
        received_at: fact.received_at.unwrap_or(fact.recorded_at.0),
        recorded_at: None,
        quarantined: None,
        body: &fact.body,
        headers: fact.headers.as_deref(),
        query: fact.query.as_deref(),
        source: &fact.source,
    })
}

/// Writes a delivery of the log as [`write_line`] does, with what a history has to say of it besides: when it was recorded,
/// where that was not when it was received, and why it is in quarantine, if it is.
pub(super) fn write_history_line(entry: &Entry) -> String {
    let fact = &entry.fact;
    let recorded_at = fact.recorded_at.0;
    let received_at = fact.received_at.unwrap_or(recorded_at);
    let refusal = fact.refusal.as_ref().map(|refusal| WrittenRefusal {
        key: fact.dedupe_key.as_str().into(),
        reason: refusal.reason,
        field: refusal.field.as_str().into(),
        detail: refusal.detail.as_str().into(),
    });
    written(&Written {
        received_at,
        recorded_at: (recorded_at != received_at).then_some(recorded_at),
        quarantined: refusal.map(|it| serde_json::to_string(&it).unwrap_or_default()),
        body: &fact.body,
        headers: fact.headers.as_deref(),
        query: fact.query.as_deref(),
        source: &fact.source,
    })
}

/// Writes a request as one line, as if it had been received at that instant: what [`write_line`] writes once it is
/// recorded.
pub fn write_request(request: &Request, received_at: Instant, source: &SourceName) -> String {
    // Texts by texts are written as JSON whatever they hold.
    let headers = serde_json::to_string(&request.headers).unwrap_or_default();
    written(&Written {
        received_at,
        recorded_at: None,
        quarantined: None,
        body: &request.body,
        headers: (!request.headers.is_empty()).then_some(&headers),
        query: request.query.as_deref(),
        source,
    })
}

/// What stands in an envelope that is written.
struct Written<'a> {
    received_at: Instant,
    recorded_at: Option<Instant>,
    /// As JSON.
    quarantined: Option<String>,
    body: &'a [u8],
    /// As JSON.
    headers: Option<&'a str>,
    query: Option<&'a str>,
    source: &'a SourceName,
}

fn written(envelope: &Written<'_>) -> String {
    let (body, encoding) = written_body(envelope.body);
    let received_at = envelope.received_at;
    let mut line = format!("{{\"received_at\":\"{received_at}\"");
    if let Some(recorded_at) = envelope.recorded_at {
        line.push_str(&format!(",\"recorded_at\":\"{recorded_at}\""));
    }
    if let Some(quarantined) = &envelope.quarantined {
        line.push_str(&format!(",\"quarantined\":{quarantined}"));
    }
    line.push_str(&format!(",\"body\":{body}"));
    if let Some(encoding) = encoding {
        line.push_str(&format!(",\"body_encoding\":\"{encoding}\""));
    }
    if let Some(headers) = envelope.headers {
        line.push_str(&format!(",\"headers\":{headers}"));
    }
    if let Some(query) = envelope.query {
        line.push_str(&format!(",\"query\":{}", quoted(query)));
    }
    let source = quoted(envelope.source.as_str());
    line.push_str(&format!(",\"source\":{source}}}"));
    line
}

/// As JSON where that gives the bytes back, else as a string, else in base64.
fn written_body(body: &[u8]) -> (String, Option<&'static str>) {
    let Ok(text) = std::str::from_utf8(body) else {
        return (quoted(&BASE64.encode(body)), Some("base64"));
    };
    let is_one_line = !text.contains(['\n', '\r']);
    if text.starts_with('{')
        && is_one_line
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get() == text)
    {
        return (text.to_owned(), None);
    }
    (quoted(text), None)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::*;

    #[test]
    fn a_request_that_is_written_is_read_as_it_was() {
        let received_at: Instant = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let source: SourceName = "a \"quoted\" source".parse().unwrap();
        let bodies: [&[u8]; 6] = [
            b"",
            b"{\"a\": 1}",
            b"{\"a\":\n1}",
            b"text",
            b"{",
            b"\xff\x00",
        ];
        for body in bodies {
            for (headers, query) in [(&[][..], None), (&[("x-a", "\"b\\")], Some("data=%7E&\"'"))] {
                let headers = headers.iter().copied();
                let request = Request {
                    body: body.to_vec(),
                    headers: headers
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                    query: query.map(str::to_owned),
                };
                let line = write_request(&request, received_at, &source);
                assert!(!line.contains('\n'), "{line}");
                let read = read_line(line.as_bytes());
                assert!(read.refusal.is_none() && read.request == request, "{line}");
                assert_eq!(read.received_at, Some(received_at));
                assert_eq!(read.source.as_ref(), Some(&source));
            }
        }
    }
}
