//! Plain bookkeeping: what the log must hold after what was sent, worked out without engine, store or fold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tenure::provider::{Content, Dedupe, SourceContext, Stated};
use tenure::{
    Change, DedupeKey, EffectiveAt, Event, EventKey, GrantKey, Instant, Outcome, Position, Reason,
    RecordedAt, RecordedEvent, Request, Rules, SourceName, Statement, Term, Verified, provider_of,
};

use crate::strategies::fill_withdrawn;

/// A delivery as somebody sends it.
#[derive(Clone)]
pub(crate) struct Sent {
    /// Those whose grants and users have nothing to do with those of others.
    pub(crate) family: usize,
    pub(crate) source: &'static str,
    pub(crate) body: String,
    pub(crate) received_at: Option<Instant>,
    /// Whether it claims that as its recorded time.
    pub(crate) is_backfill: bool,
}

/// On one line, as it would be looked at.
impl fmt::Debug for Sent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of family {}", self.source, self.family)?;
        if let Some(at) = self.received_at {
            let claimed = if self.is_backfill {
                "claimed"
            } else {
                "received"
            };
            write!(out, ", {claimed} {at}")?;
        }
        write!(out, ": {}", self.body)
    }
}

/// What must become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) outcome: Outcome,
    pub(crate) position: Position,
    pub(crate) events: usize,
}

/// What must become of a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redriven {
    Recorded(Position),
    TakenBefore(Position),
    StillParked(Reason),
}

#[derive(Clone, Debug)]
struct Parked {
    position: Position,
    key: DedupeKey,
    sent: Sent,
    body: Vec<u8>,
    recorded_at: RecordedAt,
    reason: Reason,
    is_late_claim: bool,
    is_open: bool,
}

#[derive(Clone, Debug)]
struct Holder {
    first: Position,
    body: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) rules: Vec<(RecordedAt, Rules)>,
    /// When each entry was recorded.
    pub(crate) times: Vec<RecordedAt>,
    events: Vec<(usize, RecordedEvent)>,
    holders: BTreeMap<(SourceName, DedupeKey), Holder>,
    parked: Vec<Parked>,
    packets: BTreeMap<(SourceName, GrantKey), (DedupeKey, Vec<u8>)>,
    pub(crate) received: u64,
    pub(crate) applied: u64,
    pub(crate) ignored: u64,
}

struct Read {
    name: SourceName,
    text: Vec<u8>,
    body: Vec<u8>,
    dedupe: Dedupe,
    content: Content,
    arrival_is_order: bool,
}

impl Ledger {
    pub(crate) fn begin(rules: &Rules) -> Self {
        let first = RecordedAt(Instant::FIRST);
        Self {
            rules: vec![(first, rules.clone())],
            times: vec![first],
            ..Self::default()
        }
    }

    pub(crate) fn rules_in_force(&self) -> &Rules {
        &self.rules.last().unwrap().1
    }

    pub(crate) fn last_recorded(&self) -> RecordedAt {
        *self.times.last().unwrap()
    }

    pub(crate) fn head(&self) -> Position {
        Position(self.times.len() as u64)
    }

    /// What is recorded of a family; of all, without one.
    pub(crate) fn events_of(&self, family: Option<usize>) -> Vec<RecordedEvent> {
        let mut events: Vec<_> = self.events.iter().map(|(_, event)| event.clone()).collect();
        fill_withdrawn(&mut events);
        let of = self.events.iter().map(|(of, _)| *of);
        let own = events.into_iter().zip(of);
        own.filter(|(_, of)| family.is_none_or(|family| family == *of))
            .map(|(event, _)| event)
            .collect()
    }

    /// The events of the entries after a position, as they were when they were recorded.
    pub(crate) fn events_after(&self, position: Position) -> Vec<RecordedEvent> {
        let events = self.events.iter().map(|(_, event)| event);
        events
            .filter(|event| event.position > position)
            .cloned()
            .collect()
    }

    pub(crate) fn families(&self) -> BTreeSet<usize> {
        self.events.iter().map(|(family, _)| *family).collect()
    }

