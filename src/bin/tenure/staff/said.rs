//! Recording what was stated, and saying what was recorded and what it means now.

use std::collections::BTreeSet;

use serde::Serialize;
use tenure::{
    Blocked, Engine, Instant, LogEntry, Outcome, ProductName, Question, Receipt, RecordedEvent,
    SqliteStore, StaffChange, StaffStatement, StandingBlock, Statement, UserId, Verdict,
};

use super::Reader;
use super::stated::Stated;
use crate::failure::{Ending, Failure};
use crate::ingest::ReceiptJson;
use crate::output::safe;
use crate::record;
use crate::run::Run;
use crate::words;

/// Whose access a statement is about.
pub(super) enum About {
    /// Nobody's yet.
    Nothing,
    /// That of a user to a product.
    Product(UserId, ProductName),
    /// All access of these users.
    Everything(Vec<UserId>),
}

/// What else a person is told, beside what was recorded.
pub(super) struct Told {
    notes: Vec<String>,
    about: About,
}

impl Default for Told {
    fn default() -> Self {
        Self::what(About::Nothing)
    }
}

impl Told {
    pub(super) fn what(about: About) -> Self {
        let notes = Vec::new();
        Self { notes, about }
    }
}

/// A receipt as JSON: that of `ingest`, and under which names the statement is found again.
#[derive(Serialize)]
struct StatedJson<'a> {
    #[serde(flatten)]
    receipt: ReceiptJson<'a>,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
}

/// Hands the statements to the engine, all in one transaction, and says what became of them.
pub(super) fn record(
    run: &mut Run,
    engine: &mut Engine<SqliteStore>,
    stated: &Stated,
    statements: Vec<StaffStatement>,
    told: &Told,
) -> Result<Ending, Failure> {
    let deliveries = statements.iter().map(StaffStatement::delivery).collect();
    let mut reader = engine.reader()?;
    let was_blocked = lifts_something(&mut reader, &statements, stated.at)?;
    let receipts = engine.ingest_batch(deliveries, stated.now)?;
    let all: Vec<(&StaffStatement, &Receipt)> = statements.iter().zip(&receipts).collect();
    if run.json {
        for ((statement, receipt), line) in all.iter().zip(1..) {
            let key = statement.dedupe_key();
            let (grant, source) = grant_of(&statement.change);
            run.out.json(&StatedJson {
                receipt: ReceiptJson::of_receipt(line, receipt),
                key: key.as_str(),
                grant,
                source,
            })?;
        }
    } else {
        for (statement, receipt) in &all {
            say(run, &mut reader, &statement.change, receipt)?;
        }
        for note in &told.notes {
            run.out.line(format_args!("{}", safe(note)))?;
        }
        // What lies ahead is told of then; all else as it is now.
        let at = stated.now.max(stated.at);
        meaning(run, &mut reader, &told.about, at, at > stated.now)?;
        say_blocks(run, &mut reader, &statements, was_blocked, at)?;
    }
    let is_parked = |receipt: &Receipt| receipt.outcome == Outcome::Quarantined;
    Ok(if receipts.iter().any(is_parked) {
        Ending::Quarantined
    } else {
        Ending::Done
    })
}

fn say(
    run: &mut Run,
    reader: &mut Reader,
    change: &StaffChange,
    receipt: &Receipt,
) -> Result<(), Failure> {
    let position = receipt.position;
    let mut text = in_words(change);
    match receipt.outcome {
        Outcome::Applied | Outcome::Ignored => text.push_str(&format!(", at position {position}")),
        Outcome::Duplicate => {
            text.push_str(&format!(", as recorded before at position {position}"))
        }
        Outcome::Quarantined => {
            let why = receipt.refusal.as_ref().map(ToString::to_string);
            text = format!(
                "not recorded as stated, but in quarantine at position {position}: {}",
                why.unwrap_or_default()
            );
        }
    }
    run.out.line(format_args!("{}", safe(&text)))?;
    if receipt.outcome == Outcome::Applied {
        for left in reader.anomalies_of(position)? {
            let (name, meaning) = (left.anomaly.name(), left.anomaly.meaning());
            run.out.line(format_args!("  ! {name}: {meaning}"))?;
        }
    }
    Ok(())
}

