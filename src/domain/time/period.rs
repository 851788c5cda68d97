//! Periods and lengths: how long a paid stretch lasts, and how the ends of a subscription follow each other.

use std::fmt;

use chrono::{Datelike as _, Months};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{End, Instant, MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::domain::text::from_text;

/// Why a text is not a period or a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not ISO 8601, as `P1M`, `P2W` or `PT36H`.
    #[error("not a period: expected ISO 8601 such as `P1M`, `P2W` or `PT36H`")]
    Malformed,
    /// Years or months together with weeks, days or hours: the sum depends on where one starts.
    #[error("a period is either of years and months or of weeks, days and hours, not both")]
    Mixed,
    /// Nothing at all, or more than 100 years.
    #[error("a period is longer than nothing and at most 100 years")]
    OutOfRange,
    /// Years or months where only an exact length makes sense.
    #[error("an exact length is needed: weeks, days, hours, minutes or seconds")]
    NotExact,
}

/// An exact, non-negative length of time, at most 100 years: `P3D`, `PT36H`, `PT0S`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Length(i64);

const LONGEST_MICROS: i64 = 36_525 * MICROS_PER_DAY;
const LONGEST_MONTHS: u32 = 1_200;

impl Length {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// 24 hours.
    pub const DAY: Self = Self(MICROS_PER_DAY);

    /// That many days of 24 hours, at most 36,525.
    pub const fn days(days: u16) -> Self {
        let micros = days as i64 * MICROS_PER_DAY;
        Self(if micros > LONGEST_MICROS {
            LONGEST_MICROS
        } else {
            micros
        })
    }

    /// That many seconds, at most 36,525 days.
    pub const fn seconds(seconds: u32) -> Self {
        let micros = seconds as i64 * 1_000_000;
        Self(if micros > LONGEST_MICROS {
            LONGEST_MICROS
        } else {
            micros
        })
    }

    /// The length in microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }
}

impl std::str::FromStr for Length {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let parts = PeriodParts::parse(text)?;
        match (parts.months, parts.micros) {
            (None, Some(micros)) if micros <= LONGEST_MICROS => Ok(Self(micros)),
            (None, Some(_)) => Err(PeriodError::OutOfRange),
            (Some(_), _) => Err(PeriodError::NotExact),
            (None, None) => Err(PeriodError::Malformed),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_exact(out, self.0)
    }
}

impl fmt::Debug for Length {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// How long one paid stretch lasts, and so how the ends of a subscription follow each other.
///
/// Years and months are counted on the calendar from an anchor, not from the last end: anchored on 31 January, a month
/// ends on 28 (29) February, then on 31 March. Weeks, days, hours, minutes and seconds are exact.
///
/// ```
/// use tenure::{Instant, Period};
/// let month: Period = "P1M".parse()?;
/// let anchor: Instant = "2026-01-31T09:00:00Z".parse()?;
/// let february = month.after(anchor, anchor.into()).1;
/// assert_eq!(february.to_string(), "2026-02-28T09:00:00Z");
/// assert_eq!(month.after(anchor, february).1.to_string(), "2026-03-31T09:00:00Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(PeriodLength);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum PeriodLength {
    /// 1 to 1,200 calendar months.
    Months(u32),
    /// Exact microseconds, at least one, at most 100 years.
    Micros(i64),
}

impl Period {
    /// That many calendar months.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`] for none or for more than 1,200.
    pub fn months(months: u32) -> Result<Self, PeriodError> {
        if months == 0 || months > LONGEST_MONTHS {
            return Err(PeriodError::OutOfRange);
        }
        Ok(Self(PeriodLength::Months(months)))
    }

    /// That exact length.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`] for no length at all.
    pub fn exact(length: Length) -> Result<Self, PeriodError> {
        if length.0 == 0 {
            return Err(PeriodError::OutOfRange);
        }
        Ok(Self(PeriodLength::Micros(length.0)))
    }

    /// One period after `end`, counted from `anchor`: the anchor to keep, and the new end.
    ///
    /// If `end` does not lie on the grid of this period from `anchor`, it becomes the anchor first. An unlimited end stays
    /// unlimited.
    pub fn after(self, anchor: Instant, end: End) -> (Instant, End) {
        match end {
            End::Never => (anchor, End::Never),
            End::At(instant) => match self.steps_between(anchor, instant) {
                Some(steps) => (anchor, self.step(anchor, steps.saturating_add(1))),
                None => (instant, self.step(instant, 1)),
            },
        }
    }

