//! Events as Piano writes them, for whoever tries an endpoint out.

use serde::Serialize;

use super::super::Particulars;
use super::meaning_of_event;

/// A body of version 1: one flat object, whose fields are all there and may be null.
#[derive(Serialize)]
struct Packet<'a> {
    event: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    aid: &'a str,
    uid: &'a str,
    rid: Option<&'a str>,
    access_id: Option<&'a str>,
    term_id: Option<&'a str>,
    user_email: &'a str,
    expires: Option<i64>,
    contract_id: Option<&'a str>,
    payment_id: Option<&'a str>,
    conversion_id: Option<&'a str>,
}

/// The application in the vendor's own examples.
const APPLICATION: &str = "AAAAAAAAAA";

/// The names of events behind which there is a payment.
const OF_A_PAYMENT: &[&str] = &[
    "new_purchase",
    "payment_verified",
    "subscription_auto_renewed",
    "subscription_manually_renewed",
    "voucher_purchased",
    "payment_failed",
    "payment_refunded",
];

/// The text of an event of that name, one of those that are listed.
pub(super) fn example(kind: &str, particulars: &Particulars) -> Option<String> {
    // A name that only the coarse list has goes into the coarse field.
    let is_coarse = meaning_of_event(kind).is_none() && super::meaning_of_type(kind).is_some();
    let speaks_of_access = is_coarse || meaning_of_event(kind).is_some();
    let is_of_payment = OF_A_PAYMENT.contains(&kind);
    let has_access = speaks_of_access || is_of_payment;
    let of_access = |text| has_access.then_some(text);
    // The vendor has no ids of events. One of these two tells one packet from the next, as in reality.
    let id = particulars.id.as_str();
    let packet = Packet {
        event: (!is_coarse).then_some(kind),
        kind: is_coarse.then_some(kind),
        aid: particulars.tenant.as_deref().unwrap_or(APPLICATION),
        uid: particulars.user.as_str(),
        rid: of_access(particulars.product.as_str()),
        access_id: of_access(particulars.grant.as_str()),
        term_id: of_access("TM1"),
        user_email: "reader@example.com",
        expires: has_access.then(|| particulars.until.micros().div_euclid(1_000_000)),
        contract_id: None,
        payment_id: is_of_payment.then_some(id),
        conversion_id: (!is_of_payment).then_some(id),
    };
    serde_json::to_string(&packet).ok()
}
