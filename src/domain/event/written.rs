//! Reading a change in the one form in which changes are written: without blanks, its name first, then every field in its
//! place.
//!
//! The derived reading takes fields in any order and blanks between them, and comes to the same in more than twice the time.
//! What the log holds was written by Tenure, so nearly all of it is read here. A field or a change that is missing here is
//! read all the same, only slower.

use std::str::FromStr;

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error, StrDeserializer};

use super::{Change, Granted, Term};
use crate::domain::time::{End, Instant};

/// The change of that JSON; `None` if it is written in any other way, or is none: the derived reading then tells which.
pub(crate) fn change(json: &str) -> Option<Change> {
    let mut rest = Rest(json);
    let change = match rest.after(r#"{"change":"#)?.quoted()? {
        "granted" => Change::Granted(Granted {
            user: rest.after(r#","user":"#)?.text()?,
            product: rest.after(r#","product":"#)?.text()?,
            term: rest.after(r#","term":"#)?.term()?,
            recurring: rest.after(r#","recurring":"#)?.truth_or_null()?,
            from: rest.after(r#","from":"#)?.text_or_null()?,
            period_key: rest.after(r#","period_key":"#)?.text_or_null()?,
            parent: rest.after(r#","parent":"#)?.text_or_null()?,
            origin: rest.after(r#","origin":"#)?.name()?,
        }),
        "reinstated" => Change::Reinstated {
            until: rest.until()?,
        },
        "resumed" => Change::Resumed {
            by: rest.after(r#","by":"#)?.text_or_null()?,
        },
        "switched" => Change::Switched {
            product: rest.after(r#","product":"#)?.text()?,
            until: rest.until()?,
        },
        "transferred" => Change::Transferred {
            user: rest.after(r#","user":"#)?.text()?,
        },
        "modified" => Change::Modified {
            until: end(rest.until()?),
        },
        "rescheduled" => Change::Rescheduled {
            until: end(rest.until()?),
        },
        "renewed" => Change::Renewed {
            until: rest.until()?,
            period: rest.after(r#","period":"#)?.text_or_null()?,
            period_key: rest.after(r#","period_key":"#)?.text_or_null()?,
        },
        "grace_extended" => Change::GraceExtended {
            until: rest.until()?,
        },
        "payment_failed" => Change::PaymentFailed,
        "suspended" => Change::Suspended {
            by: rest.after(r#","by":"#)?.text_or_null()?,
        },
        "cancelled" => Change::Cancelled {
            until: rest.until()?,
        },
        "refunded" => Change::Refunded {
            period_key: rest.after(r#","period_key":"#)?.text_or_null()?,
        },
        "revoked" => Change::Revoked,
        "ended" => Change::Ended {
            cause: rest.after(r#","cause":"#)?.name()?,
            product: rest.after(r#","product":"#)?.text_or_null()?,
        },
        _ => return None,
    };
    (rest.0 == "}").then_some(change)
}

fn end(until: Option<Instant>) -> End {
    until.map_or(End::Never, End::At)
}

/// What is left to read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Passes over what has to come next.
    #[inline]
    fn after(&mut self, expected: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(self)
    }

    /// A string in which nothing is escaped.
    fn quoted(&mut self) -> Option<&'a str> {
        let rest = self.after("\"")?.0;
        let is_special = |byte| byte == b'"' || byte == b'\\' || byte < b' ';
        let (text, rest) = rest.split_at_checked(rest.bytes().position(is_special)?)?;
        self.0 = rest;
        self.after("\"")?;
        Some(text)
    }

    fn text<T: FromStr>(&mut self) -> Option<T> {
        self.quoted()?.parse().ok()
    }

    fn text_or_null<T: FromStr>(&mut self) -> Option<Option<T>> {
        match self.after("null") {
            Some(_) => Some(None),
            None => self.text().map(Some),
        }
    }

    fn truth_or_null(&mut self) -> Option<Option<bool>> {
        let values = [("null", None), ("true", Some(true)), ("false", Some(false))];
        let mut values = values.into_iter();
        values.find_map(|(written, value)| self.after(written).map(|_| value))
    }

    /// One of the names of a type that has nothing else.
    fn name<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let name: StrDeserializer<'a, Error> = self.quoted()?.into_deserializer();
        T::deserialize(name).ok()
    }

    fn until(&mut self) -> Option<Option<Instant>> {
        self.after(r#","until":"#)?.text_or_null()
    }

    fn term(&mut self) -> Option<Term> {
        let term = match self.after("{")?.quoted()? {
            "until" => Term::Until(end(self.after(":")?.text_or_null()?)),
            "period" => Term::Period(self.after(":")?.text()?),
            "until_then_period" => {
                let until = end(self.after(":[")?.text_or_null()?);
                let period = self.after(",")?.text()?;
                self.after("]")?;
                Term::UntilThenPeriod(until, period)
            }
            _ => return None,
        };
        self.after("}")?;
        Some(term)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every change with every field in each of its ways.
    fn all() -> Vec<Change> {
        let until = r#""until":"2026-02-01T00:00:00.5Z""#;
        let terms = [
            r#"{"until":"2026-02-01T00:00:00Z"}"#,
            r#"{"until":null}"#,
            r#"{"period":"P1M"}"#,
            r#"{"until_then_period":["2026-02-01T00:00:00Z","P1M"]}"#,
            r#"{"until_then_period":[null,"PT36H"]}"#,
        ];
        let granted = |term, more| {
            format!(r#"{{"change":"granted","user":"u1","product":"news","term":{term}{more}}}"#)
        };
        let stated = r#","recurring":true,"from":"2026-01-01T00:00:00Z","period_key":"in 1","parent":"g0","origin":"gift""#;
        let mut all: Vec<String> = vec![
            r#"{"change":"resumed","by":"staff"}"#.to_owned(),
            r#"{"change":"suspended"}"#.to_owned(),
            format!(r#"{{"change":"switched","product":"pro",{until}}}"#),
            r#"{"change":"switched","product":"pro"}"#.to_owned(),
            r#"{"change":"transferred","user":"ü2"}"#.to_owned(),
            r#"{"change":"modified","until":null}"#.to_owned(),
            r#"{"change":"rescheduled","until":null}"#.to_owned(),
            format!(r#"{{"change":"renewed",{until},"period":"P1M","period_key":"in_2"}}"#),
            r#"{"change":"renewed"}"#.to_owned(),
            r#"{"change":"payment_failed"}"#.to_owned(),
            r#"{"change":"refunded"}"#.to_owned(),
            r#"{"change":"refunded","period_key":"in_1"}"#.to_owned(),
            r#"{"change":"revoked"}"#.to_owned(),
            r#"{"change":"ended","cause":"unspecified"}"#.to_owned(),
            r#"{"change":"ended","cause":"renewal_failed","product":"news"}"#.to_owned(),
        ];
        all.extend(terms.map(|term| granted(term, stated)));
        all.extend(terms.map(|term| granted(term, r#","recurring":false,"origin":"import""#)));
        all.push(granted(terms[0], r#","origin":"purchase""#));
        for verb in [
            "reinstated",
            "modified",
            "rescheduled",
            "grace_extended",
            "cancelled",
        ] {
            all.push(format!(r#"{{"change":"{verb}",{until}}}"#));
        }
        for verb in ["reinstated", "grace_extended", "cancelled"] {
            all.push(format!(r#"{{"change":"{verb}"}}"#));
        }
        let parsed = all.iter().map(|json| serde_json::from_str(json).unwrap());
        parsed.collect()
    }

    #[test]
    fn every_change_is_read_as_it_was_written() {
        for written in all() {
            let json = serde_json::to_string(&written).unwrap();
            assert_eq!(change(&json), Some(written), "{json}");
        }
    }

    #[test]
    fn what_the_derived_reading_refuses_is_not_read() {
        for json in [
            "",
            "{}",
            r#"{"change":"lent"}"#,
            r#"{"change":"revoked"}}"#,
            r#"{"change":"modified"}"#,
            r#"{"change":"transferred","user":""}"#,
            r#"{"change":"transferred","user":null}"#,
            r#"{"change":"transferred","user":"u2","until":null}"#,
            "{\"change\":\"transferred\",\"user\":\"u\n2\"}",
            r#"{"change":"cancelled","until":"soon"}"#,
            r#"{"change":"ended","cause":"boredom","product":null}"#,
        ] {
            assert!(serde_json::from_str::<Change>(json).is_err(), "{json}");
            assert_eq!(change(json), None, "{json}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_the_derived_reading() {
        for json in [
            r#"{"change":"transferred","user":"\u0075"}"#,
            r#"{"user":"u","change":"transferred"}"#,
            r#"{ "change":"transferred","user":"u"}"#,
            r#"{"change":"renewed"}"#,
            r#"{"change":"revoked","until":null}"#,
        ] {
            assert!(serde_json::from_str::<Change>(json).is_ok(), "{json}");
            assert_eq!(change(json), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_the_derived_reading_reads_alike(
            written in prop::sample::select(all()),
            edits in prop::collection::vec((any::<prop::sample::Index>(), r#"[ -~]|null|true|"|\\|\n|\},?"#), 1..3),
        ) {
            let mut json = serde_json::to_string(&written).unwrap();
            for (place, edit) in edits {
                let place = place.index(json.len());
                if json.is_char_boundary(place) && json.is_char_boundary(place + 1) {
                    json.replace_range(place..=place, &edit);
                }
            }
            if let Some(read) = change(&json) {
                prop_assert_eq!(read, serde_json::from_str::<Change>(&json).unwrap(), "{}", json);
            }
        }
    }
}
