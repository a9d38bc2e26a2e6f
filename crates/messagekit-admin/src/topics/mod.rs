//! Topics over HTTP, for clients in any language, with errors of their own form.

mod acknowledge;
mod append;
mod body;
mod consume;
mod failure;
mod latest_offsets;
mod message;
mod sql;

use std::sync::Arc;

use messagekit_topics::operations::TopicOperations;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::database::Which;

pub(crate) use failure::{Failure, in_own_form};

/// Where these routes begin.
pub(crate) const PREFIX: &str = "/v1/api/";

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

/// Returns the topics of the database that a request means.
fn topics(app: &App, which: &Which) -> Result<Arc<dyn TopicOperations>, Failure> {
    let database = app.databases.one(which.database.as_deref())?;
    database.topics.clone().ok_or_else(|| Failure::not_found("topics of this database are not served"))
}
