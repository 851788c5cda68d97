//! Names in little room: how wide they are on a terminal, and shorter forms that can still be told apart.

use std::collections::{BTreeMap, BTreeSet};

use unicode_width::UnicodeWidthStr as _;

/// The columns a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most that many columns: its beginning, and of its end up to `tail` columns.
pub(super) fn shortened(text: &str, most: usize, tail: usize, dots: &str) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(width(dots));
    let tail = tail.min(room);
    let end = ending(text, tail);
    let mut short = beginning(text, room.saturating_sub(tail)).to_owned();
    if width(dots) <= most {
        short.push_str(dots);
    }
    short.push_str(end);
    short
}

/// Spaces after the text, up to that many columns.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

fn beginning(text: &str, most: usize) -> &str {
    let ends = text
        .char_indices()
        .map(|(at, letter)| at + letter.len_utf8());
    let fitting = ends
        .map_while(|end| text.get(..end))
        .take_while(|start| width(start) <= most);
    fitting.last().unwrap_or_default()
}

fn ending(text: &str, most: usize) -> &str {
    let begins = text.char_indices().map(|(at, _)| at).rev();
    let fitting = begins
        .map_while(|begin| text.get(begin..))
        .take_while(|end| width(end) <= most);
    // What only changes the letter before it, as an accent, would change the dots.
    let end = fitting.last().unwrap_or_default();
    end.trim_start_matches(|letter: char| width(letter.encode_utf8(&mut [0; 4])) == 0)
}

/// Each text in at most that many columns; different ones stay different.
pub(super) fn distinct(texts: &[String], most: usize, dots: &str) -> Vec<String> {
    let different: BTreeSet<&String> = texts.iter().collect();
    let tails = [most / 3, most / 2, 0, most];
    for tail in tails {
        let short = |text: &String| shortened(text, most, tail, dots);
        let forms: BTreeSet<String> = different.iter().map(|text| short(text)).collect();
        if forms.len() == different.len() {
            return texts.iter().map(short).collect();
        }
    }
    // Some differ only in the middle: those get numbers, in their order.
    let short = |text: &String| shortened(text, most, most / 3, dots);
    let mut alike: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for text in different {
        alike.entry(short(text)).or_default().push(text);
    }
    let numbered = |text: &String| {
        let form = short(text);
        let of_form = alike.get(&form).filter(|texts| texts.len() > 1);
        let Some(texts) = of_form else {
            return form;
        };
        // They are sorted, as the set they come from.
        let number = format!("~{}", texts.partition_point(|it| *it < text) + 1);
        let room = most.saturating_sub(width(&number));
        format!("{}{number}", shortened(text, room, 0, dots))
    };
    texts.iter().map(numbered).collect()
}

/// The text in lines of at most that many columns, broken between words; a word that is wider is shortened.
pub(super) fn wrapped(text: &str, most: usize, dots: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let word = shortened(word, most, most / 3, dots);
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= most => {
                line.push(' ');
                line.push_str(&word);
            }
            Some(_) | None => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{distinct, padded, shortened, width, wrapped};

    #[test]
    fn a_shorter_form_keeps_both_ends() {
        assert_eq!(shortened("abcdefgh", 8, 2, "…"), "abcdefgh");
        assert_eq!(shortened("abcdefgh", 6, 2, "…"), "abc…gh");
        assert_eq!(shortened("abcdefgh", 6, 2, ".."), "ab..gh");
        assert_eq!(shortened("読者読者読者", 8, 2, "…"), "読者…者");
        assert_eq!(shortened("abcdefgh", 0, 2, "…"), "");
        assert_eq!(shortened("abcdee\u{301}", 4, 2, "…"), "a…ee\u{301}");
        assert_eq!(width(&padded("読者", 6)), 6);
    }

    #[test]
    fn different_names_stay_different() {
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let of_end = names(&["subscription-0001", "subscription-0002"]);
        assert_eq!(distinct(&of_end, 9, "…"), ["subsc…001", "subsc…002"]);
        let of_middle = names(&[
            "aaaaaaaa1aaaaaaaa",
            "aaaaaaaa2aaaaaaaa",
            "aaaaaaaa1aaaaaaaa",
        ]);
        assert_eq!(
            distinct(&of_middle, 7, "…"),
            ["aaaa…~1", "aaaa…~2", "aaaa…~1"]
        );
        assert!(distinct(&of_middle, 7, "…").iter().all(|it| width(it) <= 7));
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7, "…"), ["one two", "three"]);
        assert_eq!(wrapped("a verylongword", 6, "…"), ["a", "ver…rd"]);
        assert_eq!(wrapped("", 6, "…"), [""]);
    }
}
