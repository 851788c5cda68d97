//! The types of event there are.

/// What a `type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Granted,
    Modified,
    Rescheduled,
    Renewed,
    GraceExtended,
    PaymentFailed,
    Revoked,
    Suspended,
    Resumed,
    Withdrawn,
    Cancelled,
    Reinstated,
    Switched,
    Transferred,
    Refunded,
    Ended,
    UserRemoved,
    Linked,
}

/// What a `type` says; `None` if it is none of this dialect.
pub(super) fn verb(kind: &str) -> Option<Verb> {
    Some(match kind {
        "tenure.granted" => Verb::Granted,
        "tenure.modified" => Verb::Modified,
        "tenure.rescheduled" => Verb::Rescheduled,
        "tenure.renewed" => Verb::Renewed,
        "tenure.grace_extended" => Verb::GraceExtended,
        "tenure.payment_failed" => Verb::PaymentFailed,
        "tenure.revoked" => Verb::Revoked,
        "tenure.suspended" => Verb::Suspended,
        "tenure.resumed" => Verb::Resumed,
        "tenure.withdrawn" => Verb::Withdrawn,
        "tenure.cancelled" => Verb::Cancelled,
        "tenure.reinstated" => Verb::Reinstated,
        "tenure.switched" => Verb::Switched,
        "tenure.transferred" => Verb::Transferred,
        "tenure.refunded" => Verb::Refunded,
        "tenure.ended" => Verb::Ended,
        "tenure.user_removed" => Verb::UserRemoved,
        "tenure.linked" => Verb::Linked,
        _ => return None,
    })
}
