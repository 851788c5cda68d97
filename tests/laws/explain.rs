//! The laws of explanations: what is said to have taken, turned or kept access did, by the model; and what is in quarantine
//! is found by whatever names a user.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tenure::domain::decision::Question;
use tenure::domain::mention::{MOST_MENTIONS, mentions};
use tenure::{
    Blocked, Delivery, DenyReason, EffectiveAt, End, Engine, Explanation, GrantId, Grounds,
    Instant, KeptBy, MemoryStore, Outcome, Position, RecordedAt, Request, Rules, Secrets,
    StaffChange, StaffStatement, Statement, UserId, Verdict,
};

use crate::model::Model;
use crate::strategies::{
    History, Line, Recorded, at, history, in_memory, now, plain_rules, questions, recorded, tell,
    told,
};

use super::{check, hold, some_of};

/// Some questions with their explanations, of the present and of what was known at some entry.
fn explained(
    history: &History,
    most: usize,
    since: impl Fn(&Question) -> Option<Instant>,
) -> (Engine<MemoryStore>, Recorded, Vec<Explanation>) {
    let engine = told(history);
    let recorded = recorded(&engine);
    let mut reader = engine.reader().unwrap();
    let mut explanations = Vec::new();
    let middle = recorded.times.get(recorded.times.len() / 2).copied();
    for as_of in BTreeSet::from([None, middle]) {
        for question in some_of(&questions(&engine, as_of), most) {
            explanations.push(reader.explain(&question, since(&question)).unwrap());
        }
    }
    (engine, recorded, explanations)
}

fn is_known(it: &tenure::RecordedEvent, known_at: Option<RecordedAt>) -> bool {
    let by_then = |at: RecordedAt| known_at.is_none_or(|known_at| at <= known_at);
    by_then(it.recorded_at) && !it.withdrawn_at.is_some_and(by_then)
}

/// Whether the model gives access without what these deliveries say of grants and users.
fn allows_without(recorded: &Recorded, out: &BTreeSet<Position>, question: &Question) -> bool {
    let mut events = recorded.events.clone();
    events.retain(|it| {
        let is_about = matches!(it.event.statement, Statement::Grant(_) | Statement::User(_));
        !is_about || !out.contains(&it.position)
    });
    let model = Model {
        events: &events,
        rules: &recorded.rules,
    };
    model.access(
        &question.user,
        &question.resource,
        question.at,
        question.as_of,
    )
}

#[test]
fn what_took_access_together_is_all_and_nothing_that_can_be_spared() {
    hold(240, history(12), |history| {
        let (_engine, recorded, explanations) = explained(&history, 24, |_| None);
        for explanation in explanations {
            let places = explanation.without_all.iter();
            let taking: BTreeSet<Position> = places
                .map(|place| explanation.steps[*place].position)
                .collect();
            if taking.is_empty() {
                continue;
            }
            let question = &explanation.decision.question;
            prop_assert!(explanation.without.is_empty() && taking.len() > 1);
            prop_assert!(
                allows_without(&recorded, &taking, question),
                "{:?}",
                explanation
            );
            for spared in &taking {
                let mut others = taking.clone();
                others.remove(spared);
                prop_assert!(
                    !allows_without(&recorded, &others, question),
                    "{:?}",
                    explanation
                );
            }
        }
        Ok(())
    });
}

#[test]
fn access_was_lost_when_the_model_last_gave_it() {
    hold(240, history(10), |history| {
        let (engine, recorded, explanations) = explained(&history, 24, |_| None);
        let asked = questions(&engine, None);
        let instants: BTreeSet<Instant> = asked.iter().map(|question| question.at).collect();
        for explanation in explanations {
            let Question {
                user,
                resource,
                at,
                as_of,
            } = &explanation.decision.question;
            let gives = |at: Instant| recorded.model().access(user, resource, at, *as_of);
            let from = match explanation.lost_at {
                Some(lost_at) => {
                    prop_assert!(lost_at <= *at);
                    prop_assert!(
                        gives(lost_at.previous()) && !gives(lost_at),
                        "{:?}",
                        explanation
                    );
                    lost_at
                }
                None if explanation.decision.verdict.is_allowed() => continue,
                None => Instant::FIRST,
            };
            for instant in instants.range(from..*at) {
                prop_assert!(!gives(*instant), "{} {:?}", instant, explanation);
            }
        }
        Ok(())
    });
}

