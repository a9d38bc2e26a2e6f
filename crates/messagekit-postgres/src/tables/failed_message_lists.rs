//! Operators' reads of failed messages: lists, one failed message, totals, groups.
//!
//! A list never reads a payload. These statements are planned anew for each filter, because no plan suits all of them.
//! Only the usual first pages have cached plans, because one index serves them whatever the table holds.

use jiff_sqlx::ToSqlx;
use messagekit::Error;
use messagekit::operations::{
    FailedMessage, FailedMessageFilter, FailedMessageGroup, FailedMessageHead, FailedMessageState,
    FailedMessageTotal, no_failed_message,
};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};

use super::key_hash::key_hash;
use super::operator_row;
use crate::SchemaName;
use crate::error::from_sqlx;

/// The condition of every statement over many failed messages; [`filtered`] binds its parameters.
macro_rules! matching {
    () => {
        "d.id < $1 AND d.id > $2 AND ($3::text IS NULL OR d.consumer = $3) AND ($4::text IS NULL OR d.state = $4)
  AND ($5::text IS NULL OR d.origin = $5) AND ($6::text IS NULL OR d.event_type = $6) AND ($7::text IS NULL OR d.kind = $7)
  AND ($8::text IS NULL OR d.fingerprint = $8) AND ($9::bytea IS NULL OR (d.key_hash = $10 AND d.key = $9))
  AND ($11::timestamptz IS NULL OR d.set_aside_at >= $11) AND ($12::timestamptz IS NULL OR d.set_aside_at < $12)
  AND (NOT $13 OR d.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested'))"
    };
}

pub(super) use matching;

macro_rules! head {
    () => {
        r#"d.id, d.consumer, d.origin, d.return_to, d.message_id, d.topic, d.position_topic, d.partition, d."offset", d.key,
  d.event_type, d.state, d.reason, d.attempts, d.crash_count, d.due, d.kind, d.error, d.fingerprint, d.set_aside_at,
  d.changed_at, d.parked, CASE WHEN d.parked AND d.state IN ('retry_scheduled', 'dead', 'retry_requested') THEN (
    SELECT k.count - 1 FROM messagekit.blocked_keys k WHERE k.consumer = d.consumer AND k.topic = d.topic AND k.key_hash = d.key_hash)
  END AS holds_back,
  octet_length(d.payload)::bigint AS payload_bytes"#
    };
}

pub(super) use head;

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    head!(),
    " FROM messagekit.failed_messages d WHERE ",
    matching!(),
    " ORDER BY d.id DESC LIMIT $14"
);

/// [`LIST`] without a filter.
pub(crate) const PAGE: &str = concat!(
    "SELECT ",
    head!(),
    " FROM messagekit.failed_messages d WHERE d.id < $1 AND d.id > $2 ORDER BY d.id DESC LIMIT $3"
);

/// [`LIST`] of one state. The condition and the order use state and id together, so that no other index looks as good to
/// the planner: the index of ids would scan failed messages in every other state.
pub(crate) const PAGE_OF_STATE: &str = concat!(
    "SELECT ",
    head!(),
    " FROM messagekit.failed_messages d WHERE (d.state, d.id) < ($3::text, $1) AND (d.state, d.id) > ($3, $2)
ORDER BY d.state DESC, d.id DESC LIMIT $4"
);

/// The first page of [`PAGE_OF_STATE`]. A range of one state, because an equality would make the planner use the index of
/// ids again.
pub(crate) const FIRST_OF_STATE: &str = concat!(
    "SELECT ",
    head!(),
    " FROM messagekit.failed_messages d WHERE d.state >= $1 AND d.state <= $1
ORDER BY d.state DESC, d.id DESC LIMIT $2"
);

pub(crate) const SHOW: &str = concat!(
    "SELECT ",
    head!(),
    ", d.headers, d.payload, d.failed_runs::text AS failed_runs FROM messagekit.failed_messages d WHERE d.id = $1"
);

pub(crate) const TOTALS: &str = concat!(
    "SELECT d.consumer, d.state, count(*) AS failed_messages FROM messagekit.failed_messages d WHERE ",
    matching!(),
    " GROUP BY d.consumer, d.state ORDER BY d.consumer"
);

