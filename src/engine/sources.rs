//! Which source speaks which dialect, and with which secret.

use std::collections::BTreeMap;
use std::fmt;

use super::EngineError;
use super::delivery::Delivery;
use crate::domain::id::{Mention, SourceName};
use crate::domain::mention::mentions;
use crate::domain::rules::{Rules, SourceRules};
use crate::domain::time::Instant;
use crate::provider::{PROVIDERS, Provider, Request, Secret, SourceContext, provider};

/// The secrets of the sources. They are handed in at each start and never stored.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<SourceName, Secret>);

impl Secrets {
    /// Adds the secret of a source.
    #[must_use]
    pub fn with(mut self, source: SourceName, secret: Secret) -> Self {
        self.0.insert(source, secret);
        self
    }

    /// The secret of a source.
    pub fn get(&self, source: &SourceName) -> Option<&Secret> {
        self.0.get(source)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Secret> {
        self.0.values()
    }
}

/// Names the sources that have one, never the secrets.
impl fmt::Debug for Secrets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

/// A source by the rules in force.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) provider: &'static dyn Provider,
    pub(crate) context: SourceContext<'a>,
}

/// The source of that name. Without configured sources, every provider is a source of its own name; `staff` always is one.
pub(crate) fn source<'a>(rules: &'a Rules, name: &'a SourceName) -> Option<Source<'a>> {
    let configured = rules.sources.get(name);
    let provider = match configured {
        _ if name.is_staff() => staff_provider(),
        Some(SourceRules { provider: kind, .. }) => provider(kind),
        None if rules.sources.is_empty() => provider(name.as_str()),
        None => None,
    }?;
    let context = SourceContext {
        name,
        rules: configured,
        products: rules,
    };
    Some(Source { provider, context })
}

/// What a delivery of the source that is parked may speak of: its users go by the source's prefix.
pub(crate) fn mentioned(
    rules: &Rules,
    name: &SourceName,
    text: &[u8],
    query: Option<&str>,
) -> Vec<Mention> {
    let prefix = rules.sources.get(name).map(|it| it.user_prefix.as_str());
    let all = [text, query.unwrap_or_default().as_bytes()].join(&b'\n');
    mentions(&all, prefix.unwrap_or_default())
}

/// The provider of a source by these rules. Without configured sources, every provider is a source of its own name; `staff`
/// always is one.
///
/// # Errors
/// [`EngineError::UnknownSource`], which lists the names there are.
pub fn provider_of(rules: &Rules, name: &SourceName) -> Result<&'static dyn Provider, EngineError> {
    match source(rules, name) {
        Some(found) => Ok(found.provider),
        None => Err(unknown_source(rules, name)),
    }
}

/// The delivery of a request from the network, if it comes from the source's system.
pub(super) fn verified(
    rules: &Rules,
    secrets: &Secrets,
    name: &SourceName,
    request: Request,
    now: Instant,
) -> Result<Delivery, EngineError> {
    let found = source(rules, name).ok_or_else(|| unknown_source(rules, name))?;
    let verified = found.provider.verify(request, secrets.get(name), now)?;
    Ok(Delivery::verified(name.clone(), verified))
}

pub(crate) fn unknown_source(rules: &Rules, name: &SourceName) -> EngineError {
    EngineError::UnknownSource {
        name: name.clone(),
        known: source_names(rules).join(", "),
    }
}

fn staff_provider() -> Option<&'static dyn Provider> {
    PROVIDERS
        .iter()
        .copied()
        .find(|provider| provider.speaks_for_staff())
}

/// The names of all sources by the rules in force, sorted.
pub(crate) fn source_names(rules: &Rules) -> Vec<String> {
    let mut names: Vec<String> = if rules.sources.is_empty() {
        PROVIDERS.iter().map(|it| it.name().to_owned()).collect()
    } else {
        rules.sources.keys().map(|name| name.to_string()).collect()
    };
    names.push(SourceName::STAFF.to_owned());
    names.sort_unstable();
    names.dedup();
    names
}
