//! Events as the vendor writes them.

use serde_json::json;

use super::super::Particulars;

/// The text of an event of that name.
pub(super) fn text(kind: &str, particulars: &Particulars) -> Option<String> {
    let Particulars {
        id,
        user,
        product,
        grant,
        at,
        until,
        tenant,
    } = particulars;
    let data = match kind {
        "member.created" => json!({"id": user, "plan_id": product, "status": "active",
            "metadata": {}, "created_at": at}),
        "member.updated" => json!({"id": user,
            "changes": {"status": {"old": "active", "new": "suspended"}}}),
        "member.deleted" => json!({"id": user, "deleted_at": at}),
        "member.login" => json!({"id": user, "login_method": "password"}),
        "member.plan_changed" => json!({"id": user, "previous_plan": null, "new_plan": product,
            "changed_at": at}),
        "subscription.created" | "subscription.renewed" | "subscription.updated" => json!({
            "id": grant, "member_id": user, "plan_id": product, "status": "active",
            "current_period_start": at, "current_period_end": until}),
        "subscription.cancelled" => json!({"id": grant, "member_id": user, "plan_id": product,
            "cancel_at_period_end": true, "cancelled_at": at, "effective_date": until}),
        "payment.succeeded" => json!({"id": "pay_1", "member_id": user, "amount": 900,
            "currency": "usd", "paid_at": at}),
        "payment.failed" => json!({"id": "pay_1", "member_id": user, "amount": 900,
            "currency": "usd", "error_code": "card_declined", "failed_at": at}),
        "refund.created" => json!({"id": "ref_1", "member_id": user, "amount": 900,
            "currency": "usd", "created_at": at}),
        "form.submitted" => json!({"form_id": "form_1", "submission_id": "sub_1", "fields": {},
            "submitted_at": at}),
        "form.created" => json!({"id": "form_1", "status": "draft", "created_at": at}),
        "ticket.created" => json!({"id": "tkt_1", "status": "open", "created_at": at}),
        "ticket.replied" => json!({"ticket_id": "tkt_1", "reply_id": "rep_1", "created_at": at}),
        "testimonial.submitted" => json!({"id": "test_1", "rating": 5, "submitted_at": at}),
        "testimonial.approved" => json!({"id": "test_1", "approved_at": at}),
        _ => return None,
    };
    let project = tenant.as_deref().unwrap_or("proj_1");
    let event = json!({"id": id, "event": kind, "created_at": at, "project_id": project,
        "data": data});
    Some(event.to_string())
}
