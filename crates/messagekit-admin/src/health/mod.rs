//! Whether the databases answer, and whether events leave them.

mod checkpoints;
mod measure;
mod outbox;
mod ready;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use messagekit::{OutboxHealth, Stats};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::protection;

pub(crate) use checkpoints::keep_checkpoints;
pub(crate) use ready::Nothing;

/// The databases that are asked, by name.
#[derive(Clone)]
pub(crate) struct Asked(pub(crate) Arc<[Named]>);

/// Says what is wrong with something besides the databases at the moment.
pub(crate) type Look = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// What readiness needs besides the databases, by name.
#[derive(Clone, Default)]
pub(crate) struct Connections(pub(crate) Arc<[(String, Look)]>);

/// The consumers of a service, by name.
#[derive(Clone, Default)]
pub(crate) struct Consumers(pub(crate) Arc<[(String, Stats)]>);

/// An admin has databases alone.
impl FromRef<App> for Connections {
    fn from_ref(_: &App) -> Self {
        Self::default()
    }
}

impl FromRef<App> for Consumers {
    fn from_ref(_: &App) -> Self {
        Self::default()
    }
}

pub(crate) type Named = (Arc<str>, Arc<dyn OutboxHealth>);

impl FromRef<App> for Asked {
    fn from_ref(app: &App) -> Self {
        app.asked.clone()
    }
}

pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Asked: FromRef<S>,
    Connections: FromRef<S>,
    Consumers: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(ready::live))
        .routes(routes!(ready::ready))
        .routes(routes!(outbox::outbox))
        .routes(routes!(ready::seed))
}

/// Makes the health paths alone, open to everybody, for any service: `/health/live`, `/health/ready`, `/health/outbox` and
/// `/health`.
///
/// They tell names of databases, counts and ages, and nothing else; do not put them where strangers are. Inside a tokio
/// runtime a task of its own notes checkpoints of these databases until the router is dropped, so that the lag of an outbox
/// whose changes are captured is a true one.
///
/// ```
/// use std::sync::Arc;
///
/// use messagekit::OutboxHealth;
/// use messagekit::memory::MemoryStore;
///
/// let shop: Arc<dyn OutboxHealth> = Arc::new(MemoryStore::new());
/// let app: axum::Router = axum::Router::new().merge(messagekit_admin::health_router([("shop", shop)]));
/// ```
pub fn health_router<N: Into<String>>(
    databases: impl IntoIterator<Item = (N, Arc<dyn OutboxHealth>)>,
) -> Router {
    health_router_with(databases, [], [])
}

/// Makes the [`health_router`] of a service that needs more than databases, or consumes.
///
/// Each of `connections` is looked at whenever `/health/ready` is asked, and tells in words what it lacks; `None` when nothing.
/// It is answered to everybody: leave passwords and payloads out.
///
/// Each of `consumers` is asked how it stands. While its source is away, while older messages may come back than its window
/// allows, and when its run has ended, the answer is 503 with the reason. A gate that holds it back is named with the seconds
/// since then, lanes that a message blocks are counted, and neither changes the status: whoever restarted the process for it
/// would open no gate and repair no message.
///
/// ```
/// use messagekit::memory::{MemoryLog, MemoryStore, MemoryTx};
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
        asked: Asked(databases.collect()),
        connections: Connections(connections.into_iter().collect()),
        consumers: Consumers(consumers.into_iter().collect()),
    };
    checkpoints::keep_while_used(&state.asked);
    let (routes, _) = routes::<Alone>().split_for_parts();
    protection::around(routes.with_state(state))
}

/// What the health paths alone look at.
#[derive(Clone)]
struct Alone {
    asked: Asked,
    connections: Connections,
    consumers: Consumers,
}

impl FromRef<Alone> for Asked {
    fn from_ref(alone: &Alone) -> Self {
        alone.asked.clone()
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
