//! What an event states of which grant.

use super::super::field::Field;
use super::super::value::Scalar;
use super::super::{Content, SourceContext, Stated};
use super::length::{Lasting, OF_DATA, OF_SUBSCRIPTION};
use super::wire::{Data, Envelope, Product, Subscription};
use super::{Meaning, meaning};
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::event::{Cause, Change, GrantStatement, Granted, Origin, Statement, Term};
use crate::domain::id::{GrantId, GrantKey, PeriodName, ProductName, UserId};
use crate::domain::time::{EffectiveAt, End, Instant, Period};

/// How a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Active,
    Trialing,
    Canceled,
    Expired,
    /// Any other word.
    Other,
}

impl Status {
    fn read(field: Field<'_>) -> Result<Self, Refusal> {
        let word = field.required(field.text()?)?.to_ascii_lowercase();
        Ok(match word.as_str() {
            "active" => Self::Active,
            "trialing" => Self::Trialing,
            "canceled" | "cancelled" => Self::Canceled,
            "expired" => Self::Expired,
            _ => Self::Other,
        })
    }
}

impl Envelope<'_> {
    /// What it states.
    pub(super) fn content(self, source: &SourceContext<'_>) -> Result<Content, Refusal> {
        self.id.at("id").required_event_id()?;
        let kind = self.kind.at("type");
        let Some(meaning) = meaning(kind.required(kind.name()?)?) else {
            return Ok(Content::Ignored);
        };
        let data = self.data.or_empty("data")?;
        let reading = Reading {
            data: &data,
            created: self.created.at("created"),
            source,
        };
        let Some(statement) = reading.statement(meaning)? else {
            return Ok(Content::Ignored);
        };
        Ok(Content::Events(vec![Stated {
            effective_at: Some(EffectiveAt(reading.at()?)),
            statement: Statement::Grant(statement),
            lasts: None,
        }]))
    }
}

/// An event as it is being read.
struct Reading<'a> {
    data: &'a Data<'a>,
    created: Field<'a>,
    source: &'a SourceContext<'a>,
}

impl<'a> Reading<'a> {
    /// What it states; `None` is nothing of access.
    fn statement(&self, meaning: Meaning) -> Result<Option<GrantStatement>, Refusal> {
        let stated = match meaning {
            Meaning::SubscriptionCreated => {
                let origin = match Status::read(self.status()?)? {
                    Status::Active => Origin::Purchase,
                    Status::Trialing => Origin::Trial,
                    Status::Canceled | Status::Expired | Status::Other => return Ok(None),
                };
                self.own(Change::Granted(self.granted(origin)?))?
            }
            Meaning::SubscriptionUpdated => self.own(self.updated()?)?,
            Meaning::SubscriptionCanceled => self.own(Change::Cancelled { until: None })?,
            Meaning::SubscriptionExpired => self.own(expired())?,
            Meaning::InvoiceUpdated => {
                let subscription = self.subscription()?;
                let status = subscription.map_or(&Scalar::Missing, |it| &it.status);
                match Status::read(status.at("data.subscription.status"))? {
                    Status::Active => {}
                    Status::Trialing | Status::Canceled | Status::Expired | Status::Other => {
                        return Ok(None);
                    }
                }
                let invoice = self.data.id.at("data.id").or(self.last_invoice()?);
                // An invoice is updated more than once: without its id each update would buy another period.
                let key = Some(invoice.required_id()?);
                self.related(self.renewed(key)?)?
            }
            Meaning::PaymentCreated => {
                let key = self.last_invoice()?.id()?;
                self.related(self.renewed(key)?)?
            }
            Meaning::PaymentFailed => self.related(Change::PaymentFailed)?,
            Meaning::PaymentRefunded => {
                let period_key = self.last_invoice()?.id()?;
                self.related(Change::Refunded { period_key })?
            }
            Meaning::LicenseRedeemed => self.license()?,
        };
        Ok(Some(stated))
    }

    /// Of the subscription that the event is about.
    fn own(&self, change: Change) -> Result<GrantStatement, Refusal> {
        self.of(self.data.id.at("data.id").required_id()?, change)
    }

    /// Of the subscription that an invoice or a payment belongs to.
    fn related(&self, change: Change) -> Result<GrantStatement, Refusal> {
        let here = self.data.subscription_id.at("data.subscriptionId");
        let grant = self.or_inside(here, |subscription| {
            let named = subscription
                .subscription_id
                .at("data.subscription.subscriptionId");
            Ok(named.or(subscription.id.at("data.subscription.id")))
        })?;
        self.of(grant.required_id()?, change)
    }

    fn of(&self, key: GrantKey, change: Change) -> Result<GrantStatement, Refusal> {
        Ok(GrantStatement {
            grant: GrantId {
                source: self.source.name.clone(),
                key,
            },
            user: self.customer()?.user(self.source.user_prefix())?,
            product: self.product()?.id()?,
            change,
        })
    }

    fn granted(&self, origin: Origin) -> Result<Granted, Refusal> {
        let product: ProductName = self.product()?.required_id()?;
        let lasting = match self.named_length()? {
            Some(lasting) => lasting,
            None => self.length_by_rules(Some(&product))?,
        };
        let created = self.data.created_at.at("data.createdAt");
        let created = self.or_inside(created, |subscription| {
            Ok(subscription.created_at.at("data.subscription.createdAt"))
        })?;
        let invoice = self.data.last_invoice_id.at("data.lastInvoiceId");
        let invoice = self.or_inside(invoice, |_| self.last_invoice())?;
        Ok(Granted {
            user: self.user()?,
            product,
            term: match lasting {
                Lasting::Unlimited => Term::Until(End::Never),
                Lasting::For(period) => Term::Period(period),
            },
            recurring: Some(true),
            from: created.instant()?,
            period_key: invoice.id()?,
            parent: None,
            origin,
        })
    }

