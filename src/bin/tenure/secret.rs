//! The secrets of the sources. The rules file says where they stand; they are read only when a command needs them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tenure::{Secret, Secrets, SourceName};

use crate::failure::Failure;
use crate::run::warn;

/// Where a secret stands. The file names it, never holds it.
#[derive(Debug)]
pub(crate) enum SecretPlace {
    Variable(String),
    File(PathBuf),
}

/// Where the secret of each source stands that names a place.
#[derive(Debug, Default)]
pub(crate) struct SecretPlaces(pub(crate) BTreeMap<SourceName, SecretPlace>);

impl SecretPlaces {
    /// The secrets of these sources. One that is not there is said and done without: what comes from a file is trusted, and
    /// what is encrypted waits in quarantine until the secret is there.
    pub(crate) fn read<'a>(&self, sources: impl Iterator<Item = &'a SourceName>) -> Secrets {
        let mut secrets = Secrets::default();
        for source in sources {
            match self.secret(source) {
                Ok(Some(secret)) => secrets = secrets.with(source.clone(), secret),
                Ok(None) => {}
                Err(missing) => warn(&format!(
                    "{}. without it, encrypted deliveries go into quarantine",
                    missing.message(Path::new(""))
                )),
            }
        }
        secrets
    }

    /// The secret of a source; `None` if nothing says where it stands and the usual variable is not set.
    pub(crate) fn secret(&self, source: &SourceName) -> Result<Option<Secret>, Failure> {
        match self.0.get(source) {
            Some(SecretPlace::Variable(name)) => from_variable(name).map(Some).ok_or_else(|| {
                Failure::Usage(format!(
                    "the secret of source `{source}` is read from the environment variable `{name}`, which is not set"
                ))
            }),
            Some(SecretPlace::File(path)) => from_file(source, path).map(Some),
            None => Ok(from_variable(&default_variable(source))),
        }
    }
}

fn from_variable(name: &str) -> Option<Secret> {
    Secret::new(std::env::var_os(name)?.into_encoded_bytes())
}

/// The variable of a source whose secret no rules file places: `TENURE_` the name in capitals `_SECRET`.
pub(crate) fn default_variable(source: &SourceName) -> String {
    let letters = source.as_str().chars();
    let name: String = letters
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    format!("TENURE_{name}_SECRET")
}

fn from_file(source: &SourceName, path: &Path) -> Result<Secret, Failure> {
    let wrong = |what: &str| {
        Failure::NoFile(format!(
            "the secret of source `{source}` is read from the file `{}`, which {what}",
            path.display()
        ))
    };
    let mut bytes =
        std::fs::read(path).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    // An editor ends a file with a line break; no system makes it part of a secret.
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Secret::new(bytes).ok_or_else(|| wrong("is empty"))
}
