//! All in one: databases, outboxes, consumers, failed messages, replays.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use messagekit::operations::{
    COUNT_LIMIT, ConsumerStatus, FailedMessageState, LagPart, OutboxStatus, PublisherState, StateCount,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::database::{Database, Unreachable, Which, ask_all};
use crate::parameters::Query;
use crate::problem::Problem;
use crate::services::{ServiceState, ask_services};
use crate::{InDatabase, Service};

/// The state of all databases and services. Each count is at most 10000, which means at least as many.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusDocument {
    #[schema(value_type = String, format = DateTime)]
    /// When it was made, by the clock of this program.
    pub at: Timestamp,
    /// The databases.
    pub databases: Vec<DatabaseState>,
    /// The running services that the admin knows, by their own health.
    pub services: Vec<ServiceState>,
    /// Databases that did not answer.
    pub unreachable: Vec<Unreachable>,
}

/// The state of one database.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatabaseState {
    /// Its name.
    pub database: String,
    /// Its outbox.
    pub outbox: OutboxState,
    /// Its consumers.
    pub consumers: Vec<InDatabase<ConsumerStatus>>,
    /// Why the consumers and their failed messages are missing, if they could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub consumers_missing: Option<&'static str>,
    /// The failed messages of all consumers by state; a state without any is missing.
    pub failed_messages: Vec<StateCount>,
}

/// The state of an outbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutboxState {
    /// How far the publisher is.
    pub publisher: PublisherState,
    /// Events that are not proven to be published; null, as every number here, if it could not be read, which `problems` names.
    pub pending: Option<u64>,
    /// The age of the oldest of them; of the oldest that was read where the count stopped; null without any.
    pub oldest_seconds: Option<f64>,
    /// What keeps events from being published, as `/health/outbox` says it.
    pub problems: Vec<String>,
    /// Events that wait for their time.
    pub delayed: Option<u64>,
    /// Events that the broker has refused.
    pub rejected: Option<u64>,
    /// Replays that are running.
    pub running_replays: Option<u64>,
}

/// Show all at a glance: databases, outboxes, consumers, failed messages, replays, services
#[utoipa::path(
    get, path = "/api/v1/status", tag = "status", operation_id = "status",
    params(Which),
    responses((status = 200, body = StatusDocument), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn show(
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<StatusDocument>, Problem> {
    document(app.databases.meant(which.database.as_deref())?, &app.services).await.map(Json)
}

pub(crate) async fn document(
    databases: &[Database],
    services: &[Service],
) -> Result<StatusDocument, Problem> {
    let answers = ask_all(databases, |database| async move {
        let consumers = database.part(database.store.consumer_statuses());
        tokio::try_join!(database.store.outbox_status(), consumers)
    });
    let (answers, services) = tokio::join!(answers, ask_services(services));
    let answers = answers?;
    let databases = answers
        .answered
        .into_iter()
        .map(|(database, (outbox, consumers))| DatabaseState::of(&database.name, outbox, consumers));
    let unreachable = answers.unreachable;
    Ok(StatusDocument { at: Timestamp::now(), databases: databases.collect(), services, unreachable })
}

impl DatabaseState {
    fn of(
        database: &str,
        outbox: OutboxStatus,
        consumers: Result<Vec<ConsumerStatus>, &'static str>,
    ) -> Self {
        let (consumers, consumers_missing) = match consumers {
            Ok(consumers) => (consumers, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
        for StateCount { state, failed_messages } in
            consumers.iter().flat_map(|consumer| &consumer.failed_messages)
        {
            let order = FailedMessageState::ALL.iter().position(|known| known == state).unwrap_or_default();
            let sum = counts.entry(order).or_default();
            *sum = (*sum + failed_messages).min(COUNT_LIMIT.into());
        }
        let failed_messages = counts.into_iter().filter_map(|(order, failed_messages)| {
            let state = FailedMessageState::ALL.get(order)?;
            Some(StateCount { state: *state, failed_messages })
        });
        Self {
            database: database.to_owned(),
            outbox: outbox.into(),
            failed_messages: failed_messages.collect(),
            consumers_missing,
            consumers: InDatabase::all(database, consumers),
        }
    }
}

impl From<OutboxStatus> for OutboxState {
    fn from(status: OutboxStatus) -> Self {
        let OutboxStatus { publisher, lag, delayed, rejected, running_replays } = status;
        let others = lag.is_known(LagPart::Others);
        let other = |count: u64| others.then_some(count);
        Self {
            publisher,
            pending: lag.is_known(LagPart::Pending).then_some(lag.pending),
            oldest_seconds: lag.oldest.map(|age| age.as_secs_f64()),
            problems: lag.problems,
            delayed: other(delayed),
            rejected: other(rejected),
            running_replays: other(running_replays),
        }
    }
}