    pub(crate) fn count_events(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn open(&self) -> Vec<Position> {
        let open = self.parked.iter().filter(|it| it.is_open);
        open.map(|it| it.position).collect()
    }

    /// At least a microsecond after the last entry.
    fn next_time(&self, wanted: Instant) -> RecordedAt {
        RecordedAt(wanted.max(self.last_recorded().0.next()))
    }

    fn enter(&mut self, recorded_at: RecordedAt) -> Position {
        self.times.push(recorded_at);
        self.head()
    }

    pub(crate) fn take(&mut self, sent: &Sent, now: Instant) -> Expected {
        self.received += 1;
        let claimed = sent.received_at.filter(|_| sent.is_backfill);
        let is_late_claim = claimed.is_some_and(|claimed| claimed > now);
        let mut read = self.read(sent);
        if is_late_claim {
            let detail = "later than the clock";
            let refusal = tenure::Refusal::new(Reason::BadTime, "received_at", detail);
            read.content = Content::Quarantined(refusal);
        }
        let latest = self.latest_packet(&read);
        let key = key_after(&read, latest.as_ref());
        if let Some(holder) = self.holders.get(&(read.name.clone(), key.clone())) {
            if is_same(&read, holder) {
                return Expected {
                    outcome: Outcome::Duplicate,
                    position: holder.first,
                    events: 0,
                };
            }
            let refusal = tenure::Refusal::new(Reason::IdConflict, "id", "");
            read.content = Content::Quarantined(refusal);
        }
        if let Content::Quarantined(refusal) = &read.content {
            let again = self.parked.iter().find(|it| {
                it.sent.source == sent.source
                    && it.key == key
                    && it.body == read.body
                    && it.reason == refusal.reason
            });
            if let Some(first) = again {
                return Expected {
                    outcome: Outcome::Quarantined,
                    position: first.position,
                    events: 0,
                };
            }
        }
        let wanted = match (sent.is_backfill, claimed) {
            (false, _) => now,
            (true, Some(claimed)) if claimed <= now => claimed,
            (true, _) if self.times.len() == 1 => Instant::EPOCH,
            (true, _) => Instant::FIRST,
        };
        let recorded_at = self.next_time(wanted);
        let position = self.enter(recorded_at);
        if let Content::Quarantined(refusal) = &read.content {
            self.parked.push(Parked {
                position,
                key,
                sent: sent.clone(),
                body: read.body,
                recorded_at,
                reason: refusal.reason,
                is_late_claim: is_late_claim && refusal.reason == Reason::BadTime,
                is_open: true,
            });
            return Expected {
                outcome: Outcome::Quarantined,
                position,
                events: 0,
            };
        }
        let received = sent.received_at.unwrap_or(recorded_at.0);
        let is_latest = true;
        self.hold(
            sent.family,
            read,
            key,
            (position, position),
            recorded_at,
            received,
            is_latest,
        )
    }

    /// It is in, first come at `first` and recorded at `position`.
    #[allow(clippy::too_many_arguments, reason = "what an entry has")]
    fn hold(
        &mut self,
        family: usize,
        read: Read,
        key: DedupeKey,
        (first, position): (Position, Position),
        recorded_at: RecordedAt,
        received: Instant,
        is_latest: bool,
    ) -> Expected {
        if let Dedupe::Packet { grant, .. } = &read.dedupe
            && is_latest
        {
            let of = (read.name.clone(), grant.clone());
            self.packets.insert(of, (key.clone(), read.text.clone()));
        }
        let of = (read.name.clone(), key.clone());
        let body = read.body;
        self.holders.insert(of, Holder { first, body });
        let stated = match read.content {
            Content::Events(stated) => stated,
            Content::Ignored | Content::Quarantined(_) => Vec::new(),
        };
        let outcome = if stated.is_empty() {
            self.ignored += 1;
            Outcome::Ignored
        } else {
            self.applied += 1;
            Outcome::Applied
        };
        let events = stated.len();
        for (index, stated) in stated.into_iter().enumerate() {
            let event = RecordedEvent {
                event: event(stated, received),
                key: EventKey {
                    source: read.name.clone(),
                    dedupe_key: key.clone(),
                    index: u32::try_from(index).unwrap(),
                },
                sequence: if read.arrival_is_order { first.0 } else { 0 },
                position,
                recorded_at,
                withdrawn_at: None,
            };
            self.events.push((family, event));
        }
        Expected {
            outcome,
            position,
            events,
        }
    }

    pub(crate) fn retry(&mut self, position: Position, now: Instant) -> Redriven {
        let place = self.parked.iter().position(|it| it.position == position);
        let place = place.unwrap();
        let parked = self.parked[place].clone();
        let is_early = parked.sent.received_at.is_some_and(|claimed| claimed > now);
        if parked.is_late_claim && is_early {
            return Redriven::StillParked(Reason::BadTime);
        }
        let read = self.read(&parked.sent);
        let previous = self.packet_before(&read, position);
        let key = key_after(&read, previous.as_ref());
        if let Some(holder) = self.holders.get(&(read.name.clone(), key.clone())) {
            if !is_same(&read, holder) {
                return Redriven::StillParked(Reason::IdConflict);
            }
            let first = holder.first;
            self.parked[place].is_open = false;
            return Redriven::TakenBefore(first);
        }
        if let Content::Quarantined(refusal) = &read.content {
            return Redriven::StillParked(refusal.reason);
        }
        self.parked[place].is_open = false;
        let is_latest = self.latest_packet(&read).is_none_or(|(key, _)| {
            let holder = &self.holders[&(read.name.clone(), key)];
            holder.first < position
        });
        let received = parked.sent.received_at.unwrap_or(parked.recorded_at.0);
        let recorded_at = self.next_time(now);
        let entry = self.enter(recorded_at);
        let family = parked.sent.family;
        self.hold(
            family,
            read,
            key,
            (position, entry),
            recorded_at,
            received,
            is_latest,
        );
        Redriven::Recorded(entry)
    }

    pub(crate) fn discard(&mut self, position: Position, now: Instant) {
        let parked = self.parked.iter_mut().find(|it| it.position == position);
        parked.unwrap().is_open = false;
        let recorded_at = self.next_time(now);
        self.enter(recorded_at);
    }

    pub(crate) fn apply(&mut self, rules: &Rules, now: Instant) {
        if rules != self.rules_in_force() {
            let recorded_at = self.next_time(now);
            self.enter(recorded_at);
            self.rules.push((recorded_at, rules.clone()));
        }
    }

    fn read(&self, sent: &Sent) -> Read {
        let rules = self.rules_in_force();
        let name: SourceName = sent.source.parse().unwrap();
        let provider = provider_of(rules, &name).unwrap();
        let opened = Verified::trusted(provider, request(sent), None).unwrap();
        let context = SourceContext {
            name: &name,
            rules: rules.sources.get(&name),
            products: rules,
        };
        let decoded = provider.decode(opened.text(), &context);
        Read {
            text: opened.text().to_vec(),
            body: opened.request().body.clone(),
            dedupe: decoded.dedupe,
            content: decoded.content,
            arrival_is_order: provider.arrival_is_order(),
            name,
        }
    }

    fn latest_packet(&self, read: &Read) -> Option<(DedupeKey, Vec<u8>)> {
        let Dedupe::Packet { grant, .. } = &read.dedupe else {
            return None;
        };
        let of = (read.name.clone(), grant.clone());
        self.packets.get(&of).cloned()
    }

    /// The latest packet if it says the same, else the last that came before.
    fn packet_before(&self, read: &Read, position: Position) -> Option<(DedupeKey, Vec<u8>)> {
        let Dedupe::Packet { grant, .. } = &read.dedupe else {
            return None;
        };
        let latest = self.latest_packet(read);
        if latest.as_ref().is_some_and(|(_, text)| *text == read.text) {
            return latest;
        }
        let own = self.events.iter().map(|(_, event)| event).filter(|event| {
            let names = |statement: &Statement| match statement {
                Statement::Grant(of) => of.grant.key == *grant && of.grant.source == read.name,
                Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => false,
            };
            event.key.source == read.name
                && event.sequence < position.0
                && names(&event.event.statement)
        });
        let before = own.max_by_key(|event| event.sequence)?;
        Some((before.key.dedupe_key.clone(), Vec::new()))
    }
}

pub(crate) fn request(sent: &Sent) -> Request {
    Request {
        body: sent.body.clone().into_bytes(),
        ..Request::default()
    }
}

fn key_after(read: &Read, latest: Option<&(DedupeKey, Vec<u8>)>) -> DedupeKey {
    match (&read.dedupe, latest) {
        (Dedupe::Packet { once: false, .. }, Some((key, text))) if *text == read.text => {
            key.clone()
        }
        (dedupe, latest) => dedupe.key(&read.text, latest.map(|(key, _)| key)),
    }
}

fn is_same(read: &Read, holder: &Holder) -> bool {
    match read.dedupe {
        Dedupe::Key(_) => holder.body == read.body,
        Dedupe::Packet { .. } | Dedupe::Text => true,
    }
}

fn event(stated: Stated, received: Instant) -> Event {
    let effective_at = stated.effective_at.unwrap_or(EffectiveAt(received));
    let mut statement = stated.statement;
    if let (Some(length), Statement::Grant(of)) = (stated.lasts, &mut statement)
        && let Change::Granted(granted) = &mut of.change
    {
        granted.term = Term::Until(effective_at.0.plus(length));
    }
    Event {
        effective_at,
        statement,
    }
}
