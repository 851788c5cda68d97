//! What was asked for on the command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::interleaved::Pace;

pub(crate) const USAGE: &str = "cargo bench --bench speed -- [OPTIONS]

  --test            tiny, each measure once; fails if an answer is wrong, or a look-up takes more instructions than it may
  --full            1,000,000 users; without it 100,000
  --users N         so many
  --rounds N        so many rounds of what takes seconds
  --only 1,4        only these measures
  --database FOLDER keep the databases there, and take them from there in the next run
  --write FILE      put the table between the marks of that file, and the picture of growth beside it
  --instructions    count instructions of a look-up under valgrind instead, against the committed ceiling
";

#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) users: u64,
    pub(crate) pace: Pace,
    pub(crate) is_test: bool,
    pub(crate) is_full: bool,
    pub(crate) only: Vec<u32>,
    pub(crate) database: Option<PathBuf>,
    pub(crate) write: Option<PathBuf>,
    pub(crate) does_count_instructions: bool,
    /// Look up so often and measure nothing: the process that valgrind watches.
    pub(crate) look_up: Option<(String, u64)>,
}

impl Arguments {
    /// Of the command line without the name of the program; the words that do not fit, if there are any.
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = words;
        let mut read = Self::default();
        let mut users = None;
        let mut rounds = None;
        // `cargo test --benches` runs it without this word: then it is to show that it works.
        let mut is_bench = false;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word}: a value is missing"));
            match word.as_str() {
                // What `cargo bench` adds.
                "--bench" => is_bench = true,
                "--test" => read.is_test = true,
                "--full" => read.is_full = true,
                "--instructions" => read.does_count_instructions = true,
                "--users" => users = Some(number(&value()?)?),
                "--rounds" => rounds = Some(number(&value()?)?),
                "--database" => read.database = Some(value()?.into()),
                "--write" => read.write = Some(value()?.into()),
                "--only" => {
                    let numbers = value()?;
                    let numbers = numbers.split(',').map(number);
                    let numbers = numbers.collect::<Result<Vec<u64>, String>>()?;
                    read.only = numbers.into_iter().map(|it| it as u32).collect();
                }
                "--look-up" => read.look_up = Some((value()?, number(&value()?)?)),
                _ => return Err(format!("{word}: no such option")),
            }
        }
        read.is_test |= !is_bench;
        read.pace(users, rounds);
        Ok(read)
    }

    fn default() -> Self {
        Self {
            users: 100_000,
            pace: Pace {
                rounds: 15,
                long_rounds: 5,
                slice: Duration::from_millis(75),
            },
            is_test: false,
            is_full: false,
            only: Vec::new(),
            database: None,
            write: None,
            does_count_instructions: false,
            look_up: None,
        }
    }

    fn pace(&mut self, users: Option<u64>, rounds: Option<u64>) {
        if self.is_test {
            self.users = 1_000;
            self.pace = Pace {
                rounds: 1,
                long_rounds: 1,
                slice: Duration::from_millis(5),
            };
        } else if self.is_full {
            self.users = 1_000_000;
        }
        self.users = users.unwrap_or(self.users).max(100);
        if let Some(rounds) = rounds {
            self.pace.long_rounds = (rounds as usize).max(1);
        }
    }

    pub(crate) fn wants(&self, measure: u32) -> bool {
        self.only.is_empty() || self.only.contains(&measure)
    }
}

fn number(text: &str) -> Result<u64, String> {
    let digits = text.replace([',', '_'], "");
    digits.parse().map_err(|_| format!("{text}: not a number"))
}
