//! Which products include a resource besides the one of its own name, by the rules.

use std::collections::BTreeSet;

use super::key::{Key, Keys};
use crate::domain::id::{ProductName, ResourceName};
use crate::domain::rules::{Inclusion, Rules};

/// A product that includes a resource.
#[derive(Clone, Debug)]
pub(super) struct Including {
    pub(super) product: Key,
    /// When; `None`: always.
    pub(super) inclusion: Option<Inclusion>,
}

/// The includes of the rules, to be found by resource.
///
/// Two resources that the rules do not name themselves are included by the same products if the longest prefix of the rules
/// that they begin with is the same. So there is a list for each name and each prefix, and nothing to work out when asked.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    named: Vec<(Key, Vec<Including>)>,
    /// Where in `named` a key is, counted from 1: at the place that its first bits say, or a few further on. At least every
    /// other place is 0, which stands for none.
    places: Vec<usize>,
    /// Sorted by text.
    prefixes: Vec<Prefix>,
}

#[derive(Debug)]
struct Prefix {
    text: Box<str>,
    /// The longest other prefix that this one begins with.
    shorter: Option<usize>,
    including: Vec<Including>,
}

impl Catalog {
    pub(super) fn new(rules: &Rules, keys: &Keys) -> Self {
        let includes = rules.products.values().flat_map(|it| &it.includes);
        let names: BTreeSet<&ResourceName> = includes.map(|include| &include.name).collect();
        let list = |inclusion: &dyn Fn(&ProductName) -> Inclusion| {
            let products = rules.products.keys();
            let including = products.map(|product| (product, inclusion(product)));
            let including = including.filter(|(_, inclusion)| !inclusion.is_never());
            let including = including.map(|(product, inclusion)| Including {
                product: keys.name(product.as_str()),
                inclusion: Some(inclusion).filter(|it| *it != Inclusion::always()),
            });
            including.collect::<Vec<Including>>()
        };
        let mut catalog = Self::default();
        let mut prefixes = BTreeSet::new();
        for name in names {
            match name.as_str().strip_suffix('*') {
                Some(prefix) => {
                    prefixes.insert(prefix);
                }
                None => {
                    let mut including = list(&|product| rules.inclusion(product, name));
                    let own = keys.name(name.as_str());
                    including.retain(|it| it.product != own);
                    catalog.named.push((own, including));
                }
            }
        }
        catalog.place_names();
        for prefix in prefixes {
            catalog.prefixes.push(Prefix {
                text: prefix.into(),
                shorter: catalog.longest_prefix(prefix),
                including: list(&|product| rules.prefix_inclusion(product, prefix)),
            });
        }
        catalog
    }

    /// The products that include the resource at some time. The one of its own name, which always does, may be among them.
    pub(super) fn including(&self, resource: &str, key: Key) -> &[Including] {
        // The rules of many say nothing of products.
        if self.named.is_empty() && self.prefixes.is_empty() {
            return &[];
        }
        if let Some(including) = self.named(key) {
            return including;
        }
        self.longest_prefix(resource)
            .and_then(|place| self.prefixes.get(place))
            .map_or(&[], |prefix| &prefix.including)
    }

    fn place_names(&mut self) {
        self.places = vec![0; self.named.len().saturating_mul(2).next_power_of_two()];
        for (number, (key, _)) in (1..).zip(&self.named) {
            let free = first_place(*key, self.places.len());
            let (before, from) = self.places.split_at_mut(free);
            let mut places = from.iter_mut().chain(before);
            if let Some(place) = places.find(|place| **place == 0) {
                *place = number;
            }
        }
    }

    fn named(&self, key: Key) -> Option<&[Including]> {
        let (before, from) = self
            .places
            .split_at_checked(first_place(key, self.places.len()))?;
        let numbers = from.iter().chain(before);
        for place in numbers.map_while(|number| number.checked_sub(1)) {
            match self.named.get(place) {
                Some((held, including)) if *held == key => return Some(including),
                Some(_) | None => {}
            }
        }
        None
    }

    /// The place of the longest prefix that the text begins with.
    fn longest_prefix(&self, text: &str) -> Option<usize> {
        // Every prefix of the text sorts before it, and whatever sorts between the two begins with that prefix as well.
        let sorted_before = self.prefixes.partition_point(|it| *it.text <= *text);
        let mut place = sorted_before.checked_sub(1);
        while let Some(prefix) = place.and_then(|place| self.prefixes.get(place)) {
            if text.starts_with(&*prefix.text) {
                return place;
            }
            place = prefix.shorter;
        }
        None
    }
}

/// Of so many places, a power of two.
fn first_place(key: Key, places: usize) -> usize {
    let mask = u64::try_from(places.saturating_sub(1)).unwrap_or_default();
    usize::try_from(key.low & mask).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails panics")]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_is_found() {
        let rules: Rules = serde_json::from_str(
            r#"{"products": {"a": {"includes": ["*", "news/sport/*", "news/!x"]},
                "b": {"includes": ["news/*", "news/sport"]}, "news/sport": {}}}"#,
        )
        .unwrap();
        let keys = Keys::from_seed(1);
        let catalog = Catalog::new(&rules, &keys);
        let products = |resource: &str| {
            let found = catalog.including(resource, keys.name(resource)).iter();
            let found = found.map(|it| ["a", "b"].into_iter().find(|p| keys.name(p) == it.product));
            found.map(Option::unwrap).collect::<String>()
        };
        assert_eq!(products("anything"), "a");
        assert_eq!(products("news/today"), "ab");
        assert_eq!(products("news/sport"), "ab");
        assert_eq!(products("news/sport/x"), "ab");
        assert_eq!(products("news/!x"), "ab");
        assert_eq!(products("news"), "a");
    }
}
