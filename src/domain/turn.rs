//! When the access of a person begins and ends.

use std::collections::BTreeMap;

use serde::Serialize;

use super::decision::Person;
use super::id::{ProductName, ResourceName, UserId};
use super::rules::{Inclusion, Rules, union};
use super::time::{End, Instant};
use super::window::{Window, windows};

/// Whether access begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// There was none before.
    Begins,
    /// There is none from here on.
    Ends,
}

impl Turn {
    /// The stored and shown name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Begins => "begins",
            Self::Ends => "ends",
        }
    }
}

/// Access to what is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To each product by itself, as windows give it: what products include plays no part.
    Products,
    /// To one resource, by whatever product includes it.
    Resource(ResourceName),
}

/// An instant at which the access of a person to a product or resource begins or ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonTurn {
    /// The instant: access begins with it, or has ended just before it.
    pub at: Instant,
    /// The smallest id of the person some window of which has a bound here. People who turn at one instant are sorted by it.
    pub holder: UserId,
    /// The resource, or the product by its own name.
    pub of: ResourceName,
    /// Whether access begins or ends.
    pub turn: Turn,
}

/// Every turn of a person, sorted. Access that goes on from one window to another does not turn.
pub fn turns(person: &Person, rules: &Rules, scope: &Scope) -> Vec<PersonTurn> {
    let mut access: BTreeMap<ResourceName, Vec<(Instant, End)>> = BTreeMap::new();
    let mut bounds = Bounds::default();
    let mut inclusions: BTreeMap<ProductName, Inclusion> = BTreeMap::new();
    for window in person.windows() {
        bounds.add(window.start, &window.user);
        if let End::At(end) = window.end {
            bounds.add(end, &window.user);
        }
        match scope {
            Scope::Products => {
                let own = access.entry((&window.product).into()).or_default();
                own.push((window.start, window.end));
            }
            Scope::Resource(resource) => {
                let inclusion = inclusions
                    .entry(window.product.clone())
                    .or_insert_with(|| rules.inclusion(&window.product, resource));
                let parts = access.entry(resource.clone()).or_default();
                for (start, end) in inclusion.within(window.start, window.end) {
                    parts.push((start, end));
                    bounds.add_inside(start, &window);
                    bounds.add_inside(end, &window);
                }
            }
        }
    }
    let mut turns: Vec<PersonTurn> = access
        .into_iter()
        .flat_map(|(of, spans)| bounds.turns(&of, spans))
        .collect();
    turns.sort_unstable();
    turns
}

/// The smallest holder of a window that has a bound at an instant.
#[derive(Default)]
struct Bounds(BTreeMap<Instant, UserId>);

impl Bounds {
    fn add(&mut self, at: Instant, holder: &UserId) {
        let smallest = self.0.entry(at).or_insert_with(|| holder.clone());
        if holder < smallest {
            *smallest = holder.clone();
        }
    }

    /// A date of the catalog that lies in the window.
    fn add_inside(&mut self, at: impl Into<End>, window: &Window) {
        if let End::At(at) = at.into()
            && window.start <= at
            && window.end.is_after(at)
        {
            self.add(at, &window.user);
        }
    }

    fn turns(&self, of: &ResourceName, mut spans: Vec<(Instant, End)>) -> Vec<PersonTurn> {
        spans.sort_unstable();
        let turn = |(at, turn): (Instant, Turn)| {
            Some(PersonTurn {
                at,
                holder: self.0.get(&at)?.clone(),
                of: of.clone(),
                turn,
            })
        };
        let spans = union(spans).into_iter();
        let bounds = spans.flat_map(|(start, end)| {
            let end = end.instant().map(|end| (end, Turn::Ends));
            [Some((start, Turn::Begins)), end].into_iter().flatten()
        });
        bounds.filter_map(turn).collect()
    }
}

impl Person {
    /// Every window that one of the person's ids holds.
    pub fn windows(&self) -> impl Iterator<Item = Window> + '_ {
        let all = self
            .grants
            .iter()
            .flat_map(|(_, segments)| windows(segments));
        all.filter(|window| self.ids.contains(&window.user))
    }
}
