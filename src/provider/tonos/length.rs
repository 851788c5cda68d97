//! For how long access is sold, in the vendor's words.

use super::super::value::Scalar;
use super::wire::AccessProvider;
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::time::Period;

/// How long one purchase lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    Unlimited,
    For(Period),
}

/// Where an access provider stands, for refusals.
pub(super) struct Paths {
    pub(super) whole: &'static str,
    unlimited_access: &'static str,
    duration_value: &'static str,
    duration_time: &'static str,
}

/// Beside the entity.
pub(super) const OF_DATA: Paths = Paths {
    whole: "data.productAccessProvider",
    unlimited_access: "data.productAccessProvider.unlimitedAccess",
    duration_value: "data.productAccessProvider.durationValue",
    duration_time: "data.productAccessProvider.durationTime",
};

/// Beside the subscription inside the entity.
pub(super) const OF_SUBSCRIPTION: Paths = Paths {
    whole: "data.subscription.productAccessProvider",
    unlimited_access: "data.subscription.productAccessProvider.unlimitedAccess",
    duration_value: "data.subscription.productAccessProvider.durationValue",
    duration_time: "data.subscription.productAccessProvider.durationTime",
};

impl AccessProvider<'_> {
    /// What it says; what is beside "unlimited" is not read.
    pub(super) fn lasting(&self, paths: &Paths) -> Result<Lasting, Refusal> {
        let unlimited = self.unlimited_access.at(paths.unlimited_access);
        if unlimited.flag()? == Some(true) {
            return Ok(Lasting::Unlimited);
        }
        let number = self.duration_value.at(paths.duration_value);
        let count = match &self.duration_value {
            Scalar::Integer(count) => Some(count.to_string()),
            Scalar::Text(text) => Some(text.as_ref().to_owned()),
            Scalar::Missing | Scalar::Null => number.required(None)?,
            Scalar::Bool(_) | Scalar::Float | Scalar::Other => None,
        };
        let count = count
            .filter(|count| is_whole(count))
            .ok_or_else(|| number.refuse(Reason::BadField, "not a whole number"))?;
        let unit = self.duration_time.at(paths.duration_time);
        let word = unit.required(unit.text()?)?;
        let (before, after) = letters(word).ok_or_else(|| {
            unit.refuse(Reason::UnknownUnit, "not hour, day, week, month or year")
        })?;
        // Written in ISO 8601, so that there is one place that knows how long a period may be.
        let period = format!("{before}{count}{after}").parse::<Period>();
        let detail = "a length is more than nothing and at most 100 years";
        let refused = |_| number.refuse(Reason::BadPeriod, detail);
        period.map(Lasting::For).map_err(refused)
    }
}

/// Digits, perhaps behind a minus: a number, be it one that no length can have.
fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands before and behind the number in ISO 8601.
fn letters(word: &str) -> Option<(&'static str, char)> {
    let word = word.to_ascii_lowercase();
    Some(match word.strip_suffix('s').unwrap_or(&word) {
        "hour" => ("PT", 'H'),
        "day" => ("P", 'D'),
        "week" => ("P", 'W'),
        "month" => ("P", 'M'),
        "year" => ("P", 'Y'),
        _ => return None,
    })
}
