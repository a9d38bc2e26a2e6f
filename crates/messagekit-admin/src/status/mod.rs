//! All databases at a glance, over HTTP.

mod show;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(crate) use show::document;
pub use show::{DatabaseState, OutboxState, StatusDocument};

pub(crate) fn for_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show::show))
}
