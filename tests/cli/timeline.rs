//! Pictures of a person's grants, in the terminal and as SVG.

use unicode_width::UnicodeWidthStr as _;

use super::Place;

/// Everything a lane may show: grace, a block, another holder, a parent that gives none, a part of a second, a grant never
/// given; and names that are long, alike, wide, of the other direction, or look like markup.
const ODD: &str = r#"{"source":"crm","received_at":"2026-01-01T00:00:01Z","body":{"specversion":"1.0","id":"a1","source":"x","type":"tenure.granted","time":"2026-01-01T00:00:00Z","subject":"<b>&'\"読者","data":{"grant":"g-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1bbbbbbbbbbbbbbbbbbbb","product":"news","period":"P1M","recurring":true}}}
{"source":"crm","received_at":"2026-01-01T00:00:02Z","body":{"specversion":"1.0","id":"a2","source":"x","type":"tenure.granted","time":"2026-01-05T00:00:00Z","subject":"<b>&'\"読者","data":{"grant":"g-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2bbbbbbbbbbbbbbbbbbbb","product":"ar\u202echive\uffff","until":"2026-01-05T00:00:01Z"}}}
{"source":"crm","received_at":"2026-01-02T00:00:00Z","body":{"specversion":"1.0","id":"a3","source":"x","type":"tenure.granted","time":"2026-01-10T00:00:00Z","subject":"<b>&'\"読者","data":{"grant":"فاتورة-٤٥","product":"读者专区会员资格长期版本以及更多","until":null}}}
{"source":"crm","received_at":"2026-01-12T00:00:00Z","body":{"specversion":"1.0","id":"a4","source":"x","type":"tenure.suspended","time":"2026-01-12T00:00:00Z","subject":"<b>&'\"読者","data":{"grant":"فاتورة-٤٥","by":"billing"}}}
{"source":"crm","received_at":"2026-01-20T00:00:00Z","body":{"specversion":"1.0","id":"a5","source":"x","type":"tenure.resumed","time":"2026-01-20T00:00:00Z","subject":"<b>&'\"読者","data":{"grant":"فاتورة-٤٥","by":"billing"}}}
{"source":"crm","received_at":"2026-01-25T00:00:00Z","body":{"specversion":"1.0","id":"a6","source":"x","type":"tenure.transferred","time":"2026-02-20T00:00:00Z","subject":"other","data":{"grant":"فاتورة-٤٥","user":"other"}}}
{"source":"crm","received_at":"2026-01-25T00:00:00Z","body":{"specversion":"1.0","id":"a7","source":"x","type":"tenure.grace_extended","time":"2026-01-31T00:00:00Z","subject":"<b>&'\"読者","data":{"grant":"g-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1bbbbbbbbbbbbbbbbbbbb","until":"2026-02-10T00:00:00Z"}}}
{"source":"crm","received_at":"2026-01-26T00:00:00Z","body":{"specversion":"1.0","id":"a8","source":"x","type":"tenure.granted","time":"2026-01-15T00:00:00Z","subject":"<b>&'\"読者","data":{"grant":"child","product":"addon","until":"2026-03-15T00:00:00Z","parent":"g-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1bbbbbbbbbbbbbbbbbbbb"}}}
{"source":"crm","received_at":"2026-01-27T00:00:00Z","body":{"specversion":"1.0","id":"a9","source":"x","type":"tenure.linked","time":"2026-01-15T00:00:00Z","subject":"<b>&'\"読者","data":{"alias":"ann"}}}
{"source":"crm","received_at":"2026-01-28T00:00:00Z","body":{"specversion":"1.0","id":"a10","source":"x","type":"tenure.cancelled","time":"2026-02-15T00:00:00Z","subject":"ann","data":{"grant":"never-seen"}}}
{"source":"crm","received_at":"2026-01-29T00:00:00Z","body":{"specversion":"1.0","id":"b1","source":"x","type":"tenure.granted","time":"2026-01-29T00:00:00Z","subject":"later","data":{"grant":"f1","product":"news","from":"2027-01-01T00:00:00Z","until":"2028-01-01T00:00:00Z"}}}
{"source":"crm","received_at":"2026-01-29T00:00:01Z","body":{"specversion":"1.0","id":"b2","source":"x","type":"tenure.granted","time":"0004-02-29T00:00:00Z","subject":"old","data":{"grant":"f2","product":"news","until":"9990-01-01T00:00:00Z"}}}
"#;

fn odd() -> Place {
    let place = Place::new();
    place.write("tenure.toml", "[sources.crm]\nprovider = \"cloudevents\"\n");
    place.write("odd.jsonl", ODD);
    assert_eq!(place.code(&["ingest", "any", "odd.jsonl", "--backfill"]), 0);
    place
}

