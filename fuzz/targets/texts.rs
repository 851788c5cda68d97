//! Texts: times and periods, mentions, cursors.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use tenure::domain::mention::{MOST_MENTIONS, mentions as found_in};
use tenure::{
    ChangesCursor, ChangesQuestion, EffectiveAt, End, EngineError, Instant, Length, Period,
    TimeError,
};

use super::files::small_history;
use super::{led, now};

/// The first byte says as what the rest is read: a text, or the bytes of numbers.
pub(crate) fn time(data: &[u8]) {
    let Some((kind, rest)) = led(data) else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match kind % 5 {
        0 => {
            if let Some(instant) = written_and_read::<Instant>(&text) {
                is_in_range(instant);
                is_as_json(instant);
            }
        }
        1 => {
            if let Some(period) = written_and_read::<Period>(&text) {
                is_as_json(period);
                periods_follow(period, numbers(b"\0\0\0\0\0\0\0\0"));
            }
        }
        2 => {
            if let Some(length) = written_and_read::<Length>(&text) {
                is_as_json(length);
                for instant in [Instant::FIRST, Instant::EPOCH, Instant::LAST] {
                    is_in_range(instant.minus(length));
                    assert!(instant.plus(length) >= End::At(instant));
                }
            }
        }
        3 => of_numbers(numbers(rest)),
        _ => {
            let period = text.split(' ').next().unwrap_or_default();
            if let Ok(period) = period.parse() {
                let behind = rest.iter().skip_while(|it| **it != b' ').skip(1);
                periods_follow(period, numbers(&behind.copied().collect::<Vec<u8>>()));
            }
        }
    }
}

/// What a text stands for, if it does; written and read again it is the same.
fn written_and_read<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Debug> + Display + PartialEq + Debug,
{
    let read: T = text.parse().ok()?;
    let written = read.to_string();
    let again: T = written.parse().expect("what is written is read");
    assert_eq!(again, read, "{text} is written as {written}");
    assert_eq!(again.to_string(), written);
    Some(read)
}

fn is_as_json<T>(value: T)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug,
{
    let text = serde_json::to_string(&value).expect("written");
    let read: T = serde_json::from_str(&text).expect("and read");
    assert_eq!(read, value, "{text}");
}

fn is_in_range(instant: Instant) {
    assert!((Instant::FIRST..=Instant::LAST).contains(&instant));
    assert!(instant.next() >= instant && instant.previous() <= instant);
}

/// Two numbers: the first eight bytes, and the next eight.
fn numbers(bytes: &[u8]) -> (i64, i64) {
    let number = |from: usize| {
        let mut padded = [0; 8];
        let given = bytes.iter().skip(from);
        padded.iter_mut().zip(given).for_each(|(to, by)| *to = *by);
        i64::from_be_bytes(padded)
    };
    (number(0), number(8))
}

fn of_numbers((one, other): (i64, i64)) {
    let is_inside = |it: i64| (Instant::FIRST.micros()..=Instant::LAST.micros()).contains(&it);
    match Instant::from_micros(one) {
        Ok(instant) => {
            assert!(is_inside(one) && instant.micros() == one);
            assert_eq!(written_and_read(&instant.to_string()), Some(instant));
            is_as_json(EffectiveAt(instant));
        }
        Err(error) => assert!(!is_inside(one) && error == TimeError::OutOfRange),
    }
    match End::from_micros(other) {
        Ok(End::Never) => assert_eq!(other, i64::MAX),
        Ok(end) => assert!(is_inside(other) && end.micros() == other),
        Err(_) => assert!(!is_inside(other) && other != i64::MAX),
    }
    if let Ok(instant) = Instant::from_epoch(one) {
        is_in_range(instant);
        // Seconds or milliseconds: whichever it was, nothing is lost.
        let micros = instant.micros();
        assert!(micros == one * 1_000 || micros == one * 1_000_000);
    }
}

/// Ends of one subscription rise, and lie on the grid of their anchor.
fn periods_follow(period: Period, (anchor, end): (i64, i64)) {
    let Ok(anchor) = Instant::from_micros(anchor) else {
        return;
    };
    let mut end = match End::from_micros(end) {
        Ok(End::At(instant)) if instant >= anchor => End::At(instant),
        Ok(_) | Err(_) => End::At(anchor),
    };
    let mut anchor = anchor;
    for _ in 0..14 {
        let (kept, next) = period.after(anchor, end);
        let Some(instant) = next.instant() else {
            return;
        };
        assert!(next > end, "{period} after {end} is {next}");
        assert!(period.has_on_grid(kept, instant), "{instant} is off {kept}");
        (anchor, end) = (kept, next);
    }
}

/// The first byte says the length of the prefix, which stands before the text.
pub(crate) fn mentions(data: &[u8]) {
    let Some((length, rest)) = led(data) else {
        return;
    };
    let (prefix, text) = rest.split_at((length % 8).min(rest.len()));
    let prefix = String::from_utf8_lossy(prefix);
    let found = found_in(text, &prefix);
    assert!(found.len() <= MOST_MENTIONS);
    assert!(found == found_in(text, &prefix), "found in two ways");
    let distinct: BTreeSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "a mention twice");
    for mention in &found {
        let mention = mention.as_str();
        assert!((1..=256).contains(&mention.len()) && !mention.chars().any(char::is_control));
    }
    // Whatever stands behind it, an id that is quoted before is found, also with the prefix.
    let mut led = b"{\"user\":\"Zz-1\",".to_vec();
    led.extend_from_slice(text);
    let found = found_in(&led, &prefix);
    let is_found = |text: &str| found.iter().any(|it| it.as_str() == text);
    assert!(is_found("Zz-1"), "an id at the beginning is not found");
    let prefixed = format!("{prefix}Zz-1");
    assert!(prefixed.chars().any(char::is_control) || is_found(&prefixed));
}

/// The first byte says whether the rest is the text of a cursor, or the JSON within it.
pub(crate) fn cursor(data: &[u8]) {
    let Some((kind, rest)) = led(data) else {
        return;
    };
    let text = match kind % 2 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        _ => base64(rest),
    };
    let Some(cursor) = written_and_read::<ChangesCursor>(&text) else {
        return;
    };
    // The question it belongs to is not known, but its beginning mostly is the first one.
    let engine = small_history();
    let mut reader = engine.reader().expect("a reader");
    let json: serde_json::Value = serde_json::to_value(&cursor).expect("JSON");
    let of = |name: &str| json.get(name).and_then(|it| it.as_str());
    let question = ChangesQuestion {
        from: of("from")
            .and_then(|it| it.parse().ok())
            .unwrap_or(Instant::FIRST),
        to: now(),
        user: of("user").and_then(|it| it.parse().ok()),
        resource: of("resource").and_then(|it| it.parse().ok()),
        as_of: None,
    };
    match reader.changes_page(&question, Some(&cursor), 10) {
        Ok(page) => {
            assert!(page.turns.len() <= 10);
            let last = page.cursor.to_string();
            assert_eq!(last.parse().as_ref(), Ok(&page.cursor));
        }
        Err(EngineError::Cursor(_)) => {}
        Err(error) => panic!("a cursor brings the engine down: {error}"),
    }
}

/// Base64 for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let joined = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..=chunk.len() {
            let letter = joined >> (18 - 6 * place) & 63;
            text.push(char::from(LETTERS[usize::try_from(letter).unwrap_or(0)]));
        }
    }
    text
}
