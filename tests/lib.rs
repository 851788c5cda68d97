//! The tests of the library as one program, so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod agreement;
#[cfg(feature = "command")]
mod cli;
mod intake;
mod laws;
mod model;
mod provider_contract;
mod reading;
mod store_contract;
mod strategies;
mod tidy;
mod transitions;
#[cfg(feature = "command")]
mod vectors;
