//! The house rules that a compiler does not check: who may use whom, how long files and functions are, and that everything
//! a provider brings is there.

use std::fs;
use std::path::{Path, PathBuf};

/// The most lines of code of a file and of a function; comments, blank lines and a file's own tests do not count.
const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 70;

/// Longer than allowed, with the reason. An entry may only shrink or go.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[
    // One exhaustive match: the transition table is read as a whole.
    ("src/domain/grant/transition.rs", "after", 185),
];

/// Words that may not occur in the code below a folder: the import table.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "src/domain",
        &[
            "crate::provider",
            "crate::store",
            "crate::engine",
            "rusqlite",
            "serde_json",
            "std::fs",
            "std::env",
            "std::thread",
            "std::time",
            "std::io",
            "getrandom",
            "async ",
        ],
    ),
    (
        "src/provider",
        &[
            "crate::store",
            "crate::engine",
            "rusqlite",
            "std::time",
            "std::fs",
            "std::env",
        ],
    ),
    (
        "src/store",
        &[
            "crate::provider",
            "crate::engine",
            "std::time::SystemTime",
            "std::env",
        ],
    ),
    (
        "src/index",
        &[
            "crate::provider",
            "crate::store",
            "crate::engine",
            "rusqlite",
            "std::fs",
            "std::env",
            "std::time",
            "std::io",
        ],
    ),
    (
        "src/engine",
        &[
            "clap",
            "rusqlite",
            "std::time",
            "std::fs",
            "std::env",
            "http",
        ],
    ),
];

/// Only the command reads a clock.
const CLOCKS: &[&str] = &["SystemTime::now", "Utc::now", "Local::now", "Instant::now"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == ending) {
                let name = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The lines that are code, with their numbers, up to the file's own tests.
fn code(text: &str) -> Vec<(usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim().starts_with("//"))
        .map(|(number, line)| (number + 1, line))
        .collect()
}

/// What the limits hold for.
fn measured() -> Vec<(String, String)> {
    [files("src", "rs"), files("benches", "rs")].concat()
}

#[test]
fn no_file_is_too_long() {
    for (name, text) in measured() {
        let length = code(&text).len();
        assert!(length <= LONGEST_FILE, "{name} has {length} lines of code");
    }
}

/// The functions of a formatted file: each begins with a line holding `fn` and ends with a brace of the same indent.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines = code(text);
    let mut found = Vec::new();
    for (at, (_, line)) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(place) = words.iter().position(|word| *word == "fn") else {
            continue;
        };
        if !words[..place].iter().all(|word| {
            word.starts_with("pub") || ["const", "async", "unsafe", "extern"].contains(word)
        }) {
            continue;
        }
        let name = words.get(place + 1).unwrap_or(&"");
        let name: String = name
            .chars()
            .take_while(|it| it.is_alphanumeric() || *it == '_')
            .collect();
        let end = lines[at..].iter().position(|(_, line)| {
            let own = line.len() - line.trim_start().len();
            own == indent && (line.trim() == "}" || line.trim_end().ends_with(';'))
        });
        found.push((name, end.unwrap_or(0) + 1));
    }
    found
}

#[test]
fn no_function_is_too_long() {
    for (file, text) in measured() {
        for (name, length) in functions(&text) {
            let allowed = LONG_FUNCTIONS
                .iter()
                .find(|(in_file, function, _)| *in_file == file && *function == name)
                .map_or(LONGEST_FUNCTION, |(_, _, allowed)| *allowed);
            assert!(
                length <= allowed,
                "{file}: `{name}` has {length} lines of code"
            );
        }
    }
}

#[test]
fn functions_are_found_and_measured() {
    let text = "fn one() {\n    two();\n}\n\nimpl X {\n    pub(crate) fn three(\n        a: u8,\n    ) {\n        f(a);\n    }\n}\n";
    assert_eq!(
        functions(text),
        [("one".to_owned(), 3), ("three".to_owned(), 5)]
    );
}

