//! What a projection comes to in sums, by which two of them are compared without looking for each row of one in the other.
//!
//! Every row that a projection is kept as is hashed, and the hashes are added up, so that it does not matter in which order
//! the rows are met. Grants are spread over lanes, each with a sum of its own: where two projections differ, only the grants
//! of the lanes that differ have to be looked at one by one. The hash is keyed and has 128 bits: nobody can make rows that
//! cancel each other out, and chance does it less often than disks fail.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

use siphasher::sip128::SipHasher13;

use super::sqlite::{pack, pack_of_nobody};
use super::{Projected, Projection};
use crate::domain::id::{GrantId, UserId};

/// Sums of 16 bytes each; of a million grants some 250 are in each lane.
const LANES: u16 = 4_096;

/// The sums of a projection, or of a part of it.
#[derive(Clone, Debug)]
pub struct ProjectionSums {
    hasher: SipHasher13,
    lanes: Vec<u128>,
    projected: Projected,
    /// The row that is hashed, kept so that not each one is allocated.
    row: Vec<u8>,
}

/// The lanes in which two projections differ.
#[derive(Clone, Debug)]
pub struct DifferingLanes {
    hasher: SipHasher13,
    lanes: Vec<bool>,
}

impl ProjectionSums {
    /// The sums of nothing, under a key that nobody can guess.
    pub fn unpredictable() -> Self {
        let random = RandomState::new();
        let [one, other] = [0, 1].map(|number| random.hash_one(number));
        Self::keyed(SipHasher13::new_with_keys(one, other))
    }

    /// The sums of nothing under the same key: only such can be compared.
    #[must_use]
    pub fn of_nothing(&self) -> Self {
        Self::keyed(self.hasher)
    }

    fn keyed(hasher: SipHasher13) -> Self {
        Self {
            hasher,
            lanes: vec![0; usize::from(LANES)],
            projected: Projected::default(),
            row: Vec::new(),
        }
    }

    /// Adds what is to be stored of one grant: `users` is everyone whom an event of it names.
    pub fn add(
        &mut self,
        grant: &GrantId,
        users: &BTreeSet<UserId>,
        projection: Option<&Projection>,
    ) {
        let id = bytes_of(grant);
        let segments = projection.map_or(&[][..], |it| &it.segments);
        for user in users {
            self.add_user(id, user.as_str().as_bytes(), &pack(segments, Some(user)));
        }
        let Some(projection) = projection else { return };
        self.add_grant(id, &pack_of_nobody(users, segments));
        for window in &projection.windows {
            let ends = [window.start.micros(), window.end.micros()];
            let (user, product) = (window.user.as_str(), window.product.as_str());
            self.add_window(id, user.as_bytes(), ends, product.as_bytes());
        }
        for it in &projection.anomalies {
            let position = i64::try_from(it.position.0).unwrap_or(i64::MAX);
            self.add_anomaly(id, position, it.index, it.anomaly.name().as_bytes());
        }
    }

    /// Adds the sums of another part.
    pub fn join(&mut self, other: &Self) {
        for (sum, more) in self.lanes.iter_mut().zip(&other.lanes) {
            *sum = sum.wrapping_add(*more);
        }
        self.projected.join(other.projected);
    }

    /// How much was added.
    pub fn projected(&self) -> Projected {
        self.projected
    }

    /// Where these sums and others under the same key differ.
    pub fn differing(&self, other: &Self) -> DifferingLanes {
        let pairs = self.lanes.iter().zip(&other.lanes);
        DifferingLanes {
            hasher: self.hasher,
            lanes: pairs.map(|(one, other)| one != other).collect(),
        }
    }

    pub(super) fn add_grant(&mut self, grant: [&[u8]; 2], segments: &[u8]) {
        self.projected.grants += 1;
        self.add_row(grant, &[b"grant", segments]);
    }

    pub(super) fn add_user(&mut self, grant: [&[u8]; 2], user: &[u8], segments: &[u8]) {
        self.projected.users += u64::from(!segments.is_empty());
        self.add_row(grant, &[b"user", user, segments]);
    }

