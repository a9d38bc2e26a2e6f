//! Whether events leave the outbox.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use messagekit::operations::{LagPart, OutboxLag};
use serde::Serialize;
use utoipa::ToSchema;

use super::dependencies::Dependencies;
use super::limits::HealthLimits;
use super::measure;
use super::ready::code;
use super::status::Status;
use crate::parameters::{Nothing, Query};

/// Whether databases answer and events are published: sums and worst values over all, then each database.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutboxView {
    status: Status,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    checks: Checks,
    databases: Vec<DatabaseOutbox>,
}

/// The checks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Checks {
    database: DatabaseCheck,
    outbox: OutboxCheck,
}

/// Whether it answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatabaseCheck {
    status: Status,
    /// The fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

/// Whether events are published.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutboxCheck {
    status: Status,
    /// The number of events that are not provably published, of each database at most 10000, which means at least as many; null while a
    /// database does not answer, or if they could not be read.
    pending_count: Option<u64>,
    /// The age of the oldest of them; null if there is none, or if a database does not answer.
    oldest_event_age_seconds: Option<f64>,
    /// The obstacles.
    problems: Vec<String>,
}

/// One database.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatabaseOutbox {
    database: String,
    status: Status,
    checks: Checks,
}

/// Measure whether events are published
///
/// `degraded` if the oldest event waits for too long, if too many events wait for more than 10 seconds, or if there is an
/// obstacle; `unhealthy` if a database does not answer. The limits are 300 seconds and 1000 events, unless the process sets others.
#[utoipa::path(
    get, path = "/health/outbox", tag = "health", operation_id = "outbox",
    responses((status = 200, body = OutboxView), (status = 503, description = "It is not well", body = OutboxView))
)]
pub(crate) async fn outbox(
    State(Dependencies { outboxes, limits, .. }): State<Dependencies>,
    _nothing: Query<Nothing>,
) -> (StatusCode, Json<OutboxView>) {
    let said = measure::lag(&outboxes).await;
    let databases: Vec<DatabaseOutbox> = said
        .iter()
        .map(|(name, lag)| DatabaseOutbox::of(name, lag.as_ref().map_err(|error| *error), &limits))
        .collect();
    let status = databases.iter().map(|one| one.status).max().unwrap_or(Status::Healthy);
    let checks = together(&databases);
    let view = OutboxView { status, timestamp: Timestamp::now(), checks, databases };
    (code(status), Json(view))
}

impl DatabaseOutbox {
    fn of(name: &str, lag: Result<&OutboxLag, &str>, limits: &HealthLimits) -> Self {
        let checks = match lag {
            Ok(lag) => Checks {
                database: DatabaseCheck { status: Status::Healthy, error: None },
                outbox: OutboxCheck {
                    status: judged(lag, limits),
                    pending_count: lag.is_known(LagPart::Pending).then_some(lag.pending),
                    oldest_event_age_seconds: lag.oldest.map(|age| age.as_secs_f64()),
                    problems: lag.problems.clone(),
                },
            },
            Err(error) => Checks {
                database: DatabaseCheck { status: Status::Unhealthy, error: Some(error.to_owned()) },
                outbox: OutboxCheck {
                    status: Status::Unhealthy,
                    pending_count: None,
                    oldest_event_age_seconds: None,
                    problems: Vec::new(),
                },
            },
        };
        let status = checks.database.status.max(checks.outbox.status);
        Self { database: name.to_owned(), status, checks }
    }
}

fn judged(lag: &OutboxLag, limits: &HealthLimits) -> Status {
    let stale = lag.oldest.is_some_and(|age| age > limits.oldest_event);
    match stale || lag.overdue > limits.overdue_events || !lag.problems.is_empty() {
        true => Status::Degraded,
        false => Status::Healthy,
    }
}

fn together(databases: &[DatabaseOutbox]) -> Checks {
    let several = databases.len() > 1;
    let of = |name: &str, text: &str| if several { format!("{name}: {text}") } else { text.to_owned() };
    let errors =
        databases.iter().filter_map(|one| Some(of(&one.database, one.checks.database.error.as_ref()?)));
    let errors: Vec<String> = errors.collect();
    let problems = databases
        .iter()
        .flat_map(|one| one.checks.outbox.problems.iter().map(|problem| of(&one.database, problem)));
    let status = |part: fn(&Checks) -> Status| {
        databases.iter().map(|one| part(&one.checks)).max().unwrap_or(Status::Healthy)
    };
    let pending = databases.iter().map(|one| one.checks.outbox.pending_count);
    let ages = databases.iter().filter_map(|one| one.checks.outbox.oldest_event_age_seconds);
    Checks {
        database: DatabaseCheck {
            status: status(|checks| checks.database.status),
            error: (!errors.is_empty()).then(|| errors.join("; ")),
        },
        outbox: OutboxCheck {
            status: status(|checks| checks.outbox.status),
            pending_count: pending.sum(),
            oldest_event_age_seconds: ages.reduce(f64::max).filter(|_| errors.is_empty()),
            problems: problems.collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DEFAULT: HealthLimits = HealthLimits::new();

    fn lag(pending: u64, overdue: u64, oldest: u64) -> OutboxLag {
        OutboxLag { pending, overdue, oldest: Some(Duration::from_secs(oldest)), ..OutboxLag::default() }
    }

    #[test]
    fn a_burst_is_well_and_a_backlog_is_not() {
        assert_eq!(judged(&lag(100_000, 1_000, 300), &DEFAULT), Status::Healthy);
        assert_eq!(judged(&lag(1, 1, 301), &DEFAULT), Status::Degraded);
        assert_eq!(judged(&lag(1_001, 1_001, 11), &DEFAULT), Status::Degraded);
        let slot = OutboxLag { problems: vec!["the slot is lost".to_owned()], ..lag(0, 0, 0) };
        assert_eq!(judged(&slot, &DEFAULT), Status::Degraded);
    }

    #[test]
    fn a_backlog_is_what_the_limits_say() {
        let wide = DEFAULT.oldest_event(Duration::from_secs(900)).overdue_events(5_000);
        assert_eq!(judged(&lag(9_000, 5_000, 900), &wide), Status::Healthy);
        assert_eq!(judged(&lag(1, 1, 901), &wide), Status::Degraded);
        assert_eq!(judged(&lag(5_001, 5_001, 11), &wide), Status::Degraded);
    }

    #[test]
    fn a_database_that_does_not_answer_leaves_no_sum() {
        let well = || [("shop", lag(2, 0, 4)), ("billing", lag(3, 0, 9))];
        let view = |(name, lag): (&str, OutboxLag)| DatabaseOutbox::of(name, Ok(&lag), &DEFAULT);
        let mut all: Vec<_> = well().into_iter().map(view).collect();
        let two = together(&all);
        assert_eq!((two.outbox.pending_count, two.outbox.oldest_event_age_seconds), (Some(5), Some(9.0)));

        all.push(DatabaseOutbox::of("stock", Err("does not answer"), &DEFAULT));
        let three = together(&all);
        assert_eq!((three.outbox.pending_count, three.outbox.oldest_event_age_seconds), (None, None));
        assert_eq!(three.database.error.as_deref(), Some("stock: does not answer"));
    }
}
