//! The access index: who has access to what and when, in memory, for the paywall that asks at every page.
//!
//! It holds for each user and product the verdict over all time, by all that is recorded, and for each resource the products
//! that include it. Links and blocks, parents and the rules are worked in already. The answers are those of
//! [`Reader::check`](crate::Reader::check); what the index cannot tell it leaves to it.
//!
//! A look-up hashes the user and the resource, and reads one slot of a table for each product that includes the resource:
//! the slot holds the verdict of the present. Readers take no lock and do not wait for the writer.

use std::fmt;
use std::hint::black_box;
use std::ops::BitXor as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use arc_swap::ArcSwap;

use self::catalog::Catalog;
use self::key::{Key, Keys};
use self::several::Several;
use self::shard::{Shard, Spare};
use self::steps::{Found, begun_by};
use crate::domain::decision::{DenyReason, Verdict};
use crate::domain::id::{Position, ResourceName, UserId};
use crate::domain::rules::Rules;
use crate::domain::time::Instant;

mod catalog;
mod key;
mod names;
mod prepared;
mod several;
mod shard;
mod sip;
mod steps;
mod table;

pub(crate) use self::prepared::{Prepared, ProductKey};

/// How many shards there are. A writer that makes one anew copies this part of the whole.
const SHARDS: usize = 256;

/// The access of every user, to be asked from any number of threads. [`Engine::index`](crate::Engine::index) makes one and
/// keeps it true.
pub struct AccessIndex {
    keys: Keys,
    held: ArcSwap<Held>,
    position: AtomicU64,
    /// Held by who writes.
    writer: Mutex<()>,
}

/// Everything that changes together when rules come into force.
struct Held {
    catalog: Arc<Catalog>,
    /// By the first bits of the user's key.
    shards: Box<[Arc<Shard>]>,
    /// Where there is no shard, which is nowhere.
    nobody: Shard,
}

/// A short answer: is there access, and until when does that hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether there is access.
    pub is_allowed: bool,
    /// The first instant after the one asked about at which that flips, by what is known; `None` if it never does.
    pub until: Option<Instant>,
    /// The verdict with its reason. `None` only on a deny, where more than the access to one product has to be looked at, as
    /// when two products that include the resource ended together: [`Reader::check`](crate::Reader::check) tells then.
    pub verdict: Option<Verdict>,
}

impl AccessIndex {
    /// An index in which nobody has access.
    pub(crate) fn new(rules: &Rules) -> Self {
        let keys = Keys::unpredictable();
        Self {
            held: ArcSwap::from_pointee(Held::empty(rules, &keys, 0)),
            keys,
            position: AtomicU64::new(0),
            writer: Mutex::new(()),
        }
    }

    /// Whether `user` has access to `resource` at `at`, by all that is recorded. Allocates nothing.
    pub fn allows(&self, user: &UserId, resource: &ResourceName, at: Instant) -> bool {
        self.look(user, resource, |access| match access.including {
            [] => {
                let steps = access.shard.steps(access.user ^ access.own);
                steps.is_some_and(|steps| steps.allow(begun_by(at)))
            }
            _ => access.allow(at),
        })
    }

    /// The short answer to the same question. Allocates nothing.
    pub fn answer(&self, user: &UserId, resource: &ResourceName, at: Instant) -> Answer {
        self.look(user, resource, |access| match access.including {
            [] => match access.shard.steps(access.user ^ access.own) {
                Some(steps) => Answer::found(&steps.find(begun_by(at))),
                None => Answer::nothing_of(access.shard.is_named(access.user)),
            },
            _ => access.answer(at),
        })
    }

    /// Looks at one state of the user's access to the resource.
    fn look<T>(
        &self,
        user: &UserId,
        resource: &ResourceName,
        look: impl Fn(Several<'_>) -> T,
    ) -> T {
        let held = self.held.load();
        let user = self.keys.user(user.as_str());
        let own = self.keys.name(resource.as_str());
        let including = held.catalog.including(resource.as_str(), own);
        held.shard(user).read(|shard| {
            look(Several {
                shard,
                user,
                own,
                including,
            })
        })
    }

    /// The last entry of the log that it takes into account.
    pub fn position(&self) -> Position {
        Position(self.position.load(Ordering::Acquire))
    }

    /// The bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let held = self.held.load();
        let shards = held.shards.iter().map(|shard| shard.bytes());
        shards.fold(size_of::<Self>(), usize::saturating_add)
    }

