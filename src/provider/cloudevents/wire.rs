//! What a CloudEvent of Tenure's own dialect holds.

use serde::Deserialize;

use super::super::value::{Object, Scalar};

/// The envelope, in the structured JSON mode of CloudEvents 1.0.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Envelope<'a> {
    /// `1.0`.
    pub(super) specversion: Scalar<'a>,
    /// With `source`, what tells the event from all others.
    pub(super) id: Scalar<'a>,
    /// Who says so, in the sender's own words.
    pub(super) source: Scalar<'a>,
    /// `tenure.` and the change.
    #[serde(rename = "type")]
    pub(super) kind: Scalar<'a>,
    /// The effective time.
    pub(super) time: Scalar<'a>,
    /// The user.
    pub(super) subject: Scalar<'a>,
    /// The fields of the change.
    pub(super) data: Object<Data<'a>>,
}

/// The fields of all changes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Data<'a> {
    pub(super) grant: Scalar<'a>,
    pub(super) grant_source: Scalar<'a>,
    pub(super) product: Scalar<'a>,
    pub(super) until: Scalar<'a>,
    pub(super) period: Scalar<'a>,
    pub(super) recurring: Scalar<'a>,
    pub(super) from: Scalar<'a>,
    pub(super) period_key: Scalar<'a>,
    pub(super) parent: Scalar<'a>,
    pub(super) origin: Scalar<'a>,
    pub(super) by: Scalar<'a>,
    pub(super) user: Scalar<'a>,
    pub(super) cause: Scalar<'a>,
    pub(super) alias: Scalar<'a>,
    pub(super) id: Scalar<'a>,
    pub(super) id_source: Scalar<'a>,
}
