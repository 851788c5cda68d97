//! The transition table: what each change does to each state.

use super::super::event::{Cause, Change};
use super::super::id::{BlockName, GrantId, ProductName, SourceName, UserId};
use super::super::rules::Policy;
use super::super::time::{End, Instant, Length};
use super::{Anomaly, Cancellation, How, Live, Over, State};

/// One change as it meets a grant.
#[derive(Clone, Copy)]
pub(crate) struct Incidence<'a> {
    /// The grant.
    pub(crate) grant: &'a GrantId,
    /// The source of the delivery: the grant's own, or staff.
    pub(crate) source: &'a SourceName,
    /// The effective time.
    pub(crate) at: Instant,
    /// The user the statement names, for adoption.
    pub(crate) user: Option<&'a UserId>,
    /// The product the statement names, for adoption.
    pub(crate) product: Option<&'a ProductName>,
    /// The policies of the grant's source.
    pub(crate) policy: &'a Policy,
}

impl State {
    /// The transition table: every change on every state. Total; what cannot be applied as stated leaves an anomaly.
    pub(crate) fn after(
        self,
        change: &Change,
        on: Incidence<'_>,
        anomalies: &mut Vec<Anomaly>,
    ) -> Self {
        let mut note = |anomaly| anomalies.push(anomaly);
        match (self, change) {
            (Self::Absent, Change::Granted(granted)) => on.open(granted, None, &mut note),
            (Self::Live(live), Change::Granted(granted)) => on.restate(live, granted, &mut note),
            (Self::Over(over), Change::Granted(granted)) => {
                if over.is_barred_for(on.source) {
                    note(Anomaly::Barred);
                    return Self::Over(over);
                }
                on.open(granted, over.last, &mut note)
            }

            (Self::Absent, Change::Modified { until }) => on.adopt(Some(*until), None, &mut note),
            (Self::Absent, Change::Rescheduled { until }) => {
                let adopted = on.adopt(Some(*until), None, &mut note);
                adopted.map_live(|live| live.rescheduled = true)
            }
            (Self::Live(mut live), Change::Modified { until }) => {
                live.state_end(*until);
                Self::Live(live)
            }
            (Self::Live(mut live), Change::Rescheduled { until }) => {
                live.rescheduled = true;
                live.state_end(*until);
                Self::Live(live)
            }
            (
                Self::Over(over),
                Change::Modified { .. }
                | Change::Rescheduled { .. }
                | Change::GraceExtended { .. }
                | Change::Switched { .. }
                | Change::Transferred { .. },
            ) => {
                note(Anomaly::AfterEnd);
                Self::Over(over)
            }

            (
                Self::Absent,
                Change::Renewed {
                    until,
                    period,
                    period_key,
                },
            ) => on.adopt_renewed(*until, *period, period_key.as_ref(), &mut note),
            (
                Self::Live(live),
                Change::Renewed {
                    until,
                    period,
                    period_key,
                },
            ) => on.renew(live, *until, *period, period_key.as_ref(), &mut note),
            (
                Self::Over(over),
                Change::Renewed {
                    until,
                    period,
                    period_key,
                },
            ) => on.revive(over, *until, *period, period_key.as_ref(), &mut note),

            (Self::Absent, Change::GraceExtended { until }) => {
                let adopted = on.adopt(until.map(End::At), None, &mut note);
                adopted.map_live(|live| {
                    live.paid_until = End::At(on.at);
                    live.until = live.until.max(live.paid_until);
                    live.anchor = on.at;
                })
            }
            (Self::Live(mut live), Change::GraceExtended { until }) => {
                live.until = match until {
                    Some(given) => live.until.max(End::At(*given)),
                    None => live.until.max(End::At(on.at)).plus(Length::DAY),
                };
                Self::Live(live)
            }

            (
                Self::Absent,
                Change::PaymentFailed
                | Change::Cancelled { .. }
                | Change::Reinstated { .. }
                | Change::Transferred { .. }
                | Change::Suspended { .. }
                | Change::Resumed { .. }
                | Change::Refunded { .. },
            ) => {
                note(Anomaly::Orphan);
                Self::Absent
            }
            (Self::Live(mut live), Change::PaymentFailed) => {
                if let Some(grace) = on.policy.payment_failed_grace
                    && live.is_recurring()
                    && live.is_paid()
                    && live.cancelled.is_none()
                {
                    live.until = live.until.max(live.paid_until.plus(grace));
                }
                Self::Live(live)
            }
            (
                Self::Over(over),
                Change::PaymentFailed
                | Change::Cancelled { .. }
                | Change::Suspended { .. }
                | Change::Resumed { .. }
                | Change::Refunded { .. },
            ) => Self::Over(over),

            (Self::Live(mut live), Change::Cancelled { until }) => {
                let earlier = live.cancelled.and_then(|cancellation| cancellation.ends_at);
                let ends_at = until.or(earlier);
                live.cancelled = Some(Cancellation { ends_at });
                Self::Live(live)
            }
            (Self::Live(mut live), Change::Reinstated { until }) => {
                live.cancelled = None;
                if let Some(until) = until {
                    live.state_end(End::At(*until));
                }
                Self::Live(live)
            }
            (Self::Over(over), Change::Reinstated { until }) => {
                on.reinstate(over, *until, &mut note)
            }

            (Self::Absent, Change::Switched { product, until }) => {
                let on = Incidence {
                    product: Some(product),
                    ..on
                };
                on.adopt(until.map(End::At), None, &mut note)
            }
            (Self::Live(mut live), Change::Switched { product, until }) => {
                live.product = product.clone();
                if let Some(until) = until {
                    live.state_end(End::At(*until));
                    live.cancelled = None;
                }
                Self::Live(live)
            }
            (Self::Live(mut live), Change::Transferred { user }) => {
                live.user = user.clone();
                Self::Live(live)
            }
            (Self::Live(mut live), Change::Suspended { by }) => {
                live.blocks.insert(on.block(by.as_ref()));
                Self::Live(live)
            }
            (Self::Live(mut live), Change::Resumed { by }) => {
                live.blocks.remove(&on.block(by.as_ref()));
                Self::Live(live)
            }
            (Self::Live(live), Change::Refunded { period_key }) => {
                on.refund(live, period_key.as_ref(), &mut note)
            }

            (Self::Absent, Change::Revoked) => on.over(How::Revoked, on.foreign(), None),
            (Self::Live(live), Change::Revoked) => on.over(How::Revoked, on.foreign(), Some(live)),
            (Self::Over(mut over), Change::Revoked) => {
                over.barred = on.foreign().or(over.barred);
                Self::Over(over)
            }
            (Self::Absent, Change::Ended { cause, .. }) => on.over(How::Ended(*cause), None, None),
            (Self::Live(live), Change::Ended { cause, product }) => {
                if product
                    .as_ref()
                    .is_some_and(|stated| *stated != live.product)
                {
                    return Self::Live(live);
                }
                on.over(How::Ended(*cause), None, Some(live))
            }
            (Self::Over(mut over), Change::Ended { cause, .. }) => {
                over.end_again(*cause);
                Self::Over(over)
            }
        }
    }

