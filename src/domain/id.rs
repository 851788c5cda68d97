//! The names things go by. Each kind is a type of its own, so that a user cannot be passed for a product.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::from_text;

/// The longest id, in bytes of UTF-8.
pub const LONGEST_ID: usize = 256;

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// No bytes at all.
    #[error("an id has at least one byte")]
    Empty,
    /// More than [`LONGEST_ID`] bytes.
    #[error("an id has at most 256 bytes")]
    TooLong,
    /// A control character, as NUL, a tab or a line break.
    #[error("an id has no control characters")]
    ControlCharacter,
}

/// Checks an id and brings a GUID (8-4-4-4-12 hex digits) to lower case; anything else stays as it is.
fn checked(text: &str) -> Result<Arc<str>, IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > LONGEST_ID {
        return Err(IdError::TooLong);
    }
    if has_control_character(text) {
        return Err(IdError::ControlCharacter);
    }
    match is_guid(text) && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Ok(text.to_ascii_lowercase().into()),
        false => Ok(text.into()),
    }
}

/// Most ids are ASCII, and one look at the bytes of those is enough.
fn has_control_character(text: &str) -> bool {
    // All bytes are looked at in any case, for then the processor takes many at a time.
    let (mut is_ascii, mut has_control) = (true, false);
    for byte in text.bytes() {
        is_ascii &= byte.is_ascii();
        has_control |= byte.is_ascii_control();
    }
    has_control || !is_ascii && text.chars().any(char::is_control)
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

macro_rules! id {
    ($(#[$meaning:meta])* $name:ident) => {
        $(#[$meaning])*
        ///
        /// 1 to 256 bytes of UTF-8 without control characters, compared byte for byte; only a GUID is brought to lower
        /// case. Cloning is cheap.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and takes it as the id.
            ///
            /// # Errors
            /// [`IdError`] if it is empty, too long or holds a control character.
            pub fn new(text: &str) -> Result<Self, IdError> {
                checked(text).map(Self)
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, out)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer)
            }
        }
    };
}

id!(
    /// A configured origin of deliveries, as `news_shop`; the built-in `staff` among them.
    SourceName
);
id!(
    /// The key of one purchase, subscription, gift or licence within its source.
    GrantKey
);
id!(
    /// Who holds access. The ids of all sources share one space; a source may prefix its own.
    UserId
);
id!(
    /// What the provider sold.
    ProductName
);
id!(
    /// What the paywall protects. A product includes its own name as a resource.
    ResourceName
);
id!(
    /// The name of a block: who suspended.
    BlockName
);
id!(
    /// A text that has the form of an id, in a delivery that could not be decoded: perhaps that of a user or a grant.
    Mention
);
id!(
    /// The name of a paid period, as an invoice id, so that one invoice buys one period however often it is announced.
    PeriodName
);
id!(
    /// The id of a statement made by hand: the same id again is the same statement.
    StatementId
);

impl SourceName {
    /// The built-in source of statements made by hand.
    pub const STAFF: &'static str = "staff";

    /// The source of what Tenure itself records: rules, and in files also what became of parked deliveries. Nothing else
    /// may be called so.
    pub const TENURE: &'static str = "tenure";

    /// The source of what Tenure itself records.
    pub fn tenure() -> Self {
        Self(Self::TENURE.into())
    }

    /// Whether this is the source of what Tenure itself records.
    pub fn is_tenure(&self) -> bool {
        self.as_str() == Self::TENURE
    }

    /// The built-in source of statements made by hand.
    pub fn staff() -> Self {
        Self(Self::STAFF.into())
    }

    /// Whether this is the built-in source of statements made by hand.
    pub fn is_staff(&self) -> bool {
        self.as_str() == Self::STAFF
    }
}

impl From<&SourceName> for BlockName {
    /// The block a source sets when it names none is called after the source.
    fn from(source: &SourceName) -> Self {
        Self(source.0.clone())
    }
}

impl StatementId {
    /// An id that is made of a digest, for statements that are told apart by what they say: what they are, `-` and the
    /// digest.
    pub(crate) fn of_digest(kind: &'static str, digest: &DedupeKey) -> Self {
        Self(format!("{kind}-{digest}").into())
    }
}

