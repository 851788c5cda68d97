//! The reference model: what access means, said as plainly as possible.
//!
//! It shares no code with the engine's fold and keeps no state of a grant: every answer folds the events anew for every
//! instant it looks at. Where it and the engine disagree, one of them has misread the law.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Months};
use tenure::{
    BlockName, Cause, Change, End, GrantId, GrantKey, GrantStatement, Granted, Instant, Length,
    Origin, Period, PeriodName, Policy, Position, ProductName, RecordedAt, RecordedEvent,
    RefundPolicy, ResourceName, Rules, SourceName, Statement, UserChange, UserId,
};

/// All that is recorded. `rules` ascending by recording; none means defaults.
pub(crate) struct Model<'a> {
    pub(crate) events: &'a [RecordedEvent],
    pub(crate) rules: &'a [(RecordedAt, Rules)],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) allow: bool,
    pub(crate) reason: &'static str,
    /// What gave access; where it is denied, nothing did.
    pub(crate) grant: Option<GrantId>,
    pub(crate) product: Option<ProductName>,
    pub(crate) window: Option<(Instant, End)>,
    pub(crate) next_change_at: Option<Instant>,
}

impl Model<'_> {
    /// The definition: is there a grant that gives `user` a product that includes `resource` at `at`?
    pub(crate) fn access(
        &self,
        user: &UserId,
        resource: &ResourceName,
        at: Instant,
        known_at: Option<RecordedAt>,
    ) -> bool {
        self.known(known_at).has_access(user, resource, at)
    }

    pub(crate) fn answer(
        &self,
        user: &UserId,
        resource: &ResourceName,
        at: Instant,
        known_at: Option<RecordedAt>,
    ) -> Answer {
        self.known(known_at).answer(user, resource, at)
    }

    /// Every instant at which access begins (`true`) or ends.
    pub(crate) fn turns(
        &self,
        user: &UserId,
        resource: &ResourceName,
        known_at: Option<RecordedAt>,
    ) -> Vec<(Instant, bool)> {
        let known = self.known(known_at);
        let person = known.person(user);
        let gives = |at: Instant| known.access(&person, resource, at);
        let instants = known.instants().iter().copied();
        let turns =
            instants.filter(|at| gives(*at) != (*at > Instant::FIRST && gives(at.previous())));
        turns.map(|at| (at, gives(at))).collect()
    }

    /// All windows of exactly this user, by start, source and grant key.
    pub(crate) fn windows(
        &self,
        user: &UserId,
        known_at: Option<RecordedAt>,
    ) -> Vec<(GrantId, ProductName, Instant, End)> {
        let all = self.known(known_at).windows_of_all().into_iter();
        let own = all.filter(|(holder, ..)| holder == user);
        own.map(|(_, grant, product, start, end)| (grant, product, start, end))
            .collect()
    }

    /// The anomalies of every grant, by position and index; without those of two events at one instant and of parents.
    pub(crate) fn anomalies(
        &self,
        known_at: Option<RecordedAt>,
    ) -> Vec<(Position, u32, &'static str, GrantId)> {
        self.known(known_at).anomalies()
    }

    /// What counts by the knowledge of `known_at`, in the order of the fold.
    pub(crate) fn known(&self, known_at: Option<RecordedAt>) -> Known<'_> {
        let by_then = |instant: RecordedAt| known_at.is_none_or(|known_at| instant <= known_at);
        let mut events: Vec<_> = self.events.iter().collect();
        events.retain(|e| by_then(e.recorded_at) && !e.withdrawn_at.is_some_and(by_then));
        events.sort_by_key(|e| {
            let (rank, stated_end) = rank_and_stated_end(&e.event.statement);
            (
                e.event.effective_at,
                e.sequence,
                rank,
                stated_end,
                e.key.clone(),
            )
        });
        let rules = self.rules.iter().rfind(|(recorded, _)| by_then(*recorded));
        let rules = rules.map(|(_, rules)| rules.clone()).unwrap_or_default();
        Known {
            events,
            rules,
            instants: OnceCell::new(),
        }
    }
}

/// At one instant the restricting change has the last word, and of one change the longer end.
fn rank_and_stated_end(statement: &Statement) -> (u8, Option<End>) {
    let statement = match statement {
        Statement::Grant(statement) => statement,
        Statement::User(statement) => match statement.change {
            UserChange::Resumed { .. } => return (2, None),
            UserChange::Suspended { .. } => return (10, None),
            UserChange::UserRemoved => return (14, None),
        },
        Statement::Link { .. } | Statement::Withdrawal { .. } => return (15, None),
    };
    let at = |until: &Option<Instant>| until.map(End::At);
    match &statement.change {
        Change::Granted(given) => (0, given.term.stated_end()),
        Change::Reinstated { until } => (1, at(until)),
        Change::Resumed { .. } => (2, None),
        Change::Switched { until, .. } => (3, at(until)),
        Change::Transferred { .. } => (4, None),
        Change::Modified { until } => (5, Some(*until)),
        Change::Rescheduled { until } => (6, Some(*until)),
        Change::Renewed { until, .. } => (7, at(until)),
        Change::GraceExtended { until } => (8, at(until)),
        Change::PaymentFailed => (9, None),
        Change::Suspended { .. } => (10, None),
        Change::Cancelled { until } => (11, at(until)),
        Change::Refunded { .. } => (12, None),
        Change::Revoked => (13, None),
        Change::Ended { .. } => (14, None),
    }
}

/// All that counts at some K.
pub(crate) struct Known<'a> {
    events: Vec<&'a RecordedEvent>,
    rules: Rules,
    /// Worked out once for all questions.
    instants: OnceCell<BTreeSet<Instant>>,
}

/// Maximal stretches of time in which something stays the same.
type Stretches<T> = Vec<(T, Instant, End)>;