/// Pictures that no clock moves: as of then, or of a stretch that is past.
const PICTURES: [&[&str]; 9] = [
    &["timeline", "u1", "--as-of", "2026-02-20"],
    &["timeline", "u1", "--as-of", "2026-01-10"],
    &[
        "timeline",
        "u1",
        "--from",
        "2026-01-05",
        "--to",
        "2026-01-07",
    ],
    &["timeline", "u9", "--as-of", "2026-02-20"],
    &["timeline", "nobody", "--as-of", "2026-02-20"],
    &["timeline", "u1", "--as-of", "2026-02-20", "--ascii"],
    &["timeline", "u1", "--as-of", "2026-01-02", "--json"],
    &[
        "timeline",
        "u1",
        "--from",
        "2026-01-07",
        "--to",
        "2026-01-07",
    ],
    &["timeline", "u1", "--from", "someday"],
];

#[test]
fn a_picture_shows_what_the_grants_gave() {
    let place = Place::with_history();
    let said: String = PICTURES.iter().map(|it| place.transcript(it)).collect();
    insta::assert_snapshot!(said);
}

#[test]
fn a_picture_shows_odd_lives_and_names() {
    let place = odd();
    let pictures: [&[&str]; 5] = [
        &[
            "timeline",
            "ann",
            "--from",
            "2025-12-25",
            "--to",
            "2026-04-01",
        ],
        &[
            "timeline",
            "ann",
            "--from",
            "2025-12-25",
            "--to",
            "2026-04-01",
            "--ascii",
        ],
        &["timeline", "other", "--as-of", "2026-01-26"],
        &["timeline", "later", "--as-of", "2026-02-01"],
        &["timeline", "old", "--as-of", "2026-02-01"],
    ];
    let said: String = pictures.iter().map(|it| place.transcript(it)).collect();
    for line in said.lines() {
        assert!(line.width() <= 80, "{line}");
    }
    let ascii = place.run(pictures[1]);
    assert!(ascii.stdout.is_ascii());
    // No two lanes bear the same name, however alike the grants.
    let names = said.lines().filter(|line| line.starts_with("g-aaa"));
    let names: std::collections::BTreeSet<_> =
        names.filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    insta::assert_snapshot!(said);
}

#[test]
fn now_is_marked_through_all_lanes() {
    let place = Place::with_history();
    let said = place.transcript(&["timeline", "u1"]);
    let lanes = said.lines().filter(|line| line.contains('┆')).count();
    // The axis, two lines for each of two lanes, and what the sign means.
    assert_eq!(lanes, 6, "{said}");
    assert!(said.contains("now┆") && said.contains("▶"), "{said}");
}

#[test]
fn an_svg_is_one_sound_file() {
    let place = odd();
    let picture =
        |file: &str| place.run(&["timeline", "ann", "--as-of", "2026-03-01", "--svg", file]);
    let written = picture("ann.svg");
    assert!(written.status.success(), "{}", super::shown(&written));
    let svg = std::fs::read_to_string(place.path("ann.svg")).unwrap();
    assert_eq!(
        svg.as_bytes(),
        picture("-").stdout,
        "the same bytes each time"
    );
    assert_eq!(
        picture("ann.svg").status.code(),
        Some(2),
        "nothing is written over"
    );
    assert_balanced(&svg);
    for absent in [
        "<script", "href", "http:", "https:", "url(h", "@import", "<b>", "\u{202e}", "\u{ffff}",
    ] {
        let found = svg
            .replace("http://www.w3.org/2000/svg", "")
            .contains(absent);
        assert!(!found, "{absent}");
    }
    for present in [
        "role='img'",
        "<title id='tenure-title'>Timeline of ann</title>",
        "<desc id='tenure-desc'>",
        "prefers-color-scheme:dark",
        "&lt;b&gt;&amp;&#39;&quot;読者",
        "url(#tenure-grace)",
        "url(#tenure-suspended)",
        "url(#tenure-parent)",
        "class='elsewhere'",
        "<title>grace: 2026-02-01T00:00:00Z to 2026-02-10T00:00:00Z, product news",
        "2026-02-15T00:00:00Z cancelled: changed nothing ! orphan",
        "as of 2026-03-01",
    ] {
        assert!(svg.contains(present), "{present}\n{svg}");
    }
    let nobody = place.run(&["timeline", "nobody", "--as-of", "2026-03-01", "--svg", "-"]);
    assert_balanced(&String::from_utf8(nobody.stdout).unwrap());
}

/// Every element is closed, and nothing between tags is taken for one.
fn assert_balanced(svg: &str) {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').expect("a tag ends");
        assert!(
            !text.contains('>') || open.last() == Some(&"style"),
            "{text}"
        );
        let name = tag.split([' ', '/']).find(|it| !it.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
