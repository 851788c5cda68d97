//! Sending a delivery over HTTP as its system would: its method, its idea of success, its waits.

use std::thread::sleep;
use std::time::Duration;

use serde::Serialize;
use tenure::provider::{Method, Success};
use tenure::{Instant, Length, Provider, Request, Secret};
use ureq::Agent;
use ureq::http::{Request as HttpRequest, StatusCode, Uri};

use crate::failure::{Ending, Failure};
use crate::output::Ink;
use crate::run::{Run, now};

/// How long one attempt may last. The systems whose limit is known wait as long.
const LIMIT: Duration = Duration::from_secs(30);
/// By how much waits are shortened where somebody is in a hurry, and to what at most.
const HURRIED: u32 = 10_000;
const HURRIED_AT_MOST: Duration = Duration::from_millis(500);
/// What a body is that says nothing of it.
const JSON: &str = "application/json";

/// The address of an endpoint.
#[derive(Debug)]
pub(crate) struct Target(Uri);

impl Target {
    /// Reads an address. One that is refused is shown without its query, where a token may stand.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let shown = match shown.rsplit_once('@') {
            Some((_, host)) => format!("…@{host}"),
            None => shown.to_owned(),
        };
        let wrong = |what: &str| {
            Failure::Usage(format!(
                "--to `{shown}` {what}; an address is written as `https://example.com/hooks/crm`"
            ))
        };
        let uri: Uri = text
            .parse()
            .map_err(|error| wrong(&format!("is no address: {error}")))?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http {
            return Err(wrong("does not begin with `http://` or `https://`"));
        }
        let authority = uri.authority().map(|it| it.as_str()).unwrap_or_default();
        if authority.contains('@') {
            return Err(wrong(
                "holds a user name or password, which would not be sent",
            ));
        }
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(wrong("names no host"));
        }
        if authority != host && uri.port_u16().is_none() {
            return Err(wrong("has no such port"));
        }
        Ok(Self(uri))
    }

    /// The address with what stands in the query of a request put behind its own.
    fn with(&self, query: Option<&str>) -> Result<Uri, String> {
        let Some(query) = query else {
            return Ok(self.0.clone());
        };
        let path = match self.0.query() {
            Some(own) if !own.is_empty() => format!("{}?{own}&{query}", self.0.path()),
            Some(_) | None => format!("{}?{query}", self.0.path()),
        };
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(path.parse().map_err(|_| NOT_MADE.to_owned())?);
        Uri::from_parts(parts).map_err(|_| NOT_MADE.to_owned())
    }

    /// The address without what its query holds.
    fn shown(&self) -> String {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self.0.authority().map_or("", |it| it.as_str());
        let query = self.0.query().map_or("", |_| "?[redacted]");
        format!("{scheme}://{authority}{}{query}", self.0.path())
    }
}

/// Says no more, since what would not fit may be secret.
const NOT_MADE: &str =
    "the request cannot be written: the secret or the event does not fit into it";

/// A delivery on its way.
pub(crate) struct Errand<'a> {
    pub(crate) target: Target,
    pub(crate) provider: &'static dyn Provider,
    /// What is sent, by name.
    pub(crate) event: &'a str,
    /// What is sent.
    pub(crate) text: &'a [u8],
    pub(crate) secret: Option<&'a Secret>,
    pub(crate) hurry: bool,
}

/// What came of an attempt.
struct Attempt {
    number: usize,
    at: Instant,
    /// The wait before it.
    waited: Duration,
    /// The status of the answer, or why there is none.
    answer: Result<u16, String>,
    ok: bool,
}

/// An attempt as JSON.
#[derive(Serialize)]
struct AttemptJson<'a> {
    attempt: usize,
    status: Option<u16>,
    ok: bool,
    error: Option<&'a str>,
    waited_seconds: serde_json::Value,
}

