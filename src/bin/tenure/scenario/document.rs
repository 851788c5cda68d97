//! A scenario file as a tree: TOML and JSON alike, each value with the place where it stands.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::failure::Failure;

/// A file that was read, and its text.
pub(super) struct Document {
    pub(super) path: PathBuf,
    text: String,
    form: Form,
}

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Toml,
    Json,
}

/// A value and the bytes of the text it stands in.
pub(super) struct Node {
    pub(super) at: Range<usize>,
    pub(super) content: Content,
}

pub(super) enum Content {
    Nothing,
    Flag(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table and what stands under it.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Range<usize>,
    pub(super) value: Node,
}

impl Document {
    /// Takes the text apart. `path` is only for what is said about it.
    pub(super) fn parse(path: &Path, bytes: Vec<u8>, form: Form) -> Result<(Self, Node), Failure> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::Usage(format!("`{}` is not UTF-8 at byte {at}", path.display()))
        })?;
        let document = Self {
            path: path.to_owned(),
            text,
            form,
        };
        let root = match form {
            Form::Toml => document.toml()?,
            Form::Json => document.json()?,
        };
        Ok((document, root))
    }

    fn toml(&self) -> Result<Node, Failure> {
        let table = DeTable::parse(&self.text).map_err(|error| {
            let message = error.message().lines().next().unwrap_or_default();
            self.wrong(&error.span().unwrap_or_default(), message)
        })?;
        self.of_toml_table(table.span(), table.get_ref())
    }

    fn of_toml_table(&self, at: Range<usize>, table: &DeTable<'_>) -> Result<Node, Failure> {
        let entries = table.iter().map(|(key, value)| {
            Ok(Entry {
                key: key.get_ref().to_string(),
                at: key.span(),
                value: self.of_toml(value)?,
            })
        });
        let content = Content::Table(entries.collect::<Result<_, Failure>>()?);
        Ok(Node { at, content })
    }

    fn of_toml(&self, value: &Spanned<DeValue<'_>>) -> Result<Node, Failure> {
        let at = value.span();
        let content = match value.get_ref() {
            DeValue::String(text) => Content::Text(text.to_string()),
            DeValue::Datetime(time) => Content::Text(time.to_string()),
            DeValue::Boolean(flag) => Content::Flag(*flag),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix());
                let too_large = |_| self.wrong(&at, "a whole number that is too large");
                Content::Number(number.map_err(too_large)?.into())
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok();
                let number = number.and_then(serde_json::Number::from_f64);
                let none = || self.wrong(&at, "a number that no system can send");
                Content::Number(number.ok_or_else(none)?)
            }
            DeValue::Array(list) => {
                let nodes = list.iter().map(|value| self.of_toml(value));
                Content::List(nodes.collect::<Result<_, Failure>>()?)
            }
            DeValue::Table(table) => return self.of_toml_table(at, table),
        };
        Ok(Node { at, content })
    }

    fn json(&self) -> Result<Node, Failure> {
        // Read whole first: that names the place of a mistake, and refuses what is nested too deep to be walked through.
        let no_json = |error| {
            let shown = self.path.display();
            Failure::Usage(format!("`{shown}` is not JSON: {error}"))
        };
        serde_json::from_str::<serde_json::Value>(&self.text).map_err(no_json)?;
        self.of_json(serde_json::from_str(&self.text).map_err(no_json)?)
    }

    fn of_json(&self, raw: &RawValue) -> Result<Node, Failure> {
        let text = raw.get();
        let start = text.as_ptr().addr() - self.text.as_ptr().addr();
        let at = start..start + text.len();
        let no_json = |error: serde_json::Error| self.wrong(&at, &error.to_string());
        let content = match text.as_bytes().first() {
            Some(b'{') => {
                let pairs: Pairs<'_> = serde_json::from_str(text).map_err(no_json)?;
                let mut entries: Vec<Entry> = Vec::new();
                for (key, value) in pairs.0 {
                    let value = self.of_json(value)?;
                    if entries.iter().any(|entry| entry.key == key) {
                        return Err(self.wrong(&value.at, &format!("the key `{key}` twice")));
                    }
                    entries.push(Entry {
                        key,
                        at: value.at.clone(),
                        value,
                    });
                }
                Content::Table(entries)
            }
            Some(b'[') => {
                let list: Vec<&RawValue> = serde_json::from_str(text).map_err(no_json)?;
                let nodes = list.into_iter().map(|value| self.of_json(value));
                Content::List(nodes.collect::<Result<_, Failure>>()?)
            }
            Some(b'"') => Content::Text(serde_json::from_str(text).map_err(no_json)?),
            Some(b't' | b'f') => Content::Flag(serde_json::from_str(text).map_err(no_json)?),
            Some(b'n') => Content::Nothing,
            Some(_) | None => Content::Number(serde_json::from_str(text).map_err(no_json)?),
        };
        Ok(Node { at, content })
    }

    pub(super) fn wrong(&self, at: &Range<usize>, message: &str) -> Failure {
        let (line, column) = self.place(at);
        let shown = self.path.display();
        Failure::Usage(format!(
            "`{shown}`, line {line}, column {column}: {message}"
        ))
    }

    /// The line and the column where something begins, counted from 1.
    pub(super) fn place(&self, at: &Range<usize>) -> (usize, usize) {
        let before = self.text.get(..at.start).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let last = before.rsplit('\n').next().unwrap_or_default();
        (line, last.chars().count() + 1)
    }

    /// The whole text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The bytes a system would send for a value: in JSON as they stand in the file, a text without its quotes.
    pub(super) fn body(&self, node: &Node) -> Vec<u8> {
        match (&node.content, self.form) {
            (Content::Text(text), _) => text.clone().into_bytes(),
            (_, Form::Json) => {
                let written = self.text.as_bytes().get(node.at.clone());
                written.unwrap_or_default().to_vec()
            }
            (_, Form::Toml) => node.to_json().to_string().into_bytes(),
        }
    }
}

