//! Requests: opened, decoded, concealed, verified.

use tenure::provider::{Content, Proof, Provider, SourceContext};
use tenure::{
    GrantStatement, PROVIDERS, Reason, Refusal, Request, Rules, Secret, SourceName, Statement,
    Verified, VerifyError, read_line,
};

use super::{led, now};

/// Serves as raw bytes, as a token, and in the form of Standard Webhooks. It occurs in no corpus.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Where this stands in a body, the secret is put.
const PLACE: &[u8] = b"@secret@";

fn secret() -> Secret {
    Secret::new(SECRET).expect("a secret")
}

fn provider(number: usize) -> &'static dyn Provider {
    PROVIDERS[number % PROVIDERS.len()]
}

/// The first byte chooses the provider and how its source is configured; the rest is a line of a file: a body, or an
/// envelope with headers and query.
pub(crate) fn decode(data: &[u8]) {
    let Some((first, line)) = led(data) else {
        return;
    };
    let provider = provider(first);
    let request = read_line(line).request;
    let name: SourceName = "shop".parse().expect("a name");
    let rules = (first / PROVIDERS.len() % 2 == 1).then(|| configured(provider.name()));
    let context = SourceContext {
        name: &name,
        rules: rules.as_ref().and_then(|it| it.sources.get(&name)),
        products: &rules.clone().unwrap_or_default(),
    };
    let read = || match Verified::trusted(provider, request.clone(), Some(&secret())) {
        Ok(verified) => Ok(provider.decode(verified.text(), &context)),
        Err((_, refusal)) => Err(refusal),
    };
    let decoded = read();
    assert!(decoded == read(), "the same request is read in two ways");
    match decoded {
        Err(refusal) => names_its_field(&refusal),
        Ok(decoded) => match &decoded.content {
            Content::Events(events) => {
                assert!(!events.is_empty(), "applied, and states nothing");
                for event in events {
                    ids_are_within_limits(&event.statement);
                }
            }
            Content::Ignored => {}
            Content::Quarantined(refusal) => names_its_field(refusal),
        },
    }
    conceals(provider, request);
}

/// A key that is given twice may be the empty one.
fn names_its_field(refusal: &Refusal) {
    let may_be_empty = refusal.reason == Reason::DuplicateKey;
    assert!(may_be_empty || !refusal.field.is_empty(), "{refusal}");
}

/// Other policies than the default ones.
fn configured(provider: &str) -> Rules {
    let rules = serde_json::json!({
        "sources": {"shop": {"provider": provider, "tenant": "AAAAAAAAAA", "user_prefix": "app-",
            "policy": {"absent_expires": "unlimited", "member_plan": "ignore"}}},
        "products": {"pro": {"period": "P1M"}, "weekly": {"period": "P1W"}},
    });
    serde_json::from_value(rules).expect("rules")
}

fn ids_are_within_limits(statement: &Statement) {
    let is_id = |text: &str| {
        assert!((1..=256).contains(&text.len()), "an id of {}", text.len());
        assert!(!text.chars().any(char::is_control), "{text:?}");
    };
    match statement {
        Statement::Grant(GrantStatement {
            grant,
            user,
            product,
            change,
        }) => {
            is_id(grant.source.as_str());
            is_id(grant.key.as_str());
            let user = user.as_ref().map(|it| it.as_str());
            let product = product.as_ref().map(|it| it.as_str());
            user.into_iter().chain(product).for_each(is_id);
            let written = serde_json::to_value(change).expect("a change is written");
            let read = serde_json::from_value(written).expect("and read again");
            assert!(*change == read, "{change:?} is stored as {read:?}");
        }
        Statement::User(stated) => is_id(stated.user.as_str()),
        Statement::Link { user, alias } => {
            is_id(user.as_str());
            is_id(alias.as_str());
        }
        Statement::Withdrawal { source, key } => {
            is_id(source.as_str());
            is_id(key.as_str());
        }
    }
}

/// No token is left where a token may stand, and taking it out twice is the same as once.
fn conceals(provider: &dyn Provider, mut request: Request) {
    if provider.sending().proof != Proof::Token {
        return;
    }
    let secret = secret();
    let bare = Request {
        body: SECRET.as_bytes().to_vec(),
        ..Request::default()
    };
    let looks_through_bodies = !holds_secret(&provider.conceal(bare, Some(&secret)).body);
    request.body = with_secret(&request.body);
    let query = request.query.get_or_insert_default();
    query.push_str("&token=");
    query.push_str(SECRET);
    let name = "x-token".to_owned();
    request.headers.insert(name, format!("Bearer {SECRET}"));
    let concealed = provider.conceal(request, Some(&secret));
    let query = concealed.query.as_deref().unwrap_or_default();
    assert!(!query.contains(SECRET), "the query still holds the token");
    let token = concealed.headers.get("x-token").expect("a header");
    assert!(!token.contains(SECRET), "a header still holds the token");
    assert!(
        !looks_through_bodies || !holds_secret(&concealed.body),
        "the body still holds the token"
    );
    let again = provider.conceal(concealed.clone(), Some(&secret));
    assert!(again == concealed, "taking it out twice is not as once");
}

fn holds_secret(bytes: &[u8]) -> bool {
    bytes
        .windows(SECRET.len())
        .any(|part| part == SECRET.as_bytes())
}

