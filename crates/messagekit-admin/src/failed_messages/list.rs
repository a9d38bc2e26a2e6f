//! Lists, totals and groups of failed messages.

use axum::Json;
use axum::extract::{RawQuery, State};
use messagekit::operations::FailedMessageFilter;
use utoipa::IntoParams;

use super::filter::FilterQuery;
use crate::app::App;
use crate::database::Which;
use crate::list::{FailedMessageList, GroupList, TotalList, list_all};
use crate::page::{LIMIT, MAX_LIMIT, PageQuery, answer_page};
use crate::parameters::{FromParameters, Parameters, Query};
use crate::problem::Problem;

/// Which database and which failed messages.
#[derive(Debug)]
pub(crate) struct ListQuery {
    which: Which,
    filter: FailedMessageFilter,
}

impl FromParameters for ListQuery {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { which: Which::take(parameters)?, filter: FilterQuery::take(parameters)?.into() })
    }
}

/// List failed messages, newest first
#[utoipa::path(
    get, path = "/api/v1/dlq", tag = "failed messages", operation_id = "list_failed_messages",
    params(Which, FilterQuery, PageQuery),
    responses((status = 200, body = FailedMessageList), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query((chosen, part)): Query<(ListQuery, PageQuery)>,
) -> Result<Json<FailedMessageList>, Problem> {
    let filter = &chosen.filter;
    answer_page(&app, &chosen.which, (&part, query.as_deref()), async |database, before, limit| {
        let filter = FailedMessageFilter { before, ..filter.clone() };
        database.store.list(&filter, limit).await
    })
    .await
}

/// Count failed messages by consumer and state
#[utoipa::path(
    get, path = "/api/v1/dlq/totals", tag = "failed messages", operation_id = "failed_message_totals",
    params(Which, FilterQuery),
    responses((status = 200, body = TotalList), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn totals(
    State(app): State<App>,
    Query(chosen): Query<ListQuery>,
) -> Result<Json<TotalList>, Problem> {
    list_all(&app, &chosen.which, |database| database.store.totals(&chosen.filter)).await.map(Json)
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
    responses((status = 200, body = GroupList), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn groups(
    State(app): State<App>,
    Query((chosen, most)): Query<(ListQuery, Most)>,
) -> Result<Json<GroupList>, Problem> {
    let limit = most.limit.unwrap_or(LIMIT);
    let mut groups =
        list_all(&app, &chosen.which, |database| database.store.groups(&chosen.filter, limit)).await?;
    groups.entries.sort_by_key(|group| std::cmp::Reverse(group.failed_messages));
    groups.entries.truncate(limit as usize);
    Ok(Json(groups))
}
