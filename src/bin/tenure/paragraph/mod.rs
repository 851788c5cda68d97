//! An answer as a support agent reads it out: who, what, since when, why, until when, and what would have kept access.

use std::cmp::Ordering;

use tenure::{
    AllowReason, Decision, End, Explanation, GrantSummary, Instant, Mentioning, Step, UserId,
    Verdict,
};

use self::phrases::{kind, list, named, said, until};
use crate::moment::in_words;

mod lack;
mod phrases;
mod wrapped;

pub(crate) use self::wrapped::lines;

/// The answer in sentences. `now` decides whether they speak of the past.
pub(crate) fn paragraph(explanation: &Explanation, now: Instant) -> String {
    let told = Told {
        explanation,
        decision: &explanation.decision,
        tense: explanation.decision.question.at.cmp(&now),
        now,
    };
    let mut sentences = vec![told.answer()];
    sentences.extend(told.knowledge());
    sentences.extend(told.origin());
    match explanation.decision.verdict {
        Verdict::Allow(reason) => sentences.extend(told.until(reason)),
        Verdict::Deny(reason) => sentences.extend(told.lack(reason)),
    }
    sentences.extend(told.turned());
    sentences.extend(told.beginning_again());
    sentences.join(" ")
}

/// What is to be said of the reader beside the answer: other ids, and a warning of deliveries that had no effect.
pub(crate) fn about_reader(explanation: &Explanation) -> Option<String> {
    let sentences = [
        other_ids(explanation),
        quarantined(&explanation.quarantined),
    ];
    let sentences: Vec<String> = sentences.into_iter().flatten().collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

fn other_ids(explanation: &Explanation) -> Option<String> {
    let own = &explanation.decision.question.user;
    let others = explanation.linked.iter().filter(|id| *id != own);
    let others: Vec<String> = others.map(UserId::to_string).collect();
    (!others.is_empty()).then(|| format!("The reader is also known as {}.", list(&others)))
}

/// A warning of deliveries that may be about the reader and had no effect.
pub(crate) fn quarantined(mentioning: &[Mentioning]) -> Option<String> {
    let (first, others) = mentioning.split_first()?;
    let show = format!("see `tenure quarantine show {}`", first.position);
    if others.is_empty() {
        return Some(format!(
            "A delivery that could not be applied mentions this reader: {show}."
        ));
    }
    let others: Vec<String> = others.iter().map(|it| it.position.to_string()).collect();
    Some(format!(
        "{} deliveries that could not be applied mention this reader: {show}, and {}.",
        mentioning.len(),
        others.join(", ")
    ))
}

struct Told<'a> {
    explanation: &'a Explanation,
    decision: &'a Decision,
    /// Where the instant asked about lies, seen from now.
    tense: Ordering,
    now: Instant,
}

