//! The file of a cell, and the check after the run.

use std::path::Path;

use messagekit_sqlite::rusqlite::Connection;
use messagekit_sqlite::{SqliteStore, Synchronous};

use super::run::Run;
use crate::frame::{Ledger, Outcome};

pub(in crate::cells) fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("bench.db")
}

/// Opens a connection with the settings of a careful user.
pub(in crate::cells) fn connect(run: &Run<'_>) -> Outcome<Connection> {
    let connection = Connection::open(database(run.folder))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if run.synchronous == Synchronous::Full { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Opens the engine's store.
pub(super) async fn open(run: &Run<'_>) -> Outcome<SqliteStore> {
    Ok(SqliteStore::options().synchronous(run.synchronous).open(database(run.folder)).await?)
}

/// Returns the ledger of applied events, whose ids grow in the order of their creation.
pub(super) fn judge_effects(run: &Run<'_>) -> Outcome<Ledger> {
    let sql = "SELECT count(*) FROM (SELECT event_id, max(event_id) OVER earlier AS latest FROM effects
        WINDOW earlier AS (PARTITION BY account ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) WHERE event_id < latest";
    let behind = connect(run)?.query_row(sql, (), |row| row.get::<_, i64>(0))?;
    Ok(Ledger { out_of_order: u64::try_from(behind)?, ..judge(run, "effects", "event_id")? })
}

/// Returns the ledger of events by the distinct values in a column of a table, whatever their order.
pub(super) fn judge(run: &Run<'_>, table: &str, column: &str) -> Outcome<Ledger> {
    let sql = format!("SELECT count(*), count(DISTINCT {column}) FROM {table}");
    let (rows, different) =
        connect(run)?.query_row(&sql, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let (rows, different) = (u64::try_from(rows)?, u64::try_from(different)?);
    let lost = (run.events as u64).saturating_sub(different);
    Ok(Ledger { lost, doubled: rows - different, out_of_order: 0 })
}
