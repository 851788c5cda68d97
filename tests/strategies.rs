//! Histories to hold the laws against: few names, and times that lie on, beside and far beyond each other, because that is
//! where a rule is misread.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use tenure::domain::decision::Question;
use tenure::store::Projection;
use tenure::{
    Change, DedupeKey, Delivery, EffectiveAt, End, Engine, Event, EventKey, GrantId,
    GrantStatement, Instant, MemoryStore, Position, RecordedAt, RecordedEvent, Request,
    ResourceName, Rules, Secrets, State, Statement, Store, StoreError, StoreReader, UserChange,
    UserId, UserStatement,
};

use crate::model::Model;

pub(crate) const USERS: [&str; 3] = ["u", "v", "w"];
pub(crate) const GRANTS: [&str; 3] = ["g", "h", "p"];
pub(crate) const PRODUCTS: [&str; 2] = ["basic", "pro"];
pub(crate) const RESOURCES: [&str; 4] = ["basic", "pro", "news/1", "pods"];
const PERIODS: [&str; 7] = ["P1M", "P1Y", "P30D", "P3D", "PT1H", "P100Y", "P1W"];

/// The end of a month, and where one, two and three months counted from there lie; the leeway of three days; a leap day.
pub(crate) const DAYS: [&str; 9] = [
    "2024-01-31T00:00:00Z",
    "2024-02-29T00:00:00Z",
    "2024-03-03T00:00:00Z",
    "2024-03-31T00:00:00Z",
    "2024-04-30T00:00:00Z",
    "2024-05-01T00:00:00Z",
    "2025-01-31T00:00:00Z",
    "2025-02-28T00:00:00Z",
    "2024-02-01T00:00:00Z",
];

/// When all deliveries arrive: the engine raises each by a microsecond.
pub(crate) fn now() -> Instant {
    "2024-03-15T00:00:00Z".parse().unwrap()
}

pub(crate) fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

/// Mostly of a small set, so that times meet; sometimes a microsecond beside it or at the limits of time.
pub(crate) fn instant() -> impl Strategy<Value = Instant> {
    let day = prop::sample::select(DAYS.as_slice()).prop_map(at);
    let limit = prop::sample::select(vec![
        Instant::FIRST,
        Instant::FIRST.next(),
        Instant::EPOCH,
        Instant::LAST.previous(),
        Instant::LAST,
    ]);
    prop_oneof![
        16 => day.clone(),
        2 => day.clone().prop_map(Instant::next),
        2 => day.prop_map(Instant::previous),
        1 => limit,
    ]
}

/// An instant as a field, at times stated as none.
fn until() -> impl Strategy<Value = Value> {
    prop_oneof![9 => instant().prop_map(|at| json!(at)), 1 => Just(Value::Null)]
}

/// One delivery in the dialect of CloudEvents. Its id is its place in the history.
#[derive(Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) source: &'static str,
    pub(crate) verb: String,
    pub(crate) time: Instant,
    pub(crate) subject: Option<String>,
    pub(crate) data: BTreeMap<String, Value>,
    /// What stands in the place of all this, if it is no event at all.
    pub(crate) garbage: Option<String>,
}

impl Line {
    pub(crate) fn of_grant(source: &'static str, verb: &str, grant: &str, time: Instant) -> Self {
        let line = Self {
            source,
            verb: verb.to_owned(),
            time,
            subject: None,
            data: BTreeMap::new(),
            garbage: None,
        };
        line.with("grant", json!(grant))
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.data.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn for_user(mut self, user: &str) -> Self {
        self.subject = Some(user.to_owned());
        self
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.data.get(name).and_then(Value::as_str)
    }

    /// The grant it speaks of.
    pub(crate) fn grant(&self) -> Option<(&str, &str)> {
        let source = self.text("grant_source").unwrap_or(self.source);
        Some((source, self.text("grant")?))
    }

    pub(crate) fn body(&self, id: usize) -> String {
        if let Some(garbage) = &self.garbage {
            return format!("{garbage}{id}");
        }
        let mut body = json!({
            "specversion": "1.0", "id": format!("e{id}"), "source": self.source,
            "type": format!("tenure.{}", self.verb), "time": self.time, "data": self.data,
        });
        if let Some(subject) = &self.subject {
            body["subject"] = json!(subject);
        }
        body.to_string()
    }

    pub(crate) fn delivery(&self, id: usize) -> Delivery {
        let body = self.body(id).into_bytes();
        let request = Request {
            body,
            ..Request::default()
        };
        Delivery::trusted(self.source.parse().unwrap(), request)
    }
}

/// As it would be written down to repeat it.
impl fmt::Debug for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.source, self.verb, self.time)?;
        if let Some(subject) = &self.subject {
            write!(out, " of {subject}")?;
        }
        write!(out, " {}", json!(self.data))?;
        self.garbage
            .as_ref()
            .map_or(Ok(()), |it| write!(out, " garbage {it:?}"))
    }
}

