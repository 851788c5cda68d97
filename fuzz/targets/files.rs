//! Whole files: lines of deliveries, and rules.

use std::io::Cursor;

use tenure::store::{StoreError, StoreReader as _};
use tenure::{
    Direction, Engine, EngineError, FileOptions, Instant, MemoryStore, PlannedChange, Question,
    Rules, Secret, Secrets, SourceName, UserId, UserWindow,
};

use super::{led, now};

/// As the sender of the corpus has it; with it packets are opened, and nothing is verified.
const KEY: &str = "a key of more than thirty-two bytes, made up";

type InMemory = Engine<MemoryStore>;

fn empty() -> InMemory {
    let secret = Secret::new(KEY).expect("a secret");
    let packets = tenure::PROVIDERS
        .iter()
        .filter(|it| it.arrival_is_order())
        .map(|it| it.name().parse().expect("a name"));
    let secrets = packets.fold(Secrets::default(), |secrets, name: SourceName| {
        secrets.with(name, secret.clone())
    });
    Engine::new(MemoryStore::new().expect("a store"), secrets).expect("an engine")
}

/// The first byte says how the rest, a whole file, is read.
pub(crate) fn lines(data: &[u8]) {
    let Some((kind, file)) = led(data) else {
        return;
    };
    let source = |name: &str| Some(name.parse().expect("a name"));
    let options = FileOptions {
        source: match kind / 2 % 4 {
            0 | 1 => None,
            2 => source("cloudevents"),
            _ => source("piano"),
        },
        backfill: kind % 2 == 0,
    };
    let mut engine = empty();
    let receipts = read(&mut engine, file, &options, now());
    let is_blank = |line: &&[u8]| !line.iter().all(u8::is_ascii_whitespace);
    let lines: Vec<u64> = file
        .split(|byte| *byte == b'\n')
        .zip(1..)
        .filter(|(line, _)| is_blank(line))
        .map(|(_, number)| number)
        .collect();
    assert_eq!(receipts, lines, "not one receipt for each line");
    holds_together(&engine);
    let windows = windows(&engine);
    let exported = exported(&engine);
    let mut elsewhere = empty();
    let first = exported.lines().next().unwrap_or_default();
    if !tenure::brings_rules(first.as_bytes()) {
        // Without lines of rules a file takes those of the place, which here are those it was recorded under.
        let rules = engine.rules().expect("rules");
        if rules != Rules::default() {
            elsewhere.begin_with_rules(&rules).expect("begun");
        }
    }
    let history = FileOptions {
        source: None,
        backfill: true,
    };
    let later = instant("2500-01-01T00:00:00Z");
    read(&mut elsewhere, exported.as_bytes(), &history, later);
    holds_together(&elsewhere);
    assert_eq!(self::windows(&elsewhere), windows, "elsewhere: {exported}");
    assert_eq!(self::exported(&elsewhere), exported, "exported again");
}

/// Reads a file and gives the numbers of the lines that got a receipt.
fn read(engine: &mut InMemory, file: &[u8], options: &FileOptions, clock: Instant) -> Vec<u64> {
    let mut numbers = Vec::new();
    let input = &mut Cursor::new(file);
    let done = engine.ingest_file(input, options, &mut || clock, &mut |line| {
        numbers.push(line.line);
        Ok(())
    });
    done.expect("no line stops a file");
    numbers
}

/// The accounts come out even, the chain is whole, and the projection is what follows from the log.
fn holds_together(engine: &InMemory) {
    let mut reader = engine.reader().expect("a reader");
    let it = reader.statistics().expect("figures");
    let settled = it.applied + it.duplicate + it.ignored + it.quarantined;
    assert_eq!(it.received, settled, "{it:?}");
    let verified = reader.verify(&mut |_| {}).expect("verified");
    assert_eq!(verified.fault, None);
}

fn users(engine: &InMemory) -> Vec<UserId> {
    let mut reader = engine.reader().expect("a reader");
    let users = reader.store().read(|it| it.users_after(None, 10_000));
    users.map_err(|error: StoreError| error).expect("users")
}

fn windows(engine: &InMemory) -> Vec<UserWindow> {
    let mut reader = engine.reader().expect("a reader");
    let of = |user: UserId| reader.windows(&user, None).expect("windows");
    users(engine).into_iter().flat_map(of).collect()
}

fn exported(engine: &InMemory) -> String {
    let mut reader = engine.reader().expect("a reader");
    let mut export = reader.export().expect("an export");
    let mut text = String::new();
    while let Some(lines) = reader.export_lines(&mut export, 100).expect("lines") {
        for line in lines {
            text.push_str(&line.text);
            text.push('\n');
        }
    }
    text
}