/// The members of a JSON object in their order, unread.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Node {
    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self.content {
            Content::Nothing => "null",
            Content::Flag(_) => "true or false",
            Content::Number(_) => "a number",
            Content::Text(_) => "a text",
            Content::List(_) => "a list",
            Content::Table(_) => "a table",
        }
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.content {
            Content::Nothing => serde_json::Value::Null,
            Content::Flag(flag) => (*flag).into(),
            Content::Number(number) => number.clone().into(),
            Content::Text(text) => text.clone().into(),
            Content::List(list) => list.iter().map(Self::to_json).collect(),
            Content::Table(entries) => {
                let members = entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()));
                serde_json::Value::Object(members.collect())
            }
        }
    }

    /// The same as TOML, for the reader of rules. No key of theirs has a number or null for its value: what stands for one
    /// here is of a kind that it refuses.
    pub(super) fn to_toml(&self) -> DeValue<'static> {
        match &self.content {
            Content::Nothing | Content::Number(_) => {
                DeValue::Integer(toml::de::DeInteger::default())
            }
            Content::Flag(flag) => DeValue::Boolean(*flag),
            Content::Text(text) => DeValue::String(text.clone().into()),
            Content::List(list) => {
                let mut array = DeArray::new();
                for node in list {
                    array.push(Spanned::new(node.at.clone(), node.to_toml()));
                }
                DeValue::Array(array)
            }
            Content::Table(entries) => {
                let mut table = DeTable::new();
                for entry in entries {
                    let key = Spanned::new(entry.at.clone(), entry.key.clone().into());
                    let value = Spanned::new(entry.value.at.clone(), entry.value.to_toml());
                    table.insert(key, value);
                }
                DeValue::Table(table)
            }
        }
    }
}
