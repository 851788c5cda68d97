//! Windows folded by hand: from typed columns, or from bodies that are parsed into borrowed, typed structs.
//!
//! The fold is a hash map of grants, each with its windows: what begins or goes on within three days moves the end, else there
//! is a new window. It knows one kind of event, no order but that of the log, no policies, blocks, parents, reasons or
//! anomalies, and it writes nothing back.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::windows::read_only;

/// What a body states.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) grant: &'a str,
    /// Absent where a system names it only at the begin.
    pub(crate) user: Option<&'a str>,
    pub(crate) product: Option<&'a str>,
    pub(crate) begins: bool,
    /// Seconds; absent where the system states no times.
    pub(crate) at: Option<i64>,
    pub(crate) until: i64,
}

#[derive(Debug, Default)]
struct Held {
    user: Box<str>,
    product: Box<str>,
    windows: Vec<(i64, i64)>,
}

#[derive(Debug, Default)]
pub(crate) struct Folded {
    grants: HashMap<Box<str>, Held>,
}

const LEEWAY: i64 = 3 * 86_400;

impl Folded {
    fn take(&mut self, it: &Statement<'_>) {
        if !self.grants.contains_key(it.grant) {
            self.grants.insert(it.grant.into(), Held::default());
        }
        let held = self.grants.get_mut(it.grant).unwrap();
        if let Some(user) = it.user.filter(|user| **user != *held.user) {
            held.user = user.into();
        }
        if let Some(product) = it.product.filter(|product| **product != *held.product) {
            held.product = product.into();
        }
        match held.windows.last_mut() {
            Some(last) if it.at.is_none_or(|at| at <= last.1 + LEEWAY) => {
                last.1 = last.1.max(it.until);
            }
            _ => held.windows.push((it.at.unwrap_or_default(), it.until)),
        }
    }

    pub(crate) fn grants(&self) -> usize {
        self.grants.len()
    }
}

/// The typed columns of a file made by hand, folded; with how many there were.
pub(crate) fn of_columns(by_hand: &Path) -> (Folded, u64) {
    let connection = read_only(by_hand);
    let mut select = connection
        .prepare("SELECT grant_key, user, product, begins, at, until FROM typed ORDER BY id")
        .unwrap();
    let mut rows = select.query([]).unwrap();
    let mut folded = Folded::default();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        folded.take(&Statement {
            grant: row.get_ref(0).unwrap().as_str().unwrap(),
            user: row.get_ref(1).unwrap().as_str_or_null().unwrap(),
            product: row.get_ref(2).unwrap().as_str_or_null().unwrap(),
            begins: row.get(3).unwrap(),
            at: row.get(4).unwrap(),
            until: row.get(5).unwrap(),
        });
        count += 1;
    }
    (folded, count)
}

/// The bodies, parsed and folded.
pub(crate) fn of_bodies(by_hand: &Path) -> (Folded, u64) {
    let mut folded = Folded::default();
    let count = each_body(by_hand, &mut |source, body| {
        // What was sent encrypted is not opened.
        if let Some(statement) = read(source, body) {
            folded.take(&statement);
        }
    });
    (folded, count)
}

/// Nothing but reading every body in order; gives how many there were, and adds up their lengths.
pub(crate) fn scanned(by_hand: &Path) -> (u64, usize) {
    let mut bytes = 0;
    let count = each_body(by_hand, &mut |_, body| bytes += body.len());
    (count, bytes)
}

fn each_body(by_hand: &Path, each: &mut dyn FnMut(&str, &[u8])) -> u64 {
    let connection = read_only(by_hand);
    let mut select = connection
        .prepare("SELECT source, body FROM events ORDER BY id")
        .unwrap();
    let mut rows = select.query([]).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        let source = row.get_ref(0).unwrap().as_str().unwrap();
        each(source, row.get_ref(1).unwrap().as_bytes().unwrap());
        count += 1;
    }
    count
}

#[derive(Deserialize)]
struct Cloudevents<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    time: &'a str,
    subject: Option<&'a str>,
    #[serde(borrow)]
    data: CloudeventsData<'a>,
}

#[derive(Deserialize)]
struct CloudeventsData<'a> {
    grant: &'a str,
    product: Option<&'a str>,
    until: &'a str,
}

#[derive(Deserialize)]
struct Piano<'a> {
    event: &'a str,
    uid: &'a str,
    rid: &'a str,
    access_id: &'a str,
    expires: i64,
}

