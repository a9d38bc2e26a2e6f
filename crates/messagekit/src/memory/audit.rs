//! What is written down about people's acts, in memory.

use jiff::Timestamp;

use super::store::Tables;
use crate::failed_messages::Operator;

/// A row of the audit: who did what, to which failed messages or replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who, by name.
    pub by: String,
    /// Where the act came in.
    pub through: String,
    /// The request, where there was one.
    pub request_id: Option<String>,
    /// What: `retry`, `discard`, `undo`, `replay`, `cancel-replay`.
    pub action: String,
    /// The failed messages, or the replay, that were named.
    pub ids: Vec<i64>,
    /// To how many of them it was done.
    pub done: u64,
}

impl Tables {
    pub(super) fn write_down(&mut self, at: Timestamp, by: &Operator, action: &str, ids: &[i64], done: u64) {
        let Operator { name, through, request_id } = by.clone();
        let (action, ids) = (action.to_owned(), ids.to_vec());
        self.audit.push(AuditEntry { at, by: name, through, request_id, action, ids, done });
    }
}
