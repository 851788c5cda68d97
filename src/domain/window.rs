//! From a grant's history to its segments and windows: when it gives whom what.
//!
//! [`segments`] cuts the history wherever anything changes that a decision may ask for: the state, a block on the holder, the
//! access of the parent. [`windows`] keeps of them only when there is access, and joins what touches and agrees. Both are
//! half-open: the first instant belongs to them, the end does not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fold::{BlockHistory, LiveStanding, Span, Standing};
use super::grant::How;
use super::id::{GrantKey, ProductName, UserId};
use super::rules::union;
use super::time::{End, Instant};

/// A half-open stretch of time `[from, to)` in which a grant's standing, the blocks on its holder and the access of its
/// parent stay the same. Everything a decision needs to know of the grant.
///
/// Users and products are named by their ids, or by whatever tells them apart where they are looked at: an index that is filled
/// does without the text of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment<User = UserId, Product = ProductName> {
    /// The first instant.
    pub from: Instant,
    /// The first instant after it.
    pub to: End,
    /// How the grant stands.
    pub phase: Phase<User, Product>,
}

/// How a grant stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase<User = UserId, Product = ProductName> {
    /// It has been given.
    Live(LivePhase<User, Product>),
    /// It was revoked or has ended.
    Over {
        /// What ended it.
        how: How,
        /// Who held it at last; a grant never given has none.
        holder: Option<User>,
    },
}

/// A given grant in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivePhase<User = UserId, Product = ProductName> {
    /// Who holds it.
    pub user: User,
    /// What it gives.
    pub product: Product,
    /// Access begins here, at the earliest.
    pub start: Instant,
    /// From here on access is by grace.
    pub paid_until: End,
    /// Access ends here, at the latest.
    pub end: End,
    /// Whether it will not renew.
    pub cancelled: bool,
    /// Whether a block stands, on the grant or on its holder.
    pub suspended: bool,
    /// Whether it has a parent that gives no access.
    pub parent_ended: bool,
}

impl<User, Product> Segment<User, Product> {
    /// Who holds the grant here, or held it at last.
    pub fn holder(&self) -> Option<&User> {
        match &self.phase {
            Phase::Live(live) => Some(&live.user),
            Phase::Over { holder, .. } => holder.as_ref(),
        }
    }

    /// What the grant gives here, were it not for blocks and its parent.
    pub fn product(&self) -> Option<&Product> {
        match &self.phase {
            Phase::Live(live) => Some(&live.product),
            Phase::Over { .. } => None,
        }
    }

    /// When the grant would give access here, were it not for blocks and its parent.
    pub fn term(&self) -> Option<(&LivePhase<User, Product>, Instant, End)> {
        let Phase::Live(live) = &self.phase else {
            return None;
        };
        let start = self.from.max(live.start);
        let end = self.to.min(live.end);
        end.is_after(start).then_some((live, start, end))
    }

    /// When the grant gives access here.
    pub fn access(&self) -> Option<(&LivePhase<User, Product>, Instant, End)> {
        self.term().filter(|(live, ..)| !live.is_withheld())
    }
}

/// A half-open stretch of time in which a grant gives its user its product.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first instant of access.
    pub start: Instant,
    /// The first instant without; `null` = unlimited.
    pub end: End,
    /// Who has access.
    pub user: UserId,
    /// What is given.
    pub product: ProductName,
}

/// When a parent gives its own holder access, and whether it names a parent itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentAccess {
    /// Sorted, disjoint intervals that do not touch.
    intervals: Vec<(Instant, End)>,
    /// Whether the parent ever names a parent, which is not looked at.
    pub is_nested: bool,
}

impl ParentAccess {
    /// The access of the grant of that history, with the blocks on its holders; its own parent is not looked at.
    pub fn of(history: &[Span], blocks: &BTreeMap<UserId, BlockHistory>) -> Self {
        let mut is_nested = false;
        let orphaned: Vec<Span> = history
            .iter()
            .cloned()
            .map(|mut span| {
                if let Standing::Live(live) = &mut span.standing {
                    is_nested |= live.parent.take().is_some();
                }
                span
            })
            .collect();
        let mut intervals: Vec<(Instant, End)> = segments(&orphaned, blocks, &BTreeMap::new())
            .iter()
            .filter_map(|segment| segment.access().map(|(_, start, end)| (start, end)))
            .collect();
        intervals.sort_unstable();
        Self {
            intervals: union(intervals),
            is_nested,
        }
    }

    fn covers(&self, at: Instant) -> bool {
        let begun = self.intervals.partition_point(|(start, _)| *start <= at);
        begun
            .checked_sub(1)
            .and_then(|last| self.intervals.get(last))
            .is_some_and(|(_, end)| end.is_after(at))
    }

