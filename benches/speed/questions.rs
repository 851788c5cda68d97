//! What is asked: users drawn evenly, or as by Zipf's law, about a product that they have or had, within the last hour.

use tenure::{Instant, Question, ResourceName, UserId};

use crate::database::SEED;
use crate::workload::{NOW, Random, subject, user};

/// How often which user is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draw {
    Uniform,
    /// The second as often as half the first, the third a third as often.
    Zipf,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) user: UserId,
    pub(crate) resource: ResourceName,
    pub(crate) at: Instant,
}

impl Asked {
    pub(crate) fn question(&self) -> Question {
        Question {
            user: self.user.clone(),
            resource: self.resource.clone(),
            at: self.at,
            as_of: None,
        }
    }
}

/// Questions in the order in which they are asked. The ids lie one after the other, as those of a request that was just
/// read do: fetching a question is not what is to be measured.
pub(crate) fn asked(draw: Draw, users: u64, count: usize) -> Vec<Asked> {
    let mut random = Random::new(7);
    let drawn = |_| {
        let number = match draw {
            Draw::Uniform => random.below(users),
            Draw::Zipf => zipf(&mut random, users),
        };
        let (product, _) = subject(SEED, number, random.below(3));
        let back = random.below(3_600_000_000).cast_signed();
        let now = (NOW * 1_000_000).cast_signed();
        Asked {
            user: user(number).parse().unwrap(),
            resource: product.parse().unwrap(),
            at: Instant::from_micros(now - back).unwrap(),
        }
    };
    (0..count).map(drawn).collect()
}

/// How many different questions a table of so many users needs, so that their answers do not stay in the caches.
pub(crate) fn enough(users: u64) -> usize {
    (users as usize).clamp(10_000, 1_000_000)
}

/// The logarithm of the rank is drawn evenly, which is Zipf's law; which user has which rank is as good as random.
fn zipf(random: &mut Random, users: u64) -> u64 {
    let part = random.below(1 << 30) as f64 / f64::from(1 << 30);
    let rank = (users as f64).powf(part) as u64 - 1;
    rank.wrapping_mul(0x9E37_79B1) % users
}
