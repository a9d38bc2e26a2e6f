//! One event and those around it, over HTTP and for programs without it.

mod find;
mod find_query;
mod record;
mod related;
mod show;
mod tree;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(crate) use find::find;
pub(crate) use find_query::Wanted;
pub(crate) use record::PublisherView;
pub(crate) use show::document;

pub(crate) fn for_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(find::list)).routes(routes!(show::show))
}
