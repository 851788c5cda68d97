//! CloudEvents 1.0: Tenure's own dialect, for every other system, for scripts and for staff. See the README beside this
//! file.

use super::field::Field;
use super::json;
use super::signature::{digest, standard_webhooks};
use super::{
    Content, Decoded, Dedupe, Method, Particulars, Proof, Provider, Request, Secret, Sending,
    SourceContext, Stated, Success, Verified, VerifyError,
};
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::event::{
    Cause, Change, GrantStatement, Granted, Origin, Statement, Term, UserChange, UserStatement,
};
use crate::domain::id::{DedupeKey, GrantId, IdError, SourceName, UserId};
use crate::domain::time::{EffectiveAt, End, Instant, Length};

mod example;
mod verb;
mod wire;

use verb::{Verb, verb};
use wire::{Data, Envelope};

/// CloudEvents in the structured JSON mode, signed as Standard Webhooks describe it.
#[derive(Debug)]
pub(super) struct CloudEvents;

impl Provider for CloudEvents {
    fn name(&self) -> &'static str {
        "cloudevents"
    }

    fn speaks_for_staff(&self) -> bool {
        true
    }

    fn arrival_is_order(&self) -> bool {
        false
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[
            "tenure.granted",
            "tenure.modified",
            "tenure.rescheduled",
            "tenure.renewed",
            "tenure.grace_extended",
            "tenure.payment_failed",
            "tenure.revoked",
            "tenure.suspended",
            "tenure.resumed",
            "tenure.withdrawn",
            "tenure.cancelled",
            "tenure.reinstated",
            "tenure.switched",
            "tenure.transferred",
            "tenure.refunded",
            "tenure.ended",
            "tenure.user_removed",
            "tenure.linked",
        ]
    }

    /// The schedule is the one that Standard Webhooks recommend.
    fn sending(&self) -> Sending {
        const WAITS: &[Length] = &[
            Length::seconds(5),
            Length::seconds(5 * 60),
            Length::seconds(30 * 60),
            Length::seconds(2 * 3_600),
            Length::seconds(5 * 3_600),
            Length::seconds(10 * 3_600),
            Length::seconds(14 * 3_600),
            Length::seconds(20 * 3_600),
            Length::seconds(24 * 3_600),
        ];
        Sending {
            method: Method::Post,
            proof: Proof::Signature,
            success: Success::Any2xx,
            waits: WAITS,
        }
    }

    fn verify(
        &self,
        request: Request,
        secret: Option<&Secret>,
        now: Instant,
    ) -> Result<Verified, VerifyError> {
        standard_webhooks::verify(&request, secret, now)?;
        Ok(Verified::vouch(request, None))
    }

    fn seal(
        &self,
        text: &[u8],
        secret: Option<&Secret>,
        now: Instant,
    ) -> Result<Request, VerifyError> {
        let mut request = Request::posted(text, "application/cloudevents+json");
        if let Some(secret) = secret {
            standard_webhooks::sign(&mut request, &message_id(text), secret, now)?;
        }
        Ok(request)
    }

    fn example(&self, kind: &str, particulars: &Particulars) -> Option<String> {
        example::example(kind, particulars)
    }

    fn decode(&self, text: &[u8], source: &SourceContext<'_>) -> Decoded {
        let envelope = match json::read::<Envelope<'_>>(text) {
            Ok(envelope) => envelope,
            Err(refusal) => return Decoded::refused(None, Dedupe::Text, refusal),
        };
        let dedupe = envelope.key().map_or(Dedupe::Text, Dedupe::Key);
        let kind = envelope.kind.at("type").name().ok().flatten();
        let kind = kind.map(str::to_owned);
        Decoded::of(kind, dedupe, envelope.content(source))
    }
}

/// The event's id, if it can stand in a header; else a digest.
fn message_id(text: &[u8]) -> String {
    let envelope = json::read::<Envelope<'_>>(text).unwrap_or_default();
    let id = envelope.id.at("id").id::<UserId>().ok().flatten();
    match id {
        Some(id) if id.as_str().bytes().all(|byte| byte.is_ascii_graphic()) => id.to_string(),
        Some(_) | None => DedupeKey::of_digest(&digest(&[text])).to_string(),
    }
}

