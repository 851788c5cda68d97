//! What has to come of a scenario, as its file states it.

use tenure::{
    Anomaly, End, GrantKey, Instant, Outcome, ProductName, Question, Reason, RecordedAt,
    SourceName, UserId, Verdict,
};

use super::document::{Content, Document, Node};
use super::fields::{Fields, choice, end, instant, list};
use crate::failure::Failure;

/// The word for an answer that does not change any more.
pub(super) const NEVER: &str = "never";

/// What has to become of a delivery. What is absent is not looked at.
#[derive(Default)]
pub(super) struct Received {
    pub(super) outcome: Option<Outcome>,
    pub(super) reason: Option<Reason>,
    pub(super) events: Option<u32>,
    /// Sorted.
    pub(super) anomalies: Option<Vec<Anomaly>>,
}

/// The answer that has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    Deny,
    /// This one, with its reason.
    Exactly(Verdict),
}

/// Two bounds of a window.
pub(super) struct Bounds {
    pub(super) start: Instant,
    pub(super) end: End,
}

/// What the decision has to say. What is absent is not looked at.
pub(super) struct Expected {
    pub(super) answer: Option<Answer>,
    /// When it changes; `Some(End::Never)`: never.
    pub(super) until: Option<End>,
    pub(super) grant: Option<GrantKey>,
    pub(super) source: Option<SourceName>,
    pub(super) product: Option<ProductName>,
    pub(super) window: Option<Bounds>,
}

/// A question, and what has to be the answer.
pub(super) struct Asked {
    pub(super) line: usize,
    pub(super) question: Question,
    pub(super) expected: Expected,
}

/// A window that has to be there.
pub(super) struct Held {
    pub(super) product: ProductName,
    pub(super) grant: GrantKey,
    pub(super) source: Option<SourceName>,
    pub(super) user: Option<UserId>,
    pub(super) bounds: Bounds,
}

/// The windows a user has to have: these and no others, in this order.
pub(super) struct WindowsOf {
    pub(super) line: usize,
    pub(super) user: UserId,
    pub(super) as_of: Option<RecordedAt>,
    pub(super) expected: Vec<Held>,
}

impl Received {
    /// Of a delivery's `expect`: an outcome, or a table of more.
    pub(super) fn of(fields: &Fields<'_>) -> Result<Self, Failure> {
        let document = fields.document;
        let Some(node) = fields.get("expect") else {
            return Ok(Self::default());
        };
        let outcome = |key, node| choice(document, key, node, &Outcome::ALL, Outcome::name);
        let Content::Table(entries) = &node.content else {
            return Ok(Self {
                outcome: Some(outcome("expect", node)?),
                ..Self::default()
            });
        };
        let known = ["outcome", "reason", "events", "anomalies"];
        let fields = Fields::of(document, node, "`expect` of a delivery", &known)?;
        if entries.is_empty() {
            return Err(fields.wrong("`expect` expects nothing: leave it out, or say what"));
        }
        let reason = |node| choice(document, "reason", node, &Reason::ALL, Reason::code);
        Ok(Self {
            outcome: fields
                .get("outcome")
                .map(|node| outcome("outcome", node))
                .transpose()?,
            reason: fields.get("reason").map(reason).transpose()?,
            events: fields
                .get("events")
                .map(|node| count(document, node))
                .transpose()?,
            anomalies: fields
                .get("anomalies")
                .map(|node| anomalies(document, node))
                .transpose()?,
        })
    }

    pub(super) fn count(&self) -> usize {
        count_of([
            self.outcome.is_some(),
            self.reason.is_some(),
            self.events.is_some(),
            self.anomalies.is_some(),
        ])
    }
}

fn count(document: &Document, node: &Node) -> Result<u32, Failure> {
    let number = match &node.content {
        Content::Number(number) => number.as_u64(),
        Content::Nothing
        | Content::Flag(_)
        | Content::Text(_)
        | Content::List(_)
        | Content::Table(_) => None,
    };
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| document.wrong(&node.at, "`events` is a whole number of events"))
}

fn anomalies(document: &Document, node: &Node) -> Result<Vec<Anomaly>, Failure> {
    let list = list(document, "anomalies", node)?.iter();
    let read = list.map(|node| choice(document, "anomalies", node, &Anomaly::ALL, Anomaly::name));
    let mut anomalies: Vec<Anomaly> = read.collect::<Result<_, Failure>>()?;
    anomalies.sort_unstable();
    Ok(anomalies)
}

