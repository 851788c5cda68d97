//! What an event did, in a few words.

use tenure::{End, GrantSummary, Lane, LaneEvent};

use super::calendar::short;
use crate::words;

/// What an event did to its grant, by whom if not by the grant's own source, and what is odd about it.
pub(super) fn what(event: &LaneEvent, lane: &Lane) -> String {
    let mut said = did(event);
    let attribution = event.attribution.as_ref();
    let actor = attribution.and_then(|it| it.actor.as_ref());
    match actor {
        Some(actor) => said.push_str(&format!(", by {} ({actor})", event.stated_by)),
        None if event.stated_by != lane.source => {
            said.push_str(&format!(", by {}", event.stated_by));
        }
        None => {}
    }
    for anomaly in &event.anomalies {
        said.push_str(&format!(" ! {}", anomaly.name()));
    }
    if let Some(why) = attribution.and_then(|it| it.why.as_ref()) {
        said.push_str(&format!(": {why}"));
    }
    said
}

/// When an event was recorded, if that was a day or more after it took effect.
pub(super) fn lateness(event: &LaneEvent) -> Option<String> {
    const DAY: i64 = 86_400_000_000;
    let (effective, recorded) = (event.effective_at.0, event.recorded_at.0);
    let late = recorded.micros() - effective.micros();
    (late >= DAY).then(|| format!("recorded {}", short(recorded)))
}

fn did(event: &LaneEvent) -> String {
    let (before, after) = (&event.effect.before, &event.effect.after);
    if before == after {
        // A block on a user is kept outside the grants.
        return match (event.about_user, event.change) {
            (true, "suspended") => "a block on the user",
            (true, "resumed") => "lifts a block on the user",
            _ => "changed nothing",
        }
        .to_owned();
    }
    let mut parts = Vec::new();
    match (before.state, after.state) {
        ("live", "live") => parts.extend(differences(before, after)),
        ("over", "live") => parts.push(format!("opened again{}", term(event))),
        (_, "live") => parts.push(format!("opened{}", term(event))),
        ("over", "over") => parts.push(format!("closed, now as {}", after.how.unwrap_or("ended"))),
        (_, _) => parts.push(format!("closed ({})", after.how.unwrap_or("ended"))),
    }
    if parts.is_empty() {
        return "changed nothing that shows".to_owned();
    }
    parts.join(", ")
}

/// From when, if that is not the event's own time, and until when.
fn term(event: &LaneEvent) -> String {
    let after = &event.effect.after;
    let later = after.start.filter(|start| *start != event.effective_at.0);
    let mut said = later.map_or_else(String::new, |start| format!(" from {}", short(start)));
    match after.end {
        Some(End::At(end)) => said.push_str(&format!(" to {}", short(end))),
        Some(End::Never) => said.push_str(", without end"),
        None => {}
    }
    said
}

fn differences(before: &GrantSummary, after: &GrantSummary) -> Vec<String> {
    let mut parts = Vec::new();
    if let (true, Some(user)) = (before.user != after.user, &after.user) {
        parts.push(format!("now held by {user}"));
    }
    if let (true, Some(product)) = (before.product != after.product, &after.product) {
        parts.push(format!("now {product}"));
    }
    if before.start != after.start
        && let Some(start) = after.start
    {
        parts.push(format!("from {}", short(start)));
    }
    if before.end != after.end {
        parts.push(match after.end {
            Some(End::At(end)) => format!("ends {}", short(end)),
            Some(End::Never) | None => "without end".to_owned(),
        });
    }
    if after.paid_until != after.end && before.paid_until != after.paid_until {
        parts.push(match after.paid_until {
            Some(End::At(paid_until)) => format!("paid until {}", short(paid_until)),
            Some(End::Never) | None => "paid without end".to_owned(),
        });
    }
    match (words::blocks(before), words::blocks(after)) {
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
    parts
}
