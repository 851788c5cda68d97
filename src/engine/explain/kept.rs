//! What would have kept access, or would give it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Step;
use super::steps::places;
use super::story::{Story, state_at};
use crate::domain::decision::{Decision, DenyReason, Verdict};
use crate::domain::event::{RecordedEvent, Statement, UserChange, UserStatement};
use crate::domain::fold::BlockHistory;
use crate::domain::grant::{Live, State};
use crate::domain::id::{BlockName, GrantId, GrantKey, ProductName, SourceName, UserId};
use crate::domain::time::{End, Instant};
use crate::engine::facts::GrantFacts;

/// What would have kept access, or would give it. One for each reason to deny; places are those in the steps of the
/// explanation.
///
/// As JSON an object whose `what` is the name of the variant, as `renewal`, beside its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum KeptBy {
    /// It ran out: a renewal that took effect by then.
    Renewal {
        /// When it ran out.
        by: Instant,
    },
    /// It ran out after a cancellation: the renewal that was not to be any more.
    CancelledRenewal {
        /// When it ran out.
        by: Instant,
        /// What cancelled it.
        cancelled_by: Vec<usize>,
    },
    /// Blocks stand: each has to be lifted by its name.
    LiftedBlocks {
        /// The blocks, those on the grant first.
        blocks: Vec<BlockToLift>,
    },
    /// It is over: reinstating it, or withdrawing the statement that ended it.
    Reinstatement {
        /// What ended it.
        ended_by: Vec<usize>,
    },
    /// The user has or had nothing that includes the resource: a product that does.
    Product {
        /// The products that include the resource at the instant asked about, by the rules; sorted. One of the resource's
        /// own name always does, and is named if the rules name it.
        products: Vec<ProductName>,
    },
    /// It hangs on another grant, its parent: access of that one.
    Parent {
        /// The parent's key.
        grant: GrantKey,
        /// Its source.
        source: SourceName,
        /// Why it gives none, read from the parent alone. `never_granted`: nothing ever gave it.
        reason: DenyReason,
    },
    /// Somebody else holds the grant.
    Holder {
        /// Who holds it, or held it at last.
        user: UserId,
        /// What gave it to them.
        transferred_by: Vec<usize>,
    },
    /// Access begins later.
    Beginning {
        /// When, if no block or parent is in the way.
        at: Option<Instant>,
    },
}

/// A block that stands in the way of access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockToLift {
    /// Its name.
    pub name: BlockName,
    /// The source of the grant.
    pub source: SourceName,
    /// The grant it stands on; `None` if it stands on the user.
    pub grant: Option<GrantKey>,
    /// The user it stands on, and so on all the grants that this id holds in the source.
    pub user: Option<UserId>,
    /// What set it.
    pub set_by: Vec<usize>,
}

/// What would have kept access; `None` if there is access.
pub(super) fn kept_by(story: &Story<'_>, decision: &Decision, steps: &[Step]) -> Option<KeptBy> {
    let Verdict::Deny(reason) = decision.verdict else {
        return None;
    };
    let product = || KeptBy::Product {
        products: including(story, decision),
    };
    let read_from = decision.access.as_ref().map(|access| &access.grant);
    let found = match read_from.and_then(|grant| story.facts_of(grant)) {
        Some(facts) => Decisive::new(facts, decision.question.at, steps).kept_by(story, reason),
        None => None,
    };
    let beginning = || KeptBy::Beginning {
        at: decision.next_change_at,
    };
    Some(match reason {
        DenyReason::NotYet => beginning(),
        DenyReason::NotIncluded | DenyReason::NeverGranted | DenyReason::UnknownUser => product(),
        DenyReason::Transferred
        | DenyReason::Revoked
        | DenyReason::Refunded
        | DenyReason::Ended
        | DenyReason::Cancelled
        | DenyReason::Lapsed
        | DenyReason::Suspended
        | DenyReason::ParentEnded => found.unwrap_or_else(product),
    })
}

/// The products of the rules that include the resource then.
fn including(story: &Story<'_>, decision: &Decision) -> Vec<ProductName> {
    let question = &decision.question;
    let products = story.rules.products.keys();
    products
        .filter(|product| {
            let inclusion = story.rules.inclusion(product, &question.resource);
            inclusion.covers(question.at)
        })
        .cloned()
        .collect()
}

/// The grant the reason was read from.
struct Decisive<'a> {
    facts: &'a GrantFacts,
    at: Instant,
    state: State,
    steps: &'a [Step],
}

impl<'a> Decisive<'a> {
    fn new(facts: &'a GrantFacts, at: Instant, steps: &'a [Step]) -> Self {
        Self {
            facts,
            at,
            state: state_at(facts, at),
            steps,
        }
    }