    /// The user was removed from the source: what they hold ends; what is absent or over stays so.
    pub(crate) fn after_removal(self, user: &UserId, at: Instant) -> Self {
        match self {
            Self::Live(live) if live.user == *user => Self::Over(Over {
                at,
                how: How::Ended(Cause::UserRemoved),
                barred: None,
                last: Some(live),
            }),
            state @ (Self::Absent | Self::Live(_) | Self::Over(_)) => state,
        }
    }

    pub(super) fn map_live(mut self, alter: impl FnOnce(&mut Live)) -> Self {
        if let Self::Live(live) = &mut self {
            alter(live);
        }
        self
    }
}

impl Over {
    pub(super) fn is_barred_for(&self, source: &SourceName) -> bool {
        self.barred
            .as_ref()
            .is_some_and(|barring| barring != source)
    }

    /// A second end leaves the instant, and says better how it came about.
    fn end_again(&mut self, cause: Cause) {
        self.how = match self.how {
            How::Revoked | How::Ended(Cause::Unspecified) => How::Ended(cause),
            stated @ How::Ended(
                Cause::Expired
                | Cause::Cancelled
                | Cause::RenewalFailed
                | Cause::Refunded
                | Cause::UserRemoved,
            ) => stated,
        };
    }
}

impl Incidence<'_> {
    /// The delivery's source, if it is not the grant's own: its revocation bars.
    fn foreign(&self) -> Option<SourceName> {
        (*self.source != self.grant.source).then(|| self.source.clone())
    }

    fn block(&self, stated: Option<&BlockName>) -> BlockName {
        stated.cloned().unwrap_or_else(|| self.source.into())
    }

    pub(super) fn over(
        &self,
        how: How,
        barred: Option<SourceName>,
        last: Option<Box<Live>>,
    ) -> State {
        State::Over(Over {
            at: self.at,
            how,
            barred,
            last,
        })
    }
}
