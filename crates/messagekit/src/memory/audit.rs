//! Audit of operators' actions in memory.

use jiff::Timestamp;

use super::store::Tables;
use crate::failed_messages::Operator;

/// Holds one audit row: the operator, the action, and its failed messages or replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Time of the action.
    pub at: Timestamp,
    /// Name of the operator.
    pub by: String,
    /// The interface that received the action.
    pub through: String,
    /// The request id, if there is one.
    pub request_id: Option<String>,
    /// The action: `retry`, `discard`, `undo`, `replay`, `cancel-replay`.
    pub action: String,
    /// The selected failed messages, or the replay.
    pub ids: Vec<i64>,
    /// How many of them the action applied to.
    pub done: u64,
}

impl Tables {
    pub(super) fn write_down(&mut self, at: Timestamp, by: &Operator, action: &str, ids: &[i64], done: u64) {
        let Operator { name, through, request_id } = by.clone();
        let (action, ids) = (action.to_owned(), ids.to_vec());
        self.audit.push(AuditEntry { at, by: name, through, request_id, action, ids, done });
    }
}
