//! `trigger`: an event as its system would write it, signed or encrypted as it would, to print or to send.

use std::fmt::Write as _;

use clap::Args;
use tenure::provider::{Content, Particulars, Proof, SourceContext, Success};
use tenure::{
    Instant, Length, PROVIDERS, Provider, Request, Rules, Secret, SourceName, provider_of,
    write_request,
};

use crate::config::instead;
use crate::failure::{Ending, Failure};
use crate::output::Table;
use crate::run::{Run, id, now, time, warn};
use crate::secret::default_variable;
use crate::sending::{Errand, Target, length, method};

const HELP: &str = "\
Without --to it prints one line that `tenure ingest SOURCE` takes: the request, signed or encrypted with the source's \
secret as its system would. Without a secret the line holds the bare event, which no endpoint would believe.

With --to the request goes over HTTP (or HTTPS, with the usual public certificate authorities), as the system would \
send it: with its method, signed anew for each attempt, and tried again after the waits of that system until it is \
taken. An attempt may last 30 seconds, redirects are not followed, proxies not used. The exit code is 0 if an attempt \
succeeded, else 1. With --json a line for each attempt; `status` is null if no answer came, `error` says why:
  {\"attempt\":1,\"status\":200,\"ok\":true,\"error\":null,\"waited_seconds\":0}

Secrets, and the query of the URL, are not shown while sending. The id put before user ids (`user_prefix`) is not \
added: the system does not know it either.

Examples:
  tenure trigger crm                                    the events there are
  tenure trigger crm tenure.granted | tenure ingest crm
  tenure trigger crm tenure.granted --user u7 --product news --until +90d
  tenure trigger crm tenure.renewed --to http://127.0.0.1:8080/hooks/crm
  tenure trigger crm tenure.renewed --to https://staging.example.com/hooks/crm --hurry --json";

/// How each system sends is asked of the library, so that the help knows every provider.
fn help() -> String {
    let mut text = "How the systems send, and when they try again:\n".to_owned();
    for provider in PROVIDERS {
        let sending = provider.sending();
        let (how, success) = (proof(sending.proof), success(sending.success));
        let waits = match sending.waits {
            [] => "no further attempts are known".to_owned(),
            waits => {
                let waits: Vec<String> = waits.iter().map(|wait| length(*wait)).collect();
                format!("again after {}", waits.join(", "))
            }
        };
        let (name, method) = (provider.name(), method(sending.method));
        let _infallible = writeln!(text, "  {name}: {method}, {how}; {success} counts; {waits}");
    }
    format!("{text}\n{HELP}")
}

/// What `trigger` may be told.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(crate) struct TriggerArgs {
    /// The source the event is of
    source: String,
    /// The event, by the name its system gives it; without one, the events there are
    event: Option<String>,
    /// List the events there are
    #[arg(long, conflicts_with_all = ["event", "to"])]
    list: bool,
    /// Send it to this address
    #[arg(long, value_name = "URL", requires = "event")]
    to: Option<String>,
    /// The user
    #[arg(long, default_value = "u1", value_name = "U")]
    user: String,
    /// The product [default: the first one of the rules, else `news`]
    #[arg(long, value_name = "P")]
    product: Option<String>,
    /// The grant
    #[arg(long, default_value = "g1", value_name = "G")]
    grant: String,
    /// When it happened
    #[arg(
        long,
        default_value = "now",
        value_name = "T",
        allow_hyphen_values = true
    )]
    at: String,
    /// The end of what is granted or paid for [default: 30 days after --at]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    until: Option<String>,
    /// What tells the event from all others; the same one again is a repetition [default: a new one]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Shorten the waits between attempts to a ten-thousandth, and to half a second at most
    #[arg(long, requires = "to")]
    hurry: bool,
}

/// An event that was made.
struct Made<'a> {
    provider: &'static dyn Provider,
    source: &'a SourceName,
    event: &'a str,
    at: Instant,
    text: String,
    secret: Option<Secret>,
}

pub(crate) fn trigger(run: &mut Run, args: &TriggerArgs) -> Result<Ending, Failure> {
    let source: SourceName = id("source", &args.source)?;
    let rules = run.rules()?;
    let provider =
        provider_of(&rules, &source).map_err(|error| Failure::Usage(error.to_string()))?;
    let context = SourceContext {
        name: &source,
        rules: rules.sources.get(&source),
        products: &rules,
    };
    let now = now();
    let particulars = args.particulars(&rules, &context, now)?;
    let Some(event) = &args.event else {
        return list(run, provider, &context, &particulars);
    };
    let Some(text) = provider.example(event, &particulars) else {
        let hint = instead(event, "there are:", provider.kinds());
        let message = format!("source `{source}` has no event `{event}`{hint}");
        return Err(Failure::Usage(message));
    };
    let target = args.to.as_deref().map(Target::parse).transpose()?;
    if let Content::Quarantined(refusal) = provider.decode(text.as_bytes(), &context).content {
        warn(&format!(
            "by the rules of source `{source}` this goes into quarantine: {} in `{}` ({})",
            refusal.reason, refusal.field, refusal.detail
        ));
    }
    let made = Made {
        provider,
        source: &source,
        event,
        at: particulars.at,
        text,
        secret: match (run.secret(&source), &target) {
            (Err(missing), None) => {
                warn(&missing.message(&run.db));
                None
            }
            (secret, _) => secret?,
        },
    };
    match target {
        None => made.print(run, now),
        Some(target) => made.send(run, args, target, now),
    }
}

