//! What staff state by hand: how it is recorded, what it means then, and how the log tells who said so and why.

use super::{Place, exists, shown};

/// Access that neither begins nor ends while anybody runs these tests: what a command says of now is then always the same.
const LASTING: &str = r#"{"received_at":"2026-01-01T00:00:00Z","source":"crm","body":{"specversion":"1.0","id":"e1","source":"shop","type":"tenure.granted","time":"2026-01-01T00:00:00Z","subject":"u1","data":{"grant":"g1","product":"pro","until":"2990-01-01T00:00:00Z"}}}
{"received_at":"2026-01-02T00:00:00Z","source":"crm","body":{"specversion":"1.0","id":"e2","source":"shop","type":"tenure.granted","time":"2026-01-02T00:00:00Z","subject":"u1","data":{"grant":"g2","product":"news","until":null}}}
{"received_at":"2026-01-03T00:00:00Z","source":"web","body":{"specversion":"1.0","id":"e1","source":"web","type":"tenure.granted","time":"2026-01-03T00:00:00Z","subject":"u1@web","data":{"grant":"w1","product":"pro","until":"2026-02-03T00:00:00Z","recurring":true}}}
{"received_at":"2026-01-04T00:00:00Z","source":"crm","body":{"specversion":"1.0","id":"e3","source":"shop","type":"tenure.seen","time":"2026-01-04T00:00:00Z"}}
"#;

const SOURCES: &str =
    "[sources.crm]\nprovider = \"cloudevents\"\n[sources.web]\nprovider = \"cloudevents\"\n";

fn place() -> Place {
    let place = Place::new();
    place.write("tenure.toml", SOURCES);
    place.write("lasting.jsonl", LASTING);
    assert_eq!(
        place.code(&["ingest", "any", "lasting.jsonl", "--backfill"]),
        0
    );
    place
}

impl Place {
    /// As anna, who does not sign on the command line.
    fn as_anna(&self, arguments: &[&str]) -> String {
        let output = self
            .command(arguments)
            .env("TENURE_ACTOR", "anna")
            .output()
            .unwrap();
        let mut said = shown(&output);
        // Where a line of the paragraph ends hangs on the length of its dates; the page for support holds paragraphs.
        if arguments.first() == Some(&"explain") && !arguments.contains(&"--json") {
            said = said.split_once("\n\n").unwrap().1.to_owned();
        }
        format!("$ tenure {}\n{}\n", arguments.join(" "), stable(&said))
    }

    /// All of them in turn, each said to work or not by its exit code.
    fn story(&self, commands: &[&[&str]]) -> String {
        commands.iter().map(|it| self.as_anna(it)).collect()
    }
}

/// Fresh ids and recorded times differ on every run.
fn stable(text: &str) -> String {
    let is_id = |word: &str| word.len() == 16 && word.bytes().all(|it| it.is_ascii_hexdigit());
    let is_digest = |word: &str| word.len() == 64 && word.bytes().all(|it| it.is_ascii_hexdigit());
    let is_now = |word: &str| word.len() > 20 && word.ends_with('Z') && word.contains('.');
    let ends = [' ', '\n', ',', '"', '`'];
    let stable: String = text
        .split_inclusive(ends)
        .map(|word| {
            // A time holds colons itself.
            let bare = word.trim_end_matches(ends).trim_end_matches(':');
            let name = match bare {
                bare if is_id(bare) => "FRESH",
                bare if is_digest(bare) => "DIGEST",
                bare if is_now(bare) => "NOW",
                _ => return word.to_owned(),
            };
            word.replace(bare, name)
        })
        .collect();
    // Widths follow from the lengths of the times.
    let narrow = stable.lines().map(|line| {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{}{}", " ".repeat(indent.min(4)), words.join(" "))
    });
    narrow.collect::<Vec<String>>().join("\n")
}

const WHY: &str = "--why";

