//! A program that is told who gains and loses access, is killed now and then, and goes on with the cursor it kept.

use std::collections::BTreeSet;

use tenure::{
    ChangesCursor, ChangesQuestion, Correction, Instant, Reader, ResourceName, StoreReader, Turn,
};

use crate::family::Told;
use crate::world::said;

const PAGE: usize = 7;

pub(crate) struct Follower {
    told: BTreeSet<Told>,
    /// Kept together with what was handled.
    cursor: Option<ChangesCursor>,
    is_hasty: bool,
}

impl Follower {
    pub(crate) fn new(is_hasty: bool) -> Self {
        Self {
            told: BTreeSet::new(),
            cursor: None,
            is_hasty,
        }
    }

    pub(crate) fn told(&self) -> &BTreeSet<Told> {
        &self.told
    }

    /// Reads that many pages, unless there are no more; killed, it handles only `part` of the last one's turns.
    pub(crate) fn read<R: StoreReader>(
        &mut self,
        reader: &mut Reader<R>,
        pages: usize,
        part: Option<usize>,
    ) -> Result<(), String> {
        let question = ChangesQuestion {
            from: Instant::FIRST,
            to: Instant::LAST,
            user: None,
            resource: None,
            as_of: None,
        };
        for page in 1..=pages {
            let found = reader.changes_page(&question, self.cursor.as_ref(), PAGE);
            let found = found.map_err(said)?;
            let is_last = found.is_complete || page == pages;
            let part = part.filter(|_| is_last);
            let handled = part.unwrap_or(usize::MAX).min(found.turns.len());
            for turn in &found.turns[..handled] {
                let of = turn.product.as_ref().map(ResourceName::from).unwrap();
                let told = (turn.at, turn.user.clone(), of, turn.change == Turn::Begins);
                let is_new = match turn.correction {
                    Some(Correction::Retracted) => self.told.remove(&told),
                    Some(Correction::Added) | None => self.told.insert(told),
                };
                if !is_new {
                    return Err(format!("the follower was told what it knows: {turn:?}"));
                }
                self.cursor = Some(turn.cursor.clone());
            }
            if part.is_none() || self.is_hasty {
                self.cursor = Some(found.cursor);
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }
}
