//! What in a rules file is allowed and yet probably not what was meant.

use std::collections::{BTreeMap, BTreeSet};

use tenure::{Include, ProductName, ResourceName};

/// An entry of `includes`, with the line it stands on.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) product: ProductName,
    pub(crate) include: Include,
    pub(crate) line: usize,
}

/// The entries of each product, in the order of the file.
type Products<'a> = BTreeMap<&'a str, Vec<&'a Written>>;

/// How many products of a circle are named.
const NAMED: usize = 5;

/// The remarks on all entries, each with its line, in the order of the file.
pub(crate) fn remarks(written: &[Written]) -> Vec<(usize, String)> {
    let mut products = Products::new();
    for it in written {
        products.entry(it.product.as_str()).or_default().push(it);
    }
    let mut remarks = Vec::new();
    for own in products.values() {
        for (place, it) in own.iter().enumerate() {
            remarks.extend(remark(it, own, place, &products).map(|remark| (it.line, remark)));
        }
    }
    remarks.extend(circles(&products));
    remarks.sort();
    remarks
}

/// A remark on the entry at `place` of its product's `own` entries.
fn remark(it: &Written, own: &[&Written], place: usize, products: &Products<'_>) -> Option<String> {
    let Written {
        product, include, ..
    } = it;
    let name = &include.name;
    if name.as_str() == product.as_str() {
        return Some(format!("`{product}` includes itself without being told"));
    }
    let covers = |(other_place, other): &(usize, &&Written)| {
        // Of two that say the same, the later is the one too many.
        let is_same = other.include == *include;
        *other_place != place
            && (!is_same || *other_place < place)
            && names(&other.include.name, name)
            && lasts(&other.include, include)
    };
    if let Some((_, other)) = own.iter().enumerate().find(covers) {
        return Some(format!(
            "`{product}` includes `{name}` already by `{}` on line {}",
            other.include.name, other.line
        ));
    }
    let missing = products.get(name.as_str())?.iter().find(|other| {
        let theirs = &other.include.name;
        theirs.as_str() != product.as_str()
            && !own.iter().any(|mine| names(&mine.include.name, theirs))
    })?;
    Some(format!(
        "`{product}` includes `{name}` and not what that includes, as `{}`: includes are not transitive",
        missing.include.name
    ))
}

/// Whether everything `name` names is named by `by`.
fn names(by: &ResourceName, name: &ResourceName) -> bool {
    match by.as_str().strip_suffix('*') {
        Some(prefix) => name.as_str().starts_with(prefix),
        None => by == name,
    }
}

/// Whether `longer` holds whenever `include` does.
fn lasts(longer: &Include, include: &Include) -> bool {
    let begins = longer
        .from
        .is_none_or(|from| include.from.is_some_and(|it| it >= from));
    let ends = longer
        .until
        .is_none_or(|until| include.until.is_some_and(|it| it <= until));
    begins && ends
}

/// Products that include each other in a circle, each circle once.
fn circles(products: &Products<'_>) -> Vec<(usize, String)> {
    let mut found = BTreeSet::new();
    for (first, entries) in products {
        for entry in entries {
            let Some(circle) = back_to(first, entry.include.name.as_str(), products) else {
                continue;
            };
            // Told at the smallest of its products; one that includes itself was told of already.
            let is_itself = entry.include.name.as_str() == *first;
            if !is_itself && circle.iter().min() == Some(first) {
                let names = circle.iter().take(NAMED).map(|name| format!("`{name}`"));
                let names: Vec<String> = names.collect();
                let more = match circle.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let message = format!(
                    "products {}{more} include each other in a circle: includes are not transitive, each gives what it \
                     names itself",
                    names.join(", ")
                );
                found.insert((entry.line, message));
            }
        }
    }
    found.into_iter().collect()
}

/// The products on the shortest way from `first` over `second` back to `first`.
fn back_to<'a>(first: &'a str, second: &'a str, products: &Products<'a>) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::from([second]);
    let mut ways = vec![vec![first, second]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = way.last().copied()?;
            for entry in products.get(last).into_iter().flatten() {
                let next = entry.include.name.as_str();
                if next == first {
                    return Some(way);
                }
                if seen.insert(next) {
                    longer.push(way.iter().copied().chain([next]).collect());
                }
            }
        }
        ways = longer;
    }
    None
}
