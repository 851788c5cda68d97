//! What an id leaves in texts: itself as a word, however the text is written.

use std::collections::BTreeMap;

use crate::domain::id::{SourceName, UserId};
use crate::store::RecordedRules;

/// A shorter id that stands as a word in what others sent proves nothing: `7` is also an amount.
const SHORTEST: usize = 5;
/// How often a text within a text is opened: JSON as a string of JSON, as a parameter of a query.
const DEEPEST: usize = 4;

/// One way an id is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    text: String,
    /// A GUID is one in any case.
    is_guid: bool,
}

impl Form {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            is_guid: is_guid(text),
        }
    }

    /// Whether it tells by itself that the id is meant.
    pub(super) fn is_telling(&self) -> bool {
        self.text.len() >= SHORTEST
    }

    /// Whether it stands in the text as a word.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.next_in(text, 0).is_some()
    }

    /// The text with every such word replaced by what stands for it as it is spelled there.
    pub(super) fn replaced(&self, text: &str, by: &dyn Fn(&str) -> String) -> String {
        let (mut out, mut from) = (String::new(), 0);
        while let Some(at) = self.next_in(text, from) {
            out.push_str(text.get(from..at).unwrap_or_default());
            let end = at + self.text.len();
            out.push_str(&by(text.get(at..end).unwrap_or_default()));
            from = end;
        }
        out.push_str(text.get(from..).unwrap_or_default());
        out
    }

    /// Where it stands next, from a place on.
    fn next_in(&self, text: &str, mut from: usize) -> Option<usize> {
        loop {
            let at = from + self.find(text.get(from..)?)?;
            let before = text.get(..at)?.chars().next_back();
            let after = text.get(at + self.text.len()..)?.chars().next();
            let continues = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
            if !continues(before) && !continues(after) {
                return Some(at);
            }
            from = at + text.get(at..)?.chars().next().map_or(1, char::len_utf8);
        }
    }

    fn find(&self, text: &str) -> Option<usize> {
        if !self.is_guid {
            return text.find(&self.text);
        }
        let (text, wanted) = (text.as_bytes(), self.text.as_bytes());
        let mut places = text.windows(wanted.len());
        places.position(|place| place.eq_ignore_ascii_case(wanted))
    }
}

/// Of the form 8-4-4-4-12 hex digits.
fn is_guid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let is_hex = |letter: char| letter == '-' || letter.is_ascii_hexdigit();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(is_hex)
}

/// The forms of an id: as it is and, in what a source sends that puts a prefix before its ids, without that.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    whole: Form,
    of_source: BTreeMap<SourceName, Vec<Form>>,
}

impl Trace {
    /// The prefixes are those of all rules that ever were in force.
    pub(super) fn new(user: &UserId, rules: &[RecordedRules]) -> Self {
        let whole = Form::new(user.as_str());
        let mut of_source: BTreeMap<SourceName, Vec<Form>> = BTreeMap::new();
        let sources = rules.iter().flat_map(|recorded| &recorded.rules.sources);
        for (name, source) in sources.filter(|(_, source)| !source.user_prefix.is_empty()) {
            let own = user.as_str().strip_prefix(&source.user_prefix);
            let Some(own) = own.filter(|own| !own.is_empty()) else {
                continue;
            };
            let forms = of_source
                .entry(name.clone())
                .or_insert_with(|| vec![whole.clone()]);
            if !forms.contains(&Form::new(own)) {
                forms.push(Form::new(own));
            }
        }
        Self { whole, of_source }
    }

    /// The forms in what a source sends, the longest first.
    pub(super) fn forms(&self, source: &SourceName) -> &[Form] {
        let of_source = self.of_source.get(source).map(Vec::as_slice);
        of_source.unwrap_or(std::slice::from_ref(&self.whole))
    }

    /// Whether the id as a whole stands somewhere in a text, also within a longer word.
    pub(super) fn is_within(&self, text: &str) -> bool {
        self.whole.find(text).is_some()
    }

    /// Whether a text that is to be kept says the id: as a word or, if it tells by itself, within one.
    pub(super) fn is_said_in(&self, text: &str) -> bool {
        self.whole.is_in(text) || (self.whole.is_telling() && self.is_within(text))
    }

    /// What is found in texts of a source: a form that tells, or only one that does not.
    pub(super) fn found_in(&self, source: &SourceName, texts: &[&[u8]]) -> Found {
        let mut found = Found::Nothing;
        for text in texts.iter().filter(|text| !text.is_empty()) {
            for reading in readings(&String::from_utf8_lossy(text)) {
                for form in self.forms(source).iter().filter(|it| it.is_in(&reading)) {
                    if form.is_telling() {
                        return Found::Id;
                    }
                    found = Found::Word;
                }
            }
        }
        found
    }
}

/// What was found of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// A word that reads like it, and is too short to tell.
    Word,
    Id,
}