impl Envelope<'_> {
    /// `source`, a space and `id`, where both can be read.
    fn key(&self) -> Result<DedupeKey, Refusal> {
        let field = self.id.at("id");
        let id = field.required(field.id_text()?)?;
        let source = self.source.at("source");
        let source = source.required(source.id_text()?)?;
        let empty = [(&source, "source"), (&id, "id")]
            .into_iter()
            .find(|(text, _)| text.is_empty());
        if let Some((_, path)) = empty {
            let detail = IdError::Empty.to_string();
            return Err(Refusal::new(Reason::BadId, path, &detail));
        }
        let refused = |error: IdError| {
            field.refuse(Reason::BadId, &format!("with the event's source: {error}"))
        };
        DedupeKey::new(&format!("{source} {id}")).map_err(refused)
    }

    fn content(self, source: &SourceContext<'_>) -> Result<Content, Refusal> {
        let version = self.specversion.at("specversion");
        if version.required(version.text()?)? != "1.0" {
            return Err(version.refuse(Reason::BadField, "not 1.0"));
        }
        self.key()?;
        let kind = self.kind.at("type");
        let Some(verb) = verb(kind.required(kind.name()?)?) else {
            // Elsewhere a time is optional, and what is not ours need not follow our rules.
            return Ok(Content::Ignored);
        };
        let time = self.time.at("time");
        let at = time.required(time.instant()?)?;
        let subject = self.subject.at("subject").user(source.user_prefix())?;
        let data = self.data.or_empty("data")?;
        let grant_source = staff_only(data.grant_source.at("data.grant_source"), source)?;
        let reading = Reading {
            data: &data,
            subject,
            grant_source: grant_source.unwrap_or_else(|| source.name.clone()),
            source,
        };
        Ok(Content::Events(vec![Stated {
            effective_at: Some(EffectiveAt(at)),
            statement: reading.statement(verb)?,
            lasts: None,
        }]))
    }
}

/// The name of a source: only staff may speak of another than their own.
fn staff_only(field: Field<'_>, source: &SourceContext<'_>) -> Result<Option<SourceName>, Refusal> {
    let named = field.id()?;
    if named.is_some() && !source.name.is_staff() {
        return Err(field.refuse(Reason::BadField, "only staff may name another source"));
    }
    Ok(named)
}

/// An event as it is being read.
struct Reading<'a> {
    data: &'a Data<'a>,
    subject: Option<UserId>,
    /// Whose grants and users it speaks of.
    grant_source: SourceName,
    source: &'a SourceContext<'a>,
}

