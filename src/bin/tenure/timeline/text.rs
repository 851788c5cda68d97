//! A picture as text, for a terminal: a bar and a line of marks for each grant.

use super::calendar::{Axis, Tick, axis, short};
use super::glyphs::{Glyphs, ink};
use super::label::{distinct, padded, shortened, width, wrapped};
use super::picture::{Look, Picture, Row, Span};
use super::range::Range;
use super::said::{lateness, what};
use crate::output::Ink;

/// A piece of a line and what it is.
pub(super) type Piece = (Option<Ink>, String);
/// A line, from left to right.
pub(super) type Line = Vec<Piece>;

/// Draws a picture in lines of at most `most` columns.
pub(super) fn draw(picture: &Picture<'_>, glyphs: Glyphs, most: usize) -> Vec<Line> {
    let mut drawing = Drawing::new(picture, glyphs, most);
    drawing.heading();
    if picture.lanes.is_empty() {
        drawing.plain("no event that counts speaks of a grant of this user");
        return drawing.lines;
    }
    drawing.axis();
    drawing.lanes();
    drawing.key();
    drawing.events();
    drawing.lines
}

struct Drawing<'a> {
    picture: &'a Picture<'a>,
    glyphs: Glyphs,
    most: usize,
    /// The columns of the names.
    label: usize,
    /// The columns of the bars.
    columns: usize,
    products: Vec<String>,
    grants: Vec<String>,
    lines: Vec<Line>,
}

impl<'a> Drawing<'a> {
    fn new(picture: &'a Picture<'a>, glyphs: Glyphs, most: usize) -> Self {
        let room = (most / 4).max(6);
        let rows = || picture.lanes.iter();
        let names = |names: Vec<String>| distinct(&names, room, glyphs.dots);
        let products = names(rows().map(|row| glyphs.name(&row.product)).collect());
        let grants = names(
            rows()
                .map(|row| glyphs.name(row.lane.grant.as_str()))
                .collect(),
        );
        let widths = products.iter().chain(&grants).map(|name| width(name));
        let label = widths.max().unwrap_or(0);
        Self {
            picture,
            glyphs,
            most,
            label,
            columns: most.saturating_sub(label + 2).max(8),
            products,
            grants,
            lines: Vec::new(),
        }
    }

    fn plain(&mut self, text: &str) {
        self.lines.push(vec![(None, self.cut(text))]);
    }

    fn cut(&self, text: &str) -> String {
        shortened(text, self.most, 0, self.glyphs.dots)
    }

    fn heading(&mut self) {
        let user = self.glyphs.name(self.picture.timeline.user.as_str());
        let user = shortened(&user, self.most, self.most / 3, self.glyphs.dots);
        self.lines.push(vec![(Some(Ink::Heading), user)]);
        let others = self.picture.others();
        let room = self.most.saturating_sub(15);
        for (number, other) in others.into_iter().enumerate() {
            let name = self.glyphs.name(other);
            let name = shortened(&name, room, room / 3, self.glyphs.dots);
            let lead = if number == 0 { "also known as" } else { "" };
            self.plain(&format!("{lead:<13}  {name}"));
        }
        if let Some(as_of) = self.picture.timeline.as_of {
            self.plain(&format!("by what was recorded up to {}", as_of.0));
        }
        self.lines.push(Vec::new());
    }

    fn axis(&mut self) {
        let Axis { above, below } = axis(self.picture.range, self.columns);
        for ticks in [&above, &below] {
            if !ticks.is_empty() {
                let text = self.ticks(ticks);
                self.beside("", None, vec![(Some(Ink::Faint), text)]);
            }
        }
        let mut rule = vec![self.glyphs.rule; self.columns];
        let range = self.picture.range;
        let columns = below
            .iter()
            .filter_map(|(at, _)| range.column(*at, self.columns));
        for column in columns {
            put(&mut rule, column, self.glyphs.tick);
        }
        let mark = self.mark();
        if let Some(column) = mark {
            put(&mut rule, column, self.glyphs.mark);
            let name = self.picture.mark.name;
            // Before it, unless there is no room.
            let begin = column.checked_sub(name.len()).unwrap_or(column + 1);
            for (place, letter) in name.chars().enumerate() {
                put(&mut rule, begin + place, letter);
            }
        }
        self.beside("", None, vec![(Some(Ink::Faint), rule.iter().collect())]);
    }

    /// Texts at their places; one that would touch the next is left out.
    fn ticks(&self, ticks: &[Tick]) -> String {
        let mut line = vec![' '; self.columns];
        let mut free = self.columns;
        for (at, text) in ticks.iter().rev() {
            let Some(column) = self.picture.range.column(*at, self.columns) else {
                continue;
            };
            let end = column + text.chars().count();
            if end <= free {
                for (place, letter) in text.chars().enumerate() {
                    put(&mut line, column + place, letter);
                }
                free = column.saturating_sub(1);
            }
        }
        line.into_iter().collect()
    }

