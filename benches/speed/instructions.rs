//! Instructions of a look-up, counted under valgrind: the same number on a busy machine as on an idle one, so that a few more
//! are noticed which no clock would show.
//!
//! The process is run twice, the second time with many more look-ups, and the difference divided: so what comes before the
//! look-ups does not count, but for a few instructions by which it varies, as keys of hashes are random. Each count is held against the ceiling in `instructions.txt`. Lower a ceiling when the code has
//! become faster; raise it only on purpose.

use std::hint::black_box;
use std::process::{Command, ExitCode};

use tenure::{Delivery, Engine, MemoryStore, Request};

use crate::database::{SEED, instant, secrets};
use crate::questions::{Draw, asked};
use crate::workload::{Crowd, NOW};

const CEILINGS: &str = include_str!("instructions.txt");
const READERS: u64 = 100;
/// The same questions each time round, so that every round is the same work.
const QUESTIONS: u64 = 500;
const ROUNDS: u64 = 200;

/// Counts, prints, and fails if a ceiling is broken.
pub(crate) fn count() -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("not measured: no valgrind");
        return ExitCode::SUCCESS;
    }
    let mut code = ExitCode::SUCCESS;
    for line in CEILINGS.lines().filter(|line| !line.starts_with('#')) {
        let (name, ceiling) = line.split_once(' ').expect("a name and a number");
        let ceiling: u64 = ceiling.trim().parse().expect("a number");
        let [few, more] = [1, 1 + ROUNDS].map(|rounds| instructions(name, rounds * QUESTIONS));
        let Some((few, more)) = few.zip(more) else {
            println!("not measured: valgrind does not run here");
            return ExitCode::SUCCESS;
        };
        let each = (more - few) / (ROUNDS * QUESTIONS);
        let is_within = each <= ceiling;
        let verdict = if is_within { "within" } else { "ABOVE" };
        println!("{name}: {each} instructions, {verdict} the ceiling of {ceiling}");
        if !is_within {
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn instructions(name: &str, look_ups: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--look-up", name, &look_ups.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    collected?.1.trim().parse().ok()
}

/// What valgrind watches.
pub(crate) fn look_up(name: &str, times: u64) {
    let mut engine = Engine::new(MemoryStore::new().unwrap(), secrets()).unwrap();
    let deliveries = Crowd::new(SEED, READERS).map(|delivered| {
        let request = Request {
            body: delivered.body.into_bytes(),
            ..Request::default()
        };
        let received = instant(delivered.second + delivered.delay);
        Delivery::trusted(delivered.source.parse().unwrap(), request).received_at(Some(received))
    });
    engine
        .ingest_batch(deliveries.collect(), instant(NOW))
        .unwrap();
    let index = engine.index().unwrap();
    let questions = asked(Draw::Uniform, READERS, QUESTIONS as usize);
    let mut allowed = 0_u64;
    for it in questions.iter().cycle().take(times as usize) {
        allowed += u64::from(match name {
            "allows" => index.allows(&it.user, &it.resource, it.at),
            _ => index.answer(&it.user, &it.resource, it.at).is_allowed,
        });
    }
    black_box(allowed);
}
