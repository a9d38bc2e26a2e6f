//! The state of a relay.

use messagekit::relay::Stats;
use serde::Serialize;
use utoipa::ToSchema;

use super::held_back::HeldBack;
use super::status::Status;

/// Whether a relay reads its outbox and the broker accepts its events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RelayReady {
    relay: String,
    pub(super) status: Status,
    /// Why it does not read its outbox: an outage, or its run has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
    /// The topics that the broker does not accept at the moment. Their events wait, and others are published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    findings: Vec<String>,
    /// The closed gate: a pause, not a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    held_back_by: Option<HeldBack>,
    /// The shards of the outbox that it owns. Another relay owns the others.
    shards: u64,
}

impl RelayReady {
    pub(super) fn of(relay: &str, stats: &Stats) -> Self {
        let now = stats.read();
        let outage = now.database.map(|outage| {
            format!("its database does not answer for {} s: {}", outage.since.as_secs(), outage.error)
        });
        let error = outage.or(now.ended.then(|| "its run has ended".to_owned()));
        let paused = now.paused.into_iter().map(|paused| {
            let (topic, seconds) = (paused.topic, paused.since.as_secs());
            format!("the broker does not accept topic {topic} for {seconds} s: {}", paused.error)
        });
        let findings: Vec<String> = paused.collect();
        let status = Status::of(error.as_ref(), &findings);
        let held_back_by = stats.held_back_by().map(HeldBack::of);
        Self { relay: relay.to_owned(), status, error, findings, held_back_by, shards: now.shards }
    }
}
