//! Operators' reads of failed messages.

use messagekit::Error;
use messagekit::operations::{
    FailedMessage, FailedMessageFilter, FailedMessageGroup, FailedMessageHead, FailedMessageTotal,
    no_failed_message,
};
use rusqlite::{Connection, params_from_iter};

use super::failed_message_filter::Conditions;
use super::failed_message_head::HEAD;
use super::failed_message_row::COLUMNS;
use super::operator_row;

/// Returns failed messages without their messages, newest first.
pub(crate) fn list(
    conn: &Connection,
    filter: &FailedMessageFilter,
    limit: u32,
) -> Result<Vec<FailedMessageHead>, Error> {
    let conditions = Conditions::of(filter);
    let select = format!(
        "SELECT {HEAD} FROM messagekit_failed_messages d WHERE {} ORDER BY d.id DESC LIMIT ?",
        conditions.sql()
    );
    operator_row::list(conn, &select, params_from_iter(conditions.limited(limit)))
}

/// Returns one failed message with its message.
pub(crate) fn show(conn: &Connection, id: i64) -> Result<FailedMessage, Error> {
    // One statement: two would see two states of the failed message.
    let select =
        format!("SELECT {COLUMNS}, {HEAD}, d.failed_runs FROM messagekit_failed_messages d WHERE d.id = ?1");
    operator_row::list(conn, &select, [id])?.pop().ok_or_else(|| no_failed_message(id))
}

/// Counts failed messages by consumer and state.
pub(crate) fn totals(
    conn: &Connection,
    filter: &FailedMessageFilter,
) -> Result<Vec<FailedMessageTotal>, Error> {
    let conditions = Conditions::of(filter);
    let counted = format!(
        "SELECT c.name AS consumer, t.state, t.failed_messages FROM
           (SELECT d.consumer_id, d.state, count(*) AS failed_messages FROM messagekit_failed_messages d
            WHERE {} GROUP BY d.consumer_id, d.state) t
         JOIN messagekit_consumers c ON c.id = t.consumer_id",
        conditions.sql()
    );
    let mut totals: Vec<FailedMessageTotal> =
        operator_row::list(conn, &counted, params_from_iter(conditions.values))?;
    totals.sort_by(|a, b| (&a.consumer, a.state).cmp(&(&b.consumer, b.state)));
    Ok(totals)
}

/// Returns groups of failed messages with equal failures, the largest first.
pub(crate) fn groups(
    conn: &Connection,
    filter: &FailedMessageFilter,
    limit: u32,
) -> Result<Vec<FailedMessageGroup>, Error> {
    let conditions = Conditions::of(filter);
    let grouped = format!(
        "SELECT g.fingerprint, c.name AS consumer, g.event_type, g.kind, n.error, g.failed_messages, g.first, g.last, g.newest FROM
           (SELECT d.fingerprint, d.consumer_id, d.event_type, d.kind, count(*) AS failed_messages,
              min(d.set_aside_at) AS first, max(d.set_aside_at) AS last, max(d.id) AS newest
            FROM messagekit_failed_messages d WHERE {}
            GROUP BY d.fingerprint, d.consumer_id, d.event_type, d.kind
            ORDER BY failed_messages DESC, newest DESC LIMIT ?) g
         JOIN messagekit_failed_messages n ON n.id = g.newest
         JOIN messagekit_consumers c ON c.id = g.consumer_id
         ORDER BY g.failed_messages DESC, g.newest DESC",
        conditions.sql()
    );
    operator_row::list(conn, &grouped, params_from_iter(conditions.limited(limit)))
}