/// Of different changes at one instant the restricting one wins: what gives access back then does so a moment later.
fn takes_effect_just_then(explanation: &Explanation) -> bool {
    let at = explanation.decision.question.at;
    let mut steps = explanation.steps.iter();
    steps.any(|step| step.effective_at.0 == at)
}

#[test]
fn a_reinstatement_gives_access_where_it_is_said_to_be_enough() {
    hold(300, history(10), |history| {
        let mut engine = told(&history);
        let asked = some_of(&questions(&engine, None), 40);
        for question in asked {
            let explanation = engine.reader().unwrap().explain(&question, None).unwrap();
            let Some(KeptBy::Reinstatement { .. }) = explanation.kept_by else {
                continue;
            };
            if takes_effect_just_then(&explanation) {
                continue;
            }
            let statement = StaffStatement {
                id: "back".parse().unwrap(),
                at: EffectiveAt(question.at),
                grounds: Grounds::new("anna", "a mistake").unwrap(),
                change: StaffChange::Reinstated {
                    grant: explanation.decision.access.unwrap().grant,
                    user: None,
                    until: None,
                },
            };
            let receipt = engine.ingest(statement.delivery(), now()).unwrap();
            prop_assert_eq!(receipt.outcome, Outcome::Applied);
            let gives = check(&engine, &question).verdict.is_allowed();
            prop_assert_eq!(gives, explanation.is_enough, "{:?}", question);
            return Ok(());
        }
        Ok(())
    });
}

#[test]
fn without_is_what_the_model_allows_without_and_nothing_else() {
    hold(240, history(10), |history| {
        let (_engine, recorded, explanations) = explained(&history, 24, |_| None);
        for explanation in explanations {
            let decision = &explanation.decision;
            let Question { at, as_of, .. } = &decision.question;
            let named = explanation.without.iter().map(|place| {
                let step = &explanation.steps[*place];
                assert!(step.in_effect);
                step.position
            });
            let named: BTreeSet<Position> = named.collect();
            let mut expected = BTreeSet::new();
            for it in &recorded.events {
                let is_about =
                    matches!(it.event.statement, Statement::Grant(_) | Statement::User(_));
                let counts = is_known(it, *as_of) && it.event.effective_at.0 <= *at;
                if decision.verdict.is_allowed() || !is_about || !counts {
                    continue;
                }
                if allows_without(
                    &recorded,
                    &BTreeSet::from([it.position]),
                    &decision.question,
                ) {
                    expected.insert(it.position);
                }
            }
            prop_assert_eq!(named, expected, "{:?}", decision);
        }
        Ok(())
    });
}

