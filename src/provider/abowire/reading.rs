//! What a payload states of a subscription.

use super::super::field::Field;
use super::super::value::Object;
use super::super::{Content, SourceContext};
use super::name::Meaning;
use super::wire::{Payload, Related};
use super::{PAYLOAD_ID, stated};
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::event::{Cause, Change, GrantStatement, Granted, Origin, Term};
use crate::domain::id::{GrantId, GrantKey, ProductName, UserId};
use crate::domain::time::{End, Instant};

/// A payload as it is being read.
pub(super) struct Reading<'a> {
    pub(super) payload: &'a Payload<'a>,
    /// The envelope's time.
    pub(super) at: Instant,
    pub(super) source: &'a SourceContext<'a>,
}

/// What a subscription is by its own word.
#[derive(Clone, Copy)]
enum Status {
    Active(Origin),
    Cancelled,
    Ended(Cause),
    Suspended,
    Other,
}

impl Status {
    fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "active" => Self::Active(Origin::Purchase),
            "trialing" => Self::Active(Origin::Trial),
            "cancelled" | "canceled" => Self::Cancelled,
            "expired" => Self::Ended(Cause::Expired),
            "ended" => Self::Ended(Cause::Unspecified),
            "paused" | "disabled" => Self::Suspended,
            _ => Self::Other,
        }
    }
}

