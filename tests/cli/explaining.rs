//! What the paragraph of `explain` says of a deny is true: the cause is named, and a remedy only where it helps.

use serde_json::{Value, json};

use super::{Place, RULES};

/// A delivery of crm; `data` names grant g1 where it names no other.
fn stated(at: &str, change: &str, data: Value) -> Value {
    of("crm", at, change, data)
}

fn of(source: &str, at: &str, change: &str, data: Value) -> Value {
    let mut data = data;
    if source == "crm" && data.get("grant").is_none() {
        data["grant"] = "g1".into();
    }
    let at = format!("2026-{at}T00:00:00Z");
    json!({"received_at": at, "source": source, "body": {
        "specversion": "1.0", "id": format!("{change} {at} {}", data["grant"]), "source": "x",
        "type": format!("tenure.{change}"), "time": at, "subject": "lea", "data": data,
    }})
}

fn staff(at: &str, change: &str) -> Value {
    let data = json!({"grant": "g1", "grant_source": "crm", "actor": "anna", "why": "a mistake"});
    of("staff", at, change, data)
}

fn granted(until: Option<&str>) -> Value {
    let until = until.map(|day| format!("2026-{day}T00:00:00Z"));
    stated(
        "01-01",
        "granted",
        json!({"product": "pro", "until": until}),
    )
}

fn monthly() -> Value {
    stated(
        "01-01",
        "granted",
        json!({"product": "pro", "period": "P1M"}),
    )
}

fn place(deliveries: &[Value]) -> Place {
    let place = Place::new();
    place.write("tenure.toml", RULES);
    place.write("app.key", super::KEY);
    let lines: Vec<String> = deliveries.iter().map(Value::to_string).collect();
    place.write("told.jsonl", lines.join("\n") + "\n");
    let output = place.run(&["ingest", "any", "told.jsonl", "--backfill"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    place
}

/// The paragraph in one line.
fn said(deliveries: &[Value], at: &str) -> String {
    said_with(deliveries, &["--at", at])
}

fn said_with(deliveries: &[Value], options: &[&str]) -> String {
    let line = [&["explain", "lea", "pro"], options].concat();
    let output = place(deliveries).run(&line);
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("\n\n").next().unwrap().replace('\n', " ")
}

fn assert_says(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let (_, after) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("`{part}` (in this order) in: {text}"));
        rest = after;
    }
}

#[test]
fn what_never_gave_access_is_told_with_what_kept_it_from_beginning() {
    let later = json!({"product": "pro", "until": null, "from": "2026-02-01T00:00:00Z"});
    let told = [
        stated("01-01", "granted", later),
        stated("01-10", "revoked", json!({})),
    ];
    let text = said(&told, "2026-03-01");
    let never = "lea was given pro, but never had access with it. It was taken away on 10 January";
    assert_says(&text, &[never, "Without that there would be access"]);
    assert!(!text.contains("does not include"), "{text}");
    let all = place(&told).transcript(&["explain", "lea", "--at", "2026-03-01"]);
    assert!(all.contains("deny: pro"), "{all}");
}

#[test]
fn of_two_ends_the_first_is_the_cause_and_reinstating_is_said_to_help() {
    let told = [
        granted(None),
        stated("01-10", "revoked", json!({})),
        stated("01-20", "ended", json!({"cause": "cancelled"})),
    ];
    let text = said(&told, "2026-02-01");
    let parts = [
        "taken away on 10 January",
        "on 20 January",
        "Without all of these there would be access: reinstating it, or withdrawing them, gives it back.",
    ];
    assert_says(&text, &parts);
    let lea = place(&told).json(&["explain", "lea", "pro", "--at", "2026-02-01", "--json"]);
    assert_eq!(lea[0]["without"], json!([]));
    assert_eq!(lea[0]["without_all"], json!([1, 2]));
    assert_eq!(lea[0]["lost_by"], json!([1]));
    assert_eq!(lea[0]["lost_at"], "2026-01-10T00:00:00Z");
    assert_eq!(lea[0]["is_enough"], true);
}

