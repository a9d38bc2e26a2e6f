//! The consumers of all databases.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::ConsumerView;
use crate::app::App;
use crate::database::{Database, Unreachable, Which, ask_all};
use crate::parameters::Query;
use crate::problem::Problem;

/// The consumers, by database and name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsumersView {
    consumers: Vec<ConsumerView>,
    /// Databases that did not answer; their consumers are missing here.
    unreachable: Vec<Unreachable>,
}

/// List what the databases know of each consumer
#[utoipa::path(
    get, path = "/api/v1/consumers", tag = "status", operation_id = "list_consumers",
    params(Which),
    responses((status = 200, body = ConsumersView), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<ConsumersView>, Problem> {
    document(app.databases.meant(which.database.as_deref())?).await.map(Json)
}

async fn document(databases: &[Database]) -> Result<ConsumersView, Problem> {
    let answers = ask_all(databases, |database| database.store.consumer_statuses()).await?;
    let consumers = answers.answered.into_iter().flat_map(|(database, statuses)| {
        statuses.into_iter().map(|status| ConsumerView::of(&database.name, status))
    });
    Ok(ConsumersView { consumers: consumers.collect(), unreachable: answers.unreachable })
}