#[test]
fn a_grant_by_hand_is_recorded_and_said() {
    let until = "2990-03-01";
    insta::assert_snapshot!(place().story(&[
        &["grant", "u2", "pro", "--until", until, WHY, "press pass"],
        &[
            "grant",
            "u2",
            "pro",
            "--unlimited",
            WHY,
            "staff",
            "--grant",
            "k",
            "--origin",
            "gift"
        ],
        &[
            "grant",
            "u3",
            "pro",
            "--for",
            "P1M",
            "--from",
            "2990-01-31",
            WHY,
            "prize"
        ],
        &[
            "grant",
            "u3",
            "pro",
            "--for",
            "P1M",
            "--at",
            "2990-01-31",
            WHY,
            "prize"
        ],
        &[
            "grant",
            "u4",
            "pro",
            "--for",
            "P1M",
            "--at",
            "2026-01-31",
            WHY,
            "an outage"
        ],
        &[
            "grant", "u5", "pro", "--until", until, WHY, "moved", "--grant", "g1", "--of", "crm"
        ],
        &["grants", "u3"],
        &["log", "--source", "staff", "--user", "u2", "--json"],
        &["grant", "u2", "pro", "--unlimited", WHY, "staff", "--json"],
    ]));
}

#[test]
fn a_revocation_by_hand_bars_until_staff_reinstate() {
    let place = place();
    let restated = LASTING.lines().next().unwrap();
    let restated = restated.replace("\"e1\"", "\"e9\"");
    place.write("again.jsonl", restated);
    insta::assert_snapshot!(place.story(&[
        &[
            "revoke",
            "--grant",
            "g1",
            "--of",
            "crm",
            WHY,
            "chargeback",
            "--at",
            "2026-01-10"
        ],
        &["ingest", "any", "again.jsonl"],
        &["explain", "u1", "pro", "--at", "2026-01-20"],
        &[
            "revoke",
            "--grant",
            "g1",
            "--of",
            "crm",
            WHY,
            "once more",
            "--json"
        ],
        &[
            "reinstate",
            "--grant",
            "g1",
            "--of",
            "crm",
            WHY,
            "the bank erred",
            "--at",
            "2026-02-01"
        ],
        &[
            "reinstate",
            "--grant",
            "g1",
            "--of",
            "crm",
            WHY,
            "as a gift",
            "--until",
            "2991-01-01"
        ],
        &[
            "reinstate",
            "--grant",
            "g1",
            "--of",
            "crm",
            WHY,
            "once more",
            "--json"
        ],
        &["explain", "u1", "pro", "--at", "2026-01-20", "--json"],
    ]));
}

#[test]
fn revoking_a_product_reaches_every_live_grant_of_the_person() {
    let place = place();
    insta::assert_snapshot!(place.story(&[
        &["link", "u1", "u1@web", WHY, "same person"],
        &[
            "grant",
            "u1",
            "pro",
            "--until",
            "2990-01-01",
            WHY,
            "gift",
            "--grant",
            "s1"
        ],
        &["suspend", "--grant", "s1", WHY, "is looked into"],
        &[
            "grant",
            "u1",
            "pro",
            "--from",
            "2991-01-01",
            "--unlimited",
            WHY,
            "later",
            "--grant",
            "s2"
        ],
        &[
            "revoke",
            "--user",
            "u1@web",
            "--product",
            "pro",
            WHY,
            "shared password"
        ],
        &[
            "revoke",
            "--user",
            "u1",
            "--product",
            "pro",
            WHY,
            "once more"
        ],
        &["revoke", "--user", "u2", "--product", "pro", WHY, "nobody"],
        &["grants", "u1"],
        &[
            "revoke",
            "--user",
            "u1",
            "--product",
            "news",
            WHY,
            "and that",
            "--json"
        ],
    ]));
}

#[test]
fn a_block_by_hand_is_lifted_by_its_name() {
    insta::assert_snapshot!(place().story(&[
        &[
            "suspend",
            "--user",
            "u1",
            "--name",
            "police",
            WHY,
            "request 77"
        ],
        &[
            "suspend",
            "--grant",
            "g1",
            "--of",
            "crm",
            WHY,
            "is looked into"
        ],
        &[
            "suspend",
            "--user",
            "u1",
            "--of",
            "web",
            WHY,
            "only there",
            "--json"
        ],
        &[
            "resume",
            "--grant",
            "g1",
            "--of",
            "crm",
            WHY,
            "was looked into"
        ],
        &[
            "resume",
            "--grant",
            "g1",
            "--of",
            "crm",
            WHY,
            "was looked into"
        ],
        &["resume", "--user", "u1", "--of", "crm", WHY, "wrong name"],
        &["resume", "--user", "u1", "--name", "police", WHY, "settled"],
        &[
            "suspend",
            "--grant",
            "g2",
            "--of",
            "crm",
            "--name",
            "a b",
            WHY,
            "later",
            "--at",
            "2990-06-01"
        ],
        &["suspend", "--user", "u9", WHY, "not seen yet"],
        &["explain", "u1", "news", "--at", "2990-07-01"],
        &[
            "resume",
            "--grant",
            "g2",
            "--of",
            "crm",
            "--at",
            "2990-06-02",
            WHY,
            "another",
            "--json"
        ],
    ]));
}