    fn mark(&self) -> Option<usize> {
        self.picture
            .range
            .column(self.picture.mark.at, self.columns)
    }

    /// A line with a name at its left.
    fn beside(&mut self, name: &str, ink: Option<Ink>, pieces: Line) {
        let name = padded(name, self.label);
        let mut line = vec![(ink, name), (None, "  ".to_owned())];
        line.extend(pieces);
        self.lines.push(line);
    }

    fn lanes(&mut self) {
        let names = self.products.iter().cloned().zip(self.grants.clone());
        let names: Vec<(String, String)> = names.collect();
        for (row, (product, grant)) in self.picture.lanes.iter().zip(names) {
            let bar = self.bar(row);
            self.beside(&product, None, bar);
            let marks = self.marks(row);
            self.beside(&grant, Some(Ink::Faint), vec![(None, marks)]);
        }
        self.lines.push(Vec::new());
    }

    fn bar(&self, row: &Row<'_>) -> Line {
        let glyphs = self.glyphs;
        let cells = cells(&row.spans, self.picture.range, self.columns);
        let glyph = |cell: &Option<Look>| cell.map_or(glyphs.none, |look| glyphs.look(look));
        let mut signs: Vec<char> = cells.iter().map(glyph).collect();
        if let Some(last) = signs.last_mut().filter(|_| row.goes_on(self.picture.range)) {
            *last = glyphs.goes_on;
        }
        let has_begun = row.has_begun_before(self.picture.range);
        if let Some(first) = signs.first_mut().filter(|_| has_begun) {
            *first = glyphs.has_begun;
        }
        if let Some(column) = self.mark() {
            // What is one column wide would be hidden.
            let cell = |column: Option<usize>| column.and_then(|column| cells.get(column));
            let here = cell(Some(column));
            if here == cell(column.checked_sub(1)) || here == cell(column.checked_add(1)) {
                put(&mut signs, column, glyphs.mark);
            }
        }
        let inks = cells.into_iter().map(|cell| match cell {
            Some(look) => ink(look),
            None => Some(Ink::Faint),
        });
        let mut pieces: Line = Vec::new();
        for (sign, ink) in signs.into_iter().zip(inks) {
            match pieces.last_mut() {
                Some((last, text)) if *last == ink => text.push(sign),
                Some(_) | None => pieces.push((ink, sign.to_string())),
            }
        }
        pieces
    }

    fn marks(&self, row: &Row<'_>) -> String {
        let mut line = vec![' '; self.columns];
        if let Some(column) = self.mark() {
            put(&mut line, column, self.glyphs.mark);
        }
        for group in row.groups(self.picture.range, wide(self.columns), 1) {
            if let Ok(column) = usize::try_from(group.place) {
                put(&mut line, column, sign(group.number));
            }
        }
        let line: String = line.into_iter().collect();
        line.trim_end().to_owned()
    }