#[test]
fn turned_at_is_tight() {
    hold(240, history(10), |history| {
        let since = |question: &Question| {
            // Now near, now far, now not before it at all.
            let days =
                [3, 40, 400, -2][usize::try_from(question.at.micros().unsigned_abs() % 4).unwrap()];
            let micros = question.at.micros().saturating_sub(days * 86_400_000_000);
            Some(Instant::from_micros(micros).unwrap_or(Instant::FIRST))
        };
        let (engine, recorded, explanations) = explained(&history, 16, since);
        let asked = questions(&engine, None);
        let instants: BTreeSet<Instant> = asked.iter().map(|question| question.at).collect();
        for explanation in explanations {
            let Question {
                user,
                resource,
                at,
                as_of,
            } = &explanation.decision.question;
            let since = explanation.since.as_ref().unwrap().question.at;
            let answer = |at: Instant| {
                let answer = recorded.model().answer(user, resource, at, *as_of);
                (answer.allow, answer.reason)
            };
            let from = explanation.turned_at.unwrap_or(since);
            let between = instants.iter().filter(|it| **it > from && **it < *at);
            for instant in between {
                prop_assert_eq!(
                    answer(*instant),
                    answer(*at),
                    "{} {:?}",
                    instant,
                    explanation
                );
            }
            match explanation.turned_at {
                None => {
                    prop_assert!(
                        since >= *at || answer(since) == answer(*at),
                        "{:?}",
                        explanation
                    );
                    prop_assert!(explanation.turned_by.is_empty());
                }
                Some(turned_at) => {
                    prop_assert!(turned_at > since && turned_at <= *at);
                    prop_assert_eq!(answer(turned_at), answer(*at));
                    prop_assert!(
                        answer(turned_at.previous()) != answer(*at),
                        "{:?}",
                        explanation
                    );
                }
            }
            for place in &explanation.turned_by {
                let step = &explanation.steps[*place];
                let turned_at = explanation.turned_at.unwrap();
                let after = &step.effect.after;
                let ends = [after.end, after.paid_until].contains(&Some(End::At(turned_at)));
                let reaches = ends || after.start == Some(turned_at);
                prop_assert!(
                    step.effective_at.0 == turned_at || reaches,
                    "{:?}",
                    explanation
                );
            }
        }
        Ok(())
    });
}

#[test]
fn a_deny_is_kept_by_what_its_reason_says() {
    hold(240, history(10), |history| {
        let (_engine, recorded, explanations) = explained(&history, 24, |_| None);
        for explanation in explanations {
            let decision = &explanation.decision;
            let Question {
                user,
                resource,
                at,
                as_of,
            } = &decision.question;
            let Verdict::Deny(reason) = decision.verdict else {
                prop_assert_eq!(&explanation.kept_by, &None);
                continue;
            };
            let kept_by = explanation.kept_by.clone().unwrap();
            let fits = match (&kept_by, reason) {
                (KeptBy::Renewal { by }, DenyReason::Lapsed) => by <= at,
                (KeptBy::CancelledRenewal { by, cancelled_by }, DenyReason::Cancelled) => {
                    by <= at && cancelled_by.len() == 1
                }
                (KeptBy::LiftedBlocks { blocks }, DenyReason::Suspended) => {
                    !blocks.is_empty() && blocks.iter().all(|block| block.set_by.len() == 1)
                }
                (
                    KeptBy::Reinstatement { ended_by },
                    DenyReason::Revoked | DenyReason::Refunded | DenyReason::Ended,
                ) => ended_by.len() == 1,
                (
                    KeptBy::Product { products },
                    DenyReason::NotIncluded | DenyReason::NeverGranted | DenyReason::UnknownUser,
                ) => {
                    let mut rules = recorded.rules.iter();
                    let known = |it: &&(RecordedAt, Rules)| as_of.is_none_or(|as_of| it.0 <= as_of);
                    let rules = &rules.rfind(known).unwrap().1;
                    let includes =
                        |name: &tenure::ProductName| rules.inclusion(name, resource).covers(*at);
                    let all = rules.products.keys().filter(|name| includes(name));
                    products.iter().eq(all)
                }
                (KeptBy::Parent { reason, .. }, DenyReason::ParentEnded) => !matches!(
                    reason,
                    DenyReason::Transferred | DenyReason::NotIncluded | DenyReason::ParentEnded
                ),
                (
                    KeptBy::Holder {
                        user,
                        transferred_by,
                    },
                    DenyReason::Transferred,
                ) => !explanation.linked.contains(user) && transferred_by.len() == 1,
                (KeptBy::Beginning { at }, DenyReason::NotYet) => {
                    at.is_none_or(|at| recorded.model().access(user, resource, at, *as_of))
                }
                _ => false,
            };
            prop_assert!(fits, "{:?} {:?}", kept_by, decision);
        }
        Ok(())
    });
}

