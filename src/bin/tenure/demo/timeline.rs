//! Windows as a picture of text: a lane a grant.

use tenure::{End, Instant};

/// What fits every terminal.
const WIDTH: usize = 80;

/// The signs a picture is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glyphs {
    all: char,
    part: char,
    none: char,
    event: char,
}

impl Glyphs {
    pub(crate) const UNICODE: Self = Self {
        all: '█',
        part: '▒',
        none: '·',
        event: '▲',
    };
    pub(crate) const ASCII: Self = Self {
        all: '#',
        part: '+',
        none: '.',
        event: '^',
    };

    /// What the locale says the terminal can show.
    pub(crate) fn of_locale() -> Self {
        let names = ["LC_ALL", "LC_CTYPE", "LANG"];
        let set = names
            .iter()
            .filter_map(std::env::var_os)
            .find(|value| !value.is_empty());
        let locale = set
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") {
            Self::UNICODE
        } else {
            Self::ASCII
        }
    }
}

/// When a grant gives access, and when something happened to it.
pub(crate) struct Lane {
    pub(crate) label: String,
    pub(crate) windows: Vec<(Instant, End)>,
    pub(crate) events: Vec<Instant>,
}

/// Lanes over a stretch of time, from the first tick to the last.
pub(crate) struct Timeline<'a> {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) ticks: Vec<(Instant, &'a str)>,
}

impl Timeline<'_> {
    pub(crate) fn draw(&self, glyphs: Glyphs) -> Vec<String> {
        let (Some((from, _)), Some((to, _))) = (self.ticks.first(), self.ticks.last()) else {
            return Vec::new();
        };
        let label = self
            .lanes
            .iter()
            .map(|lane| lane.label.chars().count())
            .max();
        let label = label.unwrap_or(0) + 2;
        let scale = Scale {
            from: i128::from(from.micros()),
            to: i128::from(to.micros()),
            columns: WIDTH.saturating_sub(label).max(10),
        };
        let mut lines = Vec::new();
        let mut add = |name: &str, picture: String| {
            let line = format!("{name:<label$}{picture}");
            lines.push(line.trim_end().to_owned());
        };
        add("", scale.axis(&self.ticks));
        for lane in &self.lanes {
            add(&lane.label, scale.windows(&lane.windows, glyphs));
            add("", scale.events(&lane.events, glyphs));
        }
        let Glyphs {
            all,
            part,
            none,
            event,
        } = glyphs;
        add(
            "",
            format!("{all} access   {part} part of the time   {none} none   {event} an event"),
        );
        lines
    }
}

/// From instants to columns.
struct Scale {
    from: i128,
    to: i128,
    columns: usize,
}

impl Scale {
    /// The first instant of a column.
    fn instant(&self, column: usize) -> i128 {
        let part = |number: usize| i128::try_from(number).unwrap_or(0);
        self.from + (self.to - self.from) * part(column) / part(self.columns).max(1)
    }

    fn column(&self, at: Instant) -> Option<usize> {
        let at = i128::from(at.micros());
        let inside = at >= self.from && at < self.to;
        let last = (0..self.columns)
            .rev()
            .find(|column| self.instant(*column) <= at);
        last.filter(|_| inside)
    }

    fn axis(&self, ticks: &[(Instant, &str)]) -> String {
        let mut axis = String::new();
        for (at, name) in ticks {
            if let Some(column) = self.column(*at) {
                let missing = column.saturating_sub(axis.chars().count());
                axis.extend(std::iter::repeat_n(' ', missing));
                axis.push_str(name);
            }
        }
        axis
    }

    fn windows(&self, windows: &[(Instant, End)], glyphs: Glyphs) -> String {
        let glyph = |column: usize| {
            let (from, to) = (self.instant(column), self.instant(column + 1));
            let covered: i128 = windows
                .iter()
                .map(|(start, end)| {
                    let start = i128::from(start.micros()).max(from);
                    (i128::from(end.micros()).min(to) - start).max(0)
                })
                .sum();
            if covered == 0 {
                glyphs.none
            } else if covered < to - from {
                glyphs.part
            } else {
                glyphs.all
            }
        };
        (0..self.columns).map(glyph).collect()
    }

    fn events(&self, events: &[Instant], glyphs: Glyphs) -> String {
        let places: Vec<usize> = events.iter().filter_map(|at| self.column(*at)).collect();
        let glyph = |column| {
            if places.contains(&column) {
                glyphs.event
            } else {
                ' '
            }
        };
        (0..self.columns).map(glyph).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Glyphs, Instant, Lane, Timeline};

    #[test]
    fn a_lane_shows_what_is_covered() -> Result<(), tenure::TimeError> {
        let day = |day: i64| Instant::from_micros(day * 86_400_000_000);
        let timeline = Timeline {
            lanes: vec![Lane {
                label: "u  g".to_owned(),
                windows: vec![(day(0)?, End::At(day(37)?)), (day(70)?, End::Never)],
                events: vec![day(0)?, day(73)?, day(74)?],
            }],
            ticks: vec![(day(0)?, "a"), (day(37)?, "b"), (day(74)?, "")],
        };
        let lines = timeline.draw(Glyphs::ASCII);
        let lane = format!("u  g  {}{}####", "#".repeat(37), ".".repeat(33));
        assert_eq!(lines.get(1), Some(&lane));
        assert_eq!(lines.get(2), Some(&format!("      ^{}^", " ".repeat(72))));
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
        Ok(())
    }
}
