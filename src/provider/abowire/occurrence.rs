//! Finding a secret in a body, however it is written: plain, percent-encoded, or with JSON's escapes.

use super::super::token::REDACTED;
use super::bytes::{backslashes, escape_at};

/// No writer escapes more often than that, and no run of backslashes is followed further: each is looked at from every
/// place in it.
const LONGEST_RUN: usize = 7;

/// The secret that is looked for.
pub(super) struct Needle(Vec<Letter>);

/// A letter of the secret, or a byte of one that is no text.
struct Letter {
    bytes: Vec<u8>,
    utf16: Vec<u16>,
}

impl Needle {
    pub(super) fn new(secret: &[u8]) -> Self {
        let letters = match std::str::from_utf8(secret) {
            Ok(text) => text.chars().map(Letter::of_text).collect(),
            Err(_) => secret.iter().map(|byte| Letter::of_byte(*byte)).collect(),
        };
        Self(letters)
    }

    /// How long the secret is that stands at the beginning, if it does.
    pub(super) fn length_at(&self, rest: &[u8], is_json: bool) -> Option<usize> {
        let escaped = self.length(rest, true, is_json);
        if is_json {
            return escaped;
        }
        escaped.or_else(|| self.length(rest, false, false))
    }

    fn length(&self, rest: &[u8], is_escaped: bool, is_json: bool) -> Option<usize> {
        let mut at = 0;
        for letter in &self.0 {
            let rest = rest.get(at..)?;
            if rest.starts_with(REDACTED.as_bytes()) {
                return None;
            }
            at += letter.length(rest, is_escaped, is_json)?;
        }
        Some(at)
    }
}

impl Letter {
    fn of_text(letter: char) -> Self {
        Self {
            bytes: letter.to_string().into_bytes(),
            utf16: letter.encode_utf16(&mut [0; 2]).to_vec(),
        }
    }

    fn of_byte(byte: u8) -> Self {
        Self {
            bytes: vec![byte],
            utf16: Vec::new(),
        }
    }

    fn length(&self, rest: &[u8], is_escaped: bool, is_json: bool) -> Option<usize> {
        let plain = rest.starts_with(&self.bytes).then_some(self.bytes.len());
        // In JSON these two are never plain, and half a letter would leave what is no text.
        let is_plain = match self.bytes.as_slice() {
            b"\\" => !is_escaped,
            b"\"" => !is_json,
            _ => !is_json || !self.utf16.is_empty(),
        };
        plain
            .filter(|_| is_plain)
            .or_else(|| self.percent_length(rest))
            .or_else(|| self.escaped_length(rest).filter(|_| is_escaped))
    }

    fn percent_length(&self, rest: &[u8]) -> Option<usize> {
        if self.bytes == b" " && rest.first() == Some(&b'+') {
            return Some(1);
        }
        let mut at = 0;
        for byte in &self.bytes {
            let digits = rest.get(at..)?.strip_prefix(b"%")?.get(..2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            if u8::from_str_radix(digits, 16).ok()? != *byte {
                return None;
            }
            at += 3;
        }
        Some(at)
    }

    fn escaped_length(&self, rest: &[u8]) -> Option<usize> {
        let few = rest.get(..=LONGEST_RUN).unwrap_or(rest);
        let run = backslashes(few);
        let named = match (self.bytes.as_slice(), rest.get(run)) {
            (b"\\", _) if run > 1 => Some(2),
            (b"/", Some(b'/')) if run > 0 => Some(run + 1),
            // An even run escapes itself only, and the mark ends the text.
            (b"\"", Some(b'"'))
            | (b"\n", Some(b'n'))
            | (b"\r", Some(b'r'))
            | (b"\t", Some(b't'))
            | (b"\x08", Some(b'b'))
            | (b"\x0c", Some(b'f'))
                if run % 2 == 1 =>
            {
                Some(run + 1)
            }
            _ => None,
        };
        named.or_else(|| self.unit_length(rest, run))
    }

    fn unit_length(&self, rest: &[u8], mut run: usize) -> Option<usize> {
        if self.utf16.is_empty() {
            return None;
        }
        let mut at = 0;
        for unit in &self.utf16 {
            let rest = rest.get(at..)?;
            if at > 0 {
                run = backslashes(rest.get(..=LONGEST_RUN).unwrap_or(rest));
            }
            let escape = escape_at(rest, run).filter(|escape| escape.unit == *unit)?;
            at += escape.length;
        }
        Some(at)
    }
}
