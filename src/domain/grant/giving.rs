//! Giving a grant: for the first time, again, stated anew, or adopted mid-life.

use std::collections::{BTreeMap, BTreeSet};

use super::super::event::{Granted, Origin, Term};
use super::super::id::{BlockName, GrantKey, ProductName, UserId};
use super::super::time::{End, Instant, Period};
use super::{Anomaly, Incidence, Live, State};

impl Incidence<'_> {
    /// A new window starts at its stated start, but not before the statement takes effect.
    fn start(&self, from: Option<Instant>, note: &mut impl FnMut(Anomaly)) -> Instant {
        let from = from.unwrap_or(self.at);
        if from < self.at {
            note(Anomaly::FromInPast);
        }
        from.max(self.at)
    }

    fn parent(&self, granted: &Granted) -> Option<GrantKey> {
        let stated = granted.parent.clone();
        stated.filter(|parent| *parent != self.grant.key)
    }

    /// The grant is given: for the first time, or again after it was over.
    pub(super) fn open(
        &self,
        granted: &Granted,
        last: Option<Box<Live>>,
        note: &mut impl FnMut(Anomaly),
    ) -> State {
        let start = self.start(granted.from, note);
        let mut live = match last {
            Some(last) => {
                let mut blocks = last.blocks;
                blocks.remove(&BlockName::from(&self.grant.source));
                Live {
                    blocks,
                    start,
                    ..*last
                }
            }
            None => Live {
                anchor: granted.from.unwrap_or(self.at),
                ..self.fresh(&granted.user, &granted.product, granted.origin, start)
            },
        };
        self.take_over(&mut live, granted);
        live.record_named_period(granted.period_key.as_ref(), start);
        State::Live(Box::new(live))
    }

    /// The grant is stated anew while it is live.
    pub(super) fn restate(
        &self,
        mut live: Box<Live>,
        granted: &Granted,
        note: &mut impl FnMut(Anomaly),
    ) -> State {
        if live.user != granted.user {
            note(Anomaly::Moved);
        }
        let lapsed = live.has_lapsed(self.at, self.policy);
        if lapsed || live.start > self.at {
            live.start = self.start(granted.from, note);
        }
        if lapsed {
            live.blocks.remove(&BlockName::from(&self.grant.source));
        }
        self.take_over(&mut live, granted);
        let bought_from = granted.from.unwrap_or(self.at).max(self.at);
        live.record_named_period(granted.period_key.as_ref(), bought_from);
        State::Live(live)
    }

    /// What a `granted` states about the grant, whatever was known of it.
    fn take_over(&self, live: &mut Live, granted: &Granted) {
        live.user = granted.user.clone();
        live.product = granted.product.clone();
        live.origin = granted.origin;
        live.cancelled = None;
        if let Some(recurring) = granted.recurring {
            live.stated_recurring = recurring;
        }
        if granted.parent.is_some() {
            live.parent = self.parent(granted);
        }
        live.state_term(granted.term, granted.from, self.at);
    }

    fn fresh(&self, user: &UserId, product: &ProductName, origin: Origin, start: Instant) -> Live {
        Live {
            user: user.clone(),
            product: product.clone(),
            origin,
            period: None,
            stated_recurring: false,
            rescheduled: false,
            renewed: false,
            anchor: start,
            start,
            paid_until: End::At(start),
            until: End::At(start),
            blocks: BTreeSet::new(),
            cancelled: None,
            periods: BTreeMap::new(),
            parent: None,
        }
    }

    /// A paywall that starts listening mid-life must not lock out paying readers: a change of a grant never seen opens a
    /// window from then, if it says whose, of what and until when.
    pub(super) fn adopt(
        &self,
        end: Option<End>,
        period: Option<Period>,
        note: &mut impl FnMut(Anomaly),
    ) -> State {
        let (Some(user), Some(product)) = (self.user, self.product) else {
            note(Anomaly::Orphan);
            return State::Absent;
        };
        let Some(term) = (match (end, period) {
            (Some(end), None) => Some(Term::Until(end)),
            (Some(end), Some(period)) => Some(Term::UntilThenPeriod(end, period)),
            (None, Some(period)) => Some(Term::Period(period)),
            (None, None) => None,
        }) else {
            note(Anomaly::Orphan);
            return State::Absent;
        };
        note(Anomaly::Adopted);
        let mut live = self.fresh(user, product, Origin::Import, self.at);
        live.state_term(term, None, self.at);
        State::Live(Box::new(live))
    }
}
