//! What the command reads of people: times, rules files, scenarios, lists of subscribers. The modules are those of the
//! command itself.
#![no_main]
#![allow(dead_code, unused_imports, reason = "only what reads is used here")]

use std::path::Path;

#[path = "../../src/bin/tenure/config.rs"]
mod config;
#[path = "../../src/bin/tenure/failure.rs"]
mod failure;
#[path = "../../src/bin/tenure/moment.rs"]
mod moment;
#[path = "../../src/bin/tenure/output.rs"]
mod output;
#[path = "../../src/bin/tenure/remarks.rs"]
mod remarks;
#[path = "../../src/bin/tenure/run.rs"]
mod run;
#[path = "../../src/bin/tenure/secret.rs"]
mod secret;
#[path = "../../src/bin/tenure/words.rs"]
mod words;

#[path = "../../src/bin/tenure/import"]
mod import {
    mod date;
    mod lines;
    mod mapping;
    pub(crate) mod rows;
}

#[path = "../../src/bin/tenure/scenario"]
mod scenario {
    mod document;
    mod expected;
    mod fields;
    mod reading;
    mod running;
    mod statement;
    mod windows;

    use std::path::Path;

    use crate::failure::Failure;

    /// Reads the scenarios of a file and goes through them.
    pub(crate) fn gone_through(bytes: &[u8], is_json: bool) -> Result<(), Failure> {
        let form = if is_json {
            document::Form::Json
        } else {
            document::Form::Toml
        };
        let (document, root) = document::Document::parse(Path::new("f"), bytes.to_vec(), form)?;
        for scenario in reading::scenarios(&document, &root, None)? {
            running::findings(&scenario)?;
        }
        Ok(())
    }
}

use failure::Failure;
use import::rows::{EmptyEnd, Reading, Rows};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let done = match kind % 8 {
        0 => time(rest),
        1 => rules(rest),
        2 => scenario::gone_through(rest, true),
        3 => scenario::gone_through(rest, false),
        4..=6 => rows(kind % 8 - 4, rest),
        _ => format(rest),
    };
    if let Err(failure) = done {
        let message = failure.message(Path::new("tenure.db"));
        assert!(!message.trim().is_empty(), "a failure without a word");
        assert!(!message.contains("bug"), "{message}");
        assert!(matches!(failure, Failure::Usage(_)), "{failure:?}");
    }
});

fn time(text: &[u8]) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(text);
    let now: tenure::Instant = "2026-01-15T00:00:00Z".parse().expect("an instant");
    let read = run::time("--at", &text, now)?;
    assert!((tenure::Instant::FIRST..=tenure::Instant::LAST).contains(&read));
    let written = read.to_string();
    assert_eq!(moment::moment(&written, now), Ok(read), "{written}");
    assert!(!moment::in_words(read).is_empty());
    // Only what is relative depends on when it is read.
    if let Ok(fixed) = moment::fixed(&text) {
        assert_eq!(fixed, read);
    }
    Ok(())
}

fn rules(text: &[u8]) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(text);
    let config = config::Config::parse(&text, Path::new("tenure.toml"))?;
    let written = serde_json::to_string(&config.rules).expect("written");
    let read: tenure::Rules = serde_json::from_str(&written).expect("and read");
    assert_eq!(read, config.rules, "{written}");
    for name in config.rules.sources.keys() {
        tenure::provider_of(&config.rules, name).expect("a source has a provider");
    }
    Ok(())
}

fn rows(kind: u8, file: &[u8]) -> Result<(), Failure> {
    let maps = [
        "user=u,product=p,grant=g,from=f,until=t",
        "user=u,product==pro,through=t",
    ];
    let reading = Reading {
        map: vec![maps[usize::from(kind % 2)].to_owned()],
        product: None,
        zone: (kind > 0).then(|| "America/Havana".to_owned()),
        date_format: (kind > 1).then(|| "%d.%m.%Y %H:%M".to_owned()),
        delimiter: ",".to_owned(),
        empty_end: EmptyEnd::Unlimited,
    };
    read_all(&reading, file)
}

/// The first lines are the format of dates, the mapping and the separator; then comes the file.
fn format(data: &[u8]) -> Result<(), Failure> {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let reading = Reading {
        date_format: Some(text()),
        map: vec![text()],
        delimiter: text(),
        product: None,
        zone: Some("Europe/Berlin".to_owned()),
        empty_end: EmptyEnd::Refused,
    };
    read_all(&reading, parts.next().unwrap_or_default())
}

fn read_all(reading: &Reading, file: &[u8]) -> Result<(), Failure> {
    let path = Path::new("list.csv");
    let mut rows = Rows::open(file, reading, path)?;
    let mut last = 0;
    while let Some(row) = rows.next(path)? {
        assert!(row.number > last, "line {} after {last}", row.number);
        last = row.number;
        match row.read {
            Ok(subscriber) => assert!(!subscriber.grant_key().as_str().is_empty()),
            Err(rejected) => assert!(!rejected.why.is_empty()),
        }
    }
    Ok(())
}
