//! What was not made with the secret is not believed.

use tenure::provider::{PROVIDERS, Proof, Request, Secret, VerifyError};

use super::{now, secret};

/// Every request that differs in one bit of what is signed, or of the token.
fn with_a_flipped_bit(request: &Request, proof: Proof) -> Vec<Request> {
    let mut flipped = Vec::new();
    let flips = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let places = (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit)));
        let flip = |(at, bit): (usize, u32)| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1 << bit;
            bytes
        };
        places.map(flip).collect()
    };
    // A token says nothing of the body that comes with it.
    let signed: &[u8] = match proof {
        Proof::Signature => &request.body,
        Proof::Token => &[],
    };
    for body in flips(signed) {
        flipped.push(Request {
            body,
            ..request.clone()
        });
    }
    // Whatever the parameter is called, its value is the token.
    let query = request.query.as_deref().unwrap_or("");
    let (kept, signed) = match (proof, query.split_once('=')) {
        (Proof::Token, Some((name, token))) => (format!("{name}="), token),
        (Proof::Token | Proof::Signature, _) => (String::new(), query),
    };
    for flipped_query in flips(signed.as_bytes()) {
        let Ok(query) = String::from_utf8(flipped_query) else {
            continue;
        };
        let query = format!("{kept}{query}");
        flipped.push(Request {
            query: Some(query),
            ..request.clone()
        });
    }
    // The media type is not signed, and nothing is read from it.
    for (name, value) in request
        .headers
        .iter()
        .filter(|(name, _)| *name != "content-type")
    {
        for value in flips(value.as_bytes()) {
            let Ok(value) = String::from_utf8(value) else {
                continue;
            };
            let mut request = request.clone();
            request.headers.insert(name.clone(), value);
            flipped.push(request);
        }
    }
    flipped
}

#[test]
fn a_flipped_bit_is_never_verified() {
    let text = br#"{"specversion":"1.0","id":"e1","event":"test"}"#;
    for provider in PROVIDERS {
        let request = provider.seal(text, Some(&secret()), now()).unwrap();
        let flipped = with_a_flipped_bit(&request, provider.sending().proof);
        assert!(flipped.len() > 200, "{}", provider.name());
        for request in flipped {
            let shown = format!("{:?} {:?}", request.query, request.headers);
            let verdict = provider.verify(request, Some(&secret()), now());
            let error = verdict.err().unwrap_or_else(|| panic!("verified: {shown}"));
            assert_eq!(error, VerifyError::NotAuthentic, "{shown}");
        }
    }
}

#[test]
fn nothing_is_verified_without_a_secret_or_with_another() {
    let right = secret();
    let other = Secret::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    for provider in PROVIDERS {
        let request = provider.seal(b"{}", Some(&right), now()).unwrap();
        let verdict = |request, secret| provider.verify(request, secret, now()).err();
        assert_eq!(verdict(request.clone(), None), Some(VerifyError::NoSecret));
        assert_eq!(
            verdict(request.clone(), Some(&other)),
            Some(VerifyError::NotAuthentic)
        );
        assert_eq!(verdict(request, Some(&right)), None);
        for body in ["", "{}", "{\"event\":\"test\"}", "~~~", "\u{fffd}"] {
            let plain = Request {
                body: body.into(),
                ..Request::default()
            };
            assert_eq!(
                verdict(plain, Some(&right)),
                Some(VerifyError::NotAuthentic)
            );
        }
    }
}
