//! The audit, newest first.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use messagekit::operations::{AUDIT_ACTIONS, AuditFilter};
use utoipa::IntoParams;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::app::App;
use crate::database::{Database, Which};
use crate::list::AuditList;
use crate::page::{PageQuery, Position, page};
use crate::parameters::{FromParameters, Parameters, Query};
use crate::problem::Problem;

/// Which actions.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only those of this operator.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    operator: Option<String>,
    /// Only those of this kind.
    #[param(schema_with = action_words)]
    action: Option<String>,
    /// Only those written at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those written before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only those on the failed message of this number; name its database where there are several.
    #[param(minimum = 1)]
    failed_message: Option<i64>,
    /// Only those on the replay of this number; name its database where there are several.
    #[param(minimum = 1)]
    replay: Option<i64>,
}

fn action_words() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(AUDIT_ACTIONS)).build()
}

/// Which database and which actions.
#[derive(Debug)]
pub(crate) struct ListQuery {
    which: Which,
    filter: AuditFilter,
}

impl FromParameters for ListQuery {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { which: Which::take(parameters)?, filter: AuditQuery::take(parameters)?.into() })
    }
}

impl FromParameters for AuditQuery {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self {
            operator: parameters.text("operator")?,
            action: parameters
                .word("action", &AUDIT_ACTIONS.map(|action| (action, action)))?
                .map(str::to_owned),
            since: parameters.time("since")?,
            until: parameters.time("until")?,
            failed_message: parameters.number("failed_message", 1..=i64::MAX)?,
            replay: parameters.number("replay", 1..=i64::MAX)?,
        })
    }
}

impl From<AuditQuery> for AuditFilter {
    fn from(query: AuditQuery) -> Self {
        let AuditQuery { operator, action, since, until, failed_message, replay } = query;
        Self { operator, action, since, until, failed_message, replay, before: None }
    }
}

/// List what operators did, newest first
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit",
    params(Which, AuditQuery, PageQuery),
    responses((status = 200, body = AuditList), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query((chosen, part)): Query<(ListQuery, PageQuery)>,
) -> Result<Json<AuditList>, Problem> {
    let databases = app.databases.meant(chosen.which.database.as_deref())?;
    let page = document(databases, &chosen.filter, part.before(), part.limit()).await?;
    Ok(Json(page.linked(query.as_deref(), "before")))
}

/// Returns a page whose `next` is the position of the next one.
pub(crate) async fn document(
    databases: &[Database],
    filter: &AuditFilter,
    before: &Position,
    limit: u32,
) -> Result<AuditList, Problem> {
    page(databases, before, limit, async |database, before, limit| {
        let filter = AuditFilter { before, ..filter.clone() };
        database.store.audit_records(&filter, limit).await
    })
    .await
}
