//! A picture as SVG: one file that needs nothing else, for light and dark, and the same bytes for the same timeline.

use std::fmt::{Arguments, Write as _};

use super::calendar::{Axis, Tick, axis, short};
use super::label::{distinct, shortened};
use super::picture::{Look, Picture, Row};
use super::said::{lateness, what};
use super::style::{PATTERNS, STYLE};
use crate::output::safe;
use crate::words;

/// All lengths are tenths of a pixel.
const WIDTH: i128 = 8_000;
const MARGIN: i128 = 200;
const BARS: i128 = 1_800;
const BARS_WIDTH: i128 = WIDTH - BARS - MARGIN;
const LANE: i128 = 540;
const BAR: i128 = 180;
/// What a number of an event takes.
const DOT: i128 = 150;
/// The columns of a name, of a heading, and of what an event did.
const NAME: usize = 19;
const HEADING: usize = 80;
const SAID: usize = 72;
/// How many columns of text the bars are wide.
const COLUMNS: usize = 86;
const DOTS: &str = "…";

/// Draws a picture.
pub(super) fn draw(picture: &Picture<'_>) -> String {
    let mut drawing = Drawing {
        picture,
        body: String::new(),
        y: 0,
    };
    drawing.heading();
    if picture.lanes.is_empty() {
        drawing.y += 300;
        drawing.text(
            MARGIN,
            "small",
            "no event that counts speaks of a grant of this user",
        );
    } else {
        drawing.lanes();
        drawing.key();
        drawing.events();
    }
    let height = px(drawing.y + MARGIN);
    let title = xml(&format!("Timeline of {}", picture.timeline.user));
    let about = xml(&description(picture));
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' class='tenure' role='img' aria-labelledby='tenure-title tenure-desc' \
         width='{width}' height='{height}' viewBox='0 0 {width} {height}'>\n<title id='tenure-title'>{title}</title>\n\
         <desc id='tenure-desc'>{about}</desc>\n<style>\n{STYLE}\n</style>\n<defs>\n{PATTERNS}\n</defs>\n\
         <rect class='paper' width='{width}' height='{height}'/>\n{}</svg>\n",
        drawing.body,
        width = px(WIDTH),
    )
}

/// The picture for those who do not see it.
fn description(picture: &Picture<'_>) -> String {
    let range = picture.range;
    let mut text = format!("From {} to {}.", short(range.from), short(range.to));
    for row in &picture.lanes {
        let _infallible = write!(
            text,
            " {}, grant {} of {}:",
            row.product, row.lane.grant, row.lane.source
        );
        if row.spans.is_empty() {
            text.push_str(" none.");
        }
        let last = row.spans.len().saturating_sub(1);
        for (place, span) in row.spans.iter().enumerate() {
            let end = if place == last { "." } else { ";" };
            let when = words::span(span.part.start, span.part.end);
            let _infallible = write!(text, " {} {when}{end}", span.look.meaning());
        }
    }
    text
}

struct Drawing<'a> {
    picture: &'a Picture<'a>,
    body: String,
    /// How far down the picture has come.
    y: i128,
}

