//! The signature: HMAC-SHA256 with the secret over the bytes of the body, in a header.

use super::super::signature::{mac, mac_is};
use super::{Request, Secret, VerifyError};
use crate::domain::id::DedupeKey;

const SIGNATURE: &str = "x-gately-signature";
const ALGORITHM: &str = "sha256=";

/// Shows that the body was signed with the secret. No time is signed, so a replay is only told by the event's id.
pub(super) fn verify(request: &Request, secret: Option<&Secret>) -> Result<(), VerifyError> {
    let secret = secret.ok_or(VerifyError::NoSecret)?;
    let given = request.headers.get(SIGNATURE).map(|value| value.trim());
    let given = given
        .and_then(|value| value.strip_prefix(ALGORITHM))
        .and_then(bytes)
        .ok_or(VerifyError::NotAuthentic)?;
    if !mac_is(&given, secret.bytes(), &[&request.body]) {
        return Err(VerifyError::NotAuthentic);
    }
    Ok(())
}

/// The request that [`verify`] believes.
pub(super) fn seal(text: &[u8], secret: Option<&Secret>) -> Result<Request, VerifyError> {
    let mac = secret
        .and_then(|secret| mac(secret.bytes(), &[text]))
        .ok_or(VerifyError::NoSecret)?;
    let signature = format!("{ALGORITHM}{}", DedupeKey::of_digest(&mac));
    let mut request = Request::posted(text, "application/json");
    request.headers.insert(SIGNATURE.to_owned(), signature);
    Ok(request)
}

/// Pairs of hex digits, in lower case as the system writes them.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let pairs = pairs.iter();
    pairs
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::*;

    fn verdict(value: Option<&str>) -> Result<(), VerifyError> {
        let mut request = Request {
            body: b"what do ya want for nothing?".to_vec(),
            ..Request::default()
        };
        if let Some(value) = value {
            let name = SIGNATURE.to_owned();
            request.headers.insert(name, value.to_owned());
        }
        verify(&request, Secret::new("Jefe").as_ref())
    }

    /// The second test case of RFC 4231.
    const PUBLISHED: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn a_published_mac_verifies() {
        assert_eq!(verdict(Some(&format!("sha256={PUBLISHED}"))), Ok(()));
        let sealed = seal(
            b"what do ya want for nothing?",
            Secret::new("Jefe").as_ref(),
        )
        .unwrap();
        let value = sealed.headers.get(SIGNATURE).unwrap();
        assert_eq!(*value, format!("sha256={PUBLISHED}"));
    }

    #[test]
    fn another_form_does_not() {
        let short = PUBLISHED.get(..62).unwrap();
        for value in [
            PUBLISHED.to_owned(),
            format!("sha256={}", PUBLISHED.to_uppercase()),
            format!("SHA256={PUBLISHED}"),
            format!("sha1={PUBLISHED}"),
            format!("sha256={short}"),
            format!("sha256={PUBLISHED}00"),
            format!("sha256={PUBLISHED}0"),
            "sha256=".to_owned(),
            String::new(),
        ] {
            let refused = Err(VerifyError::NotAuthentic);
            assert_eq!(verdict(Some(&value)), refused, "{value}");
        }
        assert_eq!(verdict(None), Err(VerifyError::NotAuthentic));
    }

    #[test]
    fn without_a_secret_nothing_is_believed_and_nothing_sealed() {
        let request = seal(b"{}", Secret::new("s").as_ref()).unwrap();
        assert_eq!(verify(&request, None), Err(VerifyError::NoSecret));
        assert_eq!(seal(b"{}", None), Err(VerifyError::NoSecret));
    }
}