/// Rules and what is said under them.
#[derive(Clone)]
pub(crate) struct History {
    pub(crate) rules: Rules,
    pub(crate) lines: Vec<Line>,
}

impl fmt::Debug for History {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "rules {}", json!(self.rules))?;
        for (id, line) in self.lines.iter().enumerate() {
            writeln!(out, "e{id}: {line:?}")?;
        }
        Ok(())
    }
}

impl History {
    pub(crate) fn and(&self, lines: impl IntoIterator<Item = Line>) -> Self {
        let mut history = self.clone();
        history.lines.extend(lines);
        history
    }

    /// What is said of the time up to `last`, and no withdrawals: so that what is added later is also effective later.
    pub(crate) fn up_to(&self, last: Instant) -> Self {
        let mut history = self.clone();
        history
            .lines
            .retain(|line| line.time <= last && line.verb != "withdrawn");
        history
    }

    pub(crate) fn without_withdrawals(mut self) -> Self {
        self.lines.retain(|line| line.verb != "withdrawn");
        self
    }
}

fn source() -> impl Strategy<Value = &'static str> {
    prop_oneof![16 => Just("crm"), 1 => Just("shop"), 2 => Just("staff")]
}

/// The source whose grants, users or deliveries staff speak of; without one, their own.
fn spoken_of() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![12 => Just(Some("crm")), 2 => Just(Some("shop")), 3 => Just(None)]
}

fn name(names: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(names).prop_map(str::to_owned)
}

/// The first is likeliest: what is told of one grant is what interacts.
fn grant_key() -> impl Strategy<Value = &'static str> {
    prop_oneof![12 => Just("g"), 2 => Just("h"), 3 => Just("p")]
}

type Fields = Vec<(&'static str, Option<Value>)>;

fn fields<S: Strategy<Value = Value> + 'static>(
    named: Vec<(&'static str, f64, S)>,
) -> BoxedStrategy<Fields> {
    let named: Vec<_> = named
        .into_iter()
        .map(|(name, often, value)| {
            let value = match often {
                1.0.. => value.prop_map(Some).boxed(),
                _ => option::weighted(often, value).boxed(),
            };
            value.prop_map(move |it| (name, it))
        })
        .collect();
    named.boxed()
}

fn text(choices: &'static [&'static str]) -> BoxedStrategy<Value> {
    prop::sample::select(choices)
        .prop_map(|it| json!(it))
        .boxed()
}

fn time_field() -> BoxedStrategy<Value> {
    until().boxed()
}

fn key() -> BoxedStrategy<Value> {
    text(&["k1", "k2"])
}

fn product() -> BoxedStrategy<Value> {
    text(&PRODUCTS)
}

fn by() -> BoxedStrategy<Value> {
    text(&["crm", "abuse"])
}

fn granted() -> BoxedStrategy<Fields> {
    let origins = &[
        "purchase",
        "trial",
        "promo",
        "gift",
        "import",
        "complimentary",
    ];
    fields(vec![
        ("product", 1.0, product()),
        ("until", 0.6, time_field()),
        ("period", 0.6, text(&PERIODS)),
        (
            "recurring",
            0.2,
            any::<bool>().prop_map(|it| json!(it)).boxed(),
        ),
        ("from", 0.25, instant().prop_map(|at| json!(at)).boxed()),
        ("period_key", 0.4, key()),
        ("parent", 0.15, text(&["g", "h", "p", "never seen"])),
        ("origin", 0.3, text(origins)),
    ])
}

