//! A scenario, gone through with an engine of its own that holds everything in memory.

use serde::Serialize;
use tenure::{
    Anomaly, Decision, Delivery, End, Engine, EngineError, Explanation, MemoryReader, MemoryStore,
    Outcome, Position, Reader, Refusal, Retried, Secrets, Step as Explained, Verdict,
};

use super::expected::{Answer, Asked, Bounds, Expected, NEVER, Received};
use super::reading::{Action, Scenario, Step};
use super::windows;
use crate::failure::Failure;
use crate::words;

/// How many of the last steps of an explanation are shown.
const STEPS: usize = 4;

/// An expectation that was not met, with all that came otherwise.
#[derive(Serialize)]
pub(super) struct Finding {
    /// Which delivery, question or entry of `windows`, counted from 1.
    pub(super) of: String,
    pub(super) line: usize,
    /// What was asked, or what was delivered.
    pub(super) asked: String,
    pub(super) differences: Vec<Difference>,
    /// What led to it.
    pub(super) why: Vec<String>,
}

/// Something that was expected, and what came instead. A line each.
#[derive(Serialize)]
pub(super) struct Difference {
    pub(super) what: &'static str,
    pub(super) expected: Vec<String>,
    pub(super) actual: Vec<String>,
}

/// Goes through a scenario and gives what did not come out as it says.
pub(super) fn findings(scenario: &Scenario) -> Result<Vec<Finding>, Failure> {
    let mut engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
    if let Some(rules) = &scenario.rules {
        engine.begin_with_rules(rules)?;
    }
    let mut taken = Vec::with_capacity(scenario.steps.len());
    for step in &scenario.steps {
        taken.push(take(&mut engine, step)?);
    }
    let mut reader = engine.reader()?;
    // An event that comes later may change what an earlier one left.
    let anomalies = anomalies(&mut reader)?;
    let mut findings = Vec::new();
    for ((step, taken), number) in scenario.steps.iter().zip(&taken).zip(1..) {
        findings.extend(of_step(step, taken, &anomalies, number));
    }
    for (asked, number) in scenario.questions.iter().zip(1..) {
        findings.extend(of_question(&mut reader, asked, number)?);
    }
    for (of, number) in scenario.windows.iter().zip(1..) {
        findings.extend(windows::of_windows(&mut reader, of, number)?);
    }
    Ok(findings)
}

/// What became of a delivery, or of one that was retried.
struct Taken {
    outcome: Outcome,
    kind: Option<String>,
    events: u32,
    refusal: Option<Refusal>,
    /// Where its events are recorded.
    position: Option<Position>,
}

fn take(engine: &mut Engine<MemoryStore>, step: &Step) -> Result<Vec<Taken>, EngineError> {
    match &step.action {
        Action::Deliver {
            source,
            received_at,
            request,
        } => {
            let delivery = Delivery::trusted(source.clone(), request.clone());
            let delivery = delivery.received_at(Some(*received_at));
            let receipt = engine.ingest(delivery, step.recorded_at)?;
            let is_new = receipt.outcome != Outcome::Duplicate;
            Ok(vec![Taken {
                outcome: receipt.outcome,
                kind: receipt.kind,
                events: receipt.events,
                refusal: receipt.refusal,
                position: is_new.then_some(receipt.position),
            }])
        }
        Action::Apply(rules) => {
            engine.apply(rules, step.recorded_at, &mut |_| {})?;
            Ok(Vec::new())
        }
        Action::Retry => {
            let parked = engine.reader()?.parked(Position::default(), usize::MAX)?;
            let mut at = step.recorded_at;
            let mut taken = Vec::with_capacity(parked.len());
            for (parked, _) in parked {
                if parked.settled == tenure::Settled::Open {
                    taken.push(Taken::of_retry(engine.retry(parked.position, at)?));
                    at = at.next();
                }
            }
            Ok(taken)
        }
    }
}