type Anomalies = Vec<(Position, u32, &'static str, GrantId)>;

impl Known<'_> {
    pub(crate) fn has_access(&self, user: &UserId, resource: &ResourceName, at: Instant) -> bool {
        self.access(&self.person(user), resource, at)
    }

    pub(crate) fn answer(&self, user: &UserId, resource: &ResourceName, at: Instant) -> Answer {
        let instants = self.instants();
        let person = self.person(user);
        let allow = self.access(&person, resource, at);
        let next_change_at = instants
            .iter()
            .find(|next| **next > at && self.access(&person, resource, **next) != allow)
            .copied();
        if !allow {
            let reason = self.reason_to_deny(instants, &person, resource, at);
            return Answer {
                allow,
                reason,
                grant: None,
                product: None,
                window: None,
                next_change_at,
            };
        }
        // Active before grace, then the window that ends last, then the smallest source and key.
        let (in_grace, Reverse(end), grant, product, start) = self
            .grants()
            .into_iter()
            .filter(|grant| self.gives_to(grant, &person, resource, at))
            .map(|grant| {
                let live = self.gives(&grant, at).unwrap();
                let windows = self.windows(instants, &grant);
                let covers = |(_, start, end): &(_, Instant, End)| *start <= at && end.is_after(at);
                let (_, start, end) = windows.into_iter().find(covers).unwrap();
                let in_grace = live.paid_until <= End::At(at);
                (in_grace, Reverse(end), grant, live.product, start)
            })
            .min()
            .unwrap();
        Answer {
            allow,
            reason: if in_grace { "grace" } else { "active" },
            grant: Some(grant),
            product: Some(product),
            window: Some((start, end)),
            next_change_at,
        }
    }

    /// The windows of all users, each with its holder, by start, source and grant key.
    pub(crate) fn windows_of_all(&self) -> Vec<(UserId, GrantId, ProductName, Instant, End)> {
        let mut windows = Vec::new();
        for grant in self.grants() {
            for ((holder, product), start, end) in self.windows(self.instants(), &grant) {
                windows.push((holder, grant.clone(), product, start, end));
            }
        }
        windows.sort_by_key(|(_, grant, _, start, _)| (*start, grant.clone()));
        windows
    }

    pub(crate) fn anomalies(&self) -> Vec<(Position, u32, &'static str, GrantId)> {
        let mut anomalies = Vec::new();
        for grant in self.grants() {
            self.fold(&grant, Instant::LAST, &mut anomalies);
        }
        anomalies.sort();
        anomalies
    }

    fn grants(&self) -> BTreeSet<GrantId> {
        let grants = self.events.iter().filter_map(|e| match &e.event.statement {
            Statement::Grant(statement) => Some(statement.grant.clone()),
            Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => None,
        });
        grants.collect()
    }

    /// The id and all that links, whenever effective, join to it.
    fn person(&self, user: &UserId) -> BTreeSet<UserId> {
        let mut person = BTreeSet::from([user.clone()]);
        loop {
            let before = person.len();
            for e in &self.events {
                if let Statement::Link { user, alias } = &e.event.statement
                    && (person.contains(user) || person.contains(alias))
                {
                    person.extend([user.clone(), alias.clone()]);
                }
            }
            if person.len() == before {
                return person;
            }
        }
    }

    fn access(&self, person: &BTreeSet<UserId>, resource: &ResourceName, at: Instant) -> bool {
        let mut grants = self.grants().into_iter();
        grants.any(|grant| self.gives_to(&grant, person, resource, at))
    }

    fn gives_to(
        &self,
        grant: &GrantId,
        person: &BTreeSet<UserId>,
        resource: &ResourceName,
        at: Instant,
    ) -> bool {
        self.gives(grant, at).is_some_and(|live| {
            person.contains(&live.user) && self.includes(&live.product, resource, at)
        })
    }

    /// The state of a grant that gives its holder its product at `at`.
    fn gives(&self, grant: &GrantId, at: Instant) -> Option<Live> {
        let live = self.running(grant, at)?;
        let gives = !self.is_blocked(grant, &live, at) && self.parent_gives(grant, &live, at);
        gives.then_some(live)
    }

    /// The state of a grant that is between its start and its end, blocks and parents aside.
    fn running(&self, grant: &GrantId, at: Instant) -> Option<Live> {
        let State::Live(live) = self.fold(grant, at, &mut Vec::new()) else {
            return None;
        };
        let end = live.end(&self.policy(grant));
        (live.start <= at && end.is_after(at)).then_some(live)
    }

    /// Blocks of the grant, or of its holder in the grant's source.
    fn is_blocked(&self, grant: &GrantId, live: &Live, at: Instant) -> bool {
        // A name set on the grant is another block than the same name set on its holder.
        let mut of_holder = BTreeSet::new();
        for e in self.events.iter().filter(|e| e.event.effective_at.0 <= at) {
            let Statement::User(statement) = &e.event.statement else {
                continue;
            };
            if (&statement.source, &statement.user) != (&grant.source, &live.user) {
                continue;
            }
            match &statement.change {
                UserChange::Suspended { by } => {
                    of_holder.insert(named(by, &e.key.source));
                }
                UserChange::Resumed { by } => {
                    of_holder.remove(&named(by, &e.key.source));
                }
                UserChange::UserRemoved => {}
            }
        }
        !live.blocks.is_empty() || !of_holder.is_empty()
    }

    /// A parent counts by its own state only: its own parent is not looked at.
    fn parent_gives(&self, grant: &GrantId, live: &Live, at: Instant) -> bool {
        let Some(key) = live.parent.clone() else {
            return true;
        };
        let source = grant.source.clone();
        let parent = GrantId { source, key };
        let state = self.running(&parent, at);
        state.is_some_and(|state| !self.is_blocked(&parent, &state, at))
    }

    fn includes(&self, product: &ProductName, resource: &ResourceName, at: Instant) -> bool {
        let names = |name: &str| match name.strip_suffix('*') {
            Some(prefix) => resource.as_str().starts_with(prefix),
            None => resource.as_str() == name,
        };
        let listed = self.rules.products.get(product);
        product.as_str() == resource.as_str()
            || listed
                .iter()
                .flat_map(|rules| &rules.includes)
                .any(|include| {
                    names(include.name.as_str())
                        && include.from.is_none_or(|from| from <= at)
                        && include.until.is_none_or(|until| at < until)
                })
    }

    fn policy(&self, grant: &GrantId) -> Policy {
        let source = self.rules.sources.get(&grant.source);
        source.map(|rules| rules.policy.clone()).unwrap_or_default()
    }

    /// Folds what is effective by `at`.
    fn fold(&self, grant: &GrantId, at: Instant, anomalies: &mut Anomalies) -> State {
        let policy = self.policy(grant);
        let mut state = State::Absent;
        for e in self.events.iter().filter(|e| e.event.effective_at.0 <= at) {
            match &e.event.statement {
                Statement::Grant(statement) if statement.grant == *grant => {
                    let t = e.event.effective_at.0;
                    let source = &e.key.source;
                    let mut cell = Cell {
                        grant,
                        policy: &policy,
                        t,
                        source,
                        notes: Vec::new(),
                    };
                    state = cell.next(state, statement);
                    let notes = cell.notes.into_iter();
                    let at = (e.position, e.key.index);
                    anomalies.extend(notes.map(|note| (at.0, at.1, note, grant.clone())));
                }
                // Only what the user holds then: no tombstones.
                Statement::User(statement) if statement.source == grant.source => {
                    if statement.change == UserChange::UserRemoved
                        && let State::Live(live) = &state
                        && live.user == statement.user
                    {
                        state = State::over(How::Ended(Cause::UserRemoved), Some(live.clone()));
                    }
                }
                Statement::Grant(_) | Statement::User(_) => {}
                Statement::Link { .. } | Statement::Withdrawal { .. } => {}
            }
        }
        state
    }

    /// Every instant at which anything could change: between two of them everything is constant.
    fn instants(&self) -> &BTreeSet<Instant> {
        self.instants.get_or_init(|| self.all_instants())
    }

    fn all_instants(&self) -> BTreeSet<Instant> {
        let effective = self.events.iter().map(|e| e.event.effective_at.0);
        let effective: BTreeSet<_> = effective.collect();
        let mut instants = effective.clone();
        for grant in self.grants() {
            for at in &effective {
                let (State::Live(live)
                | State::Over(Over {
                    last: Some(live), ..
                })) = self.fold(&grant, *at, &mut Vec::new())
                else {
                    continue;
                };
                let end = live.end(&self.policy(&grant));
                let ends = [live.paid_until, live.until, end];
                instants.extend(ends.into_iter().filter_map(End::instant));
                instants.extend(live.cancelled.flatten());
                instants.insert(live.start);
            }
        }
        for include in self
            .rules
            .products
            .values()
            .flat_map(|rules| &rules.includes)
        {
            instants.extend(include.from);
            instants.extend(include.until);
        }
        instants
    }

    fn windows(
        &self,
        instants: &BTreeSet<Instant>,
        grant: &GrantId,
    ) -> Stretches<(UserId, ProductName)> {
        let given = |at| self.gives(grant, at).map(|live| (live.user, live.product));
        stretches(instants, given)
    }

    fn reason_to_deny(
        &self,
        instants: &BTreeSet<Instant>,
        person: &BTreeSet<UserId>,
        resource: &ResourceName,
        at: Instant,
    ) -> &'static str {
        let gave = |grant: &GrantId| {
            stretches(instants, |at| {
                self.gives_to(grant, person, resource, at).then_some(())
            })
        };
        // But for a block or its parent.
        let would_give = |grant: &GrantId| {
            let included = |live: &Live, at| {
                person.contains(&live.user) && self.includes(&live.product, resource, at)
            };
            stretches(instants, |at| {
                self.running(grant, at)
                    .filter(|live| included(live, at))
                    .map(|_| ())
            })
        };
        // The grant whose last stretch begun by `at` ended last (what still runs as ending now), then the smallest.
        let last = |stretches: &dyn Fn(&GrantId) -> Stretches<()>| {
            let ended = self.grants().into_iter().filter_map(|grant| {
                let begun = stretches(&grant)
                    .into_iter()
                    .rfind(|(_, start, _)| *start <= at);
                begun.map(|(_, _, end)| (end.min(End::At(at)), Reverse(grant)))
            });
            ended.max().map(|(_, Reverse(grant))| grant)
        };
        if let Some(grant) = last(&gave).or_else(|| last(&would_give)) {
            return self.reason_of(&grant, person, resource, at);
        }
        // What is not begun by now, yet gives access, does so later.
        if self.grants().iter().any(|grant| !gave(grant).is_empty()) {
            return "not_yet";
        }
        let mut named = self.events.iter().flat_map(|e| e.event.statement.users());
        if named.any(|user| person.contains(user)) {
            "never_granted"
        } else {
            "unknown_user"
        }
    }

    /// The first that holds of the state at `at` of the grant that had given access.
    fn reason_of(
        &self,
        grant: &GrantId,
        person: &BTreeSet<UserId>,
        resource: &ResourceName,
        at: Instant,
    ) -> &'static str {
        match self.fold(grant, at, &mut Vec::new()) {
            State::Live(Live { user, .. })
            | State::Over(Over {
                last: Some(Live { user, .. }),
                ..
            }) if !person.contains(&user) => "transferred",
            State::Over(Over {
                how: How::Revoked, ..
            }) => "revoked",
            State::Over(Over {
                how: How::Ended(Cause::Refunded),
                ..
            }) => "refunded",
            State::Over(Over {
                how: How::Ended(_), ..
            }) => "ended",
            State::Live(live) if !live.end(&self.policy(grant)).is_after(at) => {
                if live.cancelled.is_some() {
                    "cancelled"
                } else {
                    "lapsed"
                }
            }
            State::Live(live) if self.is_blocked(grant, &live, at) => "suspended",
            State::Live(live) if !self.includes(&live.product, resource, at) => "not_included",
            State::Live(live) if !self.parent_gives(grant, &live, at) => "parent_ended",
            // Given anew, from later on.
            State::Live(_) | State::Absent => "not_yet",
        }
    }
}

