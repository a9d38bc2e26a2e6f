//! The rows that operators read, for the decoding that all stores share.

use std::cell::Cell;

use jiff_sqlx::Timestamp;
use messagekit::Error;
use messagekit::adapter::{OperatorRow, Stored};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Column, Decode, PgConnection, Postgres, Row};

use crate::error::from_sqlx;

/// A row of this database.
pub(crate) struct PgColumns<'r> {
    row: &'r PgRow,
    next: Cell<usize>,
}

impl<'r> PgColumns<'r> {
    pub(crate) fn of(row: &'r PgRow) -> Self {
        Self { row, next: Cell::new(0) }
    }

    /// Reads a value. Looks at the column behind the last one first: looking up the names of a hundred rows' columns takes as long
    /// as the statement. Checks no type, so that a number has any length, and bytes may be a text.
    pub(crate) fn value<T: Decode<'r, Postgres>>(&self, column: &str) -> Result<Option<T>, Error> {
        let read = || {
            let next = self.row.columns().get(self.next.get()).filter(|next| next.name() == column);
            let index = next.map_or_else(|| self.row.try_column(column), Ok)?.ordinal();
            self.next.set(index + 1);
            self.row.try_get_unchecked(index)
        };
        read().map_err(from_sqlx)
    }
}

impl OperatorRow for PgColumns<'_> {
    fn number(&self, column: &str) -> Result<Option<i64>, Error> {
        self.value(column)
    }

    fn text(&self, column: &str) -> Result<Option<String>, Error> {
        self.value(column)
    }

    fn texts(&self, column: &str) -> Result<Option<Vec<String>>, Error> {
        self.value(column)
    }

    fn bytes(&self, column: &str) -> Result<Option<Vec<u8>>, Error> {
        self.value(column)
    }

    fn time(&self, column: &str) -> Result<Option<jiff::Timestamp>, Error> {
        Ok(self.value(column)?.map(Timestamp::to_jiff))
    }
}

/// Reads what a row holds.
pub(crate) fn read<T: Stored>(row: &PgRow) -> Result<T, Error> {
    PgColumns::of(row).read()
}

/// Returns what each row of a statement holds.
pub(crate) async fn list<T: Stored>(
    connection: &mut PgConnection,
    select: Query<'_, Postgres, PgArguments>,
) -> Result<Vec<T>, Error> {
    select.fetch_all(connection).await.map_err(from_sqlx)?.iter().map(read).collect()
}
