//! The rules file, `tenure.toml`: read into the library's rules, and the places of the secrets.

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use tenure::domain::rules::AbsentExpires;
use tenure::{
    Include, PROVIDERS, Policy, ProductRules, RefundPolicy, Rules, SourceName, SourceRules,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::Failure;
use crate::moment;
use crate::secret::{SecretPlace, SecretPlaces};

/// Names that mean something else: statements by hand, files of mixed sources, and what Tenure itself records.
const RESERVED: [&str; 3] = [SourceName::STAFF, "any", "tenure"];

/// What a rules file says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) rules: Rules,
    pub(crate) secrets: SecretPlaces,
}

impl Config {
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let text =
            std::fs::read_to_string(path).map_err(|error| Failure::unreadable(path, &error))?;
        Self::parse(&text, path)
    }

    /// Reads the text of the file at `path`; the places of secret files are relative to it.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        let reading = Reading { text, path };
        let document = DeTable::parse(text).map_err(|error| {
            let message = error
                .message()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            reading.wrong(error.span().unwrap_or_default(), &message)
        })?;
        reading.document(document.get_ref())
    }
}

/// One reading of one file.
struct Reading<'a> {
    text: &'a str,
    path: &'a Path,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl Reading<'_> {
    fn wrong(&self, at: Range<usize>, message: &str) -> Failure {
        let before = self.text.as_bytes().get(..at.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Failure::Usage(format!("`{}`, line {line}: {message}", self.path.display()))
    }

    fn document(&self, table: &DeTable<'_>) -> Result<Config, Failure> {
        self.know(table, "the rules file", &["sources", "products"])?;
        let mut config = Config::default();
        if let Some(sources) = table.get("sources") {
            for (name, value) in self.table(sources, "sources")? {
                let source = self.id(name.get_ref(), name.span())?;
                if RESERVED.contains(&name.get_ref().as_ref()) {
                    let message = format!("`{source}` is reserved: call the source something else");
                    return Err(self.wrong(name.span(), &message));
                }
                let (rules, secret) = self.source(&source, value)?;
                config
                    .secrets
                    .0
                    .extend(secret.map(|place| (source.clone(), place)));
                config.rules.sources.insert(source, rules);
            }
        }
        if let Some(products) = table.get("products") {
            for (name, value) in self.table(products, "products")? {
                let product = self.id(name.get_ref(), name.span())?;
                let rules = self.product(&format!("[products.{product}]"), value)?;
                config.rules.products.insert(product, rules);
            }
        }
        Ok(config)
    }

    fn source(
        &self,
        name: &SourceName,
        value: &Value<'_>,
    ) -> Result<(SourceRules, Option<SecretPlace>), Failure> {
        let here = format!("[sources.{name}]");
        let table = self.table(value, &here)?;
        let known = [
            "provider",
            "tenant",
            "user_prefix",
            "secret_env",
            "secret_file",
            "policy",
        ];
        self.know(table, &here, &known)?;
        let Some(provider) = table.get("provider") else {
            return Err(self.wrong(
                value.span(),
                &format!(
                    "{here} needs a `provider`, one of: {}",
                    provider_names().join(", ")
                ),
            ));
        };
        let kind = self.string(provider, "provider")?;
        if !PROVIDERS.iter().any(|provider| provider.name() == kind) {
            let hint = instead(kind, "there are:", &provider_names());
            let message = format!("unknown provider `{kind}`{hint}");
            return Err(self.wrong(provider.span(), &message));
        }
        let tenant = table
            .get("tenant")
            .map(|value| self.string(value, "tenant"))
            .transpose()?;
        let prefix = table
            .get("user_prefix")
            .map(|value| self.string(value, "user_prefix"))
            .transpose()?;
        let policy = table
            .get("policy")
            .map(|value| self.policy(&here, value))
            .transpose()?;
        let rules = SourceRules {
            provider: kind.to_owned(),
            tenant: tenant.map(str::to_owned),
            user_prefix: prefix.unwrap_or_default().to_owned(),
            policy: policy.unwrap_or_default(),
        };
        Ok((rules, self.secret_place(table)?))
    }

    fn secret_place(&self, table: &DeTable<'_>) -> Result<Option<SecretPlace>, Failure> {
        match (table.get("secret_env"), table.get("secret_file")) {
            (None, None) => Ok(None),
            (Some(name), None) => {
                let name = self.string(name, "secret_env")?.to_owned();
                Ok(Some(SecretPlace::Variable(name)))
            }
            (None, Some(file)) => {
                let file = self.string(file, "secret_file")?;
                let folder = self.path.parent().unwrap_or(Path::new(""));
                Ok(Some(SecretPlace::File(folder.join(file))))
            }
            (Some(_), Some(file)) => Err(self.wrong(
                file.span(),
                "either `secret_env` or `secret_file`, not both",
            )),
        }
    }

    fn policy(&self, source: &str, value: &Value<'_>) -> Result<Policy, Failure> {
        let here = format!("the policy of {source}");
        let table = self.table(value, &here)?;
        let known = [
            "refund",
            "payment_failed_grace",
            "renewal_leeway",
            "renewal_access",
            "absent_expires",
        ];
        self.know(table, &here, &known)?;
        let mut policy = Policy::default();
        if let Some(value) = table.get("refund") {
            let choices = [
                ("revoke", RefundPolicy::Revoke),
                ("ignore", RefundPolicy::Ignore),
            ];
            policy.refund = self.choice(value, "refund", choices)?;
        }
        if let Some(value) = table.get("payment_failed_grace") {
            policy.payment_failed_grace = Some(self.parsed(value, "payment_failed_grace")?);
        }
        if let Some(value) = table.get("renewal_leeway") {
            policy.renewal_leeway = self.parsed(value, "renewal_leeway")?;
        }
        if let Some(value) = table.get("renewal_access") {
            policy.renewal_access = self.parsed(value, "renewal_access")?;
        }
        if let Some(value) = table.get("absent_expires") {
            let choices = [
                ("quarantine", AbsentExpires::Quarantine),
                ("unlimited", AbsentExpires::Unlimited),
            ];
            policy.absent_expires = self.choice(value, "absent_expires", choices)?;
        }
        Ok(policy)
    }

    fn product(&self, here: &str, value: &Value<'_>) -> Result<ProductRules, Failure> {
        let table = self.table(value, here)?;
        self.know(table, here, &["includes", "period"])?;
        let mut rules = ProductRules::default();
        if let Some(value) = table.get("period") {
            rules.period = Some(self.parsed(value, "period")?);
        }
        if let Some(value) = table.get("includes") {
            let Some(list) = value.get_ref().as_array() else {
                return Err(self.wrong(
                    value.span(),
                    "`includes` is a list, as [\"archive\", \"news/*\"]",
                ));
            };
            for include in list.iter() {
                rules.includes.push(self.include(include)?);
            }
        }
        Ok(rules)
    }

    fn include(&self, value: &Value<'_>) -> Result<Include, Failure> {
        if let Some(name) = value.get_ref().as_str() {
            let name = self.id(name, value.span())?;
            return Ok(Include {
                name,
                from: None,
                until: None,
            });
        }
        let here = "an entry of `includes`";
        let table = self.table(value, here)?;
        self.know(table, here, &["name", "from", "until"])?;
        let Some(name) = table.get("name") else {
            return Err(self.wrong(value.span(), &format!("{here} needs a `name`")));
        };
        let instant = |key: &str| {
            table
                .get(key)
                .map(|value| self.instant(value, key))
                .transpose()
        };
        Ok(Include {
            name: self.parsed(name, "name")?,
            from: instant("from")?,
            until: instant("until")?,
        })
    }

    /// A time as a string, or as TOML's own.
    fn instant(&self, value: &Value<'_>, key: &str) -> Result<tenure::Instant, Failure> {
        let text = match value.get_ref().as_datetime() {
            Some(datetime) => datetime.to_string(),
            None => self.string(value, key)?.to_owned(),
        };
        moment::fixed(&text)
            .map_err(|error| self.wrong(value.span(), &format!("`{key}` is `{text}`: {error}")))
    }

    fn table<'t, 'v>(&self, value: &'t Value<'v>, here: &str) -> Result<&'t DeTable<'v>, Failure> {
        let table = value.get_ref().as_table();
        table.ok_or_else(|| self.wrong(value.span(), &format!("{here} has to be a table")))
    }

    fn string<'t>(&self, value: &'t Value<'_>, key: &str) -> Result<&'t str, Failure> {
        let text = value.get_ref().as_str();
        text.ok_or_else(|| {
            self.wrong(
                value.span(),
                &format!("`{key}` has to be a string, in quotes"),
            )
        })
    }

    fn parsed<T: FromStr<Err: Display>>(&self, value: &Value<'_>, key: &str) -> Result<T, Failure> {
        let text = self.string(value, key)?;
        let wrong = |error| self.wrong(value.span(), &format!("`{key}` is `{text}`: {error}"));
        text.parse().map_err(wrong)
    }

    fn id<T: FromStr<Err: Display>>(&self, text: &str, at: Range<usize>) -> Result<T, Failure> {
        text.parse()
            .map_err(|error| self.wrong(at, &format!("`{text}` is no name: {error}")))
    }

    fn choice<T, const N: usize>(
        &self,
        value: &Value<'_>,
        key: &str,
        choices: [(&str, T); N],
    ) -> Result<T, Failure> {
        let text = self.string(value, key)?;
        let names: Vec<String> = choices
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let chosen = choices.into_iter().find(|(name, _)| *name == text);
        chosen.map(|(_, choice)| choice).ok_or_else(|| {
            let message = format!("`{key}` is `{text}`; it can be {}", names.join(" or "));
            self.wrong(value.span(), &message)
        })
    }

    /// Refuses a key that means nothing: a misspelt policy would silently not be in force.
    fn know(&self, table: &DeTable<'_>, here: &str, known: &[&str]) -> Result<(), Failure> {
        for (key, _) in table {
            let name = key.get_ref();
            if !known.contains(&name.as_ref()) {
                let hint = instead(name, "the keys are:", known);
                let message = format!("unknown key `{name}` in {here}{hint}");
                return Err(self.wrong(key.span(), &message));
            }
        }
        Ok(())
    }
}

fn provider_names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.name()).collect()
}

/// The names there are, and which one was probably meant.
fn instead(written: &str, what: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|name| (strsim::osa_distance(written, name), name))
        .min();
    let hint = match nearest {
        Some((distance, name)) if distance <= 1 + name.len() / 4 => {
            format!(": did you mean `{name}`?")
        }
        Some(_) | None => ";".to_owned(),
    };
    format!("{hint} {what} {}", known.join(", "))
}