#[test]
fn lifting_the_blocks_that_are_named_lifts_the_suspension() {
    hold(300, history(10), |history| {
        let mut engine = told(&history);
        let asked = some_of(&questions(&engine, None), 40);
        for question in asked {
            let explanation = engine.reader().unwrap().explain(&question, None).unwrap();
            if takes_effect_just_then(&explanation) {
                continue;
            }
            let Some(KeptBy::LiftedBlocks { blocks }) = explanation.kept_by else {
                continue;
            };
            let holds_all = blocks.len();
            prop_assert!(holds_all > 0, "{:?}", question);
            for (place, block) in blocks.into_iter().enumerate() {
                let is_last = place + 1 == holds_all;
                let on = match (block.grant, block.user) {
                    (Some(key), None) => Blocked::Grant(GrantId {
                        source: block.source,
                        key,
                    }),
                    (None, Some(user)) => Blocked::User {
                        user,
                        source: block.source,
                    },
                    both => panic!("on one or the other: {both:?}"),
                };
                let statement = StaffStatement {
                    id: format!("lift-{place}-{}", question.at.micros())
                        .parse()
                        .unwrap(),
                    at: EffectiveAt(question.at),
                    grounds: Grounds::new("anna", "paid").unwrap(),
                    change: StaffChange::Resumed {
                        on,
                        user: None,
                        by: Some(block.name),
                    },
                };
                let receipt = engine.ingest(statement.delivery(), now()).unwrap();
                prop_assert_eq!(receipt.outcome, Outcome::Applied);
                let reason = check(&engine, &question).verdict;
                let is_suspended = reason == Verdict::Deny(DenyReason::Suspended);
                prop_assert_eq!(is_suspended, !is_last, "{:?}", question);
            }
            return Ok(());
        }
        Ok(())
    });
}

#[test]
fn an_explanation_of_a_user_is_those_of_the_products() {
    hold(160, history(10), |history| {
        let engine = told(&history);
        let mut reader = engine.reader().unwrap();
        for user in recorded(&engine).users() {
            let all = reader.explain_user(&user, now(), None, None).unwrap();
            for explanation in &all {
                let one = reader
                    .explain(&explanation.decision.question, None)
                    .unwrap();
                prop_assert_eq!(&one, explanation);
            }
            let named: BTreeSet<String> = all
                .iter()
                .map(|it| it.decision.question.resource.to_string())
                .collect();
            for window in reader.windows(&user, None).unwrap() {
                prop_assert!(named.contains(window.product.as_str()), "{:?}", window);
            }
        }
        Ok(())
    });
}

#[test]
fn an_id_is_found_however_deep_it_stands_and_wherever_the_text_is_cut() {
    let id = "[^\\p{Cc}]{1,20}".prop_map(|text| text.replace(char::is_control, "x"));
    hold(
        600,
        (id, "[a-z]{0,3}", 0..400_usize),
        |(id, prefix, cut)| {
            let plain =
                serde_json::json!({"a": [1, {"user": id}], "tail": "t".repeat(300)}).to_string();
            let nested = serde_json::json!({"payload": plain}).to_string();
            for text in [plain, nested] {
                let stands_at = text.find("tail").unwrap();
                let cut = text.len().min(stands_at + cut);
                let found = mentions(&text.as_bytes()[..cut], &prefix);
                let canonical: UserId = id.parse().unwrap();
                for wanted in [canonical.to_string(), format!("{prefix}{canonical}")] {
                    prop_assert!(
                        found.iter().any(|it| it.as_str() == wanted),
                        "{} in {}",
                        wanted,
                        text
                    );
                }
            }
            Ok(())
        },
    );
}

