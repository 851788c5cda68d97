//! What a packet of Piano holds: one flat object, every field possibly null.

use serde::Deserialize;

use super::super::value::Scalar;

/// A packet, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Body<'a> {
    /// What happened, in detail.
    pub(super) event: Scalar<'a>,
    /// What happened, in one of three words; only newer packets have it.
    #[serde(rename = "type")]
    pub(super) kind: Scalar<'a>,
    /// The application: the tenant.
    pub(super) aid: Scalar<'a>,
    /// The user.
    pub(super) uid: Scalar<'a>,
    /// The resource in Piano's words: the product.
    pub(super) rid: Scalar<'a>,
    /// The grant.
    pub(super) access_id: Scalar<'a>,
    /// The end.
    pub(super) expires: Scalar<'a>,
    /// The end of a subscription as its next bill date.
    pub(super) next_bill_date: Scalar<'a>,
}
