//! How fast Tenure is beside what one would write by hand: every figure is a ratio to a peer that does the same work in the
//! same run, in turns. `cargo bench --bench speed -- --help` says what can be asked for; docs/speed.md holds a full run.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "a bench counts in floats, and one that fails panics"
)]

use std::cell::RefCell;
use std::process::ExitCode;
use std::time::Instant as Clock;

use arguments::{Arguments, USAGE};
use database::Shelf;
use measure::Run;
use table::Row;

#[path = "speed/arguments.rs"]
mod arguments;
#[path = "speed/database.rs"]
mod database;
#[path = "speed/document.rs"]
mod document;
#[path = "speed/growth_picture.rs"]
mod growth_picture;
#[path = "speed/instructions.rs"]
mod instructions;
#[path = "speed/interleaved.rs"]
mod interleaved;
#[path = "speed/machine.rs"]
mod machine;
#[path = "speed/measure/mod.rs"]
mod measure;
#[path = "speed/memory.rs"]
mod memory;
#[path = "speed/peer/mod.rs"]
mod peer;
#[path = "speed/questions.rs"]
mod questions;
#[path = "speed/requests.rs"]
mod requests;
#[path = "speed/table.rs"]
mod table;
mod workload;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!("{what}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some((name, times)) = &arguments.look_up {
        instructions::look_up(name, *times);
        return ExitCode::SUCCESS;
    }
    if arguments.does_count_instructions {
        return instructions::count();
    }
    measure_all(&arguments);
    // The ceilings are those of optimised code.
    if arguments.is_test && arguments.only.is_empty() && !cfg!(debug_assertions) {
        return instructions::count();
    }
    ExitCode::SUCCESS
}

/// A ratio that is not reached is told, and fails nothing: it may be the machine's.
fn measure_all(arguments: &Arguments) {
    let shelf = Shelf::new(arguments);
    let database = shelf.database(arguments.users);
    let run = Run {
        arguments,
        shelf: &shelf,
        database: &database,
        curves: RefCell::default(),
    };
    let mut rows = Vec::new();
    for (numbers, name, measure) in measure::ALL {
        if numbers.iter().any(|number| arguments.wants(*number)) {
            let begin = Clock::now();
            database.warm();
            rows.extend(measure(&run));
            eprintln!("{name}: {:.0} s", begin.elapsed().as_secs_f64());
        }
    }
    rows.sort_by_key(Row::number);
    print!("{}", table::plain(&rows));
    let held = rows.iter().filter(|row| row.is_held_against_a_bound());
    let missed = rows.iter().filter(|row| row.is_missed());
    println!("{} of {} bounds not met", missed.count(), held.count());
    if let Some(page) = &arguments.write {
        let curves = run.curves.borrow();
        document::write(page, arguments, shelf.folder(), &rows, &curves);
    }
}
