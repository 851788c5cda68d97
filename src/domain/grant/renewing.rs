//! Paying for more of a grant, taking its end back, and giving the money back.

use super::super::event::Cause;
use super::super::id::PeriodName;
use super::super::rules::RefundPolicy;
use super::super::time::{End, Instant, Period};
use super::{Anomaly, Bought, How, Incidence, Live, Over, PeriodKey, State};

impl Over {
    fn can_be_revived(&self) -> bool {
        match self.how {
            How::Ended(Cause::Expired | Cause::RenewalFailed | Cause::Unspecified) => {
                self.barred.is_none()
            }
            How::Revoked | How::Ended(Cause::Cancelled | Cause::Refunded | Cause::UserRemoved) => {
                false
            }
        }
    }
}

impl Incidence<'_> {
    pub(super) fn adopt_renewed(
        &self,
        until: Option<Instant>,
        period: Option<Period>,
        name: Option<&PeriodName>,
        note: &mut impl FnMut(Anomaly),
    ) -> State {
        // As on a live grant, a period outweighs an end that is past already.
        let end = match until {
            Some(until) if until <= self.at && period.is_some() => None,
            stated => stated.map(End::At),
        };
        let adopted = self.adopt(end, period, note);
        adopted.map_live(|live| {
            live.renewed = true;
            let bought = Bought {
                start: End::At(self.at),
                end: live.paid_until,
            };
            live.periods.insert(self.period_key(name), bought);
        })
    }

    fn period_key(&self, name: Option<&PeriodName>) -> PeriodKey {
        name.map_or(PeriodKey::At(self.at), |name| {
            PeriodKey::Named(name.clone())
        })
    }

    pub(super) fn renew(
        &self,
        mut live: Box<Live>,
        until: Option<Instant>,
        period: Option<Period>,
        name: Option<&PeriodName>,
        note: &mut impl FnMut(Anomaly),
    ) -> State {
        let key = self.period_key(name);
        if live.periods.contains_key(&key) {
            return State::Live(live);
        }
        live.period = period.or(live.period);
        let paid_before = live.paid_until;
        let start = match until.filter(|until| *until > self.at) {
            Some(until) => {
                let end = End::At(until);
                if end <= live.paid_until {
                    note(Anomaly::StaleRenewal);
                }
                live.paid_until = live.paid_until.max(end);
                live.until = live.until.max(end);
                live.anchor_at(end);
                paid_before
            }
            None => {
                if until.is_some() {
                    note(Anomaly::StaleRenewal);
                }
                let Some(period) = live.period else {
                    note(Anomaly::NoPeriod);
                    return State::Live(live);
                };
                self.add_period(&mut live, period)
            }
        };
        let end = live.paid_until;
        live.periods.insert(key, Bought { start, end });
        live.cancelled = None;
        live.renewed = true;
        State::Live(live)
    }

    /// Adds one period to what was paid, and gives the start of what it bought.
    fn add_period(&self, live: &mut Live, period: Period) -> End {
        let mut start = live.paid_until;
        let in_time = live.until.plus(self.policy.renewal_leeway) >= End::At(self.at);
        let (mut anchor, mut end) = period.after(live.anchor, live.paid_until);
        if !in_time || !end.is_after(self.at) {
            start = End::At(self.at);
            (anchor, end) = period.after(self.at, start);
        }
        live.anchor = anchor;
        live.paid_until = end;
        live.until = live.until.max(end);
        start
    }

    /// A renewal that arrives after the end shows that the grant had not come to its end.
    pub(super) fn revive(
        &self,
        mut over: Over,
        until: Option<Instant>,
        period: Option<Period>,
        name: Option<&PeriodName>,
        note: &mut impl FnMut(Anomaly),
    ) -> State {
        let key = self.period_key(name);
        let revivable = over.can_be_revived();
        let unseen = |last: &mut Box<Live>| revivable && !last.periods.contains_key(&key);
        let Some(mut live) = over.last.take_if(unseen) else {
            note(Anomaly::AfterEnd);
            return State::Over(over);
        };
        let period = period.or(live.period);
        let until = until.filter(|until| *until > self.at);
        let end = match (until, period) {
            (Some(until), _) => End::At(until),
            (None, Some(period)) => {
                live.anchor = self.at;
                period.after(self.at, End::At(self.at)).1
            }
            (None, None) => {
                note(Anomaly::NoPeriod);
                over.last = Some(live);
                return State::Over(over);
            }
        };
        note(Anomaly::Revived);
        live.start = self.at;
        live.period = period;
        live.cancelled = None;
        live.renewed = true;
        live.state_end(end);
        let start = End::At(self.at);
        live.periods.insert(key, Bought { start, end });
        State::Live(live)
    }

    /// The end is taken back: what the grant was before holds again from now on.
    pub(super) fn reinstate(
        &self,
        mut over: Over,
        until: Option<Instant>,
        note: &mut impl FnMut(Anomaly),
    ) -> State {
        if over.is_barred_for(self.source) {
            note(Anomaly::Barred);
            return State::Over(over);
        }
        over.barred = None;
        let Some(mut live) = over.last.take() else {
            note(Anomaly::AfterEnd);
            return State::Over(over);
        };
        live.start = self.at;
        live.cancelled = None;
        if let Some(until) = until {
            live.state_end(End::At(until));
        }
        State::Live(live)
    }

    pub(super) fn refund(
        &self,
        mut live: Box<Live>,
        name: Option<&PeriodName>,
        note: &mut impl FnMut(Anomaly),
    ) -> State {
        match self.policy.refund {
            RefundPolicy::Ignore => return State::Live(live),
            RefundPolicy::Revoke => {}
        }
        let refunded = How::Ended(Cause::Refunded);
        let Some(name) = name else {
            return self.over(refunded, None, Some(live));
        };
        let Some(bought) = live.periods.get(&PeriodKey::Named(name.clone())).copied() else {
            note(Anomaly::UnknownPeriod);
            return State::Live(live);
        };
        // A span that bought nothing is empty, wherever it lies.
        if bought.end <= bought.start.max(End::At(self.at)) {
            State::Live(live)
        } else if bought.start.is_after(self.at) {
            live.paid_until = live.paid_until.min(bought.start);
            live.until = live.until.min(bought.start);
            State::Live(live)
        } else {
            self.over(refunded, None, Some(live))
        }
    }
}
