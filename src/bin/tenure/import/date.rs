//! Times as files of other systems write them: a day means another instant in each time zone.

use chrono::format::{Item, StrftimeItems};
use chrono::{
    DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _,
};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use tenure::{Instant, TimeError};

use crate::failure::Failure;

/// How the dates of a file are read.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    zone: Option<TimeZone>,
    format: Option<String>,
}

/// Which end of a day a date without a time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// Its first instant.
    Begin,
    /// The first instant after it: the day itself still counts.
    After,
}

impl Edge {
    /// The midnight that is this edge of a day.
    fn of_day(self, day: NaiveDate, text: &str) -> Result<NaiveDateTime, String> {
        let day = match self {
            Self::Begin => Some(day),
            Self::After => day.checked_add_days(Days::new(1)),
        };
        let day = day.ok_or_else(|| out_of_range(text))?;
        Ok(day.and_time(NaiveTime::MIN))
    }
}

impl Calendar {
    pub(crate) fn new(zone: Option<&str>, format: Option<&str>) -> Result<Self, Failure> {
        let zone = zone.map(|name| {
            // Those that are built in, so that a list says the same on any machine.
            TimeZoneDatabase::bundled().get(name).map_err(|_| {
                Failure::Usage(format!(
                    "--zone `{name}` is no time zone: write it as Europe/Berlin, America/New_York or UTC"
                ))
            })
        });
        if let Some(format) = format
            && (StrftimeItems::new(format).any(|item| item == Item::Error) || !format.contains('%'))
        {
            return Err(Failure::Usage(format!(
                "--date-format `{format}` is no format: write it as '%d.%m.%Y', or '%m/%d/%Y %H:%M' with a time"
            )));
        }
        Ok(Self {
            zone: zone.transpose()?,
            format: format.map(str::to_owned),
        })
    }

    /// The instant a cell stands for, or why it stands for none.
    pub(crate) fn instant(&self, text: &str, edge: Edge) -> Result<Instant, String> {
        if self.format.is_none() && text.contains([':', 'T']) {
            match text.parse::<Instant>() {
                Err(TimeError::OutOfRange) => return Err(out_of_range(text)),
                Ok(instant) if has_offset(text) => return self.whole_day(instant, text, edge),
                Ok(_) | Err(TimeError::Malformed) => {}
            }
        }
        if let Some(format) = &self.format
            && let Ok(instant) = DateTime::parse_from_str(text, format)
        {
            let instant = micros(instant.timestamp_micros(), text)?;
            return self.whole_day(instant, text, edge);
        }
        let local = self.local(text, edge)?;
        let zone = self.zone.as_ref().ok_or_else(|| {
            format!("`{text}` is a time of some time zone: say which with --zone, as Europe/Berlin")
        })?;
        resolved(zone, local, text)
    }

    /// A last day counts as a whole, whatever time of it is named.
    fn whole_day(&self, instant: Instant, text: &str, edge: Edge) -> Result<Instant, String> {
        if edge == Edge::Begin {
            return Ok(instant);
        }
        let zone = self.zone.as_ref().ok_or_else(|| {
            format!("`{text}` names a last day: say of which time zone with --zone, or map it to `until`")
        })?;
        let after = day_of(zone, instant)
            .ok_or_else(|| out_of_range(text))
            .and_then(|day| edge.of_day(day, text))?;
        resolved(zone, after, text)
    }

    fn local(&self, text: &str, edge: Edge) -> Result<NaiveDateTime, String> {
        let day = |format: &str| NaiveDate::parse_from_str(text, format);
        let time = |format: &str| NaiveDateTime::parse_from_str(text, format);
        let (found, expected) = match &self.format {
            Some(format) => (
                time(format).map_err(|_| day(format)),
                format!("of the form `{format}`"),
            ),
            None => {
                let formats = [
                    "%Y-%m-%dT%H:%M:%S%.f",
                    "%Y-%m-%d %H:%M:%S%.f",
                    "%Y-%m-%d %H:%M",
                ];
                let found = formats.iter().find_map(|format| time(format).ok());
                (
                    found.ok_or_else(|| day("%Y-%m-%d")),
                    "as 2026-05-31; --date-format says how else it is written".to_owned(),
                )
            }
        };
        match found {
            Ok(time) if edge == Edge::Begin => Ok(time),
            Ok(time) => edge.of_day(time.date(), text),
            Err(Ok(day)) => edge.of_day(day, text),
            Err(Err(_)) => Err(format!("`{text}` is no date {expected}")),
        }
    }
}