impl Reading<'_> {
    fn statement(self, verb: Verb) -> Result<Statement, Refusal> {
        let data = self.data;
        Ok(match verb {
            Verb::Granted => {
                let granted = Change::Granted(self.granted()?);
                self.grant(granted)?
            }
            Verb::Modified => {
                let until = self.end()?;
                self.grant(Change::Modified { until })?
            }
            Verb::Rescheduled => {
                let until = self.end()?;
                self.grant(Change::Rescheduled { until })?
            }
            Verb::Renewed => {
                let renewed = self.renewed()?;
                self.grant(renewed)?
            }
            Verb::GraceExtended => {
                let until = self.until().instant()?;
                self.grant(Change::GraceExtended { until })?
            }
            Verb::PaymentFailed => self.grant(Change::PaymentFailed)?,
            Verb::Revoked => self.grant(Change::Revoked)?,
            Verb::Suspended | Verb::Resumed => self.block(verb == Verb::Suspended)?,
            Verb::Withdrawn => self.withdrawal()?,
            Verb::Cancelled => {
                let until = self.until().instant()?;
                self.grant(Change::Cancelled { until })?
            }
            Verb::Reinstated => {
                let until = self.until().instant()?;
                self.grant(Change::Reinstated { until })?
            }
            Verb::Switched => {
                let product = data.product.at(PRODUCT).required_id()?;
                let until = self.until().instant()?;
                self.grant(Change::Switched { product, until })?
            }
            Verb::Transferred => {
                let field = data.user.at("data.user");
                let user = field.required(field.user(self.source.user_prefix())?)?;
                self.grant(Change::Transferred { user })?
            }
            Verb::Refunded => {
                let period_key = data.period_key.at("data.period_key").id()?;
                self.grant(Change::Refunded { period_key })?
            }
            Verb::Ended => {
                let cause = choice(data.cause.at("data.cause"), cause)?.unwrap_or_default();
                let product = data.product.at(PRODUCT).id()?;
                self.grant(Change::Ended { cause, product })?
            }
            Verb::UserRemoved => self.user(UserChange::UserRemoved)?,
            Verb::Linked => Statement::Link {
                alias: data.alias.at("data.alias").required_id()?,
                user: self.subject()?,
            },
        })
    }

    fn grant(self, change: Change) -> Result<Statement, Refusal> {
        Ok(Statement::Grant(GrantStatement {
            grant: GrantId {
                source: self.grant_source,
                key: self.data.grant.at(GRANT).required_id()?,
            },
            user: self.subject,
            product: self.data.product.at(PRODUCT).id()?,
            change,
        }))
    }

    fn user(self, change: UserChange) -> Result<Statement, Refusal> {
        Ok(Statement::User(UserStatement {
            user: self.subject()?,
            source: self.grant_source,
            change,
        }))
    }

    fn subject(&self) -> Result<UserId, Refusal> {
        let absent = || Refusal::new(Reason::MissingField, "subject", "absent or null");
        self.subject.clone().ok_or_else(absent)
    }

    fn until(&self) -> Field<'_> {
        self.data.until.at("data.until")
    }

    /// An end that has to be stated, if only by `null`: there is none.
    fn end(&self) -> Result<End, Refusal> {
        let field = self.until();
        if field.is_absent() {
            return Err(field.refuse(Reason::MissingField, "absent; `null` means unlimited"));
        }
        Ok(field.instant()?.map_or(End::Never, End::At))
    }

    fn granted(&self) -> Result<Granted, Refusal> {
        let data = self.data;
        let period = data.period.at("data.period").period()?;
        let term = match period {
            Some(period) if self.until().is_absent() => Term::Period(period),
            Some(period) => Term::UntilThenPeriod(self.end()?, period),
            None => Term::Until(self.end()?),
        };
        Ok(Granted {
            user: self.subject()?,
            product: data.product.at(PRODUCT).required_id()?,
            term,
            recurring: data.recurring.at("data.recurring").flag()?,
            from: data.from.at("data.from").instant()?,
            period_key: data.period_key.at("data.period_key").id()?,
            parent: data.parent.at("data.parent").id()?,
            origin: choice(data.origin.at("data.origin"), origin)?.unwrap_or_default(),
        })
    }

    fn renewed(&self) -> Result<Change, Refusal> {
        Ok(Change::Renewed {
            until: self.until().instant()?,
            period: self.data.period.at("data.period").period()?,
            period_key: self.data.period_key.at("data.period_key").id()?,
        })
    }

    /// Of one grant, or, where none is named, of the user in the whole source.
    fn block(self, sets: bool) -> Result<Statement, Refusal> {
        let by = self.data.by.at("data.by").id()?;
        if self.data.grant.at(GRANT).is_none() {
            return self.user(if sets {
                UserChange::Suspended { by }
            } else {
                UserChange::Resumed { by }
            });
        }
        self.grant(if sets {
            Change::Suspended { by }
        } else {
            Change::Resumed { by }
        })
    }

    fn withdrawal(self) -> Result<Statement, Refusal> {
        let named = staff_only(self.data.id_source.at("data.id_source"), self.source)?;
        Ok(Statement::Withdrawal {
            source: named.unwrap_or_else(|| self.source.name.clone()),
            key: self.data.id.at("data.id").required_key()?,
        })
    }
}

const GRANT: &str = "data.grant";
const PRODUCT: &str = "data.product";

/// One of some words.
fn choice<T>(field: Field<'_>, known: fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
    let Some(word) = field.text()? else {
        return Ok(None);
    };
    let unknown = || field.refuse(Reason::BadField, "not one of the words it may be");
    known(word).map(Some).ok_or_else(unknown)
}

fn origin(word: &str) -> Option<Origin> {
    Some(match word {
        "purchase" => Origin::Purchase,
        "trial" => Origin::Trial,
        "promo" => Origin::Promo,
        "registration" => Origin::Registration,
        "complimentary" => Origin::Complimentary,
        "gift" => Origin::Gift,
        "import" => Origin::Import,
        _ => return None,
    })
}

fn cause(word: &str) -> Option<Cause> {
    Some(match word {
        "expired" => Cause::Expired,
        "cancelled" => Cause::Cancelled,
        "renewal_failed" => Cause::RenewalFailed,
        "refunded" => Cause::Refunded,
        _ => return None,
    })
}
