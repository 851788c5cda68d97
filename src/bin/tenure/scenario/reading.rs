//! Scenario files, read into what is to be done and what has to come of it.

use tenure::{Instant, Length, Request, Rules, SourceName, provider_of};

use super::document::{Document, Node};
use super::expected::{Asked, Received, WindowsOf};
use super::fields::Fields;
use super::statement::{Short, changes};
use crate::config::Config;
use crate::failure::Failure;

/// What is done with the engine, and what has to come of it.
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) about: Option<String>,
    /// In force from the beginning of time.
    pub(super) rules: Option<Rules>,
    pub(super) steps: Vec<Step>,
    pub(super) questions: Vec<Asked>,
    pub(super) windows: Vec<WindowsOf>,
}

/// One entry of `deliveries`.
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) recorded_at: Instant,
    pub(super) action: Action,
    pub(super) expected: Received,
}

pub(super) enum Action {
    Deliver {
        source: SourceName,
        received_at: Instant,
        request: Request,
    },
    Apply(Rules),
    Retry,
}

const SCENARIO: [&str; 7] = [
    "name",
    "about",
    "rules",
    "now",
    "deliveries",
    "questions",
    "windows",
];

/// The scenarios of a file. `rules` are in force in those that state none.
pub(super) fn scenarios(
    document: &Document,
    root: &Node,
    rules: Option<&Rules>,
) -> Result<Vec<Scenario>, Failure> {
    let top = Fields::of_any(document, root, "the file")?;
    if top.get("scenario").is_none() {
        if top.get("sources").or(top.get("products")).is_some() {
            let message = "this is a file of rules and no scenario: name it with --rules, and keep it elsewhere";
            return Err(top.wrong(message));
        }
        let fields = Fields::of(document, root, "the scenario", &SCENARIO)?;
        return Ok(vec![scenario(&fields, rules)?]);
    }
    let top = Fields::of(document, root, "the file", &["scenario", "rules"])?;
    let of_file = own_rules(&top)?;
    let read = top.list("scenario")?.iter().map(|node| {
        let fields = Fields::of(document, node, "the scenario", &SCENARIO)?;
        scenario(&fields, of_file.as_ref().or(rules))
    });
    read.collect()
}

fn own_rules(fields: &Fields<'_>) -> Result<Option<Rules>, Failure> {
    let node = fields.get("rules");
    node.map(|node| rules_of(fields.document, node)).transpose()
}

/// A table as the file of rules has it.
fn rules_of(document: &Document, node: &Node) -> Result<Rules, Failure> {
    let value = node.to_toml();
    let Some(table) = value.as_table() else {
        let message = format!("rules are a table, not {}", node.kind());
        return Err(document.wrong(&node.at, &message));
    };
    let config = Config::of_table(table, document.text(), &document.path)?;
    Ok(config.rules)
}

fn scenario(fields: &Fields<'_>, rules: Option<&Rules>) -> Result<Scenario, Failure> {
    let name = fields.text("name")?;
    let name = fields.required("name", name.filter(|name| !name.is_empty()))?;
    let own_rules = own_rules(fields)?;
    let rules = own_rules.as_ref().or(rules);
    let mut telling = Telling {
        document: fields.document,
        rules: rules.cloned().unwrap_or_default(),
        last: None,
        steps: Vec::new(),
    };
    for node in fields.list("deliveries")? {
        telling.tell(node)?;
    }
    let now = fields.instant("now")?;
    if let (Some(now), Some(last), Some(node)) = (now, telling.last, fields.get("now"))
        && now < last
    {
        let message = format!("`now` is before the last delivery is recorded, {last}");
        return Err(fields.document.wrong(&node.at, &message));
    }
    let questions = fields.list("questions")?.iter();
    let windows = fields.list("windows")?.iter();
    let scenario = Scenario {
        name: name.to_owned(),
        about: fields.text("about")?.map(str::to_owned),
        rules: rules.cloned(),
        steps: telling.steps,
        questions: questions
            .map(|node| Asked::of(fields.document, node, now))
            .collect::<Result<_, Failure>>()?,
        windows: windows
            .map(|node| WindowsOf::of(fields.document, node))
            .collect::<Result<_, Failure>>()?,
    };
    if scenario.expectations() == 0 {
        let message = format!(
            "scenario `{name}` expects nothing, so it could not fail: add questions, windows, or an `expect` to a \
             delivery"
        );
        return Err(fields.wrong(&message));
    }
    Ok(scenario)
}

