//! Piano, webhooks version 1, and the event names of version 2. See the README beside this file.

use super::field::Field;
use super::json;
use super::{
    Content, Decoded, Dedupe, Method, Particulars, Proof, Provider, Request, Secret, Sending,
    SourceContext, Stated, Success, Verified, VerifyError,
};
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::event::{Cause, Change, GrantStatement, Granted, Origin, Statement, Term};
use crate::domain::id::{GrantId, GrantKey, ProductName};
use crate::domain::rules::AbsentExpires;
use crate::domain::time::{End, Instant, Length};

mod example;
mod packet;
mod wire;

use packet::Packet;
use wire::Body;

/// Piano: encrypted packets, in the order in which things happened, without event ids and event times.
#[derive(Debug)]
pub(super) struct Piano;

/// What an event's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Granted(Origin),
    Modified,
    GraceExtended,
    Rescheduled,
    Renewed,
    Revoked,
    Ended(Cause),
}

/// The names of events that say nothing of access.
const WITHOUT_EFFECT: &[&str] = &[
    "test",
    "user_created",
    "user_updated",
    "voucher_purchased",
    "voucher_redeemed",
    "payment_failed",
    "payment_refunded",
];

/// The names of events, whatever the packet's version.
fn meaning_of_event(name: &str) -> Option<Meaning> {
    Some(match name {
        "new_purchase" => Meaning::Granted(Origin::Purchase),
        "payment_verified" => Meaning::Granted(Origin::Trial),
        "free_promo_redemption" => Meaning::Granted(Origin::Promo),
        REGISTRATION => Meaning::Granted(Origin::Registration),
        "free_access_granted" => Meaning::Granted(Origin::Complimentary),
        "access_modified" => Meaning::Modified,
        "grace_period_extension" | "grace_period_extension_on_renewal" => Meaning::GraceExtended,
        "subscription_updated" => Meaning::Rescheduled,
        "subscription_auto_renewed" | "subscription_manually_renewed" => Meaning::Renewed,
        "access_revoked" => Meaning::Revoked,
        "subscription_ended" | "access_ended" => Meaning::Ended(Cause::Unspecified),
        "subscription_expired" => Meaning::Ended(Cause::Expired),
        "subscription_canceled" => Meaning::Ended(Cause::Cancelled),
        "subscription_auto_renewed_failure" => Meaning::Ended(Cause::RenewalFailed),
        _ => return None,
    })
}

/// The coarse names of newer packets.
fn meaning_of_type(name: &str) -> Option<Meaning> {
    Some(match name {
        "access_granted" => Meaning::Granted(Origin::Purchase),
        "access_modified" => Meaning::Modified,
        "access_revoked" => Meaning::Revoked,
        _ => return None,
    })
}

/// The only event whose end has a default.
const REGISTRATION: &str = "new_registration_conversion";

