//! What all statements by hand have in common: who, why, from when on, and under which id.

use tenure::{EffectiveAt, Grounds, Instant, StaffChange, StaffStatement, StatementId};

use super::args::Stating;
use crate::failure::Failure;
use crate::moment::fixed;
use crate::run::{id, time};

/// Who states something, why, and from when on it holds.
pub(super) struct Stated {
    /// The clock.
    pub(super) now: Instant,
    /// From when on it holds.
    pub(super) at: Instant,
    grounds: Grounds,
    id: Option<StatementId>,
}

impl Stated {
    pub(super) fn new(args: &Stating, now: Instant) -> Result<Self, Failure> {
        let grounds = grounds(args.actor.as_deref(), &args.why)?;
        let own = args.id.as_deref().map(|text| id("id", text)).transpose()?;
        let mut stated = Self {
            now,
            at: now,
            grounds,
            id: own,
        };
        if let Some(at) = stated.time("--at", args.at.as_deref())? {
            stated.at = at;
        }
        Ok(stated)
    }

    /// A time of the command line. Under an id of one's own it has to mean the same whenever it is read: the body of the
    /// repetition has to be that of the first, byte for byte.
    pub(super) fn time(
        &self,
        option: &str,
        text: Option<&str>,
    ) -> Result<Option<Instant>, Failure> {
        let Some(text) = text else {
            return Ok(None);
        };
        let instant = time(option, text, self.now)?;
        if self.id.is_some() && fixed(text).is_err() {
            return Err(Failure::Usage(format!(
                "{option} `{text}` is another time whenever it is read: with --id write it out, as {instant}"
            )));
        }
        Ok(Some(instant))
    }

    /// Whether it may be stated again, to count once: what is not on the command line then stays out of it.
    pub(super) fn has_own_id(&self) -> bool {
        self.id.is_some()
    }

    /// The id that was given, else a fresh one.
    pub(super) fn first_id(&self) -> Result<StatementId, Failure> {
        match &self.id {
            Some(id) => Ok(id.clone()),
            None => fresh(),
        }
    }

    pub(super) fn statement(&self, id: StatementId, change: StaffChange) -> StaffStatement {
        StaffStatement {
            id,
            at: EffectiveAt(self.at),
            grounds: self.grounds.clone(),
            change,
        }
    }
}

/// Who states something and why, where nobody need be named.
pub(crate) fn grounds(given: Option<&str>, why: &str) -> Result<Grounds, Failure> {
    Grounds::new(&actor(given), why).map_err(|error| {
        Failure::Usage(format!(
            "{error}. --why TEXT says why; --actor NAME or TENURE_ACTOR says who"
        ))
    })
}

/// The one named, else the one the environment names, else the owner of this process. Empty if nobody is found.
pub(crate) fn actor(given: Option<&str>) -> String {
    let named = |name| std::env::var(name).ok().filter(|it| !it.trim().is_empty());
    let from_environment = || {
        ["TENURE_ACTOR", "USER", "LOGNAME"]
            .into_iter()
            .find_map(named)
    };
    let given = given.map(str::to_owned);
    given
        .or_else(from_environment)
        .or_else(owner)
        .unwrap_or_default()
}

/// Who owns this process, where the system tells: scheduled work and containers run without the usual variables.
#[cfg(target_os = "linux")]
fn owner() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let number = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        (fields.next()? == number).then(|| name.to_owned())
    });
    Some(name.unwrap_or_else(|| format!("uid {number}")))
}

#[cfg(not(target_os = "linux"))]
fn owner() -> Option<String> {
    None
}

/// Long enough that two never meet, short enough to be written down.
pub(crate) fn fresh() -> Result<StatementId, Failure> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Output(format!("no random id can be made: {error}")))?;
    id("id", &format!("{:016x}", u64::from_be_bytes(bytes)))
}
