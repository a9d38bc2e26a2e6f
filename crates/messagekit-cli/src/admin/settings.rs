//! What `messagekit admin` is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use messagekit::config::{Configuration, Section};
use messagekit::{Error, ErrorKind, Operations};
use messagekit_admin::{DEFAULT_ADDRESS, Role, TokenHash, Tokens};
use messagekit_postgres::PostgresStore;

use crate::database::{Kind, URL_VARIABLE, open_file, postgres_name};

/// Sections of the programs that may share the file.
const ELSEWHERE: [&str; 7] = ["bridge", "rule", "kafka", "rabbitmq", "bookkeeper", "relay", "log"];

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The configuration, a TOML file; options win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; 127.0.0.1:9464 without
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where to answer /health/… without a token; nowhere without
    #[arg(long, value_name = "ADDRESS")]
    health: Option<SocketAddr>,
    /// A database and the name it gets here, for example shop=postgres://me@localhost/shop; may be given several times
    // Nothing is refused here: what is refused would be repeated, and it may hold a password.
    #[arg(long = "database", value_name = "NAME=URL", value_parser = |text: &str| Ok::<_, Infallible>(Told(text.to_owned())))]
    databases: Vec<Told>,
    /// A file with the tokens that are let in, a line each, as `messagekit admin token` prints it
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
}

/// What stands behind an option and may hold a password.
#[derive(Clone)]
struct Told(String);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

/// A database by the name that people see. The URL may hold a password.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) name: String,
    url: String,
}

/// What was told, read and checked.
pub(super) struct Settings {
    pub(super) listen: SocketAddr,
    pub(super) health: Option<SocketAddr>,
    pub(super) hosts: Vec<String>,
    pub(super) databases: Vec<Named>,
    pub(super) tokens: Tokens,
}

impl Options {
    /// Reads the configuration under the options.
    pub(super) fn settings(self) -> Result<Settings, Error> {
        let configuration = Configuration::load(self.config.as_deref())?;
        configuration.passes_over(&ELSEWHERE);
        let admin = configuration.section("admin");
        let usual = DEFAULT_ADDRESS.parse().expect("it is an address");
        let listen = admin.or("listen", usual);
        let health = admin.optional("health");
        let hosts = admin.or("hosts", Vec::new());
        let databases: Vec<Named> = configuration.sections("database").iter().filter_map(written).collect();
        let written = tokens(&configuration.sections("token"));
        let file = admin.path("tokens_file");
        if file.is_some() && !written.is_empty() {
            admin.problem("tokens_file", "is written beside [[token]]: write one of them");
        }
        configuration.finish()?;

        let told = self.databases.iter().map(|told| database(&told.0)).collect::<Result<Vec<_>, _>>()?;
        let databases = match (told, databases, std::env::var(URL_VARIABLE)) {
            (told, ..) if !told.is_empty() => told,
            (_, written, Err(_)) => written,
            (_, written, _) if !written.is_empty() => written,
            (.., Ok(url)) => vec![Named::of(url)?],
        };
        let tokens = match self.tokens.or(file) {
            Some(file) => read(&file)?,
            None => written,
        };
        let mut problems = Vec::new();
        if databases.is_empty() {
            problems.push(
                "no database: write --database NAME=URL, or [[database]] with name and url into --config",
            );
        }
        if tokens.is_empty() {
            problems.push("no token: make one with `messagekit admin token`, and write its line into the file of --tokens");
        }
        if !problems.is_empty() {
            return Err(Error::new(ErrorKind::InvalidConfiguration, problems.join("; ")));
        }
        let (listen, health) = (self.listen.unwrap_or(listen), self.health.or(health));
        Ok(Settings { listen, health, hosts, databases, tokens })
    }
}

impl Named {
    /// Names a database after itself.
    fn of(url: String) -> Result<Self, Error> {
        let name = match Kind::of(&url)? {
            Kind::Sqlite(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Kind::Postgres(url) => postgres_name(url)?,
        };
        let usable =
            |letter: char| if letter.is_ascii_alphanumeric() || "_-".contains(letter) { letter } else { '-' };
        Ok(Self { name: name.to_ascii_lowercase().chars().map(usable).collect(), url })
    }

    /// Opens the database. A server may be away: it is asked when somebody asks for it.
    pub(super) async fn open(&self) -> Result<Arc<dyn Operations>, Error> {
        match Kind::of(&self.url)? {
            Kind::Sqlite(path) => Ok(Arc::new(open_file(path).await?)),
            Kind::Postgres(url) => Ok(Arc::new(PostgresStore::lazy(url)?)),
        }
    }
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Named").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads `NAME=URL`, or a URL alone.
fn database(text: &str) -> Result<Named, Error> {
    match text.split_once('=') {
        Some((name, url)) if !name.contains(':') => {
            Kind::of(url)?;
            Ok(Named { name: name.to_owned(), url: url.to_owned() })
        }
        _ => Named::of(text.to_owned()),
    }
}

/// Reads a `[[database]]`.
fn written(section: &Section<'_>) -> Option<Named> {
    let name: Option<String> = section.optional("name");
    let url = section.required_secret("url")?;
    match Named::of(url.expose().to_owned()) {
        Ok(database) => Some(Named { name: name.unwrap_or(database.name), ..database }),
        Err(error) => {
            section.problem("url", error);
            None
        }
    }
}

/// Reads every `[[token]]`.
fn tokens(sections: &[Section<'_>]) -> Tokens {
    let mut tokens = Tokens::new();
    for section in sections {
        let name: Option<String> = section.required("name");
        let role = parsed::<Role>(section, "role");
        let hash = parsed::<TokenHash>(section, "hash");
        if let (Some(name), Some(role), Some(hash)) = (name, role, hash)
            && let Err(error) = tokens.add(&name, role, hash)
        {
            section.problem("name", error);
        }
    }
    tokens
}

fn parsed<T: FromStr<Err = Error>>(section: &Section<'_>, key: &str) -> Option<T> {
    let text: String = section.required(key)?;
    text.parse().map_err(|error| section.problem(key, error)).ok()
}

fn read(file: &Path) -> Result<Tokens, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::new(ErrorKind::InvalidConfiguration, "the tokens cannot be read")
            .with("file", file.display())
            .caused_by(error)
    })?;
    Tokens::parse(&text).map_err(|error| error.with("file", file.display()))
}
