//! An online copy of a database.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::failure;
use crate::store::StoreError;

/// Pages copied between two reports of progress: 4 MiB with pages of 4 KiB.
const PAGES_A_STEP: i32 = 1024;
const PAUSE: Duration = Duration::from_millis(5);

/// Copies what `from` sees now to a new file.
pub(super) fn copy(
    from: &Connection,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), StoreError> {
    let unavailable = |error: std::io::Error| {
        StoreError::Unavailable(format!("backup to `{}`: {error}", to.display()))
    };
    // Claims the name: a file that is there already, whatever it holds, is never written over.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(to)
        .map_err(unavailable)?;
    let copied = copy_pages(from, to, progress).map_err(|error| failure(&error));
    let copied = copied.and_then(|()| synchronise_name(to).map_err(unavailable));
    if copied.is_err() {
        // Half a copy must not be taken for a whole one; that it could not be removed changes nothing in the answer.
        let _removed = fs::remove_file(to);
    }
    copied
}

fn copy_pages(
    from: &Connection,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), rusqlite::Error> {
    let mut target = Connection::open(to)?;
    // Without a transaction of its own the copy would begin anew after every write of another process.
    from.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")?;
    let copied = copy_steps(from, &mut target, progress);
    let ended = from.execute_batch("ROLLBACK");
    copied.and(ended)?;
    target.close().map_err(|(_, error)| error)
}

fn copy_steps(
    from: &Connection,
    target: &mut Connection,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), rusqlite::Error> {
    let backup = Backup::new(from, target)?;
    loop {
        let step = backup.step(PAGES_A_STEP)?;
        let pages = backup.progress();
        let count = |pages| u64::try_from(pages).unwrap_or(0);
        progress(count(pages.remaining), count(pages.pagecount));
        if step == StepResult::Done {
            return Ok(());
        }
        if step != StepResult::More {
            // Somebody looks at the new file: that passes.
            thread::sleep(PAUSE);
        }
    }
}

/// The copy's name has to survive a power cut as its content does.
fn synchronise_name(path: &Path) -> std::io::Result<()> {
    fs::File::open(path)?.sync_all()?;
    match std::path::absolute(path)?.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
