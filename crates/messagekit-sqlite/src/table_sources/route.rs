//! A table source, as its triggers are made from it.

use messagekit_topic_store::TableSource;

use super::row_json::quoted;
use super::table::Table;

/// A source of a table, with its number in the file.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    pub(crate) id: i64,
    pub(crate) source: &'a TableSource,
    pub(crate) table: &'a Table,
}

impl Route<'_> {
    /// Returns a query that evaluates the expressions over a row of NULLs, where they will be evaluated: it finds unknown columns, and
    /// functions that no row has.
    pub(crate) fn trial(&self) -> String {
        let key = self.source.key.as_ref().map_or("1", |key| key.expression.as_str());
        let rows = ["new_row", "old_row", "this_row"].map(|name| self.one_row(name, |_| "NULL".to_owned()));
        format!(
            "SELECT 1 FROM {} WHERE ({}) AND ({key}) IS NOT NULL",
            rows.join(" CROSS JOIN "),
            self.filter()
        )
    }

    /// Returns the beginning of the names of a source's triggers.
    pub(crate) fn prefix(id: i64) -> String {
        format!("messagekit_source_{id}_")
    }

    pub(super) fn filter(&self) -> &str {
        self.source.filter.as_ref().map_or("1", |filter| filter.expression.as_str())
    }

    /// Returns a relation of one row with the columns of the table.
    pub(super) fn one_row(&self, name: &str, value: impl Fn(&str) -> String) -> String {
        let columns = self
            .table
            .columns
            .iter()
            .map(|column| format!("{} AS {}", value(&column.name), quoted(&column.name)));
        format!("(SELECT {}) {name}", columns.collect::<Vec<_>>().join(", "))
    }

    /// Returns whether an expression of the user names a row.
    pub(super) fn names(&self, row: &str) -> bool {
        let prefix = format!("{row}.");
        [&self.source.filter, &self.source.key]
            .into_iter()
            .flatten()
            .any(|given| given.expression.contains(&prefix))
    }
}
