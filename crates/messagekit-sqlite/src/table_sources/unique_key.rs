//! The keys of a table that no two of its rows have in common.

use rusqlite::{Connection, OptionalExtension};

use super::definition::{Definition, Tokens};
use super::quoting::quoted;

/// A key that no two rows have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UniqueKey {
    pub(crate) is_primary: bool,
    pub(crate) parts: Vec<KeyPart>,
    /// The condition of the rows that have it.
    pub(crate) condition: Option<String>,
}

/// A column or an expression of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyPart {
    /// Its name, unless it is an expression.
    pub(crate) column: Option<String>,
    /// As SQL over the columns of one row.
    pub(crate) sql: String,
    /// The collation by which its values are the same.
    pub(crate) collation: String,
}

impl UniqueKey {
    pub(super) fn of_column(is_primary: bool, column: &str) -> Self {
        let part =
            KeyPart { column: Some(column.to_owned()), sql: quoted(column), collation: "BINARY".to_owned() };
        Self { is_primary, parts: vec![part], condition: None }
    }

    /// Returns it as SQL, for a message.
    pub(super) fn shown(&self) -> String {
        let condition = self.condition.iter().map(|condition| format!(" WHERE {condition}"));
        let parts: Vec<&str> = self.parts.iter().map(|part| part.sql.as_str()).collect();
        format!("({}){}", parts.join(", "), condition.collect::<String>())
    }

    pub(super) fn is_of_columns(&self) -> bool {
        self.condition.is_none() && self.parts.iter().all(|part| part.column.is_some())
    }
}

/// Returns the keys with an index.
pub(super) fn of_indexes(conn: &Connection, table: &str) -> rusqlite::Result<Vec<UniqueKey>> {
    let find = "SELECT name, origin = 'pk' FROM pragma_index_list(?1) WHERE \"unique\" = 1 ORDER BY name";
    let indexes: Vec<(String, bool)> = conn
        .prepare(find)?
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    indexes.into_iter().map(|(index, is_primary)| of_index(conn, &index, is_primary)).collect()
}

fn of_index(conn: &Connection, index: &str, is_primary: bool) -> rusqlite::Result<UniqueKey> {
    let sql: Option<Option<String>> = conn
        .prepare_cached("SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1")?
        .query_row([index], |row| row.get(0))
        .optional()?;
    let sql = sql.flatten().unwrap_or_default();
    let definition = Definition::read(&sql);
    let mut select =
        conn.prepare("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno")?;
    let columns = select.query_map([index], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let part = |(index, found): (usize, rusqlite::Result<(Option<String>, String)>)| {
        let (column, collation) = found?;
        let sql = match &column {
            Some(column) => quoted(column),
            None => definition.parts.get(index).map_or("NULL", Tokens::indexed).to_owned(),
        };
        Ok(KeyPart { column, sql, collation })
    };
    let parts = columns.enumerate().map(part).collect::<rusqlite::Result<_>>()?;
    Ok(UniqueKey { is_primary, parts, condition: definition.rest.condition().map(str::to_owned) })
}
