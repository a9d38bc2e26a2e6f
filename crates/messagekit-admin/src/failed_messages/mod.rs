//! Failed messages over HTTP.

mod actions;
mod bulk;
mod filter;
mod list;
mod show;
mod state_choice;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use show::{FailedMessageDocument, PayloadPreview, ShownHeader};

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
        .routes(routes!(actions::retry))
        .routes(routes!(actions::discard))
        .routes(routes!(actions::undo))
        .routes(routes!(bulk::select))
        .routes(routes!(bulk::act))
}
