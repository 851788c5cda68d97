//! Asking for explanations.

use std::collections::BTreeSet;

use super::enough::is_enough;
use super::kept::kept_by;
use super::mentioning::{Mentioning, mentioning};
use super::steps::{between, steps};
use super::story::Story;
use super::turned::{lost, turned};
use super::without::{without, without_all};
use super::{Explanation, Step};
use crate::domain::decision::Question;
use crate::domain::id::{ProductName, UserId};
use crate::domain::time::{Instant, RecordedAt};
use crate::domain::window::Phase;
use crate::engine::facts::rules_at;
use crate::engine::staff::attribution;
use crate::engine::{EngineError, Reader};
use crate::store::{Snapshot, StoreReader};

impl<R: StoreReader> Reader<R> {
    /// The decision, what led to it, and what would have made it another. With `since`, also what made the answer differ
    /// from the one at that instant, and since when it is what it is.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn explain(
        &mut self,
        question: &Question,
        since: Option<Instant>,
    ) -> Result<Explanation, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, question.as_of);
            let story = Story::load(snapshot, &question.user, &rules, question.as_of)?;
            explanation(snapshot, &story, question, since)
        })
    }

    /// An explanation for each product that the user or a linked id ever had or is to have, by what was recorded up to
    /// `as_of` (`None`: all that is); the question is whether there is access to the product's own name at `at`. Sorted by
    /// product.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn explain_user(
        &mut self,
        user: &UserId,
        at: Instant,
        as_of: Option<RecordedAt>,
        since: Option<Instant>,
    ) -> Result<Vec<Explanation>, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, as_of);
            let story = Story::load(snapshot, user, &rules, as_of)?;
            let mut explanations = Vec::new();
            for product in products(&story) {
                let question = Question {
                    user: user.clone(),
                    resource: (&product).into(),
                    at,
                    as_of,
                };
                explanations.push(explanation(snapshot, &story, &question, since)?);
            }
            Ok(explanations)
        })
    }

    /// The deliveries that were in quarantine, by what was recorded up to `as_of`, and mention the user, a linked id or one
    /// of their grants, as [`Explanation::quarantined`]; also of a user whom nothing else names.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn quarantined(
        &mut self,
        user: &UserId,
        as_of: Option<RecordedAt>,
    ) -> Result<Vec<Mentioning>, EngineError> {
        self.read(|snapshot| {
            let rules = rules_at(&snapshot.rules()?, as_of);
            let story = Story::load(snapshot, user, &rules, as_of)?;
            mentioning(snapshot, &story.person.ids, story.own_grants(), as_of)
        })
    }
}

fn explanation(
    snapshot: &dyn Snapshot,
    story: &Story<'_>,
    question: &Question,
    since: Option<Instant>,
) -> Result<Explanation, EngineError> {
    let decision = story.decide(question);
    let mut steps = steps(&story.facts, &decision);
    for step in &mut steps {
        attribute(snapshot, step)?;
    }
    let (turned_at, turned_by) = since.map_or_else(Default::default, |since| {
        turned(story, question, since, &steps)
    });
    let kept_by = kept_by(story, &decision, &steps);
    let without = without(story, &decision, &steps);
    let without_all = if without.is_empty() {
        without_all(story, &decision, &steps)
    } else {
        Vec::new()
    };
    let (lost_at, lost_by) = lost(story, &decision, &steps);
    Ok(Explanation {
        linked: story.person.ids.iter().cloned().collect(),
        is_enough: kept_by
            .as_ref()
            .is_some_and(|kept_by| is_enough(story, &decision, kept_by)),
        kept_by,
        without,
        without_all,
        lost_at,
        lost_by,
        quarantined: mentioning(
            snapshot,
            &story.person.ids,
            story.own_grants(),
            question.as_of,
        )?,
        took_effect_since: since.map_or_else(Vec::new, |since| between(&steps, since, question.at)),
        since: since.map(|at| {
            story.decide(&Question {
                at,
                ..question.clone()
            })
        }),
        turned_at,
        turned_by,
        decision,
        steps,
    })
}

/// Who stated it by hand, and why.
fn attribute(snapshot: &dyn Snapshot, step: &mut Step) -> Result<(), EngineError> {
    if step.stated_by.is_staff() {
        let entry = snapshot.entry(step.position)?;
        let said = entry.map(|entry| attribution(snapshot, &entry));
        step.attribution = said.transpose()?.flatten();
    }
    Ok(())
}

/// Every product the person ever held a grant of, with access or without.
fn products(story: &Story<'_>) -> BTreeSet<ProductName> {
    let grants = story.person.grants.iter();
    let phases = grants.flat_map(|(_, segments)| segments.iter().map(|segment| &segment.phase));
    let held = phases.filter_map(|phase| match phase {
        Phase::Live(live) => Some(live),
        Phase::Over { .. } => None,
    });
    held.filter(|live| story.person.ids.contains(&live.user))
        .map(|live| live.product.clone())
        .collect()
}
