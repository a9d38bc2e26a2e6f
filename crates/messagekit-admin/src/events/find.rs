//! Finding events by correlation, or by key, type and time.

use axum::Json;
use axum::extract::State;
use messagekit::operations::LinkedEvent;
use messagekit::{Error, MessageId};
use serde::Serialize;
use utoipa::ToSchema;

use super::find_query::{EventSearch, FindQuery};
use crate::InDatabase;
use crate::app::App;
use crate::database::{Database, Unreachable, Which, ask_all};
use crate::parameters::Query;
use crate::problem::Problem;

/// The most events of a correlation that are compared with the other parameters.
const CORRELATED: u32 = 1_000;

/// Events of all databases, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundEvents {
    /// The events.
    pub events: Vec<InDatabase<LinkedEvent>>,
    /// Whether there are more events than the limit: search from the time of the last one on.
    pub is_cut: bool,
    /// Databases that did not answer; their events are missing here.
    pub unreachable: Vec<Unreachable>,
}

/// Find events by correlation, or by key, type and time, oldest first
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "find_events",
    params(Which, FindQuery),
    responses((status = 200, body = FoundEvents), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Query((which, query)): Query<(Which, FindQuery)>,
) -> Result<Json<FoundEvents>, Problem> {
    find(app.databases.meant(which.database.as_deref())?, &query.into()).await.map(Json)
}

/// Finds events in all databases at once.
pub(crate) async fn find(databases: &[Database], wanted: &EventSearch) -> Result<FoundEvents, Problem> {
    let answers = ask_all(databases, |database| in_one(database, wanted)).await?;
    let mut events: Vec<InDatabase<LinkedEvent>> = Vec::new();
    let mut is_cut = false;
    for (database, (found, cut)) in answers.answered {
        is_cut |= cut;
        events.extend(InDatabase::all(&database.name, found));
    }
    events.sort_by(|a, b| (a.created_at, &a.event_id).cmp(&(b.created_at, &b.event_id)));
    is_cut |= events.len() > wanted.limit as usize;
    events.truncate(wanted.limit as usize);
    Ok(FoundEvents { events, is_cut, unreachable: answers.unreachable })
}

/// Returns events of one database, and whether it has more.
async fn in_one(database: &Database, wanted: &EventSearch) -> Result<(Vec<LinkedEvent>, bool), Error> {
    let store = &database.store;
    let Some(correlation) = &wanted.correlation else {
        // One more than the limit shows whether there are more.
        let limit = wanted.limit.saturating_add(1);
        let heads = store.events(&wanted.filter, None, limit).await?;
        let ids: Vec<MessageId> = heads.into_iter().map(|head| head.event_id).collect();
        // The list has no links; an event that left in between is not found any more.
        return Ok((store.linked_events(&ids, &[], limit).await?, false));
    };
    let mut events = store.correlated_events(correlation, CORRELATED + 1).await?;
    let cut = events.len() > CORRELATED as usize;
    events.truncate(CORRELATED as usize);
    events.retain(|event| wanted.matches(event));
    Ok((events, cut))
}