#[test]
fn a_withdrawal_by_hand_says_what_it_takes_back() {
    insta::assert_snapshot!(place().story(&[
        &[
            "link",
            "u1",
            "u1@web",
            WHY,
            "same person",
            "--id",
            "l1",
            "--at",
            "2026-03-01"
        ],
        &["withdraw", "crm", "shop e2", WHY, "sent by the test system"],
        &[
            "withdraw",
            "staff",
            "staff l1",
            WHY,
            "two persons after all"
        ],
        &["withdraw", "crm", "shop e2", WHY, "once more"],
        &["withdraw", "crm", "shop e3", WHY, "did nothing"],
        &[
            "withdraw",
            "crm",
            "shop e99",
            WHY,
            "will come",
            "--id",
            "w1",
            "--at",
            "2026-03-01"
        ],
        &["withdraw", "staff", "staff w1", WHY, "cannot be"],
        &[
            "revoke",
            "--grant",
            "w1",
            "--of",
            "web",
            WHY,
            "x",
            "--id",
            "r1",
            "--at",
            "2026-01-20"
        ],
        &["withdraw", "staff", "staff r1", WHY, "was right to have it"],
        &["withdraw", "nosuch", "shop e1", WHY, "no source"],
        &["withdraw", "crm", "shop e1", WHY, "the json form", "--json"],
        &["log", "--keys"],
        &["log", "--json", "--limit", "1"],
    ]));
}

#[test]
fn the_same_id_with_the_same_content_counts_once() {
    insta::assert_snapshot!(
        place()
            .story(&[
                &[
                    "grant",
                    "u2",
                    "pro",
                    "--for",
                    "P50Y",
                    WHY,
                    "a",
                    "--id",
                    "i1",
                    "--at",
                    "2026-01-01"
                ],
                &[
                    "grant",
                    "u2",
                    "pro",
                    "--for",
                    "P50Y",
                    WHY,
                    "a",
                    "--id",
                    "i1",
                    "--at",
                    "2026-01-01T00:00:00Z"
                ],
                &[
                    "grant",
                    "u2",
                    "pro",
                    "--for",
                    "P50Y",
                    WHY,
                    "a",
                    "--id",
                    "i1",
                    "--at",
                    "2026-01-01",
                    "--json"
                ],
                &[
                    "grant",
                    "u2",
                    "pro",
                    "--for",
                    "P51Y",
                    WHY,
                    "a",
                    "--id",
                    "i1",
                    "--at",
                    "2026-01-01"
                ],
                &[
                    "revoke",
                    "--grant",
                    "g1",
                    "--of",
                    "crm",
                    WHY,
                    "a",
                    "--id",
                    "i2",
                    "--at",
                    "2026-02-01"
                ],
                &[
                    "revoke",
                    "--grant",
                    "g1",
                    "--of",
                    "crm",
                    WHY,
                    "a",
                    "--id",
                    "i2",
                    "--at",
                    "2026-02-01"
                ],
                &[
                    "grant", "u2", "pro", "--for", "P50Y", WHY, "a", "--id", "i1"
                ],
                &[
                    "grant", "u2", "pro", "--for", "P50Y", WHY, "a", "--id", "i1", "--at", "-3d"
                ],
                &[
                    "grant",
                    "u2",
                    "pro",
                    "--until",
                    "+9d",
                    WHY,
                    "a",
                    "--id",
                    "i1",
                    "--at",
                    "2026-01-01"
                ],
                &[
                    "suspend",
                    "--user",
                    "u1",
                    WHY,
                    "a",
                    "--id",
                    "i3",
                    "--at",
                    "2026-01-01"
                ],
                &[
                    "revoke",
                    "--user",
                    "u1",
                    "--product",
                    "pro",
                    WHY,
                    "a",
                    "--id",
                    "i3",
                    "--at",
                    "2026-01-01"
                ],
            ])
            .replace("2025", "YEAR")
    );
}

