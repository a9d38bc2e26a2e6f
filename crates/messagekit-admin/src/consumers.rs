//! What the databases know of each consumer, over HTTP.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::database::Which;
use crate::list::{ConsumerList, list_all};
use crate::parameters::Query;
use crate::problem::Problem;

pub(crate) fn for_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// List what the databases know of each consumer
#[utoipa::path(
    get, path = "/api/v1/consumers", tag = "status", operation_id = "list_consumers",
    params(Which),
    responses((status = 200, body = ConsumerList), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<ConsumerList>, Problem> {
    list_all(&app, &which, |database| database.store.consumer_statuses()).await.map(Json)
}
