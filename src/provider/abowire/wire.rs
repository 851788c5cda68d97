//! What a webhook of Abowire holds.

use serde::Deserialize;

use super::super::value::{Object, Raw, Scalar};

/// The envelope. The actor (`userId`) is not in it: whoever caused the event need not be the one it is about.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    /// Of the event or of its definition: the page does not say.
    pub(super) id: Scalar<'a>,
    /// Ends in the name of the event.
    pub(super) event_arn: Scalar<'a>,
    /// The first half of the name, once more.
    pub(super) component: Scalar<'a>,
    /// The second half.
    pub(super) action: Scalar<'a>,
    /// When it happened.
    pub(super) timestamp: Scalar<'a>,
    /// What was affected: an object, or, for the bulk events, a list.
    pub(super) payload: Raw<'a>,
}

/// A subscription or a payment.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct Payload<'a> {
    pub(super) id: Scalar<'a>,
    pub(super) status: Scalar<'a>,
    pub(super) current_period_start: Scalar<'a>,
    pub(super) current_period_end: Scalar<'a>,
    pub(super) customer: Object<Related<'a>>,
    pub(super) customer_id: Scalar<'a>,
    pub(super) subscriber: Object<Related<'a>>,
    pub(super) subscriber_id: Scalar<'a>,
    pub(super) product: Object<Related<'a>>,
    pub(super) product_id: Scalar<'a>,
    pub(super) subscription: Object<Subscription<'a>>,
    pub(super) subscription_id: Scalar<'a>,
}

/// Something that is named by its id.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Related<'a> {
    pub(super) id: Scalar<'a>,
}

/// The subscription that a payment is for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"), rename_all = "camelCase")]
pub(super) struct Subscription<'a> {
    pub(super) id: Scalar<'a>,
    pub(super) current_period_end: Scalar<'a>,
}
