//! Who gains and loses access, and when: every turn of access within a span of time, and what later entries correct in it.
//!
//! Turns are read off the windows, never off a timer: the same log gives the same turns. A reading goes in two steps. First
//! the **corrections**: what entries recorded since the cursor altered in what was given already. Then what is **new**, by
//! all that is known. Whoever applies both holds, at any cursor, what the windows say up to its instant.

use serde::Serialize;

use super::EngineError;
use super::facts::{GrantFacts, person};
use super::reader::Reader;
use crate::domain::decision::{Person, Question, decide};
use crate::domain::event::RecordedEvent;
use crate::domain::fold::fold_observed;
use crate::domain::grant::State;
use crate::domain::id::{
    GrantId, GrantKey, Position, ProductName, ResourceName, SourceName, UserId,
};
use crate::domain::time::{Instant, RecordedAt};
use crate::domain::turn::{PersonTurn, Scope, Turn, turns};
use crate::store::{Snapshot, StoreError, StoreReader};

mod corrections;
mod cursor;
mod knowledge;
mod proceeding;

use cursor::{Corrected, Pass, Place};
use knowledge::Knowledge;

pub use cursor::{ChangesCursor, CursorError};

/// What is asked for: each instant in `[from, to)` at which access begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesQuestion {
    /// The first instant.
    pub from: Instant,
    /// The first instant after the span. It may lie in the future, which is judged by what is known.
    pub to: Instant,
    /// Only of this user; every id linked to it is the same person. `None`: of everybody, each id by itself.
    pub user: Option<UserId>,
    /// Access to this resource, by whatever product includes it. `None`: to each product by itself.
    pub resource: Option<ResourceName>,
    /// Judge by what was recorded up to here; `None`: by all that is recorded.
    pub as_of: Option<RecordedAt>,
}

/// An instant at which the access of a user begins or ends; or the correction of one that was given before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessTurn {
    /// The instant: access begins with it, or has ended just before it.
    pub at: Instant,
    /// Whose access.
    pub user: UserId,
    /// To which product; null where a resource was asked for.
    pub product: Option<ProductName>,
    /// To which resource, where one was asked for.
    pub resource: Option<ResourceName>,
    /// Whether it begins or ends.
    pub change: Turn,
    /// What it does to what was given before; null for what is new.
    pub correction: Option<Correction>,
    /// Why access is what it is from that instant on, by what is known.
    pub cause: TurnCause,
    /// Where to go on after it.
    #[serde(serialize_with = "as_text")]
    pub cursor: ChangesCursor,
}

/// What a correction does to what was given before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// The turn was given and is none: access neither begins nor ends there.
    Retracted,
    /// The turn was not given, though its instant had passed.
    Added,
}

/// Why access is what it is from an instant on: the decision for it, and the event behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TurnCause {
    /// The reason of the decision at that instant.
    pub reason: &'static str,
    /// The key of the grant the decision was read from.
    pub grant: Option<GrantKey>,
    /// Its source.
    pub source: Option<SourceName>,
    /// The last entry of the log that states something of that grant for that instant; where nothing takes effect just then,
    /// as when an end is reached, the one that changed it last.
    pub position: Option<Position>,
    /// What that entry states.
    pub event: Option<&'static str>,
    /// Who states it.
    pub stated_by: Option<SourceName>,
}

/// A part of a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesPage {
    /// The turns: corrections first, by user and instant; then what is new, by instant, person, user and product.
    pub turns: Vec<AccessTurn>,
    /// Where to go on after them.
    pub cursor: ChangesCursor,
    /// Whether nothing is left up to the end of the span, by what was recorded when this was read.
    pub is_complete: bool,
}

/// A reading of changes, a turn at a time, in the order of [`ChangesPage::turns`].
#[derive(Debug)]
pub struct Changes<'a, R: StoreReader> {
    reader: &'a mut Reader<R>,
    question: ChangesQuestion,
    cursor: Option<ChangesCursor>,
    page: std::vec::IntoIter<AccessTurn>,
    /// Where to go on after the page: further than after its last turn, if the span goes further.
    after_page: Option<ChangesCursor>,
    is_complete: bool,
}

/// How many turns are held in memory at a time.
const PAGE: usize = 500;