#[test]
fn what_is_suspended_and_then_revoked_names_both() {
    let told = [
        granted(None),
        stated("01-10", "suspended", json!({"by": "billing"})),
        stated("01-20", "revoked", json!({})),
    ];
    let text = said(&told, "2026-02-01");
    let parts = [
        "suspended on 10 January",
        "taken away on 20 January",
        "Without all of these there would be access: withdrawing them gives it back.",
        "Reinstating it alone does not.",
    ];
    assert_says(&text, &parts);
}

#[test]
fn where_only_withdrawing_helps_reinstating_is_not_offered() {
    let renewed = |at: &str| stated(at, "renewed", json!({"period": "P1M"}));
    let told = [
        monthly(),
        staff("01-10", "revoked"),
        renewed("02-01"),
        renewed("03-01"),
    ];
    let text = said(&told, "2026-03-10");
    let parts = [
        "taken away on 10 January",
        "withdrawing that statement gives it back.",
        "Reinstating it alone does not.",
    ];
    assert_says(&text, &parts);
}

#[test]
fn a_renewal_is_no_remedy_where_something_else_stood_in_the_way() {
    let told = [
        monthly(),
        stated("01-10", "suspended", json!({"by": "billing"})),
    ];
    let text = said(&told, "2026-03-01");
    assert_says(&text, &["suspended on 10 January", "ran out on 1 February"]);
    assert_says(&text, &["A renewal alone would not have kept access."]);
}

#[test]
fn of_a_cancellation_with_immediate_effect_taking_it_back_is_the_remedy() {
    let until = json!({"until": "2026-01-20T00:00:00Z"});
    let told = [granted(Some("06-01")), stated("01-20", "cancelled", until)];
    let text = said(&told, "2026-02-05");
    assert_says(
        &text,
        &[
            "cancelled on 20 January",
            "Without that there would be access",
        ],
    );
    assert!(!text.contains("A renewal"), "{text}");
}

#[test]
fn a_cancellation_after_it_ran_out_comes_second() {
    let told = [monthly(), stated("03-10", "cancelled", json!({}))];
    let options = ["--at", "2026-04-01", "--since", "2026-01-15"];
    let text = said_with(&told, &options);
    let parts = [
        "ran out on 1 February",
        "cancelled on 10 March",
        "There has been no access since 1 February 2026, 00:00 UTC",
        "since 10 March",
    ];
    assert_says(&text, &parts);
}

#[test]
fn a_deny_says_that_access_comes_back_of_itself() {
    let later =
        json!({"grant": "g2", "product": "pro", "from": "2026-05-01T00:00:00Z", "until": null});
    let told = [granted(Some("02-01")), stated("01-02", "granted", later)];
    let text = said(&told, "2026-03-01");
    assert_says(
        &text,
        &["ran out on 1 February", "again on 1 May 2026, 00:00 UTC."],
    );
}

#[test]
fn what_is_to_come_is_told_as_that() {
    let told = [stated(
        "01-01",
        "granted",
        json!({"product": "pro", "period": "P90Y"}),
    )];
    let text = said(&told, "2120-01-01");
    assert_says(
        &text,
        &["There is access with", "It runs out on 1 January 2116"],
    );
    assert_says(&text, &["A renewal by then keeps access."]);
    assert!(!text.contains("was not renewed"), "{text}");
}

#[test]
fn an_instant_to_compare_with_has_to_be_the_earlier_one() {
    let place = place(&[monthly()]);
    let later = ["--at", "2026-01-10", "--since", "2026-01-11"];
    assert_eq!(
        place.code(&[&["explain", "lea", "pro"], &later[..]].concat()),
        2
    );
    assert_eq!(place.code(&[&["explain", "lea"], &later[..]].concat()), 2);
    let same = [
        "explain",
        "lea",
        "pro",
        "--at",
        "2026-01-10",
        "--since",
        "2026-01-10",
    ];
    assert_eq!(place.code(&same), 0);
}

#[test]
fn of_somebody_unknown_then_it_is_said_by_when() {
    let told = place(&[monthly()]).transcript(&["explain", "lea", "--as-of", "2025-12-01"]);
    assert!(told.contains("known on 1 December 2025"), "{told}");
}
