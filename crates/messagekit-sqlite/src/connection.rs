//! The connection in the public API.

use rusqlite::{CachedStatement, Params, Result, Row, Statement};

/// A connection inside a transaction or a snapshot, lent to a closure.
///
/// It can run statements but not change the connection itself: the engine's hooks keep a closure inside its transaction,
/// so they must stay in place. `SAVEPOINT` is allowed. `BEGIN`, `COMMIT`, `ROLLBACK`, `ATTACH`, `DETACH` and pragmas that
/// set a value fail with "not authorized".
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a>(pub(crate) &'a rusqlite::Connection);

impl<'a> Connection<'a> {
    /// Runs one statement and returns the number of changed rows.
    ///
    /// # Errors
    /// As [`rusqlite::Connection::execute`].
    pub fn execute<P: Params>(&self, sql: &str, params: P) -> Result<usize> {
        self.0.execute(sql, params)
    }

    /// Runs several statements without parameters.
    ///
    /// # Errors
    /// As [`rusqlite::Connection::execute_batch`].
    pub fn execute_batch(&self, sql: &str) -> Result<()> {
        self.0.execute_batch(sql)
    }

    /// Runs a query and maps its first row.
    ///
    /// # Errors
    /// As [`rusqlite::Connection::query_row`]; `QueryReturnedNoRows` becomes `None` with
    /// [`OptionalExtension`](rusqlite::OptionalExtension).
    pub fn query_row<T, P: Params>(
        &self,
        sql: &str,
        params: P,
        map: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.0.query_row(sql, params, map)
    }

    /// Runs a query, maps its rows and collects them.
    ///
    /// # Errors
    /// The first error of the query or of a row.
    pub fn query_all<T, P: Params>(
        &self,
        sql: &str,
        params: P,
        map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.0.prepare_cached(sql)?.query_map(params, map)?.collect()
    }

    /// Prepares a statement.
    ///
    /// # Errors
    /// As [`rusqlite::Connection::prepare`].
    pub fn prepare(&self, sql: &str) -> Result<Statement<'a>> {
        self.0.prepare(sql)
    }

    /// Prepares a statement, or takes it from the cache of 128.
    ///
    /// # Errors
    /// As [`rusqlite::Connection::prepare_cached`].
    pub fn prepare_cached(&self, sql: &str) -> Result<CachedStatement<'a>> {
        self.0.prepare_cached(sql)
    }

    /// Returns the row id of the last insert.
    pub fn last_insert_rowid(&self) -> i64 {
        self.0.last_insert_rowid()
    }

    /// Returns the number of rows that the last statement changed.
    pub fn changes(&self) -> u64 {
        self.0.changes()
    }
}