impl<R: StoreReader> Reader<R> {
    /// Every instant in a span at which access begins or ends, after a cursor.
    ///
    /// Without one, what was recorded so far is judged as a whole. With the cursor of an earlier reading, corrections of what
    /// was given come first: a turn that is none any more is `retracted`, one that is new though its instant had passed is
    /// `added`. Applied in order, they leave exactly the turns that are known, however often and in what steps it was read.
    ///
    /// ```
    /// use tenure::{ChangesQuestion, Delivery, Engine, MemoryStore, Request, Secrets};
    ///
    /// let mut engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
    /// let body = br#"{"specversion":"1.0","id":"e1","source":"crm","type":"tenure.granted",
    ///     "time":"2026-01-01T00:00:00Z","subject":"u1",
    ///     "data":{"grant":"g1","product":"news","until":"2026-02-01T00:00:00Z"}}"#;
    /// let request = Request { body: body.to_vec(), ..Request::default() };
    /// engine.ingest(Delivery::trusted("cloudevents".parse()?, request), "2026-01-01T00:00:05Z".parse()?)?;
    ///
    /// let question = ChangesQuestion {
    ///     from: "2026-01-01T00:00:00Z".parse()?,
    ///     to: "2026-03-01T00:00:00Z".parse()?,
    ///     user: None,
    ///     resource: None,
    ///     as_of: None,
    /// };
    /// let mut reader = engine.reader()?;
    /// let mut changes = reader.changes(&question, None);
    /// let turns: Vec<String> = changes
    ///     .by_ref()
    ///     .map(|turn| turn.map(|turn| format!("{} {} {}", turn.at, turn.user, turn.change.name())))
    ///     .collect::<Result<_, _>>()?;
    /// assert_eq!(turns, ["2026-01-01T00:00:00Z u1 begins", "2026-02-01T00:00:00Z u1 ends"]);
    ///
    /// // Keep the cursor, and nothing is missed and nothing told twice.
    /// let cursor = changes.cursor().cloned();
    /// assert_eq!(reader.changes(&question, cursor).count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn changes(
        &mut self,
        question: &ChangesQuestion,
        after: Option<ChangesCursor>,
    ) -> Changes<'_, R> {
        Changes {
            reader: self,
            question: question.clone(),
            cursor: after,
            page: Vec::new().into_iter(),
            after_page: None,
            is_complete: false,
        }
    }

    /// Up to `limit` turns after a cursor, from one state of the log.
    ///
    /// What is new is found by an index, so a page costs by what it holds. Two questions have no index and look at every
    /// user for each page, with the memory of one page: those as of the past, and corrections after a change of rules.
    ///
    /// # Errors
    /// [`EngineError::Cursor`] if the cursor is of another question or log; or if the store cannot be read.
    pub fn changes_page(
        &mut self,
        question: &ChangesQuestion,
        after: Option<&ChangesCursor>,
        limit: usize,
    ) -> Result<ChangesPage, EngineError> {
        self.read(|snapshot| {
            let target = match question.as_of {
                None => snapshot.head()?.position,
                Some(as_of) => snapshot.position_at(as_of)?,
            };
            let cursor = match after {
                None => ChangesCursor::begin(snapshot, question, target)?,
                Some(cursor) => cursor.checked(snapshot, question, target)?,
            };
            let walk = Walk {
                snapshot,
                scope: question
                    .resource
                    .clone()
                    .map_or(Scope::Products, Scope::Resource),
                to: question.to,
                limit,
                cursor,
                turns: Vec::new(),
            };
            walk.run(target)
        })
    }
}

impl<R: StoreReader> Changes<'_, R> {
    /// Where to go on after the turns that were taken so far; `None` before the first was asked for.
    pub fn cursor(&self) -> Option<&ChangesCursor> {
        self.cursor.as_ref()
    }
}

impl<R: StoreReader> Iterator for Changes<'_, R> {
    type Item = Result<AccessTurn, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(turn) = self.page.next() {
                self.cursor = Some(turn.cursor.clone());
                return Some(Ok(turn));
            }
            self.cursor = self.after_page.take().or(self.cursor.take());
            if self.is_complete {
                return None;
            }
            let page = self
                .reader
                .changes_page(&self.question, self.cursor.as_ref(), PAGE);
            match page {
                Ok(page) => {
                    self.is_complete = page.is_complete;
                    self.after_page = Some(page.cursor);
                    self.page = page.turns.into_iter();
                }
                Err(error) => {
                    self.is_complete = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn as_text<S: serde::Serializer>(cursor: &ChangesCursor, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cursor)
}

/// One reading of one page.
struct Walk<'a> {
    snapshot: &'a dyn Snapshot,
    scope: Scope,
    to: Instant,
    limit: usize,
    cursor: ChangesCursor,
    turns: Vec<AccessTurn>,
}

