//! Reading the keys of a table of a scenario file: of the right kind, none of them misspelt.

use std::fmt::Display;
use std::str::FromStr;

use tenure::{End, Instant};

use super::document::{Content, Document, Entry, Node};
use crate::config::instead;
use crate::failure::Failure;
use crate::moment;

/// The word for an end that never comes.
pub(super) const UNLIMITED: &str = "unlimited";

/// A table of a file that is being read.
pub(super) struct Fields<'a> {
    pub(super) document: &'a Document,
    /// What it is, as messages call it.
    here: &'static str,
    node: &'a Node,
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// A table with only these keys.
    pub(super) fn of(
        document: &'a Document,
        node: &'a Node,
        here: &'static str,
        known: &[&str],
    ) -> Result<Self, Failure> {
        let fields = Self::of_any(document, node, here)?;
        for entry in fields.entries {
            if !known.contains(&entry.key.as_str()) {
                let hint = instead(&entry.key, "the keys are:", known);
                let message = format!("unknown key `{}` in {here}{hint}", entry.key);
                return Err(document.wrong(&entry.at, &message));
            }
        }
        Ok(fields)
    }

    /// A table with any keys.
    pub(super) fn of_any(
        document: &'a Document,
        node: &'a Node,
        here: &'static str,
    ) -> Result<Self, Failure> {
        let Content::Table(entries) = &node.content else {
            let message = format!("{here} has to be a table, not {}", node.kind());
            return Err(document.wrong(&node.at, &message));
        };
        Ok(Self {
            document,
            here,
            node,
            entries,
        })
    }

    pub(super) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map(|entry| &entry.value)
    }

    /// What is wrong with the table as a whole.
    pub(super) fn wrong(&self, message: &str) -> Failure {
        self.document.wrong(&self.node.at, message)
    }

    pub(super) fn required<T>(&self, key: &str, value: Option<T>) -> Result<T, Failure> {
        value.ok_or_else(|| self.wrong(&format!("{} needs `{key}`", self.here)))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Failure> {
        self.get(key)
            .map(|node| text(self.document, key, node))
            .transpose()
    }

    /// A text that means something: an id, a time.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, key: &str) -> Result<Option<T>, Failure> {
        let Some(node) = self.get(key) else {
            return Ok(None);
        };
        let text = text(self.document, key, node)?;
        let wrong = |error| format!("`{key}` is `{text}`: {error}");
        let parsed = text.parse().map(Some);
        parsed.map_err(|error| self.document.wrong(&node.at, &wrong(error)))
    }

    /// As [`Fields::parsed`], where it has to stand.
    pub(super) fn needed<T: FromStr<Err: Display>>(&self, key: &str) -> Result<T, Failure> {
        let value = self.parsed(key)?;
        self.required(key, value)
    }

    pub(super) fn instant(&self, key: &str) -> Result<Option<Instant>, Failure> {
        let node = self.get(key);
        node.map(|node| instant(self.document, key, node))
            .transpose()
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, Failure> {
        let Some(node) = self.get(key) else {
            return Ok(false);
        };
        match node.content {
            Content::Flag(flag) => Ok(flag),
            Content::Nothing
            | Content::Number(_)
            | Content::Text(_)
            | Content::List(_)
            | Content::Table(_) => {
                let message = format!("`{key}` is true or false, not {}", node.kind());
                Err(self.document.wrong(&node.at, &message))
            }
        }
    }

    /// The entries of a list; none if it is absent.
    pub(super) fn list(&self, key: &str) -> Result<&'a [Node], Failure> {
        match self.get(key) {
            None => Ok(&[]),
            Some(node) => list(self.document, key, node),
        }
    }
}

pub(super) fn list<'a>(
    document: &Document,
    key: &str,
    node: &'a Node,
) -> Result<&'a [Node], Failure> {
    if let Content::List(list) = &node.content {
        return Ok(list);
    }
    let message = format!("`{key}` is a list, not {}", node.kind());
    Err(document.wrong(&node.at, &message))
}

pub(super) fn text<'a>(document: &Document, key: &str, node: &'a Node) -> Result<&'a str, Failure> {
    if let Content::Text(text) = &node.content {
        return Ok(text);
    }
    let message = format!("`{key}` is a text in quotes, not {}", node.kind());
    Err(document.wrong(&node.at, &message))
}

/// A time: RFC 3339, or a date.
pub(super) fn instant(document: &Document, key: &str, node: &Node) -> Result<Instant, Failure> {
    let text = text(document, key, node)?;
    moment::fixed(text).map_err(|error| {
        let message = format!("`{key}` is `{text}`: {error}; also a date as 2026-01-15");
        document.wrong(&node.at, &message)
    })
}

/// An end: a time, or the word for none; null, where there is such a thing, is that as well.
pub(super) fn end(document: &Document, key: &str, node: &Node) -> Result<End, Failure> {
    match &node.content {
        Content::Nothing => Ok(End::Never),
        Content::Text(text) if text == UNLIMITED => Ok(End::Never),
        Content::Text(_)
        | Content::Flag(_)
        | Content::Number(_)
        | Content::List(_)
        | Content::Table(_) => instant(document, key, node).map(End::At),
    }
}

/// One of some words, by their names.
pub(super) fn choice<T: Copy>(
    document: &Document,
    key: &str,
    node: &Node,
    choices: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, Failure> {
    let text = text(document, key, node)?;
    let chosen = choices.iter().find(|choice| name(**choice) == text);
    chosen.copied().ok_or_else(|| {
        let names: Vec<&str> = choices.iter().copied().map(name).collect();
        let hint = instead(text, "it can be", &names);
        document.wrong(&node.at, &format!("`{key}` is `{text}`{hint}"))
    })
}
