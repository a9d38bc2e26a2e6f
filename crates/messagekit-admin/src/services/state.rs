//! What a service says of itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::health::{ConsumerReady, HeldBack, Status};

/// The state of a running service, by its own `/health/ready`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceState {
    /// Its name.
    pub service: String,
    /// Its status, as bad as its worst part.
    pub status: Status,
    /// Why it is not healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
    /// The closed gate of a bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub held_back_by: Option<HeldBack>,
    /// Its consumers.
    pub consumers: Vec<ConsumerReady>,
}

/// The parts that the documents of services, bridges, relays and bookkeepers have.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    consumers: Vec<ConsumerReady>,
    problems: Vec<Fault>,
    databases: Vec<DependencyState>,
    connections: Vec<DependencyState>,
    relays: Vec<DependencyState>,
    held_back_by: Option<HeldBack>,
}

/// A problem of a bridge or a relay.
#[derive(Deserialize)]
struct Fault {
    detail: String,
}

/// A database, a connection or a relay of a service.
#[derive(Deserialize)]
struct DependencyState {
    #[serde(alias = "connection", alias = "relay")]
    database: String,
    error: Option<String>,
    status: Option<Status>,
}

impl ServiceState {
    pub(super) fn of(service: &str, is_ready: bool, document: &[u8]) -> Self {
        let Ok(document) = serde_json::from_slice::<Document>(document) else {
            return Self::silent(service, "no service of messagekit serves its health there");
        };
        // What an operator should look at leaves a service ready.
        let consumers = document.consumers.iter().map(|consumer| consumer.status);
        let relays = document.relays.iter().filter_map(|relay| relay.status);
        let worst = consumers.chain(relays).max().unwrap_or(Status::Healthy);
        let parts = document.databases.into_iter().chain(document.connections).chain(document.relays);
        let parts = parts.filter_map(|part| Some(format!("{}: {}", part.database, part.error?)));
        let faults: Vec<String> =
            document.problems.into_iter().map(|problem| problem.detail).chain(parts).collect();
        Self {
            service: service.to_owned(),
            status: if is_ready { worst } else { Status::Unhealthy },
            error: Some(faults.join("; ")).filter(|text| !text.is_empty()),
            held_back_by: document.held_back_by,
            consumers: document.consumers,
        }
    }

    pub(super) fn silent(service: &str, error: &str) -> Self {
        Self {
            service: service.to_owned(),
            status: Status::Unhealthy,
            error: Some(error.to_owned()),
            held_back_by: None,
            consumers: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_ready_is_as_well_as_its_worst_part() {
        let status =
            |is_ready, document: &str| ServiceState::of("billing", is_ready, document.as_bytes()).status;
        let consumer = r#"{"consumers": [{"consumer": "billing", "status": "degraded", "lanes": 1}]}"#;
        assert_eq!(status(true, consumer), Status::Degraded);
        assert_eq!(status(false, consumer), Status::Unhealthy);
        let relay =
            r#"{"relays": [{"relay": "shop", "status": "degraded"}, {"relay": "old", "error": null}]}"#;
        assert_eq!(status(true, relay), Status::Degraded);
        assert_eq!(status(true, "{}"), Status::Healthy);
    }
}
