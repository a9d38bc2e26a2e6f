//! Events that the broker refused, over HTTP.

mod acts;
mod list;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(crate) fn for_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list))
}

pub(crate) fn for_operators() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(acts::retry)).routes(routes!(acts::discard))
}
