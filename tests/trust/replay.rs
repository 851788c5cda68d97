//! What the fuzzer found worth keeping is read again, and many things like it: nothing that comes from outside brings the
//! library down, and what has to hold of it holds. The targets are those of the fuzzer, the corpus is `fuzz/corpus`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tenure::provider::Proof;
use tenure::{Provider, Reason, Request, Secret, Verified};

use crate::harness::{Extent, Harness, Report, caught};
use crate::mutation::Mutation;
use crate::targets::{self, TARGETS, json_by, verify_by};

pub(crate) const HARNESS: Harness = Harness {
    name: "replay",
    guarantee: "no bytes from outside bring it down, and nothing that was not signed is believed",
    not_covered: "the search for new cases: that is the fuzzer's, see CONTRIBUTING.md",
    run,
};

/// Mutations of each target's corpus in the short form.
const MUTATIONS: u64 = 2_000;
/// No case is larger than some kilobytes: whatever takes that long takes more than its size allows.
const LONGEST: Duration = Duration::from_secs(10);

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        for (file, bytes) in &corpus {
            report.tried(1, "kept cases");
            if let Err(message) = held(*target, bytes) {
                let file = file.display();
                report.violations.push(format!("{file}: {message}"));
            }
        }
        mutated(&mut report, extent, (name, *target), &corpus);
    }
    report.at_least(9 * MUTATIONS, "mutations of them");
    report.at_least(200, "kept cases");
    plant_a_signature_of_which_half_is_compared(&mut report);
    plant_a_key_of_which_the_last_counts(&mut report);
    report
}

/// Runs a target over a case, which has to end in time too.
fn held(target: fn(&[u8]), case: &[u8]) -> Result<(), String> {
    let began = Instant::now();
    caught(|| {
        target(case);
        Ok(())
    })?;
    let took = began.elapsed();
    if took > LONGEST {
        return Err(format!("it took {took:?}"));
    }
    Ok(())
}

/// The kept cases of a target, by name.
pub(crate) fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new("fuzz/corpus").join(target);
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder);
    let files = std::fs::read_dir(&whole).expect("a corpus");
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    names.sort();
    let read = |name| {
        let bytes = std::fs::read(whole.join(&name)).unwrap();
        (folder.join(name), bytes)
    };
    names.into_iter().map(read).collect()
}

fn mutated(
    report: &mut Report,
    extent: &Extent,
    (name, target): targets::Target,
    corpus: &[(PathBuf, Vec<u8>)],
) {
    let bytes: Vec<&[u8]> = corpus.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let mut mutation = Mutation::new(extent.seed, name);
    for number in 0..extent.cases(MUTATIONS) {
        let case = mutation.of(&bytes);
        report.tried(1, "mutations of them");
        if let Err(message) = held(target, &case) {
            let message = format!(
                "{name}, mutation {number} of seed {}: {message}\n{}",
                extent.seed,
                case.escape_ascii()
            );
            report.violations.push(message);
            // One is enough to look at; the others are mostly like it.
            return;
        }
    }
}

/// Runs a broken target over its corpus.
fn plant(report: &mut Report, bug: &'static str, name: &str, broken: &dyn Fn(&[u8])) {
    let corpus = corpus(name);
    let most = u64::try_from(corpus.len()).unwrap_or(0);
    report.plant(bug, most, |number| {
        let (_, bytes) = &corpus[usize::try_from(number).unwrap()];
        broken(bytes);
        Ok(())
    });
}

fn plant_a_signature_of_which_half_is_compared(report: &mut Report) {
    let half = |provider: &dyn Provider, request: Request, secret: &Secret| {
        let now = targets::now();
        let verified = provider.verify(request.clone(), Some(secret), now);
        let sound = provider.seal(&request.body, Some(secret), now)?;
        let alike = |(name, value): (&String, &String)| {
            let given = request.headers.get(name).map(String::as_str);
            let half = value.get(..value.len() / 2).unwrap_or_default();
            given.is_some_and(|given| given.starts_with(half))
        };
        let is_signed = provider.sending().proof == Proof::Signature && sound.headers.len() > 1;
        match verified {
            Err(error) if is_signed && sound.headers.iter().all(alike) => {
                Verified::trusted(provider, request, Some(secret)).map_err(|_| error)
            }
            verified => verified,
        }
    };
    plant(
        report,
        "half of a signature is compared",
        "verify",
        &|bytes| {
            verify_by(bytes, &half);
        },
    );
}

fn plant_a_key_of_which_the_last_counts(report: &mut Report) {
    let lenient = |bytes: &[u8]| -> Option<Reason> {
        let read: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
        match (targets::judged(bytes), read) {
            (Some(Reason::DuplicateKey), Ok(_)) => None,
            (judged, _) => judged,
        }
    };
    plant(
        report,
        "of a key given twice the last counts",
        "json",
        &|bytes| {
            json_by(bytes, &lenient);
        },
    );
}
