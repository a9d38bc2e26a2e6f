//! The audit, newest first.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use messagekit::operations::{AuditFilter, AuditRecord};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::ActionView;
use crate::app::App;
use crate::database::{Database, Unreachable, Which};
use crate::page::{Listed, Part, Position, next_link, page};
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
    action: Option<ActionWord>,
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

/// Which database and which actions.
#[derive(Debug)]
pub(crate) struct Chosen {
    which: Which,
    filter: AuditFilter,
}

impl FromParameters for Chosen {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { which: Which::take(parameters)?, filter: AuditQuery::take(parameters)?.into() })
    }
}

/// The kind of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ActionWord {
    Retry,
    Discard,
    Undo,
    Replay,
    CancelReplay,
    RetryRejected,
    DiscardRejected,
}

const ACTIONS: [(&str, ActionWord); 7] = [
    ("retry", ActionWord::Retry),
    ("discard", ActionWord::Discard),
    ("undo", ActionWord::Undo),
    ("replay", ActionWord::Replay),
    ("cancel-replay", ActionWord::CancelReplay),
    ("retry-rejected", ActionWord::RetryRejected),
    ("discard-rejected", ActionWord::DiscardRejected),
];

impl FromParameters for AuditQuery {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self {
            operator: parameters.text("operator")?,
            action: parameters.word("action", &ACTIONS)?,
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
        let word = |action: ActionWord| ACTIONS.iter().find(|(_, known)| *known == action);
        let action = action.and_then(word).map(|(word, _)| (*word).to_owned());
        Self { operator, action, since, until, failed_message, replay, before: None }
    }
}

impl Listed for AuditRecord {
    fn number(&self) -> i64 {
        self.id
    }

    fn time(&self) -> Timestamp {
        self.at
    }
}

/// A page of actions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    actions: Vec<ActionView>,
    /// Databases that did not answer; their actions are missing here.
    unreachable: Vec<Unreachable>,
    /// The link to the next page, relative to this one; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// List what operators did, newest first
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit",
    params(Which, AuditQuery, Part),
    responses((status = 200, body = AuditPage), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    RawQuery(raw): RawQuery,
    Query((chosen, part)): Query<(Chosen, Part)>,
) -> Result<Json<AuditPage>, Problem> {
    let databases = app.databases.meant(chosen.which.database.as_deref())?;
    let mut audit = document(databases, &chosen.filter, part.before(), part.limit()).await?;
    audit.next = audit.next.map(|before| next_link(raw.as_deref(), "before", &before));
    Ok(Json(audit))
}

/// Returns a page whose `next` is the position of the next one.
pub(crate) async fn document(
    databases: &[Database],
    filter: &AuditFilter,
    before: &Position,
    limit: u32,
) -> Result<AuditPage, Problem> {
    let page = page(databases, before, limit, async |database, before, limit| {
        let filter = AuditFilter { before, ..filter.clone() };
        database.store.audit_records(&filter, limit).await
    });
    let page = page.await?;
    let actions = page.entries.into_iter().map(|(database, record)| ActionView::of(&database.name, record));
    Ok(AuditPage { actions: actions.collect(), unreachable: page.unreachable, next: page.before })
}
