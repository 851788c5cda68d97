//! What people write for the command, kept and damaged, is given to the command as a program: it ends with a code of its
//! own and one message, whatever the text. The corpus is that of the fuzzer's target `command`.

use std::process::{Command, Output};

use tempfile::TempDir;

use crate::harness::{Extent, Harness, Report, caught};
use crate::mutation::Mutation;
use crate::replay::corpus;

pub(crate) const HARNESS: Harness = Harness {
    name: "command",
    guarantee: "no text of a person brings the command down: it ends with its code and one message",
    not_covered: "files over 16 KiB; texts as arguments, those of times and formats aside",
    run,
};

/// Texts that are given to a run of the command each, in the short form.
const RUNS: u64 = 150;
/// Times, all of which one run takes.
const TIMES: u64 = 2_000;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    let place = Place::new();
    let corpus = corpus("command");
    let is_time = |bytes: &&[u8]| bytes.first().is_some_and(|kind| kind % 8 == 0);
    let kept: Vec<&[u8]> = corpus.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let (times, others): (Vec<&[u8]>, Vec<&[u8]>) = kept.iter().copied().partition(is_time);
    let mut mutation = Mutation::new(extent.seed, "command");
    let mut cases: Vec<Vec<u8>> = others.iter().map(|bytes| bytes.to_vec()).collect();
    cases.extend((0..extent.cases(RUNS)).map(|_| mutation.of(&others)));
    for (number, case) in cases.iter().enumerate() {
        report.tried(1, "files and formats");
        if let Err(message) = caught(|| place.takes(case, &Told::of)) {
            let seed = extent.seed;
            let case = case.escape_ascii();
            let message = format!("case {number} of seed {seed}: {message}\n{case}");
            report.violations.push(message);
        }
    }
    let mut texts: Vec<Vec<u8>> = times.iter().map(|bytes| bytes.to_vec()).collect();
    texts.extend((0..extent.cases(TIMES)).map(|_| mutation.of(&times)));
    report.tried(u64::try_from(texts.len()).unwrap(), "times");
    if let Err(message) = caught(|| place.reads_times(&texts)) {
        report.violations.push(message);
    }
    report.at_least(RUNS, "files and formats");
    report.at_least(TIMES, "times");
    report.plant("an error that is not said", 40, |number| {
        let case = others[usize::try_from(number).unwrap() % others.len()];
        place.takes(case, &|output| Told {
            errors: String::new(),
            ..Told::of(output)
        })
    });
    report
}

/// How a run of the command ended.
struct Told {
    code: Option<i32>,
    errors: String,
}

impl Told {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            errors: String::from_utf8(output.stderr.clone()).expect("messages are text"),
        }
    }

    /// The code is one of those, and a failure comes with one message.
    fn is_sound(&self, codes: &[i32]) -> Result<(), String> {
        let code = self.code.ok_or("ended by a signal")?;
        if !codes.contains(&code) {
            return Err(format!("ended with {code}: {}", self.errors));
        }
        let lines = self.errors.lines();
        let messages = lines.filter(|line| line.starts_with("error: ")).count();
        // 1 and 3 are answers, and what they answer stands in the output.
        let needed = usize::from(code == 2);
        if messages != needed {
            return Err(format!("{messages} messages with {code}: {}", self.errors));
        }
        let is_shown = |letter: char| letter == '\n' || !letter.is_control();
        if !self.errors.chars().all(is_shown) {
            return Err(format!("a terminal obeys this: {:?}", self.errors));
        }
        Ok(())
    }
}

/// A folder with a database to run the command in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let line = r#"{"received_at":"2026-01-01T00:00:00Z","body":{"specversion":"1.0","id":"1","source":"s",
            "type":"tenure.granted","time":"2026-01-01T00:00:00Z","subject":"u","data":{"grant":"g","product":"p",
            "period":"P1M"}}}"#;
        let file = place.write("history.jsonl", line.replace('\n', "").as_bytes());
        let output = place.run(&["ingest", "cloudevents", &file]);
        assert!(output.status.success(), "{output:?}");
        place
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
        name.to_owned()
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        command.env_clear().current_dir(&self.0).args(words);
        command.output().unwrap()
    }

    /// Gives a case to the command; its first byte says as what.
    fn takes(&self, case: &[u8], told: &dyn Fn(&Output) -> Told) -> Result<(), String> {
        let Some((kind, text)) = case.split_first() else {
            return Ok(());
        };
        match kind % 8 {
            0 => self.reads_times(&[case.to_vec()]),
            1 => {
                let file = self.write("rules.toml", text);
                told(&self.run(&["plan", &file])).is_sound(&[0, 2])
            }
            2 => {
                let file = self.write("scenario.json", text);
                told(&self.run(&["test", &file])).is_sound(&[0, 1, 2])
            }
            3 => {
                let file = self.write("scenario.toml", text);
                told(&self.run(&["test", &file])).is_sound(&[0, 1, 2])
            }
            7 => {
                let mut parts = text.splitn(4, |byte| *byte == b'\n');
                let mut part = |name: &str| {
                    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
                    format!("--{name}={}", text.replace('\0', ""))
                };
                let words = [part("date-format"), part("map"), part("delimiter")];
                let file = parts.next().unwrap_or_default();
                let words = words.iter().map(String::as_str);
                told(&self.imports(file, words.collect())).is_sound(&[0, 2, 3])
            }
            kind => {
                let map = if kind % 2 == 0 {
                    "--map=user=u,product=p,grant=g,from=f,until=t"
                } else {
                    "--map=user=u,product==pro,through=t"
                };
                let words = vec![map, "--empty-end=unlimited"];
                told(&self.imports(text, words)).is_sound(&[0, 2, 3])
            }
        }
    }

    fn imports(&self, file: &[u8], more: Vec<&str>) -> Output {
        let file = self.write("list.csv", file);
        let words = ["import", "cloudevents", &file, "--dry-run", "--why=moved"];
        let zone = ["--zone=America/Havana", "--actor=anna"];
        self.run(&[&words[..], &zone, &more].concat())
    }

    /// Every time is answered, with a decision or with what is wrong.
    fn reads_times(&self, texts: &[Vec<u8>]) -> Result<(), String> {
        let question = |bytes: &Vec<u8>| {
            let text = String::from_utf8_lossy(bytes.get(1..).unwrap_or_default()).into_owned();
            let at = serde_json::Value::from(text);
            format!("{{\"user\":\"u\",\"resource\":\"p\",\"at\":{at}}}\n")
        };
        let lines: String = texts.iter().map(question).collect();
        let file = self.write("questions.jsonl", lines.as_bytes());
        let output = self.run(&["check", "--batch", &file]);
        let code = output.status.code();
        if ![Some(0), Some(2)].contains(&code) {
            return Err(format!("the batch ended with {code:?}: {output:?}"));
        }
        let answers = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
        let is_answer = |line: &str| {
            let answer: Result<serde_json::Value, _> = serde_json::from_str(line);
            answer.is_ok_and(|it| it["at"].is_string() || it["error"].is_string())
        };
        let answered = answers.lines().filter(|line| is_answer(line)).count();
        if answered != texts.len() {
            return Err(format!("{} times, {answered} answers", texts.len()));
        }
        Ok(())
    }
}
