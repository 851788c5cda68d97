//! Events made for trying an endpoint out: they are what the systems would send, and go where and as often as they would.

mod endpoint;

use std::process::{Output, Stdio};

use serde_json::Value;
use tenure::provider::{Method, Proof, Provider, Request, Success};
use tenure::{Instant, PROVIDERS, Secret};

use super::{Place, shown};
use endpoint::{Endpoint, Received};

/// Serves both as raw bytes and in the form Standard Webhooks want.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The variable in which the command looks for the secret of a source.
fn variable(source: &str) -> String {
    format!("TENURE_{}_SECRET", source.to_uppercase())
}

impl Place {
    fn run_with_secret(&self, source: &str, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.env(variable(source), SECRET).output().unwrap()
    }

    /// Sends an event of the provider in a hurry, and gives the lines about the attempts.
    fn send(&self, provider: &dyn Provider, to: &str) -> (Option<i32>, Vec<Value>) {
        let name = provider.name();
        let kind = provider.kinds()[0];
        let arguments = ["trigger", name, kind, "--to", to, "--hurry", "--json"];
        let output = self.run_with_secret(name, &arguments);
        let said = shown(&output);
        assert!(!said.contains(SECRET), "{said}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        (output.status.code(), lines.collect())
    }
}

impl Received {
    fn request(&self) -> Request {
        Request {
            body: self.body.clone(),
            headers: self.headers.clone(),
            query: self.query.clone(),
        }
    }

    fn is_authentic(&self, provider: &dyn Provider) -> bool {
        let now = std::time::SystemTime::now();
        let micros = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_micros();
        let now = Instant::from_micros(micros.try_into().unwrap()).unwrap();
        let secret = Secret::new(SECRET).unwrap();
        provider.verify(self.request(), Some(&secret), now).is_ok()
    }
}

/// The output with whatever differs from run to run taken out.
fn steady(text: &str) -> String {
    let is_time = |word: &str| word.len() > 19 && word.ends_with('Z') && word.contains("T");
    let lines = text.lines().map(|line| {
        let words = line.split(' ').map(|word| {
            if is_time(word) {
                return "TIME".to_owned();
            }
            match word.split_once("127.0.0.1:") {
                Some((before, after)) => {
                    let rest = after.trim_start_matches(|it: char| it.is_ascii_digit());
                    format!("{before}127.0.0.1:PORT{rest}")
                }
                None => word.to_owned(),
            }
        });
        words.collect::<Vec<String>>().join(" ")
    });
    lines.collect::<Vec<String>>().join("\n")
}

#[test]
fn every_event_of_every_system_is_taken() {
    for provider in PROVIDERS {
        let name = provider.name();
        for secret in [None, Some(SECRET)] {
            let place = Place::new();
            let run = |arguments: &[&str]| {
                let mut command = place.command(arguments);
                command.envs(secret.map(|secret| (variable(name), secret)));
                command.output().unwrap()
            };
            let mut lines = Vec::new();
            for kind in provider.kinds() {
                let output = run(&["trigger", name, kind, "--grant", &format!("g-{kind}")]);
                assert_eq!(output.status.code(), Some(0), "{kind}: {}", shown(&output));
                let warned = String::from_utf8(output.stderr).unwrap();
                assert_eq!(warned.contains("no secret"), secret.is_none(), "{warned}");
                assert!(!warned.contains("quarantine"), "{kind}: {warned}");
                lines.extend(output.stdout);
            }
            place.write("made.jsonl", &lines);
            for source in [name, "any"] {
                let db = format!("{source}.db");
                let taken = run(&["ingest", source, "made.jsonl", "--json", "--db", &db]);
                let receipts = String::from_utf8(taken.stdout).unwrap();
                assert_eq!(receipts.lines().count(), provider.kinds().len());
                for (receipt, kind) in receipts.lines().zip(provider.kinds()) {
                    let receipt: Value = serde_json::from_str(receipt).unwrap();
                    assert_eq!(receipt["kind"], *kind, "{receipt}");
                    let outcome = receipt["outcome"].as_str().unwrap();
                    assert!(["applied", "ignored"].contains(&outcome), "{receipt}");
                }
            }
        }
    }
}

#[test]
fn what_is_made_goes_through_a_pipe_and_gives_access() {
    let place = Place::new();
    place.write("tenure.toml", super::RULES);
    place.write("app.key", super::KEY);
    for (source, kind, product) in [
        ("crm", "tenure.granted", "archive"),
        ("app", "new_purchase", "news/today"),
        ("staff", "tenure.granted", "pro"),
    ] {
        let db = format!("{source}.db");
        let mut made = place.command(&["trigger", source, kind, "--user", "u7", "--db", &db]);
        let mut made = made
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut taking = place.command(&["ingest", source, "--db", &db]);
        let taken = taking.stdin(made.stdout.take().unwrap()).output().unwrap();
        assert!(made.wait().unwrap().success());
        assert_eq!(taken.status.code(), Some(0), "{}", shown(&taken));
        assert_eq!(
            place.code(&["check", "u7", product, "--db", &db]),
            0,
            "{source}"
        );
        let at = ["--at", "+31d"];
        let later = place.code(&["check", "u7", product, "--db", &db, at[0], at[1]]);
        assert_eq!(later, 1, "{source}");
        // A second one is another event; one of the same id is not.
        let ids = [&["--id", "x"][..], &["--id", "x"], &[]].map(|id| {
            let arguments = [
                &[
                    "trigger",
                    source,
                    kind,
                    "--db",
                    &db,
                    "--until",
                    "2090-01-01",
                ],
                id,
            ];
            let arguments = arguments.concat();
            place.json(&arguments).remove(0)["body"].clone()
        });
        if source != "app" {
            assert_eq!(ids[0]["id"], ids[1]["id"]);
            assert_ne!(ids[0]["id"], ids[2]["id"]);
        }
    }
}

#[test]
fn what_is_sent_is_believed_by_the_endpoint() {
    let place = Place::new();
    for provider in PROVIDERS {
        let endpoint = Endpoint::answering(&[200]);
        let (code, attempts) = place.send(*provider, &endpoint.url("/hooks?own=1"));
        let received = endpoint.close();
        assert_eq!(code, Some(0));
        assert_eq!(attempts.len(), 1);
        assert_eq!(
            attempts[0].to_string(),
            r#"{"attempt":1,"error":null,"ok":true,"status":200,"waited_seconds":0}"#
        );
        assert_eq!(received.len(), 1);
        let request = &received[0];
        let method = match provider.sending().method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            (method, "/hooks")
        );
        // The query of the address stays, and what the system adds to it comes after.
        let query = request.query.as_deref().unwrap();
        assert!(query == "own=1" || query.starts_with("own=1&"), "{query}");
        assert_eq!(
            method == "POST",
            request.headers.contains_key("content-type")
        );
        assert!(request.is_authentic(*provider), "{}", provider.name());
    }
}

