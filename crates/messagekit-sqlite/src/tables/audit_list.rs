//! Operators' reads of the audit: only the conditions of a filter, so that an index can serve it.

use messagekit::Error;
use messagekit::operations::{AuditFilter, AuditRecord};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::{audit, micros_of, operator_row};

/// Returns actions, newest first.
pub(crate) fn list(conn: &Connection, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRecord>, Error> {
    let (sql, mut values) = statement(filter);
    values.push(Value::Integer(limit.into()));
    operator_row::list_by(conn, &sql, params_from_iter(values), audit::read)
}

/// Returns the statement of a filter, and its values without the limit.
pub(crate) fn statement(filter: &AuditFilter) -> (String, Vec<Value>) {
    let of = |is_replay: i64| {
        format!(
            "a.id IN (SELECT i.audit_id FROM messagekit_admin_audit_ids i WHERE i.is_replay = {is_replay} AND i.id = ?)"
        )
    };
    let conditions = [
        ("a.id < ?".to_owned(), filter.before.map(Value::Integer)),
        ("a.operator = ?".to_owned(), filter.operator.clone().map(Value::Text)),
        ("a.action = ?".to_owned(), filter.action.clone().map(Value::Text)),
        ("a.acted_at >= ?".to_owned(), filter.since.map(micros_of).map(Value::Integer)),
        ("a.acted_at < ?".to_owned(), filter.until.map(micros_of).map(Value::Integer)),
        (of(0), filter.failed_message.map(Value::Integer)),
        (of(1), filter.replay.map(Value::Integer)),
    ];
    let (mut texts, mut values) = (vec!["true".to_owned()], Vec::new());
    for (text, value) in conditions {
        if let Some(value) = value {
            texts.push(text);
            values.push(value);
        }
    }
    let sql = format!(
        "SELECT {} FROM messagekit_admin_audit a WHERE {} ORDER BY a.id DESC LIMIT ?",
        audit::COLUMNS,
        texts.join(" AND ")
    );
    (sql, values)
}