fn in_words(change: &StaffChange) -> String {
    let on = |on: &Blocked| match on {
        Blocked::Grant(grant) => format!("grant {grant}"),
        Blocked::User { user, source } => format!("{user} in {source}"),
    };
    let name = |by: &Option<tenure::BlockName>| {
        by.as_ref()
            .map_or_else(|| "staff".to_owned(), ToString::to_string)
    };
    let held = |user: &Option<UserId>| {
        user.as_ref()
            .map_or_else(String::new, |user| format!(", held by {user}"))
    };
    match change {
        StaffChange::Granted {
            grant,
            user,
            product,
            ..
        } => format!("granted {product} to {user} by grant {grant}"),
        StaffChange::Revoked { grant, user } => format!("revoked grant {grant}{}", held(user)),
        StaffChange::Ended { grant, user } => format!("ended grant {grant}{}", held(user)),
        StaffChange::Modified { grant, user, until } => {
            format!("set the end of grant {grant}{} to {until}", held(user))
        }
        StaffChange::Switched {
            grant,
            user,
            product,
        } => format!("switched grant {grant}{} to {product}", held(user)),
        StaffChange::Transferred { grant, user, .. } => {
            format!("transferred grant {grant} to {user}")
        }
        StaffChange::Reinstated { grant, user, .. } => {
            format!("reinstated grant {grant}{}", held(user))
        }
        StaffChange::Suspended { on: what, user, by } => {
            format!(
                "suspended {}{}, under the name {}",
                on(what),
                held(user),
                name(by)
            )
        }
        StaffChange::Resumed { on: what, user, by } => {
            format!(
                "resumed {}{}, under the name {}",
                on(what),
                held(user),
                name(by)
            )
        }
        StaffChange::Withdrawn { source, key } => format!("withdrew `{key}` of {source}"),
        StaffChange::Linked { user, alias } => format!("linked {user} and {alias}"),
    }
}

/// The grant a statement is about, or the source in which it is about a user or delivery.
fn grant_of(change: &StaffChange) -> (Option<&str>, Option<&str>) {
    match change {
        StaffChange::Granted { grant, .. }
        | StaffChange::Revoked { grant, .. }
        | StaffChange::Ended { grant, .. }
        | StaffChange::Modified { grant, .. }
        | StaffChange::Switched { grant, .. }
        | StaffChange::Transferred { grant, .. }
        | StaffChange::Reinstated { grant, .. }
        | StaffChange::Suspended {
            on: Blocked::Grant(grant),
            ..
        }
        | StaffChange::Resumed {
            on: Blocked::Grant(grant),
            ..
        } => (Some(grant.key.as_str()), Some(grant.source.as_str())),
        StaffChange::Suspended {
            on: Blocked::User { source, .. },
            ..
        }
        | StaffChange::Resumed {
            on: Blocked::User { source, .. },
            ..
        }
        | StaffChange::Withdrawn { source, .. } => (None, Some(source.as_str())),
        StaffChange::Linked { .. } => (None, None),
    }
}

/// What access there is now, or from the time on that the statement is about.
fn meaning(
    run: &mut Run,
    reader: &mut Reader,
    about: &About,
    at: Instant,
    is_ahead: bool,
) -> Result<(), Failure> {
    let mut lines = Vec::new();
    match about {
        About::Nothing => {}
        About::Product(user, product) => lines.push(access(reader, user, product, at)?),
        About::Everything(users) => {
            for user in users {
                let windows = reader.windows(user, None)?.into_iter();
                let open = windows.filter(|it| it.start <= at && it.end.is_after(at));
                let products: BTreeSet<ProductName> = open.map(|it| it.product).collect();
                for product in &products {
                    lines.push(access(reader, user, product, at)?);
                }
                if products.is_empty() {
                    lines.push(format!("{user} has no access to anything"));
                }
            }
        }
    }
    let when = if is_ahead {
        format!("at {at}: ")
    } else {
        String::new()
    };
    for line in lines {
        run.out.line(format_args!("{when}{}", safe(&line)))?;
    }
    Ok(())
}

/// Whether the user has the product, and how long it stays so.
fn access(
    reader: &mut Reader,
    user: &UserId,
    product: &ProductName,
    at: Instant,
) -> Result<String, Failure> {
    let decision = reader.check(&Question {
        user: user.clone(),
        resource: product.into(),
        at,
        as_of: None,
    })?;
    let until = decision.next_change_at;
    Ok(match (decision.verdict, until) {
        (Verdict::Allow(_), Some(until)) => format!("{user} has {product} until {until}"),
        (Verdict::Allow(_), None) => format!("{user} has {product}, without end"),
        (Verdict::Deny(_), until) => {
            let until = until.map_or_else(String::new, |until| format!(" until {until}"));
            let reason = words::reason(decision.verdict);
            format!("{user} has no access to {product}{until}: {reason}")
        }
    })
}

