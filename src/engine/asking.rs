//! A reader of the engine's own, for what has to be known before anything is written.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::EngineError;
use super::facts::rules_at;
use super::reader::Reader;
use crate::domain::rules::Rules;
use crate::store::{StoreError, StoreReader};

/// Kept, and opened again where it was let go.
pub(super) struct Asking<R: StoreReader>(Mutex<Option<Reader<R>>>);

impl<R: StoreReader> Asking<R> {
    pub(super) fn by(reader: R) -> Self {
        Self(Mutex::new(Some(Reader::new(reader))))
    }

    /// The rules in force; the defaults if none were ever recorded.
    pub(super) fn rules(
        &self,
        open: impl FnOnce() -> Result<R, StoreError>,
    ) -> Result<Arc<Rules>, EngineError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match &mut *kept {
            Some(reader) => reader,
            None => kept.insert(Reader::new(open()?)),
        };
        reader.read(|snapshot| Ok(rules_at(&snapshot.rules()?, None)))
    }

    /// Lets go of the reader, which is opened again when it is needed.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl<R: StoreReader> fmt::Debug for Asking<R> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Asking")
    }
}