/// The day on which the instant falls in the zone.
fn day_of(zone: &TimeZone, instant: Instant) -> Option<NaiveDate> {
    let utc = DateTime::from_timestamp_micros(instant.micros())?;
    // A few hours at the end of the year 9999 are beyond what the zones know; nothing changes in them.
    let known = utc.timestamp().min(jiff::Timestamp::MAX.as_second());
    let offset = zone.to_offset(jiff::Timestamp::from_second(known).ok()?);
    let local = utc.naive_utc().checked_add_signed(length(offset)?)?;
    Some(local.date())
}

fn resolved(zone: &TimeZone, local: NaiveDateTime, text: &str) -> Result<Instant, String> {
    let found = micros_of(zone, local).ok_or_else(|| out_of_range(text))?;
    micros(found, text)
}

/// Clocks that go back say a time twice: the first one counts. Clocks that go forward leave times out: what they leave out
/// is the instant at which they go forward.
fn micros_of(zone: &TimeZone, local: NaiveDateTime) -> Option<i64> {
    let at = |offset| {
        let utc = local.checked_sub_signed(length(offset)?)?;
        Some(utc.and_utc().timestamp_micros())
    };
    match zone.to_ambiguous_timestamp(known(local)?).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            at(offset)
        }
        AmbiguousOffset::Gap { before, .. } => {
            // By the clocks as they were before, what was left out comes when they have gone forward.
            let after = jiff::Timestamp::from_microsecond(at(before)?.checked_add(1)?).ok()?;
            let forward = zone.preceding(after).next()?;
            Some(forward.timestamp().as_microsecond())
        }
    }
}

/// The time as zones know it. They end shortly before the year 10000, and nothing changes in the last of its days.
fn known(local: NaiveDateTime) -> Option<civil::DateTime> {
    let last = civil::date(9999, 12, 30).at(0, 0, 0, 0);
    if local.year() > 9999 {
        return Some(last);
    }
    let year = i16::try_from(local.year()).ok()?;
    let (month, day) = (i8::try_from(local.month()), i8::try_from(local.day()));
    let (hour, minute) = (i8::try_from(local.hour()), i8::try_from(local.minute()));
    let second = i8::try_from(local.second());
    let date = civil::Date::new(year, month.ok()?, day.ok()?).ok()?;
    let time = civil::Time::new(hour.ok()?, minute.ok()?, second.ok()?, 0).ok()?;
    Some(date.to_datetime(time).min(last))
}

fn length(offset: Offset) -> Option<TimeDelta> {
    TimeDelta::try_seconds(i64::from(offset.seconds()))
}

fn micros(micros: i64, text: &str) -> Result<Instant, String> {
    Instant::from_micros(micros).map_err(|_| out_of_range(text))
}

fn out_of_range(text: &str) -> String {
    format!("`{text}` lies outside the years 1 to 9999")
}