/// The maximal stretches in which `value` stays the same, looked at wherever it could change.
fn stretches<T: PartialEq>(
    instants: &BTreeSet<Instant>,
    value: impl Fn(Instant) -> Option<T>,
) -> Stretches<T> {
    let mut stretches: Stretches<T> = Vec::new();
    for at in instants {
        // Each look holds until the next one, where it goes on, changes or stops.
        let open = stretches
            .last_mut()
            .filter(|(_, _, end)| *end == End::Never);
        match (open, value(*at)) {
            (Some((same, _, _)), Some(now)) if *same == now => {}
            (open, now) => {
                if let Some((_, _, end)) = open {
                    *end = End::At(*at);
                }
                stretches.extend(now.map(|now| (now, *at, End::Never)));
            }
        }
    }
    stretches
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Absent,
    Live(Live),
    Over(Over),
}

#[derive(Debug, Clone, PartialEq)]
struct Over {
    how: How,
    /// The source that forbade the grant's own source to give access again.
    barred: Option<SourceName>,
    /// None for a tombstone.
    last: Option<Live>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Revoked,
    Ended(Cause),
}

#[derive(Debug, Clone, PartialEq)]
struct Live {
    user: UserId,
    product: ProductName,
    origin: Origin,
    said_recurring: bool,
    renewed: bool,
    rescheduled: bool,
    period: Option<Period>,
    anchor: Instant,
    start: Instant,
    paid_until: End,
    until: End,
    blocks: BTreeSet<BlockName>,
    /// The mark, and the instant from which it ends access if it names one.
    cancelled: Option<Option<Instant>>,
    /// What each period key bought.
    periods: BTreeMap<PeriodKey, (End, End)>,
    parent: Option<GrantKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum PeriodKey {
    Named(PeriodName),
    At(Instant),
}

impl State {
    fn over(how: How, last: Option<Live>) -> Self {
        Self::Over(Over {
            how,
            barred: None,
            last,
        })
    }
}

impl Live {
    fn recurring(&self) -> bool {
        self.period.is_some() || self.renewed || self.rescheduled || self.said_recurring
    }