impl Told<'_> {
    fn answer(&self) -> String {
        let question = &self.decision.question;
        let (user, resource) = (&question.user, &question.resource);
        let at = in_words(question.at);
        let none = if self.decision.verdict.is_allowed() {
            ""
        } else {
            " no"
        };
        match self.tense {
            Ordering::Less => format!("On {at}, {user} had{none} access to {resource}."),
            Ordering::Equal => format!("{user} has{none} access to {resource}."),
            Ordering::Greater => format!("On {at}, {user} will have{none} access to {resource}."),
        }
    }

    fn knowledge(&self) -> Option<String> {
        let as_of = self.decision.question.as_of?;
        Some(format!(
            "That is judged by what was known on {}.",
            in_words(as_of.0)
        ))
    }

    /// Which grant it is about, and from when it gave access.
    fn origin(&self) -> Option<String> {
        let access = self.decision.access.as_ref()?;
        let grant = named(access);
        let is_allowed = self.decision.verdict.is_allowed();
        let origin = self.last().and_then(|last| last.effect.after.origin);
        let origin = origin.map_or("", kind);
        let Some((start_at, end)) = access.window else {
            return Some(format!("It would come with {grant}{origin}."));
        };
        let (start, until) = (in_words(start_at), until(end));
        Some(if is_allowed {
            let comes = if self.is_past() { "came" } else { "comes" };
            format!("Access {comes} with {grant}{origin}, and began on {start}.")
        } else if end.is_after(self.decision.question.at) {
            let has = if self.is_past() { "had" } else { "has" };
            format!("The reader {has} {grant}{origin}, from {start} {until}.")
        } else {
            let was = match (start_at > self.now, end.is_after(self.now)) {
                (true, _) => "will be",
                (false, true) => "is",
                (false, false) => "was",
            };
            format!("There {was} access with {grant}{origin}, from {start} {until}.")
        })
    }

    /// Until when there is access, and what happens then.
    fn until(&self, reason: AllowReason) -> Vec<String> {
        let Some((_, end)) = self.decision.access.as_ref().and_then(|it| it.window) else {
            return Vec::new();
        };
        let summary = self.last().map(|last| &last.effect.after);
        let mut sentences: Vec<String> = self.failed_payment().into_iter().collect();
        if let (AllowReason::Grace, Some(End::At(paid_until))) =
            (reason, summary.and_then(|it| it.paid_until))
        {
            let goes = if self.is_past() { "went" } else { "goes" };
            sentences.push(format!(
                "What was paid ran out on {}; access {goes} on for a time of grace.",
                in_words(paid_until)
            ));
        }
        sentences.extend(self.cancellation());
        sentences.push(match (end, summary) {
            (End::Never, _) => "It has no end.".to_owned(),
            (End::At(end), Some(summary)) => self.end(reason, end, summary),
            (End::At(end), None) => format!("It ends on {}.", in_words(end)),
        });
        match (end, self.decision.next_change_at) {
            (End::At(_), None) => {
                sentences.push("With the reader's other grants it has no end.".to_owned());
            }
            (End::At(end), Some(change)) if end != change => {
                let change = in_words(change);
                sentences.push(format!(
                    "With the reader's other grants it goes on until {change}."
                ));
            }
            (End::Never | End::At(_), _) => {}
        }
        sentences
    }

    fn end(&self, reason: AllowReason, end: Instant, summary: &GrantSummary) -> String {
        let at = in_words(end);
        // Else what came after the instant asked about moved the end.
        let was_to_end = summary.end == Some(End::At(end));
        let renews = was_to_end && summary.recurring && !summary.cancelled;
        match (renews, reason, self.is_past()) {
            (true, AllowReason::Grace, false) => {
                format!("Unless it is paid by {at}, access ends then.")
            }
            (true, AllowReason::Grace, true) => {
                format!("Unless it was paid by {at}, access was to end then.")
            }
            (true, AllowReason::Active, false) => {
                format!("It is due for renewal on {at}; without one access ends then.")
            }
            (true, AllowReason::Active, true) => {
                format!("It was due for renewal on {at}; without one access was to end then.")
            }
            (false, _, true) if !was_to_end => {
                format!("By what is known now, that access lasts until {at}.")
            }
            (false, _, true) => format!("It was to end on {at}."),
            (false, _, false) => format!("It ends on {at}."),
        }
    }

    fn is_past(&self) -> bool {
        self.tense == Ordering::Less
    }

    fn failed_payment(&self) -> Option<String> {
        let last = self.steps().rfind(|step| {
            ["payment_failed", "granted", "renewed", "reinstated"].contains(&step.change)
        })?;
        let at = in_words(last.effective_at.0);
        (last.change == "payment_failed").then(|| format!("A payment failed on {at}."))
    }

    fn cancellation(&self) -> Option<String> {
        let is_cancelled = self.last()?.effect.after.cancelled;
        let step = self
            .steps()
            .rfind(|step| !step.effect.before.cancelled && step.effect.after.cancelled)?;
        let will = if self.is_past() {
            "was not to"
        } else {
            "will not"
        };
        is_cancelled.then(|| format!("It was cancelled {}, and {will} renew.", said(step)))
    }

    fn turned(&self) -> Option<String> {
        let since = self.explanation.since.as_ref()?;
        let Some(at) = self.explanation.turned_at else {
            let same = since.verdict == self.decision.verdict;
            let at = in_words(since.question.at);
            return same.then(|| format!("It was the same on {at}."));
        };
        if !self.decision.verdict.is_allowed() && self.explanation.lost_at != Some(at) {
            let at = in_words(at);
            return Some(match self.explanation.lost_at {
                Some(lost_at) => format!(
                    "There has been no access since {}; the reason is what it is since {at}.",
                    in_words(lost_at)
                ),
                None => format!("There was no access before; the reason is what it is since {at}."),
            });
        }
        Some(format!("It has been so since {}.", in_words(at)))
    }

    /// The steps in effect of the grant the answer was read from.
    fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        let steps = self.explanation.steps.iter();
        steps.filter(|step| step.decisive && step.in_effect)
    }

    fn last(&self) -> Option<&Step> {
        self.steps().next_back()
    }
}
