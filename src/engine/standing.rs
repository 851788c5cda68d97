//! How things stand at an instant, for whoever is about to state something by hand: which grants of a person are live, who
//! holds one, which blocks stand.

use std::collections::BTreeSet;

use super::EngineError;
use super::facts::{GrantFacts, linked_ids, rules_at};
use super::reader::{LogEntry, Reader, log_entry};
use super::sources::source_names;
use super::staff::Blocked;
use crate::domain::fold::{BlockHistory, fold};
use crate::domain::grant::{Live, State};
use crate::domain::id::{BlockName, DedupeKey, GrantId, Position, ProductName, SourceName, UserId};
use crate::domain::rules::Rules;
use crate::domain::time::Instant;
use crate::domain::window::{LivePhase, Phase, Segment};
use crate::store::{RecordedAnomaly, Snapshot, StoreReader};

/// A grant that is live at an instant; it may be suspended or lapsed, or its access may begin later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldGrant {
    /// Which grant.
    pub grant: GrantId,
    /// Who holds it then.
    pub user: UserId,
    /// What it gives then.
    pub product: ProductName,
}

/// A grant as it stands at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantStanding {
    /// Which grant.
    pub grant: GrantId,
    /// The state after the events that have taken effect by then.
    pub state: State,
}

impl GrantStanding {
    /// What it is, or was before it was over; `None` if it never was anything.
    pub fn held(&self) -> Option<&Live> {
        match &self.state {
            State::Absent => None,
            State::Live(live) => Some(live),
            State::Over(over) => over.last.as_deref(),
        }
    }
}

/// A block that stands at an instant. It is lifted by a `resumed` of the same name about the same grant or user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StandingBlock {
    /// What it stands on.
    pub on: Blocked,
    /// Its name.
    pub name: BlockName,
}

impl<R: StoreReader> Reader<R> {
    /// The names of all sources by the rules in force, sorted; `staff` is always among them.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn sources(&mut self) -> Result<Vec<SourceName>, EngineError> {
        self.read(|snapshot| {
            let names = source_names(&rules_at(&snapshot.rules()?, None)).into_iter();
            Ok(names.filter_map(|name| name.parse().ok()).collect())
        })
    }

    /// Every grant of the user or an id linked to the user that at `at` is live: also suspended ones, lapsed ones, which a
    /// renewal would revive, and ones that were given by then and begin later. With a product, only those that then give exactly that one. Sorted by source and
    /// key.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn live_grants(
        &mut self,
        user: &UserId,
        product: Option<&ProductName>,
        at: Instant,
    ) -> Result<Vec<HeldGrant>, EngineError> {
        self.read(|snapshot| {
            let mut found = BTreeSet::new();
            let ids = linked_ids(snapshot, user, None)?;
            for id in &ids {
                found.extend(held_by(snapshot, id, at)?);
            }
            found.retain(|held| product.is_none_or(|product| held.product == *product));
            Ok(found.into_iter().collect())
        })
    }

    /// How a grant stands at `at`, by all that is recorded; `None` if no event ever named it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn grant_at(
        &mut self,
        grant: &GrantId,
        at: Instant,
    ) -> Result<Option<GrantStanding>, EngineError> {
        self.read(|snapshot| {
            if snapshot.grant_events(grant)?.is_empty() {
                return Ok(None);
            }
            let rules = rules_at(&snapshot.rules()?, None);
            standing(snapshot, grant, &rules, at).map(Some)
        })
    }

    /// The blocks that take access from a grant at `at`, its own and those on its holder; or those on a user in a source,
    /// and on the grants that exactly this id holds there.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn blocks_at(
        &mut self,
        on: &Blocked,
        at: Instant,
    ) -> Result<Vec<StandingBlock>, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, None);
            let mut blocks = BTreeSet::new();
            match on {
                Blocked::Grant(grant) => {
                    let standing = standing(snapshot, grant, &rules, at)?;
                    blocks.extend(own_blocks(&standing));
                    if let State::Live(live) = &standing.state {
                        blocks.extend(blocks_on(snapshot, &live.user, &grant.source, at)?);
                    }
                }
                Blocked::User { user, source } => {
                    blocks.extend(blocks_on(snapshot, user, source, at)?);
                    for held in held_by(snapshot, user, at)? {
                        if held.grant.source == *source {
                            blocks.extend(own_blocks(&standing(
                                snapshot,
                                &held.grant,
                                &rules,
                                at,
                            )?));
                        }
                    }
                }
            }
            Ok(blocks.into_iter().collect())
        })
    }

    /// The delivery that holds a key: the applied or ignored one, or the retry that recorded it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn delivery_of_key(
        &mut self,
        source: &SourceName,
        key: &DedupeKey,
    ) -> Result<Option<LogEntry>, EngineError> {
        self.read(|snapshot| {
            let Some(position) = snapshot.key_holder(source, key)? else {
                return Ok(None);
            };
            let entry = snapshot.entry(position)?;
            entry.map(|entry| log_entry(snapshot, entry)).transpose()
        })
    }

    /// What the statements of one entry about single grants left as anomalies.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn anomalies_of(
        &mut self,
        position: Position,
    ) -> Result<Vec<RecordedAnomaly>, EngineError> {
        self.read(|snapshot| {
            let mut grants = BTreeSet::new();
            for recorded in snapshot.events_of(position)? {
                if let crate::domain::event::Statement::Grant(of) = recorded.event.statement {
                    grants.insert(of.grant);
                }
            }
            let mut anomalies = Vec::new();
            for grant in grants {
                let projection = snapshot.projection(&grant)?;
                let left = projection.into_iter().flat_map(|it| it.anomalies);
                anomalies.extend(left.filter(|anomaly| anomaly.position == position));
            }
            Ok(anomalies)
        })
    }
}

