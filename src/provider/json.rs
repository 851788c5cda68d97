//! The strict reading of bodies. Two systems that read one body differently are how access is given away, so whatever is
//! ambiguous is refused before anything is believed: a key given twice, text that is not text, nesting without measure.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::domain::delivery::{Reason, Refusal};

/// The largest body, in bytes.
const LARGEST_BODY: usize = 1 << 20;
/// The deepest nesting; the body's own object is the first level.
const DEEPEST: usize = 64;
/// How much of a sender's key a refusal repeats.
const LONGEST_NAMED_KEY: usize = 64;

/// Reads a body: one JSON object within the limits.
///
/// `T` takes what it knows as [`Scalar`](super::value::Scalar) and [`Object`](super::value::Object), which accept any value, so that a wrong type is refused by the
/// field's name and not by a position in the text.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    let text = checked(body)?;
    serde_json::from_str(text).map_err(|error| not_json(&error))
}

/// Checks the whole body, also the parts nobody asks for.
fn checked(body: &[u8]) -> Result<&str, Refusal> {
    if body.len() > LARGEST_BODY {
        return Err(of_body(Reason::TooLarge, "over 1 MiB"));
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| of_body(Reason::NotUtf8, &format!("byte {}", error.valid_up_to())))?;
    let is_object = text
        .trim_start_matches([' ', '\t', '\n', '\r'])
        .starts_with('{');
    match walk(text) {
        Err(refusal) if is_object || refusal.reason == Reason::NotJson => Err(refusal),
        Ok(()) | Err(_) if !is_object => Err(of_body(Reason::NotAnObject, "")),
        Ok(()) | Err(_) => Ok(text),
    }
}

fn of_body(reason: Reason, detail: &str) -> Refusal {
    Refusal::new(reason, "body", detail)
}

/// Names the place only: the parser's own words may repeat the body.
fn not_json(error: &serde_json::Error) -> Refusal {
    let place = format!("line {} column {}", error.line(), error.column());
    of_body(Reason::NotJson, &place)
}

fn walk(text: &str) -> Result<(), Refusal> {
    let found = RefCell::new(None);
    let mut parser = serde_json::Deserializer::from_str(text);
    let walk = Walk {
        level: 0,
        found: &found,
    };
    let read = walk.deserialize(&mut parser).and_then(|()| parser.end());
    read.map_err(|error| found.take().unwrap_or_else(|| not_json(&error)))
}

/// Visits every value of a body, `level` levels down, and keeps the first fault found.
#[derive(Clone, Copy)]
struct Walk<'w> {
    level: usize,
    found: &'w RefCell<Option<Refusal>>,
}

impl Walk<'_> {
    fn refuse<E: serde::de::Error>(self, refusal: Refusal) -> E {
        *self.found.borrow_mut() = Some(refusal);
        E::custom("refused")
    }

    fn one_level_down<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.level >= DEEPEST {
            return Err(self.refuse(of_body(Reason::TooDeep, "over 64 levels")));
        }
        Ok(Self {
            level: self.level + 1,
            ..self
        })
    }

    /// A fault further down lies under `key`.
    fn name_path(self, key: &str) {
        if let Some(refusal) = self.found.borrow_mut().as_mut()
            && refusal.reason == Reason::DuplicateKey
            && refusal.field.len() < 4 * LONGEST_NAMED_KEY
        {
            refusal.field = format!("{}.{}", shown(key), refusal.field);
        }
    }
}

