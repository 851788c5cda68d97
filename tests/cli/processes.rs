//! The library in one process, the command in another, on one file.

use tenure::{Question, Reader, SqliteStore};

use super::Place;

#[test]
fn a_reader_that_keeps_its_state_sees_what_another_process_recorded() {
    let place = Place::new();
    let line = |number: u32| {
        format!(
            r#"{{"specversion":"1.0","id":"e{number}","source":"crm","type":"tenure.granted","time":"2026-01-01T00:00:00Z","subject":"u{number}","data":{{"grant":"g{number}","product":"news","until":null}}}}"#
        )
    };
    let record = |number| {
        place.write("line.jsonl", line(number));
        let output = place.run(&["ingest", "cloudevents", "line.jsonl"]);
        assert_eq!(output.status.code(), Some(0));
    };
    record(0);
    let mut reader = Reader::new(SqliteStore::open_reader(&place.path("tenure.db")).unwrap());
    let mut is_allowed = |number: u32| {
        let question = Question {
            user: format!("u{number}").parse().unwrap(),
            resource: "news".parse().unwrap(),
            at: "2026-02-01T00:00:00Z".parse().unwrap(),
            as_of: None,
        };
        reader.check(&question).unwrap().verdict.is_allowed()
    };
    assert!(is_allowed(0));
    for number in 1..5 {
        assert!(!is_allowed(number));
        record(number);
        assert!(is_allowed(number));
    }
}
