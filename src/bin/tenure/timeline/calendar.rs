//! The axis of a picture: ticks at years, months, days, hours, by how much time there is to show.

use tenure::Instant;

use super::range::Range;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Enough for any picture; an axis is never drawn from more.
const MOST_TICKS: usize = 400;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// An instant and what is written there.
pub(super) type Tick = (Instant, String);

/// What is written below and above: `Feb` below `2026`, `06:00` below `3 Mar 2026`.
#[derive(Debug)]
pub(super) struct Axis {
    /// The larger unit; the first one stands at the beginning of the range.
    pub(super) above: Vec<Tick>,
    /// The ticks.
    pub(super) below: Vec<Tick>,
}

/// The distance of two ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Seconds(i64),
    Days(i64),
    Months(i64),
    Years(i64),
}

/// From fine to coarse.
const STEPS: [Step; 30] = [
    Step::Seconds(1),
    Step::Seconds(5),
    Step::Seconds(15),
    Step::Seconds(30),
    Step::Seconds(60),
    Step::Seconds(300),
    Step::Seconds(900),
    Step::Seconds(1_800),
    Step::Seconds(3_600),
    Step::Seconds(10_800),
    Step::Seconds(21_600),
    Step::Seconds(43_200),
    Step::Days(1),
    Step::Days(2),
    Step::Days(7),
    Step::Days(14),
    Step::Months(1),
    Step::Months(3),
    Step::Months(6),
    Step::Years(1),
    Step::Years(2),
    Step::Years(5),
    Step::Years(10),
    Step::Years(20),
    Step::Years(50),
    Step::Years(100),
    Step::Years(200),
    Step::Years(500),
    Step::Years(1_000),
    Step::Years(2_000),
];

impl Step {
    /// About how long it is.
    fn micros(self) -> i64 {
        match self {
            Self::Seconds(seconds) => seconds * SECOND,
            Self::Days(days) => days * DAY,
            Self::Months(months) => months * 30 * DAY,
            Self::Years(years) => years * 365 * DAY,
        }
    }

    /// The columns a tick wants to itself.
    fn columns(self) -> i128 {
        match self {
            Self::Seconds(seconds) if seconds < 60 => 10,
            Self::Seconds(_) => 7,
            Self::Days(_) | Self::Months(_) | Self::Years(_) => 6,
        }
    }

    fn fits(self, range: Range, columns: usize) -> bool {
        let columns = i128::try_from(columns).unwrap_or(i128::MAX);
        i128::from(self.micros()) * columns >= self.columns() * range.micros()
    }

    fn ticks(self, range: Range) -> Vec<Tick> {
        match self {
            Self::Seconds(seconds) => even(range, seconds * SECOND)
                .map(|at| (at, clock(at, seconds < 60)))
                .collect(),
            Self::Days(days) => even(range, DAY)
                .map(|at| (at, Date::of(at).day))
                // The last one of a month is left out where it would touch the first of the next.
                .filter(|(_, day)| (day - 1) % days == 0 && (days == 1 || day + days <= 31))
                .map(|(at, day)| (at, day.to_string()))
                .collect(),
            Self::Months(months) => firsts(range)
                .filter(|(_, _, month)| (month - 1) % months == 0)
                .map(|(at, _, month)| (at, month_name(month).to_owned()))
                .collect(),
            Self::Years(years) => {
                let first = Date::of(range.from).year.div_euclid(years) * years;
                (0..)
                    .map(|number| first + number * years)
                    .take_while(|year| *year <= 9_999)
                    .filter_map(|year| Some((first_of(year, 1)?, year.to_string())))
                    .take_while(|(at, _)| *at < range.to)
                    .filter(|(at, _)| range.contains(*at))
                    .take(MOST_TICKS)
                    .collect()
            }
        }
    }

    /// The larger units.
    fn above(self, range: Range) -> Vec<Tick> {
        let day = |at: Instant| {
            let date = Date::of(at);
            format!("{} {} {}", date.day, month_name(date.month), date.year)
        };
        let (begun, later): (String, Vec<Tick>) = match self {
            Self::Seconds(_) => {
                let days = even(range, DAY).map(|at| (at, day(at)));
                (day(range.from), days.collect())
            }
            Self::Days(_) => {
                let name = |year: i64, month: i64| format!("{} {year}", month_name(month));
                let date = Date::of(range.from);
                let months = firsts(range).map(|(at, year, month)| (at, name(year, month)));
                (name(date.year, date.month), months.collect())
            }
            Self::Months(_) => {
                let years = firsts(range).filter(|(_, _, month)| *month == 1);
                let years = years.map(|(at, year, _)| (at, year.to_string()));
                (Date::of(range.from).year.to_string(), years.collect())
            }
            Self::Years(_) => return Vec::new(),
        };
        [(range.from, begun)].into_iter().chain(later).collect()
    }
}

