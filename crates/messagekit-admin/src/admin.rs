//! The HTTP interface for operators of one or several databases.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use messagekit::operations::{Operations, OutboxHealth};
use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_prometheus::Metrics;
use messagekit_topics::operations::TopicOperations;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::app::{App, Shared};
use crate::database::{Database, Databases, is_database_name};
use crate::health::{self, HealthLimits, Outboxes};
use crate::metrics_page::{self, MetricsPage};
use crate::{Service, Tokens, document, protection, replay, serve};

/// The default address of `messagekit admin`: loopback only.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:9464";

/// Serves operators of one or several databases over HTTP.
///
/// Every request needs a token, also on a health path; [`Health`](crate::Health) is open. Cloning is
/// cheap.
///
/// ```
/// use std::sync::{Arc, LazyLock};
///
/// use messagekit_memory::MemoryStore;
/// use messagekit_admin::{Admin, Role, Token, Tokens};
///
/// let token = Token::generate()?;
/// let mut tokens = Tokens::new();
/// tokens.add("mona", Role::Operator, token.hash())?;
/// let admin = Admin::builder().database("shop", Arc::new(MemoryStore::new())).tokens(tokens).build()?;
/// // Into an app of your own, next to its routes:
/// let app: axum::Router = axum::Router::new().nest("/messagekit", admin.router());
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone)]
pub struct Admin {
    app: App,
    tokens: Tokens,
    hosts: Arc<[String]>,
}

impl Admin {
    /// Returns a builder with no database and no token.
    pub fn builder() -> AdminBuilder {
        AdminBuilder::default()
    }

    /// Returns the routes for another application, which nests them under a path of its choice. They contain their
    /// own fallback for unknown paths: do not merge them.
    ///
    /// Run [`run_replays`](Self::run_replays) and [`keep_checkpoints`](Self::keep_checkpoints) beside it. Otherwise
    /// replays wait, and the lag of a captured outbox is an estimate.
    pub fn router(&self) -> Router {
        let (routes, _) = document::routes().split_for_parts();
        let counted = from_fn_with_state(Arc::clone(&self.app.metrics_page), metrics_page::count_request);
        let routes = routes.with_state(self.app.clone()).layer(counted);
        protection::closed(routes, self.tokens.clone(), self.hosts.clone())
    }

    /// Serves the routes, runs replays and records checkpoints until the shutdown.
    ///
    /// # Errors
    /// As [`serve`].
    pub async fn serve(&self, listener: TcpListener, shutdown: Shutdown) -> Result<(), Error> {
        let (served, (), ()) = tokio::join!(
            serve(listener, self.router(), shutdown.clone()),
            self.run_replays(shutdown.clone()),
            self.keep_checkpoints(shutdown),
        );
        served
    }

    /// Runs the ordered replays of all databases concurrently until the shutdown; the next worker continues
    /// unfinished ones.
    ///
    /// Several workers may run: each replay belongs to one of them. Another worker takes over from a crashed one
    /// after 10 seconds.
    pub async fn run_replays(&self, shutdown: Shutdown) {
        let workers = self
            .app
            .databases
            .0
            .iter()
            .map(|database| replay::run(&database.name, &*database.store, &self.app.ordered, &shutdown));
        futures_util::future::join_all(workers).await;
    }

    /// Records a checkpoint of each database's log position every 10 seconds, until the shutdown.
    pub async fn keep_checkpoints(&self, shutdown: Shutdown) {
        health::keep_checkpoints(&self.app.outboxes, shutdown).await;
    }

    /// Measures the databases every `interval`, at most every 5 seconds, until the shutdown: for a registry that is exported. A
    /// request to `/metrics` measures them itself.
    pub async fn measure_every(&self, interval: Duration, shutdown: Shutdown) {
        let measured = async {
            loop {
                self.app.metrics_page.count(&self.app.databases).await;
                tokio::time::sleep(interval).await;
            }
        };
        tokio::select! {
            biased;
            () = shutdown => {}
            () = measured => {}
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("databases", &self.app.databases).finish_non_exhaustive()
    }
}

/// Builds an [`Admin`].
#[derive(Default)]
#[must_use]
pub struct AdminBuilder {
    databases: Vec<(String, Arc<dyn Operations>)>,
    topics: Vec<(String, Arc<dyn TopicOperations>)>,
    services: Vec<Service>,
    tokens: Tokens,
    registry: Registry,
    metrics: Option<Metrics>,
    hosts: Vec<String>,
    limits: HealthLimits,
}

impl AdminBuilder {
    /// Adds a database under a unique name: 1 to 63 of `a-z 0-9 _ -`.
    pub fn database(mut self, name: impl Into<String>, store: Arc<dyn Operations>) -> Self {
        self.databases.push((name.into(), store));
        self
    }

