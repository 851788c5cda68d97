//! Reading JSON's escapes byte by byte, also where what surrounds them is no JSON.

use std::ops::Range;

use super::super::token::REDACTED;

/// How many backslashes it begins with.
pub(super) fn backslashes(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| **byte == b'\\').count()
}

/// An escape with four hexadecimal digits.
pub(super) struct Escape {
    /// The unit of UTF-16 it stands for.
    pub(super) unit: u16,
    /// With all backslashes before it.
    pub(super) length: usize,
}

/// The escape that stands behind `run` backslashes.
pub(super) fn escape_at(rest: &[u8], run: usize) -> Option<Escape> {
    if run == 0 || rest.get(run) != Some(&b'u') {
        return None;
    }
    let length = run + 5;
    let digits = std::str::from_utf8(rest.get(run + 1..length)?).ok()?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let unit = u16::from_str_radix(digits, 16).ok()?;
    Some(Escape { unit, length })
}

/// A byte of an address as it is read, however it is written.
pub(super) struct Byte {
    pub(super) letter: u8,
    pub(super) length: usize,
}

impl Byte {
    /// The first one. An escape is taken for what it may stand for: to see too many signs in an address hides too much
    /// of it, to see too few would show what must not be seen.
    pub(super) fn first(rest: &[u8]) -> Option<Self> {
        let run = backslashes(rest);
        if run == 0 {
            let letter = *rest.first()?;
            return Some(Self { letter, length: 1 });
        }
        if let Some(escape) = escape_at(rest, run) {
            let letter = u8::try_from(escape.unit).unwrap_or(0);
            let length = escape.length;
            return Some(Self { letter, length });
        }
        Some(match rest.get(run) {
            Some(b'/') => Self {
                letter: b'/',
                length: run + 1,
            },
            // A backslash of the text itself; address readers take it for a slash.
            _ if run > 1 => Self {
                letter: b'\\',
                length: run,
            },
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'"') => Self {
                letter: 0,
                length: 2,
            },
            Some(_) | None => Self {
                letter: 0,
                length: 1,
            },
        })
    }
}

/// The bytes with a mark in place of each range. The ranges are in order and apart.
pub(super) fn replaced(bytes: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let mut made = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for range in ranges {
        made.extend_from_slice(bytes.get(from..range.start).unwrap_or_default());
        made.extend_from_slice(REDACTED.as_bytes());
        from = range.end;
    }
    made.extend_from_slice(bytes.get(from..).unwrap_or_default());
    made
}
