//! Lists, totals and groups of failed messages.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use messagekit::operations::{
    FailedMessageFilter, FailedMessageGroup, FailedMessageHead, FailedMessageState, FailedMessageTotal,
};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::filter::FilterQuery;
use super::view::FailedMessageView;
use crate::app::App;
use crate::database::{Unreachable, Which, ask_all};
use crate::page::{LIMIT, MAX_LIMIT, Part, next_link, page};
use crate::parameters::{FromParameters, Parameters, Query};
use crate::problem::Problem;

/// Which database and which failed messages.
#[derive(Debug)]
pub(crate) struct Chosen {
    which: Which,
    filter: FailedMessageFilter,
}

impl FromParameters for Chosen {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { which: Which::take(parameters)?, filter: FilterQuery::take(parameters)?.into() })
    }
}

/// A page of failed messages, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailedMessagePage {
    failed_messages: Vec<FailedMessageView>,
    /// Databases that did not answer; their failed messages are missing here.
    unreachable: Vec<Unreachable>,
    /// The link to the next page, relative to this one; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

impl FailedMessagePage {
    /// Returns a page of one database, whose `next` is a position.
    pub(crate) fn of(database: &str, heads: Vec<FailedMessageHead>, next: Option<i64>) -> Self {
        Self {
            failed_messages: heads.into_iter().map(|head| FailedMessageView::of(database, head)).collect(),
            unreachable: Vec::new(),
            next: next.map(|id| id.to_string()),
        }
    }
}

/// List failed messages, newest first
#[utoipa::path(
    get, path = "/api/v1/dlq", tag = "failed messages", operation_id = "list_failed_messages",
    params(Which, FilterQuery, Part),
    responses((status = 200, body = FailedMessagePage), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query((chosen, part)): Query<(Chosen, Part)>,
) -> Result<Json<FailedMessagePage>, Problem> {
    let databases = app.databases.meant(chosen.which.database.as_deref())?;
    let filter = &chosen.filter;
    let page = page(databases, part.before(), part.limit(), async |database, before, limit| {
        let filter = FailedMessageFilter { before, ..filter.clone() };
        database.store.list(&filter, limit).await
    });
    let page = page.await?;
    let failed_messages = page
        .entries
        .into_iter()
        .map(|(database, head)| FailedMessageView::of(&database.name, head))
        .collect();
    let next = page.before.map(|before| next_link(query.as_deref(), "before", &before));
    Ok(Json(FailedMessagePage { failed_messages, unreachable: page.unreachable, next }))
}

/// The number of failed messages of one consumer in one state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TotalView {
    database: String,
    consumer: String,
    state: FailedMessageState,
    failed_messages: u64,
}

/// Failed messages by consumer and state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Totals {
    totals: Vec<TotalView>,
    /// Databases that did not answer; their failed messages are not counted here.
    unreachable: Vec<Unreachable>,
}

impl TotalView {
    fn of(database: &str, total: FailedMessageTotal) -> Self {
        Self {
            database: database.to_owned(),
            consumer: total.consumer,
            state: total.state,
            failed_messages: total.failed_messages,
        }
    }
}

impl Totals {
    pub(crate) fn of(database: &str, totals: Vec<FailedMessageTotal>) -> Self {
        let totals = totals.into_iter().map(|total| TotalView::of(database, total));
        Self { totals: totals.collect(), unreachable: Vec::new() }
    }
}

/// Count failed messages by consumer and state
#[utoipa::path(
    get, path = "/api/v1/dlq/totals", tag = "failed messages", operation_id = "failed_message_totals",
    params(Which, FilterQuery),
    responses((status = 200, body = Totals), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn totals(
    State(app): State<App>,
    Query(chosen): Query<Chosen>,
) -> Result<Json<Totals>, Problem> {
    let databases = app.databases.meant(chosen.which.database.as_deref())?;
    let answers = ask_all(databases, |database| database.store.totals(&chosen.filter)).await?;
    let totals = answers
        .answered
        .into_iter()
        .flat_map(|(database, totals)| totals.into_iter().map(|total| TotalView::of(&database.name, total)));
    Ok(Json(Totals { totals: totals.collect(), unreachable: answers.unreachable }))
}

/// Failed messages with the same fingerprint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupView {
    database: String,
    /// Their common fingerprint.
    fingerprint: String,
    consumer: String,
    event_type: Option<String>,
    kind: String,
    /// The error of the newest one.
    error: String,
    failed_messages: u64,
    #[schema(value_type = String, format = DateTime)]
    first: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last: Timestamp,
    /// The number of the newest one.
    newest: i64,
}

/// Groups of failed messages, the largest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Groups {
    groups: Vec<GroupView>,
    /// Databases that did not answer; their failed messages are missing here.
    unreachable: Vec<Unreachable>,
}

impl GroupView {
    fn of(database: &str, group: FailedMessageGroup) -> Self {
        Self {
            database: database.to_owned(),
            fingerprint: group.fingerprint,
            consumer: group.consumer,
            event_type: group.event_type,
            kind: group.kind,
            error: group.error,
            failed_messages: group.failed_messages,
            first: group.first,
            last: group.last,
            newest: group.newest,
        }
    }
}

impl Groups {
    pub(crate) fn of(database: &str, groups: Vec<FailedMessageGroup>) -> Self {
        let groups = groups.into_iter().map(|group| GroupView::of(database, group));
        Self { groups: groups.collect(), unreachable: Vec::new() }
    }
}

/// How many groups.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Most {
    /// The most groups; 100 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl FromParameters for Most {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { limit: parameters.number("limit", 1..=MAX_LIMIT)? })
    }
}

/// Group failed messages by fingerprint, the largest groups first
#[utoipa::path(
    get, path = "/api/v1/dlq/groups", tag = "failed messages", operation_id = "failed_message_groups",
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
    let groups = answers
        .answered
        .into_iter()
        .flat_map(|(database, groups)| groups.into_iter().map(|group| GroupView::of(&database.name, group)));
    let mut groups: Vec<GroupView> = groups.collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.failed_messages));
    groups.truncate(limit as usize);
    Ok(Json(Groups { groups, unreachable: answers.unreachable }))
}
