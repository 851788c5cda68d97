//! What happened to a person's grants and what they gave, over time: what a picture shows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::EngineError;
use super::explain::{Effect, GrantSummary};
use super::facts::{GrantFacts, linked_ids, project_facts, rules_at};
use super::reader::{Reader, facts_known_to_name};
use super::staff::{Attribution, attribution};
use crate::domain::event::Statement;
use crate::domain::fold::fold_observed;
use crate::domain::grant::{Anomaly, State};
use crate::domain::id::{GrantKey, Position, SourceName, UserId};
use crate::domain::lane::{Part, parts};
use crate::domain::time::{EffectiveAt, RecordedAt};
use crate::store::{RecordedAnomaly, Snapshot, StoreReader};

/// All that is known of a person's grants, over time.
///
/// As JSON: `user`, `as_of` (null = all that is recorded), `linked`, `lanes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Who was asked about.
    pub user: UserId,
    /// By what was recorded up to here; `None`: all that is recorded.
    pub as_of: Option<RecordedAt>,
    /// Every id of the person, the one asked for among them, sorted.
    pub linked: Vec<UserId>,
    /// A lane for each grant that some event names one of these ids of, sorted by source and key.
    pub lanes: Vec<Lane>,
}

/// One grant over time. Another person may hold it for a while: each part says who does.
///
/// As JSON: `grant`, `source`, `parts`, `events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// The key of the grant.
    pub grant: GrantKey,
    /// Its source.
    pub source: SourceName,
    /// What it does when: sorted, disjoint, not empty.
    pub parts: Vec<Part>,
    /// What happened to it, in the order in which it is folded.
    pub events: Vec<LaneEvent>,
}

/// One event of a grant, or about all grants of its holder in its source.
///
/// As JSON: `position`, `index`, `stated_by`, `actor` and `why` where the delivery says so, `change`, `about_user`,
/// `effective_at`, `recorded_at`, `effect` (`before` and `after`), `anomalies`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneEvent {
    /// The entry of the log that recorded it.
    pub position: Position,
    /// The event's place in the delivery.
    pub index: u32,
    /// The source of the delivery.
    pub stated_by: SourceName,
    /// Who stated it by hand and why, where the delivery says so.
    #[serde(flatten)]
    pub attribution: Option<Attribution>,
    /// The change.
    pub change: &'static str,
    /// Whether it speaks of all grants of a user in the source.
    pub about_user: bool,
    /// From when on it holds.
    pub effective_at: EffectiveAt,
    /// When it was recorded.
    pub recorded_at: RecordedAt,
    /// What it did to the grant.
    pub effect: Effect,
    /// What could not be applied as stated.
    pub anomalies: Vec<Anomaly>,
}

impl<R: StoreReader> Reader<R> {
    /// What happened to the grants of the user and of every linked id, and what they gave when, by what was recorded up to
    /// `as_of` (`None`: all that is recorded).
    ///
    /// The parts that give one of these ids access are, joined, the [windows](Reader::windows) of the user. A user nothing
    /// is known of has no lanes. The cost is that of folding the events of this person's grants, however long the log is.
    ///
    /// ```
    /// use tenure::{Delivery, Engine, MemoryStore, PartKind, Request, Secrets};
    ///
    /// let mut engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
    /// let body = br#"{"specversion":"1.0","id":"e1","source":"crm","type":"tenure.granted",
    ///     "time":"2026-01-01T00:00:00Z","subject":"u1",
    ///     "data":{"grant":"g1","product":"news","until":"2026-02-01T00:00:00Z"}}"#;
    /// let request = Request { body: body.to_vec(), ..Request::default() };
    /// let now = "2026-01-01T00:00:05Z".parse()?;
    /// engine.ingest(Delivery::trusted("cloudevents".parse()?, request), now)?;
    ///
    /// let timeline = engine.reader()?.timeline(&"u1".parse()?, None)?;
    /// let lane = timeline.lanes.first().ok_or("u1 has a grant")?;
    /// let part = lane.parts.first().ok_or("it gave access")?;
    /// assert_eq!(part.kind, PartKind::Active);
    /// assert_eq!(part.end, tenure::End::At("2026-02-01T00:00:00Z".parse()?));
    /// assert_eq!(lane.events.first().map(|event| event.change), Some("granted"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn timeline(
        &mut self,
        user: &UserId,
        as_of: Option<RecordedAt>,
    ) -> Result<Timeline, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, as_of);
            let mut lanes = Vec::new();
            for facts in facts_known_to_name(snapshot, user, &rules, as_of)? {
                let projected = project_facts(snapshot, &facts, &rules, as_of)?;
                if let Some((_, projection)) = projected {
                    lanes.push(Lane {
                        parts: parts(&projection.segments),
                        events: events(snapshot, &facts, &projection.anomalies)?,
                        source: facts.grant.source,
                        grant: facts.grant.key,
                    });
                }
            }
            Ok(Timeline {
                user: user.clone(),
                as_of,
                linked: linked_ids(snapshot, user, as_of)?.into_iter().collect(),
                lanes,
            })
        })
    }
}

fn events(
    snapshot: &dyn Snapshot,
    facts: &GrantFacts,
    anomalies: &[RecordedAnomaly],
) -> Result<Vec<LaneEvent>, EngineError> {
    // Not those the fold tells its observer: it knows nothing of the parents' own parents.
    let mut left: BTreeMap<(Position, u32), Vec<Anomaly>> = BTreeMap::new();
    for it in anomalies {
        let of_event = left.entry((it.position, it.index)).or_default();
        of_event.push(it.anomaly);
    }
    let mut events = Vec::with_capacity(facts.events.len());
    let mut before = GrantSummary::of(&State::Absent, &facts.policy);
    fold_observed(
        &facts.grant,
        &facts.events,
        &facts.policy,
        &mut |place, state, _| {
            let after = GrantSummary::of(state, &facts.policy);
            let Some(recorded) = facts.events.get(place) else {
                return;
            };
            events.push(LaneEvent {
                position: recorded.position,
                index: recorded.key.index,
                stated_by: recorded.key.source.clone(),
                attribution: None,
                change: recorded.event.statement.name(),
                about_user: matches!(recorded.event.statement, Statement::User(_)),
                effective_at: recorded.event.effective_at,
                recorded_at: recorded.recorded_at,
                effect: Effect {
                    before: std::mem::replace(&mut before, after.clone()),
                    after,
                },
                anomalies: left
                    .remove(&(recorded.position, recorded.key.index))
                    .unwrap_or_default(),
            });
        },
    );
    for event in &mut events {
        if event.stated_by.is_staff() {
            let entry = snapshot.entry(event.position)?;
            let said = entry.map(|entry| attribution(snapshot, &entry));
            event.attribution = said.transpose()?.flatten();
        }
    }
    Ok(events)
}
