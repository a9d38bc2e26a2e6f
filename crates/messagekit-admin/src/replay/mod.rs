//! Publishing stored events again.

mod events;
mod jobs;
mod order;
mod renamed;
mod worker;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use events::StoredEvents;
pub(crate) use order::ordered;
pub(crate) use worker::run;
pub use worker::run_replays;

pub(crate) fn for_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events::events))
        .routes(routes!(order::count))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
}

pub(crate) fn for_operators() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(order::order)).routes(routes!(jobs::cancel))
}
