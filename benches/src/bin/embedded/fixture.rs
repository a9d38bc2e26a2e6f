//! The file of a cell, and the check afterwards.

use std::path::Path;

use messagekit_benches::Outcome;
use messagekit_sqlite::rusqlite::Connection;

pub(crate) fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("bench.db")
}

/// Opens a connection as a careful user would.
pub(crate) fn connect(folder: &Path) -> Outcome<Connection> {
    let connection = Connection::open(database(folder))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Fails when a table does not hold `wanted` rows with as many different values.
pub(crate) fn check(folder: &Path, table: &str, column: &str, wanted: usize) -> Outcome<()> {
    let sql = format!("SELECT count(*), count(DISTINCT {column}) FROM {table}");
    let (rows, different) =
        connect(folder)?.query_row(&sql, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let wanted = i64::try_from(wanted)?;
    if (rows, different) == (wanted, wanted) {
        return Ok(());
    }
    Err(format!("void: {table} holds {rows} rows and {different} different ones instead of {wanted}").into())
}
