//! Actions on many failed messages: exactly on those that were counted, as they were then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageSelection, Operator, Pace, RetryRunner,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::filter::Filter;
use crate::app::App;
use crate::body::Json;
use crate::caller::Caller;
use crate::database::{Database, PATIENCE};
use crate::problem::Problem;

/// The most failed messages of one transaction.
const CHUNK: usize = 500;

/// The failed messages to select.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SelectionRequest {
    /// The database; optional if there is only one.
    #[serde(default)]
    #[schema(max_length = 63, pattern = "^[a-z0-9_-]{1,63}$")]
    database: Option<String>,
    filter: Filter,
}

/// A selection that does not grow: later failed messages have greater numbers. It has at most 1,000,000.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Selection {
    database: String,
    filter: Filter,
    /// The greatest number in it; 0 if it is empty.
    until_id: i64,
    /// The number of failed messages in it.
    count: u64,
    /// The digest of their numbers and versions: it differs when one of them has changed.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    digest: String,
}

/// Select failed messages for an action, and count them
#[utoipa::path(
    post, path = "/api/v1/dlq/selections", tag = "failed messages", operation_id = "select_failed_messages",
    request_body = SelectionRequest,
    responses(
        (status = 200, body = Selection),
        (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "More than 1,000,000 failed messages", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn select(
    State(app): State<App>,
    Json(request): Json<SelectionRequest>,
) -> Result<axum::Json<Selection>, Problem> {
    let database = app.databases.one(request.database.as_deref())?;
    let selection = read(database, request.filter.failed_messages()?).await?;
    Ok(axum::Json(Selection {
        database: database.name.to_string(),
        filter: request.filter,
        until_id: selection.until_id(),
        count: selection.count() as u64,
        digest: selection.digest(),
    }))
}

/// Reads a selection page by page, each within the time limit of a read.
async fn read(database: &Database, filter: FailedMessageFilter) -> Result<FailedMessageSelection, Problem> {
    let mut selection = FailedMessageSelection::new(filter);
    while let Some(next) = selection.next_page() {
        let page = database.ask(database.store.versions(&next, FailedMessageSelection::PAGE)).await?;
        selection.add(&page).map_err(|error| Problem::of(&database.name, &error))?;
    }
    Ok(selection)
}

/// A selection, and the action for it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkRequest {
    /// The database; optional if there is only one.
    #[serde(default)]
    #[schema(max_length = 63, pattern = "^[a-z0-9_-]{1,63}$")]
    database: Option<String>,
    act: Action,
    filter: Filter,
    /// From the selection.
    #[schema(minimum = 0)]
    until_id: i64,
    /// From the selection: the count that the operator has confirmed.
    count: u64,
    /// From the selection: which failed messages these are, and as they were then.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    digest: String,
    /// For a retry: at most this many become due per second; all at once without it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    per_second: Option<u32>,
}

impl BulkRequest {
    /// Selects again, and compares with what the operator has confirmed.
    async fn confirmed(&self, database: &Database) -> Result<FailedMessageSelection, Problem> {
        let selection = read(database, self.selected()?).await?;
        let now = selection.count() as u64;
        selection
            .confirm(self.count, &self.digest)
            .map_err(|error| Problem::of(&database.name, &error).counting(now))?;
        Ok(selection)
    }

    /// Returns whose failed messages a retry selects, if the database tells in time.
    async fn retried(&self, database: &Database) -> Option<BTreeSet<String>> {
        if !matches!(self.act, Action::Retry) {
            return None;
        }
        let totals = database.within(database.store.totals(&self.selected().ok()?)).await.ok()?;
        Some(totals.into_iter().map(|total| total.consumer).collect())
    }

    /// Returns the filter of the selection, which later failed messages do not match.
    fn selected(&self) -> Result<FailedMessageFilter, Problem> {
        if self.until_id < 0 {
            return Err(Problem::refused("until_id is below 0"));
        }
        let filter = self.filter.failed_messages()?;
        Ok(FailedMessageFilter { before: Some(self.until_id.saturating_add(1)), ..filter })
    }

    fn pace(&self) -> Result<Option<Pace>, Problem> {
        match (self.per_second, self.act) {
            (None, _) => Ok(None),
            (Some(per_second), Action::Retry) => Pace::per_second(per_second)
                .map(Some)
                .map_err(|_| Problem::refused("per_second is not a whole number from 1 to 1000000")),
            (Some(_), _) => Err(Problem::refused("per_second is of use only with a retry")),
        }
    }
}

/// The result for the failed messages of a selection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkAnswer {
    database: String,
    act: Action,
    /// The number of failed messages that the action was done on.
    done: u64,
    /// The number of failed messages that were left alone: in a state that the action does not move, or changed since
    /// they were selected.
    skipped: u64,
    /// Whether the action is complete. Otherwise it continues after this response; a new selection shows the rest.
    complete: bool,
    /// For a retry: which consumers must run, and whether one of each does. Absent if the database did not tell in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    runners: Option<Vec<RetryRunner>>,
}