    /// Whether `instant` is `anchor` plus a whole number (0 or more) of these periods.
    pub fn has_on_grid(self, anchor: Instant, instant: Instant) -> bool {
        self.steps_between(anchor, instant).is_some()
    }

    fn steps_between(self, anchor: Instant, instant: Instant) -> Option<u32> {
        let steps = match self.0 {
            PeriodLength::Months(months) => {
                let (from, _) = anchor.date_and_rest()?;
                let (to, _) = instant.date_and_rest()?;
                let between = (to.year() - from.year()) * 12 + i32::try_from(to.month()).ok()?
                    - i32::try_from(from.month()).ok()?;
                u32::try_from(between).ok()?.checked_div(months)?
            }
            PeriodLength::Micros(micros) => {
                let between = instant.micros().checked_sub(anchor.micros())?;
                u32::try_from(between.checked_div(micros)?).ok()?
            }
        };
        (self.step(anchor, steps) == End::At(instant)).then_some(steps)
    }

    /// `anchor` plus `steps` periods.
    fn step(self, anchor: Instant, steps: u32) -> End {
        match self.0 {
            PeriodLength::Months(months) => {
                let moved = anchor.date_and_rest().and_then(|(date, rest)| {
                    let months = Months::new(months.checked_mul(steps)?);
                    Instant::from_date(date.checked_add_months(months)?, rest)
                });
                moved.map_or(End::Never, End::At)
            }
            PeriodLength::Micros(micros) => End::from_sum(
                micros
                    .checked_mul(i64::from(steps))
                    .and_then(|length| anchor.micros().checked_add(length)),
            ),
        }
    }
}

impl std::str::FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let parts = PeriodParts::parse(text)?;
        match (parts.months, parts.micros) {
            (Some(months), None) => Self::months(months),
            (None, Some(micros)) if micros <= LONGEST_MICROS => Self::exact(Length(micros)),
            (None, Some(_)) => Err(PeriodError::OutOfRange),
            (Some(_), Some(_)) => Err(PeriodError::Mixed),
            (None, None) => Err(PeriodError::Malformed),
        }
    }
}

/// The two kinds of units of an ISO 8601 duration, each present if a unit of its kind was written.
#[derive(Default)]
struct PeriodParts {
    months: Option<u32>,
    micros: Option<i64>,
}

impl PeriodParts {
    fn parse(text: &str) -> Result<Self, PeriodError> {
        let mut rest = text.strip_prefix('P').ok_or(PeriodError::Malformed)?;
        let mut parts = Self::default();
        let mut units: &[(char, Unit)] = DATE_UNITS;
        let mut in_time = false;
        if rest.ends_with('T') {
            return Err(PeriodError::Malformed);
        }
        while !rest.is_empty() {
            if let Some(time) = rest.strip_prefix('T') {
                if in_time {
                    return Err(PeriodError::Malformed);
                }
                in_time = true;
                rest = time;
                units = TIME_UNITS;
            }
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest
                .split_at_checked(digits)
                .ok_or(PeriodError::Malformed)?;
            let number: u32 = match number.parse() {
                Ok(number) => number,
                Err(_) if number.is_empty() => return Err(PeriodError::Malformed),
                Err(_) => return Err(PeriodError::OutOfRange),
            };
            let letter = after.chars().next().ok_or(PeriodError::Malformed)?;
            let at = units
                .iter()
                .position(|(name, _)| *name == letter)
                .ok_or(PeriodError::Malformed)?;
            let (_, unit) = units.get(at).ok_or(PeriodError::Malformed)?;
            parts.add(number, *unit)?;
            // Each unit once and in the order of the standard.
            units = units.get(at + 1..).unwrap_or_default();
            rest = after.strip_prefix(letter).unwrap_or_default();
        }
        Ok(parts)
    }

