//! The end of the log as it is noted down elsewhere.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::EngineError;
use super::reader::Reader;
use crate::domain::id::Position;
use crate::store::{Hash, StoreReader};

/// A position of the log and the hash of the entry there, kept where whoever can write to the database cannot: the hash
/// covers every entry up to it, so no later log that still goes through it has lost or altered any of them.
///
/// As text, and as JSON: the position, a colon, 64 hex digits. `0:` and zeros stand for the empty log.
///
/// ```
/// use tenure::KeptHead;
///
/// let text = "17:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// let head: KeptHead = text.parse()?;
/// assert_eq!(head.position.0, 17);
/// assert_eq!(head.to_string(), text);
/// # Ok::<(), tenure::KeptHeadError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptHead {
    /// Which entry.
    pub position: Position,
    /// Its hash.
    pub hash: Hash,
}

/// A text that is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head is a position, a colon and 64 hex digits, as `tenure head` prints it")]
pub struct KeptHeadError;

impl fmt::Display for KeptHead {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.position, self.hash)
    }
}

impl FromStr for KeptHead {
    type Err = KeptHeadError;

    fn from_str(text: &str) -> Result<Self, KeptHeadError> {
        // As a line of a file gives it.
        let (position, digits) = text.trim().split_once(':').ok_or(KeptHeadError)?;
        // A sign is no digit, though the number could be read with one.
        if !position.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(KeptHeadError);
        }
        let hash = Hash::from_hex(digits).ok_or(KeptHeadError)?;
        let position = position.parse().map(Position).map_err(|_| KeptHeadError)?;
        Ok(Self { position, hash })
    }
}

impl Serialize for KeptHead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<R: StoreReader> Reader<R> {
    /// The end of the log, to be kept elsewhere and handed to [`Reader::verify_against`] later.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn head(&mut self) -> Result<KeptHead, EngineError> {
        self.read(|snapshot| {
            let head = snapshot.head()?;
            Ok(KeptHead {
                position: head.position,
                hash: head.hash,
            })
        })
    }
}
