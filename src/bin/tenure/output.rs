//! Writing for people and programs: one locked, buffered standard output, aligned tables, and nothing a terminal would obey.

use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};

use serde::Serialize;

use crate::failure::Failure;

/// Standard output.
pub(crate) struct Out {
    to: BufWriter<StdoutLock<'static>>,
    is_closed: bool,
    has_colour: bool,
}

/// What a piece of text is, so that a terminal may colour it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Good,
    Bad,
    Caution,
    Heading,
    Faint,
}

impl Out {
    pub(crate) fn new() -> Self {
        let stdout = io::stdout();
        let has_colour = stdout.is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|value| value != "dumb");
        Self {
            to: BufWriter::new(stdout.lock()),
            is_closed: false,
            has_colour,
        }
    }

    /// Whether nobody reads any more: whoever only writes may stop.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) -> Result<(), Failure> {
        let written = self
            .to
            .write_fmt(text)
            .and_then(|()| self.to.write_all(b"\n"));
        self.settle(written)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.to.write_all(bytes);
        self.settle(written)
    }

    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value);
        let text =
            text.map_err(|error| Failure::Output(format!("not writable as JSON: {error}")))?;
        self.line(format_args!("{text}"))
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.to.flush();
        self.settle(flushed)
    }

    /// A reader that went away, as `head` does, is no failure.
    fn settle(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            Err(error) => Err(Failure::Output(format!(
                "standard output cannot be written: {error}"
            ))),
        }
    }

    /// `text` in the colour of its meaning, where there are colours.
    pub(crate) fn ink(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            _ if !self.has_colour => return text.to_owned(),
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Caution => "33",
            Ink::Heading => "1",
            Ink::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let widths = table.widths();
        for (number, row) in table.rows.iter().enumerate() {
            let mut line = String::new();
            let last = row.len().saturating_sub(1);
            for (column, (cell, (width, is_number))) in row.iter().zip(&widths).enumerate() {
                let missing = width.saturating_sub(cell.chars().count());
                if *is_number {
                    line.extend(std::iter::repeat_n(' ', missing));
                }
                line.push_str(cell);
                if !is_number && column < last {
                    line.extend(std::iter::repeat_n(' ', missing));
                }
                if column < last {
                    line.push_str("  ");
                }
            }
            let line = line.trim_end();
            if number == 0 {
                let heading = self.ink(Ink::Faint, line);
                self.line(format_args!("{heading}"))?;
            } else {
                self.line(format_args!("{line}"))?;
            }
        }
        Ok(())
    }
}

/// Rows of cells under a heading. Cells are made [`safe`] as they come in.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self {
            rows: vec![heading.iter().map(|text| (*text).to_owned()).collect()],
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.iter().map(|cell| safe(cell)).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The width of each column, and whether it holds numbers only.
    fn widths(&self) -> Vec<(usize, bool)> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let of_column = |column: usize| {
            let cells = || self.rows.iter().filter_map(move |row| row.get(column));
            let width = cells().map(|cell| cell.chars().count()).max().unwrap_or(0);
            let is_number = |cell: &String| {
                !cell.is_empty()
                    && cell
                        .bytes()
                        .all(|byte| byte.is_ascii_digit() || byte == b',')
            };
            (width, cells().count() > 1 && cells().skip(1).all(is_number))
        };
        (0..columns).map(of_column).collect()
    }
}

/// The text with everything escaped that a terminal would obey rather than show: control characters, and those that turn
/// the direction of writing or take no room.
pub(crate) fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        let is_invisible = matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
            | '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{180e}'
            | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}');
        if letter.is_control() || is_invisible {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// A whole number with its thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 event`, `2 events`.
pub(crate) fn counted(number: u64, one: &str) -> String {
    let mut text = format!("{} {one}", count(number));
    if number != 1 {
        let plural = one
            .strip_suffix('y')
            .map(|stem| format!("{} {stem}ies", count(number)));
        match plural {
            Some(plural) => return plural,
            None => {
                let _infallible = text.write_char('s');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{count, counted, safe};

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(
            safe("a\u{1b}[2Jb\n\u{202e}c\u{9b}ü"),
            "a\\u{1b}[2Jb\\n\\u{202e}c\\u{9b}ü"
        );
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "delivery"), "1 delivery");
        assert_eq!(counted(2, "delivery"), "2 deliveries");
        assert_eq!(counted(0, "event"), "0 events");
    }
}
