//! The compose file as types: the keys of the Compose specification that this project uses, and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) volumes: BTreeMap<String, Option<Volume>>,
}

/// A named volume, which needs no settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Volume {}

/// One container.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) image: String,
    /// The folder of the Dockerfile, for images of this project.
    pub(crate) build: Option<String>,
    pub(crate) hostname: Option<String>,
    /// It starts only with one of these; without any it always does.
    #[serde(default)]
    pub(crate) profiles: Vec<String>,
    #[serde(default)]
    pub(crate) command: Vec<String>,
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) volumes: Vec<String>,
    #[serde(default)]
    pub(crate) ports: Vec<String>,
    #[serde(default)]
    pub(crate) depends_on: BTreeMap<String, Dependency>,
    pub(crate) healthcheck: Option<Healthcheck>,
    pub(crate) restart: Option<Restart>,
}

/// The condition that another container must reach first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dependency {
    pub(crate) condition: Condition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "so the specification calls them")]
pub(crate) enum Condition {
    ServiceHealthy,
    ServiceStarted,
    ServiceCompletedSuccessfully,
}

/// The probe of the engine for a container.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Healthcheck {
    pub(crate) test: Vec<String>,
    pub(crate) interval: String,
    pub(crate) timeout: String,
    pub(crate) retries: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Restart {
    OnFailure,
    UnlessStopped,
}

impl File {
    /// Reads a compose file whose variables are filled in. The error names the first place that does not fit these types.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        // Requires quotes around numbers in text: without them other programs read 1000 and "1000" as two values.
        let options = serde_saphyr::options! { no_schema: true };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
    }

    /// The services that run programs of this workspace.
    pub(crate) fn ours(&self) -> impl Iterator<Item = (&str, &Service)> {
        self.services
            .iter()
            .filter(|(_, service)| service.build.is_some())
            .map(|(name, service)| (name.as_str(), service))
    }

    /// Returns every service that starts before a service, and before its dependencies.
    pub(crate) fn before<'a>(&'a self, name: &'a str) -> BTreeSet<&'a str> {
        let mut before = BTreeSet::new();
        let mut open = vec![name];
        while let Some(service) = open.pop().and_then(|name| self.services.get(name)) {
            open.extend(
                service.depends_on.keys().map(String::as_str).filter(|needed| before.insert(*needed)),
            );
        }
        before
    }
}

impl Service {
    /// Returns whether it exits by itself and is not restarted.
    pub(crate) fn is_one_shot(&self) -> bool {
        self.restart.is_none()
    }

    /// Returns whether it changes the schema of its database, or adds the slot to it.
    pub(crate) fn migrates(&self) -> bool {
        self.command.iter().any(|word| word == "migrate")
    }

    /// Returns the databases of its settings, with `None` for a URL that cannot be parsed.
    pub(crate) fn databases(&self) -> Vec<Option<Access<'_>>> {
        let named = |key: &str| key.starts_with("MESSAGEKIT_DATABASE_") && key.ends_with("_URL");
        let urls = self.environment.iter().filter(|(key, _)| named(key));
        urls.map(|(_, url)| Access::of(url)).collect()
    }

    /// Returns whether its settings contain a database.
    pub(crate) fn uses(&self, database: &str) -> bool {
        self.databases().into_iter().flatten().any(|access| access.database == database)
    }

    /// Returns whether it is the admin, the only service that uses databases of other services.
    pub(crate) fn is_admin(&self) -> bool {
        self.command.iter().take(2).eq(["messagekit", "admin"])
    }

    /// Returns the path of its configuration in the container.
    pub(crate) fn configuration(&self) -> Option<&str> {
        let mut words = self.command.iter();
        words.find(|word| *word == "--config").and_then(|_| words.next()).map(String::as_str)
    }
}

impl<'a> Access<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let url = url.strip_prefix("postgres://")?;
        let (credentials, server) = url.rsplit_once('@')?;
        let (role, password) = credentials.split_once(':')?;
        let (server, database) = server.split_once('/')?;
        Some(Self { role, password, server, database })
    }
}

/// A parsed database URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access<'a> {
    pub(crate) role: &'a str,
    pub(crate) password: &'a str,
    pub(crate) server: &'a str,
    pub(crate) database: &'a str,
}

/// Fills in `${NAME:-default}` and `$$` as compose does. Any other form is an error: a variable without a default would need a
/// setting before any service runs. Only those of OpenTelemetry may be empty, and then have no effect.
pub(crate) fn interpolate(text: &str, value: impl Fn(&str, &str) -> String) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            rest = after;
            continue;
        }
        let variable = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let (name, default, after) = variable
            .and_then(|(inside, after)| inside.split_once(":-").map(|(name, default)| (name, default, after)))
            .filter(|(name, default, _)| !default.is_empty() || name.starts_with("OTEL_"))
            .ok_or_else(|| {
                format!("not of the form ${{NAME:-default}}: {:?}", after.lines().next().unwrap_or(""))
            })?;
        filled.push_str(&value(name, default));
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
