//! Databases with their display names.

use std::sync::Arc;

use futures_util::future::try_join_all;
use messagekit::operations::Operations;
use messagekit::{Error, ErrorKind, chain};
use messagekit_admin::documents::Unreachable;
use messagekit_admin::{Overview, READ_LIMIT, is_database_name};
use messagekit_config::{Configuration, Section};
use messagekit_postgres::PostgresStore;
use messagekit_topics::Topics;
use messagekit_topics::operations::TopicOperations;

use crate::database::{Database, Kind, URL_VARIABLE, open_file, postgres_name};
use crate::output::{print, printable};
use crate::url::Url;

/// The option of a command on one or several databases.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Databases {
    /// A database, for example sqlite:shop.db or NAME=postgres://me@localhost/shop; may be given several times
    #[arg(long = "database", value_name = "URL", env = URL_VARIABLE, hide_env_values = true, required = true)]
    urls: Vec<Url>,
}

impl Databases {
    /// Opens them for reading. A server that does not answer is named in the answer.
    ///
    /// # Errors
    /// [`ErrorKind::Schema`] for tables that this program cannot use: what is read from them could mean something else.
    pub(crate) async fn overview(&self) -> Result<Overview, Error> {
        let mut problems = Vec::new();
        let named = told(&self.urls, &mut problems);
        messagekit_config::refuse(&problems)?;
        // At once: a server that does not answer takes its time once, however many there are.
        let open = try_join_all(named.iter().map(Named::open_usable)).await?;
        Ok(Overview::new(open))
    }
}

/// A database and its name.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) url: Url,
}

impl Named {
    /// Derives the name from the database unless one is given.
    pub(crate) fn of(name: Option<String>, url: Url) -> Result<Self, Error> {
        // Parsed even if unused: `Kind` does not check the URL of a server.
        let own = match Kind::of(&url)? {
            Kind::Sqlite(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Kind::Postgres(url) => postgres_name(url)?,
        };
        let usable = |character: char| {
            if character.is_ascii_alphanumeric() || "_-".contains(character) { character } else { '-' }
        };
        let name = name.unwrap_or_else(|| own.to_ascii_lowercase().chars().map(usable).collect());
        Ok(Self { name, url })
    }

    /// Opens the database with its name, unless its tables are of a version that this program cannot use.
    async fn open_usable(&self) -> Result<(String, Arc<dyn Operations>), Error> {
        let store = self.open().await?;
        match store.ping().await {
            Err(error) if error.kind() == ErrorKind::Schema => Err(error.with("name", &self.name)),
            _ => Ok((self.name.clone(), store)),
        }
    }

    /// Opens the database. A server is contacted only when it is used, because it may be unreachable now.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Operations>, Error> {
        self.open_with_topics().await.map(|(store, _)| store)
    }

    /// As [`open`](Self::open), with its topics.
    pub(crate) async fn open_with_topics(
        &self,
    ) -> Result<(Arc<dyn Operations>, Arc<dyn TopicOperations>), Error> {
        match Kind::of(&self.url)? {
            Kind::Sqlite(path) => {
                let store = open_file(path).await?;
                Ok((Arc::new(store.clone()), Arc::new(Topics::of(store))))
            }
            Kind::Postgres(url) => {
                let store = PostgresStore::options().read_timeout(READ_LIMIT).lazy(url)?;
                Ok((Arc::new(store.clone()), Arc::new(Topics::of(store))))
            }
        }
    }
}

/// Prints a line for each database that did not answer.
pub(crate) fn print_unreachable(unreachable: &[Unreachable]) -> Result<(), Error> {
    unreachable.iter().try_for_each(|one| {
        print(format_args!("database {} {}", printable(&one.database), printable(&one.error)))
    })
}

/// Returns the name of the database of a command in its documents.
pub(crate) fn name_of(database: &Database) -> Result<String, Error> {
    Named::of(None, database.url().clone()).map(|named| named.name)
}

/// Reads every `[[database]]`. A faulty one is a problem of the configuration, which omits its URL.
pub(crate) fn written(configuration: &Configuration) -> Vec<Named> {
    let mut read: Vec<Named> = Vec::new();
    for section in configuration.sections("database") {
        let Some(database) = named(&section) else { continue };
        if let Some(problem) = name_problem(&read, &database.name) {
            section.problem("name", problem);
        }
        read.push(database);
    }
    read
}

fn named(section: &Section<'_>) -> Option<Named> {
    let name: Option<String> = section.optional("name");
    let url = section.required_secret("url")?.expose().to_owned();
    Named::of(name, url.into()).map_err(|error| section.problem("url", error)).ok()
}

/// Returns the problem of one more database's name.
pub(crate) fn name_problem(known: &[Named], name: &str) -> Option<String> {
    if !is_database_name(name) {
        return Some(format!("the name of a database is 1 to 63 of a-z, 0-9, _ and -, not {name:?}"));
    }
    let twice = known.iter().any(|known| known.name == name);
    twice.then(|| format!("there are two databases {name}: give each a name of its own"))
}

/// Parses `NAME=URL`, or a URL alone, of each option.
pub(crate) fn told(options: &[Url], problems: &mut Vec<String>) -> Vec<Named> {
    let mut read: Vec<Named> = Vec::new();
    for text in options {
        let named = match text.split_once('=') {
            Some((name, url)) if !name.contains(':') => {
                Named::of(Some(name.to_owned()), url.to_owned().into())
            }
            _ => Named::of(None, text.clone()),
        };
        match named {
            Ok(named) => {
                problems.extend(name_problem(&read, &named.name));
                read.push(named);
            }
            Err(error) => problems.push(chain(&error)),
        }
    }
    read
}
