//! The audit of operators' actions, written in the transaction of the action.

use jiff_sqlx::ToSqlx;
use messagekit::Error;
use messagekit::adapter::OperatorRow;
use messagekit::operations::{AuditFilter, AuditRecord, Operator};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::clean;
use super::operator_row::PgColumns;
use crate::SchemaName;
use crate::error::from_sqlx;

pub(crate) const AUDIT: &str = "
INSERT INTO messagekit.admin_audit (operator, through, request_id, act, failed_messages, subject, done, outcome)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)";

/// Planned anew for each filter. The numbers of a failed message's or replay's actions are read first: with the condition in
/// place, the planner would walk all actions from the newest on.
pub(crate) const LIST: &str = "
SELECT a.id, a.at, a.operator, a.through, a.request_id, a.act AS action, a.failed_messages, a.subject, a.done
FROM messagekit.admin_audit a
WHERE a.id < $1 AND ($2::text IS NULL OR a.operator = $2) AND ($3::text IS NULL OR a.act = $3)
  AND ($4::timestamptz IS NULL OR a.at >= $4) AND ($5::timestamptz IS NULL OR a.at < $5)
  AND ($6::bigint IS NULL OR a.id = ANY (ARRAY (
    SELECT f.id FROM messagekit.admin_audit f WHERE f.failed_messages @> ARRAY[$6])))
  AND ($7::text IS NULL OR a.id = ANY (ARRAY (
    SELECT r.id FROM messagekit.admin_audit r WHERE r.subject = $7 AND r.act IN ('replay', 'cancel-replay'))))
ORDER BY a.id DESC LIMIT $8";

/// The columns of an audit row beside the operator.
pub(crate) struct AuditRow<'a> {
    pub(crate) action: &'a str,
    pub(crate) failed_messages: Option<&'a [i64]>,
    pub(crate) subject: Option<String>,
    pub(crate) done: usize,
}

/// Writes a row of the audit. It refuses an operator with a longer name than the audit keeps, and the caller rolls the action back.
pub(crate) async fn write(
    connection: &mut PgConnection,
    schema: &SchemaName,
    by: &Operator,
    row: &AuditRow<'_>,
    outcome: Option<serde_json::Value>,
) -> Result<(), Error> {
    by.check()?;
    let insert = sqlx::query(schema.sql(AUDIT))
        .bind(clean(&by.name))
        .bind(clean(&by.through))
        .bind(by.request_id.as_deref().map(clean))
        .bind(row.action)
        .bind(row.failed_messages)
        .bind(row.subject.as_deref())
        .bind(i64::try_from(row.done).unwrap_or(i64::MAX))
        .bind(outcome.map(|outcome| outcome.to_string()));
    insert.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Returns actions, newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &AuditFilter,
    limit: u32,
) -> Result<Vec<AuditRecord>, Error> {
    let select = sqlx::query(schema.sql(LIST))
        .persistent(false)
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(filter.operator.as_deref())
        .bind(filter.action.as_deref())
        .bind(filter.since.map(ToSqlx::to_sqlx))
        .bind(filter.until.map(ToSqlx::to_sqlx))
        .bind(filter.failed_message)
        .bind(filter.replay.map(|id| id.to_string()))
        .bind(i64::from(limit));
    select.fetch_all(connection).await.map_err(from_sqlx)?.iter().map(record_of).collect()
}

/// Reads a row: its number, time, operator, interface, request, action, failed messages, subject and number of effects.
pub(super) fn record_of(row: &PgRow) -> Result<AuditRecord, Error> {
    let row = PgColumns::of(row);
    let (action, subject): (String, Option<String>) = (row.get("action")?, row.get("subject")?);
    let is_replay = AuditRecord::is_of_replay(&action);
    Ok(AuditRecord {
        id: row.get("id")?,
        at: row.get("at")?,
        operator: row.get("operator")?,
        through: row.get("through")?,
        request_id: row.get("request_id")?,
        action,
        failed_messages: row.value("failed_messages")?.unwrap_or_default(),
        replay: subject.as_deref().filter(|_| is_replay).and_then(|id| id.parse().ok()),
        event_id: subject.filter(|_| !is_replay),
        done: row.get("done")?,
    })
}
