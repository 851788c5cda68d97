//! What is said twice for one instant, and not the same.

use std::collections::BTreeMap;

use crate::domain::event::{Change, RecordedEvent, Statement};
use crate::domain::id::{BlockName, PeriodName, SourceName};

/// What the events of one instant said so far, by what later ones may contradict.
///
/// Of each topic only as many are kept as it takes to know whether another delivery said something else: however many
/// events speak of one instant, each is compared with a few.
#[derive(Default)]
pub(super) struct Said<'a>(BTreeMap<Topic<'a>, Vec<Saying<'a>>>);

/// A change and whose it is.
#[derive(Clone, Copy)]
struct Saying<'a> {
    recorded: &'a RecordedEvent,
    change: &'a Change,
}

/// What changes are compared by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Topic<'a> {
    /// It gives access.
    Gives,
    /// It goes on with a grant, which a cancellation does not.
    GoesOn,
    /// It lifts the block of that name.
    Lifts(BlockName),
    /// It pays for that period.
    Pays(Option<&'a PeriodName>),
    /// It is the change of that name.
    Is(&'static str),
}

/// At most two of those kept share their delivery, and at most two what they say; so three of this many share neither, and
/// whatever comes shares its delivery or what it says with at most two of the three.
const ENOUGH: usize = 5;

impl<'a> Said<'a> {
    /// Whether the event says the opposite or another value than an earlier one of another delivery. It is then one of the
    /// earlier ones itself.
    pub(super) fn is_contradicted_by(&mut self, recorded: &'a RecordedEvent) -> bool {
        let Statement::Grant(statement) = &recorded.event.statement else {
            return false;
        };
        let change = &statement.change;
        let saying = Saying { recorded, change };
        let against = topics_against(change, &recorded.key.source);
        let found = against
            .iter()
            .filter_map(|topic| self.0.get(topic))
            .any(|earlier| earlier.iter().any(|it| saying.contradicts(it)));
        for topic in topics(change, &recorded.key.source) {
            saying.keep_among(self.0.entry(topic).or_default());
        }
        found
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl<'a> Saying<'a> {
    fn contradicts(&self, earlier: &Saying<'_>) -> bool {
        let sources = (&earlier.recorded.key.source, &self.recorded.key.source);
        !self.is_of_delivery_of(earlier) && contradict(earlier.change, self.change, sources)
    }

    fn keep_among(self, kept: &mut Vec<Self>) {
        let of_its_delivery = kept.iter().filter(|it| self.is_of_delivery_of(it));
        let saying_the_same = kept.iter().filter(|it| it.change == self.change);
        let is_kept = of_its_delivery.clone().any(|it| it.change == self.change);
        if !is_kept
            && kept.len() < ENOUGH
            && of_its_delivery.count() < 2
            && saying_the_same.count() < 2
        {
            kept.push(self);
        }
    }

    fn is_of_delivery_of(&self, other: &Saying<'_>) -> bool {
        let (one, other) = (&self.recorded.key, &other.recorded.key);
        one.source == other.source && one.dedupe_key == other.dedupe_key
    }
}

/// What a change is compared by with later ones.
fn topics<'a>(change: &'a Change, source: &SourceName) -> Vec<Topic<'a>> {
    match change {
        Change::Granted(_) => vec![Topic::Gives, Topic::Is(change.name())],
        Change::Reinstated { .. } => vec![Topic::Gives, Topic::GoesOn, Topic::Is(change.name())],
        Change::Renewed { period_key, .. } => {
            let pays = Topic::Pays(period_key.as_ref());
            vec![Topic::Gives, Topic::GoesOn, pays]
        }
        Change::Resumed { by } => vec![Topic::Lifts(block(by, source))],
        Change::Suspended { .. }
        | Change::Refunded { .. }
        | Change::Revoked
        | Change::Ended { .. } => Vec::new(),
        Change::Modified { .. }
        | Change::Rescheduled { .. }
        | Change::GraceExtended { .. }
        | Change::PaymentFailed
        | Change::Cancelled { .. }
        | Change::Switched { .. }
        | Change::Transferred { .. } => vec![Topic::Is(change.name())],
    }
}

/// What a change may contradict.
fn topics_against<'a>(change: &'a Change, source: &SourceName) -> Vec<Topic<'a>> {
    match change {
        Change::Suspended { by } => vec![Topic::Lifts(block(by, source))],
        Change::Cancelled { .. } => vec![Topic::GoesOn, Topic::Is(change.name())],
        Change::Renewed { period_key, .. } => vec![Topic::Pays(period_key.as_ref())],
        Change::Refunded { .. } | Change::Revoked | Change::Ended { .. } => vec![Topic::Gives],
        Change::Resumed { .. } => Vec::new(),
        Change::Granted(_)
        | Change::Reinstated { .. }
        | Change::Modified { .. }
        | Change::Rescheduled { .. }
        | Change::GraceExtended { .. }
        | Change::PaymentFailed
        | Change::Switched { .. }
        | Change::Transferred { .. } => vec![Topic::Is(change.name())],
    }
}

/// A block without a name goes by its source.
fn block(by: &Option<BlockName>, source: &SourceName) -> BlockName {
    by.clone().unwrap_or_else(|| source.into())
}