impl Reading<'_> {
    pub(super) fn content(&self, meaning: Meaning) -> Result<Content, Refusal> {
        let by = None;
        let (grant, changes) = match meaning {
            Meaning::Created => return self.created(),
            Meaning::Updated => (self.subscription()?, self.updated()?),
            Meaning::Disabled | Meaning::BulkDisabled => {
                (self.subscription()?, vec![Change::Suspended { by }])
            }
            Meaning::Enabled | Meaning::BulkEnabled => {
                (self.subscription()?, vec![Change::Resumed { by }])
            }
            Meaning::PaymentAccepted => match (self.paid_subscription()?, self.paid_until()?) {
                (Some(grant), until @ Some(_)) => (grant, vec![renewed(until)]),
                (Some(_) | None, _) => return Ok(Content::Ignored),
            },
            Meaning::PaymentDeclined => match self.paid_subscription()? {
                Some(grant) => (grant, vec![Change::PaymentFailed]),
                None => return Ok(Content::Ignored),
            },
        };
        self.events(self.at, &grant, changes)
    }

    /// One that is not running, or not yet, gives nothing: an update will tell.
    fn created(&self) -> Result<Content, Refusal> {
        let origin = match self.status().text()?.map(Status::of) {
            None => Origin::Purchase,
            Some(Status::Active(origin)) => origin,
            Some(Status::Cancelled | Status::Ended(_) | Status::Suspended | Status::Other) => {
                return Ok(Content::Ignored);
            }
        };
        let grant = self.subscription()?;
        let start = self.payload.current_period_start.at(PERIOD_START);
        let start = start.instant()?.unwrap_or(self.at);
        let product = self.required_product()?;
        let term = match self.period_end().instant()? {
            Some(end) => Term::Until(End::At(end)),
            None => {
                let period = self.source.period(&product);
                let detail = "no end, and no period for the product in the rules";
                let refuse = || self.period_end().refuse(Reason::NoPeriod, detail);
                Term::Period(period.ok_or_else(refuse)?)
            }
        };
        let granted = self.granted(product, term, origin)?;
        self.events(start, &grant, vec![granted])
    }

    /// What an update says: the whole state, in one word.
    fn updated(&self) -> Result<Vec<Change>, Refusal> {
        let field = self.status();
        let by = None;
        Ok(match Status::of(field.required(field.text()?)?) {
            Status::Active(origin) => self.active(origin)?,
            Status::Cancelled => vec![Change::Cancelled { until: None }],
            Status::Ended(cause) => vec![Change::Ended {
                cause,
                product: None,
            }],
            Status::Suspended => vec![Change::Suspended { by }],
            Status::Other => {
                let detail = "not one of the words that are known";
                return Err(field.refuse(Reason::UnknownStatus, detail));
            }
        })
    }

    /// Whatever stood in its way is gone; with an end all of it is stated anew, without one it goes on as it was.
    fn active(&self, origin: Origin) -> Result<Vec<Change>, Refusal> {
        let mut changes = vec![Change::Resumed { by: None }];
        if let Some(end) = self.period_end().instant()? {
            let product = self.required_product()?;
            changes.push(self.granted(product, Term::Until(End::At(end)), origin)?);
            return Ok(changes);
        }
        changes.push(Change::Reinstated { until: None });
        let until = None;
        let switched = self.product()?;
        changes.extend(switched.map(|product| Change::Switched { product, until }));
        Ok(changes)
    }

    fn granted(&self, product: ProductName, term: Term, origin: Origin) -> Result<Change, Refusal> {
        let absent = || Refusal::new(Reason::MissingField, CUSTOMER_ID, "absent or null");
        Ok(Change::Granted(Granted {
            user: self.user()?.ok_or_else(absent)?,
            product,
            term,
            recurring: Some(true),
            from: None,
            period_key: None,
            parent: None,
            origin,
        }))
    }

    fn events(
        &self,
        at: Instant,
        grant: &GrantKey,
        changes: Vec<Change>,
    ) -> Result<Content, Refusal> {
        let (user, product) = (self.user()?, self.product()?);
        let events = changes.into_iter().map(|change| {
            let statement = GrantStatement {
                grant: GrantId {
                    source: self.source.name.clone(),
                    key: grant.clone(),
                },
                user: user.clone(),
                product: product.clone(),
                change,
            };
            stated(at, statement)
        });
        Ok(Content::Events(events.collect()))
    }

    fn status(&self) -> Field<'_> {
        self.payload.status.at("payload.status")
    }

    fn period_end(&self) -> Field<'_> {
        self.payload.current_period_end.at(PERIOD_END)
    }

    /// The subscription that the payload is.
    fn subscription(&self) -> Result<GrantKey, Refusal> {
        self.payload.id.at(PAYLOAD_ID).required_id()
    }

    /// The subscription that a payment is for. Its own `id` is that of the payment.
    fn paid_subscription(&self) -> Result<Option<GrantKey>, Refusal> {
        let subscription = self.payload.subscription.get("payload.subscription")?;
        let inner = subscription.map(|it| it.id.at("payload.subscription.id"));
        let outer = self.payload.subscription_id.at("payload.subscriptionId");
        first(inner, outer).id()
    }

    /// The end of the period that was paid for.
    fn paid_until(&self) -> Result<Option<Instant>, Refusal> {
        let subscription = self.payload.subscription.get("payload.subscription")?;
        let path = "payload.subscription.currentPeriodEnd";
        let inner = subscription.map(|it| it.current_period_end.at(path));
        first(inner, self.period_end()).instant()
    }

    /// The subscriber, never the actor.
    fn user_field(&self) -> Result<Field<'_>, Refusal> {
        let payload = self.payload;
        let customer = related(&payload.customer, "payload.customer", CUSTOMER_ID)?;
        let field = first(customer, payload.customer_id.at("payload.customerId"));
        if !field.is_none() {
            return Ok(field);
        }
        let path = "payload.subscriber.id";
        let subscriber = related(&payload.subscriber, "payload.subscriber", path)?;
        let outer = payload.subscriber_id.at("payload.subscriberId");
        Ok(first(subscriber, outer))
    }

    fn user(&self) -> Result<Option<UserId>, Refusal> {
        self.user_field()?.user(self.source.user_prefix())
    }

    fn product_field(&self) -> Result<Field<'_>, Refusal> {
        let product = related(&self.payload.product, "payload.product", PRODUCT_ID)?;
        let outer = self.payload.product_id.at("payload.productId");
        Ok(first(product, outer))
    }

    fn product(&self) -> Result<Option<ProductName>, Refusal> {
        self.product_field()?.id()
    }

    fn required_product(&self) -> Result<ProductName, Refusal> {
        let absent = || Refusal::new(Reason::MissingField, PRODUCT_ID, "absent or null");
        self.product()?.ok_or_else(absent)
    }
}

const PERIOD_START: &str = "payload.currentPeriodStart";
const PERIOD_END: &str = "payload.currentPeriodEnd";
const CUSTOMER_ID: &str = "payload.customer.id";
const PRODUCT_ID: &str = "payload.product.id";

fn renewed(until: Option<Instant>) -> Change {
    Change::Renewed {
        until,
        period: None,
        period_key: None,
    }
}

/// The id of something that stands in the payload as an object.
fn related<'a>(
    object: &'a Object<Related<'a>>,
    path: &'static str,
    id_path: &'static str,
) -> Result<Option<Field<'a>>, Refusal> {
    Ok(object.get(path)?.map(|related| related.id.at(id_path)))
}

/// The inner field if something stands there, else the outer one.
fn first<'a>(inner: Option<Field<'a>>, outer: Field<'a>) -> Field<'a> {
    inner.map_or(outer, |inner| inner.or(outer))
}
