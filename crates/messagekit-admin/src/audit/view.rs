//! The JSON form of an action of an operator.

use jiff::Timestamp;
use messagekit::operations::AuditRecord;
use serde::Serialize;
use utoipa::ToSchema;

/// An action of an operator.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActionView {
    /// The database it was written to.
    database: String,
    /// Its number there.
    #[schema(minimum = 1)]
    id: i64,
    /// When it was written, by the database's clock.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    operator: String,
    /// The interface that received it: `cli` or `http`.
    through: String,
    request_id: Option<String>,
    /// `retry`, `discard`, `undo`, `replay`, `cancel-replay`, `retry-rejected` or `discard-rejected`.
    action: String,
    /// The failed messages that were selected.
    failed_messages: Vec<i64>,
    /// The replay that was ordered or cancelled.
    replay: Option<i64>,
    /// The event that was rejected.
    event_id: Option<String>,
    /// For how many of them the action did something.
    done: u64,
}

impl ActionView {
    pub(crate) fn of(database: &str, record: AuditRecord) -> Self {
        Self {
            database: database.to_owned(),
            id: record.id,
            at: record.at,
            operator: record.operator,
            through: record.through,
            request_id: record.request_id,
            action: record.action,
            failed_messages: record.failed_messages,
            replay: record.replay,
            event_id: record.event_id,
            done: record.done,
        }
    }
}
