//! Folding the events of one grant, in their total order, into its history.
//!
//! The order is that of [`RecordedEvent::fold_order`], so it does not matter in which order events arrived: a late one is put
//! where it belongs and everything is folded again. Whether an event counts at all, by what was known at an instant, is
//! decided before: see [`RecordedEvent::is_known_at`].

use std::collections::BTreeSet;

use super::event::{RecordedEvent, Statement, UserChange};
use super::grant::{Anomaly, How, Incidence, State};
use super::id::{BlockName, GrantId, GrantKey, ProductName, SourceName, UserId};
use super::rules::Policy;
use super::time::{End, Instant};

mod contradiction;

use contradiction::Said;

/// What the fold of a grant yields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The state after the last event.
    pub state: State,
    /// From when on the grant stood how; sorted, one entry an instant at which that changed.
    pub history: Vec<Span>,
    /// What could not be applied as stated: the place of the event in the fold's order, and the anomaly.
    pub anomalies: Vec<(usize, Anomaly)>,
}

/// How the grant stands from an instant on, until the next span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first instant.
    pub from: Instant,
    /// How it stands.
    pub standing: Standing,
}

/// What of a state decides access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known of it.
    Absent,
    /// It has been given.
    Live(LiveStanding),
    /// It was revoked or has ended.
    Over {
        /// What ended it.
        how: How,
        /// Who held it at last; a grant never given has none.
        holder: Option<UserId>,
    },
}

/// What of a live grant decides access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveStanding {
    /// Who holds it.
    pub user: UserId,
    /// What it gives.
    pub product: ProductName,
    /// The first instant of the present window.
    pub start: Instant,
    /// From here on it is in grace.
    pub paid_until: End,
    /// The first instant without access.
    pub end: End,
    /// Whether it will not renew.
    pub cancelled: bool,
    /// Whether a block of its own stands.
    pub blocked: bool,
    /// The grant without whose access this one gives none.
    pub parent: Option<GrantKey>,
}

impl Standing {
    fn of(state: &State, policy: &Policy) -> Self {
        match state {
            State::Absent => Self::Absent,
            State::Live(live) => Self::Live(LiveStanding {
                user: live.user.clone(),
                product: live.product.clone(),
                start: live.start,
                paid_until: live.paid_until,
                end: live.end(policy),
                cancelled: live.cancelled.is_some(),
                blocked: !live.blocks.is_empty(),
                parent: live.parent.clone(),
            }),
            State::Over(over) => Self::Over {
                how: over.how,
                holder: over.last.as_ref().map(|last| last.user.clone()),
            },
        }
    }
}

/// Folds the events of `grant`: those that name it and the removals of users in its source.
///
/// `events` must be in [`RecordedEvent::fold_order`]; events that speak of something else are passed over. The result
/// depends on nothing but the arguments.
pub fn fold(grant: &GrantId, events: &[RecordedEvent], policy: &Policy) -> Folded {
    fold_on(Folded::default(), grant, events, policy)
}

/// Goes on from what earlier events of the grant came to: the result is that of [`fold`] of all of them, but its anomalies are
/// those of `events` alone, and `before` needs none.
///
/// Every one of `events` must take effect after the last instant at which one of the earlier events does: at one instant they
/// may contradict each other.
pub fn fold_on(
    before: Folded,
    grant: &GrantId,
    events: &[RecordedEvent],
    policy: &Policy,
) -> Folded {
    observed(before, grant, events, policy, &mut |_, _, _| {})
}

/// As [`fold`]; `observe` is told the place of each event, the state after it, and the anomalies it left.
pub fn fold_observed(
    grant: &GrantId,
    events: &[RecordedEvent],
    policy: &Policy,
    observe: &mut dyn FnMut(usize, &State, &[Anomaly]),
) -> Folded {
    observed(Folded::default(), grant, events, policy, observe)
}

fn observed(
    before: Folded,
    grant: &GrantId,
    events: &[RecordedEvent],
    policy: &Policy,
    observe: &mut dyn FnMut(usize, &State, &[Anomaly]),
) -> Folded {
    let Folded {
        mut state,
        mut history,
        ..
    } = before;
    let mut anomalies = Vec::new();
    let mut left = Vec::new();
    let (mut instant, mut said) = (None, Said::default());
    for (place, recorded) in events.iter().enumerate() {
        let at = recorded.event.effective_at.0;
        left.clear();
        state = step(state, grant, recorded, policy, &mut left);
        let is_first = instant.replace(at) != Some(at);
        if is_first {
            said.clear();
        }
        let next = events.get(place.saturating_add(1));
        let is_alone = is_first && next.is_none_or(|next| next.event.effective_at.0 != at);
        if !is_alone && names(recorded, grant) && said.is_contradicted_by(recorded) {
            left.push(Anomaly::SameInstant);
        }
        record(&mut history, at, Standing::of(&state, policy));
        observe(place, &state, &left);
        anomalies.extend(left.iter().map(|anomaly| (place, *anomaly)));
    }
    Folded {
        state,
        history,
        anomalies,
    }
}

