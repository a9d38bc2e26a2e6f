//! Lists, totals and groups of letters.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use messagekit::LetterFilter;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::filter::FilterQuery;
use super::view::{LetterView, StateWord};
use crate::app::App;
use crate::database::{Unreachable, Which, ask_all};
use crate::page::{LIMIT, MAX_LIMIT, Part, next_link, page};
use crate::parameters::{FromParameters, Parameters, Query};
use crate::problem::Problem;

/// Which database and which letters.
#[derive(Debug)]
pub(crate) struct Chosen {
    which: Which,
    filter: LetterFilter,
}

impl FromParameters for Chosen {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { which: Which::take(parameters)?, filter: FilterQuery::take(parameters)?.into() })
    }
}

/// A page of letters, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LetterPage {
    letters: Vec<LetterView>,
    /// Databases whose letters are missing here, because they did not answer.
    unreachable: Vec<Unreachable>,
    /// The link to the next page, relative to this one; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// List dead letters, newest first
#[utoipa::path(
    get, path = "/api/v1/dlq", tag = "dead letters", operation_id = "list_letters",
    params(Which, FilterQuery, Part),
    responses((status = 200, body = LetterPage), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query((chosen, part)): Query<(Chosen, Part)>,
) -> Result<Json<LetterPage>, Problem> {
    let databases = app.databases.meant(chosen.which.database.as_deref())?;
    let filter = &chosen.filter;
    let page = page(databases, part.before(), part.limit(), async |database, before, limit| {
        let filter = LetterFilter { before, ..filter.clone() };
        database.store.list(&filter, limit).await
    });
    let page = page.await?;
    let letters =
        page.entries.into_iter().map(|(database, head)| LetterView::of(&database.name, head)).collect();
    let next = page.before.map(|before| next_link(query.as_deref(), "before", &before));
    Ok(Json(LetterPage { letters, unreachable: page.unreachable, next }))
}

/// How many letters of one consumer are in one state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TotalView {
    database: String,
    consumer: String,
    state: StateWord,
    letters: u64,
}

/// Letters by consumer and state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Totals {
    totals: Vec<TotalView>,
    /// Databases whose letters are not counted here, because they did not answer.
    unreachable: Vec<Unreachable>,
}

/// Count dead letters by consumer and state
#[utoipa::path(
    get, path = "/api/v1/dlq/totals", tag = "dead letters", operation_id = "letter_totals",
    params(Which, FilterQuery),
    responses((status = 200, body = Totals), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn totals(
    State(app): State<App>,
    Query(chosen): Query<Chosen>,
) -> Result<Json<Totals>, Problem> {
    let databases = app.databases.meant(chosen.which.database.as_deref())?;
    let answers = ask_all(databases, |database| database.store.totals(&chosen.filter)).await?;
    let totals = answers.answered.into_iter().flat_map(|(database, totals)| {
        totals.into_iter().map(|total| TotalView {
            database: database.name.to_string(),
            consumer: total.consumer,
            state: total.state.into(),
            letters: total.letters,
        })
    });
    Ok(Json(Totals { totals: totals.collect(), unreachable: answers.unreachable }))
}

/// Letters that failed alike.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupView {
    database: String,
    /// What they share.
    fingerprint: String,
    consumer: String,
    event_type: Option<String>,
    kind: String,
    /// The error of the newest.
    error: String,
    letters: u64,
    #[schema(value_type = String, format = DateTime)]
    first: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last: Timestamp,
    /// The number of the newest.
    newest: i64,
}

/// Groups of letters, the largest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Groups {
    groups: Vec<GroupView>,
    /// Databases whose letters are missing here, because they did not answer.
    unreachable: Vec<Unreachable>,
}

/// How many groups.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Most {
    /// The most groups; 100 where nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl FromParameters for Most {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { limit: parameters.number("limit", 1..=MAX_LIMIT)? })
    }
}

/// Group dead letters that failed alike, the largest groups first
#[utoipa::path(
    get, path = "/api/v1/dlq/groups", tag = "dead letters", operation_id = "letter_groups",
    params(Which, FilterQuery, Most),
    responses((status = 200, body = Groups), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn groups(
    State(app): State<App>,
    Query((chosen, most)): Query<(Chosen, Most)>,
) -> Result<Json<Groups>, Problem> {
    let databases = app.databases.meant(chosen.which.database.as_deref())?;
    let limit = most.limit.unwrap_or(LIMIT);
    let answers = ask_all(databases, |database| database.store.groups(&chosen.filter, limit)).await?;
    let groups = answers.answered.into_iter().flat_map(|(database, groups)| {
        groups.into_iter().map(|group| GroupView {
            database: database.name.to_string(),
            fingerprint: group.fingerprint,
            consumer: group.consumer,
            event_type: group.event_type,
            kind: group.kind,
            error: group.error,
            letters: group.letters,
            first: group.first,
            last: group.last,
            newest: group.newest,
        })
    });
    let mut groups: Vec<GroupView> = groups.collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.letters));
    groups.truncate(limit as usize);
    Ok(Json(Groups { groups, unreachable: answers.unreachable }))
}