impl Provider for Piano {
    fn name(&self) -> &'static str {
        "piano"
    }

    fn arrival_is_order(&self) -> bool {
        true
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[
            "new_purchase",
            "payment_verified",
            "free_promo_redemption",
            REGISTRATION,
            "free_access_granted",
            "access_modified",
            "grace_period_extension",
            "grace_period_extension_on_renewal",
            "subscription_updated",
            "subscription_auto_renewed",
            "subscription_manually_renewed",
            "access_revoked",
            "subscription_ended",
            "access_ended",
            "subscription_expired",
            "subscription_canceled",
            "subscription_auto_renewed_failure",
            "access_granted",
            "test",
            "user_created",
            "user_updated",
            "voucher_purchased",
            "voucher_redeemed",
            "payment_failed",
            "payment_refunded",
        ]
    }

    /// Anything but 200 blocks the queue; how often it is tried again is not said.
    fn sending(&self) -> Sending {
        Sending {
            method: Method::Get,
            proof: Proof::Signature,
            success: Success::Exactly200,
            waits: &[],
        }
    }

    fn verify(
        &self,
        request: Request,
        secret: Option<&Secret>,
        _now: Instant,
    ) -> Result<Verified, VerifyError> {
        let secret = secret.ok_or(VerifyError::NoSecret)?;
        let packet = Packet::of(&request).ok_or(VerifyError::NotAuthentic)?;
        let text = packet
            .open(Some(secret))
            .map_err(|_| VerifyError::NotAuthentic)?;
        Ok(Verified::vouch(request, Some(text)))
    }

    fn open(&self, request: &Request, secret: Option<&Secret>) -> Result<Vec<u8>, Refusal> {
        match Packet::of(request) {
            Some(packet) => packet.open(secret),
            None => Ok(request.body.clone()),
        }
    }

    fn seal(
        &self,
        text: &[u8],
        secret: Option<&Secret>,
        _now: Instant,
    ) -> Result<Request, VerifyError> {
        let packet = secret
            .and_then(|secret| packet::seal(text, secret))
            .ok_or(VerifyError::NoSecret)?;
        Ok(Request {
            query: Some(format!("data={packet}")),
            ..Request::default()
        })
    }

    fn example(&self, kind: &str, particulars: &Particulars) -> Option<String> {
        if !self.kinds().contains(&kind) {
            return None;
        }
        example::example(kind, particulars)
    }

    fn decode(&self, text: &[u8], source: &SourceContext<'_>) -> Decoded {
        let body = match json::read::<Body<'_>>(text) {
            Ok(body) => body,
            Err(refusal) => return Decoded::refused(None, Dedupe::Text, refusal),
        };
        let kind = match body.name() {
            Ok(kind) => kind,
            Err(refusal) => return Decoded::refused(None, Dedupe::Text, refusal),
        };
        let reading = Reading {
            body: &body,
            kind,
            source,
        };
        let kind = Some(kind.to_owned());
        match reading.read() {
            Ok((dedupe, content)) => Decoded {
                kind,
                dedupe,
                content,
            },
            Err(refusal) => Decoded::refused(kind, Dedupe::Text, refusal),
        }
    }
}

impl Body<'_> {
    /// The name it goes by: that of the event, else of its type.
    fn name(&self) -> Result<&str, Refusal> {
        let event = self.event.at("event");
        match event.name()? {
            Some(name) => Ok(name),
            None => event.required(self.kind.at("type").name()?),
        }
    }

    /// What it says: by the exact name of the event, else by the type; `None` is nothing of access.
    fn meaning(&self) -> Result<Option<Meaning>, Refusal> {
        let event = self.event.at("event").name()?;
        if event.is_some_and(|name| WITHOUT_EFFECT.contains(&name)) {
            return Ok(None);
        }
        if let Some(meaning) = event.and_then(meaning_of_event) {
            return Ok(Some(meaning));
        }
        Ok(self.kind.at("type").name()?.and_then(meaning_of_type))
    }

    fn user(&self) -> Field<'_> {
        self.uid.at("uid")
    }

    fn product(&self) -> Field<'_> {
        self.rid.at("rid")
    }

    fn grant(&self) -> Field<'_> {
        self.access_id.at("access_id")
    }

    fn expires(&self) -> Field<'_> {
        self.expires.at("expires")
    }
}

/// How a packet speaks of an end.
#[derive(Clone, Copy)]
enum Stop {
    /// The key is absent.
    Absent,
    /// `null` or 0.
    Nothing,
    At(Instant),
}

impl Stop {
    fn read(field: Field<'_>) -> Result<Self, Refusal> {
        if field.is_absent() {
            return Ok(Self::Absent);
        }
        if field.is_negative_time() {
            return Err(field.refuse(Reason::NegativeExpires, "before 1970"));
        }
        Ok(match field.instant()? {
            None | Some(Instant::EPOCH) => Self::Nothing,
            Some(instant) => Self::At(instant),
        })
    }

    /// Where nothing stands for nothing said.
    fn stated(self) -> Option<Instant> {
        match self {
            Self::Absent | Self::Nothing => None,
            Self::At(instant) => Some(instant),
        }
    }
}

/// A packet as it is being read.
struct Reading<'a> {
    body: &'a Body<'a>,
    /// The name it goes by.
    kind: &'a str,
    source: &'a SourceContext<'a>,
}