    fn add(&mut self, number: u32, unit: Unit) -> Result<(), PeriodError> {
        match unit {
            Unit::Months(months) => {
                let added = number.checked_mul(months);
                let sum = added.and_then(|added| self.months.unwrap_or(0).checked_add(added));
                self.months = Some(sum.ok_or(PeriodError::OutOfRange)?);
            }
            Unit::Seconds(seconds) => {
                let added = i64::from(number).checked_mul(seconds * MICROS_PER_SECOND);
                let sum = added.and_then(|added| self.micros.unwrap_or(0).checked_add(added));
                self.micros = Some(sum.ok_or(PeriodError::OutOfRange)?);
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Months(u32),
    Seconds(i64),
}

const DATE_UNITS: &[(char, Unit)] = &[
    ('Y', Unit::Months(12)),
    ('M', Unit::Months(1)),
    ('W', Unit::Seconds(7 * 86_400)),
    ('D', Unit::Seconds(86_400)),
];
const TIME_UNITS: &[(char, Unit)] = &[
    ('H', Unit::Seconds(3_600)),
    ('M', Unit::Seconds(60)),
    ('S', Unit::Seconds(1)),
];

impl fmt::Display for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PeriodLength::Months(months) if months % 12 == 0 => write!(out, "P{}Y", months / 12),
            PeriodLength::Months(months) => write!(out, "P{months}M"),
            PeriodLength::Micros(micros) => write_exact(out, micros),
        }
    }
}

/// Lengths are read in whole seconds, so nothing is lost by writing them so.
fn write_exact(out: &mut fmt::Formatter<'_>, micros: i64) -> fmt::Result {
    let seconds = micros / MICROS_PER_SECOND;
    if seconds != 0 && seconds % 86_400 == 0 {
        write!(out, "P{}D", seconds / 86_400)
    } else if seconds != 0 && seconds % 3_600 == 0 {
        write!(out, "PT{}H", seconds / 3_600)
    } else {
        write!(out, "PT{seconds}S")
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer)
            }
        }
    )*};
}

as_text!(Length, Period);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_exact_and_at_most_a_hundred_years() {
        let read = |text: &str| text.parse::<Length>();
        assert_eq!(read("P36525D").map(Length::micros), Ok(LONGEST_MICROS));
        assert_eq!(read("P36525DT1S"), Err(PeriodError::OutOfRange));
        assert_eq!(read("PT0S"), Ok(Length::ZERO));
        assert_eq!(read("P1M"), Err(PeriodError::NotExact));
        assert_eq!(read("P1MT1S"), Err(PeriodError::NotExact));
        for wrong in [
            "P",
            "",
            "PT",
            "1D",
            "P1",
            "PD",
            "PT1D",
            "P1H",
            "P1D1W",
            "P1DT1HT1M",
        ] {
            assert_eq!(read(wrong), Err(PeriodError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn a_period_is_on_the_calendar_or_exact() {
        let read = |text: &str| text.parse::<Period>();
        assert_eq!(read("P1Y2M"), Period::months(14));
        assert_eq!(read("P100Y"), Period::months(1_200));
        assert_eq!(read("P100Y1M"), Err(PeriodError::OutOfRange));
        assert_eq!(read("P0M"), Err(PeriodError::OutOfRange));
        assert_eq!(read("PT0S"), Err(PeriodError::OutOfRange));
        assert_eq!(read("P36525DT1S"), Err(PeriodError::OutOfRange));
        assert_eq!(read("P2W"), Period::exact(Length::days(14)));
        assert_eq!(Period::months(1_201), Err(PeriodError::OutOfRange));
    }

    #[test]
    fn an_end_is_on_the_grid_or_not() {
        let at = |text: &str| -> Instant { text.parse().unwrap() };
        let anchor = at("2026-01-31T09:00:00Z");
        let month = Period::months(1).unwrap();
        assert!(month.has_on_grid(anchor, anchor));
        assert!(month.has_on_grid(anchor, at("2026-02-28T09:00:00Z")));
        assert!(month.has_on_grid(anchor, at("2027-03-31T09:00:00Z")));
        assert!(!month.has_on_grid(anchor, at("2026-02-28T09:00:01Z")));
        assert!(!month.has_on_grid(anchor, at("2025-12-31T09:00:00Z")));
        let week = Period::exact(Length::days(7)).unwrap();
        assert!(week.has_on_grid(anchor, at("2026-02-14T09:00:00Z")));
        assert!(!week.has_on_grid(anchor, at("2026-02-15T09:00:00Z")));
        assert!(!week.has_on_grid(anchor, at("2026-01-24T09:00:00Z")));
    }

    #[test]
    fn a_length_is_written_as_it_is_read() {
        for text in ["P3D", "PT36H", "PT90S", "PT0S", "P36525D"] {
            let length: Length = text.parse().unwrap();
            assert_eq!(length.to_string(), text);
        }
        for text in ["P1Y", "P14M", "P1M", "P7D", "PT5S"] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.to_string(), text);
        }
    }
}
