//! The settings of `messagekit admin`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use messagekit::{Error, ErrorKind, chain};
use messagekit_admin::{DEFAULT_ADDRESS, HealthLimits, Role, Service, TokenHash, Tokens};
use messagekit_config::{Configuration, Section};

use crate::database::URL_VARIABLE;
use crate::databases::{self, Named, told};
use crate::url::Url;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The configuration, a TOML file; options override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen on this address [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Serve /health/… without a token on this address [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    health: Option<SocketAddr>,
    /// A database and its name here, for example shop=postgres://me@localhost/shop; may be given several times
    #[arg(long = "database", value_name = "NAME=URL")]
    databases: Vec<Url>,
    /// A file with the accepted tokens, one line each, as `messagekit admin token` prints it
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
}

/// The checked settings.
pub(super) struct Settings {
    pub(super) listen: SocketAddr,
    pub(super) health: Option<SocketAddr>,
    pub(super) hosts: Vec<String>,
    pub(super) limits: HealthLimits,
    pub(super) databases: Vec<Named>,
    pub(super) services: Vec<Service>,
    pub(super) tokens: Tokens,
}

impl Options {
    /// Reads the configuration under the options; reports at once everything that would fail a start.
    pub(super) fn settings(self) -> Result<Settings, Error> {
        let configuration = Configuration::load(self.config.as_deref())?;
        configuration.reads_only(&["admin", "token", "service", "database"]);
        let admin = configuration.section("admin");
        let usual = DEFAULT_ADDRESS.parse().expect("it is an address");
        let (listen, health) = (admin.or("listen", usual), admin.optional("health"));
        let (hosts, limits) = (admin.or("hosts", Vec::new()), limits(&admin));
        let databases = databases::written(&configuration);
        let written = tokens(&configuration.sections("token"));
        let services = services(&configuration.sections("service"));
        let file = admin.path("tokens_file");
        if file.is_some() && !written.is_empty() {
            admin.problem("tokens_file", "is written beside [[token]]: write one of them");
        }
        let (any_database, any_token) = (configuration.sections("database"), configuration.sections("token"));
        let mut problems = configuration.problems();

        let variable = std::env::var(URL_VARIABLE).ok().filter(|_| any_database.is_empty());
        let databases = match (&self.databases[..], &variable) {
            ([], None) => databases,
            ([], Some(url)) => told(&[url.clone().into()], &mut problems),
            (options, _) => told(options, &mut problems),
        };
        let mut tokens_told = !any_token.is_empty();
        let tokens = match self.tokens.or(file).map(|file| read(&file)) {
            Some(Ok(tokens)) => tokens,
            Some(Err(error)) => {
                problems.push(chain(&error));
                tokens_told = true;
                Tokens::new()
            }
            None => written,
        };
        let (listen, health) = (self.listen.unwrap_or(listen), self.health.or(health));
        if health == Some(listen) && listen.port() != 0 {
            problems.push(format!("listen and health are both {listen}: give health a port of its own"));
        }
        // Invalid entries are reported already.
        if databases.is_empty() && self.databases.is_empty() && any_database.is_empty() && variable.is_none()
        {
            problems.push(
                "no database: write --database NAME=URL, or [[database]] with name and url into --config"
                    .to_owned(),
            );
        }
        if tokens.is_empty() && !tokens_told {
            problems.push(
                "no token: make one with `messagekit admin token`, and write its line into the file of --tokens".to_owned(),
            );
        }
        problems.extend(crate::log::problem().map(|error| chain(&error)));
        messagekit_config::refuse(&problems)?;
        Ok(Settings { listen, health, hosts, limits, databases, services, tokens })
    }
}

/// Reads how much may wait.
fn limits(admin: &Section<'_>) -> HealthLimits {
    let (mut limits, oldest): (_, Option<Duration>) = (HealthLimits::new(), admin.optional("oldest_event"));
    if let Some(age) = oldest {
        limits = limits.oldest_event(age);
    }
    match admin.optional("overdue_events") {
        Some(events) => limits.overdue_events(events),
        None => limits,
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

/// Reads every `[[service]]`.
fn services(sections: &[Section<'_>]) -> Vec<Service> {
    let mut services = Vec::new();
    for section in sections {
        let (name, url): (Option<String>, Option<String>) =
            (section.required("name"), section.required("url"));
        if let (Some(name), Some(url)) = (name, url) {
            match Service::new(name, &url) {
                Ok(service) => services.push(service),
                Err(error) => section.problem("url", error),
            }
        }
    }
    services
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
