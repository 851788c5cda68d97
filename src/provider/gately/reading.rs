//! What an event states, of the membership or of a subscription.

use super::super::field::Field;
use super::super::{Content, SourceContext, Stated};
use super::wire::{Data, Envelope};
use super::{Meaning, meaning};
use crate::domain::delivery::{Reason, Refusal};
use crate::domain::event::{
    Cause, Change, GrantStatement, Granted, Origin, Statement, Term, UserChange, UserStatement,
};
use crate::domain::id::{GrantId, GrantKey, ProductName, UserId};
use crate::domain::rules::MemberPlan;
use crate::domain::time::{EffectiveAt, End, Instant, Period};

/// How a member or a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Active,
    Trialing,
    /// Any other word.
    Other,
}

impl Status {
    fn read(field: Field<'_>) -> Result<Option<Self>, Refusal> {
        let word = field.text()?.map(str::to_ascii_lowercase);
        Ok(word.map(|word| match word.as_str() {
            "active" => Self::Active,
            "trialing" => Self::Trialing,
            _ => Self::Other,
        }))
    }

    /// Whether it suspends a member. A trial is one of a subscription: a member who is not active has nothing to try.
    fn suspends_member(self) -> bool {
        match self {
            Self::Active => false,
            Self::Trialing | Self::Other => true,
        }
    }
}

impl Envelope<'_> {
    /// What it states.
    pub(super) fn content(self, source: &SourceContext<'_>) -> Result<Content, Refusal> {
        self.id.at("id").required_event_id()?;
        let event = self.event.at("event");
        let meaning = meaning(event.required(event.name()?)?);
        let project = self.project_id.at("project_id");
        // What has no effect need not name its tenant, but another's is not ours to pass over.
        if let Some(tenant) = source.tenant()
            && (meaning.is_some() || !project.is_absent())
        {
            project.names_tenant(tenant)?;
        }
        let Some(meaning) = meaning else {
            return Ok(Content::Ignored);
        };
        let data = self.data.or_empty("data")?;
        let reading = Reading {
            data: &data,
            created_at: self.created_at.at("created_at"),
            source,
        };
        let stated = reading.stated(meaning)?;
        if stated.is_empty() {
            return Ok(Content::Ignored);
        }
        Ok(Content::Events(stated))
    }
}

/// An event as it is being read.
struct Reading<'a> {
    data: &'a Data<'a>,
    created_at: Field<'a>,
    source: &'a SourceContext<'a>,
}

impl<'a> Reading<'a> {
    /// What it states; nothing at all is nothing of access.
    fn stated(&self, meaning: Meaning) -> Result<Vec<Stated>, Refusal> {
        match meaning {
            Meaning::MemberCreated => self.member_created(),
            Meaning::MemberUpdated => self.member_updated(),
            Meaning::MemberDeleted => self.member_deleted(),
            Meaning::MemberPlanChanged => self.member_plan_changed(),
            Meaning::SubscriptionCreated => self.subscription_created(),
            Meaning::SubscriptionRenewed => self.subscription_renewed(),
            Meaning::SubscriptionUpdated => self.subscription_updated(),
            Meaning::SubscriptionCancelled => self.subscription_cancelled(),
        }
    }

    fn member_created(&self) -> Result<Vec<Stated>, Refusal> {
        if self.source.member_plan() == &MemberPlan::Ignore {
            return Ok(Vec::new());
        }
        let plan: ProductName = self.plan().required_id()?;
        if !self.source.member_plan().gives(&plan) {
            return Ok(Vec::new());
        }
        let member = self.member_itself();
        let status = Status::read(self.data.status.at("data.status"))?;
        let at = self.created_at()?;
        let granted = self.membership(member, plan)?;
        let mut stated = vec![self.of_member(member, granted, at)?];
        if status.is_some_and(Status::suspends_member) {
            stated.push(self.of_member(member, Change::Suspended { by: None }, at)?);
        }
        Ok(stated)
    }