    fn boundaries(&self) -> impl Iterator<Item = Instant> + '_ {
        self.intervals
            .iter()
            .flat_map(|(start, end)| [Some(*start), end.instant()])
            .flatten()
    }
}

/// Cuts a grant's history into segments.
///
/// `blocks` holds the statements about each holder in the grant's source, `parents` the access of each parent named; a
/// parent that is missing from it gives no access.
pub fn segments(
    history: &[Span],
    blocks: &BTreeMap<UserId, BlockHistory>,
    parents: &BTreeMap<GrantKey, ParentAccess>,
) -> Vec<Segment> {
    let mut segments = Vec::with_capacity(history.len());
    cut(&mut segments, history, blocks, parents);
    segments
}

/// Adds to the segments of a history those of the spans that come after it, where neither blocks on holders nor parents play a
/// part: what comes later then alters only until when the last one reaches.
pub fn add_segments(segments: &mut Vec<Segment>, later: &[Span]) {
    if let (Some(last), Some(next)) = (segments.last_mut(), later.first()) {
        last.to = last.to.min(End::At(next.from));
    }
    cut(segments, later, &BTreeMap::new(), &BTreeMap::new());
}

fn cut(
    segments: &mut Vec<Segment>,
    history: &[Span],
    blocks: &BTreeMap<UserId, BlockHistory>,
    parents: &BTreeMap<GrantKey, ParentAccess>,
) {
    let mut push = |from, to, phase: Phase| match segments.last_mut() {
        Some(last) if last.to == End::At(from) && last.phase == phase => last.to = to,
        Some(_) | None => segments.push(Segment { from, to, phase }),
    };
    let ends = history.iter().skip(1).map(|span| End::At(span.from));
    for (span, to) in history.iter().zip(ends.chain([End::Never])) {
        match &span.standing {
            Standing::Absent => {}
            Standing::Over { how, holder } => {
                let (how, holder) = (*how, holder.clone());
                push(span.from, to, Phase::Over { how, holder });
            }
            Standing::Live(live) => {
                let on_holder = blocks.get(&live.user);
                let parent = live.parent.as_ref().map(|key| parents.get(key));
                let cuts = cuts(span.from, to, on_holder, parent.flatten());
                let mut from = span.from;
                for cut in cuts.iter().copied().map(Some).chain([None]) {
                    let suspended =
                        live.blocked || on_holder.is_some_and(|blocks| blocks.blocks_at(from));
                    let parent_ended = parent
                        .is_some_and(|parent| !parent.is_some_and(|access| access.covers(from)));
                    let phase = Phase::Live(live.phase(suspended, parent_ended));
                    push(from, cut.map_or(to, End::At), phase);
                    from = cut.unwrap_or(from);
                }
            }
        }
    }
}

impl<User, Product> LivePhase<User, Product> {
    /// Whether a block or the parent keeps what is given from being access.
    pub(crate) fn is_withheld(&self) -> bool {
        self.suspended || self.parent_ended
    }
}

impl LiveStanding {
    fn phase(&self, suspended: bool, parent_ended: bool) -> LivePhase {
        LivePhase {
            user: self.user.clone(),
            product: self.product.clone(),
            start: self.start,
            paid_until: self.paid_until,
            end: self.end,
            cancelled: self.cancelled,
            suspended,
            parent_ended,
        }
    }
}

/// The instants within `[from, to)` at which a block on the holder or the access of the parent may change; mostly none.
fn cuts(
    from: Instant,
    to: End,
    blocks: Option<&BlockHistory>,
    parent: Option<&ParentAccess>,
) -> Vec<Instant> {
    let block_changes = blocks.into_iter().flat_map(BlockHistory::changes);
    let parent_changes = parent.into_iter().flat_map(ParentAccess::boundaries);
    let mut cuts: Vec<Instant> = block_changes
        .chain(parent_changes)
        .filter(|cut| *cut > from && to.is_after(*cut))
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// The windows of a grant: sorted, disjoint, not empty; access that goes on unchanged is one window.
pub fn windows(segments: &[Segment]) -> Vec<Window> {
    let windows = each_window(segments).map(|(live, start, end)| Window {
        start,
        end,
        user: live.user.clone(),
        product: live.product.clone(),
    });
    windows.collect()
}

/// The same one after the other, each as what the grant gives first in it, its start and its end.
pub(crate) fn each_window(
    segments: &[Segment],
) -> impl Iterator<Item = (&LivePhase, Instant, End)> {
    let mut accesses = segments.iter().filter_map(Segment::access).peekable();
    std::iter::from_fn(move || {
        let (live, start, mut end) = accesses.next()?;
        while let Some((_, _, further)) = accesses.next_if(|(next, from, _)| {
            End::At(*from) == end && next.user == live.user && next.product == live.product
        }) {
            end = further;
        }
        Some((live, start, end))
    })
}
