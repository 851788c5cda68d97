//! Requests that were not made with the source's secret, or not now: none is believed, and none leaves a trace.

use tenure::provider::{Particulars, Proof, Provider, Secret, VerifyError};
use tenure::store::chain::Salts;
use tenure::{
    Delivery, Engine, EngineError, Instant, Length, MemoryStore, Outcome, PROVIDERS, Position,
    Request, Secrets, SourceName,
};

use crate::harness::{Extent, Harness, Report, caught};
use crate::strategies::recorded;
use crate::workload::Random;

pub(crate) const HARNESS: Harness = Harness {
    name: "forgeries",
    guarantee: "what was not signed with the source's secret, or not now, is not believed and changes nothing",
    not_covered: "a secret that leaks; the body beside a token, which is not signed",
    run,
};

const FORGERIES: &str = "forged requests";
/// Serves both as raw bytes and in the form Standard Webhooks want.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHERS: [&str; 3] = [
    "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjU",
];

type Verify = fn(&Gate, &Forged) -> Result<Delivery, EngineError>;

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    let each = extent.cases(5_000);
    for provider in PROVIDERS {
        let gate = Gate::new(*provider);
        let mut random = Random::new(extent.seed);
        let before = gate.trace();
        for number in 0..each {
            let Some(forged) = gate.forged(&mut random) else {
                continue;
            };
            report.tried(1, FORGERIES);
            report.done(1, forged.how);
            if let Err(violation) = caught(|| gate.refuses(&forged, honest)) {
                let of = format!("{} {number}, --seed {}", provider.name(), extent.seed);
                report.violations.push(format!("{of}: {violation}"));
            }
        }
        if gate.trace() != before {
            let name = provider.name();
            let violation = format!("{name}: what was refused has left something in the log");
            report.violations.push(violation);
        }
        report.tried(1, "sound requests");
        report.violations.extend(gate.takes_the_sound_one().err());
    }
    report.at_least(10_000, FORGERIES);
    for (bug, verify) in PLANTS {
        let gates: Vec<Gate> = PROVIDERS.iter().map(|it| Gate::new(*it)).collect();
        let mut random = Random::new(extent.seed);
        report.plant(bug, 100_000, |number| {
            let gate = &gates[usize::try_from(number).unwrap() % gates.len()];
            let forged = gate.forged(&mut random);
            forged.map_or(Ok(()), |forged| gate.refuses(&forged, verify))
        });
    }
    report
}

const PLANTS: [(&str, Verify); 3] = [
    ("the last byte of a body not signed", |gate, forged| {
        let mut request = forged.request.clone();
        let (found, sound) = (&mut request.body, &forged.sound.body);
        let cut = |bytes: &[u8]| bytes.len().saturating_sub(1);
        if found.len() == sound.len() && found[..cut(found)] == sound[..cut(sound)] {
            found.clone_from(sound);
        }
        gate.verify(request, forged.now)
    }),
    ("a stale time believed", |gate, forged| {
        gate.verify(forged.request.clone(), forged.made_at)
    }),
    ("a beginning of the proof enough", |gate, forged| {
        let mut request = forged.request.clone();
        for (name, value) in &mut request.headers {
            let sound = forged.sound.headers.get(name);
            if let Some(sound) = sound.filter(|it| it.starts_with(value.as_str())) {
                value.clone_from(sound);
            }
        }
        gate.verify(request, forged.now)
    }),
];

fn honest(gate: &Gate, forged: &Forged) -> Result<Delivery, EngineError> {
    gate.verify(forged.request.clone(), forged.now)
}

/// A request that must not be believed, and the sound one it was made from.
struct Forged {
    how: &'static str,
    request: Request,
    sound: Request,
    made_at: Instant,
    now: Instant,
}

/// An engine that takes requests of one system from the network.
struct Gate {
    provider: &'static dyn Provider,
    source: SourceName,
    engine: Engine<MemoryStore>,
}

impl Gate {
    fn new(provider: &'static dyn Provider) -> Self {
        let source: SourceName = provider.name().parse().unwrap();
        let store = MemoryStore::with_salts(Salts::from_seed([7; 32]));
        let secrets = Secrets::default().with(source.clone(), Secret::new(SECRET).unwrap());
        Self {
            provider,
            source,
            engine: Engine::new(store, secrets).unwrap(),
        }
    }

    fn verify(&self, request: Request, now: Instant) -> Result<Delivery, EngineError> {
        self.engine.verify_request(&self.source, request, now)
    }

    /// All that is recorded.
    fn trace(&self) -> (Position, String) {
        let recorded = recorded(&self.engine);
        let position = Position(recorded.times.len() as u64);
        (position, format!("{:?}", recorded.events))
    }

    fn refuses(&self, forged: &Forged, verify: Verify) -> Result<(), String> {
        match verify(self, forged) {
            Err(EngineError::Verify(error)) => {
                let expected = match forged.how {
                    STALE => VerifyError::StaleTime,
                    _ => VerifyError::NotAuthentic,
                };
                if error == expected {
                    return Ok(());
                }
                Err(format!(
                    "{}: refused as {error:?}, not {expected:?}",
                    forged.how
                ))
            }
            Err(error) => Err(format!("{}: {error}", forged.how)),
            Ok(_) => Err(format!(
                "{}: believed: {:?} {:?} {:?}",
                forged.how,
                String::from_utf8_lossy(&forged.request.body),
                forged.request.query,
                forged.request.headers,
            )),
        }
    }