impl Taken {
    fn of_retry(retried: Retried) -> Self {
        let (outcome, events, position, refusal) = match retried {
            Retried::Recorded { events: 0, .. } => (Outcome::Ignored, 0, None, None),
            Retried::Recorded { position, events } => {
                (Outcome::Applied, events, Some(position), None)
            }
            Retried::TakenBefore { .. } => (Outcome::Duplicate, 0, None, None),
            Retried::StillParked { refusal } => (Outcome::Quarantined, 0, None, Some(refusal)),
        };
        Self {
            outcome,
            kind: None,
            events,
            refusal,
            position,
        }
    }
}

/// Every anomaly, with the entry that recorded its event.
fn anomalies(reader: &mut Reader<MemoryReader>) -> Result<Vec<(Position, Anomaly)>, EngineError> {
    const PAGE: usize = 1_000;
    let (mut found, mut last) = (Vec::new(), None);
    loop {
        let page = reader.anomalies(None, last.as_ref(), PAGE)?;
        found.extend(page.iter().map(|it| (it.position, it.anomaly)));
        match page.into_iter().next_back() {
            Some(anomaly) => last = Some(anomaly),
            None => return Ok(found),
        }
    }
}

/// The differences between what is expected and what is.
#[derive(Default)]
pub(super) struct Differences(Vec<Difference>);

impl Differences {
    pub(super) fn add(&mut self, what: &'static str, expected: Vec<String>, actual: Vec<String>) {
        if expected != actual {
            self.0.push(Difference {
                what,
                expected,
                actual,
            });
        }
    }

    fn one<T: ToString>(&mut self, what: &'static str, expected: Option<&T>, actual: Option<&T>) {
        if let Some(expected) = expected {
            let actual = actual.map(ToString::to_string).into_iter().collect();
            self.add(what, vec![expected.to_string()], actual);
        }
    }
}

fn of_step(
    step: &Step,
    taken: &[Taken],
    anomalies: &[(Position, Anomaly)],
    number: usize,
) -> Option<Finding> {
    let Received {
        outcome,
        reason,
        events,
        anomalies: left,
    } = &step.expected;
    let mut differences = Differences::default();
    let each = |of: fn(&Taken) -> Option<String>| -> Vec<String> {
        let mut texts: Vec<String> = taken.iter().filter_map(of).collect();
        texts.dedup();
        texts
    };
    if let Some(outcome) = outcome {
        let actual = each(|taken| Some(taken.outcome.to_string()));
        differences.add("outcome", vec![outcome.to_string()], actual);
    }
    if let Some(reason) = reason {
        let actual = each(|taken| Some(taken.refusal.as_ref()?.reason.to_string()));
        differences.add("reason", vec![reason.to_string()], actual);
    }
    let recorded: u32 = taken.iter().map(|taken| taken.events).sum();
    differences.one("events", events.as_ref(), Some(&recorded));
    if let Some(left) = left {
        let is_here = |at: &Position| taken.iter().any(|taken| taken.position == Some(*at));
        let here = anomalies.iter().filter(|(position, _)| is_here(position));
        let mut here: Vec<Anomaly> = here.map(|(_, anomaly)| *anomaly).collect();
        here.sort_unstable();
        differences.add("anomalies", names(left), names(&here));
    }
    let refusals = taken.iter().filter_map(|taken| taken.refusal.as_ref());
    let mut why: Vec<String> = refusals
        .map(|refusal| {
            let (reason, field) = (refusal.reason, &refusal.field);
            format!("{reason} in `{field}`: {}", refusal.detail)
        })
        .collect();
    let kind = taken.iter().find_map(|taken| taken.kind.clone());
    let asked = match &step.action {
        Action::Deliver { source, .. } => {
            format!("{} of {source}", kind.as_deref().unwrap_or("a delivery"))
        }
        Action::Apply(_) => "rules".to_owned(),
        Action::Retry => {
            if taken.is_empty() {
                why.push("nothing was in quarantine".to_owned());
            }
            "what is in quarantine, retried".to_owned()
        }
    };
    finding(("delivery", number), step.line, asked, differences, || why)
}