/// A change of a grant: its verb and fields.
fn change() -> BoxedStrategy<(&'static str, Fields)> {
    let with = |verb: &'static str, fields: BoxedStrategy<Fields>| {
        fields.prop_map(move |fields| (verb, fields)).boxed()
    };
    let plain = |verb| with(verb, Just(Vec::new()).boxed());
    let until = |verb, often| with(verb, fields(vec![("until", often, time_field())]));
    let period = ("period", 0.4, text(&PERIODS));
    let keyed = ("period_key", 0.5, key());
    let renewed = vec![("until", 0.4, time_field()), period, keyed.clone()];
    let causes = &["expired", "cancelled", "renewal_failed", "refunded"];
    let ended = vec![("cause", 0.7, text(causes)), ("product", 0.2, product())];
    let switched = vec![("product", 1.0, product()), ("until", 0.3, time_field())];
    prop_oneof![
        6 => with("granted", granted()),
        4 => with("renewed", fields(renewed)),
        1 => until("modified", 1.0),
        1 => until("rescheduled", 1.0),
        2 => until("grace_extended", 0.5),
        2 => plain("payment_failed"),
        2 => until("cancelled", 0.5),
        2 => until("reinstated", 0.4),
        2 => with("suspended", fields(vec![("by", 0.5, by())])),
        2 => with("resumed", fields(vec![("by", 0.5, by())])),
        1 => with("switched", fields(switched)),
        1 => with("transferred", fields(vec![("user", 1.0, text(&USERS))])),
        2 => with("refunded", fields(vec![keyed])),
        1 => plain("revoked"),
        2 => with("ended", fields(ended)),
    ]
    .boxed()
}

/// A statement about one grant of `key`.
pub(crate) fn grant_line(
    key: impl Strategy<Value = &'static str> + 'static,
) -> impl Strategy<Value = Line> {
    let product = option::weighted(0.5, product());
    let subject = option::weighted(0.6, name(&USERS));
    let parts = (
        source(),
        spoken_of(),
        key,
        change(),
        instant(),
        subject,
        product,
    );
    parts.prop_map(
        |(source, of, key, (verb, fields), time, subject, product)| {
            let mut line = Line::of_grant(source, verb, key, time);
            if let Some(of) = of.filter(|_| source == "staff") {
                line = line.with("grant_source", json!(of));
            }
            // What adoption needs; an `ended` that names another product would do nothing.
            if let Some(product) = product.filter(|_| verb != "ended") {
                line = line.with("product", product);
            }
            for (name, value) in fields {
                if let Some(value) = value {
                    line = line.with(name, value);
                }
            }
            line.subject = subject.or_else(|| (verb == "granted").then(|| "u".to_owned()));
            line
        },
    )
}

/// A statement about a user, or a withdrawal.
fn other_line() -> impl Strategy<Value = Line> {
    let verbs = prop_oneof![
        3 => Just("suspended"), 3 => Just("resumed"), 2 => Just("user_removed"),
        2 => Just("linked"), 4 => Just("withdrawn"),
    ];
    let user = name(&USERS);
    let by = option::weighted(0.5, by());
    let withdrawn = 0_usize..12;
    let parts = (
        source(),
        spoken_of(),
        verbs,
        instant(),
        user.clone(),
        user,
        by,
        withdrawn,
    );
    parts.prop_map(|(source, of, verb, time, user, alias, by, withdrawn)| {
        let mut line = Line::of_grant(source, verb, "", time).for_user(&user);
        line.data.clear();
        let of = of.filter(|_| source == "staff");
        match verb {
            "linked" => line.with("alias", json!(alias)),
            // Without knowing who said it: at times it names nothing.
            "withdrawn" => {
                line.subject = None;
                if let Some(of) = of {
                    line = line.with("id_source", json!(of));
                }
                let said_by = of.unwrap_or(source);
                line.with("id", json!(format!("{said_by} e{withdrawn}")))
            }
            _ => {
                if let Some(by) = by.filter(|_| verb != "user_removed") {
                    line = line.with("by", by);
                }
                if let Some(of) = of {
                    line = line.with("grant_source", json!(of));
                }
                line
            }
        }
    })
}

pub(crate) fn line() -> impl Strategy<Value = Line> {
    prop_oneof![7 => grant_line(grant_key()), 1 => other_line()]
}

