//! Topics over HTTP, for clients in any language, with errors of their own form.

mod acknowledge;
mod append;
mod body;
mod consume;
mod group_names;
mod latest_offsets;
mod served;
mod sql;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use group_names::GroupNames;

use crate::app::App;

/// The routes of services, which administrators may use, too.
pub(crate) fn for_services() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(consume::consume))
        .routes(routes!(acknowledge::acknowledge))
        .routes(routes!(acknowledge::give_back))
        .routes(routes!(acknowledge::extend))
        .routes(routes!(append::append))
        .routes(routes!(latest_offsets::latest_offsets))
        .routes(routes!(sql::run))
}