fn names(anomalies: &[Anomaly]) -> Vec<String> {
    anomalies.iter().map(ToString::to_string).collect()
}

pub(super) fn finding(
    (of, number): (&str, usize),
    line: usize,
    asked: String,
    differences: Differences,
    why: impl FnOnce() -> Vec<String>,
) -> Option<Finding> {
    if differences.0.is_empty() {
        return None;
    }
    Some(Finding {
        of: format!("{of} {number}"),
        line,
        asked,
        differences: differences.0,
        why: why(),
    })
}

fn of_question(
    reader: &mut Reader<MemoryReader>,
    asked: &Asked,
    number: usize,
) -> Result<Option<Finding>, EngineError> {
    let question = &asked.question;
    let decision = reader.check(question)?;
    let differences = between(&asked.expected, &decision);
    let mut text = format!("{} {} at {}", question.user, question.resource, question.at);
    if let Some(as_of) = question.as_of {
        text.push_str(&format!(" as of {}", as_of.0));
    }
    let explanation = reader.explain(question, None)?;
    let of = ("question", number);
    Ok(finding(of, asked.line, text, differences, || {
        why(&explanation)
    }))
}

fn between(expected: &Expected, decision: &Decision) -> Differences {
    let mut differences = Differences::default();
    let verdict = decision.verdict;
    let is_met = match expected.answer {
        Some(Answer::Allow) => verdict.is_allowed(),
        Some(Answer::Deny) => !verdict.is_allowed(),
        Some(Answer::Exactly(expected)) => verdict == expected,
        None => true,
    };
    if let (Some(answer), false) = (expected.answer, is_met) {
        let said = |verdict: Verdict| format!("{}: {}", verdict.name(), verdict.reason());
        let expected = match answer {
            Answer::Allow => "allow".to_owned(),
            Answer::Deny => "deny".to_owned(),
            Answer::Exactly(expected) => said(expected),
        };
        differences.add("answer", vec![expected], vec![said(verdict)]);
    }
    if let Some(until) = expected.until {
        let shown = |end: End| end.instant().map_or(NEVER.to_owned(), |at| at.to_string());
        let actual = decision.next_change_at.map_or(End::Never, End::At);
        differences.add("until", vec![shown(until)], vec![shown(actual)]);
    }
    let access = decision.access.as_ref();
    let grant = access.map(|access| &access.grant);
    differences.one("grant", expected.grant.as_ref(), grant.map(|it| &it.key));
    differences.one(
        "source",
        expected.source.as_ref(),
        grant.map(|it| &it.source),
    );
    differences.one(
        "product",
        expected.product.as_ref(),
        access.map(|it| &it.product),
    );
    if let Some(Bounds { start, end }) = expected.window {
        let actual = access.and_then(|access| access.window);
        let actual = actual.map(|(start, end)| words::span(start, end));
        let actual = actual.into_iter().collect();
        differences.add("window", vec![words::span(start, end)], actual);
    }
    differences
}

/// The last steps of what led to a decision.
pub(super) fn why(explanation: &Explanation) -> Vec<String> {
    let decisive: Vec<&Explained> = explanation.steps.iter().filter(|it| it.decisive).collect();
    let steps = if decisive.is_empty() {
        explanation.steps.iter().collect()
    } else {
        decisive
    };
    let in_effect: Vec<&&Explained> = steps.iter().filter(|step| step.in_effect).collect();
    let from = in_effect.len().saturating_sub(STEPS);
    let mut lines = Vec::new();
    for step in in_effect.into_iter().skip(from) {
        lines.push(format!("{} {}", step.effective_at.0, words::stated(step)));
        lines.push(format!("  {}", words::effect(step)));
        for anomaly in &step.anomalies {
            lines.push(format!("  ! {anomaly}: {}", anomaly.meaning()));
        }
    }
    if lines.is_empty() {
        lines.push("no event of a grant of this user had taken effect".to_owned());
    }
    lines
}
