//! The cryptography all providers share: secrets that never show themselves, digests, and signatures compared in a time
//! that says nothing about where they differ.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Request, VerifyError};
use crate::domain::time::Instant;

/// What a source and the system that speaks through it share. Shows itself nowhere.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the secret as the system has it, byte for byte; `None` if it is empty, with which anyone could sign.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    pub(in crate::provider) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// SHA-256 over the parts, one after the other.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// HMAC-SHA256 over the parts, one after the other. There is one for every key.
pub(in crate::provider) fn mac(key: &[u8], parts: &[&[u8]]) -> Option<[u8; 32]> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        hmac.update(part);
    }
    Some(hmac.finalize().into_bytes().into())
}

/// Whether `given` is the HMAC-SHA256 over the parts. Takes the same time wherever they differ.
pub(in crate::provider) fn mac_is(given: &[u8], key: &[u8], parts: &[&[u8]]) -> bool {
    mac(key, parts).is_some_and(|expected| expected.as_slice().ct_eq(given).into())
}

/// Signing as described by Standard Webhooks: three headers, a secret that begins with `whsec_`.
pub(in crate::provider) mod standard_webhooks {
    use super::*;

    const ID: &str = "webhook-id";
    const TIMESTAMP: &str = "webhook-timestamp";
    const SIGNATURE: &str = "webhook-signature";
    /// How far the signed time may be from now: a captured request is worth nothing afterwards.
    const TOLERANCE_MICROS: u64 = 5 * 60 * 1_000_000;

    /// Shows that the request was signed with the secret, within five minutes of `now`.
    pub(in crate::provider) fn verify(
        request: &Request,
        secret: Option<&Secret>,
        now: Instant,
    ) -> Result<(), VerifyError> {
        let key = key(secret)?;
        let header = |name| request.headers.get(name).map(|value| value.trim());
        let (Some(id), Some(timestamp), Some(signatures)) =
            (header(ID), header(TIMESTAMP), header(SIGNATURE))
        else {
            return Err(VerifyError::NotAuthentic);
        };
        let parts = signed(id, timestamp, &request.body);
        // All of them are compared: several stand there while a secret is being replaced.
        let matches = signatures
            .split_ascii_whitespace()
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .filter_map(|signature| STANDARD.decode(signature).ok())
            .filter(|signature| mac_is(signature, &key, &parts))
            .count();
        if id.is_empty() || matches == 0 {
            return Err(VerifyError::NotAuthentic);
        }
        // Only digits: the text was signed, so nobody but the sender could have written anything else.
        let seconds = Some(timestamp)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<i64>().ok())
            .ok_or(VerifyError::NotAuthentic)?;
        let micros = seconds
            .checked_mul(1_000_000)
            .ok_or(VerifyError::StaleTime)?;
        if micros.abs_diff(now.micros()) > TOLERANCE_MICROS {
            return Err(VerifyError::StaleTime);
        }
        Ok(())
    }

    /// Adds the headers that [`verify`] looks for.
    pub(in crate::provider) fn sign(
        request: &mut Request,
        id: &str,
        secret: &Secret,
        now: Instant,
    ) -> Result<(), VerifyError> {
        let key = key(Some(secret))?;
        let timestamp = now.micros().div_euclid(1_000_000).to_string();
        let mac = mac(&key, &signed(id, &timestamp, &request.body)).ok_or(VerifyError::NoSecret)?;
        let signature = format!("v1,{}", STANDARD.encode(mac));
        for (name, value) in [
            (ID, id.to_owned()),
            (TIMESTAMP, timestamp),
            (SIGNATURE, signature),
        ] {
            request.headers.insert(name.to_owned(), value);
        }
        Ok(())
    }

    fn signed<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
        [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
    }

    /// The bytes behind the `whsec_` form; a secret of another form cannot serve.
    fn key(secret: Option<&Secret>) -> Result<Vec<u8>, VerifyError> {
        secret
            .and_then(|secret| secret.bytes().strip_prefix(b"whsec_"))
            .and_then(|text| STANDARD.decode(text).ok())
            .filter(|key| !key.is_empty())
            .ok_or(VerifyError::NoSecret)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::standard_webhooks::{sign, verify};
    use super::*;

    const NOW: &str = "2021-02-25T04:40:00Z";

    fn secret() -> Secret {
        Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    fn at(seconds: i64) -> Instant {
        let now: Instant = NOW.parse().unwrap();
        Instant::from_micros(now.micros() + seconds * 1_000_000).unwrap()
    }

    fn signed() -> Request {
        let mut request = Request {
            body: b"{}".to_vec(),
            ..Request::default()
        };
        sign(&mut request, "msg_1", &secret(), at(0)).unwrap();
        request
    }

    #[test]
    fn the_published_example_verifies() {
        let mut request = Request {
            body: br#"{"test": 2432232314}"#.to_vec(),
            ..Request::default()
        };
        for (name, value) in [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ] {
            request.headers.insert(name.to_owned(), value.to_owned());
        }
        let now = Instant::from_epoch(1_614_265_330).unwrap();
        assert_eq!(verify(&request, Some(&secret()), now), Ok(()));
    }

    #[test]
    fn five_minutes_either_way_are_allowed_and_no_more() {
        for (seconds, expected) in [
            (300, Ok(())),
            (-300, Ok(())),
            (301, Err(VerifyError::StaleTime)),
            (-301, Err(VerifyError::StaleTime)),
        ] {
            assert_eq!(verify(&signed(), Some(&secret()), at(seconds)), expected);
        }
    }

    #[test]
    fn one_right_signature_among_several_is_enough() {
        let mut request = signed();
        let right = request.headers.get("webhook-signature").unwrap().clone();
        let several = format!("v1a,abcd v1,AAAA v1,% {right}");
        request
            .headers
            .insert("webhook-signature".to_owned(), several);
        assert_eq!(verify(&request, Some(&secret()), at(0)), Ok(()));
    }

    #[test]
    fn a_signature_of_another_version_does_not_count() {
        let mut request = signed();
        let signature = request.headers.get_mut("webhook-signature").unwrap();
        *signature = signature.replace("v1,", "v2,");
        let verdict = verify(&request, Some(&secret()), at(0));
        assert_eq!(verdict, Err(VerifyError::NotAuthentic));
    }

    #[test]
    fn a_missing_header_is_not_authentic() {
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut request = signed();
            request.headers.remove(name);
            let verdict = verify(&request, Some(&secret()), at(0));
            assert_eq!(verdict, Err(VerifyError::NotAuthentic), "{name}");
        }
    }

    #[test]
    fn a_secret_of_another_form_cannot_serve() {
        for text in ["plain", "whsec_", "whsec_%%%"] {
            let secret = Secret::new(text);
            let verdict = verify(&signed(), secret.as_ref(), at(0));
            assert_eq!(verdict, Err(VerifyError::NoSecret), "{text}");
        }
        assert_eq!(verify(&signed(), None, at(0)), Err(VerifyError::NoSecret));
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", secret()), "[redacted]");
        assert!(Secret::new("").is_none());
    }

    #[test]
    fn parts_are_digested_as_one_text() {
        assert_eq!(digest(&[b"a", b"bc"]), digest(&[b"abc"]));
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let shown = crate::domain::id::DedupeKey::of_digest(&digest(&[b"abc"]));
        assert_eq!(shown.as_str(), hex);
    }
}