/// Act on every failed message of a selection
///
/// The failed messages are selected again first; if their number or their digest differs from the confirmed one, nothing
/// is done. The action runs in transactions of 500, each with a row in the audit. Each transaction compares its failed
/// messages with the filter and with their versions once more, and skips those that have changed. The response waits for
/// 20 seconds at most, and that to a retry names in `runners` the consumers that must run.
#[utoipa::path(
    post, path = "/api/v1/dlq/bulk", tag = "failed messages", operation_id = "act_on_failed_messages",
    request_body = BulkRequest,
    responses(
        (status = 200, description = "It is done", body = BulkAnswer),
        (status = 202, description = "It is being done", body = BulkAnswer),
        (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The selection has changed", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn act(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<BulkRequest>,
) -> Result<(StatusCode, axum::Json<BulkAnswer>), Problem> {
    let database = app.databases.one(request.database.as_deref())?.clone();
    let pace = request.pace()?;
    let selection = request.confirmed(&database).await?;
    let retried = request.retried(&database).await;
    let progress = Arc::new(Progress::default());
    // The work continues if the caller disconnects.
    let work = run(database.clone(), (request.act, pace), selection, caller.operator(), progress.clone());
    let mut work = tokio::spawn(work);
    let complete = match tokio::time::timeout(PATIENCE, &mut work).await {
        Ok(Ok(Ok(()))) => true,
        Ok(Ok(Err(problem))) => {
            let done = progress.done.load(Ordering::Relaxed);
            return Err(problem
                .and(&format!("{done} failed messages were acted on before, select again for the others")));
        }
        Ok(Err(fault)) => {
            tracing::error!(%fault, "an act on a selection met a fault");
            return Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the act met a fault of this program",
            ));
        }
        Err(_) => false,
    };
    let runners = match retried {
        Some(consumers) => runners_of(&database, consumers).await,
        None => None,
    };
    let answer = BulkAnswer {
        database: database.name.to_string(),
        act: request.act,
        done: progress.done.load(Ordering::Relaxed),
        skipped: progress.skipped.load(Ordering::Relaxed),
        complete,
        runners,
    };
    Ok((if complete { StatusCode::OK } else { StatusCode::ACCEPTED }, axum::Json(answer)))
}

/// Returns who runs the failed messages of consumers, each once. The action is recorded already, so an outage leaves this out.
async fn runners_of(database: &Database, consumers: BTreeSet<String>) -> Option<Vec<RetryRunner>> {
    let runners = async {
        let mut runners = BTreeMap::new();
        for consumer in &consumers {
            let runner = RetryRunner::of(&*database.store, consumer).await?;
            runners.insert(runner.consumer.clone(), runner);
        }
        Ok(runners)
    };
    let runners = database.within(runners).await.ok()?;
    Some(runners.into_values().collect())
}

#[derive(Debug, Default)]
struct Progress {
    done: AtomicU64,
    skipped: AtomicU64,
}

async fn run(
    database: Database,
    (act, pace): (Action, Option<Pace>),
    selection: FailedMessageSelection,
    by: Operator,
    progress: Arc<Progress>,
) -> Result<(), Problem> {
    let began = Instant::now();
    for batch in selection.batches(CHUNK) {
        let accepted = usize::try_from(progress.done.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let pace = pace.map(|pace| pace.behind(accepted, began.elapsed()));
        let acted = database.store.act_on_selection(act, pace, batch, &by);
        let result = database.act(acted).await?;
        let done = result.iter().filter(|result| **result == ActionResult::Done).count() as u64;
        progress.done.fetch_add(done, Ordering::Relaxed);
        progress.skipped.fetch_add(result.len() as u64 - done, Ordering::Relaxed);
        tracing::info!(database = &*database.name, %act, done, by = by.name, "acted on a part of a selection");
    }
    Ok(())
}
