//! How far consumers are primed.

use jiff_sqlx::{Timestamp, ToSqlx};
use messagekit::Error;
use messagekit::adapter::Priming;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

pub(crate) const PRIMING: &str =
    "SELECT frontier, is_finished FROM messagekit.consumer_primings WHERE consumer = $1";

/// Writes what [`Priming::then`] returns, whatever another transaction has committed before. `GREATEST` passes over NULL.
pub(crate) const WRITE_PRIMING: &str = "
INSERT INTO messagekit.consumer_primings AS p (consumer, frontier, is_finished) VALUES ($1, $2, $3)
ON CONFLICT (consumer) DO UPDATE SET
  frontier = CASE WHEN excluded.frontier IS NOT NULL OR excluded.is_finished THEN GREATEST(p.frontier, excluded.frontier) END,
  is_finished = excluded.is_finished OR p.is_finished AND excluded.frontier IS NOT NULL";

/// Returns how far a consumer is primed.
pub(crate) async fn priming(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
) -> Result<Option<Priming>, Error> {
    let row = sqlx::query(schema.sql(PRIMING)).bind(consumer).fetch_optional(connection).await;
    let Some(row) = row.map_err(from_sqlx)? else { return Ok(None) };
    let read = || {
        let frontier = row.try_get::<Option<Timestamp>, _>(0)?.map(Timestamp::to_jiff);
        Ok(Priming { frontier, is_finished: row.try_get(1)? })
    };
    read().map(Some).map_err(from_sqlx)
}

/// Writes how far a consumer is primed.
pub(crate) async fn write(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    priming: Priming,
) -> Result<(), Error> {
    let Priming { frontier, is_finished } = priming;
    let write = sqlx::query(schema.sql(WRITE_PRIMING))
        .bind(consumer)
        .bind(frontier.map(ToSqlx::to_sqlx))
        .bind(is_finished);
    write.execute(connection).await.map(drop).map_err(from_sqlx)
}