    fn paid(&self) -> bool {
        let by_origin = matches!(
            self.origin,
            Origin::Purchase | Origin::Gift | Origin::Import
        );
        by_origin || self.renewed
    }

    fn end(&self, policy: &Policy) -> End {
        match self.cancelled {
            Some(Some(instant)) => self.until.min(End::At(instant)),
            Some(None) => self.until,
            None if self.recurring() => self.until.max(self.paid_until.plus(policy.renewal_access)),
            None => self.until,
        }
    }

    /// A stated end takes back the instant of a cancellation; the mark stays.
    fn state_end(&mut self, end: End) {
        self.paid_until = end;
        self.until = end;
        self.cancelled = self.cancelled.map(|_| None);
        self.keep_or_move_anchor(end);
    }

    /// An end on the anchor's grid keeps the anchor; any other becomes it. Without a period there is no grid.
    fn keep_or_move_anchor(&mut self, end: End) {
        let End::At(end) = end else { return };
        if self
            .period
            .is_none_or(|period| steps_to(period, self.anchor, end).is_none())
        {
            self.anchor = end;
        }
    }
}

fn named(by: &Option<BlockName>, source: &SourceName) -> BlockName {
    by.clone().unwrap_or_else(|| BlockName::from(source))
}

/// One cell of the table: the column is the state, the row the change, effective at `t` and said by `source`.
struct Cell<'a> {
    grant: &'a GrantId,
    policy: &'a Policy,
    t: Instant,
    source: &'a SourceName,
    notes: Vec<&'static str>,
}

