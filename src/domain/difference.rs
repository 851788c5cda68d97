//! What other rules would change: who gains or loses which resource, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::id::{ProductName, ResourceName, SourceName};
use super::rules::{Inclusion, Rules, SourceRules, union};
use super::time::{End, Instant};

/// A product held over `[start, end)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The product.
    pub product: ProductName,
    /// The first instant.
    pub start: Instant,
    /// The first instant after.
    pub end: End,
}

/// Access to a resource that is there under one version of the rules and not under the other, over `[start, end)`.
///
/// A prefix, as `news/*`, stands for every resource that begins so and is not named itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessChange {
    /// The resource, or all that begin alike.
    pub resource: ResourceName,
    /// The first instant of the difference.
    pub start: Instant,
    /// The first instant after it.
    pub end: End,
    /// Whether access is gained or lost.
    pub direction: Direction,
}

/// Whether access is gained or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// There was none.
    Gains,
    /// There will be none.
    Loses,
}

/// Two versions of the rules, to be held against what people hold.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The rules that are in force.
    pub before: &'a Rules,
    /// Those that would be.
    pub after: &'a Rules,
    /// The sources whose grants fold differently.
    pub altered_sources: BTreeSet<SourceName>,
    /// Every resource and prefix that either version names. Access to any other resource changes as that to the longest
    /// prefix it begins with.
    named: BTreeSet<ResourceName>,
    /// What each product with rules includes of these. Any other product includes itself only.
    reach: BTreeMap<&'a ProductName, Vec<Reached>>,
}

/// A resource that a product includes at some time under either version.
#[derive(Debug)]
struct Reached {
    resource: ResourceName,
    before: Inclusion,
    after: Inclusion,
}

/// When a resource can be reached, by what is held before and after.
#[derive(Default)]
struct Reach {
    before: Vec<(Instant, End)>,
    after: Vec<(Instant, End)>,
}

/// The sources whose grants fold differently.
pub fn altered_sources(before: &Rules, after: &Rules) -> BTreeSet<SourceName> {
    let named = before.sources.keys().chain(after.sources.keys());
    named
        .filter(|name| !before.policy(name).folds_as(&after.policy(name)))
        .cloned()
        .collect()
}

impl<'a> Comparison<'a> {
    /// Compares `after` with `before`.
    pub fn new(before: &'a Rules, after: &'a Rules) -> Self {
        let of = |rules: &'a Rules| {
            let products = rules.products.keys().map(ResourceName::from);
            let includes = rules.products.values().flat_map(|it| &it.includes);
            products.chain(includes.map(|include| include.name.clone()))
        };
        let named: BTreeSet<ResourceName> = of(before).chain(of(after)).collect();
        let sorted: Vec<&ResourceName> = named.iter().collect();
        let products: BTreeSet<&ProductName> = before
            .products
            .keys()
            .chain(after.products.keys())
            .collect();
        let reached = |product: &'a ProductName| {
            let reached = touched(&sorted, [before, after], product).into_iter();
            let reached = reached.map(|resource| Reached {
                before: before.inclusion(product, &resource),
                after: after.inclusion(product, &resource),
                resource,
            });
            (product, reached.collect())
        };
        Self {
            before,
            after,
            altered_sources: altered_sources(before, after),
            reach: products.into_iter().map(reached).collect(),
            named,
        }
    }

    /// Whether anything can change for anyone.
    pub fn alters_nothing(&self) -> bool {
        self.altered_sources.is_empty() && !self.alters_products()
    }

    /// Whether some product includes something else.
    pub fn alters_products(&self) -> bool {
        let named = self
            .before
            .products
            .keys()
            .chain(self.after.products.keys());
        named.into_iter().any(|product| self.alters(product))
    }

    /// Whether the product includes something else.
    pub fn alters(&self, product: &ProductName) -> bool {
        let includes = |rules: &'a Rules| rules.products.get(product).map(|it| &it.includes[..]);
        includes(self.before).unwrap_or_default() != includes(self.after).unwrap_or_default()
    }

    /// What changes for one person who holds `before` under the rules before and `after` under those after; sorted.
    pub fn changes(&self, before: &[Held], after: &[Held]) -> Vec<AccessChange> {
        let mut held = before.iter().chain(after).map(|held| &held.product);
        if before == after && !held.any(|product| self.alters(product)) {
            return Vec::new();
        }
        let mut reaches: BTreeMap<ResourceName, Reach> = BTreeMap::new();
        for held in before {
            self.reach(held, &mut reaches, |reach, it| {
                reach.before.extend(it.before.within(held.start, held.end));
            });
        }
        for held in after {
            self.reach(held, &mut reaches, |reach, it| {
                reach.after.extend(it.after.within(held.start, held.end));
            });
        }
        self.reach_unnamed(before, after, &mut reaches);
        let changes = reaches
            .into_iter()
            .flat_map(|(resource, reach)| reach.changes(&resource));
        let mut changes: Vec<AccessChange> = changes.collect();
        changes.sort_unstable();
        changes
    }

    fn reach(
        &self,
        held: &Held,
        reaches: &mut BTreeMap<ResourceName, Reach>,
        mut add: impl FnMut(&mut Reach, &Reached),
    ) {
        if let Some(reached) = self.reach.get(&held.product) {
            for it in reached {
                add(reaches.entry(it.resource.clone()).or_default(), it);
            }
            return;
        }
        let own = Reached {
            resource: ResourceName::from(&held.product),
            before: Inclusion::always(),
            after: Inclusion::always(),
        };
        add(reaches.entry(own.resource.clone()).or_default(), &own);
    }

    /// A product that no version names is a resource all the same, and a prefix of another product may include it.
    fn reach_unnamed(
        &self,
        before: &[Held],
        after: &[Held],
        reaches: &mut BTreeMap<ResourceName, Reach>,
    ) {
        let held = before.iter().chain(after);
        let unnamed: BTreeSet<ResourceName> = held
            .map(|held| ResourceName::from(&held.product))
            .filter(|own| !self.named.contains(own))
            .collect();
        for resource in unnamed {
            let others = |held: &&Held| held.product.as_str() != resource.as_str();
            let Some(reach) = reaches.get_mut(&resource) else {
                continue;
            };
            for held in before.iter().filter(others) {
                let inclusion = self.before.inclusion(&held.product, &resource);
                reach.before.extend(inclusion.within(held.start, held.end));
            }
            for held in after.iter().filter(others) {
                let inclusion = self.after.inclusion(&held.product, &resource);
                reach.after.extend(inclusion.within(held.start, held.end));
            }
        }
    }
}