impl Drawing<'_> {
    fn add(&mut self, element: Arguments<'_>) {
        let _infallible = self.body.write_fmt(element);
        self.body.push('\n');
    }

    fn text(&mut self, x: i128, class: &str, text: &str) {
        let (x, y, text) = (px(x), px(self.y), xml(text));
        self.add(format_args!(
            "<text class='{class}' x='{x}' y='{y}'>{text}</text>"
        ));
    }

    fn heading(&mut self) {
        self.y = 340;
        let user = shown(self.picture.timeline.user.as_str());
        self.text(MARGIN, "head", &shortened(&user, HEADING - 20, 20, DOTS));
        for (number, other) in self.picture.others().into_iter().enumerate() {
            self.y += 200;
            let lead = if number == 0 {
                "also known as "
            } else {
                "and "
            };
            let name = shortened(&shown(other), HEADING, 30, DOTS);
            self.text(MARGIN, "small", &format!("{lead}{name}"));
        }
        if let Some(as_of) = self.picture.timeline.as_of {
            self.y += 200;
            self.text(
                MARGIN,
                "faint",
                &format!("by what was recorded up to {}", as_of.0),
            );
        }
    }

    fn x(&self, micros: i64) -> i128 {
        BARS + self.picture.range.place(micros, BARS_WIDTH)
    }

    fn lanes(&mut self) {
        self.y += 320;
        let Axis { above, below } = axis(self.picture.range, COLUMNS);
        for ticks in [&above, &below] {
            if !ticks.is_empty() {
                self.ticks(ticks);
                self.y += 160;
            }
        }
        let top = self.y - 100;
        let count = i128::try_from(self.picture.lanes.len()).unwrap_or(0);
        let bottom = top + count * LANE + 100;
        for (at, _) in &below {
            let x = px(self.x(at.micros()));
            let (top, bottom) = (px(top), px(bottom));
            self.add(format_args!("<path class='grid' d='M{x} {top}V{bottom}'/>"));
        }
        let (left, right) = (px(BARS), px(BARS + BARS_WIDTH));
        self.add(format_args!(
            "<path class='edge' d='M{left} {}H{right}'/>",
            px(top)
        ));
        let rows = || self.picture.lanes.iter();
        let products: Vec<String> = rows().map(|row| shown(&row.product)).collect();
        let grants: Vec<String> = rows().map(|row| shown(row.lane.grant.as_str())).collect();
        let names = distinct(&products, NAME, DOTS)
            .into_iter()
            .zip(distinct(&grants, NAME, DOTS));
        self.y = top + 100;
        let mut dots = Vec::new();
        for (row, (product, grant)) in self.picture.lanes.iter().zip(names) {
            self.lane(row, &product, &grant);
            dots.push(self.y);
            self.y += LANE;
        }
        self.mark(top, bottom);
        // Above the mark, which must not cross a number out.
        for (row, y) in self.picture.lanes.iter().zip(dots) {
            self.dots(row, y + BAR + 140);
        }
        self.y = bottom;
    }

    fn ticks(&mut self, ticks: &[Tick]) {
        let mut free = WIDTH - MARGIN;
        let mut shown = Vec::new();
        for (at, text) in ticks.iter().rev() {
            let x = self.x(at.micros());
            let end = x + 70 * i128::try_from(text.len()).unwrap_or(0);
            if end <= free {
                shown.push((x, text));
                free = x - 80;
            }
        }
        for (x, text) in shown.into_iter().rev() {
            self.text(x, "faint", text);
        }
    }

    fn lane(&mut self, row: &Row<'_>, product: &str, grant: &str) {
        let range = self.picture.range;
        let top = self.y;
        self.y = top + 140;
        let full = format!(
            "{}, grant {} of {}",
            row.product, row.lane.grant, row.lane.source
        );
        self.add(format_args!("<g><title>{}</title>", xml(&full)));
        self.text(MARGIN, "name", product);
        self.y += 170;
        self.text(MARGIN, "faint", grant);
        self.add(format_args!("</g>"));
        let middle = px(top + BAR / 2);
        let (left, right) = (px(BARS), px(BARS + BARS_WIDTH));
        self.add(format_args!(
            "<path class='grid' d='M{left} {middle}H{right}'/>"
        ));
        for span in &row.spans {
            let start = self.x(span.part.start.micros());
            // However short, it is seen.
            let end = self.x(span.part.end.micros()).max(start + 20);
            let said = format!(
                "{}: {}, product {}, user {}",
                span.look.meaning(),
                words::span(span.part.start, span.part.end),
                span.part.product,
                span.part.user
            );
            let (x, y, width, height) = (px(start), px(top), px(end - start), px(BAR));
            self.add(format_args!(
                "<rect {} x='{x}' y='{y}' width='{width}' height='{height}'><title>{}</title></rect>",
                fill(span.look),
                xml(&said)
            ));
        }
        if let Some(last) = row.spans.last().filter(|_| row.goes_on(range)) {
            let x = px(BARS + BARS_WIDTH + 20);
            let (y, half) = (px(top), px(BAR / 2));
            self.add(format_args!(
                "<path {} d='M{x} {y}l9 {half}l-9 {half}z'><title>goes on</title></path>",
                fill(last.look)
            ));
        }
        self.y = top;
    }

    fn mark(&mut self, top: i128, bottom: i128) {
        let mark = self.picture.mark;
        if !self.picture.range.contains(mark.at) {
            return;
        }
        let x = self.x(mark.at.micros());
        let (at, top, bottom) = (px(x), px(top - 40), px(bottom));
        self.add(format_args!(
            "<path class='mark' d='M{at} {top}V{bottom}'><title>{} {}</title></path>",
            mark.name, mark.at
        ));
    }

    fn dots(&mut self, row: &Row<'_>, y: i128) {
        for group in row.groups(self.picture.range, BARS_WIDTH, DOT) {
            let said: Vec<String> = group
                .events
                .iter()
                .map(|event| {
                    let late = lateness(event).map(|late| format!(" ({late})"));
                    let what = what(event, row.lane);
                    let at = event.effective_at.0;
                    format!("{at} {}: {what}{}", event.change, late.unwrap_or_default())
                })
                .collect();
            let (x, y, below) = (px(BARS + group.place), px(y), px(y + 35));
            self.add(format_args!(
                "<g><title>{}</title><circle class='dot' cx='{x}' cy='{y}' r='7'/>\
                 <text class='number' x='{x}' y='{below}'>{}</text></g>",
                xml(&said.join("\n")),
                group.number
            ));
        }
    }

    /// What fills and lines mean, those that occur.
    fn key(&mut self) {
        self.y += 300;
        let mut x = BARS;
        let room = |text: &str| 70 * i128::try_from(text.len()).unwrap_or(0) + 450;
        for look in self.picture.looks() {
            let (left, top) = (px(x), px(self.y - 100));
            self.add(format_args!(
                "<rect {} x='{left}' y='{top}' width='20' height='11'/>",
                fill(look)
            ));
            self.text(x + 270, "small", look.meaning());
            x += room(look.meaning());
        }
        let mark = self.picture.mark;
        if self.picture.range.contains(mark.at) {
            let said = format!("{} {}", mark.name, short(mark.at));
            if x + room(&said) > WIDTH {
                x = BARS;
                self.y += 200;
            }
            let (left, top) = (px(x + 100), px(self.y - 120));
            self.add(format_args!("<path class='mark' d='M{left} {top}v15'/>"));
            self.text(x + 270, "small", &said);
        }
    }

    fn events(&mut self) {
        self.y += 100;
        for row in &self.picture.lanes {
            if row.lane.events.is_empty() {
                continue;
            }
            let groups = row.groups(self.picture.range, BARS_WIDTH, DOT);
            let written = row.written(&groups);
            self.y += 300;
            let heading = format!(
                "{}: grant {} of {}",
                row.product, row.lane.grant, row.lane.source
            );
            self.text(
                MARGIN,
                "name",
                &shortened(&shown(&heading), HEADING, 40, DOTS),
            );
            if written.earlier > 0 {
                self.y += 190;
                self.text(
                    MARGIN + 250,
                    "faint",
                    &format!("{} earlier", written.earlier),
                );
            }
            for (number, event) in written.events {
                self.y += 190;
                self.text(MARGIN, "faint", &number.to_string());
                self.text(MARGIN + 250, "faint", &short(event.effective_at.0));
                self.text(MARGIN + 1_450, "small", event.change);
                let late = lateness(event).map(|late| format!(" ({late})"));
                let said = format!("{}{}", what(event, row.lane), late.unwrap_or_default());
                self.text(
                    MARGIN + 2_550,
                    "small",
                    &shortened(&shown(&said), SAID, 0, DOTS),
                );
            }
            if written.outside > 0 {
                self.y += 190;
                self.text(
                    MARGIN + 250,
                    "faint",
                    &format!("{} outside the picture", written.outside),
                );
            }
        }
    }
}