/// A turn of one user, in the order in which what is new is given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UserTurn {
    at: Instant,
    place: Place,
    turn: Turn,
}

impl UserTurn {
    fn of(turn: PersonTurn, user: &UserId) -> Self {
        Self {
            at: turn.at,
            place: Place {
                holder: turn.holder,
                user: user.clone(),
                of: turn.of,
            },
            turn: turn.turn,
        }
    }
}

impl Walk<'_> {
    fn run(mut self, target: Position) -> Result<ChangesPage, EngineError> {
        let unfinished = self.cursor.pass.take();
        let later = (self.cursor.position < target).then_some(Pass {
            to: target,
            last: None,
        });
        let unfinished_to = unfinished.as_ref().map(|pass| pass.to);
        let passes = unfinished
            .into_iter()
            .chain(later.filter(|_| unfinished_to != Some(target)));
        let mut is_complete = true;
        for pass in passes {
            if is_complete {
                is_complete = self.correct(pass)?;
            }
        }
        let is_complete = is_complete && self.proceed(target)?;
        Ok(ChangesPage {
            turns: self.turns,
            cursor: self.cursor,
            is_complete,
        })
    }

    fn is_full(&self) -> bool {
        self.turns.len() >= self.limit
    }

    /// Adds a turn; the cursor stands behind it already.
    fn push(
        &mut self,
        person: &Person,
        knowledge: &Knowledge,
        turn: &UserTurn,
        correction: Option<Correction>,
    ) -> Result<(), StoreError> {
        let cause = self.cause(person, knowledge, turn)?;
        let product = match &self.scope {
            Scope::Products => ProductName::new(turn.place.of.as_str()).ok(),
            Scope::Resource(_) => None,
        };
        self.turns.push(AccessTurn {
            at: turn.at,
            user: turn.place.user.clone(),
            product,
            resource: self.cursor.resource.clone(),
            change: turn.turn,
            correction,
            cause,
            cursor: self.cursor.clone(),
        });
        Ok(())
    }

    fn cause(
        &self,
        person: &Person,
        knowledge: &Knowledge,
        turn: &UserTurn,
    ) -> Result<TurnCause, StoreError> {
        let question = Question {
            user: turn.place.user.clone(),
            resource: turn.place.of.clone(),
            at: turn.at,
            as_of: knowledge.known_at,
        };
        let decision = decide(&question, person, &knowledge.rules);
        let grant = decision.access.map(|access| access.grant);
        let event = match &grant {
            Some(grant) => self.event_behind(grant, knowledge, turn.at)?,
            None => None,
        };
        let (grant, source) = grant.map(|grant| (grant.key, grant.source)).unzip();
        Ok(TurnCause {
            reason: decision.verdict.reason(),
            grant,
            source,
            position: event.as_ref().map(|event| event.position),
            event: event.as_ref().map(|event| event.event.statement.name()),
            stated_by: event.map(|event| event.key.source),
        })
    }

    /// The event that made a grant what it is at an instant.
    fn event_behind(
        &self,
        grant: &GrantId,
        knowledge: &Knowledge,
        at: Instant,
    ) -> Result<Option<RecordedEvent>, StoreError> {
        let facts = GrantFacts::load(self.snapshot, grant, &knowledge.rules, knowledge.known_at)?;
        let mut before = State::Absent;
        let mut behind = None;
        fold_observed(
            &facts.grant,
            &facts.events,
            &facts.policy,
            &mut |place, state, _| {
                let effective_at = facts
                    .events
                    .get(place)
                    .map(|event| event.event.effective_at.0);
                let takes_effect = effective_at == Some(at);
                if effective_at.is_some_and(|effective_at| effective_at <= at)
                    && (takes_effect || *state != before)
                {
                    behind = Some(place);
                }
                before = state.clone();
            },
        );
        Ok(behind.and_then(|place| facts.events.get(place).cloned()))
    }

    /// Every turn of one user that lies in the span from its beginning on, sorted.
    fn turns_of(
        &self,
        user: &UserId,
        knowledge: &Knowledge,
    ) -> Result<(Person, Vec<UserTurn>), StoreError> {
        let person = knowledge.person(self.snapshot, user)?;
        let all = turns(&person, &knowledge.rules, &self.scope).into_iter();
        let own = all
            .filter(|turn| turn.at >= self.cursor.from)
            .map(|turn| UserTurn::of(turn, user))
            .collect();
        Ok((person, own))
    }
}
