//! Events as the vendor writes them.

use serde_json::json;

use super::super::Particulars;
use crate::domain::time::{Instant, Length};

/// The most days a length may have.
const MOST_DAYS: i64 = 36_525;

/// The text of an event of that type.
pub(super) fn text(kind: &str, particulars: &Particulars) -> Option<String> {
    let Particulars {
        id,
        user,
        product,
        grant,
        at,
        until,
        tenant: _,
    } = particulars;
    let created = naive(*at);
    let status = match kind {
        "subscription:canceled" => "Canceled",
        "subscription:expired" => "Expired",
        _ => "Active",
    };
    // One invoice for one paid period, however often that period is spoken of.
    let invoice = format!("{grant}-{}", until.micros());
    let product = json!({"id": product, "name": product, "createdAt": created});
    let length = json!({"name": "term", "type": "Payment", "unlimitedAccess": false,
        "durationValue": days(*at, *until), "durationTime": "days"});
    let subscription = json!({"id": grant, "customerId": user, "status": status,
        "lastInvoiceId": invoice, "product": product, "productAccessProvider": length,
        "createdAt": created});
    let related = |own_id: &str| {
        json!({"id": own_id, "amount": 300, "currency": "usd", "customerId": user,
            "subscriptionId": grant, "subscription": subscription, "productAccessProvider": length,
            "product": product, "createdAt": created})
    };
    let data = match kind {
        "subscription:created"
        | "subscription:updated"
        | "subscription:canceled"
        | "subscription:expired" => subscription,
        "invoice:created" | "invoice:updated" | "invoice:canceled" => related(&invoice),
        "payment:created" | "payment:updated" | "payment:failed" | "payment:refunded" => {
            related(id)
        }
        "license:created" | "license:redeemed" | "license:redeened" => json!({"id": grant,
            "customerId": user, "productAccessProvider": length, "product": product,
            "createdAt": created}),
        "addon:promotioncode:created" => json!({"id": id, "code": "WELCOME", "createdAt": created}),
        _ => return None,
    };
    Some(json!({"id": id, "data": data, "created": created, "type": kind}).to_string())
}

/// Without an offset, seven digits behind the point.
fn naive(instant: Instant) -> String {
    let text = instant.to_string();
    let text = text.trim_end_matches('Z');
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{seconds}.{fraction:0<7}")
}

/// The whole days that reach from one to the other, at least one.
fn days(from: Instant, to: Instant) -> i64 {
    let (day, rest) = (Length::DAY.micros(), Length::DAY.micros() - 1);
    let span = to.micros().saturating_sub(from.micros());
    (span.saturating_add(rest) / day).clamp(1, MOST_DAYS)
}
