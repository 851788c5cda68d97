//! The contract of `tenure::store`, clause by clause, for every store; `sqlite` adds what only a file can promise.

mod accounts;
mod clauses;
mod erasing;
mod facts;
mod files;
mod keeping;
mod reads;
mod sqlite;
mod statements;
mod upgrades;

use tempfile::TempDir;
use tenure::store::chain::Salts;
use tenure::store::{
    MemoryStore, Snapshot, SqliteStore, SqliteStoreOptions, Store, StoreError, StoreReader,
    Transaction,
};

/// A store of the kind under test, with repeatable salts.
pub(crate) trait Fresh: Store + Sized {
    /// Whatever the store needs to live on.
    type Ground;
    fn fresh() -> (Self, Self::Ground);
}

impl Fresh for MemoryStore {
    type Ground = ();
    fn fresh() -> (Self, ()) {
        (Self::with_salts(Salts::from_seed([7; 32])), ())
    }
}

impl Fresh for SqliteStore {
    type Ground = TempDir;
    fn fresh() -> (Self, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Self::create_or_open(&folder.path().join("tenure.db"), options()).unwrap();
        (store, folder)
    }
}

/// Options with repeatable salts.
pub(crate) fn options() -> SqliteStoreOptions {
    SqliteStoreOptions {
        salts: Some(Salts::from_seed([7; 32])),
        ..SqliteStoreOptions::default()
    }
}

/// Writes, and expects it to succeed.
pub(crate) fn write<S: Store, T>(
    store: &mut S,
    work: impl FnOnce(&mut dyn Transaction) -> Result<T, StoreError>,
) -> T {
    store.write(work).unwrap()
}

/// Reads by a fresh handle, and expects it to succeed.
pub(crate) fn read<S: Store, T>(
    store: &S,
    work: impl FnOnce(&dyn Snapshot) -> Result<T, StoreError>,
) -> T {
    store.reader().unwrap().read(work).unwrap()
}

macro_rules! for_every_store {
    ($($clause:ident),* $(,)?) => {
        $(mod $clause {
            #[test]
            fn in_memory() {
                super::$clause::<tenure::store::MemoryStore>();
            }
            #[test]
            fn in_sqlite() {
                super::$clause::<tenure::store::SqliteStore>();
            }
        })*
    };
}
pub(crate) use for_every_store;
