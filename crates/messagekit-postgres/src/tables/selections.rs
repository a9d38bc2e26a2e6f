//! Selections of failed messages: their versions, and the lock on those that are still as they were counted.

use std::collections::HashSet;

use messagekit::Error;
use messagekit::operations::{FailedMessageFilter, FailedMessageVersion, SelectionBatch};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::actions::locked;
use super::failed_message_lists::{filtered, matching};
use super::failed_message_row;
use crate::SchemaName;
use crate::error::from_sqlx;

pub(crate) const VERSIONS: &str = concat!(
    "SELECT d.id, d.state, d.token, d.running_since IS NOT NULL AS is_running FROM messagekit.failed_messages d WHERE ",
    matching!(),
    " ORDER BY d.id LIMIT $14"
);

/// A message that another transaction holds is compared with the filter again, and its version read again, when that one
/// has committed.
pub(crate) const LOCK_SELECTION: &str = concat!(
    locked!(),
    ", d.token, d.running_since IS NOT NULL AS is_running
FROM messagekit.failed_messages d WHERE ",
    matching!(),
    " AND d.id = ANY($14::bigint[]) ORDER BY d.id FOR UPDATE OF d"
);

/// Returns the versions of failed messages, smallest number first.
pub(crate) async fn versions(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &FailedMessageFilter,
    limit: u32,
) -> Result<Vec<FailedMessageVersion>, Error> {
    let select = filtered(schema, VERSIONS, filter).bind(i64::from(limit));
    select.fetch_all(connection).await.map_err(from_sqlx)?.iter().map(version).collect()
}

/// Locks failed messages of a batch, and returns those that match its filter and have the version that was counted.
pub(super) async fn lock(
    connection: &mut PgConnection,
    schema: &SchemaName,
    batch: SelectionBatch<'_>,
) -> Result<Vec<PgRow>, Error> {
    let counted: HashSet<FailedMessageVersion> = batch.versions.iter().copied().collect();
    let select = filtered(schema, LOCK_SELECTION, batch.filter).bind(batch.ids());
    let mut unchanged = Vec::with_capacity(batch.versions.len());
    for row in select.fetch_all(connection).await.map_err(from_sqlx)? {
        if counted.contains(&version(&row)?) {
            unchanged.push(row);
        }
    }
    Ok(unchanged)
}

fn version(row: &PgRow) -> Result<FailedMessageVersion, Error> {
    let state = failed_message_row::state_of(row)?;
    let columns = || Ok((row.try_get("id")?, row.try_get("token")?, row.try_get("is_running")?));
    let (id, token, is_running) = columns().map_err(from_sqlx)?;
    Ok(FailedMessageVersion::new(id, token, state, is_running))
}
