//! Events that the broker rejected, over HTTP.

mod actions;
mod list;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(crate) fn for_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list))
}

pub(crate) fn for_operators() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(actions::retry)).routes(routes!(actions::discard))
}