fn fill(look: Look) -> &'static str {
    match look {
        Look::Active => "class='active'",
        Look::Grace => "fill='url(#tenure-grace)'",
        Look::Suspended => "fill='url(#tenure-suspended)'",
        Look::ParentEnded => "fill='url(#tenure-parent)'",
        Look::Elsewhere => "class='elsewhere'",
    }
}

/// Tenths of a pixel as pixels.
fn px(tenths: i128) -> String {
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        rest => format!("{}.{}", tenths / 10, rest.abs()),
    }
}

/// The text as it can be shown: as on a terminal, and without the two characters that XML has no way to write.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in safe(text).chars() {
        match letter {
            '\u{fffe}' | '\u{ffff}' => shown.extend(letter.escape_default()),
            letter => shown.push(letter),
        }
    }
    shown
}

/// The text as it may stand between tags. Lines stay lines.
fn xml(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(shown).collect();
    let mut escaped = String::with_capacity(text.len());
    for letter in lines.join("\n").chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{px, xml};

    #[test]
    fn nothing_in_a_name_is_markup() {
        assert_eq!(
            xml("<a b='c'>&\"\u{202e}\u{ffff}"),
            "&lt;a b=&#39;c&#39;&gt;&amp;&quot;\\u{202e}\\u{ffff}"
        );
        assert_eq!(xml("a\nb"), "a\nb");
    }

    #[test]
    fn lengths_are_exact() {
        assert_eq!(
            (px(0), px(105), px(-20)),
            ("0".to_owned(), "10.5".to_owned(), "-2".to_owned())
        );
    }
}
