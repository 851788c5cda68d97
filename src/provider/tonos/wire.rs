//! What an event of Tonos holds: an envelope, and in it the entity with its relations written out.

use serde::Deserialize;

use super::super::value::{Object, Scalar};

/// The envelope.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Envelope<'a> {
    /// Tells the event from all others.
    pub(super) id: Scalar<'a>,
    /// The entity and what happened to it, as `invoice:updated`.
    #[serde(rename = "type")]
    pub(super) kind: Scalar<'a>,
    /// The effective time, without an offset.
    pub(super) created: Scalar<'a>,
    /// The entity.
    pub(super) data: Object<Data<'a>>,
}

/// The entity: a subscription, an invoice, a payment or a licence.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Data<'a> {
    /// Its own id.
    pub(super) id: Scalar<'a>,
    /// The user.
    pub(super) customer_id: Scalar<'a>,
    /// The subscription it belongs to: the grant.
    pub(super) subscription_id: Scalar<'a>,
    /// Of a subscription: how it stands.
    pub(super) status: Scalar<'a>,
    /// Of a subscription: the invoice of its latest period.
    pub(super) last_invoice_id: Scalar<'a>,
    /// When the entity came to be.
    pub(super) created_at: Scalar<'a>,
    /// The product.
    pub(super) product: Object<Product<'a>>,
    /// For how long access is sold.
    pub(super) product_access_provider: Object<AccessProvider<'a>>,
    /// The subscription it belongs to.
    pub(super) subscription: Object<Subscription<'a>>,
}

/// The subscription inside another entity.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Subscription<'a> {
    pub(super) id: Scalar<'a>,
    pub(super) subscription_id: Scalar<'a>,
    pub(super) customer_id: Scalar<'a>,
    pub(super) status: Scalar<'a>,
    pub(super) last_invoice_id: Scalar<'a>,
    pub(super) created_at: Scalar<'a>,
    pub(super) product: Object<Product<'a>>,
    pub(super) product_access_provider: Object<AccessProvider<'a>>,
}

/// A product, of which only the id is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Product<'a> {
    pub(super) id: Scalar<'a>,
}

/// For how long a product is sold.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct AccessProvider<'a> {
    pub(super) unlimited_access: Scalar<'a>,
    pub(super) duration_value: Scalar<'a>,
    pub(super) duration_time: Scalar<'a>,
}
