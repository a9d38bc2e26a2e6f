//! Failed messages over HTTP.

mod acts;
mod bulk;
mod filter;
mod list;
mod show;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(crate) use view::FailedMessageView;

pub(crate) fn for_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(list::totals))
        .routes(routes!(list::groups))
        .routes(routes!(show::show))
}

pub(crate) fn for_readers() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show::payload))
}

pub(crate) fn for_operators() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(acts::retry))
        .routes(routes!(acts::discard))
        .routes(routes!(acts::undo))
        .routes(routes!(bulk::select))
        .routes(routes!(bulk::act))
}
