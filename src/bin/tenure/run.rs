//! What every command needs: the database, the rules file, the clock, standard output.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use tenure::{
    Engine, Instant, MemoryStore, PROVIDERS, Reader, RecordedAt, Rules, Secret, Secrets,
    SourceName, SqliteReader, SqliteStore, SqliteStoreOptions, Store as _, StoreError,
};

use crate::config::Config;
use crate::failure::Failure;
use crate::moment::moment;
use crate::output::{Out, safe};

const CONFIG: &str = "tenure.toml";

/// One run of the command.
pub(crate) struct Run {
    pub(crate) db: PathBuf,
    pub(crate) config: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) out: Out,
}

/// Which sources' secrets a command needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needed<'a> {
    All,
    Only(&'a SourceName),
}

impl Run {
    /// A handle that only reads. The database has to be there.
    pub(crate) fn reader(&self) -> Result<Reader<SqliteReader>, Failure> {
        let config = self.config_or_warning()?;
        let mut reader = Reader::new(SqliteStore::open_reader(&self.db)?);
        self.compare(config.as_ref(), &mut reader)?;
        Ok(reader)
    }

    /// An engine on the database, which has to be there.
    pub(crate) fn engine(
        &self,
        needed: Option<Needed<'_>>,
    ) -> Result<Engine<SqliteStore>, Failure> {
        let config = match needed {
            None => self.config_or_warning()?,
            Some(_) => self.config()?,
        };
        let store = SqliteStore::open(&self.db, SqliteStoreOptions::default())?;
        let mut reader = Reader::new(store.reader()?);
        self.compare(config.as_ref(), &mut reader)?;
        let secrets = secrets(config.as_ref(), &reader.rules()?, needed);
        Ok(Engine::new(store, secrets)?)
    }

    /// A handle that only reads, for a command that brings rules of its own.
    pub(crate) fn reader_for_rules(&self) -> Result<Reader<SqliteReader>, Failure> {
        Ok(Reader::new(SqliteStore::open_reader(&self.db)?))
    }

    /// An engine to put `config` in force on. Makes the database if there is none.
    pub(crate) fn engine_for_rules(&self) -> Result<Engine<SqliteStore>, Failure> {
        self.require_folder()?;
        let store = SqliteStore::create_or_open(&self.db, SqliteStoreOptions::default())?;
        Ok(Engine::new(store, Secrets::default())?)
    }

    /// An engine that takes deliveries of `source` (`None`: of any). Makes the database if there is none; an empty one
    /// begins with the rules of the rules file.
    pub(crate) fn taking_engine(
        &self,
        source: Option<&SourceName>,
    ) -> Result<Engine<SqliteStore>, Failure> {
        let needed = source.map_or(Needed::All, Needed::Only);
        self.making_engine(source, Some(needed))
    }

    /// As [`Run::taking_engine`], for a history that brings its own rules: those of the rules file do not come before them.
    pub(crate) fn history_engine(&self) -> Result<Engine<SqliteStore>, Failure> {
        let config = self.config()?;
        self.require_folder()?;
        let store = SqliteStore::create_or_open(&self.db, SqliteStoreOptions::default())?;
        if Reader::new(store.reader()?).has_rules()? {
            return self.taking_engine(None);
        }
        // The sources of the history are not known yet; those whose secrets can be had stand in the rules file.
        let named = config.as_ref().map(|config| config.rules.clone());
        let needed = Some(Needed::All);
        let secrets = secrets(config.as_ref(), &named.unwrap_or_default(), needed);
        Ok(Engine::new(store, secrets)?)
    }

    /// Says so if the rules file is not what is in force by now.
    pub(crate) fn compare_rules(&self) -> Result<(), Failure> {
        self.reader().map(|_| ())
    }

    /// As [`Run::taking_engine`], for what staff state about a grant of `source`: that takes no secret.
    pub(crate) fn stating_engine(
        &self,
        source: &SourceName,
    ) -> Result<Engine<SqliteStore>, Failure> {
        self.making_engine(Some(source), None)
    }

    fn making_engine(
        &self,
        source: Option<&SourceName>,
        needed: Option<Needed<'_>>,
    ) -> Result<Engine<SqliteStore>, Failure> {
        let config = self.config()?;
        if !self.db.exists() {
            self.try_on_nothing(config.as_ref(), source)?;
        }
        let store = SqliteStore::create_or_open(&self.db, SqliteStoreOptions::default())?;
        let mut reader = Reader::new(store.reader()?);
        let has_rules = reader.has_rules()?;
        let rules = match &config {
            Some(config) if !has_rules => config.rules.clone(),
            Some(_) | None => reader.rules()?,
        };
        let mut engine = Engine::new(store, secrets(config.as_ref(), &rules, needed))?;
        if let (Some(config), false) = (&config, has_rules) {
            config.warn_of_remarks();
            // If another process was faster, what it put in force is compared below.
            let applied = engine.apply_first(&config.rules, now())?;
            if let (Some(position), Some(path)) = (applied.position, self.config_path())
                && position.0 > 1
            {
                warn(&format!(
                    "the database had no rules: those of `{}` are in force from position {position} on",
                    path.display()
                ));
            }
        }
        self.compare(config.as_ref(), &mut engine.reader()?)?;
        Ok(engine)
    }