/// `first` comes before `second` in the order of ranks.
fn contradict(first: &Change, second: &Change, sources: (&SourceName, &SourceName)) -> bool {
    let gives = |change: &Change| {
        matches!(
            change,
            Change::Granted(_) | Change::Reinstated { .. } | Change::Renewed { .. }
        )
    };
    let takes = |change: &Change| {
        matches!(
            change,
            Change::Refunded { .. } | Change::Revoked | Change::Ended { .. }
        )
    };
    match (first, second) {
        (Change::Resumed { by: first }, Change::Suspended { by: second }) => {
            block(first, sources.0) == block(second, sources.1)
        }
        (Change::Reinstated { .. } | Change::Renewed { .. }, Change::Cancelled { .. }) => true,
        (
            Change::Renewed {
                period_key: first, ..
            },
            Change::Renewed {
                period_key: second, ..
            },
        ) if first != second => false,
        (Change::Suspended { .. }, Change::Suspended { .. })
        | (Change::Resumed { .. }, Change::Resumed { .. })
        | (Change::Refunded { .. }, Change::Refunded { .. })
        | (Change::Ended { .. }, Change::Ended { .. }) => false,
        (first, second) if first.name() == second.name() => first != second,
        (first, second) => gives(first) && takes(second),
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "tests may panic"
    )]

    use super::*;
    use crate::domain::event::{Cause, Event, EventKey, GrantStatement};
    use crate::domain::id::{DedupeKey, GrantId, Position};
    use crate::domain::time::{EffectiveAt, End, Instant, RecordedAt};

    fn event(change: &Change, delivery: usize) -> RecordedEvent {
        let (source, key) = ("crm".parse().unwrap(), "g".parse().unwrap());
        let statement = Statement::Grant(GrantStatement {
            grant: GrantId { source, key },
            user: None,
            product: None,
            change: change.clone(),
        });
        RecordedEvent {
            event: Event {
                effective_at: EffectiveAt(Instant::EPOCH),
                statement,
            },
            key: EventKey {
                source: "crm".parse().unwrap(),
                dedupe_key: DedupeKey::new(&delivery.to_string()).unwrap(),
                index: 0,
            },
            sequence: 0,
            position: Position(1),
            recorded_at: RecordedAt(Instant::EPOCH),
            withdrawn_at: None,
        }
    }

    fn changes() -> Vec<Change> {
        let (one, two) = (Instant::EPOCH, Instant::EPOCH.next());
        let renewed = |until, key: Option<&str>| Change::Renewed {
            until,
            period: None,
            period_key: key.map(|key| key.parse().unwrap()),
        };
        let by = Some("another".parse().unwrap());
        vec![
            Change::Modified { until: one.into() },
            Change::Modified { until: two.into() },
            Change::Modified { until: End::Never },
            renewed(None, None),
            renewed(Some(one), None),
            renewed(Some(one), Some("a")),
            renewed(Some(two), Some("a")),
            renewed(None, Some("b")),
            Change::Reinstated { until: None },
            Change::Cancelled { until: None },
            Change::Cancelled { until: Some(one) },
            Change::Suspended { by: None },
            Change::Suspended { by },
            Change::Resumed { by: None },
            Change::Revoked,
            Change::Ended {
                cause: Cause::Expired,
                product: None,
            },
            Change::Refunded { period_key: None },
            Change::PaymentFailed,
        ]
    }

    fn saying(recorded: &RecordedEvent) -> Option<Saying<'_>> {
        match &recorded.event.statement {
            Statement::Grant(of) => Some(Saying {
                recorded,
                change: &of.change,
            }),
            Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => None,
        }
    }

    /// Compared with every earlier one.
    fn contradicts_one_of(this: &RecordedEvent, earlier: &[RecordedEvent]) -> bool {
        let this = saying(this).unwrap();
        let mut earlier = earlier.iter().filter_map(saying);
        earlier.any(|it| this.contradicts(&it))
    }

    #[test]
    fn comparing_with_a_few_finds_what_comparing_with_all_does() {
        let changes = changes();
        let (mut number, mut found) = (1_u64, 0);
        let mut below = |bound: usize| {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            usize::try_from(number % 1_000_003).unwrap() % bound
        };
        for _ in 0..4_000 {
            // Few changes and few deliveries, so that they meet.
            let few: Vec<usize> = (0..4).map(|_| below(changes.len())).collect();
            let events: Vec<RecordedEvent> = (0..14)
                .map(|_| event(&changes[few[below(4)]], below(4)))
                .collect();
            let mut said = Said::default();
            for (place, this) in events.iter().enumerate() {
                let expected = contradicts_one_of(this, &events[..place]);
                let found_one = said.is_contradicted_by(this);
                assert_eq!(found_one, expected, "{place} of {events:#?}");
                found += usize::from(expected);
            }
        }
        assert!(found > 5_000, "{found}");
    }

    #[test]
    fn two_deliveries_contradict_each_other_and_none_itself() {
        let renewed = |until| Change::Renewed {
            until: Some(until),
            period: None,
            period_key: Some("a".parse().unwrap()),
        };
        let (one, two) = (Instant::EPOCH, Instant::EPOCH.next());
        let contradicts = |first: Change, second: Change, deliveries: [usize; 2]| {
            let events = [event(&first, deliveries[0]), event(&second, deliveries[1])];
            contradicts_one_of(&events[1], &events[..1])
        };
        assert!(contradicts(renewed(one), Change::Revoked, [1, 2]));
        assert!(!contradicts(renewed(one), Change::Revoked, [1, 1]));
        assert!(contradicts(renewed(one), renewed(two), [1, 2]));
        assert!(!contradicts(renewed(one), renewed(two), [1, 1]));
        assert!(!contradicts(renewed(one), renewed(one), [1, 2]));
        let modified = Change::Modified { until: one.into() };
        assert!(!contradicts(modified, Change::PaymentFailed, [1, 2]));
    }
}
