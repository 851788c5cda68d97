//! What long grants were folded to, kept by the one who writes: an event at the end of a long grant then costs what it costs a
//! short one, and not what reading the whole grant does.
//!
//! Nothing here can be older than the log. It holds for one end of the log, by its hash, and is forgotten when a transaction
//! begins at another: after anything recorded elsewhere, after rules, an erasure, a retry. What fails is forgotten, too. And
//! it is gone on from only where nothing but the events themselves decides: not where blocks on users, parents or deliveries
//! taken back play a part, and not for an event that takes effect no later than the last one that was folded.

use std::collections::{BTreeSet, HashMap};

use super::facts::{GrantFacts, project_facts, recorded_anomalies, users};
use crate::domain::event::{RecordedEvent, Statement};
use crate::domain::fold::{Folded, fold_on};
use crate::domain::id::{GrantId, Position, UserId};
use crate::domain::rules::Rules;
use crate::domain::time::Instant;
use crate::domain::window::{Window, add_segments, windows};
use crate::store::{Head, Projection, Snapshot, StoreError, Transaction};

/// Fewer events than these are read about as fast as anything else is done.
const LONG: usize = 32;
/// How many events what is kept may come to, unless one grant alone has more: a few dozen megabytes.
const MOST: usize = 1 << 17;

/// The folds of long grants at one end of the log.
#[derive(Debug, Default)]
pub(super) struct LongGrants {
    head: Head,
    kept: HashMap<GrantId, KeptFold>,
    events: usize,
}

/// What all events of a grant came to that were recorded up to a position.
#[derive(Debug)]
struct KeptFold {
    position: Position,
    /// How many events.
    events: usize,
    /// The last instant at which one of them takes effect.
    last: Instant,
    /// State and history. The anomalies are in the projection.
    folded: Folded,
    projection: Projection,
}

impl LongGrants {
    /// Forgets all, unless it holds at that end of the log.
    pub(super) fn hold_only_at(&mut self, head: Head) {
        if self.head != head {
            self.forget();
        }
    }

    /// Holds at a later end of the log from now on: every grant whose fold is another since then was projected by this.
    pub(super) fn hold_at(&mut self, head: Head) {
        self.head = head;
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Replaces the projection of a grant by what follows from its events.
    pub(super) fn project(
        &mut self,
        transaction: &mut dyn Transaction,
        grant: &GrantId,
        rules: &Rules,
    ) -> Result<(), StoreError> {
        if let Some(kept) = self.take(grant)
            && let Some((kept, before)) = kept.go_on(&*transaction, grant, rules)?
        {
            transaction.project_after(grant, &before, &kept.projection)?;
            self.keep(grant, kept);
            return Ok(());
        }
        let facts = GrantFacts::load(&*transaction, grant, rules, None)?;
        let Some((folded, projection)) = project_facts(&*transaction, &facts, rules, None)? else {
            return transaction.project(grant, None);
        };
        transaction.project(grant, Some(&projection))?;
        if let Some(kept) = KeptFold::of(&*transaction, &facts, folded, projection)? {
            self.keep(grant, kept);
        }
        Ok(())
    }

    fn take(&mut self, grant: &GrantId) -> Option<KeptFold> {
        let kept = self.kept.remove(grant)?;
        self.events = self.events.saturating_sub(kept.events);
        Some(kept)
    }

    fn keep(&mut self, grant: &GrantId, kept: KeptFold) {
        if self.events.saturating_add(kept.events) > MOST {
            self.kept.clear();
            self.events = 0;
        }
        self.events = self.events.saturating_add(kept.events);
        self.kept.insert(grant.clone(), kept);
    }
}

impl KeptFold {
    /// What is kept of a grant that was folded as a whole; `None` of a short one, and of one that names nobody or a
    /// parent.
    fn of(
        snapshot: &dyn Snapshot,
        facts: &GrantFacts,
        folded: Folded,
        projection: Projection,
    ) -> Result<Option<Self>, StoreError> {
        let is_long = facts.events.len() >= LONG;
        let Some(last) = facts.events.last().filter(|_| is_long) else {
            return Ok(None);
        };
        if facts.named.is_empty() || !facts.parents().is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            position: snapshot.head()?.position,
            events: facts.events.len(),
            last: last.event.effective_at.0,
            folded,
            projection,
        }))
    }

    /// Folds what was recorded since then, and gives also the windows there were before; `None` if the whole grant has to be
    /// folded.
    fn go_on(
        mut self,
        snapshot: &dyn Snapshot,
        grant: &GrantId,
        rules: &Rules,
    ) -> Result<Option<(Self, Vec<Window>)>, StoreError> {
        let mut events = snapshot.grant_events_after(grant, self.position)?;
        events.sort_by(RecordedEvent::fold_order);
        let projection = &mut self.projection;
        projection.users.append(&mut users(&events));
        let is_followed = events.iter().all(|event| only_adds(event, self.last));
        if !is_followed || is_any_stated(snapshot, grant, &projection.users)? {
            return Ok(None);
        }
        self.position = snapshot.head()?.position;
        self.events = self.events.saturating_add(events.len());
        if let Some(last) = events.last() {
            self.last = last.event.effective_at.0;
        }
        let folded = self.folded.history.len();
        self.folded = fold_on(self.folded, grant, &events, &rules.policy(&grant.source));
        let later = self.folded.history.get(folded..).unwrap_or_default();
        add_segments(&mut projection.segments, later);
        let now = windows(&projection.segments);
        let before = std::mem::replace(&mut projection.windows, now);
        let left = recorded_anomalies(grant, &events, &self.folded);
        projection.anomalies.extend(left);
        projection.anomalies.sort_unstable();
        projection.anomalies.dedup();
        Ok(Some((self, before)))
    }
}