/// Whether a time that can be read says how far it is from UTC.
fn has_offset(text: &str) -> bool {
    let time = text.get(10..).unwrap_or_default();
    time.ends_with(['Z', 'z']) || time.contains(['+', '-'])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::{Calendar, Edge};

    fn read(zone: Option<&str>, format: Option<&str>, text: &str, edge: Edge) -> String {
        let calendar = Calendar::new(zone, format).unwrap();
        match calendar.instant(text, edge) {
            Ok(instant) => instant.to_string(),
            Err(error) => error,
        }
    }

    #[test]
    fn a_day_has_the_edges_of_its_zone() {
        for (zone, text, begin, after) in [
            (
                "Europe/Berlin",
                "2026-05-31",
                "2026-05-30T22:00:00Z",
                "2026-05-31T22:00:00Z",
            ),
            (
                "Europe/Berlin",
                "2026-01-31",
                "2026-01-30T23:00:00Z",
                "2026-01-31T23:00:00Z",
            ),
            // 25 hours: the clocks go back on that day.
            (
                "Europe/Berlin",
                "2026-10-25",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                "America/New_York",
                "2026-05-31",
                "2026-05-31T04:00:00Z",
                "2026-06-01T04:00:00Z",
            ),
            (
                "UTC",
                "2028-02-29",
                "2028-02-29T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
            // The clocks went from 24:00 to 01:00: the day began at one o'clock.
            (
                "America/Sao_Paulo",
                "2018-11-04",
                "2018-11-04T03:00:00Z",
                "2018-11-05T02:00:00Z",
            ),
            (
                "America/Sao_Paulo",
                "2018-11-03",
                "2018-11-03T03:00:00Z",
                "2018-11-04T03:00:00Z",
            ),
            // The clocks went from 01:00 back to 00:00: midnight came twice, and the day began at the first.
            (
                "America/Havana",
                "2025-11-02",
                "2025-11-02T04:00:00Z",
                "2025-11-03T05:00:00Z",
            ),
            // This day was left out.
            (
                "Pacific/Apia",
                "2011-12-30",
                "2011-12-30T10:00:00Z",
                "2011-12-30T10:00:00Z",
            ),
        ] {
            assert_eq!(
                read(Some(zone), None, text, Edge::Begin),
                begin,
                "{zone} {text}"
            );
            assert_eq!(
                read(Some(zone), None, text, Edge::After),
                after,
                "{zone} {text}"
            );
        }
    }

    #[test]
    fn a_time_is_taken_as_it_is() {
        for (zone, format, text, expected) in [
            (
                None,
                None,
                "2026-05-31T12:00:00+02:00",
                "2026-05-31T10:00:00Z",
            ),
            (None, None, "2026-05-31T12:00:00Z", "2026-05-31T12:00:00Z"),
            (
                Some("Europe/Berlin"),
                None,
                "2026-05-31T12:00:00",
                "2026-05-31T10:00:00Z",
            ),
            (
                Some("Europe/Berlin"),
                None,
                "2026-05-31 12:00",
                "2026-05-31T10:00:00Z",
            ),
            (
                Some("Europe/Berlin"),
                Some("%d.%m.%Y"),
                "31.5.2026",
                "2026-05-30T22:00:00Z",
            ),
            (
                Some("Europe/Berlin"),
                Some("%d.%m.%Y %H:%M"),
                "31.05.2026 12:00",
                "2026-05-31T10:00:00Z",
            ),
            (
                None,
                Some("%d/%b/%Y %H:%M %z"),
                "31/May/2026 12:00 +0200",
                "2026-05-31T10:00:00Z",
            ),
            // Said twice: the first. Left out: where the clocks go forward.
            (
                Some("Europe/Berlin"),
                None,
                "2026-10-25T02:30:00",
                "2026-10-25T00:30:00Z",
            ),
            (
                Some("Europe/Berlin"),
                None,
                "2026-03-29T02:30:00",
                "2026-03-29T01:00:00Z",
            ),
        ] {
            assert_eq!(read(zone, format, text, Edge::Begin), expected, "{text}");
        }
    }

    #[test]
    fn a_last_day_counts_as_a_whole_whatever_time_is_named() {
        let berlin = Some("Europe/Berlin");
        for text in [
            "2026-05-31",
            "2026-05-31 00:00",
            "2026-05-31T12:00:00",
            "2026-05-31T12:00:00+02:00",
        ] {
            let end = read(berlin, None, text, Edge::After);
            assert_eq!(end, "2026-05-31T22:00:00Z", "{text}");
        }
        let unzoned = read(None, None, "2026-05-31T12:00:00Z", Edge::After);
        assert!(unzoned.contains("--zone"), "{unzoned}");
    }

    #[test]
    fn the_last_days_there_are_can_be_told() {
        for (zone, text, expected) in [
            ("UTC", "9999-12-31", "9999-12-31T00:00:00Z"),
            ("UTC", "9999-12-31 23:59", "9999-12-31T23:59:00Z"),
            ("Europe/Berlin", "9999-12-31", "9999-12-30T23:00:00Z"),
            ("America/New_York", "9999-12-31", "9999-12-31T05:00:00Z"),
        ] {
            assert_eq!(
                read(Some(zone), None, text, Edge::Begin),
                expected,
                "{zone}"
            );
        }
        let (berlin, last) = (Some("Europe/Berlin"), "9999-12-31T10:00:00Z");
        assert_eq!(
            read(berlin, None, last, Edge::After),
            "9999-12-31T23:00:00Z"
        );
        let beyond = read(
            Some("America/New_York"),
            None,
            "9999-12-31 20:00",
            Edge::Begin,
        );
        assert!(beyond.contains("outside the years"), "{beyond}");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let berlin = Some("Europe/Berlin");
        for (zone, format, text, why) in [
            (None, None, "2026-05-31", "--zone"),
            (None, None, "2026-05-31T12:00:00", "--zone"),
            (berlin, None, "31.05.2026", "no date as 2026-05-31"),
            (berlin, None, "2026-02-30", "no date"),
            (berlin, None, "never", "no date"),
            (Some("UTC"), None, "9999-12-31", "outside the years"),
            (berlin, None, "10000-01-01T00:00:00Z", "outside the years"),
            (berlin, Some("%d.%m.%Y"), "2026-05-31", "`%d.%m.%Y`"),
            (
                berlin,
                Some("%d.%m.%Y"),
                "31.05.2026 and more",
                "`%d.%m.%Y`",
            ),
        ] {
            let told = read(zone, format, text, Edge::After);
            assert!(told.contains(why), "{text}: {told}");
        }
        assert!(Calendar::new(Some("Berlin"), None).is_err());
        assert!(Calendar::new(None, Some("%Q")).is_err());
        assert!(Calendar::new(None, Some("DD.MM.YYYY")).is_err());
    }
}