    /// Replaces what is known of users, and says from then on that it knows the log up to `position`. Does nothing if it knows
    /// that much already: whoever was faster has seen all of it.
    pub(crate) fn replace(&self, users: &Prepared, position: Position) {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if position <= self.position() {
            return;
        }
        let mut held = self.held.load_full();
        users.each_user(|user, is_named, rows| {
            let shard = held.shard(user);
            if let Some(grown) = shard.replace_or_grow(user, is_named, rows, Spare::Little) {
                held = Arc::new(held.with_shard(user, grown));
                self.held.store(Arc::clone(&held));
            }
        });
        self.position.store(position.0, Ordering::Release);
    }

    /// A list of users' access for this index, with nobody in it.
    pub(crate) fn prepared(&self) -> Prepared {
        Prepared::new(self.keys.clone())
    }

    /// Begins to fill an index anew, as when rules have come into force, with room for about so many users' products. This one
    /// answers as before meanwhile.
    pub(crate) fn begin_anew(&self, rules: &Rules, expected: u64) -> Filling {
        let expected = usize::try_from(expected).unwrap_or_default() / SHARDS;
        Filling {
            held: Held::empty(rules, &self.keys, expected),
        }
    }

    /// Answers from what was filled anew, and says from then on that it knows the log up to `position`. Does nothing if it
    /// knows more already.
    pub(crate) fn take_over(&self, filling: Filling, position: Position) {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if position < self.position() {
            return;
        }
        self.held.store(Arc::new(filling.held.compact()));
        self.position.store(position.0, Ordering::Release);
    }
}

impl fmt::Debug for AccessIndex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = out.debug_struct("AccessIndex");
        out.field("position", &self.position())
            .finish_non_exhaustive()
    }
}

/// The content of an index that is being filled.
pub(crate) struct Filling {
    held: Held,
}

impl Filling {
    /// Puts in what is known of users.
    pub(crate) fn put(&mut self, users: &Prepared) {
        // To wait for one line of memory takes as long as to wait for many at once.
        let fetched = users
            .keys()
            .map(|(user, key)| self.held.shard(user).fetch(user, key));
        black_box(fetched.fold(0, u64::bitxor));
        users.each_user(|user, is_named, rows| {
            let shard = self.held.shard(user);
            if let Some(grown) = shard.replace_or_grow(user, is_named, rows, Spare::Much)
                && let Some(shard) = self.held.shards.get_mut(place_of(user))
            {
                *shard = Arc::new(grown);
            }
        });
    }
}

impl Held {
    /// Without anybody, but with room for so much in each shard.
    fn empty(rules: &Rules, keys: &Keys, expected: usize) -> Self {
        let shards = std::iter::repeat_with(|| Arc::new(Shard::expecting(expected)));
        Self {
            catalog: Arc::new(Catalog::new(rules, keys)),
            nobody: Shard::empty(),
            shards: shards.take(SHARDS).collect(),
        }
    }

    /// The same in as little room as it needs. Two threads do it.
    fn compact(mut self) -> Self {
        let compact = |shards: &mut [Arc<Shard>]| {
            for shard in shards {
                // Nobody else has it while it is being filled.
                if let Some(shard) = Arc::get_mut(shard) {
                    shard.compact();
                }
            }
        };
        let half = self.shards.len() / 2;
        let (own, others) = self.shards.split_at_mut(half);
        thread::scope(|scope| {
            let other = thread::Builder::new().name("tenure compacting".to_owned());
            // Where no thread is to be had, the other half keeps the room it has to spare.
            let _is_there = other.spawn_scoped(scope, || compact(others));
            compact(own);
        });
        self
    }

    fn shard(&self, user: Key) -> &Shard {
        match self.shards.get(place_of(user)) {
            Some(shard) => shard,
            None => &self.nobody,
        }
    }

    fn with_shard(&self, user: Key, shard: Shard) -> Self {
        let mut shards = self.shards.clone();
        if let Some(place) = shards.get_mut(place_of(user)) {
            *place = Arc::new(shard);
        }
        Self {
            catalog: Arc::clone(&self.catalog),
            nobody: Shard::empty(),
            shards,
        }
    }
}

/// The shard of a user: the first bits of the key, which say nothing of the place within it.
fn place_of(user: Key) -> usize {
    usize::try_from(user.high >> (u64::BITS - SHARDS.ilog2())).unwrap_or_default()
}

impl Answer {
    fn found(found: &Found) -> Self {
        Self {
            is_allowed: found.verdict.is_allowed(),
            until: found.until,
            verdict: Some(found.verdict),
        }
    }

    fn nothing_of(is_named: bool) -> Self {
        Self {
            is_allowed: false,
            until: None,
            verdict: Some(nothing_of(is_named)),
        }
    }
}

/// The verdict on one who never had anything that includes the resource.
fn nothing_of(is_named: bool) -> Verdict {
    Verdict::Deny(if is_named {
        DenyReason::NeverGranted
    } else {
        DenyReason::UnknownUser
    })
}