    fn updated(&self) -> Result<Change, Refusal> {
        let status = self.status()?;
        match Status::read(status)? {
            Status::Active | Status::Trialing => Ok(Change::Switched {
                product: self.product()?.required_id()?,
                until: None,
            }),
            Status::Canceled => Ok(Change::Cancelled { until: None }),
            Status::Expired => Ok(expired()),
            Status::Other => {
                let detail = "not Active, Trialing, Canceled or Expired";
                Err(status.refuse(Reason::UnknownStatus, detail))
            }
        }
    }

    fn renewed(&self, period_key: Option<PeriodName>) -> Result<Change, Refusal> {
        let lasting = match self.named_length()? {
            Some(lasting) => lasting,
            None => self.length_by_rules(self.product()?.id()?.as_ref())?,
        };
        let period = match lasting {
            // A payment buys a period, and this is the longest there is.
            Lasting::Unlimited => Period::months(1_200).ok(),
            Lasting::For(period) => Some(period),
        };
        Ok(Change::Renewed {
            until: None,
            period,
            period_key,
        })
    }

    /// A licence is given to whoever redeems it, once and for a fixed term.
    fn license(&self) -> Result<GrantStatement, Refusal> {
        let field = self.data.id.at("data.id");
        let license: GrantKey = field.required_id()?;
        let customer: UserId = self.customer()?.required_id()?;
        let key = GrantKey::new(&format!("{license}:{customer}"));
        let key = key.map_err(|error| {
            field.refuse(Reason::BadId, &format!("with the customer's id: {error}"))
        })?;
        let product = self.product()?.required_id()?;
        let lasting = self
            .named_length()?
            .ok_or_else(|| length_missing("absent or null"))?;
        let at = self.at()?;
        let end = match lasting {
            Lasting::Unlimited => End::Never,
            Lasting::For(period) => period.after(at, End::At(at)).1,
        };
        let granted = Granted {
            user: self.user()?,
            product,
            term: Term::Until(end),
            recurring: None,
            from: None,
            period_key: None,
            parent: None,
            origin: Origin::Purchase,
        };
        self.of(key, Change::Granted(granted))
    }

    fn at(&self) -> Result<Instant, Refusal> {
        self.created.required(self.created.instant()?)
    }

    /// The subscription inside the entity. Looked at only when something is looked for in it.
    fn subscription(&self) -> Result<Option<&'a Subscription<'a>>, Refusal> {
        self.data.subscription.get("data.subscription")
    }

    /// A field of the entity, or where it has none, of the subscription inside.
    fn or_inside(
        &self,
        here: Field<'a>,
        there: impl FnOnce(&'a Subscription<'a>) -> Result<Field<'a>, Refusal>,
    ) -> Result<Field<'a>, Refusal> {
        if !here.is_none() {
            return Ok(here);
        }
        let there = self.subscription()?.map(there).transpose()?;
        Ok(there.map_or(here, |there| here.or(there)))
    }

    fn status(&self) -> Result<Field<'a>, Refusal> {
        self.or_inside(self.data.status.at("data.status"), |subscription| {
            Ok(subscription.status.at("data.subscription.status"))
        })
    }

    /// The user's id, without the source's prefix.
    fn customer(&self) -> Result<Field<'a>, Refusal> {
        let here = self.data.customer_id.at("data.customerId");
        self.or_inside(here, |subscription| {
            Ok(subscription.customer_id.at("data.subscription.customerId"))
        })
    }

    fn user(&self) -> Result<UserId, Refusal> {
        let customer = self.customer()?;
        customer.required(customer.user(self.source.user_prefix())?)
    }

    fn product(&self) -> Result<Field<'a>, Refusal> {
        let here = self.data.product.get("data.product")?;
        self.or_inside(id_of(here).at("data.product.id"), |subscription| {
            let there = subscription.product.get("data.subscription.product")?;
            Ok(id_of(there).at("data.subscription.product.id"))
        })
    }

    /// The invoice of the latest period of the subscription inside the entity.
    fn last_invoice(&self) -> Result<Field<'a>, Refusal> {
        let subscription = self.subscription()?;
        let invoice = subscription.map_or(&Scalar::Missing, |it| &it.last_invoice_id);
        Ok(invoice.at("data.subscription.lastInvoiceId"))
    }

    /// How long access lasts, where the event says it.
    fn named_length(&self) -> Result<Option<Lasting>, Refusal> {
        if let Some(here) = self.data.product_access_provider.get(OF_DATA.whole)? {
            return here.lasting(&OF_DATA).map(Some);
        }
        let Some(subscription) = self.subscription()? else {
            return Ok(None);
        };
        let there = &subscription.product_access_provider;
        let there = there.get(OF_SUBSCRIPTION.whole)?;
        there.map(|it| it.lasting(&OF_SUBSCRIPTION)).transpose()
    }

    fn length_by_rules(&self, product: Option<&ProductName>) -> Result<Lasting, Refusal> {
        let period = product.and_then(|product| self.source.period(product));
        let missing = || length_missing("absent, and no period for the product in the rules");
        period.map(Lasting::For).ok_or_else(missing)
    }
}

fn length_missing(detail: &str) -> Refusal {
    Refusal::new(Reason::MissingField, OF_DATA.whole, detail)
}

fn expired() -> Change {
    Change::Ended {
        cause: Cause::Expired,
        product: None,
    }
}

fn id_of<'a>(product: Option<&'a Product<'a>>) -> &'a Scalar<'a> {
    product.map_or(&Scalar::Missing, |product| &product.id)
}
