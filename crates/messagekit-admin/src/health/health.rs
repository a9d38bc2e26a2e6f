//! The health paths of a service.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use messagekit::operations::OutboxHealth;
use messagekit::{Stats, relay};

use super::dependencies::{Dependencies, Look, Named, Outboxes};
use super::limits::HealthLimits;
use super::{checkpoints, routes};
use crate::protection;

/// What the health of a service depends on, and the router of its health paths: `/health/live`, `/health/ready`,
/// `/health/outbox` and `/health`, open to every caller.
///
/// They expose names, counts, ages and the texts of faults, and nothing else; keep them from strangers. `/health/ready` is 503 while
/// a part does not work:
///
/// | part | is unhealthy while | is degraded, still 200, while |
/// |---|---|---|
/// | [store](Self::store) | it does not answer within 5 seconds | |
/// | [consumer](Self::consumer) | its source is unreachable, or after its run has ended | its dedup window is too short, or it is [too far](HealthLimits::consumer_lag) behind |
/// | [relay](Self::relay) | its database does not answer, or after its run has ended | the broker does not accept a topic |
/// | [connection](Self::connection) | it names a fault | |
///
/// A closed gate and a blocked partition are named and change nothing: a restart of the process would open no gate and repair no
/// message.
///
/// ```
/// use messagekit::{Consumer, Message};
/// use messagekit_admin::Health;
/// use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
///
/// let (log, store) = (MemoryLog::new(1), MemoryStore::new());
/// let billing = Consumer::builder("billing", store.clone())
///     .from(log.topics(["orders.order"]))
///     .on_message("orders.order.placed", async |_: &mut MemoryTx, _: Message| Ok(()))
///     .build()?;
/// let health = Health::new()
///     .store("shop", store)
///     .consumer("billing", billing.stats())
///     .connection("rates", || Some("no rates since 12:00".to_owned()));
/// let app: axum::Router = axum::Router::new().merge(health.router());
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Default)]
#[must_use = "call router() and serve it"]
pub struct Health {
    outboxes: Vec<Named>,
    connections: Vec<(String, Look)>,
    consumers: Vec<(String, Stats)>,
    relays: Vec<(String, relay::Stats)>,
    limits: HealthLimits,
}

impl Health {
    /// Creates the health of a service that depends on nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a database. `/health/ready` calls it, and `/health/outbox` measures its pending events.
    pub fn store(mut self, name: impl Into<String>, store: impl OutboxHealth + 'static) -> Self {
        self.outboxes.push((Arc::from(name.into()), Arc::new(store)));
        self
    }

    /// Adds a consumer of this process, by its [`stats`](messagekit::Consumer::stats).
    pub fn consumer(mut self, name: impl Into<String>, stats: Stats) -> Self {
        self.consumers.push((name.into(), stats));
        self
    }

    /// Adds a relay of this process, by its [`stats`](relay::Relay::stats).
    pub fn relay(mut self, name: impl Into<String>, stats: relay::Stats) -> Self {
        self.relays.push((name.into(), stats));
        self
    }

    /// Sets how much may wait before a part is degraded.
    pub fn limits(mut self, limits: HealthLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds another dependency. Each request for `/health/ready` calls `fault`, which returns its fault, or `None` without one, and
    /// does not block. Every caller sees the text: leave passwords and payloads out.
    pub fn connection(
        mut self,
        name: impl Into<String>,
        fault: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.connections.push((name.into(), Box::new(fault)));
        self
    }

    /// Returns the health paths. Inside a tokio runtime, a task records checkpoints of the databases until the router is dropped.
    /// They make the lag of a captured outbox accurate.
    pub fn router(self) -> Router {
        let state = Dependencies {
            outboxes: Outboxes(self.outboxes.into()),
            connections: self.connections.into(),
            consumers: self.consumers.into(),
            relays: self.relays.into(),
            limits: self.limits,
        };
        checkpoints::keep_while_used(&state.outboxes);
        let (routes, _) = routes::<Dependencies>().split_for_parts();
        protection::around(routes.with_state(state))
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("stores", &names(&self.outboxes))
            .field("consumers", &names(&self.consumers))
            .field("relays", &names(&self.relays))
            .field("connections", &names(&self.connections))
            .field("limits", &self.limits)
            .finish()
    }
}

fn names<N: AsRef<str>, T>(parts: &[(N, T)]) -> Vec<&str> {
    parts.iter().map(|(name, _)| name.as_ref()).collect()
}