fn with_secret(body: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((first, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(PLACE) {
            made.extend_from_slice(SECRET.as_bytes());
            rest = behind;
        } else {
            made.push(*first);
            rest = behind;
        }
    }
    made
}

/// What says whether a request is believed.
pub(crate) type Verifying<'a> =
    &'a dyn Fn(&dyn Provider, Request, &Secret) -> Result<Verified, VerifyError>;

/// The first byte chooses the provider, the next three what is altered in the request as it would be sent, the rest is what
/// is sent.
pub(crate) fn verify(data: &[u8]) {
    verify_by(data, &|provider, request, secret| {
        provider.verify(request, Some(secret), now())
    });
}

pub(crate) fn verify_by(data: &[u8], verifying: Verifying<'_>) {
    let [first, which, at, by, text @ ..] = data else {
        return;
    };
    let provider = provider(usize::from(*first));
    let secret = secret();
    let made_up = read_line(text).request;
    if !format!("{:?}{:?}", made_up.query, made_up.headers).contains(SECRET) {
        let refused = verifying(provider, made_up, &secret);
        assert_eq!(refused.err(), Some(VerifyError::NotAuthentic), "made up");
    }
    let sealed = provider.seal(text, Some(&secret), now()).expect("sealed");
    let believed = verifying(provider, sealed.clone(), &secret).expect("a sound request");
    let proof = provider.sending().proof;
    match proof {
        Proof::Signature => assert!(believed.text() == text, "read is not what was sent"),
        // Where a token goes along, it is taken out of what is kept.
        Proof::Token => {
            let concealed = provider.conceal(sealed.clone(), Some(&secret));
            assert!(
                *believed.request() == concealed,
                "kept is not what was sent"
            );
        }
    }
    if let Some(altered) = altered(sealed, proof, (*which, *at, *by)) {
        let shown = format!("{altered:?} {:?} {:?}", altered.query, altered.headers);
        let refused = verifying(provider, altered, &secret);
        let refused = refused.err();
        assert_eq!(refused, Some(VerifyError::NotAuthentic), "altered: {shown}");
    }
}

/// The request with one byte changed in what is signed, or in the token.
fn altered(mut request: Request, proof: Proof, how: (u8, u8, u8)) -> Option<Request> {
    let (which, at, by) = (usize::from(how.0), usize::from(how.1), how.2);
    let change = |bytes: &mut [u8]| -> Option<()> {
        let at = at % bytes.len().max(1);
        let byte = bytes.get_mut(at)?;
        *byte ^= by.max(1);
        Some(())
    };
    let text = |text: &str| -> Option<String> {
        let mut bytes = text.as_bytes().to_vec();
        change(&mut bytes)?;
        String::from_utf8(bytes).ok()
    };
    // The media type is not signed, and nothing is read from it.
    let names = request.headers.keys().filter(|it| *it != "content-type");
    let names: Vec<String> = names.cloned().collect();
    let has_query = request.query.is_some();
    let is_body_signed = proof == Proof::Signature && !request.body.is_empty();
    let parts = names.len() + usize::from(has_query) + usize::from(is_body_signed);
    let which = which % parts.max(1);
    if let Some(name) = names.get(which) {
        let value = request.headers.get_mut(name)?;
        *value = text(value)?;
    } else if which == names.len() && has_query {
        let query = request.query.as_deref()?;
        // Whatever the parameter is called, its value is the token.
        let (kept, signed) = match (proof, query.split_once('=')) {
            (Proof::Token, Some((name, token))) => (format!("{name}="), token),
            (Proof::Token | Proof::Signature, _) => (String::new(), query),
        };
        request.query = Some(kept + &text(signed)?);
    } else if is_body_signed {
        change(&mut request.body)?;
    } else {
        return None;
    }
    Some(request)
}

/// Packets: whatever is sealed is opened, and nothing else is.
pub(crate) fn packet(data: &[u8]) {
    for provider in PROVIDERS.iter().copied() {
        let secret = secret();
        let sealed = provider.seal(data, Some(&secret), now()).expect("sealed");
        if sealed.body == data {
            continue;
        }
        let opened = provider.open(&sealed, Some(&secret));
        assert!(opened.as_deref() == Ok(data), "sealed, and not opened");
        let other = Secret::new("another secret, of which nothing was made");
        for (request, secret) in [
            (sealed.clone(), other.as_ref()),
            (sealed, None),
            (of_body(data), other.as_ref()),
            (of_query(data), other.as_ref()),
        ] {
            let body = request.body.clone();
            match Verified::trusted(provider, request, secret) {
                // A body that is no packet is taken as it stands.
                Ok(taken) => assert!(taken.text() == body, "opened without its secret"),
                Err((kept, refusal)) => {
                    assert!(kept.body == body, "the kept body is another");
                    assert_eq!(refusal.reason.code().get(..4), Some("bad_"), "{refusal}");
                }
            }
        }
    }
}

fn of_body(data: &[u8]) -> Request {
    Request {
        body: data.to_vec(),
        ..Request::default()
    }
}

fn of_query(data: &[u8]) -> Request {
    Request {
        query: Some(format!("data={}", String::from_utf8_lossy(data))),
        ..Request::default()
    }
}
