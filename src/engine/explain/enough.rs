//! Whether what would have kept access would have done so: it is tried.

use super::kept::{BlockToLift, KeptBy};
use super::story::Story;
use crate::domain::decision::Decision;
use crate::domain::event::{Change, Event, GrantStatement, Statement, UserChange, UserStatement};
use crate::domain::id::{GrantId, SourceName};
use crate::domain::time::{EffectiveAt, Instant};

/// Whether `kept_by` alone gives access at the instant asked about.
pub(super) fn is_enough(story: &Story<'_>, decision: &Decision, kept_by: &KeptBy) -> bool {
    let question = &decision.question;
    let Some(access) = &decision.access else {
        // What is to be given anew stands beside all else.
        return match kept_by {
            KeptBy::Product { .. } => true,
            KeptBy::Beginning { at } => at.is_some(),
            KeptBy::Renewal { .. }
            | KeptBy::CancelledRenewal { .. }
            | KeptBy::LiftedBlocks { .. }
            | KeptBy::Reinstatement { .. }
            | KeptBy::Parent { .. }
            | KeptBy::Holder { .. } => false,
        };
    };
    let grant = &access.grant;
    let stated = match kept_by {
        KeptBy::Renewal { by } | KeptBy::CancelledRenewal { by, .. } => {
            vec![renewal(grant, *by, question.at)]
        }
        KeptBy::LiftedBlocks { blocks } => {
            let lifted = blocks
                .iter()
                .map(|block| lifting(block, grant, question.at));
            lifted.collect()
        }
        KeptBy::Reinstatement { .. } => vec![reinstatement(grant, question.at)],
        KeptBy::Parent { .. } => {
            let decision = story.decide_with_parents(question, grant);
            return decision.verdict.is_allowed();
        }
        KeptBy::Product { .. } => return true,
        KeptBy::Beginning { at } => return at.is_some(),
        KeptBy::Holder { .. } => return false,
    };
    let decision = story.decide_with(question, grant, &stated);
    decision.verdict.is_allowed()
}

/// One just before it ran out, until past the instant asked about.
fn renewal(grant: &GrantId, by: Instant, at: Instant) -> (SourceName, Event) {
    let change = Change::Renewed {
        until: Some(at.next()),
        period: None,
        period_key: None,
    };
    (grant.source.clone(), stated(grant, by.previous(), change))
}

fn reinstatement(grant: &GrantId, at: Instant) -> (SourceName, Event) {
    let change = Change::Reinstated { until: None };
    (SourceName::staff(), stated(grant, at, change))
}

fn lifting(block: &BlockToLift, grant: &GrantId, at: Instant) -> (SourceName, Event) {
    let by = Some(block.name.clone());
    let event = match &block.user {
        None => stated(grant, at, Change::Resumed { by }),
        Some(user) => Event {
            effective_at: EffectiveAt(at),
            statement: Statement::User(UserStatement {
                source: block.source.clone(),
                user: user.clone(),
                change: UserChange::Resumed { by },
            }),
        },
    };
    (SourceName::staff(), event)
}

fn stated(grant: &GrantId, at: Instant, change: Change) -> Event {
    Event {
        effective_at: EffectiveAt(at),
        statement: Statement::Grant(GrantStatement {
            grant: grant.clone(),
            user: None,
            product: None,
            change,
        }),
    }
}
