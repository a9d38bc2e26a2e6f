//! The audit of operators' actions, written in the transaction of the action.

use messagekit::operations::Operator;
use rusqlite::{Connection, Result};

use super::count;

/// Writes one row for one action.
pub(crate) fn write(
    conn: &Connection,
    by: &Operator,
    action: &str,
    ids: &[i64],
    done: usize,
    now: i64,
) -> Result<()> {
    let ids = serde_json::to_string(ids).expect("numbers are JSON");
    conn.prepare_cached(
        "INSERT INTO messagekit_admin_audit (acted_at, operator, through, request_id, action, ids, done)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((now, &by.name, &by.through, by.request_id.as_deref(), action, ids, count(done)))
    .map(drop)
}