#[test]
fn a_failure_is_tried_again_with_a_new_signature_of_the_same_event() {
    let place = Place::new();
    for provider in PROVIDERS.iter().filter(|it| !it.sending().waits.is_empty()) {
        let endpoint = Endpoint::answering(&[500, 200]);
        let (code, attempts) = place.send(*provider, &endpoint.url("/"));
        let received = endpoint.close();
        assert_eq!(code, Some(0));
        let told: Vec<_> = attempts
            .iter()
            .map(|it| {
                (
                    it["attempt"].as_u64(),
                    it["status"].as_u64(),
                    it["ok"].as_bool(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (Some(1), Some(500), Some(false)),
                (Some(2), Some(200), Some(true))
            ]
        );
        assert!(attempts[1]["waited_seconds"].as_f64().unwrap() > 0.0);
        assert_eq!(received.len(), 2);
        assert!(received.iter().all(|it| it.is_authentic(*provider)));
        assert_eq!(received[0].body, received[1].body);
        let mut ids = received.iter().map(|it| it.headers.get("webhook-id"));
        assert_eq!(ids.clone().next(), ids.next_back());
    }
}

#[test]
fn success_is_what_the_system_takes_for_it() {
    let place = Place::new();
    for provider in PROVIDERS {
        let endpoint = Endpoint::answering(&[204]);
        let (code, attempts) = place.send(*provider, &endpoint.url("/"));
        let received = endpoint.close();
        let (is_taken, number) = match provider.sending().success {
            Success::Any2xx => (true, 1),
            Success::Exactly200 => (false, provider.sending().waits.len() + 1),
        };
        assert_eq!(code, Some(i32::from(!is_taken)), "{}", provider.name());
        assert_eq!((received.len(), attempts.len()), (number, number));
        assert!(
            attempts
                .iter()
                .all(|it| it["ok"] == is_taken && it["status"] == 204)
        );
    }
}

#[test]
fn it_gives_up_when_the_system_would() {
    let place = Place::new();
    for provider in PROVIDERS {
        let endpoint = Endpoint::answering(&[503]);
        let (code, attempts) = place.send(*provider, &endpoint.url("/"));
        let number = provider.sending().waits.len() + 1;
        assert_eq!(code, Some(1));
        assert_eq!((endpoint.close().len(), attempts.len()), (number, number));
    }
}

#[test]
fn a_redirect_is_a_failure_and_not_followed() {
    let place = Place::new();
    for provider in PROVIDERS {
        let elsewhere = Endpoint::answering(&[200]);
        for status in [301, 302, 307, 308] {
            let endpoint = Endpoint::redirecting(status, &elsewhere.url("/elsewhere"));
            let (name, kind) = (provider.name(), provider.kinds()[0]);
            let to = endpoint.url("/");
            let mut command = place.command(&["trigger", name, kind, "--to", &to, "--hurry"]);
            let mut sending = command
                .env(variable(name), SECRET)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // One answer tells; the rest of the schedule is not waited for.
            let first = endpoint.first_answered();
            sending.kill().unwrap();
            sending.wait().unwrap();
            assert!(first, "{name}");
            endpoint.close();
        }
        assert_eq!(elsewhere.close().len(), 0, "{}", provider.name());
    }
}

#[test]
fn nobody_listening_is_said_clearly() {
    let place = Place::new();
    for provider in PROVIDERS {
        let (code, attempts) = place.send(*provider, &Endpoint::nobody());
        assert_eq!(code, Some(1));
        assert_eq!(attempts.len(), provider.sending().waits.len() + 1);
        for attempt in attempts {
            assert_eq!(
                (&attempt["status"], &attempt["ok"]),
                (&Value::Null, &Value::Bool(false))
            );
            let error = attempt["error"].as_str().unwrap();
            assert!(error.contains("refused"), "{error}");
        }
    }
}

/// A system that signs and tries again, and one that sends one event after the other.
fn patient_and_sequential() -> [&'static dyn Provider; 2] {
    let find = |test: fn(&dyn Provider) -> bool| {
        let found = PROVIDERS.iter().copied().find(|it| test(*it));
        found.unwrap()
    };
    [
        find(|it| it.speaks_for_staff()),
        find(|it| it.arrival_is_order()),
    ]
}

#[test]
fn people_see_each_attempt_and_what_follows() {
    let place = Place::new();
    let mut said = String::new();
    let [patient, sequential] = patient_and_sequential();
    for (provider, statuses) in [
        (patient, &[500, 302, 202][..]),
        (patient, &[404]),
        (sequential, &[200]),
        (sequential, &[204]),
    ] {
        let endpoint = Endpoint::answering(statuses);
        let (name, kind) = (provider.name(), provider.kinds()[0]);
        let to = endpoint.url("/hooks/it?token=hush");
        let output = place.run_with_secret(name, &["trigger", name, kind, "--to", &to, "--hurry"]);
        assert!(!shown(&output).contains("hush"));
        said.push_str(&format!("{}\n\n", steady(&shown(&output))));
        endpoint.close();
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_slip_is_explained_and_nothing_is_sent() {
    let place = Place::with_history();
    let endpoint = Endpoint::answering(&[200]);
    let to = endpoint.url("/?token=hush");
    let mut said = String::new();
    for arguments in [
        &["trigger", "crm", "tenure.grantd"][..],
        &["trigger", "shop", "tenure.granted"],
        &["trigger", "any", "tenure.granted"],
        &["trigger", "crm", "tenure.granted", "--to", &to],
        &["trigger", "crm", "tenure.granted", "--user", ""],
        &["trigger", "crm", "tenure.granted", "--until", "soon"],
        &[
            "trigger",
            "crm",
            "tenure.granted",
            "--to",
            "ftp://h/?token=hush",
        ],
        &[
            "trigger",
            "crm",
            "tenure.granted",
            "--to",
            "h:80?token=hush",
        ],
        &["trigger", "crm", "tenure.granted", "--to", "http:///x"],
        &[
            "trigger",
            "crm",
            "tenure.granted",
            "--to",
            "http://127.0.0.1:99999/",
        ],
        &[
            "trigger",
            "crm",
            "tenure.granted",
            "--to",
            "http://me:hush@127.0.0.1/",
        ],
        &[
            "trigger",
            "crm",
            "tenure.granted",
            "--to",
            "http://127.0.0.1/a b",
        ],
    ] {
        let transcript = place.transcript(arguments);
        let typed = format!("$ tenure {}\n", arguments.join(" "));
        let answer = transcript.strip_prefix(&typed).unwrap();
        assert!(!answer.contains("hush"), "{answer}");
        assert!(answer.ends_with("-- exit code 2\n"), "{answer}");
        said.push_str(&steady(&transcript));
        said.push('\n');
    }
    // A secret of another form than the system's.
    let arguments = ["trigger", "crm", "tenure.granted", "--to", &to];
    let output = place
        .command(&arguments)
        .env(variable("crm"), "hush")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    said.push_str(&shown(&output));
    insta::assert_snapshot!(said);
    for option in ["--hurry", "--to"] {
        let value = (option == "--to").then_some(to.as_str());
        let arguments = [&["trigger", "crm", option][..], value.as_slice()].concat();
        assert_eq!(place.code(&arguments), 2);
    }
    assert_eq!(endpoint.close().len(), 0);
}

#[test]
fn the_events_of_a_source_are_listed_with_what_they_do() {
    let place = Place::with_history();
    let mut said = String::new();
    for arguments in [
        &["trigger", "crm"][..],
        &["trigger", "app", "--list"],
        &["trigger", "staff", "--json"],
    ] {
        said.push_str(&place.transcript(arguments));
    }
    insta::assert_snapshot!(said);
    for provider in PROVIDERS {
        let other = Place::new();
        let listed = other.json(&["trigger", provider.name(), "--json"]);
        let names: Vec<&str> = listed
            .iter()
            .map(|it| it["event"].as_str().unwrap())
            .collect();
        assert_eq!(names, provider.kinds());
        assert!(
            listed
                .iter()
                .all(|it| it["effect"] != "quarantined" && it["effect"] != "")
        );
    }
}

#[test]
fn the_rules_in_force_say_which_source_speaks_how() {
    let place = Place::with_history();
    // What is in force counts, not what the file says since.
    place.write(
        "tenure.toml",
        "[sources.other]\nprovider = \"cloudevents\"\n",
    );
    let line = place
        .json(&["trigger", "crm", "tenure.granted", "--at", "2026-03-01"])
        .remove(0);
    assert_eq!(line["source"], "crm");
    assert_eq!(line["body"]["time"], "2026-03-01T00:00:00Z");
    assert_eq!(line["body"]["data"]["until"], "2026-03-31T00:00:00Z");
    assert_eq!(line["body"]["data"]["product"], "pro");
    assert_eq!(place.code(&["trigger", "other"]), 2);
    let place = Place::new();
    place.write("tenure.toml", super::RULES);
    // Without a secret it can be read: the tenant is that of the rules, the time of reception is that of the event.
    let rules = super::RULES.replace("secret_file = \"app.key\"", "");
    place.write("plain.toml", rules);
    let arguments = [
        "trigger",
        "app",
        "new_purchase",
        "--config",
        "plain.toml",
        "--at",
        "-3d",
    ];
    let line = place.json(&arguments).remove(0);
    assert_eq!(line["body"]["aid"], "AAAAAAAAAA");
    let received: Instant = line["received_at"].as_str().unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let age = i64::try_from(now.unwrap().as_micros()).unwrap() - received.micros();
    assert!((age / 1_000_000 - 3 * 86_400).abs() < 60, "{age}");
    assert_eq!(place.code(&["trigger", "app"]), 0);
    assert!(!place.path("tenure.db").exists());
}

#[test]
fn help_says_how_every_system_sends() {
    let help = Place::new().transcript(&["trigger", "--help"]);
    for provider in PROVIDERS {
        assert!(help.contains(&format!("  {}: ", provider.name())), "{help}");
    }
    assert!(
        help.contains("Examples:") && help.contains("ten-thousandth"),
        "{help}"
    );
    let all = PROVIDERS.iter().map(|it| it.sending().proof);
    assert!(all.into_iter().any(|it| it == Proof::Signature));
}
