//! The one table that a run ends with.

use std::fmt::Write as _;

use crate::interleaved::{Compared, Spread};

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds.
    Time,
    /// So many a second.
    Rate,
    Bytes,
    /// How many times as much.
    Times,
    Count,
}

impl Unit {
    pub(crate) fn shown(self, figure: f64) -> String {
        match self {
            Self::Time if figure < 1_000.0 => format!("{figure:.0} ns"),
            Self::Time if figure < 1e6 => format!("{:.2} us", figure / 1e3),
            Self::Time if figure < 1e9 => format!("{:.2} ms", figure / 1e6),
            Self::Time => format!("{:.2} s", figure / 1e9),
            Self::Rate if figure < 1e6 => format!("{figure:.0}/s"),
            Self::Rate => format!("{:.2} million/s", figure / 1e6),
            Self::Bytes if figure < 1e6 => format!("{figure:.0} B"),
            Self::Bytes => format!("{:.0} MB", figure / 1e6),
            Self::Times => format!("{figure:.2} times"),
            Self::Count => format!("{figure:.2}"),
        }
    }
}

/// What the ratio of ours to theirs has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach {
    AtMost(f64),
    AtLeast(f64),
    /// It is only told.
    Told,
}

impl Reach {
    fn is_met(self, ratio: f64) -> Option<bool> {
        match self {
            Self::AtMost(bound) => Some(ratio <= bound),
            Self::AtLeast(bound) => Some(ratio >= bound),
            Self::Told => None,
        }
    }

    fn shown(self, shown: impl Fn(f64) -> String) -> String {
        match self {
            Self::AtMost(bound) => format!("at most {}", shown(bound)),
            Self::AtLeast(bound) => format!("at least {}", shown(bound)),
            Self::Told => String::new(),
        }
    }
}

#[derive(Debug)]
enum Content {
    Compared(Unit, Compared, Reach),
    /// A figure of ours that nothing is held against, or a fixed bound.
    Alone(Unit, Spread, Reach),
    NotMeasured(String),
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// The number of the measure.
    number: u32,
    what: String,
    against: String,
    content: Content,
}

impl Row {
    pub(crate) fn compared(
        number: u32,
        what: &str,
        against: &str,
        unit: Unit,
        compared: Compared,
        reach: Reach,
    ) -> Self {
        Self {
            number,
            what: what.to_owned(),
            against: against.to_owned(),
            content: Content::Compared(unit, compared, reach),
        }
    }

    pub(crate) fn alone(number: u32, what: &str, unit: Unit, found: Spread, reach: Reach) -> Self {
        Self {
            number,
            what: what.to_owned(),
            against: String::new(),
            content: Content::Alone(unit, found, reach),
        }
    }

    pub(crate) fn not_measured(number: u32, what: &str, why: &str) -> Self {
        Self {
            number,
            what: what.to_owned(),
            against: String::new(),
            content: Content::NotMeasured(why.to_owned()),
        }
    }

    /// As columns: measure, against, ours, peer, ratio, from and to, reach, met.
    fn cells(&self) -> [String; 8] {
        let [ours, peer, ratio, range, reach, met] = match &self.content {
            Content::Compared(unit, it, reach) => [
                unit.shown(it.ours.median),
                unit.shown(it.peer.median),
                short(it.ratio.median),
                format!("{} to {}", short(it.ratio.least), short(it.ratio.most)),
                reach.shown(|bound| bound.to_string()),
                is_met(reach.is_met(it.ratio.median)),
            ],
            Content::Alone(unit, it, reach) => [
                unit.shown(it.median),
                String::new(),
                String::new(),
                match it.least < it.most {
                    true => format!("{} to {}", unit.shown(it.least), unit.shown(it.most)),
                    false => String::new(),
                },
                reach.shown(|bound| unit.shown(bound)),
                is_met(reach.is_met(it.median)),
            ],
            Content::NotMeasured(why) => {
                let why = format!("not measured: {why}");
                let nothing = String::new;
                [nothing(), nothing(), nothing(), nothing(), nothing(), why]
            }
        };
        let what = format!("{}. {}", self.number, self.what);
        [
            what,
            self.against.clone(),
            ours,
            peer,
            ratio,
            range,
            reach,
            met,
        ]
    }

    /// Rows are told in the order of their measures.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Whether a ratio was to be reached and was not.
    pub(crate) fn is_missed(&self) -> bool {
        match &self.content {
            Content::Compared(_, compared, reach) => {
                reach.is_met(compared.ratio.median) == Some(false)
            }
            Content::Alone(_, found, reach) => reach.is_met(found.median) == Some(false),
            Content::NotMeasured(_) => false,
        }
    }

    pub(crate) fn is_held_against_a_bound(&self) -> bool {
        match &self.content {
            Content::Compared(_, _, reach) | Content::Alone(_, _, reach) => {
                !matches!(reach, Reach::Told)
            }
            Content::NotMeasured(_) => false,
        }
    }
}

fn is_met(met: Option<bool>) -> String {
    match met {
        Some(true) => "met".to_owned(),
        Some(false) => "**not met**".to_owned(),
        None => String::new(),
    }
}

/// Two digits that count.
fn short(ratio: f64) -> String {
    if ratio < 0.1 {
        format!("{ratio:.3}")
    } else if ratio < 10.0 {
        format!("{ratio:.2}")
    } else {
        format!("{ratio:.0}")
    }
}

const HEAD: [&str; 8] = [
    "measure", "against", "ours", "peer", "ratio", "from, to", "reach", "",
];

pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = format!(
        "| {} |\n|---|---|---|---|---|---|---|---|\n",
        HEAD.join(" | ")
    );
    for row in rows {
        let _written = writeln!(text, "| {} |", row.cells().join(" | "));
    }
    text
}

/// The same in columns, for a terminal.
pub(crate) fn plain(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let widths: [usize; 8] =
        std::array::from_fn(|at| lines.iter().map(|line| line[at].len()).max().unwrap_or(0));
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{:width$}", cell.replace("**", "")))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
