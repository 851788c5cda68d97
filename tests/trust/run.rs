//! Running the harnesses, two at a time, and ending with the table.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Extent, Harness, Report, caught, is_quiet};
use crate::table;

const SEED: u64 = 20_240_229;
const LONG: u64 = 50;

const HELP: &str = "\
holds every guarantee of docs/trust.md against many cases and faults, and prints the table

usage: cargo test [--release] --test trust [-- [NAME] [OPTIONS]]

  NAME         only the harnesses whose name holds this text
  --list       the harnesses and what they hold
  --long       fifty times as much as in the short form: some hours
  --times N    N times as much as in the short form
  --seed N     other random cases; `random` for ones never tried
  --threads N  how many harnesses run at a time (2)
  --write      put the table into docs/trust.md as well
";

struct Asked {
    extent: Extent,
    name: Option<String>,
    threads: usize,
    write: bool,
    list: Option<List>,
}

/// How the harnesses are listed.
#[derive(Clone, Copy, PartialEq)]
enum List {
    /// For people.
    Told,
    /// As test runners ask every test program for its tests.
    Terse,
}

/// The harnesses that were asked for, in the order they stand; the exit code says whether all held.
pub(crate) fn run(harnesses: &[Harness]) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = match asked(&words) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("error: {message}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let is_meant = |it: &&Harness| {
        asked
            .name
            .as_ref()
            .is_none_or(|name| it.name.contains(name))
    };
    let chosen: Vec<&Harness> = harnesses.iter().filter(is_meant).collect();
    if let Some(list) = asked.list {
        for harness in chosen {
            match list {
                List::Told => println!("{:<16} {}", harness.name, harness.guarantee),
                List::Terse => println!("{}: test", harness.name),
            }
        }
        return ExitCode::SUCCESS;
    }
    std::panic::set_hook(Box::new(|panic| {
        if !is_quiet() {
            eprintln!("{panic}");
        }
    }));
    let began = Instant::now();
    let reports = all(&chosen, &asked);
    if chosen.is_empty() {
        return ExitCode::SUCCESS;
    }
    let rows: Vec<table::Row<'_>> = chosen
        .iter()
        .zip(&reports)
        .map(|(harness, report)| table::Row { harness, report })
        .collect();
    print!("\n{}", table::text(&rows, &asked.extent));
    let took = began.elapsed().as_secs();
    if asked.write {
        table::write(&rows, &asked.extent);
    }
    let faults = table::faults(&rows);
    for fault in &faults {
        println!("\n{fault}");
    }
    println!(
        "\n{} harnesses in {took} s, {} that did not hold",
        rows.len(),
        faults.len()
    );
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn asked(words: &[String]) -> Result<Option<Asked>, String> {
    let mut asked = Asked {
        extent: Extent {
            seed: SEED,
            times: 1,
        },
        name: None,
        threads: 2,
        write: false,
        list: None,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            let given = words.next().and_then(|it| it.parse::<u64>().ok());
            given.ok_or_else(|| format!("`{word}` needs a number"))
        };
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--list" => asked.list = asked.list.or(Some(List::Told)),
            "--format" => {
                words.next();
                asked.list = Some(List::Terse);
            }
            // No harness is left out by default.
            "--ignored" => asked.name = Some("none of them".to_owned()),
            "--long" => asked.extent.times = LONG,
            "--times" => asked.extent.times = number()?.max(1),
            "--threads" => asked.threads = usize::try_from(number()?.max(1)).unwrap_or(1),
            "--write" => asked.write = true,
            "--seed" => {
                let given = words.next().map(String::as_str);
                asked.extent.seed = match given {
                    Some("random") => rand_seed(),
                    given => given
                        .and_then(|it| it.parse().ok())
                        .ok_or("`--seed` needs a number or `random`")?,
                };
            }
            // What `cargo test` hands to every test program.
            "--nocapture" | "--quiet" | "-q" | "--include-ignored" | "--exact" => {}
            option if option.starts_with('-') => return Err(format!("`{option}` is no option")),
            name => asked.name = Some(name.to_owned()),
        }
    }
    Ok(Some(asked))
}

fn rand_seed() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    u64::from_le_bytes(bytes)
}

fn all(chosen: &[&Harness], asked: &Asked) -> Vec<Report> {
    let next = AtomicUsize::new(0);
    let reports: Vec<Mutex<Option<Report>>> = chosen.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..asked.threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(harness) = chosen.get(place) else {
                        return;
                    };
                    let (report, took) = one(harness, &asked.extent);
                    let end = if table::holds(&report) {
                        "held"
                    } else {
                        "FELL"
                    };
                    println!("{:<16} {end} in {:.1} s", harness.name, took.as_secs_f64());
                    *reports[place].lock().unwrap() = Some(report);
                }
            });
        }
    });
    let report = |it: Mutex<Option<Report>>| it.into_inner().unwrap().unwrap_or_default();
    reports.into_iter().map(report).collect()
}

fn one(harness: &Harness, extent: &Extent) -> (Report, Duration) {
    let began = Instant::now();
    let report = caught(|| Ok((harness.run)(extent))).unwrap_or_else(|message| Report {
        violations: vec![format!("the harness itself broke: {message}")],
        ..Report::default()
    });
    (report, began.elapsed())
}