impl Made<'_> {
    fn print(&self, run: &mut Run, now: Instant) -> Result<Ending, Failure> {
        let request = match &self.secret {
            Some(_) => self.sealed(now)?,
            None => {
                self.warn_of_no_secret();
                Request {
                    body: self.text.clone().into_bytes(),
                    ..Request::default()
                }
            }
        };
        // Where the system states no times, it is the time of reception that the event takes effect at.
        let received_at = if self.provider.arrival_is_order() {
            self.at
        } else {
            now
        };
        let line = write_request(&request, received_at, self.source);
        run.out.line(format_args!("{line}"))?;
        Ok(Ending::Done)
    }

    fn send(
        &self,
        run: &mut Run,
        args: &TriggerArgs,
        target: Target,
        now: Instant,
    ) -> Result<Ending, Failure> {
        let name = self.provider.name();
        if self.secret.is_none() {
            if self.provider.sending().proof == Proof::Signature {
                return Err(self.no_secret());
            }
            self.warn_of_no_secret();
        }
        // Tried before anything goes out: what cannot be made now cannot be made later either.
        self.sealed(now)?;
        if self.provider.arrival_is_order() && self.at != now {
            warn(&format!(
                "{name} states no times: the event takes effect when it is received, not at --at `{}`",
                args.at
            ));
        }
        let errand = Errand {
            target,
            provider: self.provider,
            event: self.event,
            text: self.text.as_bytes(),
            secret: self.secret.as_ref(),
            hurry: args.hurry,
        };
        errand.run(run)
    }

    fn sealed(&self, now: Instant) -> Result<Request, Failure> {
        let request = self
            .provider
            .seal(self.text.as_bytes(), self.secret.as_ref(), now);
        request.map_err(|_| match &self.secret {
            None => self.no_secret(),
            Some(_) => Failure::Usage(format!(
                "the secret of source `{}` has not the form that secrets have with {}, so nothing can be made with it",
                self.source,
                self.provider.name()
            )),
        })
    }

    fn no_secret(&self) -> Failure {
        Failure::Usage(format!(
            "source `{}` has no secret, and without one {} can send nothing: {}",
            self.source,
            self.provider.name(),
            remedy(self.source)
        ))
    }

    fn warn_of_no_secret(&self) {
        warn(&format!(
            "source `{}` has no secret, so this is not signed and no endpoint would believe it: {}",
            self.source,
            remedy(self.source)
        ));
    }
}

impl TriggerArgs {
    fn particulars(
        &self,
        rules: &Rules,
        source: &SourceContext<'_>,
        now: Instant,
    ) -> Result<Particulars, Failure> {
        let product = match (&self.product, rules.products.keys().next()) {
            (Some(name), _) => id("product", name)?,
            (None, Some(first)) => first.clone(),
            (None, None) => id("product", "news")?,
        };
        let at = time("--at", &self.at, now)?;
        let until = match &self.until {
            Some(text) => time("--until", text, now)?,
            None => at.plus(Length::days(30)).instant().unwrap_or(Instant::LAST),
        };
        Ok(Particulars {
            id: match &self.id {
                Some(id) => id.clone(),
                None => fresh_id()?,
            },
            user: id("user", &self.user)?,
            product,
            grant: id("grant", &self.grant)?,
            at,
            until,
            tenant: source.tenant().map(str::to_owned),
        })
    }
}

fn fresh_id() -> Result<String, Failure> {
    let number = getrandom::u64().map_err(|error| {
        Failure::Output(format!(
            "the system gives no random numbers: {error}; name an id with --id"
        ))
    })?;
    Ok(format!("trigger-{number:016x}"))
}

/// Where a secret that is missing may be put.
fn remedy(source: &SourceName) -> String {
    let variable = default_variable(source);
    format!(
        "put it into the environment variable `{variable}`, or name its place in the rules file"
    )
}

/// The events of a source and what they do.
fn list(
    run: &mut Run,
    provider: &dyn Provider,
    context: &SourceContext<'_>,
    particulars: &Particulars,
) -> Result<Ending, Failure> {
    let effect = |kind: &str| {
        let text = provider.example(kind, particulars).unwrap_or_default();
        match provider.decode(text.as_bytes(), context).content {
            Content::Events(events) => events.first().map_or("", |event| event.statement.name()),
            Content::Ignored => "ignored",
            Content::Quarantined(_) => "quarantined",
        }
    };
    if run.json {
        for kind in provider.kinds() {
            let line = serde_json::json!({"event": kind, "effect": effect(kind)});
            run.out.json(&line)?;
        }
        return Ok(Ending::Done);
    }
    let mut table = Table::new(&["event", "effect"]);
    for kind in provider.kinds() {
        table.row([(*kind).to_owned(), effect(kind).to_owned()]);
    }
    run.out.table(&table)?;
    Ok(Ending::Done)
}

fn proof(proof: Proof) -> &'static str {
    match proof {
        Proof::Signature => "signed with the secret",
        Proof::Token => "with the secret as a token",
    }
}

fn success(success: Success) -> &'static str {
    match success {
        Success::Exactly200 => "only 200",
        Success::Any2xx => "any 2xx",
    }
}
