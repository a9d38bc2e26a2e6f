//! Audit of operators' actions in memory.

use jiff::Timestamp;
use messagekit::operations::{AuditRecord, Operator};

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

impl AuditEntry {
    pub(super) fn new(at: Timestamp, by: &Operator, action: &str, ids: &[i64], done: u64) -> Self {
        let Operator { name, through, request_id } = by.clone();
        let (action, ids) = (action.to_owned(), ids.to_vec());
        Self { at, by: name, through, request_id, action, ids, done }
    }
}

/// Returns an entry of the audit in the operators' form.
pub(super) fn audit_record(index: usize, entry: &AuditEntry) -> AuditRecord {
    let is_replay = entry.action.ends_with("replay");
    AuditRecord {
        id: index as i64 + 1,
        at: entry.at,
        operator: entry.by.clone(),
        through: entry.through.clone(),
        request_id: entry.request_id.clone(),
        action: entry.action.clone(),
        failed_messages: if is_replay { Vec::new() } else { entry.ids.clone() },
        replay: entry.ids.first().copied().filter(|_| is_replay),
        event_id: None,
        done: entry.done,
    }
}
