//! Health of the databases and of the publishing of events.

mod checkpoints;
mod dependencies;
mod measure;
mod outbox;
mod ready;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use messagekit::Stats;
use messagekit::operations::OutboxHealth;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::protection;

pub(crate) use checkpoints::keep_checkpoints;
pub(crate) use dependencies::{Connections, Consumers, Outboxes};
pub(crate) use measure::log_unread;
pub(crate) use ready::{ConsumerReady, HeldBack, Status};

pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Outboxes: FromRef<S>,
    Connections: FromRef<S>,
    Consumers: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(ready::live))
        .routes(routes!(ready::ready))
        .routes(routes!(outbox::outbox))
        .routes(routes!(ready::seed))
}

/// Returns only the health paths, open to every caller, for any service: `/health/live`, `/health/ready`,
/// `/health/outbox` and `/health`.
///
/// They expose names of databases, counts and ages, and nothing else; keep them from strangers. Inside a tokio
/// runtime, a task records checkpoints of these databases until the router is dropped. They make the lag of a
/// captured outbox accurate.
///
/// ```
/// use std::sync::Arc;
///
/// use messagekit::operations::OutboxHealth;
/// use messagekit_memory::MemoryStore;
///
/// let shop: Arc<dyn OutboxHealth> = Arc::new(MemoryStore::new());
/// let app: axum::Router = axum::Router::new().merge(messagekit_admin::health_router([("shop", shop)]));
/// ```
pub fn health_router<N: Into<String>>(
    databases: impl IntoIterator<Item = (N, Arc<dyn OutboxHealth>)>,
) -> Router {
    health_router_with(databases, [], [])
}

/// Returns the [`health_router`] of a service that depends on more than databases, or consumes.
///
/// Each request for `/health/ready` calls every one of `connections`, which returns its fault as text, or `None`
/// without a fault. Every caller sees the text: leave passwords and payloads out.
///
/// Each request also reads the state of `consumers`. The response is 503 with the reason in three cases: the source
/// is unreachable, messages older than the dedup window may be delivered, or the run has ended. The response names a
/// closed gate with the seconds since it closed, and counts lanes that a message blocks. Neither changes the status:
/// a restart of the process would open no gate and repair no message.
///
/// ```
/// use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
/// use messagekit::{Consumer, Message};
/// use std::time::Duration;
///
/// let (log, store) = (MemoryLog::new(1), MemoryStore::new());
/// let billing = Consumer::builder("billing", store)
///     .from(log.topics(["orders.order"]))
///     .on_message("orders.order.placed", async |_: &mut MemoryTx, _: Message| Ok(()))
///     .dedup_window(Duration::from_secs(30 * 24 * 3_600))
///     .build()?;
/// let rates: Box<dyn Fn() -> Option<String> + Send + Sync> = Box::new(|| None);
/// let app = messagekit_admin::health_router_with::<String>(
///     [],
///     [("rates".to_owned(), rates)],
///     [("billing".to_owned(), billing.stats())],
/// );
/// # let _: axum::Router = app;
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn health_router_with<N: Into<String>>(
    databases: impl IntoIterator<Item = (N, Arc<dyn OutboxHealth>)>,
    connections: impl IntoIterator<Item = (String, Box<dyn Fn() -> Option<String> + Send + Sync>)>,
    consumers: impl IntoIterator<Item = (String, Stats)>,
) -> Router {
    let databases = databases.into_iter().map(|(name, store)| (Arc::from(name.into()), store));
    let state = Alone {
        outboxes: Outboxes(databases.collect()),
        connections: Connections(connections.into_iter().collect()),
        consumers: Consumers(consumers.into_iter().collect()),
    };
    checkpoints::keep_while_used(&state.outboxes);
    let (routes, _) = routes::<Alone>().split_for_parts();
    protection::around(routes.with_state(state))
}

/// The state of the health paths without an admin.
#[derive(Clone)]
struct Alone {
    outboxes: Outboxes,
    connections: Connections,
    consumers: Consumers,
}

impl FromRef<Alone> for Outboxes {
    fn from_ref(alone: &Alone) -> Self {
        alone.outboxes.clone()
    }
}

impl FromRef<Alone> for Connections {
    fn from_ref(alone: &Alone) -> Self {
        alone.connections.clone()
    }
}

impl FromRef<Alone> for Consumers {
    fn from_ref(alone: &Alone) -> Self {
        alone.consumers.clone()
    }
}