/// A sender's key as it may stand in a message: not endless, and without what would upset a terminal.
fn shown(key: &str) -> String {
    key.chars()
        .take(LONGEST_NAMED_KEY)
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

/// A key with its escapes resolved, so that `"a"` and `"\u0061"` are the same.
#[derive(Deserialize, PartialEq, Eq, Hash)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let inside = self.one_level_down()?;
        while list.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let inside = self.one_level_down()?;
        let mut seen: HashSet<Key<'de>> = HashSet::new();
        while let Some(key) = object.next_key::<Key<'de>>()? {
            if seen.contains(&key) {
                let field = shown(&key.0);
                return Err(self.refuse(Refusal::new(Reason::DuplicateKey, &field, "given twice")));
            }
            object
                .next_value_seed(inside)
                .inspect_err(|_| self.name_path(&key.0))?;
            seen.insert(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::super::value::{Object, Scalar};
    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct Sample<'a> {
        a: Scalar<'a>,
        data: Object<Inner<'a>>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct Inner<'a> {
        b: Scalar<'a>,
    }

    fn refused(body: impl AsRef<[u8]>) -> (Reason, String) {
        let refusal = read::<Sample<'_>>(body.as_ref()).err().unwrap();
        (refusal.reason, refusal.field)
    }

    fn reason(body: impl AsRef<[u8]>) -> Reason {
        refused(body).0
    }

    fn nested(levels: usize) -> String {
        let lists = levels - 1;
        format!("{{\"x\":{}{}}}", "[".repeat(lists), "]".repeat(lists))
    }

    #[test]
    fn every_kind_of_value_is_told_from_the_others() {
        let cases = [
            ("null", Scalar::Null),
            ("true", Scalar::Bool(true)),
            ("-7", Scalar::Integer(-7)),
            ("18446744073709551615", Scalar::Integer(u64::MAX.into())),
            ("18446744073709551616", Scalar::Float),
            ("1.0", Scalar::Float),
            ("1e3", Scalar::Float),
            ("\"x\"", Scalar::Text(Cow::Borrowed("x"))),
            (r#""\u0078""#, Scalar::Text(Cow::Borrowed("x"))),
            ("[1]", Scalar::Other),
            ("{\"b\":1}", Scalar::Other),
        ];
        for (text, expected) in cases {
            let body = format!("{{\"unknown\":[1.5,{{}}],\"a\":{text}}}");
            let sample: Sample<'_> = read(body.as_bytes()).unwrap();
            assert_eq!(sample.a, expected, "{text}");
        }
        assert_eq!(read::<Sample<'_>>(b"{}").unwrap().a, Scalar::Missing);
    }

    #[test]
    fn a_list_does_not_pass_for_an_object() {
        for (text, is_object) in [("{\"b\":1}", true), ("[1]", false), ("\"b\"", false)] {
            let body = format!("{{\"data\":{text}}}");
            let data = read::<Sample<'_>>(body.as_bytes()).unwrap().data;
            assert_eq!(data.or_empty("data").is_ok(), is_object, "{text}");
        }
        let none: Sample<'_> = read(b"{\"data\":null}").unwrap();
        assert_eq!(none.data.or_empty("data").unwrap().b, Scalar::Missing);
    }

    #[test]
    fn a_key_given_twice_is_refused_wherever_it_stands() {
        let cases = [
            (r#"{"a":1,"a":1}"#, "a"),
            (r#"{"a":1,"\u0061":2}"#, "a"),
            (r#"{"x":{"y":[{"k":1,"k":null}]}}"#, "x.y.k"),
            (r#"{"":1,"":2}"#, ""),
            ("{\"\\n\":1,\"\\n\":2}", "\u{fffd}"),
        ];
        for (body, field) in cases {
            assert_eq!(refused(body), (Reason::DuplicateKey, field.to_owned()));
        }
        assert!(read::<Sample<'_>>(br#"{"x":{"k":1},"y":{"k":1}}"#).is_ok());
    }

    #[test]
    fn what_is_not_json_is_refused_also_where_nobody_looks() {
        for body in [
            "",
            " ",
            "{",
            "{}x",
            "{}{}",
            "nonsense",
            "{\"x\":01}",
            "{\"x\":NaN}",
            "{'x':1}",
            "{\"x\":1,}",
            "\u{feff}{}",
            "{\"x\":\"\t\"}",
            r#"{"x":"\ud800"}"#,
            r#"{"x":"\udc00\ud800"}"#,
            r#"{"\ud800":1}"#,
            r#"["\ud800"]"#,
        ] {
            assert_eq!(
                refused(body),
                (Reason::NotJson, "body".to_owned()),
                "{body}"
            );
        }
        assert!(read::<Sample<'_>>(br#" {"x":"\ud83d\ude00"} "#).is_ok());
    }

    #[test]
    fn other_json_is_not_an_object() {
        for body in ["[]", "null", "1", "\"{}\"", " true", "[{\"a\":1,\"a\":2}]"] {
            assert_eq!(reason(body), Reason::NotAnObject, "{body}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_also_where_nobody_looks() {
        assert_eq!(reason(b"{\"x\":\"\xff\"}"), Reason::NotUtf8);
        assert_eq!(reason(b"{\"\xc0\xaf\":1}"), Reason::NotUtf8);
        assert_eq!(reason(b"{}\xed\xa0\x80"), Reason::NotUtf8);
    }

    #[test]
    fn sixty_four_levels_are_the_deepest() {
        assert!(read::<Sample<'_>>(nested(64).as_bytes()).is_ok());
        assert_eq!(reason(nested(65)), Reason::TooDeep);
        // Far beyond what the parser itself would follow.
        assert_eq!(reason(nested(100_000)), Reason::TooDeep);
        let objects = "{\"x\":".repeat(100_000);
        assert_eq!(reason(objects), Reason::TooDeep);
    }

    #[test]
    fn one_mebibyte_is_the_largest() {
        let body = |size: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(size - 8));
        assert!(read::<Sample<'_>>(body(1 << 20).as_bytes()).is_ok());
        assert_eq!(reason(body((1 << 20) + 1)), Reason::TooLarge);
    }

    #[test]
    fn a_hundred_thousand_keys_are_read_in_one_go() {
        let keys: Vec<String> = (0..100_000).map(|key| format!("\"{key}\":0")).collect();
        let begun = std::time::Instant::now();
        assert!(read::<Sample<'_>>(format!("{{{}}}", keys.join(",")).as_bytes()).is_ok());
        // Comparing each key with all others would take a minute.
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn a_refusal_does_not_repeat_an_endless_key() {
        let key = "k".repeat(100_000);
        let (_, field) = refused(format!("{{\"{key}\":1,\"{key}\":2}}"));
        assert_eq!(field.len(), 64);
    }
}
