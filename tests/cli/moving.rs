//! `import` and `reconcile`, run as a program.

use super::Place;

const RULES: &str = r#"
[sources.shop]
provider = "tonos"
user_prefix = "t:"

[sources.crm]
provider = "cloudevents"
user_prefix = "c:"
"#;

const MAP: &str = "user=Email,product=Plan,grant=Id,through=Valid until";

/// As a spreadsheet writes it: a byte order mark, semicolons, carriage returns, blank rows, a line break in a note.
const LIST: &str = "\u{feff}\"Id\";Email; Plan ;Note;\"Valid until\"\r\n\
    s-1;ann@example.org;news;\"two\r\nlines; one note\";31.05.2030\r\n\
    \r\n\
    s-2; bob@example.org ;pro;;28.02.2030\r\n\
    ;;;;\r\n\
    s-3;cy@example.org;news;;31.02.2030\r\n\
    s-4;;news;;31.12.2030\r\n\
    s-5;eve@example.org;news;;\r\n\
    s-1;ann@example.org;news;;30.06.2030\r\n\
    s-6;old@example.org;news;;30.06.2020";

fn place() -> Place {
    let place = Place::new();
    place.write("tenure.toml", RULES);
    place
}

fn import<'a>(source: &'a str, file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut line = vec!["import", source, file, "--map", MAP, "--why", "the move"];
    line.extend(["--actor", "anna", "--zone", "Europe/Berlin"]);
    line.extend(["--date-format", "%d.%m.%Y", "--delimiter", ";"]);
    line.extend(more);
    line
}

fn reconcile<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut line = vec!["reconcile", "shop", file, "--map", MAP];
    line.extend(["--zone", "Europe/Berlin"]);
    line.extend(more);
    line
}

#[test]
fn a_row_that_cannot_be_read_is_told_and_the_others_go_in() {
    let place = place();
    place.write("list.csv", LIST);
    let at = ["--at", "2026-05-01"];
    let rejects = ["--rejects", "rejects.csv"];
    let told = place.transcript(&import("shop", "list.csv", &[at, rejects].concat()));
    insta::assert_snapshot!(told);
    let windows = place.json(&["windows", "t:ann@example.org"]);
    // The last day counts as a whole, in Berlin.
    assert_eq!(windows[0][0]["start"], "2026-05-01T00:00:00Z");
    assert_eq!(windows[0][0]["end"], "2030-05-31T22:00:00Z");
    let windows = place.json(&["windows", "t:bob@example.org"]);
    assert_eq!(windows[0][0]["end"], "2030-02-28T23:00:00Z");

    let written = std::fs::read_to_string(place.path("rejects.csv")).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines.len(), 6, "{written}");
    assert!(lines[1].starts_with("s-3;cy@example.org;news;;31.02.2030;Valid until: "));
    // What is corrected there is imported from there.
    let corrected = written.replace("31.02.2030", "28.02.2030");
    place.write("corrected.csv", corrected);
    let rows = place.json(&import("shop", "corrected.csv", &["--json"]));
    let outcomes: Vec<&str> = rows
        .iter()
        .map(|row| row["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(
        outcomes,
        ["applied", "rejected", "rejected", "applied", "rejected"]
    );
}

#[test]
fn the_same_row_is_a_duplicate_in_any_file() {
    let place = place();
    let heading = "Id;Email;Plan;Valid until\n";
    place.write("one.csv", format!("{heading}s-1;ann;news;31.05.2030\n"));
    place.write(
        "other.csv",
        format!("{heading}s-2;bob;news;31.05.2030\ns-1;ann;news;31.05.2030\n"),
    );
    for source in ["shop", "crm"] {
        assert_eq!(place.code(&import(source, "one.csv", &[])), 0);
        let rows = place.json(&import(source, "other.csv", &["--json"]));
        assert_eq!(rows[0]["outcome"], "applied");
        assert_eq!(rows[1]["outcome"], "duplicate");
        assert_eq!(rows[1]["row"], 3);
    }
    // A source of Tenure's own dialect speaks for itself, for any other staff do; both say who, why and where from.
    for (grant_of, stated_by) in [("t:ann", "staff"), ("c:ann", "crm")] {
        let log = place.json(&["log", "--user", grant_of, "--json"]);
        let log = &log[0];
        assert_eq!(log["source"], stated_by, "{log}");
        assert_eq!(log["actor"], "anna");
        assert_eq!(log["file"], "one.csv");
        assert_eq!(log["row"], 2);
    }
    assert_eq!(place.code(&["verify"]), 0);
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let place = place();
    place.write("list.csv", LIST);
    let output = place.run(&import("shop", "list.csv", &["--dry-run"]));
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.starts_with("7 rows: 2 would be imported, 0 duplicates, 5 would be rejected"),
        "{told}"
    );
    assert!(!super::exists(&place.path("tenure.db")));
}

