//! Short ways to state facts.

use tenure::domain::window::{LivePhase, Phase, Segment};
use tenure::store::{
    EntryKind, EntryRefusal, NewEntry, Projection, RecordedAnomaly, Snapshot, StoreError,
};
use tenure::*;

pub(crate) fn at(micros: i64) -> Instant {
    Instant::from_micros(micros).unwrap()
}

pub(crate) fn recorded(micros: i64) -> RecordedAt {
    RecordedAt(at(micros))
}

pub(crate) fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

pub(crate) fn source(name: &str) -> SourceName {
    name.parse().unwrap()
}

pub(crate) fn key(name: &str) -> DedupeKey {
    DedupeKey::new(name).unwrap()
}

pub(crate) fn grant(name: &str) -> GrantId {
    GrantId {
        source: source("shop"),
        key: name.parse().unwrap(),
    }
}

pub(crate) fn event(effective: i64, statement: Statement) -> Event {
    Event {
        effective_at: EffectiveAt(at(effective)),
        statement,
    }
}

pub(crate) fn granted(to: &str, of: &str, parent: Option<&str>) -> Event {
    let change = Change::Granted(Granted {
        user: user(to),
        product: "pro".parse().unwrap(),
        term: Term::UntilThenPeriod(End::At(at(5_000)), "P1M".parse().unwrap()),
        recurring: Some(true),
        from: Some(at(10)),
        period_key: Some("invoice-1".parse().unwrap()),
        parent: parent.map(|parent| parent.parse().unwrap()),
        origin: Origin::Trial,
    });
    stated(of, None, change)
}

pub(crate) fn stated(of: &str, user_id: Option<&str>, change: Change) -> Event {
    let statement = GrantStatement {
        grant: grant(of),
        user: user_id.map(user),
        product: user_id.map(|_| "pro".parse().unwrap()),
        change,
    };
    event(100, Statement::Grant(statement))
}

pub(crate) fn of_user(name: &str, change: UserChange) -> Event {
    let statement = UserStatement {
        source: source("shop"),
        user: user(name),
        change,
    };
    event(100, Statement::User(statement))
}

pub(crate) fn link(one: &str, other: &str) -> Event {
    let (user, alias) = (user(one), user(other));
    event(100, Statement::Link { user, alias })
}

pub(crate) fn withdrawal(of: &str) -> Event {
    let (source, key) = (source("shop"), key(of));
    event(100, Statement::Withdrawal { source, key })
}

/// A delivery recorded at that microsecond.
pub(crate) fn delivery(recorded_at: i64, name: &str, events: Vec<Event>) -> NewEntry {
    let outcome = if events.is_empty() {
        Outcome::Ignored
    } else {
        Outcome::Applied
    };
    NewEntry {
        kind: EntryKind::Delivery,
        of: None,
        source: source("shop"),
        dedupe_key: key(name),
        recorded_at: recorded(recorded_at),
        received_at: Some(at(recorded_at - 1)),
        outcome,
        event_name: Some("it.happened".to_owned()),
        refusal: None,
        body: format!("{{\"id\":\"{name}\"}}").into_bytes(),
        headers: Some("{}".to_owned()),
        query: None,
        events,
        mentions: Vec::new(),
        arrival_is_order: false,
    }
}

pub(crate) fn refusal() -> EntryRefusal {
    EntryRefusal {
        reason: Reason::BadTime,
        field: "data.until".to_owned(),
        detail: "not a time".to_owned(),
    }
}

/// A delivery that is parked.
pub(crate) fn undecodable(recorded_at: i64, name: &str) -> NewEntry {
    NewEntry {
        outcome: Outcome::Quarantined,
        refusal: Some(refusal()),
        mentions: vec![Mention::new(name).unwrap()],
        ..delivery(recorded_at, name, Vec::new())
    }
}

/// Speaks of a parked delivery.
pub(crate) fn about(of: Position, kind: EntryKind, then: NewEntry) -> NewEntry {
    NewEntry {
        kind,
        of: Some(of),
        body: Vec::new(),
        ..then
    }
}

pub(crate) fn segment(from: i64, to: End, holder: &str) -> Segment {
    Segment {
        from: at(from),
        to,
        phase: Phase::Live(LivePhase {
            user: user(holder),
            product: "pro".parse().unwrap(),
            start: at(from),
            paid_until: End::At(at(from + 5)),
            end: to,
            cancelled: true,
            suspended: false,
            parent_ended: false,
        }),
    }
}

pub(crate) fn projection(segments: Vec<Segment>, anomalies: Vec<RecordedAnomaly>) -> Projection {
    let holders = segments.iter().filter_map(Segment::holder);
    Projection {
        users: holders.cloned().collect(),
        windows: domain::window::windows(&segments),
        segments,
        anomalies,
    }
}

/// Everything a snapshot can tell, for comparing two stores.
pub(crate) fn everything(snapshot: &dyn Snapshot) -> Result<String, StoreError> {
    let mut told = format!("{:?}\n", snapshot.head()?);
    for entry in snapshot.entries_after(Position(0), usize::MAX)? {
        told += &format!("{entry:?}\n{:?}\n", snapshot.events_of(entry.position)?);
    }
    for grant in snapshot.grants_after(None, usize::MAX)? {
        told += &format!("{grant:?} {:?}\n", snapshot.grant_events(&grant)?);
        told += &format!(
            "{:?} {:?}\n",
            snapshot.projection(&grant)?,
            snapshot.children(&grant)?
        );
    }
    for name in ["ann", "bob", "cid"].map(user) {
        told += &format!(
            "{:?} {:?}\n",
            snapshot.grants_naming(&name)?,
            snapshot.links(&name)?
        );
        told += &format!("{:?}\n", snapshot.segments_naming(&name)?);
        for product in ["pro", "news"] {
            let given = snapshot.segments_giving(&name, &|it| it == product)?;
            told += &format!("{given:?}\n");
        }
        told += &format!(
            "{:?} {}\n",
            snapshot.windows_of(&name)?,
            snapshot.is_named(&name, None)?
        );
    }
    let statistics = Statistics {
        bytes: 0,
        ..snapshot.statistics()?
    };
    told += &format!("{statistics:?} {:?}\n", snapshot.rules()?);
    told += &format!("{:?}\n", snapshot.parked_after(Position(0), usize::MAX)?);
    for text in ["ann", "q1", "q2"] {
        let mention = Mention::new(text).unwrap();
        told += &format!("{:?}\n", snapshot.parked_mentioning(&mention)?);
    }
    told += &format!("{:?}\n", snapshot.anomalies_after(None, usize::MAX)?);
    Ok(told)
}