    fn kept_by(&self, story: &Story<'_>, reason: DenyReason) -> Option<KeptBy> {
        match (&self.state, reason) {
            (State::Live(live), DenyReason::Lapsed) => Some(KeptBy::Renewal {
                by: live.end(&self.facts.policy).instant()?,
            }),
            (State::Live(live), DenyReason::Cancelled) => Some(KeptBy::CancelledRenewal {
                by: live.end(&self.facts.policy).instant()?,
                cancelled_by: self
                    .last(|step| !step.effect.before.cancelled && step.effect.after.cancelled),
            }),
            (State::Live(live), DenyReason::Suspended) => Some(KeptBy::LiftedBlocks {
                blocks: self.blocks(live),
            }),
            (State::Live(live), DenyReason::ParentEnded) => {
                parent(story, self.facts, live, self.at)
            }
            (State::Over(_), DenyReason::Revoked | DenyReason::Refunded | DenyReason::Ended) => {
                Some(KeptBy::Reinstatement {
                    ended_by: self.last(|step| {
                        let (before, after) = (&step.effect.before, &step.effect.after);
                        after.state == "over" && (before.state, before.how) != ("over", after.how)
                    }),
                })
            }
            (State::Live(live), DenyReason::Transferred) => Some(self.holder(&live.user)),
            (State::Over(over), DenyReason::Transferred) => {
                Some(self.holder(&over.last.as_ref()?.user))
            }
            (State::Absent | State::Live(_) | State::Over(_), _) => None,
        }
    }

    /// The place of the last step of the grant in effect that did something.
    fn last(&self, did: impl Fn(&Step) -> bool) -> Vec<usize> {
        let own = |step: &Step| step.in_effect && step.is_of(&self.facts.grant);
        let last = places(self.steps, |step| own(step) && did(step)).pop();
        last.into_iter().collect()
    }

    fn holder(&self, user: &UserId) -> KeptBy {
        KeptBy::Holder {
            user: user.clone(),
            transferred_by: self.last(|step| {
                step.effect.before.user.is_some()
                    && step.effect.before.user != step.effect.after.user
            }),
        }
    }

    /// The place of the last statement in effect that set a block of that name on the user.
    fn last_block_on(&self, user: &UserId, name: &BlockName) -> Vec<usize> {
        let sets = |recorded: &&RecordedEvent| match &recorded.event.statement {
            Statement::User(UserStatement {
                user: blocked,
                change: UserChange::Suspended { by },
                ..
            }) => {
                blocked == user && *by.as_ref().unwrap_or(&(&recorded.key.source).into()) == *name
            }
            Statement::User(_)
            | Statement::Grant(_)
            | Statement::Link { .. }
            | Statement::Withdrawal { .. } => false,
        };
        let begun = self.facts.events.iter();
        let mut begun = begun.filter(|recorded| recorded.event.effective_at.0 <= self.at);
        let last = begun.rfind(sets).map(|it| (it.position, it.key.index));
        self.last(|step| Some((step.position, step.index)) == last)
    }

    fn blocks(&self, live: &Live) -> Vec<BlockToLift> {
        let GrantId { source, key } = &self.facts.grant;
        let own = live.blocks.iter().map(|name| BlockToLift {
            name: name.clone(),
            source: source.clone(),
            grant: Some(key.clone()),
            user: None,
            set_by: self.last(|step| {
                let (before, after) = (&step.effect.before, &step.effect.after);
                !before.blocks.contains(name) && after.blocks.contains(name)
            }),
        });
        let on_holder: BTreeSet<BlockName> =
            BlockHistory::names_at(source, &live.user, &self.facts.events, self.at);
        let on_holder = on_holder.into_iter().map(|name| BlockToLift {
            set_by: self.last_block_on(&live.user, &name),
            name,
            source: source.clone(),
            grant: None,
            user: Some(live.user.clone()),
        });
        own.chain(on_holder).collect()
    }
}

/// The parent of a grant, and why it gives no access.
fn parent(story: &Story<'_>, child: &GrantFacts, live: &Live, at: Instant) -> Option<KeptBy> {
    let grant = GrantId {
        source: child.grant.source.clone(),
        key: live.parent.clone()?,
    };
    let facts = story.facts_of(&grant);
    let reason = match facts.map(|facts| (facts, state_at(facts, at))) {
        None | Some((_, State::Absent)) => DenyReason::NeverGranted,
        Some((facts, State::Live(parent))) => reason_of_live(facts, &parent, at),
        Some((_, State::Over(over))) => DenyReason::of_end(over.how),
    };
    Some(KeptBy::Parent {
        grant: grant.key,
        source: grant.source,
        reason,
    })
}

fn reason_of_live(facts: &GrantFacts, live: &Live, at: Instant) -> DenyReason {
    let end: End = live.end(&facts.policy);
    match (end.is_after(at), live.cancelled) {
        (false, Some(_)) => DenyReason::Cancelled,
        (false, None) => DenyReason::Lapsed,
        (true, _) if live.start > at => DenyReason::NotYet,
        (true, _) => DenyReason::Suspended,
    }
}