/// The grants that exactly this id holds at `at`, live.
fn held_by(
    snapshot: &dyn Snapshot,
    user: &UserId,
    at: Instant,
) -> Result<Vec<HeldGrant>, EngineError> {
    let named = snapshot.segments_naming(user)?.into_iter();
    let held = named.filter_map(|(grant, segments)| {
        let live = live_at(&segments, at).filter(|live| live.user == *user)?;
        Some(HeldGrant {
            user: live.user.clone(),
            product: live.product.clone(),
            grant,
        })
    });
    Ok(held.collect())
}

fn live_at(segments: &[Segment], at: Instant) -> Option<&LivePhase> {
    let holds = |segment: &&Segment| segment.from <= at && segment.to.is_after(at);
    match &segments.iter().find(holds)?.phase {
        Phase::Live(live) => Some(live),
        Phase::Over { .. } => None,
    }
}

pub(super) fn standing(
    snapshot: &dyn Snapshot,
    grant: &GrantId,
    rules: &Rules,
    at: Instant,
) -> Result<GrantStanding, EngineError> {
    let mut facts = GrantFacts::load(snapshot, grant, rules, None)?;
    facts.events.retain(|it| it.event.effective_at.0 <= at);
    let folded = fold(grant, &facts.events, &facts.policy);
    Ok(GrantStanding {
        grant: grant.clone(),
        state: folded.state,
    })
}

fn own_blocks(standing: &GrantStanding) -> Vec<StandingBlock> {
    let State::Live(live) = &standing.state else {
        return Vec::new();
    };
    let names = live.blocks.iter().cloned();
    let on = || Blocked::Grant(standing.grant.clone());
    names.map(|name| StandingBlock { on: on(), name }).collect()
}

/// The blocks on a user in a source.
fn blocks_on(
    snapshot: &dyn Snapshot,
    user: &UserId,
    source: &SourceName,
    at: Instant,
) -> Result<Vec<StandingBlock>, EngineError> {
    let mut events = snapshot.user_events(source, user)?;
    events.retain(|event| event.is_known_at(None));
    events.sort_by(|a, b| a.fold_order(b));
    let names = BlockHistory::names_at(source, user, &events, at).into_iter();
    let on = || Blocked::User {
        user: user.clone(),
        source: source.clone(),
    };
    Ok(names.map(|name| StandingBlock { on: on(), name }).collect())
}