    fn takes_the_sound_one(mut self) -> Result<(), String> {
        let request = self.sound(0, SECRET, at());
        let delivery = self.verify(request, at()).map_err(|it| it.to_string())?;
        let receipt = self.engine.ingest(delivery, at());
        let outcome = receipt.map_err(|it| it.to_string())?.outcome;
        if outcome == Outcome::Applied || outcome == Outcome::Ignored {
            return Ok(());
        }
        Err(format!("{}: the sound one was {outcome}", self.source))
    }

    /// An example of that kind as the system sends it, made with a secret.
    fn sound(&self, kind: usize, secret: &str, now: Instant) -> Request {
        let kinds = self.provider.kinds();
        let particulars = Particulars {
            id: "7c9e6679-7425-40de-944b-e07fc1f90ae7".to_owned(),
            user: "u1".parse().unwrap(),
            product: "news".parse().unwrap(),
            grant: "g1".parse().unwrap(),
            at: now,
            until: "2026-02-01T00:00:00Z".parse().unwrap(),
            tenant: None,
        };
        let text = self
            .provider
            .example(kinds[kind % kinds.len()], &particulars);
        let secret = Secret::new(secret).unwrap();
        let sealed = self
            .provider
            .seal(text.unwrap().as_bytes(), Some(&secret), now);
        sealed.unwrap()
    }

    /// One way or another of forging; `None` where that way leads nowhere with this system.
    fn forged(&self, random: &mut Random) -> Option<Forged> {
        let kind = random.place(1_000);
        let (now, mut made_at) = (at(), at());
        let sound = self.sound(kind, SECRET, made_at);
        let is_signed = self.provider.sending().proof == Proof::Signature;
        let mut request = sound.clone();
        let how = match random.place(10) {
            0..3 => self.with_part(&mut request, random, "bits flipped", flipped)?,
            3 => self.with_part(&mut request, random, "parts cut off", cut)?,
            4 => self.with_part(&mut request, random, "parts removed", |_, _| None)?,
            5 => self.with_part(&mut request, random, "parts given twice", doubled)?,
            6 if is_signed => self.with_part(&mut request, random, "other algorithms", confused)?,
            7 if is_signed => {
                // The proof of another request.
                let other = self.sound(kind + 1 + random.place(5), SECRET, made_at);
                request.headers = other.headers;
                if !request.body.is_empty() {
                    request.query = other.query;
                }
                "proofs of another request"
            }
            8 => {
                let secret = OTHERS[random.place(OTHERS.len())];
                request = self.sound(kind, secret, made_at);
                "other secrets"
            }
            _ => {
                let minutes = 6 + random.below(100_000);
                let micros = i64::try_from(minutes * 60_000_000).unwrap();
                let sign = if random.place(2) == 0 { 1 } else { -1 };
                made_at = Instant::from_micros(now.micros() + sign * micros).unwrap();
                request = self.sound(kind, SECRET, made_at);
                // Where no time is signed, it is as good as ever.
                let is_timed = self.provider.verify(
                    request.clone(),
                    Some(&Secret::new(SECRET).unwrap()),
                    at().plus(Length::DAY).instant().unwrap(),
                );
                is_timed.is_err().then_some(())?;
                STALE
            }
        };
        let sound = if how == STALE { request.clone() } else { sound };
        (how == STALE || request != sound).then_some(Forged {
            how,
            request,
            sound,
            made_at,
            now,
        })
    }

    /// Alters one part of what the proof covers; `None` takes it away.
    fn with_part(
        &self,
        request: &mut Request,
        random: &mut Random,
        how: &'static str,
        alter: fn(&[u8], &mut Random) -> Option<Vec<u8>>,
    ) -> Option<&'static str> {
        let is_signed = self.provider.sending().proof == Proof::Signature;
        let mut parts: Vec<Part> = request
            .headers
            .keys()
            .filter(|name| *name != "content-type")
            .map(|name| Part::Header(name.clone()))
            .collect();
        parts.extend(request.query.is_some().then_some(Part::Query));
        parts.extend((is_signed && !request.body.is_empty()).then_some(Part::Body));
        let text = |bytes: Option<Vec<u8>>| bytes.map(String::from_utf8).transpose().ok();
        match &parts[random.place(parts.len())] {
            Part::Body => request.body = alter(&request.body, random).unwrap_or_default(),
            Part::Query => {
                let query = request.query.take().unwrap();
                // Whatever the parameter is called, its value is what counts.
                let (name, value) = query.split_once('=')?;
                let value = text(alter(value.as_bytes(), random))?;
                request.query = value.map(|value| format!("{name}={value}"));
            }
            Part::Header(name) => {
                let value = request.headers.remove(name)?;
                if let Some(value) = text(alter(value.as_bytes(), random))? {
                    request.headers.insert(name.clone(), value);
                }
            }
        }
        Some(how)
    }
}

enum Part {
    Header(String),
    Query,
    Body,
}

const STALE: &str = "made at another time";

fn at() -> Instant {
    "2026-01-15T00:00:00Z".parse().unwrap()
}

fn flipped(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let place = random.place(bytes.len());
    bytes[place] ^= 1 << random.place(7);
    Some(bytes)
}

fn cut(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    Some(bytes[..random.place(bytes.len())].to_vec())
}

/// As a sender or a proxy joins two headers of one name; neither is right.
fn doubled(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let wrong = flipped(bytes, random)?;
    let between: &[u8] = [b", ".as_slice(), b" ", b",", b""][random.place(4)];
    Some([&wrong, between, &wrong].concat())
}

fn confused(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    let names = ["none", "v0", "v2", "v1a", "sha1", "md5", "HS256", ""];
    let name = names[random.place(names.len())];
    let said = ["v1", "sha256", "t"]
        .into_iter()
        .find(|it| text.starts_with(it));
    let text = match said {
        Some(said) => text.replacen(said, name, 1),
        None => format!("{name},{text}"),
    };
    Some(text.into_bytes())
}