fn names(recorded: &RecordedEvent, grant: &GrantId) -> bool {
    match &recorded.event.statement {
        Statement::Grant(statement) => statement.grant == *grant,
        Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => false,
    }
}

fn step(
    state: State,
    grant: &GrantId,
    recorded: &RecordedEvent,
    policy: &Policy,
    anomalies: &mut Vec<Anomaly>,
) -> State {
    let at = recorded.event.effective_at.0;
    match &recorded.event.statement {
        Statement::Grant(statement) if statement.grant == *grant => {
            let incidence = Incidence {
                grant,
                source: &recorded.key.source,
                at,
                user: statement.user.as_ref(),
                product: statement.product.as_ref(),
                policy,
            };
            state.after(&statement.change, incidence, anomalies)
        }
        Statement::User(statement) if statement.source == grant.source => match statement.change {
            UserChange::UserRemoved => state.after_removal(&statement.user, at),
            // Kept outside the grants, see `BlockHistory`.
            UserChange::Suspended { .. } | UserChange::Resumed { .. } => state,
        },
        Statement::Grant(_)
        | Statement::User(_)
        | Statement::Link { .. }
        | Statement::Withdrawal { .. } => state,
    }
}

/// Of the states at one instant only the last one holds; one that changes nothing adds no span.
fn record(history: &mut Vec<Span>, from: Instant, standing: Standing) {
    if history.last().is_some_and(|last| last.from == from) {
        history.pop();
    }
    let before = history
        .last()
        .map_or(&Standing::Absent, |last| &last.standing);
    if *before != standing {
        history.push(Span { from, standing });
    }
}

/// The blocks that a source's statements about one user set and lift, outside the grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockHistory(Vec<(Instant, bool)>);

impl BlockHistory {
    /// Folds the statements about `user` in `source`, given in [`RecordedEvent::fold_order`]; others are passed over.
    pub fn fold(source: &SourceName, user: &UserId, events: &[RecordedEvent]) -> Self {
        let mut standing: BTreeSet<BlockName> = BTreeSet::new();
        let mut history: Vec<(Instant, bool)> = Vec::new();
        for recorded in events {
            if !is_about(recorded, source, user) {
                continue;
            }
            set_or_lift(&mut standing, recorded);
            let at = recorded.event.effective_at.0;
            if history.last().is_some_and(|(last, _)| *last == at) {
                history.pop();
            }
            let blocked = !standing.is_empty();
            if history.last().is_some_and(|(_, before)| *before) != blocked {
                history.push((at, blocked));
            }
        }
        Self(history)
    }

    /// The names of the blocks that stand at `at`; `events` as for [`BlockHistory::fold`].
    pub fn names_at(
        source: &SourceName,
        user: &UserId,
        events: &[RecordedEvent],
        at: Instant,
    ) -> BTreeSet<BlockName> {
        let mut standing = BTreeSet::new();
        let begun = events.iter().filter(|it| it.event.effective_at.0 <= at);
        for recorded in begun.filter(|it| is_about(it, source, user)) {
            set_or_lift(&mut standing, recorded);
        }
        standing
    }

    /// Whether a block stands at `at`.
    pub fn blocks_at(&self, at: Instant) -> bool {
        let begun = self.0.partition_point(|(from, _)| *from <= at);
        begun
            .checked_sub(1)
            .and_then(|last| self.0.get(last))
            .is_some_and(|(_, blocked)| *blocked)
    }

    /// The instants at which a first block is set or the last one lifted.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Instant> + '_ {
        self.0.iter().map(|(at, _)| *at)
    }
}

fn is_about(recorded: &RecordedEvent, source: &SourceName, user: &UserId) -> bool {
    match &recorded.event.statement {
        Statement::User(statement) => statement.source == *source && statement.user == *user,
        Statement::Grant(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => false,
    }
}

fn set_or_lift(standing: &mut BTreeSet<BlockName>, recorded: &RecordedEvent) {
    let Statement::User(statement) = &recorded.event.statement else {
        return;
    };
    let name = |by: &Option<BlockName>| by.clone().unwrap_or((&recorded.key.source).into());
    match &statement.change {
        UserChange::UserRemoved => {}
        UserChange::Suspended { by } => {
            standing.insert(name(by));
        }
        UserChange::Resumed { by } => {
            standing.remove(&name(by));
        }
    }
}
