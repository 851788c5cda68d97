//! Times as files of other systems write them: a day means another instant in each time zone.

use chrono::format::{Item, StrftimeItems};
use chrono::{
    DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _,
};
use chrono_tz::Tz;
use tenure::{Instant, TimeError};

use crate::failure::Failure;

/// How the dates of a file are read.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    zone: Option<Tz>,
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

/// A longer leap of the clocks than any zone has made.
const LONGEST_LEAP_MINUTES: i64 = 36 * 60;

impl Calendar {
    pub(crate) fn new(zone: Option<&str>, format: Option<&str>) -> Result<Self, Failure> {
        let zone = zone.map(|name| {
            name.parse::<Tz>().map_err(|_| {
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
        let zone = self.zone.ok_or_else(|| {
            format!("`{text}` is a time of some time zone: say which with --zone, as Europe/Berlin")
        })?;
        resolved(zone, local)
            .ok_or_else(|| out_of_range(text))
            .and_then(|found| micros(found, text))
    }

    /// A last day counts as a whole, whatever time of it is named.
    fn whole_day(&self, instant: Instant, text: &str, edge: Edge) -> Result<Instant, String> {
        if edge == Edge::Begin {
            return Ok(instant);
        }
        let zone = self.zone.ok_or_else(|| {
            format!("`{text}` names a last day: say of which time zone with --zone, or map it to `until`")
        })?;
        let utc = DateTime::from_timestamp_micros(instant.micros());
        let day = utc.map(|utc| utc.with_timezone(&zone).date_naive());
        let after = edge.of_day(day.ok_or_else(|| out_of_range(text))?, text)?;
        let found = resolved(zone, after).ok_or_else(|| out_of_range(text))?;
        micros(found, text)
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

/// Clocks that go back say a time twice: the first one counts. Clocks that go forward leave times out: what they leave out
/// is the instant at which they go forward.
fn resolved(zone: Tz, local: NaiveDateTime) -> Option<i64> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(found) | LocalResult::Ambiguous(found, _) => {
            Some(found.timestamp_micros())
        }
        LocalResult::None => {
            // Clocks go forward on a whole minute. The first one after it that there is was reached by going forward.
            let minutes = (1..=LONGEST_LEAP_MINUTES).filter_map(TimeDelta::try_minutes);
            let whole = local.and_utc().timestamp().div_euclid(60).checked_mul(60)?;
            let whole = DateTime::from_timestamp(whole, 0)?.naive_utc();
            let mut later = minutes.filter_map(|leap| whole.checked_add_signed(leap));
            later.find_map(|later| match zone.from_local_datetime(&later) {
                LocalResult::Single(found) | LocalResult::Ambiguous(found, _) => {
                    Some(found.timestamp_micros())
                }
                LocalResult::None => None,
            })
        }
    }
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
