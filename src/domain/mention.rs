//! What a delivery that could not be decoded may speak of: the texts in it that have the form of an id.
//!
//! Such a delivery states nothing, yet the user it was about has to be told why it has no effect. The text is therefore
//! searched without being understood: it may be broken, cut off, encoded twice or no JSON at all. What is found too much
//! does no harm, for it is only ever looked up by an id that somebody asks about.

use std::collections::BTreeSet;

use super::id::Mention;

/// The most mentions that are kept of one delivery.
pub const MOST_MENTIONS: usize = 1_000;

/// How often a text within a text is opened: JSON as a string of JSON, as a parameter of a query.
const DEEPEST: u8 = 3;

/// The distinct texts of the form of an id in `text`, in the order they come, at most [`MOST_MENTIONS`].
///
/// These are: what stands between two quotation marks, with its escapes resolved; and, outside of them, the words between
/// marks as `:`, `=` and `&`, so bare numbers and the values of a query string, with `%` resolved. If `prefix` is not empty,
/// each is followed by itself with the prefix before it: the id under which the source's user would be known.
///
/// ```
/// use tenure::domain::mention::mentions;
///
/// let found = mentions(br#"{"user": "u1", "order": 4711, "note": "cut o"#, "");
/// let found: Vec<&str> = found.iter().map(|mention| mention.as_str()).collect();
/// assert_eq!(found, ["user", "u1", "order", "4711", "note", "cut o"]);
/// ```
pub fn mentions(text: &[u8], prefix: &str) -> Vec<Mention> {
    let mut found = Found {
        prefix,
        seen: BTreeSet::new(),
        in_order: Vec::new(),
    };
    found.search(&String::from_utf8_lossy(text), 0);
    found.in_order
}

struct Found<'a> {
    prefix: &'a str,
    seen: BTreeSet<Mention>,
    in_order: Vec<Mention>,
}

impl Found<'_> {
    fn is_full(&self) -> bool {
        self.in_order.len() >= MOST_MENTIONS
    }

    fn search(&mut self, text: &str, depth: u8) {
        let mut rest = text;
        while !self.is_full() {
            let Some((outside, behind)) = rest.split_once('"') else {
                return self.add_words(rest, depth);
            };
            self.add_words(outside, depth);
            let (quoted, behind) = quoted(behind);
            self.add(&quoted);
            if quoted.contains('"') && depth < DEEPEST {
                self.search(&quoted, depth + 1);
            }
            rest = behind;
        }
    }

    /// The words of a text outside of quotation marks: as the marks of a query part them, and as all marks do.
    fn add_words(&mut self, outside: &str, depth: u8) {
        let parts =
            outside.split(|letter: char| letter.is_whitespace() || "&=?#,{}[]".contains(letter));
        for part in parts.map(|part| part.trim_matches(':')) {
            if self.is_full() {
                return;
            }
            self.add_word(part);
            for word in part.split([':', ';', '(', ')', '<', '>', '\'', '|', '\\']) {
                self.add_word(word);
            }
            if let Some(decoded) = percent_decoded(part) {
                self.add_word(&decoded);
                if decoded.contains(['"', '&', '=']) && depth < DEEPEST {
                    self.search(&decoded, depth + 1);
                }
            }
        }
    }

    fn add_word(&mut self, word: &str) {
        let is_literal = ["true", "false", "null"].contains(&word);
        if !is_literal && word.contains(char::is_alphanumeric) {
            self.add(word);
        }
    }

    fn add(&mut self, text: &str) {
        let Ok(mention) = Mention::new(text) else {
            return;
        };
        let prefixed = match self.prefix {
            "" => None,
            prefix => Mention::new(&format!("{prefix}{mention}")).ok(),
        };
        for mention in [Some(mention), prefixed].into_iter().flatten() {
            if !self.is_full() && self.seen.insert(mention.clone()) {
                self.in_order.push(mention);
            }
        }
    }
}

/// What stands before the next quotation mark that is not escaped, and what follows that. A line break ends it too: no
/// string goes over lines, so where a mark is missing, the next line is read aright.
fn quoted(text: &str) -> (String, &str) {
    let mut content = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' | '\n' => return (content, text.get(at + 1..).unwrap_or_default()),
            '\\' => {
                let (resolved, length) = escape(text.get(at + 1..).unwrap_or_default());
                content.push_str(&resolved);
                // What the escape takes is skipped letter by letter; all of them are ASCII but a single unknown one.
                for _ in 0..length {
                    letters.next();
                }
            }
            letter => content.push(letter),
        }
    }
    (content, "")
}

/// What the letters behind a backslash stand for, and how many they are. What is no escape stands for itself.
fn escape(text: &str) -> (String, usize) {
    let Some(letter) = text.chars().next() else {
        return (String::new(), 0);
    };
    let plain = match letter {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => return unicode(text).unwrap_or((String::from(letter), 1)),
        other => other,
    };
    (String::from(plain), 1)
}

/// `u0041`, or two of them that stand for one letter, `ud83d\ude00`.
fn unicode(text: &str) -> Option<(String, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at.checked_add(4)?)?;
        let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| are_digits)
    };
    let first = unit(1)?;
    if let Some(letter) = char::from_u32(first.into()) {
        return Some((String::from(letter), 5));
    }
    let second = text
        .get(5..7)
        .filter(|it| *it == "\\u")
        .and_then(|_| unit(7));
    let pair = String::from_utf16(&[first, second?]).ok()?;
    Some((pair, 11))
}