pub(crate) const GROUPS: &str = concat!(
    "SELECT g.*, (SELECT n.error FROM messagekit.failed_messages n WHERE n.id = g.newest) AS error FROM (
  SELECT d.fingerprint, d.consumer, d.event_type, d.kind, count(*) AS failed_messages, min(d.set_aside_at) AS first,
    max(d.set_aside_at) AS last, max(d.id) AS newest
  FROM messagekit.failed_messages d WHERE ",
    matching!(),
    " GROUP BY d.fingerprint, d.consumer, d.event_type, d.kind ORDER BY failed_messages DESC, newest DESC LIMIT $14) g
ORDER BY g.failed_messages DESC, g.newest DESC"
);

/// Prepares a statement with the parameters of a filter, which are its first thirteen.
pub(super) fn filtered<'a>(
    schema: &SchemaName,
    text: &'static str,
    filter: &'a FailedMessageFilter,
) -> Query<'a, Postgres, PgArguments> {
    sqlx::query(schema.sql(text))
        .persistent(false)
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(filter.after.unwrap_or(i64::MIN))
        .bind(filter.consumer.as_deref())
        .bind(filter.state.map(FailedMessageState::as_str))
        .bind(filter.origin.map(|origin| origin.as_str()))
        .bind(filter.event_type.as_deref())
        .bind(filter.kind.as_deref())
        .bind(filter.fingerprint.as_deref())
        .bind(filter.key.as_deref())
        .bind(filter.key.as_deref().map(key_hash))
        .bind(filter.since.map(ToSqlx::to_sqlx))
        .bind(filter.until.map(ToSqlx::to_sqlx))
        .bind(filter.is_open)
}

/// Returns failed messages without their messages, newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &FailedMessageFilter,
    limit: u32,
) -> Result<Vec<FailedMessageHead>, Error> {
    let (before, after) = (filter.before.unwrap_or(i64::MAX), filter.after.unwrap_or(i64::MIN));
    let kept = |text| sqlx::query(AssertSqlSafe(limited(schema, text, limit)));
    let select = match filter {
        filter if !is_usual(filter) => filtered(schema, LIST, filter).bind(i64::from(limit)),
        FailedMessageFilter { state: None, .. } => kept(PAGE).bind(before).bind(after),
        FailedMessageFilter { state: Some(state), before: None, after: None, .. } => {
            let text = limited(schema, FIRST_OF_STATE, limit).replace("$1", &format!("'{state}'"));
            sqlx::query(AssertSqlSafe(text))
        }
        FailedMessageFilter { state: Some(state), .. } => {
            kept(PAGE_OF_STATE).bind(before).bind(after).bind(state.as_str())
        }
    };
    operator_row::list(connection, select).await
}

/// Returns whether the filter is a usual one, whose statement a connection may cache.
fn is_usual(filter: &FailedMessageFilter) -> bool {
    let FailedMessageFilter { state, before, after, .. } = filter.clone();
    *filter == FailedMessageFilter { state, before, after, ..FailedMessageFilter::default() }
}

/// Writes the row limit into the statement's end. The planner overestimates a limit given as a parameter, and then plans
/// the statement for each call.
fn limited(schema: &SchemaName, text: &'static str, limit: u32) -> String {
    let text = schema.sql(text).0;
    let (rest, _) = text.rsplit_once('$').unwrap_or((&text, ""));
    format!("{rest}{limit}")
}

/// Returns one failed message.
pub(crate) async fn show(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i64,
) -> Result<FailedMessage, Error> {
    let select = sqlx::query(schema.sql(SHOW)).bind(id);
    let row = select.fetch_optional(connection).await.map_err(from_sqlx)?;
    operator_row::read(&row.ok_or_else(|| no_failed_message(id))?)
}

/// Counts failed messages by consumer and state.
pub(crate) async fn totals(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &FailedMessageFilter,
) -> Result<Vec<FailedMessageTotal>, Error> {
    let mut totals: Vec<FailedMessageTotal> =
        operator_row::list(connection, filtered(schema, TOTALS, filter)).await?;
    // Here, as a server may sort names by the rules of a language.
    totals.sort_by(|a, b| (&a.consumer, a.state).cmp(&(&b.consumer, b.state)));
    Ok(totals)
}

/// Counts failed messages with equal failures, the largest group first.
pub(crate) async fn groups(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &FailedMessageFilter,
    limit: u32,
) -> Result<Vec<FailedMessageGroup>, Error> {
    let select = filtered(schema, GROUPS, filter).bind(i64::from(limit));
    operator_row::list(connection, select).await
}