impl Scenario {
    /// How many things it expects.
    pub(super) fn expectations(&self) -> usize {
        let received = self.steps.iter().map(|step| step.expected.count());
        let answers = self.questions.iter().map(|asked| asked.expected.count());
        received.sum::<usize>() + answers.sum::<usize>() + self.windows.len()
    }
}

/// The deliveries as they are told one after the other.
struct Telling<'a> {
    document: &'a Document,
    /// Those in force by now.
    rules: Rules,
    /// When the last one was recorded.
    last: Option<Instant>,
    steps: Vec<Step>,
}

impl Telling<'_> {
    fn tell(&mut self, node: &Node) -> Result<(), Failure> {
        let known = [
            "at",
            "source",
            "staff",
            "id",
            "body",
            "headers",
            "query",
            "received_at",
            "recorded_at",
            "apply",
            "retry",
            "expect",
        ];
        let known: Vec<&str> = known.into_iter().chain(changes()).collect();
        let fields = Fields::of(self.document, node, "a delivery", &known)?;
        let short = Short::among(self.document, fields.entries())?;
        let does = [
            fields.get("body").is_some(),
            fields.get("apply").is_some(),
            fields.flag("retry")?,
            short.is_some(),
        ];
        if does.into_iter().filter(|done| *done).count() != 1 {
            let message = "a delivery has a `body`, or states one change in short as `granted = { ... }`; or it is \
                           `apply = { ... }` or `retry = true`";
            return Err(fields.wrong(message));
        }
        let (recorded_at, action) = if let Some(short) = short {
            self.short(&fields, &short)?
        } else if let Some(body) = fields.get("body") {
            self.delivery(&fields, body)?
        } else {
            self.other(&fields)?
        };
        self.last = Some(recorded_at);
        self.steps.push(Step {
            line: self.document.place(&node.at).0,
            recorded_at,
            action,
            expected: Received::of(&fields)?,
        });
        Ok(())
    }

    fn short(&self, fields: &Fields<'_>, short: &Short<'_>) -> Result<(Instant, Action), Failure> {
        absent(fields, &["headers", "query"], "of a delivery with a `body`")?;
        let at = fields.instant("at")?;
        let at = fields.required("at", at)?;
        let source = self.source_of_short(fields)?;
        let id = match fields.text("id")? {
            Some(id) => id.to_owned(),
            None => format!("e{}", self.steps.len() + 1),
        };
        let received_at = fields.instant("received_at")?;
        let received_at = received_at.unwrap_or_else(|| at.max(self.earliest()));
        let action = Action::Deliver {
            request: Request {
                body: short.body(self.document, at, &id, source.as_str())?,
                ..Request::default()
            },
            source,
            received_at,
        };
        Ok((self.recorded_at(fields, received_at)?, action))
    }

    /// The source that states it: one that speaks as staff do.
    fn source_of_short(&self, fields: &Fields<'_>) -> Result<SourceName, Failure> {
        let staff = SourceName::staff();
        let dialect = provider_of(&self.rules, &staff)?.name();
        let named: Option<SourceName> = fields.parsed("source")?;
        if fields.flag("staff")? {
            absent(fields, &["source"], "given by `staff`")?;
            return Ok(staff);
        }
        if let Some(named) = named {
            self.provider(fields, &named)?;
            if provider_of(&self.rules, &named)?.name() != dialect {
                let message = format!(
                    "only a source of `{dialect}` states in short: `{named}` needs a `body`"
                );
                return Err(fields.wrong(&message));
            }
            return Ok(named);
        }
        let mut sources = self.rules.sources.iter();
        if let Some((first, _)) = sources.find(|(_, source)| source.provider == dialect) {
            return Ok(first.clone());
        }
        if !self.rules.sources.is_empty() {
            let message = format!(
                "the rules have no source of `{dialect}`, so it takes `staff = true` to state in short"
            );
            return Err(fields.wrong(&message));
        }
        SourceName::new(dialect).map_err(|error| fields.wrong(&error.to_string()))
    }

    fn delivery(&self, fields: &Fields<'_>, body: &Node) -> Result<(Instant, Action), Failure> {
        absent(fields, &["at", "staff", "id"], "of a statement in short")?;
        let source: SourceName = fields.needed("source")?;
        self.provider(fields, &source)?;
        let received_at = fields.instant("received_at")?;
        let received_at = fields.required("received_at", received_at)?;
        let mut request = Request {
            body: self.document.body(body),
            query: fields.text("query")?.map(str::to_owned),
            ..Request::default()
        };
        if let Some(node) = fields.get("headers") {
            let headers = Fields::of_any(self.document, node, "`headers`")?;
            for entry in headers.entries() {
                let value = headers.text(&entry.key)?.unwrap_or_default().to_owned();
                request
                    .headers
                    .insert(entry.key.to_ascii_lowercase(), value);
            }
        }
        let action = Action::Deliver {
            source,
            received_at,
            request,
        };
        Ok((self.recorded_at(fields, received_at)?, action))
    }

    /// `apply` and `retry`: what is done in the house, at an instant.
    fn other(&mut self, fields: &Fields<'_>) -> Result<(Instant, Action), Failure> {
        let unknown = [
            "source",
            "staff",
            "id",
            "headers",
            "query",
            "received_at",
            "recorded_at",
        ];
        absent(fields, &unknown, "of a delivery")?;
        let at = fields.instant("at")?;
        let at = fields.required("at", at)?;
        let Some(node) = fields.get("apply") else {
            return Ok((self.not_before(fields, "at", at)?, Action::Retry));
        };
        absent(fields, &["expect"], "of a delivery or a `retry`")?;
        let rules = rules_of(self.document, node)?;
        self.rules = rules.clone();
        Ok((self.not_before(fields, "at", at)?, Action::Apply(rules)))
    }

    fn provider(&self, fields: &Fields<'_>, source: &SourceName) -> Result<(), Failure> {
        let wrong = |error: tenure::EngineError| fields.wrong(&error.to_string());
        provider_of(&self.rules, source).map(|_| ()).map_err(wrong)
    }

    /// The first instant at which something can be recorded now.
    fn earliest(&self) -> Instant {
        self.last.map_or(Instant::FIRST, Instant::next)
    }

    fn recorded_at(&self, fields: &Fields<'_>, received_at: Instant) -> Result<Instant, Failure> {
        match fields.instant("recorded_at")? {
            Some(at) => self.not_before(fields, "recorded_at", at),
            None => self.not_before(fields, "received_at", received_at),
        }
    }

    /// The engine would record it later than it says: a scenario that says so is mistaken. At one instant they are recorded a
    /// microsecond apart.
    fn not_before(&self, fields: &Fields<'_>, key: &str, at: Instant) -> Result<Instant, Failure> {
        // What is recorded at one instant has to be a microsecond apart: the end of time leaves no room for it.
        if at > Instant::LAST.minus(Length::days(1)) {
            let message =
                format!("`{key}` is {at}: on the last day of time nothing can be recorded");
            return Err(fields.wrong(&message));
        }
        match self.last {
            Some(last) if at < last => {
                let message = format!(
                    "`{key}` is {at}, before the one above is recorded, {last}: deliveries are \
                    listed in the order in which they are recorded"
                );
                Err(fields.wrong(&message))
            }
            Some(_) | None => Ok(at.max(self.earliest())),
        }
    }
}

/// Refuses keys that would mean nothing here.
fn absent(fields: &Fields<'_>, keys: &[&str], whose: &str) -> Result<(), Failure> {
    for entry in fields.entries() {
        if keys.contains(&entry.key.as_str()) {
            let message = format!("`{}` is {whose}: it has no meaning here", entry.key);
            return Err(fields.document.wrong(&entry.at, &message));
        }
    }
    Ok(())
}
