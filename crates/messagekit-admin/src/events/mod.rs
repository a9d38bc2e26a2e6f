//! One event and those around it, over HTTP and for programs without it.

mod find;
mod find_query;
mod record;
mod show;
mod tree;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use find::FoundEvents;
pub(crate) use find::find;
pub(crate) use find_query::EventSearch;
pub use record::{ShownEvent, ShownOutcome, ShownRecord};
pub(crate) use show::document;
pub use show::{Cause, Effect, EventDocument};

pub(crate) fn for_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(find::list)).routes(routes!(show::show))
}
