//! Writes a seeded, mixed file of deliveries (`lines`, or `crowd` for so many readers with short lives) or questions about its
//! readers (`questions`) to standard output, for trying `tenure ingest any` and `tenure check --batch` on large files.
//!
//! ```text
//! cargo run --release --example workload -- lines 100000 > deliveries.jsonl
//! cargo run --release --example workload -- crowd 1000000 > deliveries.jsonl
//! cargo run --release --example workload -- questions 100000 > questions.jsonl
//! ```

use std::io::{self, BufWriter, Write};

#[allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a generator for benches and tests"
)]
#[path = "../benches/workload/mod.rs"]
mod workload;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let count: usize = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    let mut out = BufWriter::new(io::stdout().lock());
    match what.as_str() {
        "lines" => {
            for line in workload::lines(1, count) {
                writeln!(out, "{line}")?;
            }
        }
        "crowd" => {
            for delivered in workload::Crowd::new(1, count as u64) {
                writeln!(out, "{}", delivered.line(0))?;
            }
        }
        "questions" => {
            let users = (count / 18).max(1).try_into().unwrap_or(u64::MAX);
            for (user, resource, at) in workload::questions(2, users, count) {
                writeln!(
                    out,
                    r#"{{"user":"{user}","resource":"{resource}","at":"{at}"}}"#
                )?;
            }
        }
        _ => {
            writeln!(io::stderr(), "usage: workload lines|crowd|questions COUNT")?;
            std::process::exit(2);
        }
    }
    out.flush()
}