    fn member_updated(&self) -> Result<Vec<Stated>, Refusal> {
        let changes = self.data.changes.get("data.changes")?;
        let status = changes.map(|it| it.status.get("data.changes.status"));
        let Some(status) = status.transpose()?.flatten() else {
            return Ok(Vec::new());
        };
        let field = status.new.at("data.changes.status.new");
        let status = field.required(Status::read(field)?)?;
        let change = if status.suspends_member() {
            Change::Suspended { by: None }
        } else {
            Change::Resumed { by: None }
        };
        Ok(vec![self.of_member(
            self.member_itself(),
            change,
            self.created_at()?,
        )?])
    }

    fn member_deleted(&self) -> Result<Vec<Stated>, Refusal> {
        Ok(vec![Stated {
            effective_at: Some(EffectiveAt(self.created_at()?)),
            statement: Statement::User(UserStatement {
                source: self.source.name.clone(),
                user: self.required_user(self.member_itself())?,
                change: UserChange::UserRemoved,
            }),
            lasts: None,
        }])
    }

    fn member_plan_changed(&self) -> Result<Vec<Stated>, Refusal> {
        if self.source.member_plan() == &MemberPlan::Ignore {
            return Ok(Vec::new());
        }
        let member = self.member_itself();
        let plan: ProductName = self.data.new_plan.at("data.new_plan").required_id()?;
        let at = instant(self.data.changed_at.at("data.changed_at"))?;
        let change = if self.source.member_plan().gives(&plan) {
            self.membership(member, plan)?
        } else {
            // The plan before may have been one that membership gives. It is not the member's any more.
            Change::Ended {
                cause: Cause::Unspecified,
                product: None,
            }
        };
        Ok(vec![self.of_member(member, change, at)?])
    }

    fn subscription_created(&self) -> Result<Vec<Stated>, Refusal> {
        let origin = match Status::read(self.data.status.at("data.status"))? {
            None | Some(Status::Active) => Origin::Purchase,
            Some(Status::Trialing) => Origin::Trial,
            Some(Status::Other) => return Ok(Vec::new()),
        };
        // The event may be written long after the period began, even after a cancellation that came to pass since.
        let start = self
            .data
            .current_period_start
            .at("data.current_period_start");
        let at = match start.instant()? {
            Some(start) => start,
            None => self.created_at()?,
        };
        let product: ProductName = self.plan().required_id()?;
        let term = match self.period_end().instant()? {
            Some(end) => Term::Until(End::At(end)),
            None => Term::Period(self.period_by_rules(Some(&product))?),
        };
        let granted = Granted {
            user: self.required_user(self.member())?,
            product,
            term,
            recurring: Some(true),
            from: None,
            period_key: None,
            parent: None,
            origin,
        };
        self.of_subscription(vec![Change::Granted(granted)], at)
    }

    fn subscription_renewed(&self) -> Result<Vec<Stated>, Refusal> {
        let until = self.period_end().instant()?;
        let period = match until {
            Some(_) => None,
            None => Some(self.period_by_rules(self.plan().id()?.as_ref())?),
        };
        let renewed = Change::Renewed {
            until,
            period,
            period_key: None,
        };
        self.of_subscription(vec![renewed], self.created_at()?)
    }

    fn subscription_updated(&self) -> Result<Vec<Stated>, Refusal> {
        let product = self.plan().id()?;
        let switched = product.map(|product| Change::Switched {
            product,
            until: None,
        });
        let end = self.period_end().instant()?;
        let rescheduled = end.map(|end| Change::Rescheduled {
            until: End::At(end),
        });
        let changes: Vec<Change> = switched.into_iter().chain(rescheduled).collect();
        if changes.is_empty() {
            let detail = "neither this nor `data.current_period_end` is stated";
            return Err(self.plan().refuse(Reason::MissingField, detail));
        }
        self.of_subscription(changes, self.created_at()?)
    }

