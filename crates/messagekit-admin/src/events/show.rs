//! One event, in all databases, with its causes and effects.

use axum::Json;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use messagekit::MessageId;
use messagekit::operations::{EventRecord, LinkedEvent};
use serde::Serialize;
use utoipa::ToSchema;

use super::record::ShownRecord;
use super::tree::{self, Tree};
use crate::app::App;
use crate::caller::Caller;
use crate::database::{Database, Unreachable, Which, ask_all};
use crate::parameters::Query;
use crate::problem::Problem;
use crate::{InDatabase, Role};

/// An event, as far as the databases know it and the caller's role allows.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventDocument {
    /// The event's id.
    pub event_id: String,
    /// The databases that know something of it.
    pub databases: Vec<ShownRecord>,
    /// The event that led to it, the one that led to that, and so on.
    pub causes: Vec<Cause>,
    /// The events that it led to.
    pub effects: Vec<Effect>,
    /// Whether there may be more causes or effects: at most 10 steps each way and 200 events are shown.
    pub is_cut: bool,
    /// Databases that did not answer; their knowledge is missing here.
    pub unreachable: Vec<Unreachable>,
}

/// A cause.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cause {
    /// Its id.
    pub event_id: String,
    /// Null if no database keeps it.
    pub event: Option<InDatabase<LinkedEvent>>,
}

/// An event with those that it led to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Effect {
    /// The event.
    pub event: InDatabase<LinkedEvent>,
    /// The events that it led to.
    #[schema(no_recursion)]
    pub effects: Vec<Effect>,
}

/// Extracts the id of an event in the path.
#[derive(Debug)]
pub(crate) struct EventId(MessageId);

impl<S: Send + Sync> FromRequestParts<S> for EventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_one = || Problem::malformed("the path has no id of an event where one belongs");
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| not_one())?;
        let text = params.iter().find(|(name, _)| *name == "id").map(|(_, text)| text);
        text.and_then(|text| text.parse().ok()).map(Self).ok_or_else(not_one)
    }
}

/// Show an event with its publication, consumers, failed messages, causes and effects; header values only to readers and above
#[utoipa::path(
    get, path = "/api/v1/events/{id}", tag = "events", operation_id = "show_event",
    params(("id" = String, Path, description = "The event's id", min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f/]+$"), Which),
    responses((status = 200, body = EventDocument), (status = 404, description = "No database knows it, or no such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller,
    EventId(id): EventId,
    Query(which): Query<Which>,
) -> Result<Json<EventDocument>, Problem> {
    let databases = app.databases.meant(which.database.as_deref())?;
    document(databases, &id, caller.role >= Role::Reader).await.map(Json)
}

/// Asks all databases for an event, and walks to its causes and effects. `reads` shows the values of headers.
pub(crate) async fn document(
    databases: &[Database],
    id: &MessageId,
    reads: bool,
) -> Result<EventDocument, Problem> {
    let answers = ask_all(databases, |database| database.store.event_record(id)).await?;
    let answering = answers.answered.iter().map(|(database, _)| *database).collect();
    let known: Vec<(&Database, EventRecord)> =
        answers.answered.into_iter().filter(|(_, record)| !record.is_empty()).collect();
    let cause = known.iter().find_map(|(_, record)| record.event.as_ref()?.links.causation_id.clone());
    let Tree { causes, mut effects, is_cut, unreachable } = tree::walk(answering, id, cause).await?;
    if known.is_empty() && effects.is_empty() && answers.unreachable.is_empty() && unreachable.is_empty() {
        let text = "no database knows this event: check its id, or it is not kept any more";
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    }
    let mut missing = answers.unreachable;
    missing.extend(unreachable);
    let causes = causes.into_iter().map(|(id, event)| Cause { event_id: id.to_string(), event });
    Ok(EventDocument {
        event_id: id.to_string(),
        databases: known
            .into_iter()
            .map(|(database, record)| ShownRecord::of(&database.name, record, reads))
            .collect(),
        causes: causes.collect(),
        effects: effects_of(id.as_str(), &mut effects),
        is_cut,
        unreachable: missing,
    })
}

/// Takes the effects of an event, each with its own.
fn effects_of(
    id: &str,
    all: &mut std::collections::BTreeMap<String, Vec<InDatabase<LinkedEvent>>>,
) -> Vec<Effect> {
    let own = all.remove(id).unwrap_or_default();
    own.into_iter()
        .map(|event| {
            let effects = effects_of(event.event_id.clone().as_str(), all);
            Effect { event, effects }
        })
        .collect()
}