/// The text as it is, and with escapes of JSON and of queries resolved, also within one another.
fn readings(text: &str) -> Vec<String> {
    let mut readings = vec![text.to_owned()];
    let mut next = 0;
    for _ in 0..DEEPEST {
        let made: Vec<String> = readings
            .iter()
            .skip(next)
            .flat_map(|text| [unescaped(text), percent_decoded(text)])
            .flatten()
            .collect();
        next = readings.len();
        for reading in made {
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        }
    }
    readings
}

/// With the escapes of JSON resolved, wherever they stand; `None` if there are none.
fn unescaped(text: &str) -> Option<String> {
    text.contains('\\').then(|| {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('\\') {
            out.push_str(before);
            let (letter, length) = escape(behind);
            out.push_str(&letter);
            rest = behind.get(length..).unwrap_or_default();
        }
        out.push_str(rest);
        out
    })
}

/// What the letters behind a backslash stand for, and how many bytes they are.
fn escape(text: &str) -> (String, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = text.chars().next() else {
        return (String::new(), 0);
    };
    if first == 'u'
        && let Some(high) = unit(1)
    {
        let low = text
            .get(5..7)
            .filter(|it| *it == "\\u")
            .and_then(|_| unit(7));
        let pair = low.map(|low| char::decode_utf16([high, low]).next());
        return match (char::from_u32(high.into()), pair) {
            (Some(letter), _) => (letter.to_string(), 5),
            (None, Some(Some(Ok(letter)))) => (letter.to_string(), 11),
            (None, _) => (String::from(char::REPLACEMENT_CHARACTER), 5),
        };
    }
    let letter = match first {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        'f' => '\u{c}',
        other => other,
    };
    (letter.to_string(), first.len_utf8())
}

/// With `%41` and `+` resolved; `None` if there are none.
fn percent_decoded(text: &str) -> Option<String> {
    text.contains(['%', '+']).then(|| {
        let mut out = Vec::with_capacity(text.len());
        let mut bytes = text.as_bytes();
        while let Some((first, behind)) = bytes.split_first() {
            let digits = behind.get(..2).and_then(|it| std::str::from_utf8(it).ok());
            let value = digits.and_then(|it| u8::from_str_radix(it, 16).ok());
            match (first, value) {
                (b'%', Some(value)) => {
                    out.push(value);
                    bytes = behind.get(2..).unwrap_or_default();
                }
                (b'+', _) => {
                    out.push(b' ');
                    bytes = behind;
                }
                (other, _) => {
                    out.push(*other);
                    bytes = behind;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::*;

    fn found(user: &str, text: &str) -> Found {
        let trace = Trace::new(&UserId::new(user).unwrap(), &[]);
        trace.found_in(&SourceName::staff(), &[text.as_bytes()])
    }

    #[test]
    fn an_id_is_found_as_a_word_however_it_is_written() {
        for text in [
            r#"{"user":"reader-4711"}"#,
            "reader-4711",
            "mailto:reader-4711@example.com",
            r#"{"user":"\u0072eader-4711"}"#,
            r#"{"data":"{\"user\":\"reader\\u002d4711\"}"}"#,
            "data=%7B%22user%22%3A%22reader%2D4711%22%7D",
            "data=%7B%22user%22%3A%22%5Cu0072eader-4711%22%7D",
            "data=a+reader-4711",
        ] {
            assert_eq!(found("reader-4711", text), Found::Id, "{text}");
        }
        for text in [
            "reader-47112",
            "areader-4711",
            "reader_4711",
            "",
            "%",
            "\\u",
        ] {
            assert_eq!(found("reader-4711", text), Found::Nothing, "{text}");
        }
    }

    #[test]
    fn letters_beyond_ascii_are_found_escaped_and_not() {
        for text in ["jürgen", r"j\u00fcrgen", "j%C3%BCrgen", r"j\\u00FCrgen"] {
            assert_eq!(found("jürgen", text), Found::Id, "{text}");
        }
        assert_eq!(found("😀😀", r"\ud83d\ude00\ud83d\ude00"), Found::Id);
    }

    #[test]
    fn a_guid_is_found_in_any_case() {
        let guid = "0a1b2c3d-0000-4000-8000-00000000000f";
        assert_eq!(found(guid, &guid.to_uppercase()), Found::Id);
        assert_eq!(found("reader-a", "READER-A"), Found::Nothing);
    }

    #[test]
    fn a_short_id_is_only_a_word() {
        assert_eq!(found("u7", "u7 and u8"), Found::Word);
        assert_eq!(found("u7", "u77"), Found::Nothing);
    }

    #[test]
    fn every_word_is_replaced_and_nothing_else() {
        let form = Form::new("u7");
        let x = |_: &str| "x".to_owned();
        assert_eq!(form.replaced("u7:u77:u7", &x), "x:u77:x");
        assert_eq!(form.replaced("u7u7 u7", &x), "u7u7 x");
        assert_eq!(form.replaced("üu7", &x), "üu7");
    }
}