#[test]
fn a_row_whose_quote_is_never_closed_is_told_by_the_line_it_begins_at() {
    let place = place();
    let list = "u,p,t\na,pro,2030-01-01\nb,\"pro\nx,y,z\n";
    for (name, text) in [("ended.csv", list), ("open.csv", list.trim_end())] {
        place.write(name, text);
        let line = [
            "import",
            "crm",
            name,
            "--map",
            "user=u,product=p,until=t",
            "--dry-run",
        ];
        let told = place.json(&[&line[..], &["--zone", "UTC", "--why", "w", "--json"]].concat());
        let rows: Vec<_> = told.iter().map(|it| (&it["row"], &it["outcome"])).collect();
        assert_eq!(
            rows,
            [
                (&2.into(), &"applied".into()),
                (&3.into(), &"rejected".into())
            ]
        );
    }
}

#[test]
fn what_a_file_does_not_say_is_asked_for() {
    let place = place();
    place.write("list.csv", "Id;Email;Plan;Valid until\ns-1;ann;news;\n");
    let line = ["import", "shop", "list.csv", "--why", "x", "--map"];
    let told: Vec<String> = [
        &[MAP][..],
        &["user=Email,grant=Id,until=Valid until", "--delimiter", ";"],
        &["user=Email,product==pro,grant=Id", "--delimiter", ";"],
        &[
            "user=Mail,product==pro",
            "--delimiter",
            ";",
            "--empty-end",
            "unlimited",
        ],
        &[MAP, "--delimiter", ";", "--zone", "Berlin"],
        &[MAP, "--delimiter", ";", "--date-format", "DD.MM.YYYY"],
        &[MAP, "--delimiter", ";"],
    ]
    .iter()
    .map(|more| place.transcript(&[&line[..], more].concat()))
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_grant_that_staff_revoked_is_not_given_back_by_a_list() {
    let place = place();
    place.write(
        "list.csv",
        "Id,Email,Plan,Valid until\ns-1,ann,news,2030-05-31\n",
    );
    let base = [
        "import", "shop", "list.csv", "--map", MAP, "--zone", "UTC", "--why", "x",
    ];
    let base = [&base[..], &["--actor", "anna"]].concat();
    assert_eq!(place.code(&base), 0);
    let revoke = [
        "revoke", "--grant", "s-1", "--of", "shop", "--why", "fraud", "--actor", "anna",
    ];
    assert_eq!(place.code(&revoke), 0);
    place.write(
        "list.csv",
        "Id,Email,Plan,Valid until\ns-1,ann,news,2030-06-30\n",
    );
    let told = place.transcript(&base);
    assert!(told.contains("staff barred grant `s-1`"), "{told}");
    assert_eq!(place.code(&["check", "t:ann", "news"]), 1);
    // Nor is it a difference that `--apply` would settle.
    let found = place.json(&reconcile("list.csv", &["--json"]));
    assert_eq!(found[1]["finding"], "barred");
    assert_eq!(place.code(&reconcile("list.csv", &[])), 0);
}

/// Imported at the beginning of May: one to stay, one to end, and one of each difference.
const BEFORE: &str = "Id,Email,Plan,Valid until\n\
    same,ann,news,2030-05-31\n\
    extra,bob,news,2030-05-31\n\
    ends,cy,news,2030-05-31\n\
    user,dan,news,2030-05-31\n\
    product,eve,news,2030-05-31\n\
    lapsed,fay,news,2026-05-20\n\
    blocked,gus,news,2030-05-31\n";

const AFTER: &str = "Id,Email,Plan,Valid until\n\
    same,ann,news,2030-05-31\n\
    ends,cy,news,2030-04-30\n\
    user,daniel,news,2030-05-31\n\
    product,eve,pro,2030-05-31\n\
    lapsed,fay,news,2030-06-20\n\
    blocked,gus,news,2030-05-31\n\
    new,hal,news,2030-05-31\n\
    gone,ida,news,2026-05-20\n";

fn compared() -> Place {
    let place = place();
    place.write("before.csv", BEFORE);
    place.write("after.csv", AFTER);
    let line = [
        "import",
        "shop",
        "before.csv",
        "--map",
        MAP,
        "--zone",
        "Europe/Berlin",
    ];
    let more = ["--why", "x", "--actor", "anna", "--at", "2026-05-01"];
    assert_eq!(place.code(&[&line[..], &more].concat()), 0);
    let suspend = [
        "suspend", "--grant", "blocked", "--of", "shop", "--why", "x",
    ];
    let more = ["--actor", "anna", "--at", "2026-05-10"];
    assert_eq!(place.code(&[&suspend[..], &more].concat()), 0);
    place
}

#[test]
fn every_difference_is_told_and_settled() {
    let place = compared();
    let at = ["--at", "2026-06-01"];
    let found = place.json(&reconcile("after.csv", &[&at[..], &["--json"]].concat()));
    let summary = &found[0];
    assert_eq!(summary["same"], 1);
    assert_eq!(summary["not_current"], 1);
    let told: Vec<(&str, &str)> = found[1..]
        .iter()
        .map(|it| {
            (
                it["grant"].as_str().unwrap(),
                it["finding"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("blocked", "suspended"),
            ("ends", "ends_differ"),
            ("extra", "extra"),
            ("lapsed", "missing"),
            ("new", "missing"),
            ("product", "other_product"),
            ("user", "other_user"),
        ]
    );
    insta::assert_snapshot!(place.transcript(&reconcile("after.csv", &at)));

    let apply = ["--apply", "--why", "lost webhooks", "--actor", "anna"];
    insta::assert_snapshot!(place.transcript(&reconcile("after.csv", &[&at[..], &apply].concat())));
    assert_eq!(place.code(&reconcile("after.csv", &at)), 0);
    for (user, product, code) in [
        ("t:bob", "news", 1),
        ("t:daniel", "news", 0),
        ("t:dan", "news", 1),
        ("t:eve", "pro", 0),
        ("t:eve", "news", 1),
        ("t:fay", "news", 0),
        ("t:gus", "news", 1),
        ("t:hal", "news", 0),
    ] {
        let check = ["check", user, product, "--at", "2026-06-02"];
        assert_eq!(place.code(&check), code, "{user} {product}");
    }
    // What was before stays.
    assert_eq!(
        place.code(&["check", "t:bob", "news", "--at", "2026-05-15"]),
        0
    );
    assert_eq!(
        place.code(&["check", "t:fay", "news", "--at", "2026-05-25"]),
        1
    );
    // It is stated by staff, so it can be withdrawn.
    let log = place.json(&["log", "--grant", "extra", "--limit", "1", "--json"]);
    assert_eq!(log[0]["why"], "lost webhooks");
    let key = log[0]["key"].as_str().unwrap();
    assert_eq!(
        place.code(&["withdraw", "staff", key, "--why", "x", "--actor", "anna"]),
        0
    );
    assert_eq!(
        place.code(&["check", "t:bob", "news", "--at", "2026-06-02"]),
        0
    );
}

#[test]
fn without_keys_grants_are_told_apart_by_user_and_product() {
    let place = compared();
    place.write(
        "after.csv",
        "Email,Plan,Valid until\nann,news,2030-05-31\nhal,pro,2030-05-31\n",
    );
    let line = [
        "reconcile",
        "shop",
        "after.csv",
        "--zone",
        "Europe/Berlin",
        "--at",
        "2026-06-01",
    ];
    let map = ["--map", "user=Email,product=Plan,through=Valid until"];
    let line = [&line[..], &map].concat();
    let found = place.json(&[&line[..], &["--json"]].concat());
    assert_eq!(found[0]["findings"]["extra"], 4);
    assert_eq!(found[0]["findings"]["missing"], 1);
    assert_eq!(found[0]["same"], 1);
    let apply = ["--apply", "--why", "x", "--actor", "anna"];
    assert_eq!(place.code(&[&line[..], &apply].concat()), 0);
    let windows = place.json(&["windows", "t:hal"]);
    assert_eq!(windows[0][0]["grant"], "hal pro");
    assert_eq!(place.code(&line), 0);
}

#[test]
fn a_list_that_is_not_whole_is_not_applied() {
    let place = compared();
    let apply = ["--apply", "--why", "x", "--actor", "anna"];
    place.write(
        "after.csv",
        "Id,Email,Plan,Valid until\nsame,ann,news,soon\n",
    );
    let told = place.transcript(&reconcile("after.csv", &apply));
    assert!(
        told.contains("would lose access") && told.ends_with("exit code 2\n"),
        "{told}"
    );
    place.write("after.csv", "Id,Email,Plan,Valid until\n");
    let told = place.transcript(&reconcile("after.csv", &apply));
    assert!(
        told.contains("names no subscriber") && told.ends_with("exit code 2\n"),
        "{told}"
    );
    assert_eq!(place.code(&["check", "t:ann", "news"]), 0);
    // Ends that lie no further apart than is tolerated are the same.
    place.write(
        "after.csv",
        BEFORE.replace("ends,cy,news,2030-05-31", "ends,cy,news,2030-06-01"),
    );
    let at = ["--at", "2026-05-15", "--tolerance"];
    assert_eq!(
        place.code(&reconcile("after.csv", &[&at[..], &["PT23H"]].concat())),
        1
    );
    assert_eq!(
        place.code(&reconcile("after.csv", &[&at[..], &["P1D"]].concat())),
        0
    );
}
