//! Instants, ends, periods and lengths: the only place that knows the calendar.
//!
//! Everything inside Tenure is UTC microseconds in an `i64`, from year 1 to year 9999. A value outside is refused where it
//! enters, so no sum inside can overflow and no formatted instant fails to be read back.

use std::fmt;

use chrono::{DateTime, Datelike as _, NaiveDate};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::from_text;

mod period;

pub use period::{Length, Period, PeriodError};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 0001-01-01T00:00:00Z.
const FIRST_MICROS: i64 = -62_135_596_800 * MICROS_PER_SECOND;
/// 9999-12-31T23:59:59.999999Z.
const LAST_MICROS: i64 = 253_402_300_799 * MICROS_PER_SECOND + 999_999;
/// Above this an epoch number is in milliseconds: as seconds it would be a date in year 42,970.
const LARGEST_EPOCH_SECONDS: i64 = 1_293_858_000_000;

/// A point in time: UTC, microsecond resolution, years 1 to 9999.
///
/// ```
/// use tenure::Instant;
/// let instant: Instant = "2026-01-15T01:30:00.250+01:00".parse()?;
/// assert_eq!(instant.to_string(), "2026-01-15T00:30:00.25Z");
/// assert_eq!(instant.micros(), 1_768_437_000_250_000);
/// # Ok::<(), tenure::TimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// Why a text or a number is not an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text is not of a known form, or names a day or second that does not exist (30 February, second 60).
    #[error("not a time: expected RFC 3339 such as `2026-01-15T00:00:00Z`")]
    Malformed,
    /// A well-formed time before year 1 or after year 9999.
    #[error("time outside the years 1 to 9999")]
    OutOfRange,
}

impl Instant {
    /// The first instant of year 1.
    pub const FIRST: Self = Self(FIRST_MICROS);
    /// The last microsecond of year 9999.
    pub const LAST: Self = Self(LAST_MICROS);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The instant that many microseconds after 1970 (before, if negative).
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`] outside the years 1 to 9999.
    pub const fn from_micros(micros: i64) -> Result<Self, TimeError> {
        if micros < FIRST_MICROS || micros > LAST_MICROS {
            return Err(TimeError::OutOfRange);
        }
        Ok(Self(micros))
    }

    /// Reads a whole number of seconds since 1970. Numbers above 1,293,858,000,000 are milliseconds, as some systems
    /// send them.
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`] outside the years 1 to 9999.
    pub fn from_epoch(number: i64) -> Result<Self, TimeError> {
        let scale = if number > LARGEST_EPOCH_SECONDS {
            1_000
        } else {
            MICROS_PER_SECOND
        };
        let micros = number.checked_mul(scale).ok_or(TimeError::OutOfRange)?;
        Self::from_micros(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The next microsecond; the last instant stays where it is.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1).min(LAST_MICROS))
    }

    /// The previous microsecond; the first instant stays where it is.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1).max(FIRST_MICROS))
    }

    /// This instant moved later by `length`; past year 9999 there is no end.
    pub fn plus(self, length: Length) -> End {
        End::from_sum(self.0.checked_add(length.micros()))
    }

    /// This instant moved earlier by `length`, at the earliest [`Instant::FIRST`].
    #[must_use]
    pub fn minus(self, length: Length) -> Self {
        Self(self.0.saturating_sub(length.micros()).max(FIRST_MICROS))
    }

    /// The calendar date in UTC and the microseconds since its midnight.
    fn date_and_rest(self) -> Option<(NaiveDate, i64)> {
        let date = DateTime::from_timestamp_micros(self.0)?.date_naive();
        Some((date, self.0.rem_euclid(MICROS_PER_DAY)))
    }

    fn from_date(date: NaiveDate, micros_of_day: i64) -> Option<Self> {
        let days = i64::from(date.num_days_from_ce()).checked_sub(719_163)?;
        let micros = days
            .checked_mul(MICROS_PER_DAY)?
            .checked_add(micros_of_day)?;
        Self::from_micros(micros).ok()
    }
}

