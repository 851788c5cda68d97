//! Who has access to a resource, and what a user has access to.

use std::collections::BTreeSet;

use super::EngineError;
use super::facts::{person, rules_at};
use super::people::{CHUNK, People, merged};
use super::reader::{Reader, known_at};
use crate::domain::decision::{Decision, Person, Question, decide};
use crate::domain::id::{ProductName, ResourceName, UserId};
use crate::domain::rules::Rules;
use crate::domain::time::{Instant, RecordedAt};
use crate::store::{Snapshot, StoreError, StoreReader};

/// Who has access to `resource` at `at`, judging by what was recorded up to `as_of`?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldersQuestion {
    /// The resource.
    pub resource: ResourceName,
    /// The instant asked about: past, present or future.
    pub at: Instant,
    /// Judge by what was recorded up to here; `None`: by all that is recorded.
    pub as_of: Option<RecordedAt>,
}

impl HoldersQuestion {
    fn of(&self, user: UserId) -> Question {
        Question {
            user,
            resource: self.resource.clone(),
            at: self.at,
            as_of: self.as_of,
        }
    }
}

impl<R: StoreReader> Reader<R> {
    /// Up to `limit` users with access to a resource, after a user, sorted; each with the decision that `check` gives for it.
    /// Of linked ids each is listed. Fewer than `limit` are the last.
    ///
    /// By all that is recorded, an index over windows leads to them. As of the past, every user is looked at, with a few
    /// hundred in memory at a time.
    ///
    /// ```
    /// use tenure::{Delivery, Engine, HoldersQuestion, MemoryStore, Request, Secrets};
    ///
    /// let mut engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
    /// let body = br#"{"specversion":"1.0","id":"e1","source":"crm","type":"tenure.granted",
    ///     "time":"2026-01-01T00:00:00Z","subject":"u1",
    ///     "data":{"grant":"g1","product":"news","until":"2026-02-01T00:00:00Z"}}"#;
    /// let request = Request { body: body.to_vec(), ..Request::default() };
    /// engine.ingest(Delivery::trusted("cloudevents".parse()?, request), "2026-01-01T00:00:05Z".parse()?)?;
    ///
    /// let question = HoldersQuestion {
    ///     resource: "news".parse()?,
    ///     at: "2026-01-15T00:00:00Z".parse()?,
    ///     as_of: None,
    /// };
    /// let holders = engine.reader()?.who(&question, None, 100)?;
    /// assert_eq!(holders.len(), 1);
    /// assert_eq!(holders[0].question.user.as_str(), "u1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn who(
        &mut self,
        question: &HoldersQuestion,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<Decision>, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, question.as_of);
            let known_at = known_at(snapshot, question.as_of)?;
            let mut candidates = match known_at {
                None => Candidates::Holding {
                    products: rules.products_with(&question.resource, question.at),
                    after: after.cloned(),
                    ahead: Vec::new(),
                },
                Some(_) => Candidates::Everybody(People::after(snapshot, after.cloned())),
            };
            let mut found = Vec::new();
            while found.len() < limit {
                let Some(user) = candidates.next(snapshot, question.at)? else {
                    break;
                };
                let person = person(snapshot, &user, &rules, known_at)?;
                let decision = decide(&question.of(user), &person, &rules);
                if decision.verdict.is_allowed() {
                    found.push(decision);
                }
            }
            Ok(found)
        })
    }

    /// What a user, with every linked id, has access to at `at`: up to `limit` resources after one, sorted; each with the
    /// decision that `check` gives for it. Looked at are the products held, by their own names, and every product and
    /// resource that the rules name; a prefix as `news/*` stands for all that begin so and are not named themselves. Fewer
    /// than `limit` are the last.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn what(
        &mut self,
        user: &UserId,
        at: Instant,
        as_of: Option<RecordedAt>,
        after: Option<&ResourceName>,
        limit: usize,
    ) -> Result<Vec<Decision>, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, as_of);
            let person = person(snapshot, user, &rules, known_at(snapshot, as_of)?)?;
            let decided = nameable(&person, &rules, at)
                .into_iter()
                .filter(|resource| after.is_none_or(|after| resource > after))
                .map(|resource| {
                    let question = Question {
                        user: user.clone(),
                        resource,
                        at,
                        as_of,
                    };
                    decide(&question, &person, &rules)
                });
            Ok(decided
                .filter(|decision| decision.verdict.is_allowed())
                .take(limit)
                .collect())
        })
    }
}

/// The products a person holds at an instant, and all that the rules name.
fn nameable(person: &Person, rules: &Rules, at: Instant) -> BTreeSet<ResourceName> {
    let held = person
        .windows()
        .filter(|window| window.start <= at && window.end.is_after(at))
        .map(|window| ResourceName::from(&window.product));
    let products = rules.products.keys().map(ResourceName::from);
    let included = rules.products.values().flat_map(|it| &it.includes);
    let included = included.map(|include| include.name.clone());
    held.chain(products).chain(included).collect()
}

/// The ids that may have access, sorted.
enum Candidates<'a> {
    /// Those that hold a window of one of the products, and those that are linked to anybody.
    Holding {
        products: BTreeSet<ProductName>,
        after: Option<UserId>,
        ahead: Vec<UserId>,
    },
    Everybody(People<'a>),
}

impl Candidates<'_> {
    fn next(&mut self, snapshot: &dyn Snapshot, at: Instant) -> Result<Option<UserId>, StoreError> {
        match self {
            Self::Everybody(people) => people.next(),
            Self::Holding {
                products,
                after,
                ahead,
            } => {
                if ahead.is_empty() {
                    let holders = snapshot.holders_after(after.as_ref(), products, at, CHUNK)?;
                    let linked = snapshot.linked_after(after.as_ref(), CHUNK)?;
                    *ahead = merged(holders, linked);
                    *after = ahead.first().cloned();
                }
                Ok(ahead.pop())
            }
        }
    }
}
