//! Times as people write them: RFC 3339, a date, `now`, or relative to now; and as they read them.

use tenure::{Instant, TimeError};

/// The instant a text stands for. Total: whatever the text is, there is an answer.
pub(crate) fn moment(text: &str, now: Instant) -> Result<Instant, TimeError> {
    match text.as_bytes() {
        b"now" => Ok(now),
        [b'+' | b'-', ..] => relative(text, now),
        _ => fixed(text),
    }
}

/// The instant of a text that means the same whenever it is read: RFC 3339, or a date, which is its midnight in UTC.
pub(crate) fn fixed(text: &str) -> Result<Instant, TimeError> {
    if is_date(text) {
        return format!("{text}T00:00:00Z").parse();
    }
    text.parse()
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// A sign, digits and a unit: `-3d`, `+1h`.
fn relative(text: &str, now: Instant) -> Result<Instant, TimeError> {
    let (unit, number) = split_unit(text).ok_or(TimeError::Malformed)?;
    let seconds = match unit {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 7 * 86_400,
        _ => return Err(TimeError::Malformed),
    };
    let digits = number.get(1..).filter(|digits| !digits.is_empty());
    if !digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(TimeError::Malformed);
    }
    // Only digits are left, so what cannot be read is too large.
    let number: i64 = number.parse().map_err(|_| TimeError::OutOfRange)?;
    let micros = number
        .checked_mul(seconds * 1_000_000)
        .and_then(|micros| now.micros().checked_add(micros));
    Instant::from_micros(micros.ok_or(TimeError::OutOfRange)?)
}

fn split_unit(text: &str) -> Option<(u8, &str)> {
    let unit = *text.as_bytes().last()?;
    let number = text.get(..text.len().checked_sub(1)?)?;
    Some((unit, number))
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The instant as it is read out: `3 March 2026, 09:00 UTC`. Nobody reads out seconds: they are cut off.
pub(crate) fn in_words(instant: Instant) -> String {
    let text = instant.to_string();
    read_out(&text).unwrap_or(text)
}

fn read_out(text: &str) -> Option<String> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (year, rest) = date.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let day = day.trim_start_matches('0');
    let mut parts = time.split(':');
    let (hour, minute) = (parts.next()?, parts.next()?);
    Some(format!("{day} {month} {year}, {hour}:{minute} UTC"))
}

#[cfg(test)]
mod tests {
    use tenure::{Instant, TimeError};

    use super::{in_words, moment};

    #[test]
    fn an_instant_is_read_out() -> Result<(), TimeError> {
        for (text, read) in [
            ("2026-03-03T09:00:00Z", "3 March 2026, 09:00 UTC"),
            ("2026-12-31T23:59:05Z", "31 December 2026, 23:59 UTC"),
            ("2026-01-20T00:00:00.5Z", "20 January 2026, 00:00 UTC"),
        ] {
            assert_eq!(in_words(text.parse()?), read);
        }
        Ok(())
    }

    fn shown(text: &str) -> Result<String, TimeError> {
        let now = Instant::from_micros(1_768_435_200_000_000)?;
        moment(text, now).map(|instant| instant.to_string())
    }

    #[test]
    fn every_form_is_read() {
        for (text, expected) in [
            ("now", "2026-01-15T00:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("0001-01-01", "0001-01-01T00:00:00Z"),
            ("2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00Z"),
            ("2026-01-31T10:00:00.5Z", "2026-01-31T10:00:00.5Z"),
            ("-3d", "2026-01-12T00:00:00Z"),
            ("+1h", "2026-01-15T01:00:00Z"),
            ("-90s", "2026-01-14T23:58:30Z"),
            ("+2m", "2026-01-15T00:02:00Z"),
            ("+1w", "2026-01-22T00:00:00Z"),
            ("-0d", "2026-01-15T00:00:00Z"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "-",
            "+",
            "d",
            "3d",
            "-d",
            "--3d",
            "+-3d",
            "-3",
            "-3x",
            "-3 d",
            "-3.5d",
            "- 3d",
            "-3ä",
            "-٣d",
            "Now",
            "yesterday",
            "2026-02-30",
            "2026-1-5",
            "2026-01-15T24:00:00Z",
            "1768435200",
        ] {
            assert_eq!(shown(text), Err(TimeError::Malformed), "{text}");
        }
        for text in [
            "+99999999999999999999d",
            "-9223372036854775807w",
            "+9000w0d",
            "-800000d",
        ] {
            assert!(shown(text).is_err(), "{text}");
        }
        assert_eq!(shown("+9223372036854775807s"), Err(TimeError::OutOfRange));
        assert_eq!(shown("0000-01-01"), Err(TimeError::OutOfRange));
    }
}