impl Asked {
    /// An entry of `questions`. `now` is the clock, if the scenario sets it.
    pub(super) fn of(
        document: &Document,
        node: &Node,
        now: Option<Instant>,
    ) -> Result<Self, Failure> {
        let known = [
            "user", "resource", "at", "as_of", "expect", "until", "grant", "source", "product",
            "window",
        ];
        let fields = Fields::of(document, node, "a question", &known)?;
        let Some(at) = fields.instant("at")?.or(now) else {
            let message =
                "a question needs `at`, the instant it asks about, where the scenario has no `now`";
            return Err(fields.wrong(message));
        };
        let expected = Expected {
            answer: fields
                .get("expect")
                .map(|node| answer(document, node))
                .transpose()?,
            until: fields
                .get("until")
                .map(|node| change(document, node))
                .transpose()?,
            grant: fields.parsed("grant")?,
            source: fields.parsed("source")?,
            product: fields.parsed("product")?,
            window: fields
                .get("window")
                .map(|node| {
                    let fields = Fields::of(document, node, "a window", &["start", "end"])?;
                    Bounds::of(&fields)
                })
                .transpose()?,
        };
        if expected.count() == 0 {
            return Err(fields.wrong("a question needs `expect`, the answer it has to get"));
        }
        Ok(Self {
            line: document.place(&node.at).0,
            question: Question {
                user: fields.needed("user")?,
                resource: fields.needed("resource")?,
                at,
                as_of: fields.instant("as_of")?.map(RecordedAt),
            },
            expected,
        })
    }
}

impl Expected {
    pub(super) fn count(&self) -> usize {
        count_of([
            self.answer.is_some(),
            self.until.is_some(),
            self.grant.is_some(),
            self.source.is_some(),
            self.product.is_some(),
            self.window.is_some(),
        ])
    }
}

fn count_of<const N: usize>(expectations: [bool; N]) -> usize {
    expectations.into_iter().filter(|it| *it).count()
}

/// `allow`, `deny`, or one of them by its reason.
fn answer(document: &Document, node: &Node) -> Result<Answer, Failure> {
    let mut answers = vec![Answer::Allow, Answer::Deny];
    answers.extend(Verdict::ALL.map(Answer::Exactly));
    choice(document, "expect", node, &answers, Answer::word)
}

impl Answer {
    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Exactly(verdict) => verdict.reason(),
        }
    }
}

/// When the answer changes.
fn change(document: &Document, node: &Node) -> Result<End, Failure> {
    match &node.content {
        Content::Text(text) if text == NEVER => Ok(End::Never),
        Content::Text(_)
        | Content::Nothing
        | Content::Flag(_)
        | Content::Number(_)
        | Content::List(_)
        | Content::Table(_) => instant(document, "until", node).map(End::At),
    }
}

impl Bounds {
    /// Of a table with `start` and, if it has one, `end`.
    fn of(fields: &Fields<'_>) -> Result<Self, Failure> {
        let start = fields.instant("start")?;
        let end = fields
            .get("end")
            .map(|node| end(fields.document, "end", node))
            .transpose()?;
        Ok(Self {
            start: fields.required("start", start)?,
            end: end.unwrap_or(End::Never),
        })
    }
}

impl WindowsOf {
    /// An entry of `windows`.
    pub(super) fn of(document: &Document, node: &Node) -> Result<Self, Failure> {
        let known = ["user", "as_of", "expect"];
        let fields = Fields::of(document, node, "an entry of `windows`", &known)?;
        let expect = fields.required("expect", fields.get("expect"))?;
        let held = list(document, "expect", expect)?.iter();
        Ok(Self {
            line: document.place(&node.at).0,
            user: fields.needed("user")?,
            as_of: fields.instant("as_of")?.map(RecordedAt),
            expected: held
                .map(|node| Held::of(document, node))
                .collect::<Result<_, Failure>>()?,
        })
    }
}

impl Held {
    fn of(document: &Document, node: &Node) -> Result<Self, Failure> {
        let known = ["product", "grant", "source", "user", "start", "end"];
        let fields = Fields::of(document, node, "a window", &known)?;
        Ok(Self {
            product: fields.needed("product")?,
            grant: fields.needed("grant")?,
            source: fields.parsed("source")?,
            user: fields.parsed("user")?,
            bounds: Bounds::of(&fields)?,
        })
    }
}
