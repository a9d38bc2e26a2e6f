//! Operators' reads of failed messages.

use messagekit::operations::{
    FailedMessage, FailedMessageFilter, FailedMessageGroup, FailedMessageHead, FailedMessageState,
    FailedMessageTotal, FailedRun, no_failed_message,
};
use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, Row, params_from_iter};

use super::failed_message_filter::Conditions;
use super::failed_message_head::{self, HEAD};
use super::failed_message_row::{self, COLUMNS};
use super::timestamp;
use crate::error::from_sqlite;

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
    let mut select = conn.prepare_cached(&select).map_err(from_sqlite)?;
    let mut rows = select.query(params_from_iter(conditions.limited(limit))).map_err(from_sqlite)?;
    let mut heads = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        heads.push(failed_message_head::read(row)?);
    }
    Ok(heads)
}

/// Returns one failed message with its message.
pub(crate) fn show(conn: &Connection, id: i64) -> Result<FailedMessage, Error> {
    // One statement: two would see two states of the failed message.
    let mut select = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, {HEAD}, d.failed_runs FROM messagekit_failed_messages d WHERE d.id = ?1"
        ))
        .map_err(from_sqlite)?;
    let mut rows = select.query([id]).map_err(from_sqlite)?;
    let row = rows.next().map_err(from_sqlite)?.ok_or_else(|| no_failed_message(id))?;
    let failed_runs: String = row.get("failed_runs").map_err(from_sqlite)?;
    let failed_runs = FailedRun::list(&failed_runs).map_err(|error| error.with("failed_message", id))?;
    Ok(FailedMessage {
        failed_runs,
        head: failed_message_head::read(row)?,
        received: failed_message_row::read(row)?.received,
    })
}

/// Counts failed messages by consumer and state.
pub(crate) fn totals(
    conn: &Connection,
    filter: &FailedMessageFilter,
) -> Result<Vec<FailedMessageTotal>, Error> {
    let conditions = Conditions::of(filter);
    let counted = format!(
        "SELECT c.name, t.state, t.failed_messages FROM
           (SELECT d.consumer_id, d.state, count(*) AS failed_messages FROM messagekit_failed_messages d
            WHERE {} GROUP BY d.consumer_id, d.state) t
         JOIN messagekit_consumers c ON c.id = t.consumer_id",
        conditions.sql()
    );
    let total = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?));
    let counted: Vec<(String, String, u32)> = conn
        .prepare_cached(&counted)
        .and_then(|mut select| select.query_map(params_from_iter(conditions.values), total)?.collect())
        .map_err(from_sqlite)?;
    let mut totals = counted
        .into_iter()
        .map(|(consumer, state, failed_messages)| {
            let state = state.parse().map_err(|error: Error| {
                Error::new(ErrorKind::Corrupt, "stored failed messages have an unknown state")
                    .caused_by(error)
            })?;
            Ok(FailedMessageTotal { consumer, state, failed_messages: failed_messages.into() })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let order = |state| FailedMessageState::ALL.iter().position(|known| *known == state);
    totals.sort_by(|a, b| (&a.consumer, order(a.state)).cmp(&(&b.consumer, order(b.state))));
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
        "SELECT g.fingerprint, c.name, g.event_type, g.kind, n.error, g.failed_messages, g.first, g.last, g.newest FROM
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
    let mut select = conn.prepare_cached(&grouped).map_err(from_sqlite)?;
    let mut rows = select.query(params_from_iter(conditions.limited(limit))).map_err(from_sqlite)?;
    let mut groups = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        groups.push(group(row)?);
    }
    Ok(groups)
}

fn group(row: &Row<'_>) -> Result<FailedMessageGroup, Error> {
    let time = |column: usize| row.get::<_, i64>(column).map_err(from_sqlite).and_then(timestamp);
    let (first, last) = (time(6)?, time(7)?);
    let rest = || -> rusqlite::Result<FailedMessageGroup> {
        Ok(FailedMessageGroup {
            fingerprint: row.get(0)?,
            consumer: row.get(1)?,
            event_type: row.get(2)?,
            kind: row.get(3)?,
            error: row.get(4)?,
            failed_messages: row.get::<_, u32>(5)?.into(),
            first,
            last,
            newest: row.get(8)?,
        })
    };
    rest().map_err(from_sqlite)
}