#[test]
fn data_flows_one_way() {
    for (folder, words) in FORBIDDEN {
        for (name, text) in files(folder, "rs") {
            for (number, line) in code(&text) {
                for word in *words {
                    assert!(
                        !line.contains(word),
                        "{name}:{number}: `{word}` in {folder}"
                    );
                }
            }
        }
    }
    for (name, text) in files("src/domain", "rs") {
        if !name.starts_with("src/domain/time") {
            let uses = code(&text).iter().any(|(_, line)| line.contains("chrono"));
            assert!(!uses, "{name}: only `time` knows the calendar");
        }
    }
    for (name, text) in files("src/bin", "rs") {
        let uses = code(&text)
            .iter()
            .any(|(_, line)| line.contains("tenure::store::chain"));
        assert!(!uses, "{name}: the command sees what embedders see");
    }
}

#[test]
fn only_the_command_reads_a_clock() {
    for (name, text) in files("src", "rs") {
        if name.starts_with("src/bin") {
            continue;
        }
        for (number, line) in code(&text) {
            let clock = CLOCKS.iter().find(|clock| line.contains(*clock));
            assert!(clock.is_none(), "{name}:{number} reads a clock");
        }
    }
}

/// The one file that has to speak to SQLite as C does, and says of each line why it may.
const UNSAFE: &str = "src/store/sqlite/wal_index.rs";

#[test]
fn unsafe_code_stays_where_it_is() {
    for (name, text) in files("src", "rs") {
        let allows = code(&text).iter().any(|(_, line)| {
            line.contains("unsafe_code") && !line.contains("deny") && !line.contains("forbid")
        });
        assert_eq!(allows, name == UNSAFE, "{name}");
    }
}

#[test]
fn every_provider_brings_its_readme_its_vectors_and_its_page() {
    for provider in tenure::PROVIDERS {
        let folder = root().join("src/provider").join(provider.name());
        assert!(folder.join("README.md").is_file(), "{}", provider.name());
        let vectors = fs::read_dir(folder.join("vectors")).unwrap().count();
        assert!(vectors > 0, "{} has no vectors", provider.name());
        let page = root().join(format!("docs/providers/{}.md", provider.name()));
        let page = fs::read_to_string(&page).unwrap_or_else(|_| panic!("{}", page.display()));
        for kind in provider.kinds() {
            assert!(
                page.contains(&format!("`{kind}`")),
                "{}: `{kind}`",
                provider.name()
            );
        }
    }
}

#[test]
fn no_provider_is_named_outside_its_folder() {
    for (name, text) in files("src", "rs") {
        if name.starts_with("src/provider") {
            continue;
        }
        for provider in tenure::PROVIDERS {
            let lines = text.lines().enumerate();
            // The engine's example speaks a real dialect; a doc comment is not code.
            let mut named = lines.filter(|(_, line)| {
                let is_doc =
                    line.trim_start().starts_with("///") || line.trim_start().starts_with("//!");
                !is_doc && line.to_lowercase().contains(provider.name())
            });
            if let Some((number, _)) = named.next() {
                panic!("{name}:{}: names `{}`", number + 1, provider.name());
            }
        }
    }
}

#[test]
fn every_reason_and_anomaly_is_documented() {
    let semantics = fs::read_to_string(root().join("docs/semantics.md")).unwrap();
    for reason in tenure::Reason::ALL {
        assert!(semantics.contains(&format!("`{reason}`")), "`{reason}`");
    }
    let anomalies = fs::read_to_string(root().join("src/domain/grant/anomaly.rs")).unwrap();
    let names = anomalies
        .lines()
        .filter_map(|line| line.split("=> \"").nth(1));
    let names: Vec<&str> = names.filter_map(|rest| rest.strip_suffix("\",")).collect();
    let names = names.iter().filter(|name| !name.contains(' '));
    let mut count = 0;
    for name in names {
        assert!(semantics.contains(&format!("`{name}`")), "`{name}`");
        count += 1;
    }
    assert_eq!(count, 12, "every anomaly was looked for");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut documents = files("docs", "md");
    for name in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        documents.push((name.to_owned(), text));
    }
    for (name, text) in documents {
        let folder = root().join(&name).parent().map(Path::to_owned).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(folder.join(path).exists(), "{name}: `{link}` leads nowhere");
        }
    }
}