#[test]
fn what_is_not_meant_is_refused_and_nothing_recorded() {
    let place = place();
    let at = "2026-05-01";
    let refused: &[&[&str]] = &[
        &["revoke", "--grant", "g11", "--of", "crm", WHY, "a typo"],
        &["revoke", "--grant", "g1", WHY, "the source forgotten"],
        &["suspend", "--grant", "g11", "--of", "crm", WHY, "a typo"],
        &["resume", "--grant", "g11", "--of", "crm", WHY, "a typo"],
        &["reinstate", "--grant", "g11", "--of", "crm", WHY, "a typo"],
        &["revoke", "--grant", "g1", "--of", "cmr", WHY, "a typo"],
        &["suspend", "--user", "u1", "--of", "cmr", WHY, "a typo"],
        &[
            "grant",
            "u1",
            "pro",
            "--unlimited",
            "--of",
            "cmr",
            WHY,
            "a typo",
        ],
        &["grant", "u1", "pro", WHY, "no end"],
        &[
            "grant",
            "u1",
            "pro",
            "--unlimited",
            "--for",
            "P1M",
            WHY,
            "two ends",
        ],
        &["grant", "u1", "pro", "--unlimited"],
        &["grant", "u1", "pro", "--unlimited", WHY, " "],
        &["grant", "u1", "pro", "--unlimited", WHY, "a\nb"],
        &["grant", "u1", "pro", "--unlimited", WHY, "x", "--actor", ""],
        &["grant", "u1", "pro", "--for", "P1M1D", WHY, "no period"],
        &[
            "grant", "u1", "pro", "--until", at, "--at", at, WHY, "is empty",
        ],
        &[
            "grant",
            "u1",
            "pro",
            "--unlimited",
            "--from",
            "2026-04-01",
            "--at",
            at,
            WHY,
            "is past",
        ],
        &[
            "grant",
            "u1",
            "pro",
            "--unlimited",
            "--origin",
            "theft",
            WHY,
            "no origin",
        ],
        &["grant", "", "pro", "--unlimited", WHY, "nobody"],
        &["revoke", WHY, "what?"],
        &["revoke", "--user", "u1", WHY, "which product?"],
        &[
            "revoke",
            "--user",
            "u1",
            "--product",
            "pro",
            "--of",
            "crm",
            WHY,
            "both",
        ],
        &["suspend", "--user", "u1", "--grant", "g1", WHY, "both"],
        &["link", "u1", "u1", WHY, "itself"],
    ];
    insta::assert_snapshot!(place.story(refused));
    for command in refused {
        assert_eq!(place.code(command), 2, "{command:?}");
    }
    let recorded = place.json(&["log", "--json"]).len();
    assert_eq!(recorded, 5, "the rules and what was there before");
    assert!(
        place
            .as_anna(&[
                "revoke",
                "--grant",
                "g11",
                "--of",
                "crm",
                "--unseen",
                WHY,
                "stolen voucher"
            ])
            .ends_with("exit code 0\n")
    );
}

#[test]
fn somebody_has_to_sign() {
    let place = place();
    let grant = ["grant", "u2", "pro", "--unlimited", WHY, "x"];
    let signed = |variables: &[(&str, &str)], option: &[&str]| {
        let mut command = place.command(&[&grant[..], option].concat());
        assert!(
            command
                .envs(variables.iter().copied())
                .output()
                .unwrap()
                .status
                .success()
        );
        place.json(&["log", "--json", "--limit", "1"])[0]["actor"].clone()
    };
    let all = [
        ("LOGNAME", "log"),
        ("USER", "user"),
        ("TENURE_ACTOR", "tenure"),
    ];
    if cfg!(target_os = "linux") {
        assert!(signed(&[], &[]).is_string(), "the owner of the process");
    }
    assert_eq!(signed(&all[..1], &[]), "log");
    assert_eq!(signed(&all[..2], &[]), "user");
    assert_eq!(signed(&all, &[]), "tenure");
    assert_eq!(
        signed(&all, &["--actor", "José \"Pepe\" {} \\ 🎈"]),
        "José \"Pepe\" {} \\ 🎈"
    );
    assert_eq!(
        signed(&[("TENURE_ACTOR", " "), ("USER", "user")], &[]),
        "user"
    );
}