/// The named resources that a product includes at some time under one of the versions. Names that begin alike stand
/// together, so a prefix finds its own without a walk through all.
fn touched(
    sorted: &[&ResourceName],
    versions: [&Rules; 2],
    product: &ProductName,
) -> BTreeSet<ResourceName> {
    let mut touched = BTreeSet::from([ResourceName::from(product)]);
    let rules = versions
        .into_iter()
        .filter_map(|it| it.products.get(product));
    for include in rules.flat_map(|rules| &rules.includes) {
        match include.name.as_str().strip_suffix('*') {
            None => {
                touched.insert(include.name.clone());
            }
            Some(prefix) => {
                let first = sorted.partition_point(|name| name.as_str() < prefix);
                let begins = |name: &&&ResourceName| name.as_str().starts_with(prefix);
                let from_there = sorted.iter().skip(first);
                touched.extend(from_there.take_while(begins).copied().cloned());
            }
        }
    }
    touched
}

impl Reach {
    fn changes(mut self, resource: &ResourceName) -> Vec<AccessChange> {
        self.before.sort_unstable();
        self.after.sort_unstable();
        let (before, after) = (union(self.before), union(self.after));
        if before == after {
            return Vec::new();
        }
        let change = |direction| {
            move |(start, end)| AccessChange {
                resource: resource.clone(),
                start,
                end,
                direction,
            }
        };
        let gains = without(&after, &before)
            .into_iter()
            .map(change(Direction::Gains));
        let losses = without(&before, &after)
            .into_iter()
            .map(change(Direction::Loses));
        gains.chain(losses).collect()
    }
}

/// The parts of `intervals` that `taken` does not cover. Both are sorted and disjoint.
fn without(intervals: &[(Instant, End)], taken: &[(Instant, End)]) -> Vec<(Instant, End)> {
    let mut left = Vec::new();
    let mut taken = taken.iter().peekable();
    for (start, end) in intervals {
        let mut start = *start;
        while taken.next_if(|(_, until)| !until.is_after(start)).is_some() {}
        let mut ahead = taken.clone();
        loop {
            match ahead.peek() {
                Some((from, until)) if end.is_after(*from) => {
                    if *from > start {
                        left.push((start, End::At(*from)));
                    }
                    match until {
                        End::At(until) if end.is_after(*until) => start = *until,
                        End::At(_) | End::Never => break,
                    }
                    ahead.next();
                }
                Some(_) | None => {
                    left.push((start, *end));
                    break;
                }
            }
        }
    }
    left
}

/// Something about a change of rules that is worth a look, besides who gains and loses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RulesNote {
    /// A source is no longer configured.
    SourceGone(SourceName),
    /// A source reads another system.
    ProviderChanged(SourceName),
    /// How a source's deliveries are read is changed, by this key.
    ReadingChanged(SourceName, &'static str),
    /// A product is no longer configured.
    ProductGone(ProductName),
    /// The period of a product is changed.
    PeriodChanged(ProductName),
}

impl fmt::Display for RulesNote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceGone(source) => write!(
                out,
                "source `{source}` is gone: its deliveries are refused from then on, its grants stay as they are"
            ),
            Self::ProviderChanged(source) => write!(
                out,
                "source `{source}` has another provider: what was read before stays as it was read"
            ),
            Self::ReadingChanged(source, key) => write!(
                out,
                "`{key}` of source `{source}` is changed: it holds for deliveries from then on; what was read before \
                 stays as it was read"
            ),
            Self::ProductGone(product) => write!(
                out,
                "product `{product}` is gone: its holders keep `{product}` itself and nothing it included"
            ),
            Self::PeriodChanged(product) => write!(
                out,
                "`period` of product `{product}` is changed: it holds for deliveries from then on"
            ),
        }
    }
}