    /// What the signs mean, those that occur.
    fn key(&mut self) {
        let glyphs = self.glyphs;
        let looks = self.picture.looks();
        let looks = looks.into_iter();
        let mut entries: Vec<(char, Option<Ink>, String)> = looks
            .map(|look| (glyphs.look(look), ink(look), look.meaning().to_owned()))
            .collect();
        entries.push((glyphs.none, Some(Ink::Faint), "none".to_owned()));
        if self.picture.goes_on() {
            entries.push((glyphs.goes_on, None, "goes on".to_owned()));
        }
        if self.mark().is_some() {
            let mark = self.picture.mark;
            let said = format!("{} {}", mark.name, short(mark.at));
            entries.push((glyphs.mark, None, said));
        }
        let (mut line, mut used): (Line, usize) = (Vec::new(), 0);
        for (sign, ink, meaning) in entries {
            let columns = meaning.chars().count() + 5;
            if used > 0 && used + columns > self.most {
                self.lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push((ink, sign.to_string()));
            line.push((None, format!(" {meaning}   ")));
            used += columns;
        }
        self.lines.push(line);
    }

    /// What happened, lane by lane.
    fn events(&mut self) {
        let rows = self.picture.lanes.iter();
        for row in rows.filter(|row| !row.lane.events.is_empty()) {
            let groups = row.groups(self.picture.range, wide(self.columns), 1);
            let written = row.written(&groups);
            let grant = format!("grant {} of {}", row.lane.grant, row.lane.source);
            let heading = format!("{}: {grant}", row.product);
            let heading = self.glyphs.name(&heading);
            let heading = shortened(&heading, self.most, self.most / 2, self.glyphs.dots);
            self.lines.push(Vec::new());
            self.lines.push(vec![(Some(Ink::Heading), heading)]);
            if written.earlier > 0 {
                self.plain(&format!(
                    "     {} earlier, see --from or --json",
                    written.earlier
                ));
            }
            let widest = written.events.iter();
            let widest =
                widest.map(|(_, event)| (short(event.effective_at.0).len(), event.change.len()));
            let (when, change) = widest.fold((0, 0), |(a, b), (c, d)| (a.max(c), b.max(d)));
            for (number, event) in written.events {
                let at = short(event.effective_at.0);
                let lead = format!(
                    "  {}  {at:<when$}  {:<change$}  ",
                    sign(number),
                    event.change
                );
                let late = lateness(event).map(|late| format!(" ({late})"));
                let said = self.glyphs.name(&what(event, row.lane));
                self.said(&lead, &format!("{said}{}", late.unwrap_or_default()));
            }
            if written.outside > 0 {
                self.plain(&format!("     {} outside the picture", written.outside));
            }
        }
    }

    /// A text in lines, with what leads it at the left of the first.
    fn said(&mut self, lead: &str, text: &str) {
        let beside = width(lead);
        let is_beside = beside + ROOM <= self.most;
        let indent = if is_beside { beside } else { 5 };
        let room = self.most.saturating_sub(indent).max(1);
        let mut lead = lead.to_owned();
        if !is_beside {
            self.plain(lead.trim_end());
            lead = " ".repeat(indent);
        }
        for line in wrapped(text, room, self.glyphs.dots)
            .into_iter()
            .take(MOST_LINES)
        {
            self.plain(&format!("{lead}{line}"));
            lead = " ".repeat(indent);
        }
    }
}

/// How many columns a text wants beside what leads it, and how many lines it may take.
const ROOM: usize = 20;
const MOST_LINES: usize = 4;

/// What stands for the events of a group: `1` to `9`, then letters.
fn sign(number: usize) -> char {
    let signs = ('1'..='9').chain('a'..='z');
    number
        .checked_sub(1)
        .and_then(|place| signs.clone().nth(place))
        .unwrap_or('*')
}

fn put(line: &mut [char], column: usize, sign: char) {
    if let Some(place) = line.get_mut(column) {
        *place = sign;
    }
}

fn wide(columns: usize) -> i128 {
    i128::try_from(columns).unwrap_or(i128::MAX)
}

/// What each column shows: what fills most of it, any access before none. Nothing is too short to be seen, a gap between two
/// parts no less than a part.
fn cells(spans: &[Span<'_>], range: Range, columns: usize) -> Vec<Option<Look>> {
    let wide = wide(columns);
    // Fine enough that no two instants of the range lie at one place.
    let scale = |at: i64| range.place(at, range.micros() * wide);
    let mut stretches: Vec<(i128, i128, Option<Look>)> = Vec::new();
    for span in spans {
        let (start, end) = (
            scale(span.part.start.micros()),
            scale(span.part.end.micros()),
        );
        if let Some((_, before, _)) = stretches.last().copied().filter(|it| it.1 < start) {
            stretches.push((before, start, None));
        }
        stretches.push((start, end, Some(span.look)));
    }
    let mut cells = Vec::with_capacity(columns);
    let mut shown = vec![false; stretches.len()];
    for column in 0..columns {
        let (from, to) = (
            self::wide(column) * range.micros(),
            (self::wide(column) + 1) * range.micros(),
        );
        let overlap = |it: &(i128, i128, Option<Look>)| (it.1.min(to) - it.0.max(from)).max(0);
        let most = stretches
            .iter()
            .enumerate()
            .max_by_key(|(place, it)| (overlap(it), std::cmp::Reverse(*place)));
        let most = most.filter(|(_, it)| overlap(it) > 0);
        if let Some((place, _)) = most
            && let Some(shown) = shown.get_mut(place)
        {
            *shown = true;
        }
        cells.push(most.and_then(|(_, it)| it.2));
    }
    let hidden = || stretches.iter().zip(&shown).filter(|(_, shown)| !**shown);
    let gaps = hidden().filter(|(it, _)| it.2.is_none());
    let parts = hidden().filter(|(it, _)| it.2.is_some());
    for ((start, end, look), _) in gaps.chain(parts) {
        let middle = (start + end) / 2 / range.micros();
        let place = usize::try_from(middle).ok();
        if let Some(cell) = place.and_then(|place| cells.get_mut(place)) {
            *cell = *look;
        }
    }
    cells
}
