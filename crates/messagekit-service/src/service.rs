//! A service and its parts.

use std::error::Error as StdError;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use axum::Router;
use messagekit::adapter::{Inbox, Source};
use messagekit::operations::OutboxHealth;
use messagekit::relay::Relay;
use messagekit::{Consumer, Error, Runner, Shutdown};
use messagekit_admin::{Health, metrics_router};
use messagekit_config::{Configuration, Section};
use messagekit_prometheus::Metrics;
use prometheus::Registry;
use tokio::net::TcpListener;

use crate::listen::Listen;

type AddPart = Box<dyn FnOnce(Runner) -> Runner + Send>;

/// A process of consumers, relays and routes, with its health, metrics and stop. [`main`](crate::main) makes one for a program.
///
/// Parts stop in the reverse order in which they were added. The port stops last, so that health and metrics answer while the others
/// end what they have begun. When a part fails, all stop and its error is returned: a supervisor starts the process anew.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use messagekit::{Consumer, Message, Shutdown};
/// use messagekit_config::Configuration;
/// use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
/// use messagekit_service::Service;
///
/// let (log, store) = (MemoryLog::new(1), MemoryStore::new());
/// let orders = Consumer::builder("billing", store.clone())
///     .from(log.topics(["orders.order"]))
///     .on_message("orders.order.placed", async |_: &mut MemoryTx, _: Message| Ok(()))
///     .build()?;
/// let settings = Configuration::read(("billing.toml", "[billing]\nlisten = '127.0.0.1:0'\n"), [("", "")])?;
/// let shutdown = Shutdown::new();
/// # shutdown.request();
/// Service::new("billing", settings)?.store("billing", store).consumer(orders).run_until(shutdown).await
/// # }).unwrap();
/// # Ok::<(), messagekit::Error>(())
/// ```
#[must_use = "nothing runs before run()"]
pub struct Service {
    name: Arc<str>,
    /// Requested by a signal that came before the run.
    shutdown: Option<Shutdown>,
    settings: Configuration,
    listen: Listen,
    registry: Registry,
    metrics: Metrics,
    health: Health,
    routes: Router,
    parts: Vec<AddPart>,
}

impl Service {
    /// Creates a service without parts, from settings that [`main`](crate::main) reads for a program.
    ///
    /// The name is the name of its section in the settings, where `_` stands for `-`: `[order_service]` and
    /// `MESSAGEKIT_ORDER_SERVICE__LISTEN` for `order-service`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) if no variable could name such a section, or if
    /// it is one of messagekit's own.
    pub fn new(name: &str, settings: Configuration) -> Result<Self, Error> {
        let listen = Listen::of(&settings.service(name)?);
        let registry = Registry::new();
        Ok(Self {
            name: name.into(),
            shutdown: None,
            listen,
            metrics: Metrics::new(&registry)?,
            settings,
            registry,
            health: Health::new(),
            routes: Router::new(),
            parts: Vec::new(),
        })
    }

    pub(crate) fn stopped_by(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = Some(shutdown);
        self
    }

    /// Returns the settings: read what the service needs, then call [`complete`](Configuration::complete), which reports every
    /// mistake at once.
    pub fn settings(&self) -> &Configuration {
        &self.settings
    }

    /// Returns the section of the service, for settings of its own. Read them before [`complete`](Configuration::complete), which refuses
    /// what nothing has read.
    pub fn section(&self) -> Section<'_> {
        self.settings.service(&self.name).expect("`new` has read it")
    }

    /// Returns the registry behind `/metrics`, for metrics of the service's own.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds a database to health: `/health/ready` calls it, and `/health/outbox` measures its pending events.
    pub fn store(mut self, name: impl Into<String>, store: impl OutboxHealth + 'static) -> Self {
        self.health = self.health.store(name, store);
        self
    }

    /// Runs a consumer, with health and metrics under its name.
    pub fn consumer<S: Inbox, Src: Source>(mut self, consumer: Consumer<S, Src>) -> Self {
        let name = consumer.name().clone();
        self.metrics.consumer(&name, consumer.stats());
        self.health = self.health.consumer(&*name, consumer.stats());
        self.part(name, |shutdown| consumer.run(shutdown))
    }

    /// Runs a relay, with health and metrics under its name.
    pub fn relay(mut self, relay: Relay) -> Self {
        let name = relay.name().clone();
        self.metrics.relay(&name, relay.stats());
        self.health = self.health.relay(&*name, relay.stats());
        self.part(name, |shutdown| relay.run(shutdown))
    }

    /// Runs something else beside them, as [`Runner::part`] does.
    pub fn part<Run, E>(
        mut self,
        name: impl Into<Arc<str>>,
        start: impl FnOnce(Shutdown) -> Run + Send + 'static,
    ) -> Self
    where
        Run: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let name = name.into();
        self.parts.push(Box::new(move |runner| runner.part(name, start)));
        self
    }

    /// Adds routes of the service to its port, open to every caller who reaches it. `/metrics` and the paths of
    /// [health](Health) are taken.
    ///
    /// The port stops last. An event that a request writes while a relay has stopped already is published after the next start.
    ///
    /// # Panics
    /// Panics if another route has the same path.
    pub fn routes(mut self, routes: Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Changes health: other dependencies ([`Health::connection`]), and how much may wait ([`Health::limits`]).
    pub fn health(mut self, change: impl FnOnce(Health) -> Health) -> Self {
        self.health = change(self.health);
        self
    }

    /// Runs until Ctrl-C, SIGTERM or the failure of a part, and stops. A second signal ends the process at once.
    ///
    /// # Errors
    /// As [`run_until`](Self::run_until).
    ///
    /// # Panics
    /// As [`serve`](Self::serve).
    pub async fn run(mut self) -> Result<(), Error> {
        let shutdown = self.shutdown.take().map_or_else(Shutdown::on_signal, Ok)?;
        self.run_until(shutdown).await
    }

    /// Prints the address to standard output, and runs until the shutdown or the failure of a part.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for the settings, with every mistake;
    /// [`ErrorKind::Unavailable`](messagekit::ErrorKind::Unavailable) if the address is in use; else the first error of a part.
    ///
    /// # Panics
    /// As [`serve`](Self::serve).
    ///
    /// # Cancel safety
    /// Dropping the future aborts all parts, like a drop of each.
    pub async fn run_until(self, shutdown: Shutdown) -> Result<(), Error> {
        self.settings.finish()?;
        let (listener, actual) = self.listen.open().await?;
        // A closed output is no reason to stop: the reader may have ended.
        writeln!(std::io::stdout(), "listening on http://{actual}").ok();
        self.serve(listener, shutdown).await
    }

    /// As [`run_until`](Self::run_until), on a port that the caller has opened; it prints nothing and reads no setting.
    ///
    /// # Errors
    /// The first error of a part.
    ///
    /// # Panics
    /// Panics outside a tokio runtime, and if one of the [routes](Self::routes) has the path of health or metrics.
    ///
    /// # Cancel safety
    /// As [`run_until`](Self::run_until).
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> Result<(), Error> {
        let router = self.routes.merge(self.health.router()).merge(metrics_router(self.registry));
        let port = Runner::new().part("http", |shutdown| messagekit_admin::serve(listener, router, shutdown));
        self.parts.into_iter().fold(port, |runner, add| add(runner)).run(shutdown).await
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("health", &self.health)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}
