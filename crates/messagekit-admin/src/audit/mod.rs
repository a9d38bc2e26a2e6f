//! What operators did, over HTTP.

mod list;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(crate) use list::document;

pub(crate) fn for_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list))
}
