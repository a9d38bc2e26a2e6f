//! The rows that operators read, for the decoding that all stores share.

use jiff::Timestamp;
use messagekit::adapter::{OperatorRow, Stored};
use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, Params, Row};

use super::timestamp;
use crate::error::from_sqlite;

/// A row of this file.
pub(crate) struct SqliteRow<'a>(pub(crate) &'a Row<'a>);

impl OperatorRow for SqliteRow<'_> {
    fn number(&self, column: &str) -> Result<Option<i64>, Error> {
        self.0.get(column).map_err(from_sqlite)
    }

    fn text(&self, column: &str) -> Result<Option<String>, Error> {
        self.0.get(column).map_err(from_sqlite)
    }

    fn texts(&self, column: &str) -> Result<Option<Vec<String>>, Error> {
        self.text(column)?.map(|json| serde_json::from_str(&json)).transpose().map_err(|error| {
            Error::new(ErrorKind::Corrupt, "stored list of texts is unreadable").caused_by(error)
        })
    }

    fn bytes(&self, column: &str) -> Result<Option<Vec<u8>>, Error> {
        let read = || Ok(self.0.get_ref(column)?.as_bytes_or_null()?.map(<[u8]>::to_vec));
        read().map_err(from_sqlite)
    }

    fn time(&self, column: &str) -> Result<Option<Timestamp>, Error> {
        self.number(column)?.map(timestamp).transpose()
    }
}

/// Returns what each row of a statement holds.
pub(crate) fn list<T: Stored>(conn: &Connection, select: &str, values: impl Params) -> Result<Vec<T>, Error> {
    list_by(conn, select, values, |row| row.read())
}

/// Returns what a function reads of each row of a statement.
pub(crate) fn list_by<T>(
    conn: &Connection,
    select: &str,
    values: impl Params,
    read: impl Fn(&SqliteRow<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut select = conn.prepare_cached(select).map_err(from_sqlite)?;
    let mut rows = select.query(values).map_err(from_sqlite)?;
    let mut list = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        list.push(read(&SqliteRow(row))?);
    }
    Ok(list)
}
