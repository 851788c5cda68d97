//! The signs of a picture of text, for terminals that show Unicode and for those that do not.

use super::picture::Look;
use crate::output::{Ink, safe};

/// The signs a picture is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyphs {
    looks: [char; 5],
    pub(super) none: char,
    pub(super) goes_on: char,
    pub(super) has_begun: char,
    pub(super) mark: char,
    pub(super) rule: char,
    pub(super) tick: char,
    pub(super) dots: &'static str,
    is_ascii: bool,
}

impl Glyphs {
    pub(super) const UNICODE: Self = Self {
        looks: ['█', '▄', '╳', '░', '─'],
        none: '·',
        goes_on: '▶',
        has_begun: '◀',
        mark: '┆',
        rule: '─',
        tick: '┬',
        dots: "…",
        is_ascii: false,
    };
    pub(super) const ASCII: Self = Self {
        looks: ['#', '+', 'x', ':', '~'],
        none: '.',
        goes_on: '>',
        has_begun: '<',
        mark: '|',
        rule: '-',
        tick: '+',
        dots: "..",
        is_ascii: true,
    };

    /// What the locale says the terminal can show.
    pub(super) fn of_locale() -> Self {
        let names = ["LC_ALL", "LC_CTYPE", "LANG"];
        let set = names
            .iter()
            .filter_map(std::env::var_os)
            .find(|value| !value.is_empty());
        let locale = set
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") {
            Self::UNICODE
        } else {
            Self::ASCII
        }
    }

    pub(super) fn look(self, look: Look) -> char {
        let [active, grace, suspended, parent_ended, elsewhere] = self.looks;
        match look {
            Look::Active => active,
            Look::Grace => grace,
            Look::Suspended => suspended,
            Look::ParentEnded => parent_ended,
            Look::Elsewhere => elsewhere,
        }
    }

    /// A name as it can be shown.
    pub(super) fn name(self, text: &str) -> String {
        let text = safe(text);
        if !self.is_ascii {
            return text;
        }
        let shown = |letter: char| match letter {
            letter if letter.is_ascii() => letter.to_string(),
            letter => letter.escape_default().to_string(),
        };
        text.chars().map(shown).collect()
    }
}

/// The colour of a look.
pub(super) fn ink(look: Look) -> Option<Ink> {
    match look {
        Look::Active => Some(Ink::Good),
        Look::Grace => Some(Ink::Caution),
        Look::Suspended | Look::ParentEnded => Some(Ink::Bad),
        Look::Elsewhere => Some(Ink::Faint),
    }
}