impl Reading<'_> {
    fn read(&self) -> Result<(Dedupe, Content), Refusal> {
        let Some(meaning) = self.body.meaning()? else {
            // What has no effect need not name its tenant, but another's is not ours to pass over.
            if !self.body.aid.at("aid").is_absent() {
                self.check_tenant()?;
            }
            // The grant is only looked at to tell the packet from others; what cannot be read does no harm here.
            let grant = self.body.grant().id().ok().flatten();
            let dedupe = grant.map_or(Dedupe::Text, |grant| Dedupe::Packet { grant, once: false });
            return Ok((dedupe, Content::Ignored));
        };
        self.check_tenant()?;
        let grant: GrantKey = self.body.grant().required_id()?;
        let (change, lasts) = self.change(meaning)?;
        // These two are sent again by operators, long after; any other packet may really be meant twice.
        let once = matches!(meaning, Meaning::Renewed | Meaning::GraceExtended);
        let statement = GrantStatement {
            grant: GrantId {
                source: self.source.name.clone(),
                key: grant.clone(),
            },
            user: self.body.user().user(self.source.user_prefix())?,
            product: self.body.product().id()?,
            change,
        };
        let stated = Stated {
            effective_at: None,
            statement: Statement::Grant(statement),
            lasts,
        };
        Ok((
            Dedupe::Packet { grant, once },
            Content::Events(vec![stated]),
        ))
    }

    fn check_tenant(&self) -> Result<(), Refusal> {
        let Some(tenant) = self.source.tenant() else {
            return Ok(());
        };
        self.body.aid.at("aid").names_tenant(tenant)
    }

    fn change(&self, meaning: Meaning) -> Result<(Change, Option<Length>), Refusal> {
        let expires = self.body.expires();
        let change = match meaning {
            Meaning::Granted(origin) => return self.granted(origin),
            Meaning::Modified => Change::Modified { until: self.end()? },
            Meaning::GraceExtended => Change::GraceExtended {
                until: Stop::read(expires)?.stated(),
            },
            Meaning::Rescheduled => Change::Rescheduled {
                until: End::At(self.next_bill_date()?),
            },
            Meaning::Renewed => self.renewed()?,
            // An end that is stated along with a revocation is not believed, not even read.
            Meaning::Revoked => Change::Revoked,
            Meaning::Ended(cause) => Change::Ended {
                cause,
                product: None,
            },
        };
        Ok((change, None))
    }

    fn granted(&self, origin: Origin) -> Result<(Change, Option<Length>), Refusal> {
        let body = self.body;
        let user = body.user();
        let user = user.required(user.user(self.source.user_prefix())?)?;
        let product = body.product().required_id()?;
        let (end, lasts) = match Stop::read(body.expires())? {
            // Registration gives a day, whatever the policy: that is what the vendor says of it.
            Stop::Absent if self.kind == REGISTRATION => (End::Never, Some(Length::DAY)),
            Stop::Absent | Stop::Nothing | Stop::At(_) => (self.end()?, None),
        };
        let granted = Granted {
            user,
            product,
            term: Term::Until(end),
            recurring: None,
            from: None,
            period_key: None,
            parent: None,
            origin,
        };
        Ok((Change::Granted(granted), lasts))
    }

    /// The end of a term that has to state one, if only by saying that there is none.
    fn end(&self) -> Result<End, Refusal> {
        let field = self.body.expires();
        match (Stop::read(field)?, self.source.absent_expires()) {
            (Stop::At(instant), _) => Ok(End::At(instant)),
            (Stop::Nothing, _) | (Stop::Absent, AbsentExpires::Unlimited) => Ok(End::Never),
            (Stop::Absent, AbsentExpires::Quarantine) => {
                Err(field.refuse(Reason::NoExpires, "absent"))
            }
        }
    }

    fn next_bill_date(&self) -> Result<Instant, Refusal> {
        let expires = self.body.expires();
        let stated = match Stop::read(expires)?.stated() {
            Some(instant) => Some(instant),
            None => Stop::read(self.body.next_bill_date.at("next_bill_date"))?.stated(),
        };
        let detail = "neither this nor `next_bill_date` states an end";
        stated.ok_or_else(|| expires.refuse(Reason::NoExpires, detail))
    }

    fn renewed(&self) -> Result<Change, Refusal> {
        let expires = self.body.expires();
        let until = Stop::read(expires)?.stated();
        let period = match until {
            Some(_) => None,
            None => {
                let product = self.body.product().id::<ProductName>()?;
                let period = product.and_then(|product| self.source.period(&product));
                let detail = "no end, and no period for the product in the rules";
                Some(period.ok_or_else(|| expires.refuse(Reason::NoPeriod, detail))?)
            }
        };
        Ok(Change::Renewed {
            until,
            period,
            period_key: None,
        })
    }
}