    /// The plan that came with the subscription is the member's plan too, and ends with it.
    fn subscription_cancelled(&self) -> Result<Vec<Stated>, Refusal> {
        let at_period_end = self
            .data
            .cancel_at_period_end
            .at("data.cancel_at_period_end");
        let (change, at, end) = if at_period_end.flag()? == Some(true) {
            // Without its day the member's plan, which has no end of its own, would stay for ever.
            let end = instant(self.data.effective_date.at("data.effective_date"))?;
            let cancelled = Change::Cancelled { until: Some(end) };
            (cancelled, self.created_at()?, end)
        } else {
            let at = instant(self.data.cancelled_at.at("data.cancelled_at"))?;
            (ended(None), at, at)
        };
        let mut stated = self.of_subscription(vec![change], at)?;
        let product: Option<ProductName> = self.plan().id()?;
        if let Some(product) = product
            && !self.member().is_none()
        {
            stated.push(self.of_member(self.member(), ended(Some(product)), end)?);
        }
        Ok(stated)
    }

    /// Changes of the subscription, of one instant.
    fn of_subscription(&self, changes: Vec<Change>, at: Instant) -> Result<Vec<Stated>, Refusal> {
        let key: GrantKey = self.data.id.at("data.id").required_id()?;
        let user = self.member().user(self.source.user_prefix())?;
        let product: Option<ProductName> = self.plan().id()?;
        let of_grant = |change| self.of(key.clone(), user.clone(), product.clone(), change, at);
        Ok(changes.into_iter().map(of_grant).collect())
    }

    /// A change of what membership itself gives.
    fn of_member(&self, member: Field<'_>, change: Change, at: Instant) -> Result<Stated, Refusal> {
        let id: UserId = member.required_id()?;
        let key = GrantKey::new(&format!("member:{id}"));
        let key = key
            .map_err(|error| member.refuse(Reason::BadId, &format!("behind `member:`: {error}")))?;
        let user = Some(self.required_user(member)?);
        Ok(self.of(key, user, None, change, at))
    }

    fn of(
        &self,
        key: GrantKey,
        user: Option<UserId>,
        product: Option<ProductName>,
        change: Change,
        at: Instant,
    ) -> Stated {
        Stated {
            effective_at: Some(EffectiveAt(at)),
            statement: Statement::Grant(GrantStatement {
                grant: GrantId {
                    source: self.source.name.clone(),
                    key,
                },
                user,
                product,
                change,
            }),
            lasts: None,
        }
    }

    fn membership(&self, member: Field<'_>, plan: ProductName) -> Result<Change, Refusal> {
        Ok(Change::Granted(Granted {
            user: self.required_user(member)?,
            product: plan,
            term: Term::Until(End::Never),
            recurring: None,
            from: None,
            period_key: None,
            parent: None,
            origin: Origin::Registration,
        }))
    }

    fn period_by_rules(&self, product: Option<&ProductName>) -> Result<Period, Refusal> {
        let period = product.and_then(|product| self.source.period(product));
        let detail = "absent, and no period for the product in the rules";
        period.ok_or_else(|| self.period_end().refuse(Reason::NoPeriod, detail))
    }

    /// The member, on events about the member.
    fn member_itself(&self) -> Field<'a> {
        self.data.id.at("data.id")
    }

    /// The member, on events about something else.
    fn member(&self) -> Field<'a> {
        self.data.member_id.at("data.member_id")
    }

    fn required_user(&self, member: Field<'_>) -> Result<UserId, Refusal> {
        member.required(member.user(self.source.user_prefix())?)
    }

    fn plan(&self) -> Field<'a> {
        self.data.plan_id.at("data.plan_id")
    }

    fn period_end(&self) -> Field<'a> {
        self.data.current_period_end.at("data.current_period_end")
    }

    fn created_at(&self) -> Result<Instant, Refusal> {
        instant(self.created_at)
    }
}

fn instant(field: Field<'_>) -> Result<Instant, Refusal> {
    field.required(field.instant()?)
}

