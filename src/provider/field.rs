//! Reading what a field holds: every refusal names the field by its path.

use std::borrow::Cow;
use std::str::FromStr;

use super::value::Scalar;
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::id::{DedupeKey, IdError, LONGEST_ID, ResourceName, UserId};
use crate::domain::time::{Instant, Period, TimeError};

/// A field of a body, called by its path.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    path: &'static str,
    value: &'a Scalar<'a>,
}

impl<'a> Scalar<'a> {
    /// The field of that path holds this.
    pub(super) fn at(&'a self, path: &'static str) -> Field<'a> {
        Field { path, value: self }
    }
}

impl<'a> Field<'a> {
    /// A refusal of this field.
    pub(super) fn refuse(self, reason: Reason, detail: &str) -> Refusal {
        Refusal::new(reason, self.path, detail)
    }

    /// Whether the key is absent: `null` may mean something else.
    pub(super) fn is_absent(self) -> bool {
        *self.value == Scalar::Missing
    }

    /// Whether nothing stands there.
    pub(super) fn is_none(self) -> bool {
        matches!(self.value, Scalar::Missing | Scalar::Null)
    }

    /// What was read, or a refusal if there was nothing to read.
    pub(super) fn required<T>(self, read: Option<T>) -> Result<T, Refusal> {
        read.ok_or_else(|| self.refuse(Reason::MissingField, "absent or null"))
    }

    /// This field if something stands there, else the other one if something stands there; with neither, what is missing
    /// is this one.
    pub(super) fn or(self, other: Self) -> Self {
        if self.is_none() && !other.is_none() {
            return other;
        }
        self
    }