/// Why nothing can be revoked, and what there is instead.
pub(super) fn nothing_live(
    reader: &mut Reader,
    user: &UserId,
    product: &ProductName,
    at: Instant,
) -> Result<String, Failure> {
    let others: BTreeSet<String> = reader
        .live_grants(user, None, at)?
        .iter()
        .map(|held| format!("`{}`", held.product))
        .collect();
    let hint = if others.is_empty() {
        format!("`tenure grants {user}` shows all grants of this user")
    } else {
        let others: Vec<String> = others.into_iter().collect();
        format!("the products of this user then are {}", others.join(", "))
    };
    Ok(format!(
        "no grant of `{user}` that gives `{product}` is live at {at}: nothing was recorded. {hint}"
    ))
}

/// What a withdrawal takes back, and whom that concerns.
pub(super) fn taken_back(
    reader: &mut Reader,
    delivery: &LogEntry,
    at: Instant,
) -> Result<Told, Failure> {
    let position = delivery.entry.position;
    let statements = || delivery.events.iter().map(|it| &it.event.statement);
    let is_withdrawal = |it: &Statement| matches!(it, Statement::Withdrawal { .. });
    if statements().any(is_withdrawal) {
        return Err(Failure::Usage(format!(
            "what stands at position {position} is a withdrawal itself, and cannot be withdrawn: state the fact again"
        )));
    }
    let was = if delivery.events.iter().any(|it| it.withdrawn_at.is_some()) {
        "which had been taken back before"
    } else if delivery.events.is_empty() {
        "which had no effect on access"
    } else {
        "which counts no more"
    };
    let events = delivery.events.iter().map(|it| {
        let as_stated = RecordedEvent {
            withdrawn_at: None,
            ..it.clone()
        };
        record::event_words(&as_stated)
    });
    let events: Vec<String> = events.collect();
    let what = if events.is_empty() {
        let name = delivery.entry.fact.event_name.as_deref();
        name.unwrap_or("-").to_owned()
    } else {
        events.join("; ")
    };
    let mut users: BTreeSet<UserId> = statements().flat_map(Statement::users).cloned().collect();
    for statement in statements() {
        // Who holds the grant is often not named.
        if let Statement::Grant(of) = statement
            && let Some(standing) = reader.grant_at(&of.grant, at)?
        {
            users.extend(standing.held().map(|live| live.user.clone()));
        }
    }
    Ok(Told {
        notes: vec![format!("taken back: position {position}, {what}, {was}")],
        about: About::Everything(users.into_iter().collect()),
    })
}

/// Whether a block stood that the statements lift. `None` if they are not there to lift one.
fn lifts_something(
    reader: &mut Reader,
    statements: &[StaffStatement],
    at: Instant,
) -> Result<Option<bool>, Failure> {
    let mut lifts = None;
    for statement in statements {
        if let StaffChange::Resumed { on, by, .. } = &statement.change {
            let name = by.as_ref().map_or("staff", |by| by.as_str());
            let blocks = reader.blocks_at(on, at)?;
            let stood = blocks
                .iter()
                .any(|it| it.on == *on && it.name.as_str() == name);
            lifts = Some(lifts.unwrap_or(false) || stood);
        }
    }
    Ok(lifts)
}

/// A resume lifts one block: what else stands is said, and how it is lifted.
fn say_blocks(
    run: &mut Run,
    reader: &mut Reader,
    statements: &[StaffStatement],
    was_blocked: Option<bool>,
    at: Instant,
) -> Result<(), Failure> {
    if was_blocked == Some(false) {
        run.out
            .line(format_args!("no block of that name was there to lift"))?;
    }
    let mut left: BTreeSet<StandingBlock> = BTreeSet::new();
    for statement in statements {
        if let StaffChange::Resumed { on, .. } = &statement.change {
            left.extend(reader.blocks_at(on, at)?);
        }
    }
    for StandingBlock { on, name } in &left {
        let (what, options) = match on {
            Blocked::Grant(grant) => {
                let options = format!(
                    "--grant {} --of {}",
                    quoted(grant.key.as_str()),
                    quoted(grant.source.as_str())
                );
                (format!("grant {grant} is still suspended"), options)
            }
            Blocked::User { user, source } => {
                let options = format!(
                    "--user {} --of {}",
                    quoted(user.as_str()),
                    quoted(source.as_str())
                );
                (format!("{user} is still suspended in {source}"), options)
            }
        };
        let text = format!(
            "{what}, under the name {name}; to lift that: tenure resume {options} --name {} --why TEXT",
            quoted(name.as_str())
        );
        run.out.line(format_args!("{}", safe(&text)))?;
    }
    Ok(())
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.:@/+".contains(letter);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
