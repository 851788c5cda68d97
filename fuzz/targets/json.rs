//! Bodies: read strictly, and as every other reader of JSON reads them.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use tenure::provider::{Content, SourceContext};
use tenure::{PROVIDERS, Reason, Rules, SourceName};

const LARGEST: usize = 1 << 20;
const DEEPEST: usize = 64;

/// Why a body as such is refused, whatever it states.
pub(crate) type Judging<'a> = &'a dyn Fn(&[u8]) -> Option<Reason>;

/// What is accepted is JSON to everybody and means one thing; what is refused is refused for the reason there is.
pub(crate) fn json(data: &[u8]) {
    json_by(data, &judged);
}

pub(crate) fn json_by(data: &[u8], judging: Judging<'_>) {
    let judged = judging(data);
    let Ok(text) = std::str::from_utf8(data) else {
        assert_eq!(judged, Some(Reason::NotUtf8));
        return;
    };
    if data.len() > LARGEST {
        assert_eq!(judged, Some(Reason::TooLarge));
        return;
    }
    let is_object = text
        .trim_start_matches([' ', '\t', '\n', '\r'])
        .starts_with('{');
    let seen: Result<Seen, _> = serde_json::from_str(text);
    match (judged, seen) {
        (None, Ok(seen)) => {
            assert!(is_object, "accepted, and no object");
            assert!(!seen.has_twin, "accepted, and a key stands there twice");
            assert!(seen.depth <= DEEPEST, "accepted at depth {}", seen.depth);
            let value: Result<serde_json::Value, _> = serde_json::from_str(text);
            assert!(value.is_ok_and(|it| it.is_object()));
        }
        (None, Err(error)) => panic!("accepted, and no JSON: {error}"),
        (Some(Reason::NotJson), Ok(_)) => panic!("refused as no JSON, and it is"),
        (Some(Reason::NotJson), Err(_)) => {}
        (Some(Reason::NotAnObject), _) => assert!(!is_object),
        // The first fault is told; what follows it may be no JSON at all.
        (Some(Reason::DuplicateKey), Ok(seen)) => assert!(seen.has_twin),
        (Some(Reason::TooDeep), Ok(seen)) => assert!(seen.depth > DEEPEST),
        (Some(Reason::DuplicateKey | Reason::TooDeep), Err(_)) => {}
        (Some(other), _) => panic!("refused as {other}"),
    }
}

/// What every provider says of the body, the same from all of them.
pub(crate) fn judged(data: &[u8]) -> Option<Reason> {
    let name: SourceName = "shop".parse().expect("a name");
    let products = Rules::default();
    let context = SourceContext {
        name: &name,
        rules: None,
        products: &products,
    };
    let mut said = PROVIDERS
        .iter()
        .map(|provider| match provider.decode(data, &context).content {
            Content::Quarantined(refusal) => of_the_body(refusal.reason),
            Content::Events(_) | Content::Ignored => None,
        });
    let first = said.next().flatten();
    assert!(said.all(|other| other == first), "two providers disagree");
    first
}

fn of_the_body(reason: Reason) -> Option<Reason> {
    let of_body = [
        Reason::NotJson,
        Reason::NotUtf8,
        Reason::DuplicateKey,
        Reason::TooDeep,
        Reason::TooLarge,
        Reason::NotAnObject,
    ];
    of_body.contains(&reason).then_some(reason)
}

/// What a reader sees that keeps every key.
#[derive(Default)]
struct Seen {
    depth: usize,
    has_twin: bool,
}

impl Seen {
    fn inside(&mut self, other: &Self) {
        self.depth = self.depth.max(other.depth + 1);
        self.has_twin |= other.has_twin;
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Looking;
        impl<'de> Visitor<'de> for Looking {
            type Value = Seen;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Seen, E> {
                Ok(Seen::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<Seen, E> {
                Ok(Seen::default())
            }

            fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
                Ok(Seen::default())
            }

            fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
                Ok(Seen::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
                Ok(Seen::default())
            }

            fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
                Ok(Seen::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seen, A::Error> {
                let mut seen = one_level();
                while let Some(inner) = list.next_element::<Seen>()? {
                    seen.inside(&inner);
                }
                Ok(seen)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen, A::Error> {
                let mut seen = one_level();
                let mut keys = Vec::new();
                while let Some((key, inner)) = object.next_entry::<String, Seen>()? {
                    seen.inside(&inner);
                    keys.push(key);
                }
                let all = keys.len();
                keys.sort_unstable();
                keys.dedup();
                seen.has_twin |= keys.len() < all;
                Ok(seen)
            }
        }
        deserializer.deserialize_any(Looking)
    }
}

fn one_level() -> Seen {
    Seen {
        depth: 1,
        has_twin: false,
    }
}
