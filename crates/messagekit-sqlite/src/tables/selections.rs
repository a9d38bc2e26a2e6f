//! Selections of failed messages: their versions, and which of them are still as they were counted.

use std::collections::HashSet;

use messagekit::adapter::stored_word;
use messagekit::operations::{FailedMessageFilter, FailedMessageVersion, SelectionBatch};
use messagekit::{Error, ErrorKind};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::failed_message_filter::Conditions;
use crate::error::from_sqlite;

const COLUMNS: &str = "d.id, d.token, d.state, d.running_since IS NOT NULL";

/// Returns the versions of failed messages, smallest number first.
pub(crate) fn versions(
    conn: &Connection,
    filter: &FailedMessageFilter,
    limit: u32,
) -> Result<Vec<FailedMessageVersion>, Error> {
    let conditions = Conditions::of(filter);
    let select = format!(
        "SELECT {COLUMNS} FROM messagekit_failed_messages d WHERE {} ORDER BY d.id LIMIT ?",
        conditions.sql()
    );
    read(conn, &select, conditions.limited(limit))
}

/// Returns the failed messages of a batch that match its filter and have the version that was counted.
pub(super) fn unchanged(conn: &Connection, batch: SelectionBatch<'_>) -> Result<Vec<i64>, Error> {
    let conditions = Conditions::of(batch.filter);
    let ids = serde_json::to_string(&batch.ids()).map_err(|error| {
        Error::new(ErrorKind::Other, "numbers cannot be written as JSON").caused_by(error)
    })?;
    let values = std::iter::once(Value::Text(ids)).chain(conditions.values.iter().cloned()).collect();
    let now: HashSet<_> = read(conn, &unchanged_sql(&conditions), values)?.into_iter().collect();
    Ok(batch.versions.iter().filter(|version| now.contains(version)).map(|version| version.id).collect())
}

/// The join looks each failed message up by its number, whatever an index of the filter seems to offer.
pub(super) fn unchanged_sql(conditions: &Conditions) -> String {
    format!(
        "SELECT {COLUMNS} FROM json_each(?) j CROSS JOIN messagekit_failed_messages d ON d.id = j.value WHERE {}",
        conditions.sql()
    )
}

fn read(conn: &Connection, select: &str, values: Vec<Value>) -> Result<Vec<FailedMessageVersion>, Error> {
    let mut select = conn.prepare_cached(select).map_err(from_sqlite)?;
    let mut rows = select.query(params_from_iter(values)).map_err(from_sqlite)?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        versions.push(version(row)?);
    }
    Ok(versions)
}

fn version(row: &Row<'_>) -> Result<FailedMessageVersion, Error> {
    let columns = || Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?));
    let (id, token, state, is_running) = columns().map_err(from_sqlite)?;
    let state = stored_word(id, "state", &state)?;
    Ok(FailedMessageVersion::new(id, token, state, is_running))
}
