//! A grant of few words: it gives access once or twice, and each time is told in two deliveries.

use super::super::{DAY, Delivered, NOW, Random, time};
use super::Life;

/// A stretch of access, told at its begin and once more half-way.
#[derive(Clone, Copy, Debug)]
struct Stay {
    from: u64,
    until: u64,
}

impl Life<'_> {
    /// The last stretch ends within 200 days of [`NOW`], as often before as after; half the grants had one before it.
    pub(crate) fn stays(&mut self) {
        let away = (1 + self.random.below(200)) * DAY + self.random.below(DAY);
        let is_over = self.random.below(2) == 0;
        let until = if is_over { NOW - away } else { NOW + away };
        let remaining = until.saturating_sub(NOW);
        let length = remaining + (20 + self.random.below(200)) * DAY;
        let last = Stay {
            from: until - length,
            until,
        };
        if self.random.below(2) == 0 {
            let until = last.from - (5 + self.random.below(40)) * DAY;
            let from = until - (20 + self.random.below(60)) * DAY;
            self.stay(Stay { from, until }, "begins");
            self.stay(last, "comes back");
        } else {
            self.stay(last, "begins");
        }
    }

    fn stay(&mut self, stay: Stay, how: &str) {
        let half = stay.from + (stay.until - stay.from) / 2;
        self.second = stay.from;
        match how {
            "begins" => self.begins(half),
            _ => self.goes_on(half),
        }
        // An hour before it would end, so that it does not matter whether a system states when things happen.
        self.second = half - 3_600;
        self.goes_on(stay.until);
    }

    fn begins(&mut self, until: u64) {
        match self.source {
            "cloudevents" => {
                let data = format!(r#","product":"{}","until":"{}""#, self.product, time(until));
                self.stated("granted", &data);
            }
            "piano" => self.packet("new_purchase", until),
            "tonos" => self.paid("subscription:created", until),
            "abowire" => {
                let payload = self.subscription("active", until);
                self.affected("subscription:create", &payload);
            }
            _ => self.plan("subscription.created", until, ""),
        }
    }

    /// Goes on, or begins again if it had ended.
    pub(crate) fn goes_on(&mut self, until: u64) {
        match self.source {
            "cloudevents" => {
                let data = format!(r#","until":"{}""#, time(until));
                self.stated("renewed", &data);
            }
            "piano" => self.packet("subscription_auto_renewed", until),
            "tonos" => self.paid("payment:created", until),
            "abowire" => self.payment("payment:accepted", until),
            _ => self.plan("subscription.renewed", until, ""),
        }
    }

    /// A payment for the hours until then, with the subscription it is for.
    fn paid(&mut self, name: &str, until: u64) {
        let (key, user, product) = (&self.key, &self.user, &self.product);
        let naive = time(self.second).replace('Z', ".0000000");
        let hours = (until - self.second).div_ceil(3_600);
        let access = format!(
            r#""productAccessProvider":{{"name":"by the hour","type":"Payment","unlimitedAccess":false,"durationValue":{hours},"durationTime":"hours"}}"#
        );
        let of_subscription = format!(
            r#""customerId":"{user}","status":"Active","lastInvoiceId":"inv-{key}-{}","product":{{"name":"News","id":"{product}"}},"createdAt":"{naive}""#,
            self.second,
        );
        let data = if name.starts_with("subscription:") {
            format!(r#""id":"sub-{key}",{of_subscription},{access}"#)
        } else {
            format!(
                r#""id":"pay-{key}-{}","amount":300,"currency":"usd","customerId":"{user}","subscriptionId":"sub-{key}","subscription":{{"id":"sub-{key}",{of_subscription}}},{access}"#,
                self.second,
            )
        };
        let body = format!(
            r#"{{"id":"tonos-{key}-{name}-{}","data":{{{data}}},"created":"{naive}","type":"{name}"}}"#,
            self.second,
        );
        self.deliver(3, body);
    }
}

/// What a system says when one of the three grants of a reader goes on from `second` until then.
pub(crate) fn renewal(seed: u64, number: u64, grant: u64, second: u64, until: u64) -> Delivered {
    let mut told = Vec::with_capacity(1);
    let mut random = of_grant(seed, number, grant);
    let mut life = begun(number, grant, &mut random, &mut told);
    life.second = second;
    life.goes_on(until);
    told.remove(0)
}

/// What the systems say of the three grants of a reader.
pub(crate) fn short_lives(seed: u64, number: u64, happened: &mut Vec<Delivered>) {
    for grant in 0..3 {
        let mut random = of_grant(seed, number, grant);
        begun(number, grant, &mut random, happened).stays();
    }
}

/// Which product a grant is for, and what its key is.
pub(crate) fn subject(seed: u64, number: u64, grant: u64) -> (String, String) {
    let mut told = Vec::new();
    let mut random = of_grant(seed, number, grant);
    let life = begun(number, grant, &mut random, &mut told);
    (life.product.clone(), life.key.clone())
}

fn begun<'a>(
    number: u64,
    grant: u64,
    random: &'a mut Random,
    happened: &'a mut Vec<Delivered>,
) -> Life<'a> {
    let sources = ["abowire", "cloudevents", "gately", "piano", "tonos"];
    let source = sources[random.place(sources.len())];
    Life::begin(source, number, grant, random, happened)
}

/// Each grant is seeded by itself, so that its reader need not be remembered.
fn of_grant(seed: u64, number: u64, grant: u64) -> Random {
    let mut random = Random::new(seed ^ (number * 3 + grant).wrapping_mul(0xD6E8_FEB8_6659_FD93));
    random.next();
    random
}
