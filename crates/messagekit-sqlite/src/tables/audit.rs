//! The audit of operators' actions, written in the transaction of the action.

use messagekit::Error;
use messagekit::adapter::OperatorRow;
use messagekit::operations::{AuditRecord, Operator};
use rusqlite::Connection;

use super::count;
use super::operator_row::SqliteRow;
use crate::error::from_sqlite;

/// The columns that [`read`] reads, of rows `a`.
pub(crate) const COLUMNS: &str =
    "a.id, a.acted_at AS at, a.operator, a.through, a.request_id, a.action, a.ids, a.event_id, a.done";

/// Writes one row for one action on failed messages or a replay.
pub(crate) fn write(
    conn: &Connection,
    by: &Operator,
    action: &str,
    ids: &[i64],
    done: usize,
    now: i64,
) -> Result<(), Error> {
    let row = insert(conn, by, action, ids, None, done, now)?;
    let note = || {
        let mut note = conn.prepare_cached(
            "INSERT OR IGNORE INTO messagekit_admin_audit_ids (is_replay, id, audit_id) VALUES (?1, ?2, ?3)",
        )?;
        let is_replay = AuditRecord::is_of_replay(action);
        ids.iter().try_for_each(|id| note.execute((is_replay, id, row)).map(drop))
    };
    note().map_err(from_sqlite)
}

/// Writes one row for one action on a rejected event, whose number is not used again.
pub(crate) fn write_of_event(
    conn: &Connection,
    by: &Operator,
    action: &str,
    (id, event): (i64, Option<&str>),
    done: usize,
    now: i64,
) -> Result<(), Error> {
    insert(conn, by, action, &[id], event, done, now).map(drop)
}

fn insert(
    conn: &Connection,
    by: &Operator,
    action: &str,
    ids: &[i64],
    event: Option<&str>,
    done: usize,
    now: i64,
) -> Result<i64, Error> {
    let ids = serde_json::to_string(ids).expect("numbers are JSON");
    let row = (now, &by.name, &by.through, by.request_id.as_deref(), action, ids, event, count(done));
    conn.prepare_cached(
        "INSERT INTO messagekit_admin_audit (acted_at, operator, through, request_id, action, ids, event_id, done)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
    )
    .and_then(|mut insert| insert.query_row(row, |row| row.get(0)))
    .map_err(from_sqlite)
}

/// Reads the columns of [`COLUMNS`].
pub(crate) fn read(row: &SqliteRow<'_>) -> Result<AuditRecord, Error> {
    let action: String = row.get("action")?;
    let ids: Vec<i64> = serde_json::from_str(&row.get::<String>("ids")?).unwrap_or_default();
    let is_of_messages = ["retry", "discard", "undo"].contains(&action.as_str());
    Ok(AuditRecord {
        id: row.get("id")?,
        at: row.get("at")?,
        operator: row.get("operator")?,
        through: row.get("through")?,
        request_id: row.get("request_id")?,
        replay: ids.first().copied().filter(|_| AuditRecord::is_of_replay(&action)),
        failed_messages: if is_of_messages { ids } else { Vec::new() },
        action,
        event_id: row.get("event_id")?,
        done: row.get("done")?,
    })
}
