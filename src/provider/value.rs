//! Values as they stand in a body, before anything is asked of them: each accepts whatever stands there, so that a wrong
//! type becomes a refusal of the field and not an error of the parser.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::delivery::{Reason, Refusal};

/// Any value where one of the simple ones is expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    /// The key is absent.
    #[default]
    Missing,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction and exponent that fits 64 bits.
    Integer(i128),
    /// Any other number. Its digits are lost already, so nothing is made of it.
    Float,
    /// A text, its escapes resolved.
    Text(Cow<'a, str>),
    /// A list or an object.
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

struct ScalarVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for ScalarVisitor<'a> {
    type Value = Scalar<'a>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Integer(value.into()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Float)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Scalar<'a>, A::Error> {
        IgnoredAny.visit_seq(list)?;
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Scalar<'a>, A::Error> {
        IgnoredAny.visit_map(object)?;
        Ok(Scalar::Other)
    }
}

/// Any value where an object is expected; `null` is as good as none.
#[derive(Debug, Default)]
pub(super) enum Object<T> {
    /// The key is absent, or `null`.
    #[default]
    Missing,
    /// An object.
    Present(T),
    /// Anything else.
    Other,
}

impl<T> Object<T> {
    /// What it holds, if there is one.
    pub(super) fn get(&self, path: &'static str) -> Result<Option<&T>, Refusal> {
        match self {
            Self::Missing => Ok(None),
            Self::Present(object) => Ok(Some(object)),
            Self::Other => Err(Refusal::new(Reason::BadField, path, "not an object")),
        }
    }
}

impl<T: Default> Object<T> {
    /// What it holds; nothing, if there is none.
    pub(super) fn or_empty(self, path: &'static str) -> Result<T, Refusal> {
        match self {
            Self::Missing => Ok(T::default()),
            Self::Present(object) => Ok(object),
            Self::Other => Err(Refusal::new(Reason::BadField, path, "not an object")),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Object<T>, E> {
        Ok(Object::Missing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Object<T>, E> {
        Ok(Object::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Object<T>, E> {
        Ok(Object::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Object<T>, E> {
        Ok(Object::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Object<T>, E> {
        Ok(Object::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Object<T>, E> {
        Ok(Object::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Object<T>, A::Error> {
        IgnoredAny.visit_seq(list)?;
        Ok(Object::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(Object::Present)
    }
}

/// Any value, kept as it stands until it is known what it should be: for systems that put an object in one event where
/// another has a list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Raw<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

impl<'a> Raw<'a> {
    fn text(self) -> &'a str {
        self.0.map_or("null", RawValue::get)
    }

    /// Reads it as a type that takes any value.
    fn read<T: Default + Deserialize<'a>>(self) -> T {
        serde_json::from_str(self.text()).unwrap_or_default()
    }

    /// One of the simple values.
    pub(super) fn scalar(self) -> Scalar<'a> {
        self.read()
    }

    /// An object.
    pub(super) fn object<T: Deserialize<'a>>(self) -> Object<T> {
        self.read()
    }

    /// Whether it is an object.
    pub(super) fn is_object(self) -> bool {
        self.text().starts_with('{')
    }

    /// The elements of a list; `None` if it is none.
    pub(super) fn list(self) -> Option<Vec<Self>> {
        self.text().starts_with('[').then(|| self.read())
    }

    /// The values of an object's fields; none if it is no object.
    pub(super) fn members(self) -> Vec<Self> {
        let members: Object<Members<'a>> = self.object();
        match members {
            Object::Present(members) => members.0,
            Object::Missing | Object::Other => Vec::new(),
        }
    }
}

/// The values of an object, whatever their names.
struct Members<'a>(Vec<Raw<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor(PhantomData))
    }
}

struct MembersVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for MembersVisitor<'a> {
    type Value = Members<'a>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members<'a>, A::Error> {
        let mut members = Vec::new();
        while let Some((IgnoredAny, value)) = object.next_entry::<IgnoredAny, Raw<'a>>()? {
            members.push(value);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::*;

    fn raw(text: &str) -> Raw<'_> {
        serde_json::from_str(text).unwrap()
    }

    fn scalars(values: Vec<Raw<'_>>) -> Vec<Scalar<'_>> {
        values.into_iter().map(Raw::scalar).collect()
    }

    #[test]
    fn a_value_is_read_once_it_is_known_what_it_should_be() {
        let list = raw(r#"[1, "a", {"x": 1}, [2], null]"#);
        let expected = [
            Scalar::Integer(1),
            Scalar::Text(Cow::Borrowed("a")),
            Scalar::Other,
            Scalar::Other,
            Scalar::Null,
        ];
        assert_eq!(scalars(list.list().unwrap()), expected);
        assert!(list.members().is_empty());
        assert_eq!(list.scalar(), Scalar::Other);
        let object = raw(r#"{"a": 1, "b": [2]}"#);
        assert!(object.is_object() && object.list().is_none());
        let expected = [Scalar::Integer(1), Scalar::Other];
        assert_eq!(scalars(object.members()), expected);
        for text in ["null", "1", "\"[]\""] {
            assert!(raw(text).list().is_none() && !raw(text).is_object());
        }
        assert!(Raw::default().list().is_none());
        assert_eq!(Raw::default().scalar(), Scalar::Null);
    }
}
