//! The rules file, `tenure.toml`: read into the library's rules, and the places of the secrets.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tenure::domain::rules::{AbsentExpires, MemberPlan};
use tenure::{
    Include, PROVIDERS, Policy, ProductName, ProductRules, RefundPolicy, ResourceName, Rules,
    SourceName, SourceRules,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::Failure;
use crate::moment;
use crate::remarks::{Written, remarks};
use crate::run::warn;
use crate::secret::{SecretPlace, SecretPlaces};

/// Names that mean something else: statements by hand, files of mixed sources, and what Tenure itself records.
const RESERVED: [&str; 3] = [SourceName::STAFF, "any", "tenure"];

/// What a rules file says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) rules: Rules,
    pub(crate) secrets: SecretPlaces,
    /// The entries of all `includes`, and the file they stand in.
    written: Vec<Written>,
    path: PathBuf,
}

impl Config {
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(path).map_err(|error| Failure::unreadable(path, &error))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::Usage(format!("`{}` is not UTF-8 at byte {at}", path.display()))
        })?;
        Self::parse(&text, path)
    }

    /// Says what is allowed and yet probably not what was meant: where the file comes into force.
    pub(crate) fn warn_of_remarks(&self) {
        for (line, remark) in remarks(&self.written) {
            warn(&format!("`{}`, line {line}: {remark}", self.path.display()));
        }
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

    /// Reads the tables of a rules file out of a larger one, whose `text` they stand in.
    pub(crate) fn of_table(table: &DeTable<'_>, text: &str, path: &Path) -> Result<Self, Failure> {
        Reading { text, path }.document(table)
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
        let line = self.line(&at);
        Failure::Usage(format!("`{}`, line {line}: {message}", self.path.display()))
    }

    fn line(&self, at: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..at.start).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    fn document(&self, table: &DeTable<'_>) -> Result<Config, Failure> {
        self.know(table, "the rules file", &["sources", "products"])?;
        let mut config = Config {
            path: self.path.to_owned(),
            ..Config::default()
        };
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
                let rules = self.product(&product, value, &mut config.written)?;
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
            // It is compared as an id is.
            .map(|value| self.parsed::<ResourceName>(value, "tenant"))
            .transpose()?;
        let prefix = table
            .get("user_prefix")
            .map(|value| self.prefix(value))
            .transpose()?;
        let policy = table
            .get("policy")
            .map(|value| self.policy(&here, value))
            .transpose()?;
        let rules = SourceRules {
            provider: kind.to_owned(),
            tenant: tenant.map(|tenant| tenant.to_string()),
            user_prefix: prefix.unwrap_or_default().to_owned(),
            policy: policy.unwrap_or_default(),
        };
        Ok((rules, self.secret_place(table)?))
    }

    /// What is put before user ids, and so has to leave room for one.
    fn prefix<'t>(&self, value: &'t Value<'_>) -> Result<&'t str, Failure> {
        const LONGEST: usize = 128;
        let prefix = self.string(value, "user_prefix")?;
        if prefix.len() > LONGEST || prefix.chars().any(char::is_control) {
            let message = "`user_prefix` has at most 128 bytes and no control characters";
            return Err(self.wrong(value.span(), message));
        }
        Ok(prefix)
    }

    fn secret_place(&self, table: &DeTable<'_>) -> Result<Option<SecretPlace>, Failure> {
        match (table.get("secret_env"), table.get("secret_file")) {
            (None, None) => Ok(None),
            (Some(name), None) => {
                let variable = self.string(name, "secret_env")?;
                let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                if variable.is_empty() || !variable.chars().all(is_letter) {
                    // Not repeated: it may be the secret itself.
                    let message = "`secret_env` is the name of a variable: letters, digits and `_`";
                    return Err(self.wrong(name.span(), message));
                }
                Ok(Some(SecretPlace::Variable(variable.to_owned())))
            }
            (None, Some(file)) => {
                let span = file.span();
                let file = self.string(file, "secret_file")?;
                if file.is_empty() {
                    return Err(self.wrong(span, "`secret_file` names no file"));
                }
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
            "member_plan",
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
        if let Some(value) = table.get("member_plan") {
            policy.member_plan = self.member_plan(value)?;
        }
        Ok(policy)
    }

    fn member_plan(&self, value: &Value<'_>) -> Result<MemberPlan, Failure> {
        let Some(list) = value.get_ref().as_array() else {
            let choices = [("grant", MemberPlan::Grant), ("ignore", MemberPlan::Ignore)];
            return self.choice(value, "member_plan", choices);
        };
        let plans = list
            .iter()
            .map(|plan| self.parsed(plan, "a plan of `member_plan`"));
        Ok(MemberPlan::Plans(plans.collect::<Result<_, Failure>>()?))
    }

    fn product(
        &self,
        product: &ProductName,
        value: &Value<'_>,
        written: &mut Vec<Written>,
    ) -> Result<ProductRules, Failure> {
        let here = format!("[products.{product}]");
        let table = self.table(value, &here)?;
        self.know(table, &here, &["includes", "period"])?;
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
                let line = self.line(&include.span());
                let include = self.include(include)?;
                rules.includes.push(include.clone());
                written.push(Written {
                    product: product.clone(),
                    include,
                    line,
                });
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
        let include = Include {
            name: self.parsed(name, "name")?,
            from: instant("from")?,
            until: instant("until")?,
        };
        if let (Some(from), Some(until)) = (include.from, include.until)
            && until <= from
        {
            let message = format!("`until` is {until}, which is not after `from`, {from}");
            return Err(self.wrong(value.span(), &message));
        }
        Ok(include)
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
            if name == "secret" && known.contains(&"secret_env") {
                let message = format!(
                    "unknown key `secret` in {here}: a secret is named here, never written; `secret_env` names a \
                     variable, `secret_file` a file"
                );
                return Err(self.wrong(key.span(), &message));
            }
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
pub(crate) fn instead(written: &str, what: &str, known: &[&str]) -> String {
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
