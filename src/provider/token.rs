//! A token shared with the system, sent along in the clear: in the query that the publisher put behind the address, or in
//! a header. Whoever can read a kept request must not find it there.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;

use super::{Request, Secret, VerifyError};

/// What stands in place of what was taken out.
pub(super) const REDACTED: &str = "[redacted]";
/// The only headers that cannot hold a token.
const HARMLESS_HEADERS: [&str; 3] = ["content-type", "content-length", "user-agent"];

/// Shows that the request brings the token: as the value of any query parameter, or of any header, there also behind
/// `Bearer`.
pub(super) fn verify(request: &Request, secret: Option<&Secret>) -> Result<(), VerifyError> {
    let secret = secret.ok_or(VerifyError::NoSecret)?;
    let in_query = parameters(request.query.as_deref().unwrap_or_default())
        .filter_map(|(_, value)| value)
        .map(|value| Cow::from(percent_decode_str(value)));
    let in_headers = request.headers.values().flat_map(|value| {
        let value = value.trim();
        let bearer = value.strip_prefix("Bearer ").map(str::trim_start);
        std::iter::once(value).chain(bearer)
    });
    let in_headers = in_headers.map(|value| Cow::Borrowed(value.as_bytes()));
    // All are compared, so that the time says nothing of where the right one stands.
    let matches = in_query
        .chain(in_headers)
        .filter(|given| secret.bytes().ct_eq(given).into())
        .count();
    if matches == 0 {
        return Err(VerifyError::NotAuthentic);
    }
    Ok(())
}

/// Takes the token out of query and headers: every value that may be one, since the secret may have been another when the
/// request was sent.
pub(super) fn conceal(mut request: Request) -> Request {
    if let Some(query) = &mut request.query {
        *query = without_values(query);
    }
    for (name, value) in &mut request.headers {
        if !HARMLESS_HEADERS.contains(&name.as_str()) {
            REDACTED.clone_into(value);
        }
    }
    request
}

/// A query whose names stay and whose values are gone. One that is not made of names and values goes whole.
fn without_values(query: &str) -> String {
    let kept = parameters(query).map(|(name, value)| match value {
        Some(_) => format!("{name}={REDACTED}"),
        None if name.is_empty() => String::new(),
        None => REDACTED.to_owned(),
    });
    kept.collect::<Vec<String>>().join("&")
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (pair, None),
    })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "tests may panic"
    )]

    use super::*;

    fn request(query: Option<&str>, headers: &[(&str, &str)]) -> Request {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Request {
            query: query.map(str::to_owned),
            headers: headers.collect(),
            ..Request::default()
        }
    }

    #[test]
    fn the_token_is_found_in_query_and_headers() {
        let secret = Secret::new("s e/cret").unwrap();
        let verdict = |request: Request| verify(&request, Some(&secret));
        for query in [
            "token=s%20e%2Fcret",
            "a=1&key=s e/cret",
            "x&y=s%20e/cret&z=",
        ] {
            assert_eq!(verdict(request(Some(query), &[])), Ok(()), "{query}");
        }
        for value in ["s e/cret", "Bearer s e/cret", " s e/cret "] {
            let headers = [("x-token", value)];
            assert_eq!(verdict(request(None, &headers)), Ok(()), "{value}");
        }
        for query in [
            "",
            "token=",
            "s%20e%2Fcret",
            "token=s%20e%2Fcrets",
            "token=%",
        ] {
            let verdict = verdict(request(Some(query), &[]));
            assert_eq!(verdict, Err(VerifyError::NotAuthentic), "{query}");
        }
        let none = verify(&request(Some("token=x"), &[]), None);
        assert_eq!(none, Err(VerifyError::NoSecret));
    }

    #[test]
    fn what_may_be_a_token_is_taken_out_once_and_for_all() {
        let headers = [("authorization", "Bearer s"), ("content-type", "json")];
        for (query, expected) in [
            ("token=s&a=b", "token=[redacted]&a=[redacted]"),
            ("s", "[redacted]"),
            ("", ""),
            ("t=a=b", "t=[redacted]"),
        ] {
            let concealed = conceal(request(Some(query), &headers));
            assert_eq!(concealed.query.as_deref(), Some(expected));
            assert_eq!(concealed.headers.get("authorization").unwrap(), REDACTED);
            assert_eq!(concealed.headers.get("content-type").unwrap(), "json");
            assert_eq!(conceal(concealed.clone()), concealed);
        }
    }
}
