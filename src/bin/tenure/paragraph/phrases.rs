//! Parts of sentences.

use tenure::{Access, DenyReason, End, Origin, Step};

use crate::moment::in_words;

pub(super) fn named(access: &Access) -> String {
    format!(
        "product {} (grant {} of {})",
        access.product, access.grant.key, access.grant.source
    )
}

pub(super) fn kind(origin: Origin) -> &'static str {
    match origin {
        Origin::Purchase => ", a purchase",
        Origin::Trial => ", a trial",
        Origin::Promo => ", a promotion",
        Origin::Registration => ", given for registering",
        Origin::Complimentary => ", given by the publisher",
        Origin::Gift => ", a gift",
        Origin::Import => ", brought over from before",
    }
}

pub(super) fn until(end: End) -> String {
    match end {
        End::At(end) => format!("until {}", in_words(end)),
        End::Never => "without an end".to_owned(),
    }
}

/// When something was stated, by whom and why: `on 3 March 2026, 09:00 UTC by anna: chargeback`.
pub(super) fn said(step: &Step) -> String {
    let at = in_words(step.effective_at.0);
    let attribution = step.attribution.as_ref();
    let actor = attribution.and_then(|it| it.actor.clone());
    let by = actor.unwrap_or_else(|| step.stated_by.to_string());
    match attribution.and_then(|it| it.why.as_deref()) {
        Some(why) => format!(
            "on {at} by {by}: {}",
            why.trim_end_matches(['.', '!', '?', ' '])
        ),
        None => format!("on {at} by {by}"),
    }
}

/// What an event that restricts did to a grant; `None` if it does not restrict.
pub(super) fn taking(step: &Step, is_to_come: bool) -> Option<String> {
    let was = if is_to_come { "will be" } else { "was" };
    let (before, after) = (&step.effect.before, &step.effect.after);
    let is_other = before.product.is_some() && before.product != after.product;
    Some(match step.change {
        "granted" if is_other => match &after.product {
            Some(product) => format!("It {was} changed to {product}"),
            None => return None,
        },
        "revoked" => format!("It {was} taken away"),
        "ended" if before.state == "over" || is_to_come => format!("It {was} ended"),
        "ended" => ending(after.how).to_owned(),
        "user_removed" => format!("The account {was} removed"),
        "refunded" => match after.state {
            "over" if !is_to_come => ending(after.how).to_owned(),
            _ => format!("A payment {was} given back"),
        },
        "cancelled" => format!("It {was} cancelled"),
        "suspended" => format!("It {was} suspended"),
        "modified" | "rescheduled" => format!("Its end {was} moved"),
        "transferred" => match &after.user {
            Some(user) => format!("It {was} handed over to {user}"),
            None => format!("It {was} handed over"),
        },
        "switched" => match &after.product {
            Some(product) => format!("It {was} switched to {product}"),
            None => format!("It {was} switched"),
        },
        _ => return None,
    })
}

/// What ended a grant, by the name in its summary.
pub(super) fn ending(how: Option<&str>) -> &'static str {
    let is = |cause: &str| how == Some(cause);
    if is("expired") {
        "It had run out and was ended"
    } else if is("cancelled") {
        "It was ended after a cancellation"
    } else if is("renewal_failed") {
        "The renewal could not be collected, and it was ended"
    } else if is("refunded") {
        "The money was given back, and it was ended"
    } else if is("user_removed") {
        "The account was removed"
    } else {
        "It was ended"
    }
}

pub(super) fn parent_reason(reason: DenyReason) -> &'static str {
    match reason {
        DenyReason::Transferred => "somebody else holds it",
        DenyReason::Revoked => "it was taken away",
        DenyReason::Refunded => "the money was given back",
        DenyReason::Ended => "it was ended",
        DenyReason::Cancelled => "it was cancelled and ran out",
        DenyReason::Lapsed => "it ran out and was not renewed",
        DenyReason::Suspended => "it is suspended",
        DenyReason::NotIncluded | DenyReason::ParentEnded => "it gives none itself",
        DenyReason::NotYet => "it begins later",
        DenyReason::NeverGranted | DenyReason::UnknownUser => "nothing ever gave it",
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(names: &[String]) -> String {
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
