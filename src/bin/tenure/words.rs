//! Answers in words.

use tenure::{
    AllowReason, Attribution, Decision, DenyReason, End, GrantSummary, Instant, Step, Verdict,
};

/// What a reason means, for a person who is asked about it.
pub(crate) fn reason(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow(AllowReason::Active) => "within what was paid or granted",
        Verdict::Allow(AllowReason::Grace) => "what was paid has run out; access goes on by grace",
        Verdict::Deny(reason) => match reason {
            DenyReason::Transferred => "someone else holds the grant now",
            DenyReason::Revoked => "access was taken away",
            DenyReason::Refunded => "the money was given back",
            DenyReason::Ended => "the grant has ended",
            DenyReason::Cancelled => "it ran out after a cancellation",
            DenyReason::Lapsed => "it ran out and was not renewed",
            DenyReason::Suspended => "the grant is suspended",
            DenyReason::NotIncluded => "what the user has does not include the resource",
            DenyReason::ParentEnded => "the grant hangs on another one, which gives no access",
            DenyReason::NotYet => "access begins later",
            DenyReason::NeverGranted => "the user is known, but never had access to the resource",
            DenyReason::UnknownUser => "nothing that counts names the user",
        },
    }
}

/// The answer in one sentence.
pub(crate) fn answer(decision: &Decision) -> String {
    let question = &decision.question;
    let has = if decision.verdict.is_allowed() {
        "has"
    } else {
        "has no"
    };
    let mut text = format!(
        "{} {has} access to {} at {}",
        question.user, question.resource, question.at
    );
    if let Some(as_of) = question.as_of {
        text.push_str(&format!(", by what was recorded up to {}", as_of.0));
    }
    text
}

/// Who made something by hand, and why: `by anna: chargeback`.
pub(crate) fn attribution(of: &Attribution) -> String {
    let mut text = match (&of.actor, &of.why) {
        (Some(actor), Some(why)) => format!("by {actor}: {why}"),
        (Some(actor), None) => format!("by {actor}"),
        (None, Some(why)) => format!("why: {why}"),
        (None, None) => String::new(),
    };
    match (&of.file, of.row) {
        (Some(file), Some(row)) => text.push_str(&format!(" (row {row} of {file})")),
        (Some(file), None) => text.push_str(&format!(" (after {file})")),
        (None, _) => {}
    }
    text
}

/// What was stated, and by whom if not by the grant's own source: `revoked by staff (anna): chargeback`.
pub(crate) fn stated(step: &Step) -> String {
    let mut text = step.change.to_owned();
    if step.about_user {
        text.push_str(" (all grants of the user)");
    }
    let attribution = step.attribution.as_ref();
    let actor = attribution.and_then(|it| it.actor.as_ref());
    if actor.is_some() || step.stated_by != step.source {
        text.push_str(&format!(" by {}", step.stated_by));
    }
    if let Some(actor) = actor {
        text.push_str(&format!(" ({actor})"));
    }
    if let Some(why) = attribution.and_then(|it| it.why.as_ref()) {
        text.push_str(&format!(": {why}"));
    }
    text
}

/// A window, half-open.
pub(crate) fn span(start: Instant, end: End) -> String {
    match end {
        End::At(end) => format!("{start} to {end}"),
        End::Never => format!("{start}, without end"),
    }
}

pub(crate) fn next_change(decision: &Decision) -> String {
    match decision.next_change_at {
        Some(at) => at.to_string(),
        None => "never, by what is known".to_owned(),
    }
}

/// What an event did to its grant: only what differs.
pub(crate) fn effect(step: &Step) -> String {
    let (before, after) = (&step.effect.before, &step.effect.after);
    if before == after {
        // A block on a user is kept outside the grants.
        return match (step.about_user, step.change) {
            (true, "suspended") => "a block on the user".to_owned(),
            (true, "resumed") => "lifts the block on the user that has its name".to_owned(),
            _ => "changed nothing".to_owned(),
        };
    }
    let mut parts: Vec<String> = standing(before, after).into_iter().collect();
    let mut differ = |name: &str, before: Option<String>, after: Option<String>| {
        if let (true, Some(after)) = (before != after, after) {
            let before = before.map(|before| format!("{before} -> "));
            parts.push(format!("{name} {}{after}", before.unwrap_or_default()));
        }
    };
    // What is opened anew is said as a whole, the rest as a difference.
    if after.state != "live" || before.state == "live" {
        differ(
            "user",
            text(before.user.as_ref()),
            text(after.user.as_ref()),
        );
        differ(
            "product",
            text(before.product.as_ref()),
            text(after.product.as_ref()),
        );
        differ("start", text(before.start), text(after.start));
        // The end says it already, unless there is grace between the two.
        if after.paid_until != after.end {
            differ(
                "paid until",
                text(before.paid_until),
                text(after.paid_until),
            );
        }
        differ("end", text(before.end), text(after.end));
    }
    if after.state == "live" {
        match (blocks(before), blocks(after)) {
            (Some(_), None) => parts.push("no longer suspended".to_owned()),
            (before, Some(after)) if before.as_ref() != Some(&after) => {
                parts.push(format!("suspended by {after}"));
            }
            (Some(_) | None, Some(_)) | (None, None) => {}
        }
        match (before.cancelled, after.cancelled) {
            (false, true) => parts.push("will not renew".to_owned()),
            (true, false) => parts.push("will renew".to_owned()),
            (false, false) | (true, true) => {}
        }
    }
    if parts.is_empty() {
        return "changed nothing that shows".to_owned();
    }
    parts.join(", ")
}

/// How the grant stands now, if that is new.
fn standing(before: &GrantSummary, after: &GrantSummary) -> Option<String> {
    let how = after.how.unwrap_or("ended");
    match (before.state, after.state) {
        (_, "live") if before.state != "live" => {
            let again = if before.state == "over" { " again" } else { "" };
            let user = text(after.user.as_ref()).unwrap_or_default();
            let product = text(after.product.as_ref()).unwrap_or_default();
            let when = match (after.start, after.end) {
                (Some(start), Some(end)) => span(start, end),
                (Some(_) | None, None) | (None, Some(_)) => String::new(),
            };
            Some(format!("opened{again} for {user}: {product}, {when}"))
        }
        (_, "over") if before.state != "over" => Some(format!("closed ({how})")),
        (_, "over") if before.how != after.how => Some(format!("was closed, now as {how}")),
        _ => None,
    }
}

fn text(of: Option<impl ToString>) -> Option<String> {
    of.map(|of| of.to_string())
}

pub(crate) fn blocks(of: &GrantSummary) -> Option<String> {
    let names: Vec<&str> = of.blocks.iter().map(|name| name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
