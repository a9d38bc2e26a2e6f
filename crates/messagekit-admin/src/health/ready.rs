//! Liveness of the process, and readiness of its databases.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use messagekit::Stats;
use messagekit::consumer::Connection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dependencies::Dependencies;
use super::held_back::HeldBack;
use super::lag::Lag;
use super::limits::HealthLimits;
use super::measure;
use super::relay_ready::RelayReady;
use super::status::Status;
use crate::parameters::{Nothing, Query};

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Live {
    status: Status,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
}

/// Check that the process answers; queries no database
#[utoipa::path(get, path = "/health/live", tag = "health", operation_id = "live", responses((status = 200, body = Live)))]
pub(crate) async fn live(_nothing: Query<Nothing>) -> Json<Live> {
    Json(Live { status: Status::Healthy, timestamp: Timestamp::now() })
}

/// Check that the process answers, under the path of earlier versions
#[utoipa::path(get, path = "/health", tag = "earlier paths", operation_id = "earlier_live", responses((status = 200, body = Live)))]
pub(crate) async fn seed(nothing: Query<Nothing>) -> Json<Live> {
    live(nothing).await
}

/// Whether every database answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    status: Status,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    databases: Vec<DatabaseReady>,
    /// Other dependencies, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    connections: Vec<ConnectionReady>,
    /// Consumers of this process, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    consumers: Vec<ConsumerReady>,
    /// Relays of this process, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    relays: Vec<RelayReady>,
}

/// Whether a dependency other than the databases works.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionReady {
    connection: String,
    status: Status,
    /// The fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

/// The state of a consumer.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ConsumerReady {
    /// Its name.
    pub consumer: String,
    /// Its status.
    pub status: Status,
    /// The fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
    /// What an operator should look at, although it works: messages older than its dedup window that may return, or that it is too far behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// The number of its partitions and queues.
    #[serde(default)]
    pub lanes: u64,
    /// How far it is behind in all of them; missing while its backend does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub lag: Option<Lag>,
    /// The closed gate: a pause, not a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub held_back_by: Option<HeldBack>,
    /// The number of its partitions or queues that a message blocks, if any: an operator must look.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub blocked: Option<u64>,
    /// Their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked_lanes: Vec<String>,
}

impl ConsumerReady {
    fn of(consumer: &str, stats: &Stats, limits: &HealthLimits) -> Self {
        let Connection { lanes, blocked, blocked_lanes, trouble, ended } = stats.connection();
        let ended = ended.map(|how| format!("its run has ended: {how}"));
        let (error, mut findings, lag) = (ended.or(trouble), stats.outside_window(), Lag::of(stats));
        findings.extend(lag.as_ref().and_then(|lag| limits.exceeded_by(lag)));
        Self {
            consumer: consumer.to_owned(),
            status: Status::of(error.as_ref(), &findings),
            error,
            findings,
            lanes,
            lag,
            held_back_by: stats.held_back_by().map(HeldBack::of),
            blocked: Some(blocked).filter(|lanes| *lanes > 0),
            blocked_lanes: blocked_lanes.iter().map(|name| name.to_string()).collect(),
        }
    }
}

/// Whether a database answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatabaseReady {
    database: String,
    status: Status,
    /// The fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<&'static str>,
}

/// Ping every database, each with a limit of 5 seconds
#[utoipa::path(
    get, path = "/health/ready", tag = "health", operation_id = "ready",
    responses((status = 200, body = Ready), (status = 503, description = "A database does not answer, or a connection, a consumer or a relay does not work", body = Ready))
)]
pub(crate) async fn ready(
    State(Dependencies { outboxes, connections, consumers, relays, limits }): State<Dependencies>,
    _nothing: Query<Nothing>,
) -> (StatusCode, Json<Ready>) {
    let databases: Vec<DatabaseReady> = measure::ping(&outboxes)
        .await
        .into_iter()
        .map(|(name, answer)| DatabaseReady {
            database: name.to_owned(),
            status: Status::of(answer.as_ref().err(), &[]),
            error: answer.err(),
        })
        .collect();
    let connections: Vec<ConnectionReady> = connections
        .iter()
        .map(|(name, look)| (name.clone(), look()))
        .map(|(connection, error)| ConnectionReady {
            connection,
            status: Status::of(error.as_ref(), &[]),
            error,
        })
        .collect();
    let consumers: Vec<ConsumerReady> =
        consumers.iter().map(|(name, stats)| ConsumerReady::of(name, stats, &limits)).collect();
    let relays: Vec<RelayReady> = relays.iter().map(|(name, stats)| RelayReady::of(name, stats)).collect();
    let parts = databases.iter().map(|one| one.status);
    let parts = parts.chain(connections.iter().map(|one| one.status));
    let parts = parts.chain(consumers.iter().map(|one| one.status));
    let parts = parts.chain(relays.iter().map(|one| one.status));
    let status = parts.max().unwrap_or(Status::Healthy);
    // What an operator should look at is no reason to send requests elsewhere: every process of the service has it.
    let is_ready = if status == Status::Degraded { Status::Healthy } else { status };
    (
        code(is_ready),
        Json(Ready { status, timestamp: Timestamp::now(), databases, connections, consumers, relays }),
    )
}

pub(super) fn code(status: Status) -> StatusCode {
    if status == Status::Healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