#[test]
fn any_bytes_are_searched() {
    hold(
        600,
        (proptest::collection::vec(any::<u8>(), 0..300), "\\PC{0,3}"),
        |(bytes, prefix)| {
            let found = mentions(&bytes, &prefix);
            prop_assert!(found.len() <= MOST_MENTIONS);
            let distinct: BTreeSet<_> = found.iter().collect();
            prop_assert_eq!(distinct.len(), found.len());
            Ok(())
        },
    );
}

const RULES: &str = r#"{"sources": {
    "crm": {"provider": "cloudevents"},
    "app": {"provider": "cloudevents", "user_prefix": "app-"}
}}"#;

fn ingest(
    engine: &mut Engine<MemoryStore>,
    source: &str,
    body: &str,
    now: &str,
) -> tenure::Receipt {
    let request = Request {
        body: body.as_bytes().to_vec(),
        ..Request::default()
    };
    let delivery = Delivery::trusted(source.parse().unwrap(), request);
    engine.ingest(delivery, at(now)).unwrap()
}

fn positions(engine: &Engine<MemoryStore>, user: &str, as_of: Option<&str>) -> Vec<u64> {
    let as_of = as_of.map(|text| RecordedAt(at(text)));
    let user: UserId = user.parse().unwrap();
    let found = engine.reader().unwrap().quarantined(&user, as_of).unwrap();
    found.into_iter().map(|it| it.position.0).collect()
}

fn fresh() -> Engine<MemoryStore> {
    let mut engine = Engine::new(MemoryStore::new().unwrap(), Secrets::default()).unwrap();
    let rules: Rules = serde_json::from_str(RULES).unwrap();
    engine.begin_with_rules(&rules).unwrap();
    engine
}

