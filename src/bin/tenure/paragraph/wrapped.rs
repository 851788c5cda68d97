//! Text in lines.

use crate::output::safe;

/// The columns of a paragraph.
const WIDTH: usize = 80;

/// The text in lines that fit the terminal. A word that is longer than a line has one of its own.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in safe(text).split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}