#[derive(Deserialize)]
struct Tonos<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    created: &'a str,
    #[serde(borrow)]
    data: TonosData<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TonosData<'a> {
    id: &'a str,
    customer_id: &'a str,
    subscription_id: Option<&'a str>,
    #[serde(borrow)]
    product: Option<Named<'a>>,
    subscription: Option<TonosSubscription<'a>>,
    product_access_provider: TonosAccess,
}

#[derive(Deserialize)]
struct TonosSubscription<'a> {
    #[serde(borrow)]
    product: Named<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TonosAccess {
    duration_value: i64,
}

#[derive(Deserialize)]
struct Named<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
struct Abowire<'a> {
    action: &'a str,
    timestamp: &'a str,
    #[serde(borrow)]
    payload: AbowirePayload<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AbowirePayload<'a> {
    id: &'a str,
    current_period_end: Option<&'a str>,
    #[serde(borrow)]
    customer: Option<Named<'a>>,
    product: Option<Named<'a>>,
    subscription: Option<AbowireSubscription<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AbowireSubscription<'a> {
    id: &'a str,
    current_period_end: &'a str,
}

#[derive(Deserialize)]
struct Gately<'a> {
    event: &'a str,
    created_at: &'a str,
    #[serde(borrow)]
    data: GatelyData<'a>,
}

#[derive(Deserialize)]
struct GatelyData<'a> {
    id: &'a str,
    member_id: &'a str,
    plan_id: &'a str,
    current_period_end: &'a str,
}

/// What a body of the workload states; `None` if it cannot be read.
pub(crate) fn read<'a>(source: &str, body: &'a [u8]) -> Option<Statement<'a>> {
    match source {
        "cloudevents" => cloudevents(serde_json::from_slice(body).ok()?),
        "piano" => Some(piano(serde_json::from_slice(body).ok()?)),
        "tonos" => tonos(serde_json::from_slice(body).ok()?),
        "abowire" => abowire(serde_json::from_slice(body).ok()?),
        "gately" => gately(serde_json::from_slice(body).ok()?),
        _ => None,
    }
}

fn cloudevents(it: Cloudevents<'_>) -> Option<Statement<'_>> {
    Some(Statement {
        grant: it.data.grant,
        user: it.subject,
        product: it.data.product,
        begins: it.kind == "tenure.granted",
        at: Some(time(it.time)?),
        until: time(it.data.until)?,
    })
}

fn piano(it: Piano<'_>) -> Statement<'_> {
    Statement {
        grant: it.access_id,
        user: Some(it.uid),
        product: Some(it.rid),
        begins: it.event == "new_purchase",
        at: None,
        until: it.expires,
    }
}

fn tonos(it: Tonos<'_>) -> Option<Statement<'_>> {
    let at = time(it.created)?;
    let product = it
        .data
        .product
        .or(it.data.subscription.map(|it| it.product));
    Some(Statement {
        grant: it.data.subscription_id.unwrap_or(it.data.id),
        user: Some(it.data.customer_id),
        product: product.map(|it| it.id),
        begins: it.kind == "subscription:created",
        at: Some(at),
        until: at + it.data.product_access_provider.duration_value * 3_600,
    })
}

fn abowire(it: Abowire<'_>) -> Option<Statement<'_>> {
    let payload = it.payload;
    let (grant, until) = match payload.subscription {
        Some(subscription) => (subscription.id, subscription.current_period_end),
        None => (payload.id, payload.current_period_end?),
    };
    Some(Statement {
        grant,
        user: payload.customer.map(|it| it.id),
        product: payload.product.map(|it| it.id),
        begins: it.action == "create",
        at: Some(time(it.timestamp)?),
        until: time(until)?,
    })
}

fn gately(it: Gately<'_>) -> Option<Statement<'_>> {
    Some(Statement {
        grant: it.data.id,
        user: Some(it.data.member_id),
        product: Some(it.data.plan_id),
        begins: it.event == "subscription.created",
        at: Some(time(it.created_at)?),
        until: time(it.data.current_period_end)?,
    })
}

/// Seconds of `2026-01-01T00:00:00`, whatever follows: every system of the workload writes times in UTC and alike.
fn time(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Days since 1970, counted in years that begin in March, by which the day that is added in some is the last of one.
    let year = year - i64::from(month <= 2);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    Some(days * 86_400 + number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?)
}
