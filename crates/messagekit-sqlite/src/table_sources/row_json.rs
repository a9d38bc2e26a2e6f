//! Rows as JSON and text, in expressions of SQL that every program's SQLite has.

use serde_json::Value;

pub(super) use super::quoting::{literal, quoted};
use super::table::{Column, Table, Values};

/// The most columns of one `json_object`: older versions of SQLite give a function 127 arguments.
const COLUMNS_OF_OBJECT: usize = 60;

/// The most texts that are joined in one row: SQLite takes expressions of a depth of 1000.
const TERMS_OF_SUM: usize = 100;

/// The greatest number that JSON has.
const GREATEST: &str = "1.7976931348623157e308";

impl Table {
    /// Returns the whole row as a JSON object.
    pub(super) fn whole(&self, row: &str) -> String {
        object(row, &self.columns.iter().collect::<Vec<_>>())
    }

    /// Returns the columns of the primary key as a JSON object.
    pub(super) fn key_object(&self, row: &str) -> String {
        object(row, &self.key_columns())
    }

    /// Returns the primary key as text: the column alone, or a JSON object of several. A row without a whole key has none.
    pub(super) fn key_text(&self, row: &str) -> String {
        match self.key_columns().as_slice() {
            [] => "NULL".to_owned(),
            [column] => format!("CAST({} AS TEXT)", value(row, column)),
            columns => {
                let is_null = columns.iter().map(|column| format!("{} IS NULL", of(row, &column.name)));
                let is_null = is_null.collect::<Vec<_>>().join(" OR ");
                format!("CASE WHEN {is_null} THEN NULL ELSE {} END", self.key_object(row))
            }
        }
    }

    /// Returns the columns that an update has changed, each with its values before and after, as a JSON object.
    pub(super) fn changes(&self, old: &str, new: &str) -> String {
        let change = |column: &Column| {
            let (before, after) = (of(old, &column.name), of(new, &column.name));
            let name = literal(&format!(",{}:", Value::from(column.name.as_str())));
            format!(
                "CASE WHEN {before} IS NOT {after} COLLATE BINARY THEN {name} || json_object('before', {}, 'after', {}) ELSE '' END",
                value(old, column),
                value(new, column)
            )
        };
        let parts = self
            .columns
            .chunks(TERMS_OF_SUM)
            .map(|columns| format!("({})", columns.iter().map(change).collect::<Vec<_>>().join(" || ")));
        format!("'{{' || substr({}, 2) || '}}'", parts.collect::<Vec<_>>().join(" || "))
    }

    /// Returns the condition under which a row keeps its primary key, or has none before and after.
    pub(super) fn same_key(&self, row: &str, other: &str) -> String {
        let same = |column: &&Column| {
            let (row, other) = (of(row, &column.name), of(other, &column.name));
            // 1 and 1.0 are different texts.
            let is_typed = if column.values == Values::Any {
                format!(" AND typeof({row}) = typeof({other})")
            } else {
                String::new()
            };
            format!("{row} IS {other} COLLATE BINARY{is_typed}")
        };
        self.key_columns().iter().map(same).collect::<Vec<_>>().join(" AND ")
    }

    /// Returns what no two rows of the table have in common: the number of a row, or its primary key.
    pub(super) fn identity(&self, row: &str) -> String {
        let key = || {
            let columns = self.key.iter().map(|column| format!("quote({})", of(row, column)));
            columns.collect::<Vec<_>>().join(" || ',' || ")
        };
        self.row_number.map_or_else(key, |number| format!("{row}.{number}"))
    }

    /// Returns the condition under which two names stand for one row of the table.
    pub(super) fn same_row(&self, row: &str, other: &str) -> String {
        match self.row_number {
            Some(number) => format!("{row}.{number} = {other}.{number}"),
            None => self.same_key(row, other),
        }
    }

    fn key_columns(&self) -> Vec<&Column> {
        let column = |name: &String| self.columns.iter().find(|column| column.name == *name);
        self.key.iter().filter_map(column).collect()
    }
}

fn object(row: &str, columns: &[&Column]) -> String {
    let pair = |column: &&Column| format!("{}, {}", literal(&column.name), value(row, column));
    let object = |columns: &[&Column]| {
        format!("json_object({})", columns.iter().map(pair).collect::<Vec<_>>().join(", "))
    };
    if columns.len() <= COLUMNS_OF_OBJECT {
        return object(columns);
    }
    let inner = columns.chunks(COLUMNS_OF_OBJECT).map(|columns| {
        // Without its braces.
        format!("(SELECT substr(part, 2, length(part) - 2) FROM (SELECT {} AS part))", object(columns))
    });
    format!("'{{' || {} || '}}'", inner.collect::<Vec<_>>().join(" || ',' || "))
}

/// Returns a value that JSON can hold: bytes as text like `\x00ff`, infinity as text, and numbers with as many digits as they need.
///
/// A text is joined with nothing: SQLite remembers of a value that a function of JSON has made it, also in the row that a trigger sees.
fn value(row: &str, column: &Column) -> String {
    let value = of(row, &column.name);
    let bytes = format!("WHEN 'blob' THEN '\\x' || lower(hex({value}))");
    match column.values {
        Values::Numbers => value,
        Values::Text => format!("{value} || ''"),
        Values::TextOrBytes => format!("CASE typeof({value}) {bytes} ELSE {value} || '' END"),
        Values::Any => format!(
            "CASE typeof({value}) WHEN 'text' THEN {value} || '' {bytes} WHEN 'real' THEN {} ELSE {value} END",
            number(&value)
        ),
    }
}

/// The JSON of SQLite writes 15 digits.
fn number(value: &str) -> String {
    format!(
        "CASE WHEN {value} > {GREATEST} THEN 'Infinity' WHEN {value} < -{GREATEST} THEN '-Infinity' \
         WHEN CAST(printf('%!.15g', {value}) AS REAL) = {value} THEN {value} ELSE json(printf('%!.17g', {value})) END"
    )
}

/// Returns a column of a row.
pub(super) fn of(row: &str, column: &str) -> String {
    format!("{row}.{}", quoted(column))
}