/// The axis of a picture of that many columns.
pub(super) fn axis(range: Range, columns: usize) -> Axis {
    let fits = |step: &&Step| step.fits(range, columns);
    let step = STEPS.iter().find(fits).copied();
    let step = step.unwrap_or(Step::Years(5_000));
    Axis {
        above: step.above(range),
        below: step.ticks(range),
    }
}

/// A date and a time of day in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    /// An instant is shown as `2026-01-15T00:00:00Z`, with a year of four digits.
    fn of(at: Instant) -> Self {
        let text = at.to_string();
        let mut numbers = text
            .split(|letter: char| !letter.is_ascii_digit())
            .map_while(|digits| digits.parse().ok());
        let mut next = || numbers.next().unwrap_or_default();
        Self {
            year: next(),
            month: next(),
            day: next(),
        }
    }
}

/// `06:00`, or `06:00:30`.
fn clock(at: Instant, with_seconds: bool) -> String {
    let text = at.to_string();
    let last = if with_seconds { 19 } else { 16 };
    text.get(11..last).unwrap_or_default().to_owned()
}

/// A date where it says all, else with the time of day.
pub(super) fn short(at: Instant) -> String {
    let text = at.to_string();
    let date = text.get(..10).unwrap_or_default();
    match clock(at, false) {
        _ if at.micros().rem_euclid(DAY) == 0 => date.to_owned(),
        time => format!("{date} {time}"),
    }
}

fn month_name(month: i64) -> &'static str {
    let place = usize::try_from(month - 1).unwrap_or(usize::MAX);
    MONTHS.get(place).copied().unwrap_or_default()
}

fn first_of(year: i64, month: i64) -> Option<Instant> {
    format!("{year:04}-{month:02}-01T00:00:00Z").parse().ok()
}

/// The first of every month in the range, with year and month.
fn firsts(range: Range) -> impl Iterator<Item = (Instant, i64, i64)> {
    let begun = Date::of(range.from);
    let months = (begun.month - 1..).map(move |month| (begun.year + month / 12, month % 12 + 1));
    months
        .map_while(|(year, month)| Some((first_of(year, month)?, year, month)))
        .take_while(move |(at, ..)| *at < range.to)
        .filter(move |(at, ..)| range.contains(*at))
        .take(MOST_TICKS)
}

/// What lies at whole multiples of a length of which a day is one.
fn even(range: Range, length: i64) -> impl Iterator<Item = Instant> {
    // Rounded up, so that the first one is in the range.
    let begun = -(-range.from.micros()).div_euclid(length);
    (begun..)
        .map_while(move |number| Instant::from_micros(number.checked_mul(length)?).ok())
        .take_while(move |at| *at < range.to)
        .take(MOST_TICKS)
}

#[cfg(test)]
mod tests {
    use super::{Range, axis, short};

    fn texts(from: &str, to: &str, columns: usize) -> (Vec<String>, Vec<String>) {
        let instant = |text: &str| crate::moment::fixed(text).ok();
        let range = instant(from).zip(instant(to));
        let range = range.and_then(|(from, to)| Range::new(from, to));
        let axis = range.map(|range| axis(range, columns));
        let of = |ticks: Vec<super::Tick>| ticks.into_iter().map(|(_, text)| text).collect();
        axis.map(|axis| (of(axis.above), of(axis.below)))
            .unwrap_or_default()
    }

    #[test]
    fn ticks_suit_the_range() {
        for (from, to, above, below) in [
            ("0001-01-01", "9999-12-31", "", "2000 4000 6000 8000"),
            (
                "1990-01-01",
                "2030-01-01",
                "",
                "1990 1995 2000 2005 2010 2015 2020 2025",
            ),
            (
                "2025-11-20",
                "2026-05-02",
                "2025|2026",
                "Dec Jan Feb Mar Apr May",
            ),
            ("2026-02-20", "2026-03-18", "Feb 2026|Mar 2026", "22 1 8 15"),
            (
                "2026-02-27",
                "2026-03-02",
                "27 Feb 2026|27 Feb 2026|28 Feb 2026|1 Mar 2026",
                "00:00 12:00 00:00 12:00 00:00 12:00",
            ),
            (
                "2026-02-27T10:00:00Z",
                "2026-02-27T10:00:20Z",
                "27 Feb 2026",
                "10:00:00 10:00:05 10:00:10 10:00:15",
            ),
        ] {
            let (are_above, are_below) = texts(from, to, 50);
            assert_eq!(are_above.join("|"), above, "{from} {to}");
            assert_eq!(are_below.join(" "), below, "{from} {to}");
        }
    }

    #[test]
    fn a_time_of_day_is_said_where_there_is_one() {
        let said = |text: &str| text.parse().map(short);
        assert_eq!(said("2026-02-01T00:00:00Z").as_deref(), Ok("2026-02-01"));
        assert_eq!(
            said("0001-02-01T07:05:59Z").as_deref(),
            Ok("0001-02-01 07:05")
        );
    }
}
