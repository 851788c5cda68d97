//! Comparing who has access with a system's own list of its current subscribers.
//!
//! The list is held in memory, the grants of the source are read one after the other. What differs is a finding; a finding
//! that a statement by hand can settle knows that statement.

use std::collections::{BTreeMap, BTreeSet};

use super::EngineError;
use super::facts::{linked_ids, rules_at};
use super::finding::{Finding, FindingKind, Reconciliation};
use super::import::{Subscriber, SubscriberRow, prefix};
use super::reader::Reader;
use super::sources::{source, unknown_source};
use super::staff::StaffChange;
use super::standing::standing;
use crate::domain::event::Origin;
use crate::domain::grant::State;
use crate::domain::id::{GrantId, GrantKey, IdError, ProductName, SourceName, UserId};
use crate::domain::rules::Rules;
use crate::domain::time::{End, Instant, Length};
use crate::domain::window::{LivePhase, Phase, Segment};
use crate::store::{Snapshot, StoreReader};

/// So many grants are named at a time.
const CHUNK: usize = 500;

/// A system's list of its current subscribers, by grant where it has keys, else by user and product.
#[derive(Clone, Debug, Default)]
pub struct SubscriberList {
    rows: BTreeMap<ListKey, SubscriberRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ListKey {
    Grant(GrantKey),
    Holding(UserId, ProductName),
}

impl ListKey {
    fn of(subscriber: &Subscriber) -> Self {
        match &subscriber.grant {
            Some(key) => Self::Grant(key.clone()),
            None => Self::Holding(subscriber.user.clone(), subscriber.product.clone()),
        }
    }
}

impl SubscriberList {
    /// Adds a row. The same said twice counts once.
    ///
    /// # Errors
    /// The earlier row, if that says something else of the same grant; the earlier one stays.
    pub fn add(&mut self, row: SubscriberRow) -> Result<(), u64> {
        let key = ListKey::of(&row.subscriber);
        match self.rows.get(&key) {
            Some(earlier) if earlier.subscriber != row.subscriber => Err(earlier.row),
            Some(_) => Ok(()),
            None => {
                self.rows.insert(key, row);
                Ok(())
            }
        }
    }

    /// How many grants it names.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// What is compared with a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileQuestion {
    /// The source whose grants they are.
    pub source: SourceName,
    /// The instant the list speaks of.
    pub at: Instant,
    /// Ends that lie no further apart are the same.
    pub tolerance: Length,
}

impl<R: StoreReader> Reader<R> {
    /// Compares the grants of a source, as they stand at an instant, with a list of its current subscribers.
    ///
    /// ```
    /// use tenure::{
    ///     End, Engine, FindingKind, Length, MemoryStore, ReconcileQuestion, Secrets, Subscriber,
    ///     SubscriberList, SubscriberRow,
    /// };
    ///
    /// let engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
    /// let mut list = SubscriberList::default();
    /// let subscriber = Subscriber {
    ///     grant: Some("s-77".parse()?),
    ///     user: "u1".parse()?,
    ///     product: "news".parse()?,
    ///     from: None,
    ///     until: End::At("2026-06-01T00:00:00Z".parse()?),
    /// };
    /// list.add(SubscriberRow { row: 2, subscriber }).map_err(|row| format!("see row {row}"))?;
    /// let question = ReconcileQuestion {
    ///     source: "tonos".parse()?,
    ///     at: "2026-05-01T00:00:00Z".parse()?,
    ///     tolerance: Length::ZERO,
    /// };
    /// let found = engine.reader()?.reconcile(&question, list)?;
    /// assert_eq!(found.findings[0].kind, FindingKind::Missing);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`EngineError::UnknownSource`], or if the store cannot be read.
    pub fn reconcile(
        &mut self,
        question: &ReconcileQuestion,
        list: SubscriberList,
    ) -> Result<Reconciliation, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, None);
            let name = &question.source;
            let found = source(&rules, name).ok_or_else(|| unknown_source(&rules, name))?;
            let mut comparing = Comparing {
                snapshot,
                question,
                listed: listed(list, prefix(&found)),
                rules: &rules,
                found: Reconciliation::default(),
            };
            // Ids have no smaller one than a blank, and what is asked for lies after it.
            let smallest = GrantKey::new(" ").ok().map(|key| GrantId {
                source: name.clone(),
                key,
            });
            if let Some(first) = &smallest {
                comparing.grant(first)?;
            }
            let mut after = smallest;
            loop {
                let grants = snapshot.projected_after(after.as_ref(), CHUNK)?;
                let own = grants.iter().take_while(|grant| grant.source == *name);
                let own: Vec<&GrantId> = own.collect();
                for grant in &own {
                    comparing.grant(grant)?;
                }
                if own.len() < CHUNK {
                    break;
                }
                after = own.last().map(|last| (*last).clone());
            }
            comparing.finished()
        })
    }
}