fn ended(product: Option<ProductName>) -> Change {
    Change::Ended {
        cause: Cause::Cancelled,
        product,
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::panic,
        reason = "a test that fails panics"
    )]

    use serde_json::{Value, json};

    use super::super::Gately;
    use super::*;
    use crate::domain::rules::Rules;
    use crate::provider::Provider as _;

    /// When each event takes effect, the grant it speaks of, and its change.
    fn stated(event: &str, data: &Value) -> Vec<(String, String, Change)> {
        let body = json!({"id": "e", "event": event, "created_at": "2026-01-01T00:00:00Z",
            "data": data});
        let source = SourceContext {
            name: &"shop".parse().unwrap(),
            rules: None,
            products: &Rules::default(),
        };
        let read = Gately.decode(body.to_string().as_bytes(), &source);
        let Content::Events(events) = read.content else {
            panic!("events expected: {read:?}")
        };
        let of_grant = |stated: Stated| match stated.statement {
            Statement::Grant(grant) => (
                stated.effective_at.unwrap().0.to_string(),
                grant.grant.key.to_string(),
                grant.change,
            ),
            other
            @ (Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. }) => {
                panic!("{other:?}")
            }
        };
        events.into_iter().map(of_grant).collect()
    }

    fn origin(event: &str, data: &Value) -> Origin {
        let (_, _, change) = stated(event, data).remove(0);
        let Change::Granted(granted) = change else {
            panic!("{change:?}")
        };
        granted.origin
    }

    #[test]
    fn a_cancellation_also_ends_the_plan_of_the_member_at_that_instant() {
        let data = json!({"id": "s1", "member_id": "m1", "plan_id": "pro",
            "cancel_at_period_end": true, "effective_date": "2026-02-01T00:00:00Z"});
        let until: Instant = "2026-02-01T00:00:00Z".parse().unwrap();
        let cancelled = Change::Cancelled { until: Some(until) };
        let plan_ended = ended(Some("pro".parse().unwrap()));
        assert_eq!(
            stated("subscription.cancelled", &data),
            [
                (
                    "2026-01-01T00:00:00Z".to_owned(),
                    "s1".to_owned(),
                    cancelled
                ),
                (until.to_string(), "member:m1".to_owned(), plan_ended),
            ]
        );
    }

    #[test]
    fn a_subscription_takes_effect_when_its_period_starts_or_else_when_it_was_told() {
        for (start, expected) in [
            (json!("2025-12-31T14:00:00Z"), "2025-12-31T14:00:00Z"),
            (json!("2026-01-05T00:00:00Z"), "2026-01-05T00:00:00Z"),
            (Value::Null, "2026-01-01T00:00:00Z"),
        ] {
            let data = json!({"id": "s1", "member_id": "m1", "plan_id": "pro",
                "current_period_start": start, "current_period_end": "2026-02-01T00:00:00Z"});
            let (at, _, change) = stated("subscription.created", &data).remove(0);
            assert_eq!(at, expected);
            // A start beside the effective time could lie before it, which is an anomaly.
            assert!(matches!(change, Change::Granted(granted) if granted.from.is_none()));
        }
    }

    #[test]
    fn an_update_states_the_plan_first_and_then_the_end() {
        let data = json!({"id": "s1", "member_id": "m1", "plan_id": "pro",
            "current_period_end": "2026-02-01T00:00:00Z"});
        let events = stated("subscription.updated", &data);
        let names: Vec<&str> = events.iter().map(|(_, _, change)| change.name()).collect();
        assert_eq!(names, ["switched", "rescheduled"]);
    }

    #[test]
    fn what_was_not_paid_for_says_so() {
        let member = json!({"id": "m1", "plan_id": "free", "new_plan": "free",
            "changed_at": "2026-01-01T00:00:00Z"});
        assert_eq!(origin("member.created", &member), Origin::Registration);
        assert_eq!(origin("member.plan_changed", &member), Origin::Registration);
        for (status, expected) in [("active", Origin::Purchase), ("Trialing", Origin::Trial)] {
            let data = json!({"id": "s1", "member_id": "m1", "plan_id": "pro", "status": status,
                "current_period_end": "2026-02-01T00:00:00Z"});
            assert_eq!(origin("subscription.created", &data), expected);
        }
    }
}
