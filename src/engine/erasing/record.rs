//! What the log says of an erasure: the body of its entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::id::{Position, UserId};
use crate::store::{Entry, FormerKey, Hash, StoreError};

/// The name an erasure goes by in the log.
pub(in crate::engine) const USER_ERASED: &str = "user_erased";

/// What an erasure did. Never who it was about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct Recorded {
    /// What stands in the place of the id.
    pub(in crate::engine) pseudonym: Option<UserId>,
    /// Who asked for it; gone, if this erasure was erased itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) why: Option<String>,
    /// Each entry that was erased, with the digest of what is left of it, in hex.
    pub(in crate::engine) redacted: Vec<(Position, String)>,
    /// Each key that held the id: the digest of what it was, in hex, and what it is now.
    pub(in crate::engine) former_keys: Vec<(String, String)>,
}

impl Recorded {
    pub(in crate::engine) fn read(entry: &Entry) -> Result<Self, StoreError> {
        let damaged =
            |error| StoreError::Corrupt(format!("the erasure at {}: {error}", entry.position));
        serde_json::from_slice(&entry.fact.body).map_err(damaged)
    }

    pub(super) fn to_body(&self) -> Result<Vec<u8>, StoreError> {
        let damaged = |_| StoreError::Corrupt("an erasure that cannot be written".to_owned());
        serde_json::to_vec(self).map_err(damaged)
    }

    /// What a person wrote.
    pub(super) fn said(&self) -> String {
        let said = [self.actor.as_deref(), self.why.as_deref()];
        said.map(Option::unwrap_or_default).join("\n")
    }

    /// The same without what a person wrote.
    pub(super) fn unsaid(self) -> Self {
        Self {
            actor: None,
            why: None,
            ..self
        }
    }
}

/// The former key in the form it is written.
pub(in crate::engine) fn written(key: &FormerKey) -> (String, String) {
    (key.digest.to_string(), key.now.clone())
}

/// The key that was written so; `None` if it is none.
pub(in crate::engine) fn former_key((digest, now): &(String, String)) -> Option<FormerKey> {
    Some(FormerKey {
        digest: Hash::from_hex(digest)?,
        now: now.clone(),
    })
}

/// What the erasures of a log say is left of entries: which erased it last, and the digest of what it left.
#[derive(Debug, Default)]
pub(in crate::engine) struct Left {
    pub(in crate::engine) of_entries: BTreeMap<Position, (Position, Hash)>,
    pub(in crate::engine) former_keys: Vec<FormerKey>,
}

impl Left {
    /// Erasures in their order. One that cannot be read says nothing: its own content is at fault then.
    pub(in crate::engine) fn of(erasures: &[Entry]) -> Self {
        let mut left = Self::default();
        let mut former_keys = BTreeMap::new();
        for erasure in erasures {
            let Ok(recorded) = Recorded::read(erasure) else {
                continue;
            };
            for (position, digest) in &recorded.redacted {
                if let Some(digest) = Hash::from_hex(digest) {
                    left.of_entries
                        .insert(*position, (erasure.position, digest));
                }
            }
            let keys = recorded.former_keys.iter().filter_map(former_key);
            former_keys.extend(keys.map(|key| (key.digest, key.now)));
        }
        let keys = former_keys.into_iter();
        left.former_keys = keys
            .map(|(digest, now)| FormerKey { digest, now })
            .collect();
        left
    }
}
