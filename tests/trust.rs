//! The trust run: every guarantee held against many cases and faults, and a table of what was tried.
//!
//! A program of its own, so that it can end with one table of all that was tried. `cargo test --test trust` runs the short
//! form, `cargo test --release --test trust -- --long` the long one; `-- --help` says the rest. Each harness also runs
//! against a planted bug, which it has to catch in the same run: a harness that catches nothing shows nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]
#![allow(dead_code, reason = "what the tests share, not all of it is used here")]

mod agreement;
#[path = "trust/backups.rs"]
mod backups;
#[path = "trust/disk.rs"]
mod disk;
#[path = "trust/edits.rs"]
mod edits;
#[path = "trust/erasure.rs"]
mod erasure;
#[path = "trust/exhaustive.rs"]
mod exhaustive;
#[path = "trust/family.rs"]
mod family;
#[path = "trust/follower.rs"]
mod follower;
#[path = "trust/forgeries.rs"]
mod forgeries;
#[path = "trust/full_disk.rs"]
mod full_disk;
#[path = "trust/golden.rs"]
mod golden;
#[path = "trust/golden_making.rs"]
mod golden_making;
#[path = "trust/growth.rs"]
mod growth;
#[path = "trust/harness.rs"]
mod harness;
#[path = "trust/histories.rs"]
mod histories;
#[path = "trust/images.rs"]
mod images;
#[path = "trust/io_errors.rs"]
mod io_errors;
#[path = "trust/kill.rs"]
mod kill;
#[path = "trust/ledger.rs"]
mod ledger;
#[path = "trust/lives.rs"]
mod lives;
#[path = "trust/machine.rs"]
mod machine;
mod model;
#[path = "trust/mutation.rs"]
mod mutation;
#[path = "trust/power.rs"]
mod power;
#[path = "trust/processes.rs"]
mod processes;
#[path = "trust/replay.rs"]
mod replay;
#[path = "trust/replay_command.rs"]
mod replay_command;
#[path = "trust/run.rs"]
mod run;
#[path = "trust/seam.rs"]
mod seam;
#[path = "trust/simulator.rs"]
mod simulator;
#[path = "trust/steps.rs"]
mod steps;
mod strategies;
#[path = "trust/table.rs"]
mod table;
#[path = "../fuzz/targets/mod.rs"]
mod targets;
#[path = "trust/vfs.rs"]
mod vfs;
#[allow(
    clippy::cast_possible_truncation,
    reason = "a generator for benches and tests"
)]
#[path = "../benches/workload/mod.rs"]
mod workload;
#[path = "trust/world.rs"]
mod world;

use harness::Harness;

/// Every harness, the longest first.
const HARNESSES: &[Harness] = &[
    exhaustive::HARNESS,
    histories::HARNESS,
    machine::HARNESS,
    simulator::HARNESS,
    power::HARNESS,
    io_errors::HARNESS,
    kill::HARNESS,
    edits::HARNESS,
    erasure::HARNESS,
    backups::HARNESS,
    replay::HARNESS,
    growth::HARNESS,
    full_disk::HARNESS,
    processes::HARNESS,
    golden::HARNESS,
    replay_command::HARNESS,
    forgeries::HARNESS,
];

fn main() -> std::process::ExitCode {
    if let Some(ended) = processes::as_child() {
        return ended;
    }
    run::run(HARNESSES)
}
