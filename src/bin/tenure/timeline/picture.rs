//! What there is to draw, whatever it is drawn with.

use std::collections::BTreeSet;

use tenure::{End, Instant, Lane, LaneEvent, Part, PartKind, Timeline};

use super::range::Range;

/// The most events of a lane that are written out below a picture.
const MOST_EVENTS: usize = 12;

/// A timeline, the time of it that is shown, and what is marked in it.
pub(super) struct Picture<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) range: Range,
    pub(super) mark: Mark,
    /// Those that begin first come first.
    pub(super) lanes: Vec<Row<'a>>,
}

/// The instant from which everything is only expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: Instant,
    /// `now` or `as of`.
    pub(super) name: &'static str,
}

/// A lane as it is drawn.
pub(super) struct Row<'a> {
    pub(super) lane: &'a Lane,
    /// What the grant gives, one after the other.
    pub(super) product: String,
    /// The parts in the range.
    pub(super) spans: Vec<Span<'a>>,
    /// The events in the range.
    pub(super) events: Vec<&'a LaneEvent>,
}

/// A part and what it looks like.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) part: &'a Part,
    pub(super) look: Look,
}

/// What a part looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    Active,
    Grace,
    Suspended,
    ParentEnded,
    /// Whatever it is, it is another person's.
    Elsewhere,
}

impl Look {
    fn of(part: &Part, timeline: &Timeline) -> Self {
        if !timeline.linked.contains(&part.user) {
            return Self::Elsewhere;
        }
        match part.kind {
            PartKind::Active => Self::Active,
            PartKind::Grace => Self::Grace,
            PartKind::Suspended => Self::Suspended,
            PartKind::ParentEnded => Self::ParentEnded,
        }
    }

    /// What it means.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Active => "access",
            Self::Grace => "grace",
            Self::Suspended => "suspended",
            Self::ParentEnded => "parent gives none",
            Self::Elsewhere => "held by another",
        }
    }
}

/// Events that fall into one place of a picture.
pub(super) struct Group<'a> {
    pub(super) place: i128,
    /// Counted from 1 in the lane.
    pub(super) number: usize,
    pub(super) events: Vec<&'a LaneEvent>,
}

/// What is written out below a picture of the events of one lane.
pub(super) struct Written<'a> {
    /// With the number of their group.
    pub(super) events: Vec<(usize, &'a LaneEvent)>,
    /// Earlier ones in the picture that are not written out.
    pub(super) earlier: usize,
    /// Those that lie outside the picture.
    pub(super) outside: usize,
}

impl<'a> Picture<'a> {
    pub(super) fn new(timeline: &'a Timeline, range: Range, mark: Mark) -> Self {
        let mut lanes: Vec<Row<'a>> = timeline
            .lanes
            .iter()
            .map(|lane| Row::new(lane, timeline, range))
            .collect();
        lanes.sort_by_key(|row| {
            let begun = row.lane.parts.first().map(|part| part.start);
            let happened = row.lane.events.first().map(|event| event.effective_at.0);
            (begun.or(happened), begun.is_none())
        });
        Self {
            timeline,
            range,
            mark,
            lanes,
        }
    }

    /// The looks that occur.
    pub(super) fn looks(&self) -> BTreeSet<Look> {
        let spans = self.lanes.iter().flat_map(|row| &row.spans);
        spans.map(|span| span.look).collect()
    }

    /// Whether anything goes on after the end of the picture.
    pub(super) fn goes_on(&self) -> bool {
        self.lanes.iter().any(|row| row.goes_on(self.range))
    }

    /// The person's ids besides the one asked for.
    pub(super) fn others(&self) -> Vec<&'a str> {
        let linked = self.timeline.linked.iter();
        linked
            .filter(|id| **id != self.timeline.user)
            .map(|id| id.as_str())
            .collect()
    }
}

impl<'a> Row<'a> {
    fn new(lane: &'a Lane, timeline: &Timeline, range: Range) -> Self {
        let is_shown = |part: &&Part| part.start < range.to && part.end > End::At(range.from);
        let spans = lane.parts.iter().filter(is_shown).map(|part| Span {
            part,
            look: Look::of(part, timeline),
        });
        let is_in_range = |event: &&LaneEvent| range.contains(event.effective_at.0);
        Self {
            lane,
            product: product(lane),
            spans: spans.collect(),
            events: lane.events.iter().filter(is_in_range).collect(),
        }
    }

    pub(super) fn goes_on(&self, range: Range) -> bool {
        let last = self.spans.last();
        last.is_some_and(|span| span.part.end > End::At(range.to))
    }

    pub(super) fn has_begun_before(&self, range: Range) -> bool {
        let first = self.spans.first();
        first.is_some_and(|span| span.part.start < range.from)
    }

    /// The events, those that would lie on each other together, where a picture is that wide and a place takes so much.
    pub(super) fn groups(&self, range: Range, width: i128, place: i128) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for event in &self.events {
            let at = range.place(event.effective_at.0.micros(), width);
            match groups.last_mut() {
                Some(last) if at - last.place < place => last.events.push(event),
                Some(_) | None => groups.push(Group {
                    place: at,
                    number: groups.len() + 1,
                    events: vec![event],
                }),
            }
        }
        groups
    }

    /// The latest events, as many as are written out.
    pub(super) fn written(&self, groups: &[Group<'a>]) -> Written<'a> {
        let of_group = |group: &Group<'a>| {
            let number = group.number;
            let events = group.events.iter().map(move |event| (number, *event));
            events.collect::<Vec<_>>()
        };
        let all: Vec<_> = groups.iter().flat_map(of_group).collect();
        let earlier = all.len().saturating_sub(MOST_EVENTS);
        Written {
            events: all.into_iter().skip(earlier).collect(),
            earlier,
            outside: self.lane.events.len() - self.events.len(),
        }
    }
}

/// What a grant gives, or would have given, one after the other.
fn product(lane: &Lane) -> String {
    let mut names: Vec<&str> = lane
        .parts
        .iter()
        .map(|part| part.product.as_str())
        .collect();
    if names.is_empty() {
        let stated = lane
            .events
            .iter()
            .filter_map(|event| event.effect.after.product.as_ref());
        names.extend(stated.map(|product| product.as_str()));
    }
    names.dedup();
    if names.is_empty() {
        return "-".to_owned();
    }
    names.join(" > ")
}