impl From<&StatementId> for DedupeKey {
    /// As the log shows it: the source, which calls itself so in the body too, a space and the id.
    fn from(id: &StatementId) -> Self {
        Self(format!("{} {id}", SourceName::STAFF).into())
    }
}

impl From<&StatementId> for GrantKey {
    /// A grant given by hand may go by the id of the statement that gives it.
    fn from(id: &StatementId) -> Self {
        Self(id.0.clone())
    }
}

impl From<&UserId> for Mention {
    fn from(user: &UserId) -> Self {
        Self(user.0.clone())
    }
}

impl From<&GrantKey> for Mention {
    fn from(key: &GrantKey) -> Self {
        Self(key.0.clone())
    }
}

impl From<&ProductName> for ResourceName {
    /// A product's own name is a resource it includes.
    fn from(product: &ProductName) -> Self {
        Self(product.0.clone())
    }
}

/// What makes a delivery the same delivery within its source: the second one of that key is a duplicate.
///
/// Any text without control characters, at most 1,024 bytes: for CloudEvents the event's `source`, a space and its `id`;
/// for systems without event ids a digest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DedupeKey(Arc<str>);

impl DedupeKey {
    /// Checks the text and takes it as the key.
    ///
    /// # Errors
    /// [`IdError`] if it is empty, too long or holds a control character.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > 4 * LONGEST_ID {
            return Err(IdError::TooLong);
        }
        if has_control_character(text) {
            return Err(IdError::ControlCharacter);
        }
        Ok(Self(text.into()))
    }

    /// The key of something that is only known by its bytes: their digest in lower-case hex.
    pub fn of_digest(digest: &[u8]) -> Self {
        let mut text = String::with_capacity(digest.len() * 2);
        for byte in digest {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        Self(text.into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DedupeKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for DedupeKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

/// One grant: the key of its source's own, and the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GrantId {
    /// The source the grant belongs to.
    pub source: SourceName,
    /// Its key there.
    pub key: GrantKey,
}

impl fmt::Display for GrantId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of {}", self.key, self.source)
    }
}

/// The place of an entry in the log, from 1. Zero stands for the empty log.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn two_sources_are_the_own() {
        let own = |source: &SourceName| (source.is_staff(), source.is_tenure());
        assert_eq!(own(&SourceName::staff()), (true, false));
        assert_eq!(own(&SourceName::tenure()), (false, true));
        assert_eq!(own(&SourceName::new("shop").unwrap()), (false, false));
    }

    #[test]
    fn a_key_may_be_four_times_as_long_as_an_id() {
        assert!(DedupeKey::new(&"k".repeat(1_024)).is_ok());
        assert_eq!(DedupeKey::new(&"k".repeat(1_025)), Err(IdError::TooLong));
        assert_eq!(DedupeKey::new(""), Err(IdError::Empty));
        assert_eq!(DedupeKey::new("a\tb"), Err(IdError::ControlCharacter));
    }

    #[test]
    fn a_digest_is_written_in_hex() {
        assert_eq!(
            DedupeKey::of_digest(&[0, 0x1f, 0xa0, 0xff]).as_str(),
            "001fa0ff"
        );
    }

    #[test]
    fn only_a_guid_is_brought_to_lower_case() {
        let id = |text: &str| UserId::new(text).unwrap().to_string();
        let guid = "0A1B2C3D-0000-4000-8000-00000000000F";
        assert_eq!(id(guid), guid.to_lowercase());
        for other in [
            "0A1B2C3D-0000-4000-8000-00000000000G",
            "0A1B2C3D-0000-4000-8000-00000000000",
            "0A1B2C3D-0000-4000-8000-00000000000F0",
            "0A1B2C3D0-000-4000-8000-00000000000F",
            "0A1B2C3D00000040000800000000000000F0",
        ] {
            assert_eq!(id(other), other);
        }
        assert!(UserId::new(&"u".repeat(256)).is_ok());
        assert_eq!(UserId::new(&"u".repeat(257)), Err(IdError::TooLong));
    }
}