/// Whether the event takes effect after that instant, and nothing but the grant's own events decides what it does.
fn only_adds(event: &RecordedEvent, last: Instant) -> bool {
    let has_parent = match &event.event.statement {
        Statement::Grant(statement) => statement.parent().is_some(),
        Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => false,
    };
    event.event.effective_at.0 > last && event.withdrawn_at.is_none() && !has_parent
}

/// Whether there is any statement about one of the users as a whole: it may block or end the grant.
fn is_any_stated(
    snapshot: &dyn Snapshot,
    grant: &GrantId,
    users: &BTreeSet<UserId>,
) -> Result<bool, StoreError> {
    for user in users {
        if !snapshot.user_events(&grant.source, user)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use crate::domain::delivery::Outcome;
    use crate::domain::grant::State;
    use crate::engine::facts::project;
    use crate::engine::{Delivery, Engine, EngineError, ErasureGrounds, Secrets};
    use crate::provider::Request;
    use crate::store::{MemoryStore, SqliteStore, SqliteStoreOptions, Store};

    const NOW: &str = "2026-03-01T00:00:00Z";
    /// When the last event of the long grant takes effect.
    const LAST: &str = "2026-01-01T00:00:39Z";
    const LATER: &str = "2026-02-01T00:00:00Z";

    fn delivery(id: &str, verb: &str, time: &str, subject: &str, data: &str) -> Delivery {
        let body = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"staff","type":"tenure.{verb}","time":"{time}","subject":"{subject}","data":{{{data}}}}}"#
        );
        let request = Request {
            body: body.into_bytes(),
            ..Request::default()
        };
        Delivery::trusted("staff".parse().unwrap(), request)
    }

    fn renewed(id: &str, time: &str) -> Delivery {
        let data = r#""grant":"g","until":"2026-06-01T00:00:00Z""#;
        delivery(id, "renewed", time, "u1", data)
    }

    fn of_user(id: &str, verb: &str) -> Delivery {
        delivery(id, verb, LATER, "u1", "")
    }

    /// An engine over the store, to which a grant with 40 events was told.
    fn engine<S: Store>(store: S) -> Engine<S> {
        let mut engine = Engine::new(store, Secrets::default()).unwrap();
        let granted = r#""grant":"g","product":"news","until":"2026-06-01T00:00:00Z""#;
        let first = delivery("e0", "granted", "2026-01-01T00:00:00Z", "u1", granted);
        let others = (1..40).map(|number| {
            let time = format!("2026-01-01T00:00:{number:02}Z");
            renewed(&format!("e{number}"), &time)
        });
        let deliveries = [first].into_iter().chain(others);
        engine
            .ingest_batch(deliveries.collect(), NOW.parse().unwrap())
            .unwrap();
        engine
    }

    fn in_memory() -> Engine<MemoryStore> {
        engine(MemoryStore::new().unwrap())
    }

    fn take<S: Store>(engine: &mut Engine<S>, delivery: Delivery) {
        let receipt = engine.ingest(delivery, NOW.parse().unwrap()).unwrap();
        assert_eq!(receipt.outcome, Outcome::Applied, "{receipt:?}");
    }

    /// Whether the last delivery was folded onto what is kept. What is kept is made to say that the grant was never given, so
    /// what goes on from it is not what follows from the log.
    fn is_gone_on_from<S: Store>(
        mut engine: Engine<S>,
        between: impl FnOnce(&mut Engine<S>),
        last: Delivery,
    ) -> bool {
        assert_eq!(engine.long_grants.kept.len(), 1);
        between(&mut engine);
        for kept in engine.long_grants.kept.values_mut() {
            kept.folded.state = State::Absent;
        }
        take(&mut engine, last);
        let grant = GrantId {
            source: "staff".parse().unwrap(),
            key: "g".parse().unwrap(),
        };
        let rules = engine.rules().unwrap();
        let mut reader = engine.reader().unwrap();
        let compare = |snapshot: &dyn Snapshot| {
            let follows = project(snapshot, &grant, &rules, None)?;
            Ok(snapshot.projection(&grant)? != follows)
        };
        reader.read(compare).unwrap()
    }

    fn of_grant(grant: &str, more: &str) -> Delivery {
        let data = format!(r#""grant":"{grant}","product":"news","until":null{more}"#);
        delivery(&format!("of {grant}"), "granted", LATER, "u1", &data)
    }

    #[test]
    fn an_event_at_the_end_is_folded_onto_what_is_kept() {
        let later = || renewed("n", LATER);
        assert!(is_gone_on_from(in_memory(), |_| (), later()));
        let other = |engine: &mut Engine<_>| take(engine, of_grant("h", ""));
        assert!(is_gone_on_from(in_memory(), other, later()));
    }

    #[test]
    fn what_does_not_only_add_to_the_end_is_folded_anew() {
        let withdrawn = r#""id":"staff e7""#;
        for (what, last) in [
            ("before the end", renewed("n", "2026-01-01T00:00:07Z")),
            ("at the end", renewed("n", LAST)),
            ("a parent", of_grant("g", r#","parent":"h""#)),
            ("a block", of_user("n", "suspended")),
            ("a removal", of_user("n", "user_removed")),
            (
                "taken back",
                delivery("n", "withdrawn", LATER, "u1", withdrawn),
            ),
        ] {
            assert!(!is_gone_on_from(in_memory(), |_| (), last), "{what}");
        }
        let taken_back_before = |engine: &mut Engine<_>| {
            let data = r#""id":"staff n""#;
            take(engine, delivery("w", "withdrawn", LATER, "u1", data));
            // Folded whole, and kept.
            take(engine, renewed("o", "2026-01-15T00:00:00Z"));
            assert_eq!(engine.long_grants.kept.len(), 1);
        };
        let last = || renewed("n", "2026-02-02T00:00:00Z");
        assert!(!is_gone_on_from(in_memory(), taken_back_before, last()));
        let parent_before = |engine: &mut Engine<_>| {
            take(engine, of_grant("g", r#","parent":"h""#));
        };
        assert!(!is_gone_on_from(in_memory(), parent_before, last()));
        let blocked_before = |engine: &mut Engine<_>| {
            take(engine, of_user("b", "suspended"));
            take(engine, renewed("o", LATER));
        };
        assert!(!is_gone_on_from(in_memory(), blocked_before, last()));
    }

    #[test]
    fn what_was_not_taken_here_is_forgotten() {
        let rules = |engine: &mut Engine<_>| {
            let product = serde_json::from_str(r#"{"includes": ["pods"]}"#).unwrap();
            let mut rules = Rules::default();
            rules.products.insert("news".parse().unwrap(), product);
            engine
                .apply(&rules, NOW.parse().unwrap(), &mut |_| {})
                .unwrap();
        };
        assert!(!is_gone_on_from(in_memory(), rules, renewed("n", LATER)));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenure.db");
        let open = || SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
        let beside = |_: &mut Engine<_>| {
            let mut other = Engine::new(open(), Secrets::default()).unwrap();
            take(&mut other, renewed("o", "2026-01-15T00:00:00Z"));
        };
        assert!(!is_gone_on_from(
            engine(open()),
            beside,
            renewed("n", LATER)
        ));

        let fails = |engine: &mut Engine<_>| {
            let failed = engine.write_taking(|_, _, _| Err::<(), _>(EngineError::NotEmpty));
            failed.unwrap_err();
        };
        assert!(!is_gone_on_from(in_memory(), fails, renewed("n", LATER)));
    }

    #[test]
    fn an_erasure_forgets_at_once() {
        let mut engine = in_memory();
        let plan = engine
            .plan_erasure(&"u1".parse().unwrap(), &mut |_| {})
            .unwrap();
        let grounds = ErasureGrounds::new("anna", None).unwrap();
        engine
            .erase(plan, &grounds, NOW.parse().unwrap(), &mut |_| {})
            .unwrap();
        assert!(engine.long_grants.kept.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut engine = in_memory();
        let long_grants = &mut engine.long_grants;
        for kept in long_grants.kept.values_mut() {
            kept.events = MOST;
        }
        long_grants.events = MOST;
        let others = (0..40).map(|number| {
            let time = format!("2026-01-01T00:00:{number:02}Z");
            let data = r#""grant":"h","product":"news","until":"2026-06-01T00:00:00Z""#;
            delivery(&format!("h{number}"), "renewed", &time, "u1", data)
        });
        engine
            .ingest_batch(others.collect(), NOW.parse().unwrap())
            .unwrap();
        assert_eq!(
            (engine.long_grants.kept.len(), engine.long_grants.events),
            (1, 40)
        );
    }
}
