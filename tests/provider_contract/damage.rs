//! Every body of every vector with one of its values gone or replaced: whatever a field holds, there is an answer, and a
//! refusal names the field.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenure::provider::{Content, PROVIDERS, Provider};

use super::{Source, refusal, vectors};

/// The way to a value: keys of objects and places in lists.
type Way = Vec<Step>;

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Place(usize),
}

fn ways(value: &Value, here: &Way, found: &mut Vec<Way>) {
    if !here.is_empty() {
        found.push(here.clone());
    }
    let mut inside = |step: Step, value: &Value| {
        let mut way = here.clone();
        way.push(step);
        ways(value, &way, found);
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                inside(Step::Key(key.clone()), value);
            }
        }
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                inside(Step::Place(place), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The value with what stands at the way's end replaced, or taken out.
fn damaged(value: &Value, way: &[Step], by: Option<&Value>) -> Value {
    let mut value = value.clone();
    let (last, before) = way.split_last().unwrap();
    let mut at = &mut value;
    for step in before {
        at = match step {
            Step::Key(key) => &mut at[key],
            Step::Place(place) => &mut at[place],
        };
    }
    match (last, by) {
        (Step::Key(key), Some(by)) => at[key] = by.clone(),
        (Step::Place(place), Some(by)) => at[place] = by.clone(),
        (Step::Key(key), None) => drop(at.as_object_mut().unwrap().remove(key)),
        (Step::Place(place), None) => drop(at.as_array_mut().unwrap().remove(*place)),
    }
    value
}

/// The bodies of a provider's vectors that are objects, each once, with the source they were meant for.
fn bodies(provider: &dyn Provider) -> Vec<(Value, Source)> {
    let mut seen = BTreeSet::new();
    let mut bodies = Vec::new();
    for vector in vectors(provider) {
        for delivery in &vector.deliveries {
            let Ok(body) = serde_json::from_slice::<Value>(&delivery.request().body) else {
                continue;
            };
            let source = Source::of(&vector);
            let rules = json!(source.rules).to_string();
            if body.is_object() && seen.insert((body.to_string(), rules)) {
                bodies.push((body, source));
            }
        }
    }
    bodies
}

#[test]
fn a_body_with_one_value_wrong_is_answered_and_a_refusal_names_a_field() {
    let others = [
        Value::Null,
        json!(5),
        json!(-1),
        json!(1.5),
        json!(true),
        json!(""),
        json!("text"),
        json!([1]),
        json!({"a": 1}),
    ];
    let replacements = || others.iter().map(Some).chain([None]);
    for provider in PROVIDERS.iter().copied() {
        let mut read = 0_u32;
        for (body, source) in bodies(provider) {
            let mut found = Vec::new();
            ways(&body, &Vec::new(), &mut found);
            for way in found {
                for by in replacements() {
                    let text = damaged(&body, &way, by).to_string();
                    let answer = provider.decode(text.as_bytes(), &source.context());
                    if let Some(refusal) = refusal(&answer.content) {
                        assert!(!refusal.field.is_empty(), "{text}: {refusal}");
                    }
                    if let Content::Events(events) = &answer.content {
                        assert!(!events.is_empty(), "{text}");
                    }
                    read += 1;
                }
            }
        }
        assert!(read > 1_000, "{}: {read}", provider.name());
    }
}

/// What a refusal names stands in the body at the place of that name, or is missing there.
#[test]
fn a_field_of_the_wrong_type_is_refused_by_its_own_name_or_not_read() {
    for provider in PROVIDERS.iter().copied() {
        for (body, source) in bodies(provider) {
            let sound = provider.decode(body.to_string().as_bytes(), &source.context());
            if refusal(&sound.content).is_some() {
                continue;
            }
            let mut found = Vec::new();
            ways(&body, &Vec::new(), &mut found);
            for way in found {
                let text = damaged(&body, &way, Some(&json!([[]]))).to_string();
                let answer = provider.decode(text.as_bytes(), &source.context());
                let Some(refusal) = refusal(&answer.content) else {
                    continue;
                };
                let names: Vec<&str> = way
                    .iter()
                    .filter_map(|step| match step {
                        Step::Key(key) => Some(key.as_str()),
                        Step::Place(_) => None,
                    })
                    .collect();
                let path = names.join(".");
                // One list too many is refused by the object around it, an element of a list by the list.
                let field = refusal.field.split('[').next().unwrap();
                let is_around = path.strip_prefix(field);
                assert!(
                    is_around.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
                    "{text}: {refusal}"
                );
            }
        }
    }
}