/// Reads RFC 3339, or a naive ISO time (taken as UTC) with 0 to 9 fraction digits; digits past the sixth are cut off.
impl std::str::FromStr for Instant {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if has_year_out_of_range(text) {
            return Err(TimeError::OutOfRange);
        }
        let mut rest = Cursor(text.as_bytes());
        let year = rest.number(4)?;
        rest.one_of(b"-")?;
        let month = rest.number(2)?;
        rest.one_of(b"-")?;
        let day = rest.number(2)?;
        rest.one_of(b"Tt ")?;
        let hour = rest.number(2)?;
        rest.one_of(b":")?;
        let minute = rest.number(2)?;
        rest.one_of(b":")?;
        let second = rest.number(2)?;
        let fraction = rest.fraction()?;
        let offset_minutes = rest.offset()?;
        if hour > 23 || minute > 59 || second > 59 {
            return Err(TimeError::Malformed);
        }
        if year == 0 {
            return Err(TimeError::OutOfRange);
        }
        let year = i32::try_from(year).map_err(|_| TimeError::Malformed)?;
        let date = NaiveDate::from_ymd_opt(year, month, day).ok_or(TimeError::Malformed)?;
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        let local = Self::from_date(date, seconds * MICROS_PER_SECOND + fraction)
            .ok_or(TimeError::OutOfRange)?;
        Self::from_micros(local.0 - offset_minutes * 60 * MICROS_PER_SECOND)
    }
}

/// Whether the text begins with a year of five or more digits, or with a sign, as ISO 8601 writes years beyond four digits.
fn has_year_out_of_range(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']);
    let year = unsigned.unwrap_or(text);
    let digits = year.bytes().take_while(u8::is_ascii_digit).count();
    let least = if unsigned.is_some() { 4 } else { 5 };
    digits >= least && year.as_bytes().get(digits) == Some(&b'-')
}

/// What of a time text is still to be read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn one_of(&mut self, allowed: &[u8]) -> Result<u8, TimeError> {
        self.next()
            .filter(|byte| allowed.contains(byte))
            .ok_or(TimeError::Malformed)
    }

    fn number(&mut self, digits: usize) -> Result<u32, TimeError> {
        let (digits, rest) = self
            .0
            .split_at_checked(digits)
            .ok_or(TimeError::Malformed)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(TimeError::Malformed);
        }
        self.0 = rest;
        let digits = digits.iter().map(|digit| u32::from(digit - b'0'));
        Ok(digits.fold(0, |value, digit| value * 10 + digit))
    }

    /// The fraction in microseconds, zero if there is none.
    fn fraction(&mut self) -> Result<i64, TimeError> {
        if self.0.first() != Some(&b'.') {
            return Ok(0);
        }
        self.next();
        let (mut micros, mut scale, mut digits) = (0, 100_000, 0);
        while let Some(digit) = self.0.first().filter(|byte| byte.is_ascii_digit()) {
            micros += i64::from(digit - b'0') * scale;
            scale /= 10;
            digits += 1;
            self.next();
        }
        if (1..=9).contains(&digits) {
            Ok(micros)
        } else {
            Err(TimeError::Malformed)
        }
    }

    /// Minutes east of UTC; a missing offset means UTC. Nothing may follow.
    fn offset(&mut self) -> Result<i64, TimeError> {
        let minutes = match self.next() {
            None | Some(b'Z' | b'z') => 0,
            Some(sign @ (b'+' | b'-')) => {
                let hours = self.number(2)?;
                self.one_of(b":")?;
                let minutes = self.number(2)?;
                if hours > 23 || minutes > 59 {
                    return Err(TimeError::Malformed);
                }
                let minutes = i64::from(hours * 60 + minutes);
                if sign == b'-' { -minutes } else { minutes }
            }
            Some(_) => return Err(TimeError::Malformed),
        };
        if self.0.is_empty() {
            Ok(minutes)
        } else {
            Err(TimeError::Malformed)
        }
    }
}

/// RFC 3339 in UTC with `Z` and as many fraction digits as needed.
impl fmt::Display for Instant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((date, rest)) = self.date_and_rest() else {
            return Err(fmt::Error);
        };
        let seconds = rest / MICROS_PER_SECOND;
        write!(
            out,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            date.year(),
            date.month(),
            date.day(),
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )?;
        let fraction = rest % MICROS_PER_SECOND;
        if fraction != 0 {
            let digits = format!("{fraction:06}");
            write!(out, ".{}", digits.trim_end_matches('0'))?;
        }
        out.write_str("Z")
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// When something holds in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EffectiveAt(pub Instant);

/// When the log took it. Strictly increases along the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordedAt(pub Instant);

/// Where access stops: an instant, which is no longer inside, or never.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The first instant without access.
    At(Instant),
    /// Unlimited.
    Never,
}