/// A row, and what was found of it.
struct Listed {
    row: SubscriberRow,
    /// With the source's prefix; one that does not fit behind it is nobody known.
    holder: Result<UserId, IdError>,
    /// What gives the access it speaks of.
    given: Option<(GrantId, LivePhase)>,
    /// Why there is none, where that is meant so.
    withheld: Option<(GrantId, FindingKind)>,
    /// A grant of that user and product that gives no access.
    dormant: Option<GrantKey>,
}

struct Comparing<'a> {
    snapshot: &'a dyn Snapshot,
    question: &'a ReconcileQuestion,
    rules: &'a Rules,
    listed: BTreeMap<ListKey, Listed>,
    found: Reconciliation,
}

/// Rows without a key are looked up by the user as the engine knows them.
fn listed(list: SubscriberList, prefix: &str) -> BTreeMap<ListKey, Listed> {
    let rows = list.rows.into_iter().map(|(key, row)| {
        let holder = row.subscriber.holder(prefix);
        let key = match (key, &holder) {
            (ListKey::Holding(_, product), Ok(holder)) => ListKey::Holding(holder.clone(), product),
            (key, _) => key,
        };
        let listed = Listed {
            row,
            holder,
            given: None,
            withheld: None,
            dormant: None,
        };
        (key, listed)
    });
    rows.collect()
}