/// What cannot be decoded, means nothing, or lacks something.
pub(crate) fn odd_line() -> impl Strategy<Value = Line> {
    let garbage = prop::sample::select(vec!["", "{", "[]", "{\"specversion\":\"1.0\"} ", "\u{1}"]);
    let verbs = prop::sample::select(vec!["greeted", "granted", "modified", "linked"]);
    (source(), option::of(garbage), verbs, instant()).prop_map(|(source, garbage, verb, time)| {
        let mut line = Line::of_grant(source, verb, "g", time);
        line.garbage = garbage.map(str::to_owned);
        line
    })
}

pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let length = |often| option::weighted(often, prop::sample::select(vec!["P3D", "PT1H"]));
    let policy = (
        prop_oneof![3 => Just("revoke"), 1 => Just("ignore")],
        length(0.6),
        length(0.3),
        length(0.3),
    );
    let policy = policy.prop_map(|(refund, grace, leeway, access)| {
        let mut policy = json!({"refund": refund, "payment_failed_grace": grace});
        for (name, length) in [("renewal_leeway", leeway), ("renewal_access", access)] {
            if let Some(length) = length {
                policy[name] = json!(length);
            }
        }
        policy
    });
    let dated = (option::of(instant()), option::of(instant()));
    let includes =
        dated.prop_map(|(from, until)| json!({"name": "pods", "from": from, "until": until}));
    let includes = (vec(includes, 0..3), any::<bool>());
    (policy.clone(), policy, includes, any::<bool>()).prop_map(
        |(crm, shop, (dated, all), prefixed)| {
            let mut of_pro = dated;
            if all {
                of_pro.extend([json!("news/*"), json!("basic")]);
            }
            let prefix = if prefixed { "s-" } else { "" };
            let rules = json!({
                "sources": {
                    "crm": {"provider": "cloudevents", "policy": crm},
                    "shop": {"provider": "cloudevents", "policy": shop, "user_prefix": prefix},
                },
                "products": {"pro": {"includes": of_pro}, "basic": {"includes": ["news/1"]}},
            });
            serde_json::from_value(rules).unwrap()
        },
    )
}

/// A history of up to `most` deliveries. Usually something is granted first, else most of it would be orphans.
pub(crate) fn history(most: usize) -> impl Strategy<Value = History> {
    let early = prop_oneof![3 => Just(at(DAYS[0])), 1 => instant()];
    let first = option::weighted(0.85, (early, granted()));
    (rules(), first, vec(line(), 0..most)).prop_map(|(rules, first, mut lines)| {
        if let Some((time, fields)) = first {
            let mut line = Line::of_grant("crm", "granted", "g", time).for_user("u");
            for (name, value) in fields {
                line.data
                    .extend(value.map(|value| (name.to_owned(), value)));
            }
            lines.insert(0, line);
        }
        History { rules, lines }
    })
}

/// What the log holds, as the model wants it.
pub(crate) struct Recorded {
    pub(crate) events: Vec<RecordedEvent>,
    pub(crate) rules: Vec<(RecordedAt, Rules)>,
    /// When each entry was recorded.
    pub(crate) times: Vec<RecordedAt>,
}

impl Recorded {
    pub(crate) fn model(&self) -> Model<'_> {
        Model {
            events: &self.events,
            rules: &self.rules,
        }
    }

    /// Everyone named, and one who is not.
    pub(crate) fn users(&self) -> BTreeSet<UserId> {
        let named = self.events.iter().flat_map(|it| it.event.statement.users());
        named.cloned().chain(["nobody".parse().unwrap()]).collect()
    }

    pub(crate) fn grants(&self) -> BTreeSet<GrantId> {
        let grants = self
            .events
            .iter()
            .filter_map(|it| match &it.event.statement {
                Statement::Grant(statement) => Some(statement.grant.clone()),
                Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => None,
            });
        grants.collect()
    }
}

pub(crate) fn resources() -> Vec<ResourceName> {
    RESOURCES.iter().map(|name| name.parse().unwrap()).collect()
}

/// An engine over an empty store, with the rules in force.
pub(crate) fn engine<S: Store>(store: S, rules: &Rules) -> Engine<S> {
    let mut engine = Engine::new(store, Secrets::default()).unwrap();
    engine.begin_with_rules(rules).unwrap();
    engine
}

