//! `docs/time.md`: what it shows is what the command says, and its pictures are those the command makes.

use std::fs;
use std::path::PathBuf;

use super::Place;

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The page with what its commands print now, and how many commands it shows.
fn played(page: &str, place: &Place) -> (String, usize) {
    let (mut fresh, mut commands, mut is_console) = (String::new(), 0, false);
    for line in page.lines() {
        let was_console = is_console;
        if line.starts_with("```") {
            is_console = line == "```console";
        }
        let command = line.strip_prefix("$ tenure ").filter(|_| is_console);
        // What a command printed is left out, and printed anew.
        if was_console && is_console && command.is_none() {
            continue;
        }
        fresh.push_str(line);
        fresh.push('\n');
        if let Some(command) = command {
            let arguments: Vec<&str> = command.split_whitespace().collect();
            let output = place.run(&arguments);
            assert!(output.stderr.is_empty(), "{}", super::shown(&output));
            fresh.push_str(&String::from_utf8(output.stdout).unwrap());
            commands += 1;
        }
    }
    (fresh, commands)
}

/// `INSTA_UPDATE=always` writes the page and its pictures anew.
#[test]
fn the_page_about_time_shows_what_the_command_says() {
    let place = Place::new();
    for name in ["tenure.toml", "lea.jsonl"] {
        place.write(name, fs::read(docs().join("pictures").join(name)).unwrap());
    }
    let page = docs().join("time.md");
    let text = fs::read_to_string(&page).unwrap();
    let (fresh, commands) = played(&text, &place);
    assert!(commands >= 10, "{commands} commands were found");
    let updates = std::env::var("INSTA_UPDATE").is_ok_and(|it| it == "always");
    if updates {
        fs::write(&page, &fresh).unwrap();
    } else {
        assert_eq!(text, fresh, "docs/time.md is not what the command says");
    }
    let mut pictures = 0;
    for entry in fs::read_dir(place.path(".")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".svg") {
            let made = fs::read_to_string(place.path(&name)).unwrap();
            let committed = docs().join("pictures").join(&name);
            if updates {
                fs::write(&committed, &made).unwrap();
            }
            let shown = format!("](pictures/{name})");
            assert!(text.contains(&shown), "the page does not show {name}");
            assert_eq!(fs::read_to_string(committed).unwrap(), made, "{name}");
            pictures += 1;
        }
    }
    assert!(pictures >= 2, "{pictures} pictures were made");
}