    /// Fails as taking would, before a database is made that nobody wanted.
    fn try_on_nothing(
        &self,
        config: Option<&Config>,
        source: Option<&SourceName>,
    ) -> Result<(), Failure> {
        self.require_folder()?;
        let rules = config
            .map(|config| config.rules.clone())
            .unwrap_or_default();
        let mut engine = Engine::new(MemoryStore::new()?, Secrets::default())?;
        engine.begin_with_rules(&rules)?;
        if let Some(source) = source {
            engine.require_source(source)?;
        }
        Ok(())
    }

    fn require_folder(&self) -> Result<(), Failure> {
        let folder = self
            .db
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Failure::NoFile(format!(
                "`{}` cannot be made: there is no folder `{}`",
                self.db.display(),
                folder.display()
            )));
        }
        Ok(())
    }

    /// The rules in force. On a database without any, or where there is no database, they are those of the rules file, which
    /// would be put in force first.
    pub(crate) fn rules(&self) -> Result<Rules, Failure> {
        let config = self.config()?;
        // One that is just being made, as at the other end of a pipe, is none yet.
        let opened = match SqliteStore::open_reader(&self.db) {
            Ok(opened) => Some(opened),
            Err(StoreError::Missing(_) | StoreError::Foreign(_) | StoreError::Unavailable(_)) => {
                None
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(opened) = opened {
            let mut reader = Reader::new(opened);
            if reader.has_rules()? || config.is_none() {
                self.compare(config.as_ref(), &mut reader)?;
                return Ok(reader.rules()?);
            }
        }
        Ok(config.map(|config| config.rules).unwrap_or_default())
    }

    /// The secret of a source, if it has one.
    pub(crate) fn secret(&self, source: &SourceName) -> Result<Option<Secret>, Failure> {
        let config = self.config()?.unwrap_or_default();
        config.secrets.secret(source)
    }

    fn config_path(&self) -> Option<&Path> {
        let default = Path::new(CONFIG);
        let given = self.config.as_deref();
        given.or_else(|| default.exists().then_some(default))
    }

    fn config(&self) -> Result<Option<Config>, Failure> {
        self.config_path().map(Config::load).transpose()
    }

    /// As [`Run::config`], for what needs nothing of it: a mistake in a file that merely lies there must not keep a paywall
    /// from its answers. A file that was named has to be right.
    fn config_or_warning(&self) -> Result<Option<Config>, Failure> {
        match (self.config(), &self.config) {
            (Err(failure), None) => {
                let message = failure.message(&self.db);
                warn(&format!("{message}. the rules in force are used"));
                Ok(None)
            }
            (config, _) => config,
        }
    }

    /// Says so if the rules file is not what is in force.
    fn compare(
        &self,
        config: Option<&Config>,
        reader: &mut Reader<SqliteReader>,
    ) -> Result<(), Failure> {
        let (Some(config), Some(path)) = (config, self.config_path()) else {
            return Ok(());
        };
        if reader.rules()? != config.rules && !reader.is_empty()? {
            warn(&format!(
                "`{path}` says other rules than those in force; the ones in force are used. `tenure plan {path}` says \
                 what would change, `tenure apply {path}` changes it",
                path = path.display()
            ));
        }
        Ok(())
    }
}

fn secrets(config: Option<&Config>, rules: &Rules, needed: Option<Needed<'_>>) -> Secrets {
    let Some(needed) = needed else {
        return Secrets::default();
    };
    let default = Config::default();
    let config = config.unwrap_or(&default);
    match needed {
        Needed::Only(source) => config.secrets.read([source].into_iter()),
        Needed::All if rules.sources.is_empty() => {
            // Without configured sources every provider is one.
            let names = PROVIDERS
                .iter()
                .filter_map(|provider| SourceName::new(provider.name()).ok());
            config
                .secrets
                .read(names.collect::<Vec<SourceName>>().iter())
        }
        Needed::All => config.secrets.read(rules.sources.keys()),
    }
}

/// Says something on standard error that does not stop the run.
pub(crate) fn warn(text: &str) {
    use std::io::Write as _;
    // Where nobody can be told, the work still counts.
    let _unheard = writeln!(std::io::stderr().lock(), "warning: {}", safe(text));
}

/// The clock. One outside the years 1 to 9999 reads as their nearest end.
pub(crate) fn now() -> Instant {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let micros = i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX);
    Instant::from_micros(micros).unwrap_or(Instant::LAST)
}

/// An id from the command line.
pub(crate) fn id<T: FromStr<Err: Display>>(what: &str, text: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|error| Failure::Usage(format!("`{text}` is no {what}: {error}")))
}

/// A time from the command line.
pub(crate) fn time(option: &str, text: &str, now: Instant) -> Result<Instant, Failure> {
    moment(text, now).map_err(|error| {
        Failure::Usage(format!(
            "{option} `{text}`: {error}; also a date, `now`, or relative to now as `-3d` or `+1h`"
        ))
    })
}

pub(crate) fn as_of(text: Option<&str>, now: Instant) -> Result<Option<RecordedAt>, Failure> {
    text.map(|text| time("--as-of", text, now).map(RecordedAt))
        .transpose()
}
