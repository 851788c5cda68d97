//! The life of one grant, as each system tells it.

use super::{DAY, Delivered, Random, START, product, time, user};

mod stays;

pub(crate) use stays::{renewal, short_lives, subject};

/// A grant whose life is being told.
pub(crate) struct Life<'a> {
    source: &'static str,
    /// Sets apart whatever has an id of its own.
    key: String,
    user: String,
    product: String,
    /// When the next thing happens.
    second: u64,
    random: &'a mut Random,
    happened: &'a mut Vec<Delivered>,
}

impl<'a> Life<'a> {
    pub(crate) fn begin(
        source: &'static str,
        number: u64,
        grant: u64,
        random: &'a mut Random,
        happened: &'a mut Vec<Delivered>,
    ) -> Self {
        Self {
            source,
            key: format!("{number}-{grant}"),
            user: user(number),
            product: product(random.next()),
            second: START + random.below(120 * DAY),
            random,
            happened,
        }
    }

    fn deliver(&mut self, delay: u64, body: String) {
        self.happened.push(Delivered {
            source: self.source,
            second: self.second,
            delay,
            body,
        });
    }

    /// One more period passes, more or less.
    fn month(&mut self) {
        self.second += 28 * DAY + self.random.below(3 * DAY);
    }

    /// In the dialect that states event times and all changes.
    pub(crate) fn cloudevents(&mut self) {
        self.stated(
            "granted",
            &format!(r#","product":"{}","period":"P1M""#, self.product),
        );
        for _ in 0..self.random.below(6) {
            self.month();
            if self.random.below(8) == 0 {
                self.stated("payment_failed", "");
                self.second += DAY;
                self.stated("grace_extended", "");
            }
            self.stated("renewed", "");
        }
        self.second += 5 * DAY + self.random.below(20 * DAY);
        match self.random.below(4) {
            0 => self.stated("cancelled", ""),
            1 => self.stated("revoked", ""),
            2 => self.stated("ended", r#","cause":"expired""#),
            _ => {}
        }
    }

    fn stated(&mut self, name: &str, data: &str) {
        let (key, second) = (&self.key, self.second);
        let body = format!(
            r#"{{"specversion":"1.0","id":"g{key}-{second}-{name}","source":"crm","type":"tenure.{name}","time":"{}","subject":"{}","data":{{"grant":"g{key}"{data}}}}}"#,
            time(second),
            self.user,
        );
        self.deliver(2, body);
    }

    /// In packets that state no time and carry no id.
    pub(crate) fn piano(&mut self) {
        let mut expires = self.second + 30 * DAY;
        self.packet("new_purchase", expires);
        for _ in 0..self.random.below(7) {
            self.second = expires - self.random.below(DAY) - 1;
            if self.random.below(8) == 0 {
                expires += DAY;
                self.packet("grace_period_extension", expires);
            }
            expires += 30 * DAY;
            self.second += 60;
            self.packet("subscription_auto_renewed", expires);
        }
        if self.random.below(3) == 0 {
            self.second = expires;
            self.packet("access_revoked", expires);
            self.second += 1;
            self.packet("subscription_ended", expires);
        }
    }

    fn packet(&mut self, name: &str, expires: u64) {
        let body = format!(
            r#"{{"event":"{name}","aid":"AAAAAAAAAA","uid":"{}","rid":"{}","access_id":"ACC{}","term_id":"TM1","user_email":"reader@example.com","expires":{expires}}}"#,
            self.user, self.product, self.key,
        );
        self.deliver(0, body);
    }

    /// With the whole subscription in each event, and a payment for each period.
    pub(crate) fn tonos(&mut self) {
        let created = self.second;
        let mut invoice = 0;
        self.related("subscription:created", created, invoice, "Active");
        self.second += 1 + self.random.below(60);
        self.related("payment:created", created, invoice, "Active");
        for _ in 0..self.random.below(5) {
            self.month();
            invoice += 1;
            if self.random.below(8) == 0 {
                self.related("payment:failed", created, invoice, "Active");
                self.second += DAY;
            }
            // Both speak of one invoice, in either order.
            let announcements = ["invoice:updated", "payment:created"];
            let first = self.random.place(2);
            self.related(announcements[first], created, invoice, "Active");
            self.second += self.random.below(60);
            self.related(announcements[1 - first], created, invoice, "Active");
        }
        self.second += DAY + self.random.below(20 * DAY);
        match self.random.below(5) {
            0 => self.related("subscription:canceled", created, invoice, "Canceled"),
            1 => self.related("subscription:expired", created, invoice, "Expired"),
            2 => self.related("payment:refunded", created, invoice, "Active"),
            3 => self.related("subscription:updated", created, invoice, "Active"),
            _ => {}
        }
    }

    fn related(&mut self, name: &str, created: u64, invoice: u64, status: &str) {
        let (key, user, bought) = (&self.key, &self.user, &self.product);
        let naive = |second: u64| time(second).replace('Z', ".0000000");
        let of_subscription = format!(
            r#""customerId":"{user}","status":"{status}","lastInvoiceId":"inv-{key}-{invoice}","product":{{"name":"News","id":"{bought}"}},"createdAt":"{}""#,
            naive(created),
        );
        let access = r#""productAccessProvider":{"name":"monthly","type":"Payment","unlimitedAccess":false,"durationValue":1,"durationTime":"month"}"#;
        let own_id = match name.split(':').next() {
            Some("invoice") => format!("inv-{key}-{invoice}"),
            _ => format!("pay-{key}-{invoice}"),
        };
        let data = if name.starts_with("subscription:") {
            format!(r#""id":"sub-{key}",{of_subscription},{access}"#)
        } else {
            format!(
                r#""id":"{own_id}","amount":300,"currency":"usd","customerId":"{user}","subscriptionId":"sub-{key}","subscription":{{"id":"sub-{key}",{of_subscription}}},{access}"#
            )
        };
        let body = format!(
            r#"{{"id":"tonos-{key}-{name}-{}","data":{{{data}}},"created":"{}","type":"{name}"}}"#,
            self.second,
            naive(self.second),
        );
        self.deliver(3, body);
    }

    /// With the address, and the token in it, in each event.
    pub(crate) fn abowire(&mut self) {
        let mut end = self.second + 30 * DAY;
        let payload = self.subscription("active", end);
        self.affected("subscription:create", &payload);
        for _ in 0..self.random.below(5) {
            self.second = end - self.random.below(DAY);
            if self.random.below(8) == 0 {
                self.payment("payment:declined", end);
                self.second += 60;
            }
            end += 30 * DAY;
            self.payment("payment:create", end);
            self.second += 60;
            self.payment("payment:accepted", end);
            if self.random.below(6) == 0 {
                self.paused(end);
            }
        }
        self.second += DAY + self.random.below(20 * DAY);
        let status = ["active", "cancelled", "expired", "paused", "trialing"];
        let status = status[self.random.place(5)];
        let payload = self.subscription(status, end);
        self.affected("subscription:update", &payload);
    }

    /// A licence is off for some days, by itself or in a list.
    fn paused(&mut self, end: u64) {
        let in_bulk = self.random.below(2) == 0;
        for (alone, listed) in [
            ("subscription:disable", "subscription:bulk-disable"),
            ("subscription:enable", "subscription:bulk-enable"),
        ] {
            self.second += DAY + self.random.below(2 * DAY);
            if in_bulk {
                let list = format!(r#"[{{"id":"abo-{}"}},"other-{}"]"#, self.key, self.key);
                self.affected(listed, &list);
            } else {
                let payload = self.subscription("active", end);
                self.affected(alone, &payload);
            }
        }
    }

    fn subscription(&self, status: &str, end: u64) -> String {
        format!(
            r#"{{"id":"abo-{}","status":"{status}","currentPeriodStart":"{}","currentPeriodEnd":"{}","customer":{{"id":"{}"}},"product":{{"id":"{}"}}}}"#,
            self.key,
            time(self.second),
            time(end),
            self.user,
            self.product,
        )
    }

    fn payment(&mut self, name: &str, end: u64) {
        let payload = format!(
            r#"{{"id":"pay-{}-{end}","subscription":{{"id":"abo-{}","currentPeriodEnd":"{}"}}}}"#,
            self.key,
            self.key,
            time(end),
        );
        self.affected(name, &payload);
    }

    fn affected(&mut self, name: &str, payload: &str) {
        let (component, action) = name.split_once(':').unwrap_or_default();
        let body = format!(
            r#"{{"id":"4f6c2b1e-0000-4000-8000-00000000000f","eventArn":"arn:abowire:webhooks:eu:main:{name}","component":"{component}","action":"{action}","userId":"operator-1","timestamp":"{}","origin":"dashboard","destination":"https://paywall.example.com/hooks/abowire?token=not-for-the-log","payload":{payload}}}"#,
            time(self.second),
        );
        self.deliver(1, body);
    }

    /// A member with a plan of its own, and subscriptions beside it.
    pub(crate) fn gately(&mut self) {
        let user = self.user.clone();
        let member = format!(r#""id":"{user}","email":"reader@example.com""#);
        self.member(
            "member.created",
            &format!(r#"{member},"plan_id":"free","status":"active""#),
        );
        self.second += self.random.below(10 * DAY);
        let mut end = self.second + 30 * DAY;
        self.plan("subscription.created", end, "");
        for _ in 0..self.random.below(5) {
            self.second = end - self.random.below(DAY);
            end += 30 * DAY;
            self.plan("subscription.renewed", end, "");
            if self.random.below(6) == 0 {
                self.second += DAY;
                for (old, new) in [("active", "suspended"), ("suspended", "active")] {
                    let changes =
                        format!(r#""changes":{{"status":{{"old":"{old}","new":"{new}"}}}}"#);
                    self.member("member.updated", &format!("{member},{changes}"));
                    self.second += DAY;
                }
            }
        }
        self.second += DAY + self.random.below(10 * DAY);
        match self.random.below(6) {
            0 | 1 => {
                let rest = format!(
                    r#","cancel_at_period_end":true,"cancelled_at":"{}","effective_date":"{}""#,
                    time(self.second),
                    time(end),
                );
                self.plan("subscription.cancelled", end, &rest);
            }
            2 => {
                let changed = time(self.second);
                let rest = format!(
                    r#"{member},"previous_plan":"free","new_plan":"{}","changed_at":"{changed}""#,
                    self.product,
                );
                self.member("member.plan_changed", &rest);
            }
            3 => {
                let deleted = time(self.second);
                self.member(
                    "member.deleted",
                    &format!(r#"{member},"deleted_at":"{deleted}""#),
                );
            }
            _ => {}
        }
    }

    fn plan(&mut self, name: &str, end: u64, rest: &str) {
        let data = format!(
            r#""id":"sub_{}","member_id":"{}","plan_id":"{}","status":"active","current_period_start":"{}","current_period_end":"{}"{rest}"#,
            self.key,
            self.user,
            self.product,
            time(self.second),
            time(end),
        );
        self.member(name, &data);
    }

    fn member(&mut self, name: &str, data: &str) {
        let body = format!(
            r#"{{"id":"evt_{}_{}_{name}","event":"{name}","created_at":"{}","project_id":"proj_abc","data":{{{data}}}}}"#,
            self.key,
            self.second,
            time(self.second),
        );
        self.deliver(1, body);
    }
}
