//! The rules: what products include, and how each source wants its doubtful cases settled. A versioned value, recorded in
//! the log, so that an answer about the past is judged by the rules known then.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::id::{ProductName, ResourceName, SourceName};
use super::time::{End, Instant, Length, Period};

/// Sources and products by name.
///
/// ```
/// use tenure::Rules;
/// let rules: Rules = serde_json::from_str(r#"{"products": {"pro": {"includes": ["archive", "news/*"]}}}"#)?;
/// let included = rules.inclusion(&"pro".parse()?, &"news/today".parse()?);
/// assert!(included.covers("2026-01-01T00:00:00Z".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// The configured sources.
    pub sources: BTreeMap<SourceName, SourceRules>,
    /// The products that include more than their own name, or have a period.
    pub products: BTreeMap<ProductName, ProductRules>,
}

/// What holds for one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRules {
    /// The kind of system that speaks.
    pub provider: String,
    /// The tenant the deliveries must name; any, if absent.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Put before every user id of this source.
    #[serde(default)]
    pub user_prefix: String,
    /// How doubtful cases are settled.
    #[serde(default)]
    pub policy: Policy,
}

/// How a source wants doubtful cases settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// What a refund does to access.
    pub refund: RefundPolicy,
    /// How long access goes on after a paid period whose renewal failed; none if absent.
    pub payment_failed_grace: Option<Length>,
    /// How late a renewal without a stated end may come and still continue the paid period.
    pub renewal_leeway: Length,
    /// How long access goes on after each paid period of a renewing grant, for the payment's message to arrive.
    pub renewal_access: Length,
    /// What a missing end means where the system should have stated one.
    pub absent_expires: AbsentExpires,
    /// What membership gives, where the system knows members that have a plan.
    pub member_plan: MemberPlan,
}

impl Policy {
    /// Whether every history of a grant comes to the same under the other policy. What only concerns the reading of
    /// deliveries makes no difference: what was read stays as it was read.
    pub fn folds_as(&self, other: &Self) -> bool {
        self.refund == other.refund
            && self.payment_failed_grace == other.payment_failed_grace
            && self.renewal_leeway == other.renewal_leeway
            && self.renewal_access == other.renewal_access
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            refund: RefundPolicy::Revoke,
            payment_failed_grace: None,
            renewal_leeway: Length::days(3),
            renewal_access: Length::ZERO,
            absent_expires: AbsentExpires::Quarantine,
            member_plan: MemberPlan::Grant,
        }
    }
}

/// What a refund does to access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundPolicy {
    /// The refunded period gives no access.
    Revoke,
    /// Nothing: partial refunds cannot be told from whole ones.
    Ignore,
}

/// What a missing end means where the system should have stated one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsentExpires {
    /// The delivery is parked until a person has looked.
    Quarantine,
    /// Access without an end.
    Unlimited,
}

/// What membership gives, where the system knows members that have a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberPlan {
    /// The member's plan, whatever it is.
    #[default]
    Grant,
    /// Nothing: only subscriptions give access.
    Ignore,
    /// The member's plan, if it is one of these; the others have to be paid for.
    Plans(BTreeSet<ProductName>),
}

impl MemberPlan {
    /// Whether membership alone gives `plan`.
    pub fn gives(&self, plan: &ProductName) -> bool {
        match self {
            Self::Grant => true,
            Self::Ignore => false,
            Self::Plans(plans) => plans.contains(plan),
        }
    }
}

/// What holds for one product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProductRules {
    /// The resources included besides the product's own name. Not transitive.
    pub includes: Vec<Include>,
    /// The period of its subscriptions, for systems that state no end.
    pub period: Option<Period>,
}

/// A resource, or all that begin alike, included from an instant and until another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "IncludeForm")]
pub struct Include {
    /// An exact resource name, or a prefix followed by `*`: `news/*` is everything that begins with `news/`.
    pub name: ResourceName,
    /// From when on; always, if absent.
    pub from: Option<Instant>,
    /// Until when; for ever, if absent.
    pub until: Option<Instant>,
}

impl Include {
    fn matches(&self, resource: &ResourceName) -> bool {
        match self.name.as_str().strip_suffix('*') {
            Some(prefix) => resource.as_str().starts_with(prefix),
            None => self.name == *resource,
        }
    }
}

/// A bare name is an include without dates.
#[derive(Deserialize)]
#[serde(untagged)]
enum IncludeForm {
    Name(ResourceName),
    Dated(DatedInclude),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatedInclude {
    name: ResourceName,
    #[serde(default)]
    from: Option<Instant>,
    #[serde(default)]
    until: Option<Instant>,
}

impl From<IncludeForm> for Include {
    fn from(form: IncludeForm) -> Self {
        match form {
            IncludeForm::Name(name) => Self {
                name,
                from: None,
                until: None,
            },
            IncludeForm::Dated(DatedInclude { name, from, until }) => Self { name, from, until },
        }
    }
}

/// When a product includes a resource: sorted, disjoint, half-open intervals that do not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion(Cow<'static, [(Instant, End)]>);

/// What most products are asked about is their own name.
const ALWAYS: [(Instant, End); 1] = [(Instant::FIRST, End::Never)];

impl Inclusion {
    /// From the first instant on, without an end.
    pub fn always() -> Self {
        Self(Cow::Borrowed(&ALWAYS))
    }

    /// Whether `at` lies in one of the intervals.
    pub fn covers(&self, at: Instant) -> bool {
        self.0
            .iter()
            .any(|(start, end)| *start <= at && end.is_after(at))
    }