impl Cell<'_> {
    fn next(&mut self, state: State, statement: &GrantStatement) -> State {
        match state {
            State::Absent => self.on_absent(statement),
            State::Live(live) => self.on_live(live, &statement.change),
            State::Over(over) => self.on_over(over, &statement.change),
        }
    }

    fn note(&mut self, anomaly: &'static str) {
        self.notes.push(anomaly);
    }

    /// The one who says it, if it is not the grant's own source.
    fn foreign(&self) -> Option<SourceName> {
        (*self.source != self.grant.source).then(|| self.source.clone())
    }

    fn on_absent(&mut self, statement: &GrantStatement) -> State {
        let product = statement.product.as_ref();
        let adopted = match &statement.change {
            Change::Granted(given) => return State::Live(self.granted(None, false, given)),
            Change::Revoked => {
                let barred = self.foreign();
                return State::Over(Over {
                    how: How::Revoked,
                    barred,
                    last: None,
                });
            }
            Change::Ended { cause, .. } => return State::over(How::Ended(*cause), None),
            Change::Modified { until } => self.adopted(statement, product, Some(*until), None),
            Change::Rescheduled { until } => {
                let live = self.adopted(statement, product, Some(*until), None);
                live.map(|live| Live {
                    rescheduled: true,
                    ..live
                })
            }
            Change::Renewed {
                until,
                period,
                period_key,
            } => {
                // As on a live grant, an end that is not after the payment yields to a period.
                let until = until.filter(|end| *end > self.t || period.is_none());
                let live = self.adopted(statement, product, until.map(End::At), *period);
                live.map(|mut live| {
                    live.renewed = true;
                    live.periods
                        .insert(self.key(period_key), (self.t.into(), live.until));
                    live
                })
            }
            Change::GraceExtended { until } => {
                let until = until.map(|end| End::At(end.max(self.t)));
                let live = self.adopted(statement, product, until, None);
                let (paid_until, anchor) = (self.t.into(), self.t);
                live.map(|live| Live {
                    paid_until,
                    anchor,
                    ..live
                })
            }
            Change::Switched { product, until } => {
                self.adopted(statement, Some(product), until.map(End::At), None)
            }
            Change::Reinstated { .. }
            | Change::Resumed { .. }
            | Change::Transferred { .. }
            | Change::PaymentFailed
            | Change::Suspended { .. }
            | Change::Cancelled { .. }
            | Change::Refunded { .. } => None,
        };
        self.note(if adopted.is_some() {
            "adopted"
        } else {
            "orphan"
        });
        adopted.map_or(State::Absent, State::Live)
    }

    /// Listening began in mid-life: who, what and until when must all be stated.
    fn adopted(
        &self,
        statement: &GrantStatement,
        product: Option<&ProductName>,
        end: Option<End>,
        period: Option<Period>,
    ) -> Option<Live> {
        let end = end.or(period.map(|period| step(period, self.t, 1)))?;
        let (user, product) = (statement.user.as_ref()?, product?);
        let mut live = self.fresh(user, product, Origin::Import, self.t);
        live.period = period;
        live.state_end(end);
        Some(live)
    }

    fn fresh(&self, user: &UserId, product: &ProductName, origin: Origin, start: Instant) -> Live {
        Live {
            user: user.clone(),
            product: product.clone(),
            origin,
            said_recurring: false,
            renewed: false,
            rescheduled: false,
            period: None,
            anchor: self.t,
            start,
            paid_until: start.into(),
            until: start.into(),
            blocks: BTreeSet::new(),
            cancelled: None,
            periods: BTreeMap::new(),
            parent: None,
        }
    }

    fn on_live(&mut self, mut live: Live, change: &Change) -> State {
        let t = End::At(self.t);
        match change {
            Change::Granted(given) => live = self.granted(Some(live), false, given),
            Change::Modified { until } => live.state_end(*until),
            Change::Rescheduled { until } => {
                live.state_end(*until);
                live.rescheduled = true;
            }
            Change::Renewed {
                until,
                period,
                period_key,
            } => {
                self.renewed(&mut live, *until, *period, self.key(period_key));
            }
            Change::GraceExtended { until: Some(until) } => {
                live.until = live.until.max(End::At(*until));
            }
            Change::GraceExtended { until: None } => {
                live.until = live.until.max(t).plus(Length::DAY);
            }
            Change::PaymentFailed => {
                if let Some(grace) = self.policy.payment_failed_grace
                    && live.recurring()
                    && live.cancelled.is_none()
                    && live.paid()
                {
                    live.until = live.until.max(live.paid_until.plus(grace));
                }
            }
            Change::Cancelled { until } => {
                live.cancelled = Some(until.or(live.cancelled.flatten()));
            }
            Change::Reinstated { until } => {
                live.cancelled = None;
                until
                    .iter()
                    .for_each(|until| live.state_end(End::At(*until)));
            }
            Change::Switched { product, until } => {
                live.product = product.clone();
                if let Some(until) = until {
                    live.state_end(End::At(*until));
                    live.cancelled = None;
                }
            }
            Change::Transferred { user } => live.user = user.clone(),
            Change::Suspended { by } => {
                live.blocks.insert(named(by, self.source));
            }
            Change::Resumed { by } => {
                live.blocks.remove(&named(by, self.source));
            }
            Change::Refunded { .. } if self.policy.refund == RefundPolicy::Ignore => {}
            Change::Refunded { period_key: None } => {
                return State::over(How::Ended(Cause::Refunded), Some(live));
            }
            Change::Refunded {
                period_key: Some(key),
            } => {
                match live.periods.get(&PeriodKey::Named(key.clone())) {
                    None => self.note("unknown_period"),
                    // A stale payment bought nothing.
                    Some((from, to)) if *to <= t || to <= from => {}
                    Some((from, _)) if *from > t => {
                        let from = *from;
                        live.paid_until = live.paid_until.min(from);
                        live.until = live.until.min(from);
                    }
                    Some(_) => return State::over(How::Ended(Cause::Refunded), Some(live)),
                }
            }
            Change::Revoked => {
                let barred = self.foreign();
                return State::Over(Over {
                    how: How::Revoked,
                    barred,
                    last: Some(live),
                });
            }
            Change::Ended { cause, product } => {
                if product
                    .as_ref()
                    .is_none_or(|product| *product == live.product)
                {
                    return State::over(How::Ended(*cause), Some(live));
                }
            }
        }
        State::Live(live)
    }

    fn on_over(&mut self, mut over: Over, change: &Change) -> State {
        let barred_by_another = over.barred.as_ref().is_some_and(|by| by != self.source);
        match change {
            Change::Granted(_) | Change::Reinstated { .. } if barred_by_another => {
                self.note("barred");
            }
            Change::Granted(given) => return State::Live(self.granted(over.last, true, given)),
            Change::Reinstated { until } => {
                // Whoever barred the grant may lift the bar, also where nothing is left to reinstate.
                over.barred = None;
                let Some(mut live) = over.last.clone() else {
                    self.note("after_end");
                    return State::Over(over);
                };
                live.start = self.t;
                live.cancelled = None;
                until
                    .iter()
                    .for_each(|until| live.state_end(End::At(*until)));
                return State::Live(live);
            }
            Change::Renewed {
                until,
                period,
                period_key,
            } => {
                if let Some(live) = self.revived(&over, *until, *period, self.key(period_key)) {
                    return State::Live(live);
                }
            }
            Change::Modified { .. }
            | Change::Rescheduled { .. }
            | Change::GraceExtended { .. }
            | Change::Switched { .. }
            | Change::Transferred { .. } => self.note("after_end"),
            Change::PaymentFailed
            | Change::Cancelled { .. }
            | Change::Suspended { .. }
            | Change::Resumed { .. }
            | Change::Refunded { .. } => {}
            Change::Revoked => over.barred = self.foreign().or(over.barred),
            Change::Ended { cause, .. } => {
                if matches!(over.how, How::Revoked | How::Ended(Cause::Unspecified)) {
                    over.how = How::Ended(*cause);
                }
            }
        }
        State::Over(over)
    }

    /// Given for the first time, restated, or given anew after the end.
    fn granted(&mut self, before: Option<Live>, was_over: bool, given: &Granted) -> Live {
        let from = given.from.unwrap_or(self.t);
        let start = from.max(self.t);
        let is_new = before.is_none();
        let fresh = || Live {
            anchor: from,
            ..self.fresh(&given.user, &given.product, given.origin, start)
        };
        let mut live = before.unwrap_or_else(fresh);
        let lapsed = !live.end(self.policy).is_after(self.t);
        let new_window = is_new || was_over || lapsed;
        if new_window {
            live.blocks.remove(&BlockName::from(&self.grant.source));
        }
        if new_window || live.start > self.t {
            live.start = start;
            if from < self.t {
                self.note("from_in_past");
            }
        }
        if live.user != given.user && !was_over {
            self.note("moved");
        }
        live.user = given.user.clone();
        live.product = given.product.clone();
        live.origin = given.origin;
        live.said_recurring = given.recurring.unwrap_or(live.said_recurring);
        live.period = given.term.period();
        match (given.term.stated_end(), live.period) {
            (Some(end), _) => live.state_end(end),
            (None, Some(period)) => {
                live.anchor = from;
                live.state_end(step(period, from, 1));
            }
            (None, None) => {}
        }
        live.cancelled = None;
        if let Some(parent) = &given.parent {
            live.parent = Some(parent.clone()).filter(|parent| *parent != self.grant.key);
        }
        if let Some(key) = &given.period_key {
            let span = (start.into(), live.until);
            live.periods.insert(PeriodKey::Named(key.clone()), span);
        }
        live
    }

    fn key(&self, period_key: &Option<PeriodName>) -> PeriodKey {
        period_key
            .clone()
            .map_or(PeriodKey::At(self.t), PeriodKey::Named)
    }

    /// A payment on a live grant.
    fn renewed(
        &mut self,
        live: &mut Live,
        until: Option<Instant>,
        period: Option<Period>,
        key: PeriodKey,
    ) {
        if live.periods.contains_key(&key) {
            return;
        }
        let t = End::At(self.t);
        let period = period.or(live.period);
        let given = until.map(End::At).filter(|end| *end > t);
        // It is stale if it reaches no further than now, or than what is paid.
        if until.is_some() && given.is_none_or(|end| end <= live.paid_until) {
            self.note("stale_renewal");
        }
        let span = match (given, period) {
            (Some(end), _) => {
                live.period = period;
                live.keep_or_move_anchor(end);
                (live.paid_until, live.paid_until.max(end))
            }
            (None, None) => return self.note("no_period"),
            (None, Some(period)) => {
                let (anchor, end) = one_more(period, live.anchor, live.paid_until);
                if t <= live.until.plus(self.policy.renewal_leeway) && end > t {
                    live.anchor = anchor;
                    (live.paid_until, end)
                } else {
                    live.anchor = self.t;
                    (t, step(period, self.t, 1))
                }
            }
        };
        live.paid_until = span.1;
        live.until = live.until.max(live.paid_until);
        live.period = period;
        live.periods.insert(key, span);
        live.cancelled = None;
        live.renewed = true;
    }

    /// A payment after the end, where the end was not anybody's will.
    fn revived(
        &mut self,
        over: &Over,
        until: Option<Instant>,
        period: Option<Period>,
        key: PeriodKey,
    ) -> Option<Live> {
        let causes = [Cause::Expired, Cause::RenewalFailed, Cause::Unspecified];
        let by_itself = causes
            .into_iter()
            .any(|cause| over.how == How::Ended(cause));
        let last = over
            .last
            .clone()
            .filter(|last| !last.periods.contains_key(&key));
        let Some(mut live) = last.filter(|_| by_itself && over.barred.is_none()) else {
            self.note("after_end");
            return None;
        };
        live.period = period.or(live.period);
        let given = until.filter(|end| *end > self.t);
        match (given, live.period) {
            (Some(end), _) => live.state_end(End::At(end)),
            (None, Some(period)) => {
                live.anchor = self.t;
                live.state_end(step(period, self.t, 1));
            }
            (None, None) => {
                self.note("no_period");
                return None;
            }
        }
        self.note("revived");
        live.start = self.t;
        live.periods.insert(key, (self.t.into(), live.until));
        live.cancelled = None;
        live.renewed = true;
        Some(live)
    }
}

