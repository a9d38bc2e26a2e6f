//! How far consumers are primed.

use jiff_sqlx::{Timestamp, ToSqlx};
use messagekit::Error;
use messagekit::adapter::Priming;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

pub(crate) const PRIMING: &str =
    "SELECT number, frontier, is_finished FROM messagekit.consumer_primings WHERE consumer = $1";

/// Only the first of two transactions that begin a priming behind the same one changes the row.
pub(crate) const BEGIN_PRIMING: &str = "
INSERT INTO messagekit.consumer_primings AS p (consumer, number) VALUES ($1, $2 + 1)
ON CONFLICT (consumer) DO UPDATE SET number = excluded.number, frontier = NULL, is_finished = false
  WHERE p.number = $2";

/// Key lanes of primings are negative, as they have the highest bit of an unsigned number.
pub(crate) const DELETE_POSITIONS: &str =
    "DELETE FROM messagekit.consumer_offsets WHERE consumer = $1 AND key_lane < 0";

/// Writes what [`Priming::then`] returns, whatever another transaction has committed before. `GREATEST` ignores NULL.
pub(crate) const WRITE_PRIMING: &str = "
UPDATE messagekit.consumer_primings SET frontier = GREATEST(frontier, $3), is_finished = is_finished OR $4
WHERE consumer = $1 AND number = $2";

/// Returns how far a consumer is primed.
pub(crate) async fn priming(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
) -> Result<Option<Priming>, Error> {
    let row = sqlx::query(schema.sql(PRIMING)).bind(consumer).fetch_optional(connection).await;
    let Some(row) = row.map_err(from_sqlx)? else { return Ok(None) };
    let read = || {
        let number = row.try_get::<i32, _>(0)?.cast_unsigned();
        let frontier = row.try_get::<Option<Timestamp>, _>(1)?.map(Timestamp::to_jiff);
        Ok(Priming { number, frontier, is_finished: row.try_get(2)? })
    };
    read().map(Some).map_err(from_sqlx)
}

/// Begins the next priming of a consumer, unless another process has begun one; returns whether it has begun.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    after: u32,
) -> Result<bool, Error> {
    let begin = sqlx::query(schema.sql(BEGIN_PRIMING)).bind(consumer).bind(after.cast_signed());
    if begin.execute(&mut *connection).await.map_err(from_sqlx)?.rows_affected() == 0 {
        return Ok(false);
    }
    let delete = sqlx::query(schema.sql(DELETE_POSITIONS)).bind(consumer);
    delete.execute(connection).await.map(|_| true).map_err(from_sqlx)
}

/// Writes how far a consumer is primed.
pub(crate) async fn write(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    priming: Priming,
) -> Result<(), Error> {
    let Priming { number, frontier, is_finished } = priming;
    let write = sqlx::query(schema.sql(WRITE_PRIMING))
        .bind(consumer)
        .bind(number.cast_signed())
        .bind(frontier.map(ToSqlx::to_sqlx))
        .bind(is_finished);
    write.execute(connection).await.map(drop).map_err(from_sqlx)
}
