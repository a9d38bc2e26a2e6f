//! Failed messages over HTTP.

mod actions;
mod bulk;
mod filter;
mod list;
mod run_view;
mod runner_view;
mod show;
mod state_choice;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(crate) use list::{FailedMessagePage, Groups, Totals};
pub(crate) use runner_view::RetryRunnerView;
pub(crate) use show::{FailedMessageDetail, HeaderView};
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
        .routes(routes!(actions::retry))
        .routes(routes!(actions::discard))
        .routes(routes!(actions::undo))
        .routes(routes!(bulk::select))
        .routes(routes!(bulk::act))
}