    /// Whether there is no interval at all.
    pub fn is_never(&self) -> bool {
        self.0.is_empty()
    }

    /// The instants at which inclusion begins or ends; always and for ever have none.
    pub fn bounds(&self) -> impl Iterator<Item = Instant> + '_ {
        let bounds = self
            .0
            .iter()
            .flat_map(|(start, end)| [Some(*start), end.instant()]);
        bounds.flatten().filter(|at| *at > Instant::FIRST)
    }

    /// The parts of `[start, end)` in which the product includes the resource, in order.
    pub fn within(&self, start: Instant, end: End) -> impl Iterator<Item = (Instant, End)> + '_ {
        self.0.iter().filter_map(move |(from, until)| {
            let part = (start.max(*from), end.min(*until));
            part.1.is_after(part.0).then_some(part)
        })
    }
}

impl Rules {
    /// When `product` includes `resource`. Its own name it always includes.
    pub fn inclusion(&self, product: &ProductName, resource: &ResourceName) -> Inclusion {
        if product.as_str() == resource.as_str() {
            return Inclusion::always();
        }
        self.inclusion_by(product, |include| include.matches(resource))
    }

    /// When `product` includes every resource that begins with `prefix`.
    pub(crate) fn prefix_inclusion(&self, product: &ProductName, prefix: &str) -> Inclusion {
        self.inclusion_by(product, |include| {
            let all_that_begins_with = include.name.as_str().strip_suffix('*');
            all_that_begins_with.is_some_and(|it| prefix.starts_with(it))
        })
    }

    /// Whether `product` includes `resource` at any time.
    pub fn ever_includes(&self, product: &str, resource: &ResourceName) -> bool {
        let is_own = product == resource.as_str();
        let listed = || self.products.get(product).map(|rules| &rules.includes);
        is_own || listed().is_some_and(|all| all.iter().any(|include| include.matches(resource)))
    }

    fn inclusion_by(
        &self,
        product: &ProductName,
        includes: impl Fn(&Include) -> bool,
    ) -> Inclusion {
        let all = self.products.get(product).map(|rules| &rules.includes);
        let mut intervals: Vec<(Instant, End)> = all
            .into_iter()
            .flatten()
            .filter(|include| includes(include))
            .map(|include| {
                let start = include.from.unwrap_or(Instant::FIRST);
                (start, include.until.map_or(End::Never, End::At))
            })
            .filter(|(start, end)| end.is_after(*start))
            .collect();
        intervals.sort_unstable();
        Inclusion(union(intervals).into())
    }

    /// The products that include `resource` at `at`, the one of its own name among them.
    pub fn products_with(&self, resource: &ResourceName, at: Instant) -> BTreeSet<ProductName> {
        let named = self.products.keys();
        let including = named.filter(|product| self.inclusion(product, resource).covers(at));
        let own = ProductName::new(resource.as_str()).ok();
        including.cloned().chain(own).collect()
    }

    /// The period of a product's subscriptions.
    pub fn period(&self, product: &ProductName) -> Option<Period> {
        self.products.get(product)?.period
    }

    /// How a source wants doubtful cases settled; an unknown one as by default.
    pub fn policy(&self, source: &SourceName) -> Policy {
        self.sources
            .get(source)
            .map(|rules| rules.policy.clone())
            .unwrap_or_default()
    }
}

/// Joins intervals, sorted by start, that overlap or touch.
pub(crate) fn union(mut sorted: Vec<(Instant, End)>) -> Vec<(Instant, End)> {
    sorted.dedup_by(|(start, end), (_, last)| {
        let goes_on = *last >= End::At(*start);
        if goes_on {
            *last = (*end).max(*last);
        }
        goes_on
    });
    sorted
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_fold_asks_for_makes_a_difference_and_nothing_else() {
        let policy = Policy::default();
        assert!(policy.folds_as(&policy));
        let others = [
            Policy {
                refund: RefundPolicy::Ignore,
                ..policy.clone()
            },
            Policy {
                payment_failed_grace: Some(Length::DAY),
                ..policy.clone()
            },
            Policy {
                renewal_leeway: Length::DAY,
                ..policy.clone()
            },
            Policy {
                renewal_access: Length::DAY,
                ..policy.clone()
            },
        ];
        for other in others {
            assert!(!policy.folds_as(&other), "{other:?}");
            assert!(!other.folds_as(&policy), "{other:?}");
        }
        let read_otherwise = Policy {
            member_plan: MemberPlan::Ignore,
            ..policy.clone()
        };
        assert!(policy.folds_as(&read_otherwise));
    }

    #[test]
    fn always_and_for_ever_are_no_bounds() {
        let at = |micros: i64| Instant::from_micros(micros).unwrap();
        let bounds = |inclusion: &Inclusion| inclusion.bounds().collect::<Vec<Instant>>();
        assert_eq!(bounds(&Inclusion::always()), []);
        let spans = [
            (Instant::FIRST, End::At(at(3))),
            (at(5), End::At(at(7))),
            (at(9), End::Never),
        ];
        let inclusion = Inclusion(spans.to_vec().into());
        assert_eq!(bounds(&inclusion), [at(3), at(5), at(7), at(9)]);
        let covered = |micros: i64| inclusion.covers(at(micros));
        assert_eq!(
            [2, 3, 5, 6, 7, 9].map(covered),
            [true, false, true, true, false, true]
        );
    }
}