/// What about the change from `before` to `after` is worth a look, besides who gains and loses; sorted. Whether a source is
/// gone depends on what was received, so it is not among them.
pub fn notes(before: &Rules, after: &Rules) -> Vec<RulesNote> {
    let mut notes = Vec::new();
    for (name, old) in &before.sources {
        if let Some(new) = after.sources.get(name) {
            notes.extend(reading_notes(name, old, new));
        }
    }
    for (name, old) in &before.products {
        let new = after.products.get(name);
        if new.is_none() {
            notes.push(RulesNote::ProductGone(name.clone()));
        } else if new.and_then(|new| new.period) != old.period {
            notes.push(RulesNote::PeriodChanged(name.clone()));
        }
    }
    notes.sort_unstable();
    notes
}

fn reading_notes(name: &SourceName, old: &SourceRules, new: &SourceRules) -> Vec<RulesNote> {
    let reading = |key| RulesNote::ReadingChanged(name.clone(), key);
    let changed = [
        (old.tenant != new.tenant, reading("tenant")),
        (old.user_prefix != new.user_prefix, reading("user_prefix")),
        (
            old.policy.absent_expires != new.policy.absent_expires,
            reading("absent_expires"),
        ),
        (
            old.policy.member_plan != new.policy.member_plan,
            reading("member_plan"),
        ),
        (
            old.provider != new.provider,
            RulesNote::ProviderChanged(name.clone()),
        ),
    ];
    let notes = changed.into_iter().filter(|(is_changed, _)| *is_changed);
    notes.map(|(_, note)| note).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros).unwrap_or(Instant::EPOCH)
    }

    fn span((start, end): (i64, i64)) -> (Instant, End) {
        (
            at(start),
            if end < 0 {
                End::Never
            } else {
                End::At(at(end))
            },
        )
    }

    fn rules(text: &str) -> Rules {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn products_are_altered_by_what_they_include() {
        let with = |include: &str| {
            rules(&format!(
                r#"{{"products":{{"all":{{"includes":[{{"name":"{include}"}}]}}}}}}"#
            ))
        };
        let alters =
            |before: &Rules, after: &Rules| Comparison::new(before, after).alters_products();
        assert!(!alters(&with("news"), &with("news")));
        assert!(!alters(&Rules::default(), &Rules::default()));
        assert!(alters(&with("news"), &with("podcasts")));
        assert!(alters(&with("news"), &Rules::default()));
        assert!(alters(&Rules::default(), &with("news")));
    }

    #[test]
    fn what_is_read_otherwise_is_noted() {
        let with = |source: &str| rules(&format!(r#"{{"sources":{{"crm":{source}}}}}"#));
        let plain = with(r#"{"provider":"one"}"#);
        assert_eq!(notes(&plain, &plain), []);
        let noted = |source: &str| notes(&plain, &with(source)).len();
        assert_eq!(noted(r#"{"provider":"one","user_prefix":"x-"}"#), 1);
        assert_eq!(noted(r#"{"provider":"another"}"#), 1);
        let named: ProductName = "p".parse().unwrap();
        let products = rules(r#"{"products":{"p":{"period":"P1M"}}}"#);
        let gone = notes(&products, &Rules::default());
        assert_eq!(gone, [RulesNote::ProductGone(named.clone())]);
        let longer = rules(r#"{"products":{"p":{"period":"P1Y"}}}"#);
        assert_eq!(notes(&products, &longer), [RulesNote::PeriodChanged(named)]);
    }

    #[test]
    fn what_is_left_is_what_the_other_does_not_cover() {
        type Spans<'a> = &'a [(i64, i64)];
        let cases: [(Spans<'_>, Spans<'_>, Spans<'_>); 8] = [
            (&[(0, 10)], &[], &[(0, 10)]),
            (&[(0, 10)], &[(0, 10)], &[]),
            (&[(0, 10)], &[(2, 4), (6, 8)], &[(0, 2), (4, 6), (8, 10)]),
            (&[(0, 10)], &[(-5, 3), (9, 20)], &[(3, 9)]),
            (&[(0, 4), (6, 10)], &[(3, 7)], &[(0, 3), (7, 10)]),
            (&[(0, -1)], &[(5, 6)], &[(0, 5), (6, -1)]),
            (&[(0, -1)], &[(5, -1)], &[(0, 5)]),
            (&[(0, 5), (7, 9)], &[(5, 7)], &[(0, 5), (7, 9)]),
        ];
        for (intervals, taken, expected) in cases {
            let spans = |list: Spans<'_>| list.iter().copied().map(span).collect::<Vec<_>>();
            let left = without(&spans(intervals), &spans(taken));
            assert_eq!(left, spans(expected), "{intervals:?} without {taken:?}");
        }
    }
}