impl Errand<'_> {
    /// Makes attempts until one succeeds or the system would give up.
    pub(crate) fn run(&self, run: &mut Run) -> Result<Ending, Failure> {
        let sending = self.provider.sending();
        if !run.json {
            let (method, to) = (method(sending.method), self.target.shown());
            run.out
                .line(format_args!("{}: {method} {to}", self.event))?;
        }
        let agent = agent();
        let mut waited = Duration::ZERO;
        for number in 1..=attempts(sending.waits) {
            let at = now();
            let answer = self.send(&agent, at);
            let attempt = Attempt {
                number,
                at,
                waited,
                ok: answer
                    .as_ref()
                    .is_ok_and(|status| sending.success.is(*status)),
                answer,
            };
            let wait = sending.waits.get(number - 1).filter(|_| !attempt.ok);
            self.tell(run, &attempt, wait.copied())?;
            if attempt.ok {
                return Ok(Ending::Done);
            }
            if let Some(wait) = wait {
                waited = self.real(*wait);
                sleep(waited);
            }
        }
        Err(Failure::Undelivered(self.consequence()))
    }

    fn send(&self, agent: &Agent, now: Instant) -> Result<u16, String> {
        // Made anew each time: where a time is signed, an old one would be refused.
        let request = match self.provider.seal(self.text, self.secret, now) {
            Ok(request) => request,
            Err(error) => return Err(error.to_string()),
        };
        let uri = self.target.with(request.query.as_deref())?;
        let answer = match self.provider.sending().method {
            Method::Get => agent.run(
                head(HttpRequest::get(uri), &request)?
                    .body(())
                    .map_err(not_made)?,
            ),
            Method::Post => {
                let mut head = head(HttpRequest::post(uri), &request)?;
                if !request.headers.contains_key("content-type") {
                    head = head.header("content-type", JSON);
                }
                agent.run(head.body(request.body).map_err(not_made)?)
            }
        };
        match answer {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(error) => Err(failure(&error, &self.target)),
        }
    }

    /// How long a wait really is.
    fn real(&self, wait: Length) -> Duration {
        let wait = Duration::from_micros(wait.micros().unsigned_abs());
        if self.hurry {
            (wait / HURRIED).min(HURRIED_AT_MOST)
        } else {
            wait
        }
    }

    /// At once, so that whoever looks on sees what is waited for.
    fn tell(&self, run: &mut Run, attempt: &Attempt, wait: Option<Length>) -> Result<(), Failure> {
        let sending = self.provider.sending();
        if run.json {
            run.out.json(&AttemptJson {
                attempt: attempt.number,
                status: attempt.answer.as_ref().ok().copied(),
                ok: attempt.ok,
                error: attempt.answer.as_ref().err().map(String::as_str),
                waited_seconds: seconds(attempt.waited),
            })?;
            return run.out.flush();
        }
        let answer = match &attempt.answer {
            Ok(status) => answer(*status, sending.success),
            Err(error) => error.clone(),
        };
        let ink = if attempt.ok { Ink::Good } else { Ink::Bad };
        let answer = run.out.ink(ink, &answer);
        let next = match wait {
            Some(wait) if self.hurry => format!("; again after {}, hurried", length(wait)),
            Some(wait) => format!("; again after {}", length(wait)),
            None => String::new(),
        };
        let (number, all) = (attempt.number, attempts(sending.waits));
        let at = attempt.at;
        run.out.line(format_args!(
            "{at}  attempt {number} of {all}: {answer}{next}"
        ))?;
        run.out.flush()
    }

    /// What the system does now that its attempts have failed.
    fn consequence(&self) -> String {
        let name = self.provider.name();
        let sending = self.provider.sending();
        let all = attempts(sending.waits);
        if all > 1 {
            return format!(
                "{name} gives up after {all} attempts: the event is lost, unless somebody there has it sent once more"
            );
        }
        if self.provider.arrival_is_order() {
            return format!(
                "{name} sends one event after the other: it holds back all later ones until this one is taken"
            );
        }
        format!(
            "{name} is not known to try again: the event is lost, unless somebody there has it sent once more"
        )
    }
}

/// Nothing of the environment has a say, and every attempt has a connection of its own, as with a system that waits
/// minutes between them.
fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(LIMIT))
        .user_agent(concat!("tenure/", env!("CARGO_PKG_VERSION")))
        .max_idle_connections(0)
        .build();
    Agent::new_with_config(config)
}

type Head = ureq::http::request::Builder;

fn head(head: Head, request: &Request) -> Result<Head, String> {
    let headers = request.headers.iter();
    let head = headers.fold(head, |head, (name, value)| head.header(name, value));
    match head.headers_ref() {
        Some(_) => Ok(head),
        None => Err(NOT_MADE.to_owned()),
    }
}

fn not_made(_error: ureq::http::Error) -> String {
    NOT_MADE.to_owned()
}

/// Why no answer came.
fn failure(error: &ureq::Error, target: &Target) -> String {
    let host = target.0.host().unwrap_or_default();
    if let ureq::Error::Timeout(_) = error {
        return format!("no answer within {} seconds", LIMIT.as_secs());
    }
    if let ureq::Error::HostNotFound = error {
        return format!("no host is called `{host}`");
    }
    if let ureq::Error::Io(error) = error {
        return error.to_string();
    }
    if let ureq::Error::Rustls(error) = error {
        return format!("no encrypted connection came about: {error}");
    }
    error.to_string()
}

/// A status, and what is made of it.
fn answer(status: u16, success: Success) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .map(|reason| format!(" {reason}"))
        .unwrap_or_default();
    let verdict = match success {
        _ if success.is(status) => ", taken",
        _ if (300..400).contains(&status) => ", a redirect, which is not followed",
        Success::Exactly200 if (200..300).contains(&status) => ", but only 200 counts",
        Success::Exactly200 | Success::Any2xx => "",
    };
    format!("{status}{reason}{verdict}")
}

fn attempts(waits: &[Length]) -> usize {
    waits.len() + 1
}

/// A method as it is written in a request.
pub(crate) fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
    }
}

/// A number of seconds, whole where it is.
fn seconds(duration: Duration) -> serde_json::Value {
    if duration.subsec_nanos() == 0 {
        return duration.as_secs().into();
    }
    duration.as_secs_f64().into()
}

/// A length as people say it: `2h`, `1m 30s`.
pub(crate) fn length(length: Length) -> String {
    let seconds = length.micros() / 1_000_000;
    let parts = [
        (seconds / 3_600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    parts.join(" ")
}
