//! The audit: what operators did.

use jiff::Timestamp;
use serde::Serialize;

use crate::Error;
use crate::store::BoxFuture;

/// What an operator can do, as [`AuditRecord::action`] spells it.
pub const AUDIT_ACTIONS: [&str; 7] =
    ["retry", "discard", "undo", "replay", "cancel-replay", "retry-rejected", "discard-rejected"];

/// One action of an operator, written in the transaction of the action, also when it changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditRecord {
    /// Its number; later actions have greater ones.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub id: i64,
    /// When it was written, by the database's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// The operator.
    pub operator: String,
    /// The interface that received it: `cli` or `http`.
    pub through: String,
    /// The id of the request, if there was one.
    pub request_id: Option<String>,
    /// `retry`, `discard`, `undo`, `replay`, `cancel-replay`, `retry-rejected` or `discard-rejected`.
    pub action: String,
    /// The failed messages that were selected.
    pub failed_messages: Vec<i64>,
    /// The replay that was ordered or cancelled.
    pub replay: Option<i64>,
    /// The rejected event, where the database keeps its id.
    pub event_id: Option<String>,
    /// For how many of the selected ones the action did something.
    pub done: u64,
}

impl AuditRecord {
    /// Returns whether an action is on a replay.
    pub fn is_of_replay(action: &str) -> bool {
        ["replay", "cancel-replay"].contains(&action)
    }
}

/// Selects actions of operators; an empty filter selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those of this operator.
    pub operator: Option<String>,
    /// Only those of this kind, such as `retry`.
    pub action: Option<String>,
    /// Only those written at or after this time.
    pub since: Option<Timestamp>,
    /// Only those written before this time.
    pub until: Option<Timestamp>,
    /// Only those on this failed message.
    pub failed_message: Option<i64>,
    /// Only those on this replay.
    pub replay: Option<i64>,
    /// Only those below this number: the last one of the previous page.
    pub before: Option<i64>,
}

/// Reads the audit. The store writes it in the transaction of each action, and nothing removes it.
pub trait Audit: Send + Sync {
    /// Returns at most `limit` actions, newest first.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn audit_records<'a>(
        &'a self,
        filter: &'a AuditFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<AuditRecord>, Error>>;
}