pub(crate) fn in_memory(rules: &Rules) -> Engine<MemoryStore> {
    engine(MemoryStore::new().unwrap(), rules)
}

/// The engine that took the history, one delivery after the other.
pub(crate) fn told(history: &History) -> Engine<MemoryStore> {
    let mut engine = in_memory(&history.rules);
    tell(&mut engine, &history.lines, 0);
    engine
}

/// Takes lines whose ids begin at `first`.
pub(crate) fn tell<S: Store>(engine: &mut Engine<S>, lines: &[Line], first: usize) {
    for (place, line) in lines.iter().enumerate() {
        engine.ingest(line.delivery(first + place), now()).unwrap();
    }
}

pub(crate) fn recorded<S: Store>(engine: &Engine<S>) -> Recorded {
    let mut reader = engine.reader().unwrap();
    let entries = reader
        .entries_after(Position::default(), usize::MAX >> 1)
        .unwrap();
    let mut recorded = Recorded {
        events: Vec::new(),
        rules: Vec::new(),
        times: Vec::new(),
    };
    for entry in entries {
        recorded.times.push(entry.fact.recorded_at);
        if entry.fact.kind == tenure::EntryKind::Rules {
            let rules = serde_json::from_slice(&entry.fact.body).unwrap();
            recorded.rules.push((entry.fact.recorded_at, rules));
        }
        let entry = reader.entry(entry.position).unwrap().unwrap();
        recorded.events.extend(entry.events);
    }
    fill_withdrawn(&mut recorded.events);
    recorded
}

/// Said once more, without the store: an event counts as taken back from the first withdrawal of its delivery on.
pub(crate) fn fill_withdrawn(events: &mut [RecordedEvent]) {
    let mut withdrawn: BTreeMap<_, RecordedAt> = BTreeMap::new();
    for it in &*events {
        if let Statement::Withdrawal { source, key } = &it.event.statement {
            let first = withdrawn
                .entry((source.clone(), key.clone()))
                .or_insert(it.recorded_at);
            *first = it.recorded_at.min(*first);
        }
    }
    for it in events {
        let key = (it.key.source.clone(), it.key.dedupe_key.clone());
        let is_withdrawal = matches!(it.event.statement, Statement::Withdrawal { .. });
        it.withdrawn_at = withdrawn.get(&key).copied().filter(|_| !is_withdrawal);
    }
}

pub(crate) type Projections = BTreeMap<GrantId, Projection>;

pub(crate) fn projections<S: Store>(engine: &Engine<S>) -> Projections {
    let mut reader = engine.reader().unwrap();
    let read = reader.store().read(|snapshot| {
        let grants = snapshot.projected_after(None, 1_000)?;
        let mut projections = BTreeMap::new();
        for grant in grants {
            let projection = snapshot.projection(&grant)?.unwrap();
            projections.insert(grant, projection);
        }
        Ok::<_, StoreError>(projections)
    });
    read.unwrap()
}

/// Every instant at which some grant may change, as the engine has it, and the dates of the catalog.
pub(crate) fn boundaries(projections: &Projections, rules: &Rules) -> BTreeSet<Instant> {
    let mut found = BTreeSet::new();
    for segment in projections.values().flat_map(|it| &it.segments) {
        found.insert(segment.from);
        found.extend(segment.to.instant());
        if let Some((live, start, end)) = segment.term() {
            found.insert(start);
            found.extend([end, live.paid_until].into_iter().filter_map(End::instant));
        }
    }
    for include in rules.products.values().flat_map(|it| &it.includes) {
        found.extend(include.from);
        found.extend(include.until);
    }
    found
}

/// The boundaries with the instant before and after each, and the ends of time.
pub(crate) fn instants_to_ask(boundaries: &BTreeSet<Instant>) -> BTreeSet<Instant> {
    let around = |at: &Instant| [at.previous(), *at, at.next()];
    let limits = [Instant::FIRST, Instant::LAST];
    boundaries.iter().flat_map(around).chain(limits).collect()
}