/// The text with `%41` and `+` resolved; `None` if there is neither.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.first_chunk::<2>().filter(|_| *first == b'%');
        let escaped = escaped.and_then(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        bytes.push(match (escaped, first) {
            (Some(byte), _) => byte,
            (None, b'+') => b' ',
            (None, first) => *first,
        });
        let taken = if escaped.is_some() { 2 } else { 0 };
        rest = behind.get(taken..).unwrap_or_default();
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn digit(letter: u8) -> Option<u8> {
    let digit = char::from(letter).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, prefix: &str) -> Vec<String> {
        let found = mentions(text.as_bytes(), prefix);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_id_is_found_however_it_is_written() {
        for text in [
            r#"{"user":"u-1"}"#,
            r#"{"user":"u-1"#,
            r#"{"a":"x,"user":"u-1","b":2}"#,
            "{\"a\":\"x,\n\"user\":\"u-1\"}",
            r#"{"user":"\u0075-\u0031"}"#,
            r#"{"user":"u\-1"}"#,
            r#"{"payload":"{\"user\":\"u-1\"}"}"#,
            r#"{\"user\":\"u-1\"}"#,
            "user=u-1&x=2",
            "https://x.example/?user=u-1#top",
            "data=%7B%22user%22%3A%22u-1%22%7D",
            "a=1&user=%75%2D1",
            "form=user%3Du-1%26b%3D2",
            "user: u-1",
            "<user>u-1</user>",
            "{'user':'u-1'}",
            "[1,u-1]",
        ] {
            assert!(found(text, "").contains(&"u-1".to_owned()), "{text}");
        }
    }

    #[test]
    fn letters_beyond_ascii_and_pairs_are_resolved() {
        assert_eq!(found(r#""\ud83d\ude00é\u00e9""#, ""), ["😀éé"]);
        // Half a pair, half an escape and a backslash at the end are kept as they are, and nothing is lost behind them.
        assert_eq!(found(r#""\ud83dx","u1""#, ""), ["ud83dx", "u1"]);
        assert_eq!(found(r#""\u00","u1""#, ""), ["u00", "u1"]);
        assert_eq!(found("\"u1\\", ""), ["u1"]);
        assert_eq!(found("%4", ""), ["%4"]);
    }

    /// A text with the id in it, as the string of another, so many times.
    fn nested(times: usize) -> String {
        (0..times).fold(r#""u-1""#.to_owned(), |text, _| {
            let escaped = text.replace('\\', r"\\").replace('"', "\\\"");
            format!("\"{escaped}\"")
        })
    }

    #[test]
    fn texts_in_texts_are_opened_three_times() {
        let id = "u-1".to_owned();
        assert!(found(&nested(3), "").contains(&id));
        assert!(!found(&nested(4), "").contains(&id));
        let encoded = |times: usize| {
            (0..times).fold("a=u-1".to_owned(), |text, _| {
                format!("a={}", text.replace('%', "%25").replace('=', "%3D"))
            })
        };
        assert!(found(&encoded(3), "").contains(&id));
        assert!(!found(&encoded(4), "").contains(&id));
    }

    #[test]
    fn a_plain_text_is_not_opened() {
        // What is decoded once and holds no marks is a word, not a text of its own.
        assert_eq!(found("a%2541", ""), ["a%2541", "a%41"]);
        assert_eq!(found("%2b+%41", ""), ["%2b+%41", "+ A"]);
    }

    #[test]
    fn numbers_are_found_and_literals_are_not() {
        let text = r#"{"n":-12,"f":1.50,"t":true,"x":null}"#;
        assert_eq!(found(text, ""), ["n", "-12", "f", "1.50", "t", "x"]);
    }

    #[test]
    fn what_is_no_id_is_left_out() {
        let long = "a".repeat(257);
        assert_eq!(found(&format!(r#"["{long}","","\t","u1"]"#), ""), ["u1"]);
        assert_eq!(found(&format!(r#"["{}"]"#, "a".repeat(256)), "").len(), 1);
    }

    #[test]
    fn a_guid_is_brought_to_lower_case_before_the_prefix() {
        let text = r#"["0A1B2C3D-0000-4000-8000-00000000000F"]"#;
        let lower = "0a1b2c3d-0000-4000-8000-00000000000f";
        assert_eq!(
            found(text, "App-"),
            [lower.to_owned(), format!("App-{lower}")]
        );
    }

    #[test]
    fn the_first_thousand_are_kept() {
        let many: Vec<String> = (0..3_000).map(|number| format!("\"n{number}\"")).collect();
        let kept = found(&many.join(","), "");
        assert_eq!(kept.len(), MOST_MENTIONS);
        assert_eq!(kept.last().map(String::as_str), Some("n999"));
        let repeated = [
            many.first().cloned().unwrap_or_default().repeat(3_000),
            "\"last\"".to_owned(),
        ];
        assert_eq!(found(&repeated.join(","), ""), ["n0", "last"]);
    }
}