const HISTORY: &str = r#"
{"received_at":"2026-01-01T00:00:01Z","source":"cloudevents","body":{"specversion":"1.0","id":"1","source":"s","type":"tenure.granted","time":"2026-01-01T00:00:00Z","subject":"u1","data":{"grant":"g1","product":"pro","period":"P1M","period_key":"jan"}}}
{"received_at":"2026-01-02T00:00:00Z","source":"cloudevents","body":{"specversion":"1.0","id":"2","source":"s","type":"tenure.granted","time":"2026-01-02T00:00:00Z","subject":"u2","data":{"grant":"g2","product":"news","until":null,"parent":"g1"}}}
{"received_at":"2026-02-02T00:00:00Z","source":"cloudevents","body":{"specversion":"1.0","id":"3","source":"s","type":"tenure.renewed","time":"2026-02-02T00:00:00Z","subject":"u1","data":{"grant":"g1","period_key":"feb"}}}
{"received_at":"2026-02-10T00:00:00Z","source":"cloudevents","body":{"specversion":"1.0","id":"4","source":"s","type":"tenure.refunded","time":"2026-02-10T00:00:00Z","subject":"u1","data":{"grant":"g1","period_key":"feb"}}}
{"received_at":"2026-01-05T00:00:00Z","source":"cloudevents","body":{"specversion":"1.0","id":"5","source":"s","type":"tenure.granted","time":"2026-01-05T00:00:00Z","subject":"u3","data":{"grant":"g3","product":"pro","until":"2026-03-05T00:00:00Z","recurring":true}}}
{"received_at":"2026-03-04T00:00:00Z","source":"cloudevents","body":{"specversion":"1.0","id":"6","source":"s","type":"tenure.payment_failed","time":"2026-03-04T00:00:00Z","subject":"u3","data":{"grant":"g3"}}}
{"received_at":"2026-03-05T00:00:00Z","source":"staff","body":{"specversion":"1.0","id":"7","source":"s","type":"tenure.linked","time":"2026-03-05T00:00:00Z","subject":"u3","data":{"alias":"u4"}}}
"#;

/// An engine with a month that was refunded, a child, a failed payment and a link.
pub(super) fn small_history() -> InMemory {
    let mut engine = empty();
    let options = FileOptions {
        source: None,
        backfill: true,
    };
    read(&mut engine, HISTORY.as_bytes(), &options, now());
    engine
}

/// The whole is the JSON of rules.
pub(crate) fn rules(data: &[u8]) {
    let Ok(rules) = serde_json::from_slice::<Rules>(data) else {
        return;
    };
    let written = serde_json::to_string(&rules).expect("written");
    let read: Rules = serde_json::from_str(&written).expect("and read");
    assert_eq!(read, rules, "{written}");
    let refused = |error: EngineError| matches!(error, EngineError::ReservedName(_));
    let is_reserved = rules.sources.keys().any(|it| it.as_str() == "tenure");
    match empty().begin_with_rules(&rules) {
        Ok(()) => assert!(!is_reserved),
        Err(error) => assert!(is_reserved && refused(error)),
    }
    let mut engine = small_history();
    let mut planned = Vec::new();
    let mut reader = engine.reader().expect("a reader");
    let plan = reader.plan(
        &rules,
        instant("2026-02-15T00:00:00Z"),
        &mut |change| planned.push(change),
        &mut |_| {},
    );
    plan.expect("a plan");
    let before: Vec<bool> = planned.iter().map(|it| has_access(&engine, it)).collect();
    match engine.apply(&rules, now(), &mut |_| {}) {
        Ok(_) => assert!(!is_reserved && engine.rules().expect("rules") == rules),
        Err(error) => {
            assert!(is_reserved && refused(error));
            return;
        }
    }
    holds_together(&engine);
    for (change, before) in planned.iter().zip(before) {
        let gains = change.change.direction == Direction::Gains;
        assert_eq!(before, !gains, "before: {change:?}");
        assert_eq!(has_access(&engine, change), gains, "after: {change:?}");
    }
}

fn instant(text: &str) -> Instant {
    text.parse().expect("an instant")
}

/// Whether the person of a planned change has access at its beginning.
fn has_access(engine: &InMemory, planned: &PlannedChange) -> bool {
    let question = Question {
        user: planned.users.first().expect("a person").clone(),
        resource: planned.change.resource.clone(),
        at: planned.change.start,
        as_of: None,
    };
    let mut reader = engine.reader().expect("a reader");
    let decision = reader.check(&question).expect("a decision");
    decision.verdict.is_allowed()
}