/// The number before each unit of the period as it is written, in months and microseconds.
fn months_and_micros(period: Period) -> (u32, i64) {
    let (mut months, mut micros, mut in_time, mut number) = (0, 0, false, 0);
    for letter in period.to_string().chars() {
        let seconds = |seconds: u32| i64::from(number) * i64::from(seconds) * 1_000_000;
        match letter {
            'P' => {}
            'T' => in_time = true,
            'Y' => months += 12 * number,
            'M' if !in_time => months += number,
            'W' => micros += seconds(7 * 86_400),
            'D' => micros += seconds(86_400),
            'H' => micros += seconds(3_600),
            'M' => micros += seconds(60),
            'S' => micros += seconds(1),
            digit => {
                number = 10 * number + digit.to_digit(10).unwrap();
                continue;
            }
        }
        number = 0;
    }
    (months, micros)
}

/// `anchor` plus `steps` periods; past the last year there is no end.
fn step(period: Period, anchor: Instant, steps: u32) -> End {
    let (months, micros) = months_and_micros(period);
    let steps_micros = i128::from(steps) * i128::from(micros);
    let moved = DateTime::from_timestamp_micros(anchor.micros())
        .and_then(|date| date.checked_add_months(Months::new(months.checked_mul(steps)?)))
        .and_then(|date| i64::try_from(i128::from(date.timestamp_micros()) + steps_micros).ok())
        .and_then(|micros| Instant::from_micros(micros).ok());
    moved.map_or(End::Never, End::At)
}

/// Of the Gregorian calendar: 146,097 days are 4,800 months.
const AVERAGE_MONTH: i64 = 2_629_746_000_000;

/// How many periods lie between `anchor` and `end`, if a whole number does.
fn steps_to(period: Period, anchor: Instant, end: Instant) -> Option<u32> {
    let (months, micros) = months_and_micros(period);
    // Exact periods are divided, as counting seconds could take for ever.
    let steps = if months == 0 {
        u32::try_from((end.micros() - anchor.micros()) / micros).ok()?
    } else {
        // Counted, but not from year 1: calendar and average months never lie two months apart.
        let months_between = (end.micros() - anchor.micros()) / AVERAGE_MONTH;
        let at_least = (months_between / i64::from(months) - 2).max(0);
        let mut steps = u32::try_from(at_least).ok()?..;
        steps.find(|steps| step(period, anchor, *steps) >= End::At(end))?
    };
    (step(period, anchor, steps) == End::At(end)).then_some(steps)
}

/// One period after `end`, counted from the anchor; an end beside the grid becomes the anchor first.
fn one_more(period: Period, anchor: Instant, end: End) -> (Instant, End) {
    let End::At(end) = end else {
        return (anchor, End::Never);
    };
    match steps_to(period, anchor, end) {
        Some(steps) => (anchor, step(period, anchor, steps + 1)),
        None => (end, step(period, end, 1)),
    }
}

/// What the model says of small histories, worked out by hand from the law. All of it is in 2026, days are `MM-DD`.
mod tests {
    use tenure::{DedupeKey, EffectiveAt, Event, EventKey, Term, UserStatement};

    use super::*;

    /// Each event is recorded one microsecond after the last: the n-th at n.
    #[derive(Default)]
    struct Log {
        events: Vec<RecordedEvent>,
        rules: Vec<(RecordedAt, Rules)>,
    }

    fn day(day: &str) -> Instant {
        format!("2026-{day}T00:00:00Z").parse().unwrap()
    }

    fn recorded(n: i64) -> RecordedAt {
        RecordedAt(Instant::from_micros(n).unwrap())
    }

    fn grant(key: &str) -> GrantId {
        GrantId {
            source: "shop".parse().unwrap(),
            key: key.parse().unwrap(),
        }
    }

    /// To ann, of `pro`.
    fn granted(term: Term) -> Granted {
        Granted {
            user: "ann".parse().unwrap(),
            product: "pro".parse().unwrap(),
            term,
            recurring: None,
            from: None,
            period_key: None,
            parent: None,
            origin: Origin::Purchase,
        }
    }

    fn until(end: &str) -> Change {
        Change::Granted(granted(Term::Until(day(end).into())))
    }

    fn monthly() -> Change {
        Change::Granted(granted(Term::Period("P1M".parse().unwrap())))
    }

    fn renewed(key: Option<&str>) -> Change {
        let period_key = key.map(|key| key.parse().unwrap());
        Change::Renewed {
            until: None,
            period: None,
            period_key,
        }
    }

    fn ended(cause: Cause) -> Change {
        Change::Ended {
            cause,
            product: None,
        }
    }

    impl Log {
        fn with_rules(rules: &str) -> Self {
            let rules = serde_json::from_str(rules).unwrap();
            Self {
                events: Vec::new(),
                rules: vec![(recorded(0), rules)],
            }
        }

        fn say(mut self, source: &str, on: &str, statement: Statement) -> Self {
            let n = self.events.len() + 1;
            let dedupe_key = DedupeKey::new(&n.to_string()).unwrap();
            self.events.push(RecordedEvent {
                event: Event {
                    effective_at: EffectiveAt(day(on)),
                    statement,
                },
                key: EventKey {
                    source: source.parse().unwrap(),
                    dedupe_key,
                    index: 0,
                },
                sequence: 0,
                position: Position(n.try_into().unwrap()),
                recorded_at: recorded(n.try_into().unwrap()),
                withdrawn_at: None,
            });
            self
        }

        fn said_by(self, source: &str, on: &str, key: &str, change: Change) -> Self {
            let statement = GrantStatement {
                grant: grant(key),
                user: None,
                product: None,
                change,
            };
            self.say(source, on, Statement::Grant(statement))
        }