    /// Serves the topics of a database that was added under this name, to services and administrators: `Topics::of(store)` of the store.
    pub fn topics(mut self, database: impl Into<String>, topics: Arc<dyn TopicOperations>) -> Self {
        self.topics.push((database.into(), topics));
        self
    }

    /// Adds a running service, whose health the status shows.
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// Sets the accepted tokens; `build` fails without one.
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = tokens;
        self
    }

    /// Sets the registry that `/metrics` shows, and registers the metrics of messagekit in it.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self.metrics = None;
        self
    }

    /// Sets the registry that `/metrics` shows, with metrics that are registered in it already.
    pub fn metrics(mut self, registry: Registry, metrics: Metrics) -> Self {
        self.registry = registry;
        self.metrics = Some(metrics);
        self
    }

    /// Sets how much may wait before `/health/outbox` is degraded.
    pub fn limits(mut self, limits: HealthLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Accepts only requests that name one of these hosts, without a port; without any host, accepts every name.
    pub fn hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.hosts.extend(hosts.into_iter().map(Into::into));
        self
    }

    /// Checks everything and builds the admin.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] with all problems: no token, no database, an invalid or repeated name, a
    /// registry that contains the metrics already.
    pub fn build(self) -> Result<Admin, Error> {
        let mut problems = Vec::new();
        if self.tokens.is_empty() {
            problems.push(
                "there is no token: nobody could come in; `messagekit admin token` makes one".to_owned(),
            );
        }
        if self.databases.is_empty() {
            problems.push("there is no database".to_owned());
        }
        for (index, (name, _)) in self.databases.iter().enumerate() {
            if !is_database_name(name) {
                problems.push(format!(
                    "database {} has a name that is not 1 to 63 of a-z, 0-9, _ and -",
                    index + 1
                ));
            } else if self.databases[..index].iter().any(|(earlier, _)| earlier == name) {
                problems.push(format!("there are two databases {name}"));
            }
        }
        for (name, _) in &self.topics {
            if !self.databases.iter().any(|(known, _)| known == name) {
                problems.push(format!("there are topics of a database {name}, and no such database"));
            }
        }
        let metrics = match self.metrics {
            Some(metrics) => Ok(metrics),
            None => Metrics::new(&self.registry),
        };
        let metrics = match metrics {
            Ok(metrics) if problems.is_empty() => metrics,
            other => {
                problems.extend(other.err().map(|error| error.to_string()));
                return Err(Error::new(
                    ErrorKind::InvalidConfiguration,
                    format!("admin: {}", problems.join("; ")),
                ));
            }
        };
        let topics: BTreeMap<String, Arc<dyn TopicOperations>> = self.topics.into_iter().collect();
        let database = |(name, store): (String, Arc<dyn Operations>)| {
            let topics = topics.get(&name).cloned();
            Database::new(name.into(), store, topics)
        };
        let databases: Vec<Database> = self.databases.into_iter().map(database).collect();
        let outboxes = databases.iter().map(|database| {
            let store: Arc<dyn OutboxHealth> = database.store.clone();
            (database.name.clone(), store)
        });
        let shared = Shared {
            outboxes: Outboxes(outboxes.collect()),
            limits: self.limits,
            databases: Databases(databases.into()),
            services: self.services.into(),
            metrics_page: Arc::new(MetricsPage::new(self.registry, metrics)),
            ordered: Notify::new(),
            group_names: crate::topics::GroupNames::default(),
        };
        Ok(Admin { app: App(Arc::new(shared)), tokens: self.tokens, hosts: self.hosts.into() })
    }
}

impl fmt::Debug for AdminBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.databases.iter().map(|(name, _)| name).collect();
        f.debug_struct("AdminBuilder").field("databases", &names).finish_non_exhaustive()
    }
}