    /// The text of an id, unchecked; a whole number in its decimal form.
    pub(super) fn id_text(self) -> Result<Option<Cow<'a, str>>, Refusal> {
        match self.value {
            Scalar::Missing | Scalar::Null => Ok(None),
            Scalar::Text(text) => Ok(Some(Cow::Borrowed(text.as_ref()))),
            Scalar::Integer(number) => Ok(Some(Cow::Owned(number.to_string()))),
            Scalar::Bool(_) | Scalar::Float | Scalar::Other => {
                Err(self.refuse(Reason::BadField, "not an id: a text or a whole number"))
            }
        }
    }

    /// An id. Some systems write theirs as numbers: a whole one is taken in its decimal form.
    pub(super) fn id<I: FromStr<Err = IdError>>(self) -> Result<Option<I>, Refusal> {
        let text = self.id_text()?;
        let id = text.map(|text| text.parse::<I>()).transpose();
        id.map_err(|error| self.refuse(Reason::BadId, &error.to_string()))
    }

    /// An id that has to be there.
    pub(super) fn required_id<I: FromStr<Err = IdError>>(self) -> Result<I, Refusal> {
        self.required(self.id()?)
    }

    /// A dedupe key that has to be there, as the log shows it.
    pub(super) fn required_key(self) -> Result<DedupeKey, Refusal> {
        let text = self.required(self.id_text()?)?;
        DedupeKey::new(&text).map_err(|error| self.refuse(Reason::BadId, &error.to_string()))
    }

    /// The id of an event, which has to be there, as the key of its delivery. An id like any other, so that a GUID in
    /// capitals is the same event.
    pub(super) fn required_event_id(self) -> Result<DedupeKey, Refusal> {
        let id: ResourceName = self.required_id()?;
        DedupeKey::new(id.as_str()).map_err(|error| self.refuse(Reason::BadId, &error.to_string()))
    }

    /// The id of a user, with the source's prefix before it.
    pub(super) fn user(self, prefix: &str) -> Result<Option<UserId>, Refusal> {
        let Some(user) = self.id::<UserId>()? else {
            return Ok(None);
        };
        if prefix.is_empty() {
            return Ok(Some(user));
        }
        let prefixed = UserId::new(&format!("{prefix}{user}"));
        let refused = |error: IdError| {
            self.refuse(Reason::BadId, &format!("with the source's prefix: {error}"))
        };
        prefixed.map(Some).map_err(refused)
    }

    /// Refuses any tenant but this one, and none.
    pub(super) fn names_tenant(self, tenant: &str) -> Result<(), Refusal> {
        // Both are read as ids, so that a GUID in capitals is the same tenant.
        match self.id::<ResourceName>()? {
            Some(named)
                if tenant
                    .parse()
                    .is_ok_and(|tenant: ResourceName| tenant == named) =>
            {
                Ok(())
            }
            Some(_) | None => Err(self.refuse(Reason::WrongTenant, "not the source's tenant")),
        }
    }

    /// A text.
    pub(super) fn text(self) -> Result<Option<&'a str>, Refusal> {
        match self.value {
            Scalar::Missing | Scalar::Null => Ok(None),
            Scalar::Text(text) => Ok(Some(text)),
            Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float | Scalar::Other => {
                Err(self.refuse(Reason::BadField, "not a text"))
            }
        }
    }

    /// The name of a kind of event: a text, held to the limits of an id since it is stored and shown.
    pub(super) fn name(self) -> Result<Option<&'a str>, Refusal> {
        let Some(name) = self.text()? else {
            return Ok(None);
        };
        if name.is_empty() || name.len() > LONGEST_ID || name.chars().any(char::is_control) {
            let detail = "a name has 1 to 256 bytes and no control characters";
            return Err(self.refuse(Reason::BadId, detail));
        }
        Ok(Some(name))
    }

    /// `true` or `false`.
    pub(super) fn flag(self) -> Result<Option<bool>, Refusal> {
        match self.value {
            Scalar::Missing | Scalar::Null => Ok(None),
            Scalar::Bool(flag) => Ok(Some(*flag)),
            Scalar::Integer(_) | Scalar::Float | Scalar::Text(_) | Scalar::Other => {
                Err(self.refuse(Reason::BadField, "neither true nor false"))
            }
        }
    }

    /// The number of a time given in seconds (or milliseconds) since 1970, as a number or in digits.
    fn epoch(self) -> Option<i128> {
        match self.value {
            Scalar::Integer(number) => Some(*number),
            Scalar::Text(text) => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                // Whatever is too long for the type is out of range all the same.
                let limit = if text.starts_with('-') {
                    i128::MIN
                } else {
                    i128::MAX
                };
                is_number.then(|| text.parse().unwrap_or(limit))
            }
            Scalar::Missing | Scalar::Null | Scalar::Bool(_) | Scalar::Float | Scalar::Other => {
                None
            }
        }
    }

    /// Whether it is a time before 1970, however far.
    pub(super) fn is_negative_time(self) -> bool {
        match self.epoch() {
            Some(number) => number < 0,
            None => matches!(self.instant(), Ok(Some(instant)) if instant < Instant::EPOCH),
        }
    }

    /// A time: seconds since 1970, RFC 3339, or the same without an offset.
    pub(super) fn instant(self) -> Result<Option<Instant>, Refusal> {
        let read = match (self.epoch(), self.value) {
            (Some(number), _) => i64::try_from(number)
                .map_err(|_| TimeError::OutOfRange)
                .and_then(Instant::from_epoch),
            (None, Scalar::Text(text)) => text.parse(),
            (None, Scalar::Missing | Scalar::Null) => return Ok(None),
            (None, Scalar::Float) => Err(TimeError::Malformed),
            (None, Scalar::Integer(_) | Scalar::Bool(_) | Scalar::Other) => {
                return Err(self.refuse(Reason::BadField, "not a time: a text or a whole number"));
            }
        };
        read.map(Some).map_err(|error| {
            let reason = match error {
                TimeError::Malformed => Reason::BadTime,
                TimeError::OutOfRange => Reason::TimeOutOfRange,
            };
            self.refuse(reason, &error.to_string())
        })
    }

    /// A period of ISO 8601.
    pub(super) fn period(self) -> Result<Option<Period>, Refusal> {
        let period = self.text()?.map(str::parse).transpose();
        period.map_err(|error: crate::domain::time::PeriodError| {
            self.refuse(Reason::BadPeriod, &error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::*;

    fn text(text: &str) -> Scalar<'_> {
        Scalar::Text(Cow::Borrowed(text))
    }

    fn outcome<T>(read: Result<T, Refusal>) -> Result<T, Reason> {
        read.map_err(|refusal| refusal.reason)
    }

    #[test]
    fn times_come_in_many_forms() {
        let instant = |seconds| Ok(Some(Instant::from_epoch(seconds).unwrap()));
        let cases = [
            (Scalar::Missing, Ok(None)),
            (Scalar::Null, Ok(None)),
            (Scalar::Integer(1_700_000_000), instant(1_700_000_000)),
            (Scalar::Integer(1_700_000_000_000), instant(1_700_000_000)),
            (text("1700000000"), instant(1_700_000_000)),
            (text("-1"), instant(-1)),
            (text("2023-11-14T22:13:20Z"), instant(1_700_000_000)),
            (text("2023-11-14T22:13:20.0000000"), instant(1_700_000_000)),
            (text("2023-11-14T23:13:20+01:00"), instant(1_700_000_000)),
            (text(""), Err(Reason::BadTime)),
            (text("-"), Err(Reason::BadTime)),
            (text("soon"), Err(Reason::BadTime)),
            (text("2023-02-30T00:00:00Z"), Err(Reason::BadTime)),
            (text("2023-01-01T23:59:60Z"), Err(Reason::BadTime)),
            (Scalar::Float, Err(Reason::BadTime)),
            (Scalar::Integer(i128::MAX), Err(Reason::TimeOutOfRange)),
            (
                Scalar::Integer(i64::MAX.into()),
                Err(Reason::TimeOutOfRange),
            ),
            (text("0000-01-01T00:00:00Z"), Err(Reason::TimeOutOfRange)),
            (Scalar::Bool(true), Err(Reason::BadField)),
            (Scalar::Other, Err(Reason::BadField)),
        ];
        for (value, expected) in cases {
            assert_eq!(outcome(value.at("t").instant()), expected, "{value:?}");
        }
        let endless = "9".repeat(1000);
        let read = text(&endless).at("t").instant();
        assert_eq!(outcome(read), Err(Reason::TimeOutOfRange));
    }

    #[test]
    fn a_time_before_1970_is_negative_however_it_is_written() {
        let minus = format!("-{}", "9".repeat(1000));
        for (value, expected) in [
            (Scalar::Integer(-1), true),
            (Scalar::Integer(i64::MIN.into()), true),
            (text("-1"), true),
            (text(&minus), true),
            (text("1969-12-31T23:59:59.999999Z"), true),
            (Scalar::Integer(0), false),
            (text("1970-01-01T00:00:00Z"), false),
            (text("soon"), false),
            (Scalar::Null, false),
        ] {
            assert_eq!(value.at("t").is_negative_time(), expected, "{value:?}");
        }
    }

    #[test]
    fn ids_are_texts_or_whole_numbers() {
        let read = |value: Scalar<'_>| outcome(value.at("i").id::<UserId>());
        let id = |text| Ok(Some(UserId::new(text).unwrap()));
        assert_eq!(read(Scalar::Integer(42)), id("42"));
        assert_eq!(read(text("u1")), id("u1"));
        assert_eq!(read(Scalar::Null), Ok(None));
        assert_eq!(read(text("")), Err(Reason::BadId));
        assert_eq!(read(text("a\nb")), Err(Reason::BadId));
        for value in [Scalar::Float, Scalar::Bool(true), Scalar::Other] {
            assert_eq!(read(value), Err(Reason::BadField));
        }
    }

    #[test]
    fn a_prefix_goes_before_the_checked_id() {
        let guid = "0A0B0C0D-0000-0000-0000-00000000000F";
        let user = text(guid).at("u").user("p:").unwrap().unwrap();
        assert_eq!(user.as_str(), format!("p:{}", guid.to_lowercase()));
        let long = "x".repeat(LONGEST_ID);
        assert!(text(&long).at("u").user("").is_ok());
        assert_eq!(outcome(text(&long).at("u").user("p")), Err(Reason::BadId));
        assert_eq!(outcome(text("").at("u").user("p")), Err(Reason::BadId));
    }

    #[test]
    fn a_tenant_in_capitals_is_the_same_only_as_a_guid() {
        let guid = "0A0B0C0D-0000-0000-0000-00000000000F";
        assert!(
            text(&guid.to_lowercase())
                .at("aid")
                .names_tenant(guid)
                .is_ok()
        );
        let other = outcome(text("abc").at("aid").names_tenant("ABC"));
        assert_eq!(other, Err(Reason::WrongTenant));
        let none = outcome(Scalar::Missing.at("aid").names_tenant("ABC"));
        assert_eq!(none, Err(Reason::WrongTenant));
    }

    #[test]
    fn periods_are_texts() {
        assert!(text("P1M").at("p").period().unwrap().is_some());
        assert_eq!(
            outcome(text("P1M1D").at("p").period()),
            Err(Reason::BadPeriod)
        );
        let number = outcome(Scalar::Integer(30).at("p").period());
        assert_eq!(number, Err(Reason::BadField));
    }
}