/// Every user and resource at every boundary and beside it.
pub(crate) fn questions<S: Store>(engine: &Engine<S>, as_of: Option<RecordedAt>) -> Vec<Question> {
    let rules = engine.rules().unwrap();
    let instants = instants_to_ask(&boundaries(&projections(engine), &rules));
    let mut questions = Vec::new();
    for user in recorded(engine).users() {
        for resource in resources() {
            questions.extend(instants.iter().map(|at| Question {
                user: user.clone(),
                resource: resource.clone(),
                at: *at,
                as_of,
            }));
        }
    }
    questions
}

/// The state of a grant after all its events.
pub(crate) fn state<S: Store>(engine: &Engine<S>, grant: &GrantId) -> State {
    let view = engine.reader().unwrap().grant(grant, None).unwrap();
    view.map_or(State::Absent, |view| view.state)
}

/// What answers are read from, without the positions and times that another order of arrival changes.
pub(crate) fn essence<S: Store>(engine: &Engine<S>) -> String {
    let keys: BTreeMap<(Position, u32), EventKey> = recorded(engine)
        .events
        .into_iter()
        .map(|it| ((it.position, it.key.index), it.key))
        .collect();
    let mut out = String::new();
    for (grant, projection) in projections(engine) {
        let mut anomalies: Vec<_> = projection
            .anomalies
            .iter()
            .map(|it| (&keys[&(it.position, it.index)], it.anomaly))
            .collect();
        anomalies.sort();
        let state = state(engine, &grant);
        let Projection {
            segments, windows, ..
        } = &projection;
        writeln!(
            out,
            "{grant} {state:?}\n{segments:?}\n{windows:?}\n{anomalies:?}"
        )
        .unwrap();
    }
    out
}

/// Events as no decoder would give them: any time of the whole range, sequences, one key for several.
pub(crate) fn recorded_events(most: usize) -> impl Strategy<Value = Vec<RecordedEvent>> {
    let time = prop_oneof![
        3 => instant(),
        1 => (Instant::FIRST.micros()..=Instant::LAST.micros())
            .prop_map(|micros| Instant::from_micros(micros).unwrap()),
    ];
    let event = (
        grant_line(grant_key()),
        time,
        0_u64..3,
        prop::bool::weighted(0.15),
        0_u8..3,
    );
    vec(event, 0..most).prop_map(|said| {
        let mut events = Vec::new();
        for (place, (line, time, sequence, of_user, kind)) in said.into_iter().enumerate() {
            let statement = if of_user {
                Some(of_user_u(kind))
            } else {
                decoded(&line)
            };
            let Some(statement) = statement else { continue };
            let number = u64::try_from(place).unwrap() + 1;
            events.push(RecordedEvent {
                event: Event {
                    effective_at: EffectiveAt(time),
                    statement,
                },
                key: EventKey {
                    source: line.source.parse().unwrap(),
                    dedupe_key: DedupeKey::new(&format!("e{place}")).unwrap(),
                    index: 0,
                },
                sequence,
                position: Position(number),
                recorded_at: RecordedAt(Instant::EPOCH),
                withdrawn_at: None,
            });
        }
        events.sort_by(RecordedEvent::fold_order);
        events
    })
}

fn of_user_u(kind: u8) -> Statement {
    let change = match kind {
        0 => UserChange::UserRemoved,
        1 => UserChange::Suspended { by: None },
        _ => UserChange::Resumed { by: None },
    };
    let (source, user) = ("crm".parse().unwrap(), "u".parse().unwrap());
    Statement::User(UserStatement {
        source,
        user,
        change,
    })
}

/// The stored form of a change has the fields of the line.
fn decoded(line: &Line) -> Option<Statement> {
    let mut engine = in_memory(&plain_rules());
    engine.ingest(line.delivery(0), now()).unwrap();
    let event = recorded(&engine).events.pop()?;
    Some(event.event.statement)
}

pub(crate) fn plain_rules() -> Rules {
    let source = json!({"provider": "cloudevents"});
    serde_json::from_value(json!({"sources": {"crm": source, "shop": source}})).unwrap()
}

/// The change a statement about a grant makes.
pub(crate) fn change_of(statement: &Statement) -> Option<&Change> {
    match statement {
        Statement::Grant(GrantStatement { change, .. }) => Some(change),
        Statement::User(_) | Statement::Link { .. } | Statement::Withdrawal { .. } => None,
    }
}
