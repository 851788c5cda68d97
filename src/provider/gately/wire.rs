//! What an event of Gately holds: an envelope, and in it fields that depend on the event.

use serde::Deserialize;

use super::super::value::{Object, Scalar};

/// The envelope.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Envelope<'a> {
    /// Tells the event from all others.
    pub(super) id: Scalar<'a>,
    /// What happened.
    pub(super) event: Scalar<'a>,
    /// The effective time, unless a field of the event states another.
    pub(super) created_at: Scalar<'a>,
    /// The tenant.
    pub(super) project_id: Scalar<'a>,
    /// The fields of the event.
    pub(super) data: Object<Data<'a>>,
}

/// The fields of all events.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Data<'a> {
    /// Of the member on `member.*`, else of the subscription.
    pub(super) id: Scalar<'a>,
    /// The user, on all but `member.*`.
    pub(super) member_id: Scalar<'a>,
    /// The plan: the product.
    pub(super) plan_id: Scalar<'a>,
    pub(super) status: Scalar<'a>,
    /// What a member's data was and is.
    pub(super) changes: Object<Changes<'a>>,
    pub(super) new_plan: Scalar<'a>,
    pub(super) changed_at: Scalar<'a>,
    pub(super) current_period_start: Scalar<'a>,
    pub(super) current_period_end: Scalar<'a>,
    pub(super) cancel_at_period_end: Scalar<'a>,
    pub(super) cancelled_at: Scalar<'a>,
    /// When a cancellation at the end of a period ends access.
    pub(super) effective_date: Scalar<'a>,
}

/// The changes of a member, of which only that of the status is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Changes<'a> {
    pub(super) status: Object<StatusChange<'a>>,
}

/// The status a member had and has.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct StatusChange<'a> {
    pub(super) new: Scalar<'a>,
}
