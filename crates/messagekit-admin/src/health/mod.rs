//! Whether the databases answer, and whether events leave them.

mod checkpoints;
mod measure;
mod outbox;
mod ready;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use messagekit::OutboxHealth;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::protection;

pub(crate) use checkpoints::keep_checkpoints;
pub(crate) use ready::Nothing;

/// The databases that are asked, by name.
#[derive(Clone)]
pub(crate) struct Asked(pub(crate) Arc<[Named]>);

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
    let databases = databases.into_iter().map(|(name, store)| (Arc::from(name.into()), store));
    let asked = Asked(databases.collect());
    checkpoints::keep_while_used(&asked);
    let (routes, _) = routes::<Asked>().split_for_parts();
    protection::around(routes.with_state(asked))
}