impl End {
    /// Whether `instant` lies before this end.
    pub fn is_after(self, instant: Instant) -> bool {
        Self::At(instant) < self
    }

    /// The instant, unless there is none.
    pub fn instant(self) -> Option<Instant> {
        match self {
            Self::At(instant) => Some(instant),
            Self::Never => None,
        }
    }

    /// This end moved later by `length`; past year 9999 it is unlimited.
    #[must_use]
    pub fn plus(self, length: Length) -> Self {
        match self {
            Self::At(instant) => instant.plus(length),
            Self::Never => Self::Never,
        }
    }

    /// The number kept in SQLite: microseconds since 1970, or `i64::MAX` for unlimited.
    pub fn micros(self) -> i64 {
        match self {
            Self::At(instant) => instant.micros(),
            Self::Never => i64::MAX,
        }
    }

    /// The reverse of [`End::micros`].
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`] for a number that is neither an instant nor `i64::MAX`.
    pub fn from_micros(micros: i64) -> Result<Self, TimeError> {
        if micros == i64::MAX {
            return Ok(Self::Never);
        }
        Instant::from_micros(micros).map(Self::At)
    }

    /// An end computed past year 9999 is unlimited. Sums only ever move later from an instant in range.
    fn from_sum(micros: Option<i64>) -> Self {
        micros
            .and_then(|micros| Instant::from_micros(micros).ok())
            .map_or(Self::Never, Self::At)
    }
}

impl From<Instant> for End {
    fn from(instant: Instant) -> Self {
        Self::At(instant)
    }
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(instant) => instant.fmt(out),
            Self::Never => out.write_str("never"),
        }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// An instant, or `null` for unlimited.
impl Serialize for End {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.instant().serialize(serializer)
    }
}

/// It has to be stated: to leave a field out is not to say that there is no end.
impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An optional value, in the eyes of serde, is also there where its field is missing.
        deserializer.deserialize_any(StatedEnd)
    }
}

struct StatedEnd;

impl Visitor<'_> for StatedEnd {
    type Value = End;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an instant, or null for unlimited")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<End, E> {
        text.parse().map(End::At).map_err(E::custom)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<End, E> {
        Ok(End::Never)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<End, E> {
        Ok(End::Never)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<i64, TimeError> {
        text.parse().map(Instant::micros)
    }

    #[test]
    fn an_offset_is_less_than_a_day() {
        const MINUTE: i64 = 60_000_000;
        let midnight = |offset: &str| read(&format!("1970-01-02T00:00:00{offset}"));
        let day = 1_440 * MINUTE;
        assert_eq!(midnight(""), Ok(day));
        assert_eq!(midnight("Z"), Ok(day));
        assert_eq!(midnight("+00:59"), Ok(day - 59 * MINUTE));
        assert_eq!(midnight("-01:30"), Ok(day + 90 * MINUTE));
        assert_eq!(midnight("+23:59"), Ok(day - 1_439 * MINUTE));
        assert_eq!(midnight("-23:00"), Ok(day + 1_380 * MINUTE));
        for wrong in [
            "+24:00", "-24:00", "+01:60", "+24:60", "+1:00", "+01", "+01:00Z", "ZZ",
        ] {
            assert_eq!(midnight(wrong), Err(TimeError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn each_part_of_a_time_has_its_bounds() {
        assert!(read("1970-01-01T23:59:59Z").is_ok());
        for wrong in ["24:00:00", "00:60:00", "00:00:60", "24:60:60"] {
            let text = format!("1970-01-01T{wrong}Z");
            assert_eq!(read(&text), Err(TimeError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_great_number_counts_milliseconds() {
        let seconds = Instant::from_epoch(1_700_000_000).map(Instant::micros);
        assert_eq!(seconds, Ok(1_700_000_000_000_000));
        let milliseconds = Instant::from_epoch(1_700_000_000_000).map(Instant::micros);
        assert_eq!(milliseconds, Ok(1_700_000_000_000_000));
        // The greatest number of seconds is beyond the year 9999; one more is a time of 2011.
        assert_eq!(
            Instant::from_epoch(LARGEST_EPOCH_SECONDS),
            Err(TimeError::OutOfRange)
        );
        let next = Instant::from_epoch(LARGEST_EPOCH_SECONDS + 1).map(Instant::micros);
        assert_eq!(next, Ok(1_293_858_000_001_000));
    }
}
