//! Reading a change as it is written: its name first, then what it says.
//!
//! The derived reading takes the fields in any order, so it has to keep all of them until it has met the name. What the log
//! holds was written with the name first, and takes two thirds of the time when that is relied on.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Cause, Change, Granted};
use crate::domain::id::{BlockName, PeriodName, ProductName, UserId};
use crate::domain::time::{End, Instant, Period};

/// Reads a change whose name comes first.
///
/// # Errors
/// Whatever the derived reading refuses, and also what has another order.
pub(crate) fn change<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change, D::Error> {
    deserializer.deserialize_map(TagFirst)
}

/// The variants of [`Change`], by their names alone: that they are the same, the compiler checks.
#[derive(Deserialize)]
#[serde(remote = "Change", rename_all = "snake_case", deny_unknown_fields)]
enum Named {
    Granted(Granted),
    Reinstated {
        until: Option<Instant>,
    },
    Resumed {
        by: Option<BlockName>,
    },
    Switched {
        product: ProductName,
        until: Option<Instant>,
    },
    Transferred {
        user: UserId,
    },
    Modified {
        until: End,
    },
    Rescheduled {
        until: End,
    },
    Renewed {
        until: Option<Instant>,
        period: Option<Period>,
        period_key: Option<PeriodName>,
    },
    GraceExtended {
        until: Option<Instant>,
    },
    PaymentFailed,
    Suspended {
        by: Option<BlockName>,
    },
    Cancelled {
        until: Option<Instant>,
    },
    Refunded {
        period_key: Option<PeriodName>,
    },
    Revoked,
    Ended {
        cause: Cause,
        product: Option<ProductName>,
    },
}

struct TagFirst;

/// The only field that may come first.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum First {
    Change,
}

impl<'de> Visitor<'de> for TagFirst {
    type Value = Change;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a change, its name first")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Change, A::Error> {
        match map.next_key()? {
            Some(First::Change) => Named::deserialize(Rest(map)),
            None => Err(Error::missing_field("change")),
        }
    }
}

/// What follows the first key: the name, then the fields. To serde that is a variant and its content.
struct Rest<A>(A);

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Rest<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Rest<A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(
        mut self,
        seed: V,
    ) -> Result<(V::Value, Self), A::Error> {
        let name = self.0.next_value_seed(seed)?;
        Ok((name, self))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Rest<A> {
    type Error = A::Error;

    fn unit_variant(mut self) -> Result<(), A::Error> {
        match self.0.next_key::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(Error::custom("a field that the change does not have")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        seed.deserialize(MapAccessDeserializer::new(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self.0)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    fn read(json: &str) -> serde_json::Result<Change> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let read = change(&mut deserializer)?;
        deserializer.end()?;
        Ok(read)
    }

    #[test]
    fn every_change_is_read_as_it_was_written() {
        let granted = r#"{"change":"granted","user":"u1","product":"news","term":{"until_then_period":
            ["2026-02-01T00:00:00Z","P1M"]},"recurring":true,"from":"2026-01-01T00:00:00Z","period_key":"in_1",
            "parent":"g0","origin":"gift"}"#;
        let until = r#""until":"2026-02-01T00:00:00Z""#;
        let all = [
            granted.to_owned(),
            format!(r#"{{"change":"reinstated",{until}}}"#),
            r#"{"change":"reinstated","until":null}"#.to_owned(),
            r#"{"change":"resumed","by":"staff"}"#.to_owned(),
            format!(r#"{{"change":"switched","product":"pro",{until}}}"#),
            r#"{"change":"transferred","user":"u2"}"#.to_owned(),
            r#"{"change":"modified","until":null}"#.to_owned(),
            format!(r#"{{"change":"rescheduled",{until}}}"#),
            format!(r#"{{"change":"renewed",{until},"period":"P1M","period_key":"in_2"}}"#),
            r#"{"change":"renewed"}"#.to_owned(),
            format!(r#"{{"change":"grace_extended",{until}}}"#),
            r#"{"change":"payment_failed"}"#.to_owned(),
            r#"{"change":"suspended","by":null}"#.to_owned(),
            format!(r#"{{"change":"cancelled",{until}}}"#),
            r#"{"change":"refunded","period_key":"in_1"}"#.to_owned(),
            r#"{"change":"revoked"}"#.to_owned(),
            r#"{"change":"ended","cause":"renewal_failed","product":"news"}"#.to_owned(),
        ];
        for json in all {
            let derived: Change = serde_json::from_str(&json).unwrap();
            assert_eq!(read(&json).unwrap(), derived, "{json}");
            let written = serde_json::to_string(&derived).unwrap();
            assert_eq!(read(&written).unwrap(), derived, "{written}");
        }
    }

    #[test]
    fn what_the_derived_reading_refuses_is_refused() {
        for json in [
            "{}",
            "[]",
            r#"{"change":"lent"}"#,
            r#"{"change":"transferred","user":""}"#,
            r#"{"change":"transferred","user":"u2","until":null}"#,
            r#"{"change":"renewed","until":"soon"}"#,
            r#"{"change":"granted","user":"u1"}"#,
            // Without an end is one thing, not to say so another.
            r#"{"change":"modified"}"#,
            r#"{"change":"rescheduled"}"#,
        ] {
            assert!(serde_json::from_str::<Change>(json).is_err(), "{json}");
            assert!(read(json).is_err(), "{json}");
        }
        assert!(read(r#"{"until":null,"change":"cancelled"}"#).is_err());
        assert!(read(r#"{"change":"revoked","until":null}"#).is_err());
    }
}