        fn on(self, on: &str, key: &str, change: Change) -> Self {
            self.said_by("shop", on, key, change)
        }

        fn of_user(self, on: &str, change: UserChange) -> Self {
            let (source, user) = ("shop".parse().unwrap(), "ann".parse().unwrap());
            self.say(
                "shop",
                on,
                Statement::User(UserStatement {
                    source,
                    user,
                    change,
                }),
            )
        }

        fn model(&self) -> Model<'_> {
            Model {
                events: &self.events,
                rules: &self.rules,
            }
        }

        /// Of the product by its own name, by all that is recorded.
        fn answer(&self, user: &str, at: Instant) -> Answer {
            let (user, resource) = (user.parse().unwrap(), "pro".parse().unwrap());
            let answer = self.model().answer(&user, &resource, at, None);
            assert_eq!(
                answer.allow,
                self.model().access(&user, &resource, at, None)
            );
            answer
        }

        fn reason(&self, user: &str, on: &str) -> &'static str {
            self.answer(user, day(on)).reason
        }

        fn assert_windows(&self, user: &str, expected: &[(&str, &str, &str)]) {
            let windows = self.model().windows(&user.parse().unwrap(), None);
            let windows = windows
                .into_iter()
                .map(|(grant, _, start, end)| (grant, start, end));
            let expected = expected
                .iter()
                .map(|(key, start, end)| (grant(key), day(start), End::At(day(end))));
            assert_eq!(windows.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }

        fn anomalies(&self) -> Vec<(u64, &'static str)> {
            let anomalies = self.model().anomalies(None).into_iter();
            anomalies
                .map(|(position, _, name, _)| (position.0, name))
                .collect()
        }
    }

    #[test]
    fn a_plain_grant_holds_from_its_start_to_before_its_end() {
        let log = Log::default().on("01-01", "g", until("02-01"));
        log.assert_windows("ann", &[("g", "01-01", "02-01")]);
        let before = log.answer("ann", day("01-01").previous());
        assert_eq!(
            (before.reason, before.next_change_at),
            ("not_yet", Some(day("01-01")))
        );
        for inside in [day("01-01"), day("02-01").previous()] {
            let answer = log.answer("ann", inside);
            assert_eq!((answer.reason, answer.grant), ("active", Some(grant("g"))));
            assert_eq!(answer.window, Some((day("01-01"), day("02-01").into())));
            assert_eq!(answer.next_change_at, Some(day("02-01")));
        }
        let after = log.answer("ann", day("02-01"));
        assert_eq!(
            (after.allow, after.reason, after.next_change_at),
            (false, "lapsed", None)
        );
        assert_eq!(log.reason("bob", "01-15"), "unknown_user");
    }

    #[test]
    fn the_boundary_belongs_to_the_next_window_and_does_not_flip() {
        let log = Log::default()
            .on("01-01", "g", until("02-01"))
            .on("02-01", "h", until("03-01"));
        assert_eq!(
            log.answer("ann", day("01-15")).next_change_at,
            Some(day("03-01"))
        );
        assert_eq!(log.answer("ann", day("02-01")).grant, Some(grant("h")));
    }

    #[test]
    fn a_failed_payment_of_a_renewing_grant_is_given_grace() {
        let rules = r#"{"sources": {"shop": {"provider": "cloudevents", "policy": {"payment_failed_grace": "P7D"}}}}"#;
        let log = Log::with_rules(rules).on("01-01", "g", monthly());
        let log = log.on("02-01", "g", Change::PaymentFailed);
        log.assert_windows("ann", &[("g", "01-01", "02-08")]);
        assert_eq!(log.reason("ann", "01-31"), "active");
        assert_eq!(log.reason("ann", "02-01"), "grace");
        assert_eq!(log.reason("ann", "02-08"), "lapsed");
        let log = log.on("01-20", "g", Change::Cancelled { until: None });
        log.assert_windows("ann", &[("g", "01-01", "02-01")]);
        assert_eq!(log.reason("ann", "02-01"), "cancelled");
    }

    #[test]
    fn one_period_key_buys_one_period() {
        let log = Log::default()
            .on("01-01", "g", monthly())
            .on("02-01", "g", renewed(Some("invoice 2")))
            .on("02-02", "g", renewed(Some("invoice 2")));
        log.assert_windows("ann", &[("g", "01-01", "03-01")]);
        let log = log.on("03-01", "g", renewed(None));
        log.assert_windows("ann", &[("g", "01-01", "04-01")]);
        assert_eq!(log.anomalies(), []);
    }

    #[test]
    fn months_are_counted_from_the_31st() {
        let log = Log::default().on("01-31", "g", monthly());
        log.assert_windows("ann", &[("g", "01-31", "02-28")]);
        let log = log.on("02-28", "g", renewed(None));
        log.assert_windows("ann", &[("g", "01-31", "03-31")]);
        let log = log.on("03-31", "g", renewed(None));
        log.assert_windows("ann", &[("g", "01-31", "04-30")]);
        // Later than the leeway of three days: a new anchor, and a gap.
        let log = log.on("05-04", "g", renewed(None));
        log.assert_windows("ann", &[("g", "01-31", "04-30"), ("g", "05-04", "06-04")]);
    }

    #[test]
    fn revoked_and_ended_give_the_earlier_end_and_only_ended_lets_a_payment_revive() {
        let log = Log::default()
            .on("01-01", "g", monthly())
            .on("01-20", "g", Change::Revoked);
        assert_eq!(log.reason("ann", "01-25"), "revoked");
        let log = log.on("01-26", "g", renewed(None));
        log.assert_windows("ann", &[("g", "01-01", "01-20")]);
        assert_eq!(log.anomalies(), [(3, "after_end")]);
        let log = log.on("01-25", "g", ended(Cause::Expired));
        log.assert_windows("ann", &[("g", "01-01", "01-20"), ("g", "01-26", "02-26")]);
        assert_eq!(log.reason("ann", "01-25"), "ended");
        assert_eq!(log.anomalies(), [(3, "revived")]);
    }

    #[test]
    fn a_transfer_leaves_the_past_with_the_old_user() {
        let user = "bob".parse().unwrap();
        let log = Log::default().on("01-01", "g", until("02-01"));
        let log = log.on("01-15", "g", Change::Transferred { user });
        log.assert_windows("ann", &[("g", "01-01", "01-15")]);
        log.assert_windows("bob", &[("g", "01-15", "02-01")]);
        assert_eq!(log.reason("ann", "01-15"), "transferred");
    }

    #[test]
    fn a_user_level_block_holds_until_its_name_is_lifted() {
        let other = Some("other".parse().unwrap());
        let log = Log::default()
            .on("01-01", "g", until("02-01"))
            .of_user("01-10", UserChange::Suspended { by: None })
            .of_user("01-12", UserChange::Resumed { by: other })
            .on("01-13", "g", Change::Resumed { by: None })
            .of_user("01-15", UserChange::Resumed { by: None });
        log.assert_windows("ann", &[("g", "01-01", "01-10"), ("g", "01-15", "02-01")]);
        let answer = log.answer("ann", day("01-14"));
        assert_eq!(
            (answer.reason, answer.next_change_at),
            ("suspended", Some(day("01-15")))
        );
        let log = log.of_user("01-20", UserChange::UserRemoved);
        log.assert_windows("ann", &[("g", "01-01", "01-10"), ("g", "01-15", "01-20")]);
    }

    #[test]
    fn a_child_gives_access_only_while_its_parent_does() {
        let parent = Some(grant("p").key);
        let child = Granted {
            parent,
            ..granted(Term::Until(day("03-01").into()))
        };
        let log = Log::default().on("01-01", "c", Change::Granted(child));
        log.assert_windows("ann", &[]);
        assert_eq!(log.reason("ann", "01-05"), "parent_ended");
        let log = log.on("01-10", "p", until("02-01"));
        log.assert_windows("ann", &[("c", "01-10", "02-01"), ("p", "01-10", "02-01")]);
        // Both ended together: the smaller key speaks.
        assert_eq!(log.reason("ann", "02-01"), "parent_ended");
    }

    #[test]
    fn what_is_withdrawn_still_counts_in_earlier_answers() {
        let log = Log::default().on("01-01", "g", until("02-01"));
        let mut log = log.on("01-10", "g", Change::Revoked);
        log.events[1].withdrawn_at = Some(recorded(3));
        let (ann, pro) = ("ann".parse().unwrap(), "pro".parse().unwrap());
        let access = |known| log.model().access(&ann, &pro, day("01-15"), known);
        let by = [0, 1, 2, 3].map(|n| access(Some(recorded(n))));
        assert_eq!(by, [false, true, false, true]);
        assert!(access(None));
    }

    #[test]
    fn a_link_joins_two_ids_for_all_time_from_its_recording_on() {
        let link = |user: &str, alias: &str| {
            let (user, alias) = (user.parse().unwrap(), alias.parse().unwrap());
            Statement::Link { user, alias }
        };
        let log = Log::default().on("01-01", "g", until("02-01"));
        let log =
            log.say("shop", "06-01", link("a1", "a2"))
                .say("shop", "06-01", link("ann", "a2"));
        assert_eq!(log.reason("a1", "01-15"), "active");
        log.assert_windows("a1", &[]);
        let pro = "pro".parse().unwrap();
        let at_2 = log.model().answer(
            &"a1".parse().unwrap(),
            &pro,
            day("01-15"),
            Some(recorded(2)),
        );
        assert_eq!(at_2.reason, "never_granted");
    }

    #[test]
    fn a_late_event_is_folded_where_it_belongs() {
        let log = Log::default().on("01-20", "g", ended(Cause::Cancelled));
        let log = log
            .on("01-10", "g", renewed(Some("invoice")))
            .on("01-01", "g", monthly());
        log.assert_windows("ann", &[("g", "01-01", "01-20")]);
        assert_eq!(log.anomalies(), []);
        let pro = "pro".parse().unwrap();
        let at_2 = log.model().answer(
            &"ann".parse().unwrap(),
            &pro,
            day("01-15"),
            Some(recorded(2)),
        );
        assert_eq!(at_2.reason, "unknown_user");
    }

    #[test]
    fn what_staff_took_away_the_provider_does_not_give_again() {
        let log = Log::default().on("01-01", "g", until("03-01"));
        let log =
            log.said_by("staff", "01-10", "g", Change::Revoked)
                .on("01-15", "g", until("04-01"));
        log.assert_windows("ann", &[("g", "01-01", "01-10")]);
        assert_eq!(log.anomalies(), [(3, "barred")]);
        let log = log.said_by("staff", "01-20", "g", Change::Reinstated { until: None });
        log.assert_windows("ann", &[("g", "01-01", "01-10"), ("g", "01-20", "03-01")]);
    }

    #[test]
    fn a_catalog_change_counts_from_its_date() {
        let rules = r#"{"products": {"pro": {"includes": [{"name": "pod/*", "from": "2026-01-15T00:00:00Z"}]}}}"#;
        let log = Log::with_rules(rules).on("01-01", "g", until("02-01"));
        let answer = |on| {
            let pod = "pod/1".parse().unwrap();
            log.model()
                .answer(&"ann".parse().unwrap(), &pod, day(on), None)
        };
        assert_eq!(
            (answer("01-10").reason, answer("01-15").reason),
            ("not_yet", "active")
        );
        assert_eq!(answer("01-10").next_change_at, Some(day("01-15")));
        assert_eq!(
            answer("01-15").window,
            Some((day("01-01"), day("02-01").into()))
        );
    }

    #[test]
    fn a_refund_takes_the_period_it_names() {
        let refunded = |key: &str| Change::Refunded {
            period_key: Some(key.parse().unwrap()),
        };
        let log = Log::default()
            .on("01-01", "g", monthly())
            .on("01-20", "g", renewed(Some("ahead")))
            .on("01-22", "g", refunded("other"))
            .on("01-25", "g", refunded("ahead"));
        log.assert_windows("ann", &[("g", "01-01", "02-01")]);
        assert_eq!(log.anomalies(), [(3, "unknown_period")]);
        let log = Log::default()
            .on("01-01", "g", monthly())
            .on("02-01", "g", renewed(Some("now")));
        let log = log.on("02-10", "g", refunded("now"));
        log.assert_windows("ann", &[("g", "01-01", "02-10")]);
        assert_eq!(log.reason("ann", "02-10"), "refunded");
    }

    #[test]
    fn a_grant_never_seen_is_adopted_if_enough_is_stated() {
        let change = Change::GraceExtended {
            until: Some(day("01-20")),
        };
        let (user, product) = (Some("ann".parse().unwrap()), Some("pro".parse().unwrap()));
        let statement = GrantStatement {
            grant: grant("g"),
            user,
            product,
            change,
        };
        let log = Log::default().on("01-05", "h", renewed(None));
        let log = log.say("shop", "01-10", Statement::Grant(statement));
        log.assert_windows("ann", &[("g", "01-10", "01-20")]);
        assert_eq!(log.reason("ann", "01-10"), "grace");
        assert_eq!(log.anomalies(), [(1, "orphan"), (2, "adopted")]);
    }
}
