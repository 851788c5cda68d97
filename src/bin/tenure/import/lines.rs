//! Line breaks of all systems as one, so that lines can be counted.

use std::io::{self, Read};

/// Input in which each line ends with a line feed, also the last one.
pub(crate) struct Lines<R> {
    from: R,
    /// Whether the last byte was a carriage return, which stands for the line feed that may follow it.
    is_half: bool,
    /// Whether the last line is still open.
    is_open: bool,
    /// Whether the reader has been told that nothing follows.
    pub(crate) has_ended: bool,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            is_half: false,
            is_open: false,
            has_ended: false,
        }
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.from.read(to)?;
            if read == 0 {
                let (true, Some(first)) = (self.is_open, to.first_mut()) else {
                    self.has_ended = true;
                    return Ok(0);
                };
                *first = b'\n';
                self.is_open = false;
                return Ok(1);
            }
            let mut kept = Vec::with_capacity(read);
            for byte in to.iter().take(read).copied() {
                let is_rest = self.is_half && byte == b'\n';
                self.is_half = byte == b'\r';
                if !is_rest {
                    kept.push(if self.is_half { b'\n' } else { byte });
                }
            }
            for (place, byte) in to.iter_mut().zip(&kept) {
                *place = *byte;
            }
            if let Some(last) = kept.last() {
                self.is_open = *last != b'\n';
                return Ok(kept.len());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::io::{BufReader, Read as _};

    use super::Lines;

    #[test]
    fn every_line_break_is_one_line_feed() {
        for (text, expected) in [
            ("", ""),
            ("a", "a\n"),
            ("a\r\nb\n", "a\nb\n"),
            ("a\rb\r\rc", "a\nb\n\nc\n"),
            ("a\r\n\r\nb\r\n", "a\n\nb\n"),
        ] {
            for size in 1..5 {
                let mut read = String::new();
                let slow = BufReader::with_capacity(size, text.as_bytes());
                let mut lines = BufReader::with_capacity(size, Lines::new(slow));
                lines.read_to_string(&mut read).unwrap();
                assert_eq!(read, expected, "{text:?} by {size}");
            }
        }
    }
}
