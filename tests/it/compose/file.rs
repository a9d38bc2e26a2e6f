//! The compose file as types: the keys of the Compose specification that ours uses, and no other.

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
    /// The folder of the Dockerfile, for images that are ours.
    pub(crate) build: Option<String>,
    pub(crate) hostname: Option<String>,
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

/// What another container must have done first.
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

/// How the engine finds out that a container answers.
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
    /// Reads a compose file whose variables are filled in; the error says where it departs from these types.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        // Quotes around numbers in text: without them other programs read 1000 and "1000" as two things.
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

    /// Everything that is started before a service, and before what that needs.
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
    /// Whether it ends by itself: nothing starts it again.
    pub(crate) fn is_one_shot(&self) -> bool {
        self.restart.is_none()
    }

    /// Whether it changes the schema of its database, or adds the slot to it.
    pub(crate) fn migrates(&self) -> bool {
        self.command.iter().any(|word| word == "migrate")
    }

    /// The databases it is given; `None` for a URL that cannot be taken apart.
    pub(crate) fn databases(&self) -> Vec<Option<Access<'_>>> {
        let named = |key: &str| key.starts_with("MESSAGEKIT_DATABASE_") && key.ends_with("_URL");
        let urls = self.environment.iter().filter(|(key, _)| named(key));
        urls.map(|(_, url)| Access::of(url)).collect()
    }

    /// Whether a database stands among those it is given.
    pub(crate) fn uses(&self, database: &str) -> bool {
        self.databases().into_iter().flatten().any(|access| access.database == database)
    }

    /// Whether it shows the databases of others, which nothing else may.
    pub(crate) fn is_admin(&self) -> bool {
        self.command.iter().take(2).eq(["messagekit", "admin"])
    }

    /// The path of its configuration in the container.
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

/// A database URL, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access<'a> {
    pub(crate) role: &'a str,
    pub(crate) password: &'a str,
    pub(crate) server: &'a str,
    pub(crate) database: &'a str,
}

/// Fills in `${NAME:-default}` and `$$` as compose does. Another form is an error: one without a default would need a
/// setting before anything runs.
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
            .filter(|(_, default, _)| !default.is_empty())
            .ok_or_else(|| {
                format!("not of the form ${{NAME:-default}}: {:?}", after.lines().next().unwrap_or(""))
            })?;
        filled.push_str(&value(name, default));
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