#[test]
fn only_what_may_come_first_makes_a_database() {
    for (code, arguments) in [
        (0, &["grant", "u1", "pro", "--unlimited", WHY, "x"][..]),
        (0, &["link", "u1", "u2", WHY, "x"]),
        (
            2,
            &[
                "grant",
                "u1",
                "pro",
                "--unlimited",
                WHY,
                "x",
                "--of",
                "nosuch",
            ],
        ),
        (2, &["link", "u1", "u1", WHY, "x"]),
        (4, &["revoke", "--grant", "g", WHY, "x"]),
        (4, &["revoke", "--user", "u1", "--product", "pro", WHY, "x"]),
        (4, &["reinstate", "--grant", "g", WHY, "x"]),
        (4, &["suspend", "--user", "u1", WHY, "x"]),
        (4, &["resume", "--grant", "g", WHY, "x"]),
        (4, &["withdraw", "staff", "staff x", WHY, "x"]),
        (
            4,
            &[
                "grant",
                "u1",
                "pro",
                "--unlimited",
                WHY,
                "x",
                "--db",
                "no/no.db",
            ],
        ),
    ] {
        let place = Place::new();
        place.write("tenure.toml", SOURCES);
        let said = place.as_anna(arguments);
        assert!(said.ends_with(&format!("-- exit code {code}\n")), "{said}");
        assert_eq!(exists(&place.path("tenure.db")), code == 0, "{said}");
        assert!(code > 0 || place.code(&["verify"]) == 0);
    }
}

#[test]
fn what_was_stated_by_hand_comes_back_from_an_export() {
    let place = place();
    place.story(&[
        &[
            "revoke",
            "--grant",
            "g1",
            "--of",
            "crm",
            WHY,
            "a \"b\" 'c' \\ ü",
            "--at",
            "2026-01-10",
        ],
        &[
            "grant",
            "u1",
            "pro",
            "--unlimited",
            WHY,
            "gift",
            "--at",
            "2026-02-10",
        ],
        &["suspend", "--user", "u1", WHY, "x", "--at", "2026-03-10"],
    ]);
    assert_eq!(place.code(&["export", "all.jsonl"]), 0);
    let again = [
        "--db",
        "again.db",
        "ingest",
        "any",
        "--backfill",
        "all.jsonl",
    ];
    assert_eq!(place.code(&again), 0);
    let asked = ["explain", "u1", "pro", "--at", "2026-04-01", "--json"];
    assert_eq!(
        place.json(&asked),
        place.json(&[&["--db", "again.db"], &asked[..]].concat())
    );
}

#[test]
fn what_staff_say_is_shown_and_never_obeyed() {
    let place = place();
    let body = r#"{"specversion":"1.0","id":"f1","source":"desk","type":"tenure.revoked","time":"2026-01-10T00:00:00Z","data":{"grant":"g1","grant_source":"crm","actor":"\u001b[2Jeve","why":"a\u202eb\u0007"}}"#;
    place.write("staff.jsonl", format!("{body}\n"));
    assert_eq!(place.code(&["ingest", "staff", "staff.jsonl"]), 0);
    let odd = [
        "withdraw",
        "staff",
        "desk f1",
        WHY,
        "\u{202e}",
        "--actor",
        "b\u{200b}ob",
    ];
    for arguments in [
        &["log"][..],
        &["explain", "u1", "pro", "--at", "2026-02-01"],
        &odd,
        &["log", "--keys"],
    ] {
        let said = shown(&place.run(arguments));
        let obeyed = |it: char| it.is_control() && it != '\n' || "\u{202e}\u{200b}".contains(it);
        assert!(!said.contains(obeyed), "{said:?}");
        assert!(said.contains("eve") || arguments == odd, "{said}");
    }
}

#[test]
fn the_same_id_counts_once_whatever_came_between() {
    let place = place();
    let sale = LASTING.lines().next().unwrap();
    place.write(
        "sale.jsonl",
        sale.replace("g1", "g7").replace("\"e1\"", "\"e7\""),
    );
    let revoke = [
        "revoke",
        "--grant",
        "g7",
        "--of",
        "crm",
        "--unseen",
        WHY,
        "stolen",
        "--id",
        "r7",
        "--at",
        "2026-01-01",
    ];
    assert_eq!(
        place.json(&[&revoke[..], &["--json", "--actor", "a"]].concat())[0]["outcome"],
        "applied"
    );
    assert_eq!(place.code(&["ingest", "any", "sale.jsonl"]), 0);
    assert_eq!(
        place.json(&[&revoke[..], &["--json", "--actor", "a"]].concat())[0]["outcome"],
        "duplicate"
    );
}