#[test]
fn what_is_in_quarantine_is_found_by_every_form_of_an_id() {
    const GUID: &str = "0a1b2c3d-0000-4000-8000-00000000000f";
    for (source, body, user) in [
        ("crm", r#"{"subject":"u1"}"#.to_owned(), "u1".to_owned()),
        ("crm", r#"{"subject":4711,"#.to_owned(), "4711".to_owned()),
        (
            "crm",
            r#"{"subject":"\u0075\u0031""#.to_owned(),
            "u1".to_owned(),
        ),
        (
            "crm",
            format!(r#"{{"subject":"{}"}}"#, GUID.to_uppercase()),
            GUID.to_owned(),
        ),
        (
            "app",
            format!(r#"{{"subject":"{}"}}"#, GUID.to_uppercase()),
            format!("app-{GUID}"),
        ),
        ("app", r#"{"subject":"u1"#.to_owned(), "app-u1".to_owned()),
        ("app", r#"{"alias":"u1"}"#.to_owned(), "u1".to_owned()),
        ("crm", "user=u%31&x=1".to_owned(), "u1".to_owned()),
    ] {
        let mut engine = fresh();
        let receipt = ingest(&mut engine, source, &body, "2026-01-01T00:00:00Z");
        assert_eq!(receipt.outcome, Outcome::Quarantined, "{body}");
        assert_eq!(
            positions(&engine, &user, None),
            [receipt.position.0],
            "{body}"
        );
        assert_eq!(positions(&engine, "u2", None), [0; 0], "{body}");
    }
}

#[test]
fn what_is_in_quarantine_is_found_by_grants_of_its_source_and_by_linked_ids() {
    let mut engine = fresh();
    let granted = r#"{"specversion":"1.0","id":"e1","source":"s","type":"tenure.granted","time":"2026-01-01T00:00:00Z",
        "subject":"u1","data":{"grant":"g1","product":"news","until":null}}"#;
    let linked = r#"{"specversion":"1.0","id":"e2","source":"s","type":"tenure.linked","time":"2026-01-01T00:00:00Z",
        "subject":"u1","data":{"alias":"u2"}}"#;
    let receipt = ingest(&mut engine, "crm", granted, "2026-01-01T00:00:00Z");
    assert_eq!(receipt.outcome, Outcome::Applied);
    let of_grant = ingest(
        &mut engine,
        "crm",
        r#"{"grant":"g1"}"#,
        "2026-01-02T00:00:00Z",
    );
    let of_another_source = ingest(
        &mut engine,
        "app",
        r#"{"grant":"g1"}"#,
        "2026-01-03T00:00:00Z",
    );
    let of_user = ingest(
        &mut engine,
        "app",
        r#"{"alias":"u2"}"#,
        "2026-01-04T00:00:00Z",
    );
    assert_eq!(of_another_source.outcome, Outcome::Quarantined);
    assert_eq!(positions(&engine, "u1", None), [of_grant.position.0]);
    assert_eq!(positions(&engine, "u2", None), [of_user.position.0]);
    let receipt = ingest(&mut engine, "crm", linked, "2026-01-05T00:00:00Z");
    assert_eq!(receipt.outcome, Outcome::Applied);
    let both = [of_grant.position.0, of_user.position.0];
    assert_eq!(positions(&engine, "u1", None), both);
    assert_eq!(positions(&engine, "u2", None), both);
    // Before the link was known.
    let before = Some("2026-01-04T12:00:00Z");
    assert_eq!(positions(&engine, "u1", before), [of_grant.position.0]);
}

#[test]
fn what_is_in_quarantine_is_told_as_it_was_known() {
    let mut engine = fresh();
    let body = r#"{"subject":"u1"}"#;
    let first = ingest(&mut engine, "crm", body, "2026-01-02T00:00:00Z").position;
    // The same again is counted, and adds nothing.
    let again = ingest(&mut engine, "crm", body, "2026-01-03T00:00:00Z").position;
    assert_eq!(again, first);
    let other = ingest(
        &mut engine,
        "crm",
        r#"{"other":"u1"}"#,
        "2026-01-04T00:00:00Z",
    )
    .position;
    engine
        .discard(first, "a test", at("2026-01-05T00:00:00Z"))
        .unwrap();
    let both = [first.0, other.0];
    for (as_of, expected) in [
        (Some("2026-01-01T23:59:59Z"), &[][..]),
        (Some("2026-01-02T00:00:00Z"), &both[..1]),
        (Some("2026-01-04T00:00:00Z"), &both[..]),
        (Some("2026-01-05T00:00:00Z"), &both[1..]),
        (None, &both[1..]),
    ] {
        assert_eq!(positions(&engine, "u1", as_of), expected, "{as_of:?}");
    }
    let question = Question {
        user: "u1".parse().unwrap(),
        resource: "news".parse().unwrap(),
        at: at("2026-01-06T00:00:00Z"),
        as_of: None,
    };
    let explanation = engine.reader().unwrap().explain(&question, None).unwrap();
    assert_eq!(explanation.decision.verdict.reason(), "unknown_user");
    let found: Vec<Position> = explanation
        .quarantined
        .iter()
        .map(|it| it.position)
        .collect();
    assert_eq!(found, [other]);
    assert_eq!(explanation.quarantined[0].reason.code(), "missing_field");
}

#[test]
fn what_turned_at_since_itself_has_not_turned_since() {
    let mut engine = in_memory(&plain_rules());
    let line = Line::of_grant("crm", "granted", "g", at("2026-01-01T00:00:00Z"));
    let line = line.for_user("u").with("product", "news".into());
    tell(
        &mut engine,
        &[line.with("until", "2026-02-01T00:00:00Z".into())],
        0,
    );
    let question = Question {
        user: "u".parse().unwrap(),
        resource: "news".parse().unwrap(),
        at: at("2026-01-15T00:00:00Z"),
        as_of: None,
    };
    let mut reader = engine.reader().unwrap();
    let mut turned_at = |since: &str| {
        reader
            .explain(&question, Some(at(since)))
            .unwrap()
            .turned_at
    };
    assert_eq!(turned_at("2026-01-01T00:00:00Z"), None);
    let before = "2025-12-31T23:59:59.999999Z";
    assert_eq!(turned_at(before), Some(at("2026-01-01T00:00:00Z")));
}
