//! How far a long work has come, on standard error, where that is a terminal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use tenure::Progress;

use crate::failure::Failure;

/// No line that is looked at before the others is longer.
const LONGEST: u64 = 16 * 1024 * 1024;

const BYTES: &str = "{bar:30} {bytes}/{total_bytes}  {eta}";
const SPINNER: &str = "{spinner} {bytes}";
const COUNT: &str = "{bar:30} {human_pos}/{human_len} {msg}  {eta}";

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A bar that counts things.
pub(crate) struct Meter(ProgressBar);

impl Meter {
    pub(crate) fn new() -> Self {
        Self(styled(ProgressBar::new(0), COUNT))
    }

    pub(crate) fn show(&self, progress: Progress) {
        self.count(progress.what, progress.done, progress.total);
    }

    pub(crate) fn count(&self, what: &'static str, done: u64, total: u64) {
        // Both at once, so that what is done of one thing is never shown beside the total of another.
        self.0.update(|state| {
            state.set_len(total);
            state.set_pos(done);
        });
        if self.0.message() != what {
            self.0.set_message(what);
        }
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// Input that shows how much of it was read.
pub(crate) struct Input {
    pub(crate) reader: Box<dyn BufRead>,
    bar: ProgressBar,
}

impl Input {
    /// Opens a file; `-` and nothing are standard input.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            // A person who types lines needs no spinner between them.
            let bar = if io::stdin().is_terminal() {
                ProgressBar::hidden()
            } else {
                styled(ProgressBar::new_spinner(), SPINNER)
            };
            return Ok(Self::new(io::stdin(), bar));
        };
        let failed = |error| Failure::unreadable(path, &error);
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let bar = if about.is_file() {
            styled(ProgressBar::new(about.len()), BYTES)
        } else {
            styled(ProgressBar::new_spinner(), SPINNER)
        };
        Ok(Self::new(file, bar))
    }

    /// The first line, which is read again.
    pub(crate) fn first_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(LONGEST);
        limited.read_until(b'\n', &mut line)?;
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(io::Cursor::new(line.clone()).chain(rest));
        Ok(line)
    }

    fn new(from: impl io::Read + 'static, bar: ProgressBar) -> Self {
        let reader = BufReader::with_capacity(256 * 1024, bar.wrap_read(from));
        Self {
            reader: Box::new(reader),
            bar,
        }
    }

    /// Everything there is.
    pub(crate) fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes)?;
        self.bar.finish_and_clear();
        Ok(bytes)
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
