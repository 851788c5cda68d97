//! The hash chain over the log, and the salts that keep a digest from telling what was erased.

use std::fmt;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::NewEntry;
use crate::domain::event::{Event, Statement};
use crate::domain::id::Position;

/// A SHA-256 hash. Shown as lower-case hex.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash that 64 hex digits stand for; `None` for any other text.
    pub fn from_hex(text: &str) -> Option<Self> {
        let is_hex = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let mut hash = Self::default();
        for (place, byte) in hash.0.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        is_hex.then_some(hash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Where salts come from: unpredictable by default, or from a seed, so that a run can be repeated byte for byte.
///
/// The seed is never stored, so nobody can later find the salt of an entry whose salt was erased.
#[derive(Clone)]
pub struct Salts {
    seed: [u8; 32],
}

impl Salts {
    /// Unpredictable ones.
    ///
    /// # Errors
    /// If the operating system gives no randomness.
    pub fn unpredictable() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self { seed })
    }

    /// Repeatable ones. For tests and simulations only: a known seed makes digests guessable.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed }
    }

    /// The salt of the entry at a position, after the entry with the hash `previous`.
    pub fn salt(&self, position: Position, previous: Hash) -> [u8; 16] {
        self.made_of(&[&position.0.to_be_bytes(), &previous.0])
    }

    /// The salt that takes the place of the one an entry had, when `erased_by` erases it after the entry with the hash
    /// `head`.
    pub fn replacement(&self, position: Position, erased_by: Position, head: Hash) -> [u8; 16] {
        let (position, erased_by) = (position.0.to_be_bytes(), erased_by.0.to_be_bytes());
        self.made_of(&[b"replacement", &position, &erased_by, &head.0])
    }

    /// Bytes for other uses, after the entry with the hash `head`.
    pub fn draw(&self, number: u64, head: Hash) -> [u8; 16] {
        self.made_of(&[b"draw", &number.to_be_bytes(), &head.0])
    }

    /// No two uses have parts of the same lengths, so none gives what another does.
    fn made_of(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut hasher = Sha256::new().chain_update(self.seed);
        for part in parts {
            hasher.update(part);
        }
        let hash = hasher.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(hash.get(..16).unwrap_or(&[0; 16]));
        bytes
    }
}

/// Hides the seed.
impl fmt::Debug for Salts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Salts([redacted])")
    }
}

/// Each part with its length before it, so that no two lists of parts have one encoding.
struct Parts(Sha256);

impl Parts {
    fn new(domain: &[u8]) -> Self {
        Self(Sha256::new()).with(domain)
    }

    fn with(mut self, part: &[u8]) -> Self {
        self.0
            .update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(part);
        self
    }

    fn with_text(self, part: Option<&str>) -> Self {
        match part {
            None => self.with(b"-"),
            Some(part) => self.with(b"+").with(part.as_bytes()),
        }
    }

    fn finish(self) -> Hash {
        Hash(self.0.finalize().into())
    }
}

/// The salted digest of an entry's content: all that may hold personal data, its events included.
pub fn digest(fact: &NewEntry, events: &[Event], salt: &[u8; 16]) -> Hash {
    let mut parts = Parts::new(b"tenure content 1")
        .with(salt)
        .with(fact.dedupe_key.as_str().as_bytes())
        .with(&fact.body)
        .with_text(fact.headers.as_deref())
        .with_text(fact.query.as_deref())
        .with_text(fact.refusal.as_ref().map(|refusal| refusal.field.as_str()))
        .with_text(fact.refusal.as_ref().map(|refusal| refusal.detail.as_str()));
    for event in events {
        parts = parts.with(stored_event(event).to_string().as_bytes());
    }
    parts.finish()
}

/// The hash of an entry: it covers the one before, so whoever alters an entry alters all that follow.
pub fn hash(previous: Hash, position: Position, fact: &NewEntry, digest: Hash) -> Hash {
    let of = fact.of.unwrap_or_default();
    let received_at = fact.received_at.map(|at| at.micros().to_string());
    Parts::new(b"tenure entry 1")
        .with(&previous.0)
        .with(&position.0.to_be_bytes())
        .with(fact.kind.name().as_bytes())
        .with(&of.0.to_be_bytes())
        .with(fact.source.as_str().as_bytes())
        .with(&fact.recorded_at.0.micros().to_be_bytes())
        .with_text(received_at.as_deref())
        .with(fact.outcome.name().as_bytes())
        .with_text(fact.event_name.as_deref())
        .with_text(fact.refusal.as_ref().map(|refusal| refusal.reason.code()))
        .with(&[u8::from(fact.arrival_is_order)])
        .with(&digest.0)
        .finish()
}

/// An event in the form the chain covers, keys sorted.
fn stored_event(event: &Event) -> serde_json::Value {
    let statement = match &event.statement {
        Statement::Grant(statement) => json!({
            "grant": statement.grant,
            "user": statement.user,
            "product": statement.product,
            "change": statement.change,
        }),
        Statement::User(statement) => json!({
            "source": statement.source,
            "user": statement.user,
            "change": statement.change,
        }),
        Statement::Link { user, alias } => json!({ "user": user, "alias": alias }),
        Statement::Withdrawal { source, key } => json!({ "source": source, "withdrawn": key }),
    };
    json!({ "effective_at": event.effective_at, "statement": statement })
}