impl Comparing<'_> {
    fn grant(&mut self, grant: &GrantId) -> Result<(), EngineError> {
        let Some(projection) = self.snapshot.projection(grant)? else {
            return Ok(());
        };
        let at = self.question.at;
        let holds = |it: &&Segment| it.from <= at && it.to.is_after(at);
        let Some(segment) = projection.segments.iter().find(holds) else {
            return Ok(());
        };
        match &segment.phase {
            Phase::Live(live) => {
                let gives = live.start <= at
                    && live.end.is_after(at)
                    && !live.suspended
                    && !live.parent_ended;
                self.live(grant, live, gives)
            }
            Phase::Over { .. } => self.over(grant),
        }
    }

    fn live(&mut self, grant: &GrantId, live: &LivePhase, gives: bool) -> Result<(), EngineError> {
        let Some(listed) = self.row_of(grant, &live.user, &live.product)? else {
            if gives {
                self.unlisted(grant, live);
            }
            return Ok(());
        };
        if gives {
            // Of several grants of one user and product, the one that ends last gives the access.
            let better = listed
                .given
                .as_ref()
                .is_none_or(|(_, it)| it.end < live.end);
            if better {
                listed.given = Some((grant.clone(), live.clone()));
            }
        } else if live.suspended {
            listed.withheld = Some((grant.clone(), FindingKind::Suspended));
        } else if live.parent_ended {
            listed.withheld = Some((grant.clone(), FindingKind::ParentEnded));
        } else {
            listed.dormant = Some(grant.key.clone());
        }
        Ok(())
    }

    /// A grant that is over is asked whether it is barred, if a row speaks of it.
    fn over(&mut self, grant: &GrantId) -> Result<(), EngineError> {
        let standing = standing(self.snapshot, grant, self.rules, self.question.at)?;
        let State::Over(over) = &standing.state else {
            return Ok(());
        };
        let barred = over.barred.is_some();
        let holding = standing.held();
        let holding = holding.map(|live| (live.user.clone(), live.product.clone()));
        let listed = match holding {
            Some((user, product)) => self.row_of(grant, &user, &product)?,
            None => self.listed.get_mut(&ListKey::Grant(grant.key.clone())),
        };
        if let Some(listed) = listed {
            if barred {
                listed.withheld = Some((grant.clone(), FindingKind::Barred));
            } else {
                listed.dormant = Some(grant.key.clone());
            }
        }
        Ok(())
    }

    fn row_of(
        &mut self,
        grant: &GrantId,
        user: &UserId,
        product: &ProductName,
    ) -> Result<Option<&mut Listed>, EngineError> {
        let mut keys = vec![ListKey::Grant(grant.key.clone())];
        if !self.listed.contains_key(&ListKey::Grant(grant.key.clone())) {
            let ids = linked_ids(self.snapshot, user, None)?.into_iter();
            keys = ids
                .map(|id| ListKey::Holding(id, product.clone()))
                .collect();
        }
        let found = keys.into_iter().find(|key| self.listed.contains_key(key));
        Ok(found.and_then(|key| self.listed.get_mut(&key)))
    }

    fn unlisted(&mut self, grant: &GrantId, live: &LivePhase) {
        let is_grace = !live.paid_until.is_after(self.question.at);
        let correction = StaffChange::Ended {
            grant: grant.clone(),
            user: Some(live.user.clone()),
        };
        self.found.findings.push(Finding {
            kind: if is_grace {
                FindingKind::Grace
            } else {
                FindingKind::Extra
            },
            grant: grant.key.clone(),
            user: live.user.clone(),
            product: live.product.clone(),
            row: None,
            ours: Some(live.end.to_string()),
            listed: None,
            correction: (!is_grace).then_some(correction),
        });
    }

    fn finished(mut self) -> Result<Reconciliation, EngineError> {
        for listed in std::mem::take(&mut self.listed).into_values() {
            match &listed.given {
                Some((grant, live)) => self.given(&listed, grant, live)?,
                None => self.ungiven(&listed),
            }
        }
        let key = |it: &Finding| (it.grant.clone(), it.row, it.kind);
        self.found.findings.sort_by_key(key);
        Ok(self.found)
    }

    /// A row, and the access that is given.
    fn given(
        &mut self,
        listed: &Listed,
        grant: &GrantId,
        live: &LivePhase,
    ) -> Result<(), EngineError> {
        let subscriber = &listed.row.subscriber;
        let finding = |kind, ours: String, theirs: String, correction| Finding {
            kind,
            grant: grant.key.clone(),
            user: live.user.clone(),
            product: live.product.clone(),
            row: Some(listed.row.row),
            ours: Some(ours),
            listed: Some(theirs),
            correction: Some(correction),
        };
        let mut found = Vec::new();
        let ids: BTreeSet<UserId> = linked_ids(self.snapshot, &live.user, None)?;
        if let Some(holder) = listed.holder.as_ref().ok().filter(|it| !ids.contains(*it)) {
            let correction = StaffChange::Transferred {
                grant: grant.clone(),
                from: Some(live.user.clone()),
                user: holder.clone(),
            };
            let (ours, theirs) = (live.user.to_string(), holder.to_string());
            found.push(finding(FindingKind::OtherUser, ours, theirs, correction));
        }
        let (user, product) = (Some(live.user.clone()), subscriber.product.clone());
        if product != live.product {
            let (ours, theirs) = (live.product.to_string(), product.to_string());
            let correction = StaffChange::Switched {
                grant: grant.clone(),
                user: user.clone(),
                product,
            };
            found.push(finding(FindingKind::OtherProduct, ours, theirs, correction));
        }
        let paid_until = live.paid_until.min(live.end);
        let until = subscriber.until;
        let is_close = |end| within(end, until, self.question.tolerance);
        if !is_close(paid_until) && !is_close(live.end) {
            let (ours, theirs) = (paid_until.to_string(), until.to_string());
            let correction = StaffChange::Modified {
                grant: grant.clone(),
                user,
                until,
            };
            found.push(finding(FindingKind::EndsDiffer, ours, theirs, correction));
        }
        if found.is_empty() {
            self.found.same += 1;
        }
        self.found.findings.append(&mut found);
        Ok(())
    }

    /// A row without access.
    fn ungiven(&mut self, listed: &Listed) {
        let subscriber = &listed.row.subscriber;
        let at = self.question.at;
        let is_current =
            subscriber.until.is_after(at) && subscriber.from.is_none_or(|from| from <= at);
        if !is_current {
            self.found.not_current += 1;
            return;
        }
        let withheld = listed.withheld.as_ref();
        let key = match (withheld, &listed.dormant) {
            (Some((grant, _)), _) => grant.key.clone(),
            (None, Some(dormant)) => dormant.clone(),
            (None, None) => subscriber.grant_key(),
        };
        let user = listed.holder.clone().unwrap_or(subscriber.user.clone());
        let correction = StaffChange::Granted {
            grant: GrantId {
                source: self.question.source.clone(),
                key: key.clone(),
            },
            user: user.clone(),
            product: subscriber.product.clone(),
            until: subscriber.until,
            from: None,
            origin: Origin::Import,
        };
        self.found.findings.push(Finding {
            kind: withheld.map_or(FindingKind::Missing, |(_, kind)| *kind),
            grant: key,
            user,
            product: subscriber.product.clone(),
            row: Some(listed.row.row),
            ours: None,
            listed: Some(subscriber.until.to_string()),
            correction: (withheld.is_none() && listed.holder.is_ok()).then_some(correction),
        });
    }
}

/// Whether two ends lie no further apart than `tolerance`.
fn within(one: End, other: End, tolerance: Length) -> bool {
    match (one, other) {
        (End::At(one), End::At(other)) => {
            one.micros().abs_diff(other.micros()) <= tolerance.micros().unsigned_abs()
        }
        (End::Never, End::Never) => true,
        (End::At(_), End::Never) | (End::Never, End::At(_)) => false,
    }
}
