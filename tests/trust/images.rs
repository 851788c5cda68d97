//! What may be on a disk after a power cut, by what was done to it before.
//!
//! Of what was written to a file after it was last synchronised any part may be there; likewise of the names of files after
//! the folder was last synchronised, though these only in their order.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use crate::disk::Done;
use crate::steps::Dice;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// The disk after some of what was done.
#[derive(Default)]
pub(crate) struct Recovery {
    files: Vec<File>,
    names: Vec<Naming>,
    names_kept: usize,
    pub(crate) begun: usize,
    pub(crate) acknowledged: usize,
    done: usize,
}

#[derive(Default)]
struct File {
    /// What is sure to be there.
    kept: Vec<u8>,
    /// How often it was synchronised.
    kept_at: usize,
    pending: Vec<(usize, Pending)>,
}

#[derive(Clone)]
enum Pending {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

enum Naming {
    Create(String, usize),
    Delete(String),
}

/// How much of what is not sure to be there is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Nothing,
    Everything,
    /// Everything but part of the last write.
    Torn,
    /// A random part, some writes torn.
    Some,
}

/// The files of a folder after a power cut.
pub(crate) struct Image {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Two images with the same mark are the same.
    pub(crate) mark: u64,
}

impl Image {
    /// Makes the folder hold exactly this.
    pub(crate) fn lay(&self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, bytes) in &self.files {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

impl Recovery {
    /// Of a folder that holds one file from the beginning.
    pub(crate) fn from(name: &str, bytes: Vec<u8>) -> Self {
        let file = File {
            kept: bytes,
            ..File::default()
        };
        Self {
            files: vec![file],
            names: vec![Naming::Create(name.to_owned(), 0)],
            names_kept: 1,
            ..Self::default()
        }
    }

    /// Goes on by one. Gives whether that leads to other images.
    pub(crate) fn go_on(&mut self, done: &Done) -> bool {
        self.done += 1;
        match done {
            Done::Create { file, name } => {
                self.file(*file);
                self.names.push(Naming::Create(name.clone(), *file));
            }
            Done::Delete { name } => self.names.push(Naming::Delete(name.clone())),
            Done::Write {
                file,
                offset,
                bytes,
            } => {
                let pending = Pending::Write(*offset, bytes.clone());
                let number = self.done;
                self.file(*file).pending.push((number, pending));
            }
            Done::Truncate { file, size } => {
                let number = self.done;
                let pending = Pending::Truncate(*size);
                self.file(*file).pending.push((number, pending));
            }
            Done::Sync { file } => {
                let file = self.file(*file);
                for (_, pending) in std::mem::take(&mut file.pending) {
                    pending.apply(&mut file.kept, 0);
                }
                file.kept_at += 1;
            }
            Done::SyncFolder => self.names_kept = self.names.len(),
            Done::Acknowledged(steps) => self.acknowledged = *steps,
            Done::Begun(steps) => {
                self.begun = *steps;
                return false;
            }
        }
        true
    }

    fn file(&mut self, number: usize) -> &mut File {
        while self.files.len() <= number {
            self.files.push(File::default());
        }
        &mut self.files[number]
    }

    /// An image of the disk if the power fails now.
    pub(crate) fn image(&self, kept: Kept, dice: &mut Dice) -> Image {
        let mut mark = DefaultHasher::new();
        self.acknowledged.hash(&mut mark);
        let last = self
            .files
            .iter()
            .filter_map(|file| file.pending.last())
            .map(|it| it.0);
        let last = last.max();
        let often = [5, 50, 80, 95][dice.below(4)];
        let fill = if dice.percent(50) { 0 } else { 0xA5 };
        let mut contents = Vec::new();
        for (number, file) in self.files.iter().enumerate() {
            let mut bytes = file.kept.clone();
            (number, file.kept_at).hash(&mut mark);
            for (done, pending) in &file.pending {
                let is_kept = |dice: &mut Dice| match kept {
                    Kept::Nothing => false,
                    Kept::Everything | Kept::Torn => true,
                    Kept::Some => dice.percent(often),
                };
                if !is_kept(dice) {
                    continue;
                }
                let is_torn = match kept {
                    Kept::Nothing | Kept::Everything => false,
                    Kept::Torn => Some(*done) == last,
                    Kept::Some => dice.percent(10),
                };
                if is_torn && let Pending::Write(offset, written) = pending {
                    torn(*offset, written, &mut bytes, fill, dice, &mut mark);
                } else {
                    pending.apply(&mut bytes, fill);
                }
                (*done, fill).hash(&mut mark);
            }
            contents.push(bytes);
        }
        let open = self.names.len() - self.names_kept;
        let more = match kept {
            Kept::Nothing => 0,
            Kept::Everything | Kept::Torn => open,
            Kept::Some => dice.below(open + 1),
        };
        (self.names_kept + more).hash(&mut mark);
        let mut files = BTreeMap::new();
        for naming in &self.names[..self.names_kept + more] {
            match naming {
                Naming::Create(name, file) => {
                    files.insert(name.clone(), contents[*file].clone());
                }
                Naming::Delete(name) => {
                    files.remove(name);
                }
            }
        }
        Image {
            files,
            mark: mark.finish(),
        }
    }
}

impl Pending {
    /// What lies between the end of a file and a write beyond it is whatever the disk held there.
    fn apply(&self, bytes: &mut Vec<u8>, fill: u8) {
        match self {
            Self::Write(offset, written) => put(*offset, written, bytes, fill),
            Self::Truncate(size) => bytes.resize(usize::try_from(*size).unwrap(), 0),
        }
    }
}

fn put(offset: u64, written: &[u8], bytes: &mut Vec<u8>, fill: u8) {
    let offset = usize::try_from(offset).unwrap();
    let end = offset + written.len();
    if bytes.len() < offset {
        bytes.resize(offset, fill);
    }
    if bytes.len() < end {
        bytes.resize(end, fill);
    }
    bytes[offset..end].copy_from_slice(written);
}

/// Some sectors of a write: the first few of them, or any.
fn torn(
    offset: u64,
    written: &[u8],
    bytes: &mut Vec<u8>,
    fill: u8,
    dice: &mut Dice,
    mark: &mut DefaultHasher,
) {
    // A write need not begin where a sector does.
    let first = SECTOR - usize::try_from(offset).unwrap() % SECTOR;
    let mut parts = Vec::new();
    let mut from = 0;
    let mut to = first.min(written.len());
    while from < written.len() {
        parts.push((from, to));
        from = to;
        to = (to + SECTOR).min(written.len());
    }
    let until = dice.below(parts.len());
    let any = dice.percent(50);
    for (number, (from, to)) in parts.into_iter().enumerate() {
        let is_kept = if any {
            dice.percent(50)
        } else {
            number < until
        };
        is_kept.hash(mark);
        if is_kept {
            put(offset + from as u64, &written[from..to], bytes, fill);
        }
    }
}
