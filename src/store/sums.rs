//! What a projection comes to in sums, by which two of them are compared without looking for each row of one in the other.
//!
//! Every row that a projection is kept as is hashed, and the hashes are added up, so that it does not matter in which order
//! the rows are met. Grants are spread over lanes, each with a sum of its own: where two projections differ, only the grants
//! of the lanes that differ have to be looked at one by one. The hash is keyed and has 128 bits: nobody can make rows that
//! cancel each other out, and chance does it less often than disks fail.
//!
//! A grant is hashed once for all of its rows that come one after the other; in each it stands by that hash.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

use siphasher::sip128::{Hash128, SipHasher13};

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
    /// The grant of the row before.
    grant: HashedGrant,
    /// The row that is hashed, kept so that not each one is allocated.
    row: Vec<u8>,
}

/// A grant and what it comes to.
#[derive(Clone, Debug)]
struct HashedGrant {
    source: Vec<u8>,
    key: Vec<u8>,
    hash: Hash128,
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
        let mut row = Vec::new();
        let of_no_row = HashedGrant {
            source: Vec::new(),
            key: Vec::new(),
            hash: hash_of(&hasher, [b"", b""], &mut row),
        };
        Self {
            hasher,
            lanes: vec![0; usize::from(LANES)],
            projected: Projected::default(),
            grant: of_no_row,
            row,
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
        self.add_row(grant, b'g', &[], &[segments]);
    }

    pub(super) fn add_user(&mut self, grant: [&[u8]; 2], user: &[u8], segments: &[u8]) {
        self.projected.users += u64::from(!segments.is_empty());
        self.add_row(grant, b'u', &[], &[user, segments]);
    }

    pub(super) fn add_window(
        &mut self,
        grant: [&[u8]; 2],
        user: &[u8],
        ends: [i64; 2],
        product: &[u8],
    ) {
        self.projected.windows += 1;
        self.add_row(grant, b'w', &ends, &[user, product]);
    }

    pub(super) fn add_anomaly(
        &mut self,
        grant: [&[u8]; 2],
        position: i64,
        index: u32,
        name: &[u8],
    ) {
        self.projected.anomalies += 1;
        self.add_row(grant, b'a', &[position, i64::from(index)], &[name]);
    }

    /// Rows of one kind have as many numbers and texts, and each text is preceded by its length: no two rows are written alike.
    fn add_row(&mut self, grant: [&[u8]; 2], kind: u8, numbers: &[i64], texts: &[&[u8]]) {
        self.turn_to(grant);
        self.row.clear();
        self.row.extend_from_slice(&self.grant.hash.as_bytes());
        self.row.push(kind);
        for number in numbers {
            self.row.extend_from_slice(&number.to_le_bytes());
        }
        for text in texts {
            put_text(&mut self.row, text);
        }
        let hash = self.hasher.hash(&self.row).as_u128();
        if let Some(sum) = self.lanes.get_mut(lane(self.grant.hash)) {
            *sum = sum.wrapping_add(hash);
        }
    }

    fn turn_to(&mut self, grant: [&[u8]; 2]) {
        let last = &mut self.grant;
        if grant == [&last.source[..], &last.key[..]] {
            return;
        }
        last.hash = hash_of(&self.hasher, grant, &mut self.row);
        for (kept, id) in [&mut last.source, &mut last.key].into_iter().zip(grant) {
            kept.clear();
            kept.extend_from_slice(id);
        }
    }
}

/// SQLite keeps no text of so many bytes that they cannot be counted in 32 bits.
fn put_text(row: &mut Vec<u8>, text: &[u8]) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    row.extend_from_slice(&length.to_le_bytes());
    row.extend_from_slice(text);
}

impl DifferingLanes {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        !self.lanes.contains(&true)
    }

    /// Whether the grant is in one of them.
    pub fn has(&self, grant: &GrantId) -> bool {
        let hash = hash_of(&self.hasher, bytes_of(grant), &mut Vec::new());
        self.lanes.get(lane(hash)).copied().unwrap_or(true)
    }
}

fn bytes_of(grant: &GrantId) -> [&[u8]; 2] {
    [
        grant.source.as_str().as_bytes(),
        grant.key.as_str().as_bytes(),
    ]
}

fn hash_of(hasher: &SipHasher13, grant: [&[u8]; 2], row: &mut Vec<u8>) -> Hash128 {
    row.clear();
    grant.into_iter().for_each(|id| put_text(row, id));
    hasher.hash(row)
}

fn lane(grant: Hash128) -> usize {
    usize::try_from(grant.h1 % u64::from(LANES)).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use std::collections::BTreeMap;

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
        let like_an_anomaly = b"\0\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\0adopted";
        let rows: [&dyn Fn(&mut ProjectionSums); 11] = [
            &|sums| sums.add_grant(id, b""),
            &|sums| sums.add_grant(id, b"s"),
            &|sums| sums.add_user(id, b"u", b"s"),
            &|sums| sums.add_user(id, b"us", b""),
            &|sums| sums.add_window(id, b"u", [1, 2], b"news"),
            &|sums| sums.add_window(id, b"u", [2, 1], b"news"),
            &|sums| sums.add_window(id, b"un", [1, 2], b"ews"),
            &|sums| sums.add_anomaly(id, 1, 0, b"adopted"),
            &|sums| sums.add_anomaly(id, 0, 1, b"adopted"),
            &|sums| sums.add_anomaly(id, 23, 0, b"adopted"),
            &|sums| sums.add_grant(id, like_an_anomaly),
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

    #[test]
    fn a_row_counts_for_its_own_grant() {
        let empty = ProjectionSums::unpredictable();
        let sum = |rows: [([&[u8]; 2], &[u8]); 2]| {
            let mut sums = empty.of_nothing();
            for (grant, segments) in rows {
                sums.add_grant(grant, segments);
            }
            sums
        };
        let [one, other] = keys_of_one_lane(&empty.hasher);
        let [one, other] = [one.as_bytes(), other.as_bytes()];
        let neighbours: [[[&[u8]; 2]; 2]; 3] = [
            [[b"crm", one], [b"crm", other]],
            [[b"crm", one], [b"web", one]],
            [[b"ab", b"c"], [b"a", b"bc"]],
        ];
        for [first, second] in neighbours {
            let these = sum([(first, b"1"), (second, b"2")]);
            let in_turn = sum([(second, b"2"), (first, b"1")]);
            let exchanged = sum([(first, b"2"), (second, b"1")]);
            assert!(these.differing(&in_turn).is_empty());
            assert!(!these.differing(&exchanged).is_empty());
        }
    }

    /// Two keys that their lane does not tell apart.
    fn keys_of_one_lane(hasher: &SipHasher13) -> [String; 2] {
        let mut first_in_lane = BTreeMap::new();
        let mut keys = (0..).map(|number: u32| number.to_string());
        let met_again = keys.find_map(|key| {
            let hash = hash_of(hasher, [b"crm", key.as_bytes()], &mut Vec::new());
            let before = first_in_lane.insert(lane(hash), key.clone());
            before.map(|before| [before, key])
        });
        met_again.unwrap()
    }
}
