//! Putting a run into its page: the table between two marks, and the picture of growth.

use std::fs;
use std::path::Path;

use crate::arguments::Arguments;
use crate::growth_picture::{Curve, svg};
use crate::machine::facts;
use crate::table::{Row, markdown};

const BEGIN: &str = "<!-- the table begins: made by `cargo bench --bench speed -- --write` -->";
const END: &str = "<!-- the table ends -->";

/// Writes the page, and the picture if growth was measured.
pub(crate) fn write(
    page: &Path,
    arguments: &Arguments,
    folder: &Path,
    rows: &[Row],
    curves: &[Curve],
) {
    let text = fs::read_to_string(page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page has a begin mark");
    let (_, after) = rest.split_once(END).expect("the page has an end mark");
    let made = made(arguments, folder, rows);
    fs::write(page, format!("{before}{BEGIN}\n\n{made}\n{END}{after}")).unwrap();
    if !curves.is_empty() {
        let pictures = page.with_file_name("pictures");
        fs::create_dir_all(&pictures).unwrap();
        fs::write(pictures.join("growth.svg"), svg(curves)).unwrap();
    }
}

fn made(arguments: &Arguments, folder: &Path, rows: &[Row]) -> String {
    let size = match (arguments.is_test, arguments.is_full) {
        (true, _) => "A test run, whose figures mean nothing",
        (false, true) => "A full run",
        (false, false) => "A run of medium size",
    };
    let users = arguments.users;
    let table = markdown(rows);
    let facts: Vec<String> = facts(folder)
        .into_iter()
        .map(|(name, value)| format!("| {name} | {value} |"))
        .collect();
    format!(
        "{size}: {users} users, {} rounds of what is short and {} of what is long.\n\n{table}\n| the machine | |\n|---|---|\n{}\n",
        arguments.pace.rounds,
        arguments.pace.long_rounds,
        facts.join("\n"),
    )
}