    pub(super) fn add_window(
        &mut self,
        grant: [&[u8]; 2],
        user: &[u8],
        [start, end]: [i64; 2],
        product: &[u8],
    ) {
        self.projected.windows += 1;
        let (start, end) = (start.to_le_bytes(), end.to_le_bytes());
        self.add_row(grant, &[b"window", user, &start, &end, product]);
    }

    pub(super) fn add_anomaly(
        &mut self,
        grant: [&[u8]; 2],
        position: i64,
        index: u32,
        name: &[u8],
    ) {
        self.projected.anomalies += 1;
        let (position, index) = (position.to_le_bytes(), index.to_le_bytes());
        self.add_row(grant, &[b"anomaly", &position, &index, name]);
    }

    /// Each field is preceded by its length, so that no two rows are written alike.
    fn add_row(&mut self, grant: [&[u8]; 2], fields: &[&[u8]]) {
        self.row.clear();
        for field in grant.iter().chain(fields) {
            self.row.extend_from_slice(&field.len().to_le_bytes());
            self.row.extend_from_slice(field);
        }
        let hash = self.hasher.hash(&self.row).as_u128();
        if let Some(sum) = self.lanes.get_mut(lane(&self.hasher, grant)) {
            *sum = sum.wrapping_add(hash);
        }
    }
}

impl DifferingLanes {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        !self.lanes.contains(&true)
    }

    /// Whether the grant is in one of them.
    pub fn has(&self, grant: &GrantId) -> bool {
        let lane = lane(&self.hasher, bytes_of(grant));
        self.lanes.get(lane).copied().unwrap_or(true)
    }
}

fn bytes_of(grant: &GrantId) -> [&[u8]; 2] {
    [
        grant.source.as_str().as_bytes(),
        grant.key.as_str().as_bytes(),
    ]
}

/// The lane of a grant: by its key alone, which differs from grant to grant.
fn lane(hasher: &SipHasher13, [_, key]: [&[u8]; 2]) -> usize {
    let hash = hasher.hash(key).h1;
    usize::try_from(hash % u64::from(LANES)).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn sums_are_the_same_in_any_order_and_in_parts() {
        let all = |sums: &mut ProjectionSums, order: &[u32]| {
            for number in order {
                let key = number.to_string();
                let id: [&[u8]; 2] = [b"crm", key.as_bytes()];
                sums.add_grant(id, b"segments");
                sums.add_window(id, b"u1", [1, 2], b"news");
            }
        };
        let mut one = ProjectionSums::unpredictable();
        let (mut other, mut part) = (one.of_nothing(), one.of_nothing());
        all(&mut one, &[1, 2, 3, 4]);
        all(&mut other, &[4, 2]);
        all(&mut part, &[3, 1]);
        other.join(&part);
        assert!(one.differing(&other).is_empty());
        assert_eq!(one.projected(), other.projected());
    }

    #[test]
    fn whatever_differs_is_in_a_lane_that_differs() {
        let grant = GrantId {
            source: "crm".parse().unwrap(),
            key: "g1".parse().unwrap(),
        };
        let id: [&[u8]; 2] = [b"crm", b"g1"];
        let empty = ProjectionSums::unpredictable();
        let rows: [&dyn Fn(&mut ProjectionSums); 9] = [
            &|sums| sums.add_grant(id, b""),
            &|sums| sums.add_grant(id, b"s"),
            &|sums| sums.add_user(id, b"u", b"s"),
            &|sums| sums.add_user(id, b"us", b""),
            &|sums| sums.add_window(id, b"u", [1, 2], b"news"),
            &|sums| sums.add_window(id, b"u", [2, 1], b"news"),
            &|sums| sums.add_window(id, b"un", [1, 2], b"ews"),
            &|sums| sums.add_anomaly(id, 1, 0, b"adopted"),
            &|sums| sums.add_anomaly(id, 0, 1, b"adopted"),
        ];
        for (place, one) in rows.iter().enumerate() {
            for other in rows.iter().skip(place + 1) {
                let (mut these, mut those) = (empty.of_nothing(), empty.of_nothing());
                one(&mut these);
                other(&mut those);
                assert!(these.differing(&those).has(&grant), "row {place}");
                assert!(these.differing(&empty).has(&grant), "row {place}");
            }
        }
    }
}
