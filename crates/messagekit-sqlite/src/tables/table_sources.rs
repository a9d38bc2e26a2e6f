//! Table sources: what they were added with, and their triggers.

use std::collections::{BTreeMap, BTreeSet};

use messagekit::log::{Changes, KnownSource, OnSourceFailure, RowPayload, SourceFault};
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{RowExpression, TableSource};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::from_sqlite;

/// A table source of this file.
#[derive(Clone, Debug)]
pub(crate) struct StoredSource {
    /// Its number, which its triggers carry.
    pub(crate) id: i64,
    /// Its rules; the functions of its expressions are not stored.
    pub(crate) source: TableSource,
    /// The primary key that its table had.
    pub(crate) key_columns: Vec<String>,
    /// The form of its triggers.
    pub(crate) form: u32,
}

impl StoredSource {
    /// Returns whether a source has the same rules.
    pub(crate) fn has_rules_of(&self, other: &TableSource) -> bool {
        let text = |expression: &Option<RowExpression>| expression.as_ref().map(|given| given.text.clone());
        let own = &self.source;
        own.changes == other.changes
            && own.payload == other.payload
            && text(&own.filter) == text(&other.filter)
            && text(&own.key) == text(&other.key)
    }

    /// Returns it as it is shown.
    pub(crate) fn with_fault(self, fault: Option<SourceFault>, renamed_to: Option<String>) -> KnownSource {
        let TableSource { topic, table, changes, filter, payload, key, on_failure, replicated } = self.source;
        KnownSource {
            topic: topic.to_string(),
            table,
            changes,
            filter: filter.map(|given| given.text),
            payload,
            key: key.map(|given| given.text),
            on_failure,
            replicated,
            fault,
            renamed_to,
        }
    }
}

const SELECT: &str = "SELECT id, topic, table_name, on_insert, on_update, on_delete, filter, filter_sql, payload, key, key_sql, key_columns, form
  FROM messagekit_table_sources";

/// Returns the sources, sorted by topic and table.
pub(crate) fn all(conn: &Connection) -> Result<Vec<StoredSource>, Error> {
    let mut select =
        conn.prepare_cached(&format!("{SELECT} ORDER BY topic, table_name")).map_err(from_sqlite)?;
    let rows = select.query_map([], read).map_err(from_sqlite)?;
    rows.map(|row| row.map_err(from_sqlite)?).collect()
}

/// Returns the source of a topic that a table is.
pub(crate) fn find(conn: &Connection, topic: &str, table: &str) -> Result<Option<StoredSource>, Error> {
    let found = conn
        .prepare_cached(&format!("{SELECT} WHERE topic = ?1 AND table_name = ?2"))
        .and_then(|mut select| select.query_row([topic, table], read).optional());
    found.map_err(from_sqlite)?.transpose()
}

/// Returns whether there is any source.
pub(crate) fn is_any(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM messagekit_table_sources)")?
        .query_row([], |row| row.get(0))
}

/// Returns the tables that feed a topic.
pub(crate) fn feeding(conn: &Connection, topic: &str) -> rusqlite::Result<Vec<String>> {
    conn.prepare_cached(
        "SELECT table_name FROM messagekit_table_sources WHERE topic = ?1 ORDER BY table_name",
    )?
    .query_map([topic], |row| row.get(0))?
    .collect()
}

/// The outer result is the row's, the inner one its meaning's.
fn read(row: &Row<'_>) -> rusqlite::Result<Result<StoredSource, Error>> {
    let expression = |text: usize, sql: usize| -> rusqlite::Result<Option<RowExpression>> {
        let given = row.get::<_, Option<String>>(text)?.zip(row.get(sql)?);
        Ok(given.map(|(text, expression)| RowExpression { text, expression, functions: BTreeSet::new() }))
    };
    let changes = Changes { insert: row.get(3)?, update: row.get(4)?, delete: row.get(5)? };
    let (filter, key) = (expression(6, 7)?, expression(9, 10)?);
    let (word, key_columns): (String, String) = (row.get(8)?, row.get(11)?);
    let payload = RowPayload::ALL.into_iter().find(|known| known.as_str() == word);
    let (Some(payload), Ok(key_columns)) = (payload, serde_json::from_str(&key_columns)) else {
        return Ok(Err(Error::new(ErrorKind::Corrupt, "stored table source cannot be read")));
    };
    let topic: String = row.get(1)?;
    let (topic, table, on_failure) = (topic.into(), row.get(2)?, OnSourceFailure::Fail);
    let source = TableSource { topic, table, changes, filter, payload, key, on_failure, replicated: false };
    Ok(Ok(StoredSource { id: row.get(0)?, source, key_columns, form: row.get(12)? }))
}

/// Writes a source, or its new rules, and returns its number.
pub(crate) fn write(
    conn: &Connection,
    source: &TableSource,
    key_columns: &[String],
) -> rusqlite::Result<i64> {
    let (filter, key) = (source.filter.as_ref(), source.key.as_ref());
    conn.prepare_cached(
        "INSERT INTO messagekit_table_sources
           (topic, table_name, on_insert, on_update, on_delete, filter, filter_sql, payload, key, key_sql, key_columns)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (topic, table_name) DO UPDATE SET on_insert = excluded.on_insert, on_update = excluded.on_update,
           on_delete = excluded.on_delete, filter = excluded.filter, filter_sql = excluded.filter_sql,
           payload = excluded.payload, key = excluded.key, key_sql = excluded.key_sql, key_columns = excluded.key_columns
         RETURNING id",
    )?
    .query_row(
        (
            &*source.topic,
            &source.table,
            source.changes.insert,
            source.changes.update,
            source.changes.delete,
            filter.map(|given| &given.text),
            filter.map(|given| &given.expression),
            source.payload.as_str(),
            key.map(|given| &given.text),
            key.map(|given| &given.expression),
            serde_json::Value::from(key_columns).to_string(),
        ),
        |row| row.get(0),
    )
}

/// Notes in which form the triggers of a source are.
pub(crate) fn set_form(conn: &Connection, id: i64, form: u32) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE messagekit_table_sources SET form = ?2 WHERE id = ?1")?
        .execute((id, form))
        .map(drop)
}

/// Removes a source, and returns its number.
pub(crate) fn remove(conn: &Connection, topic: &str, table: &str) -> rusqlite::Result<Option<i64>> {
    let id = conn
        .prepare_cached(
            "DELETE FROM messagekit_table_sources WHERE topic = ?1 AND table_name = ?2 RETURNING id",
        )?
        .query_row([topic, table], |row| row.get(0))
        .optional()?;
    if let Some(id) = id {
        conn.prepare_cached("DELETE FROM messagekit_replaced_rows WHERE source_id = ?1")?.execute([id])?;
    }
    Ok(id)
}

/// Returns the triggers whose names begin so, with their text.
pub(crate) fn triggers(conn: &Connection, prefix: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    conn.prepare_cached(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length(?1)) = ?1",
    )?
    .query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// Returns the table that has the triggers whose names begin so.
pub(crate) fn table_of_triggers(conn: &Connection, prefix: &str) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached(
        "SELECT t.name FROM sqlite_schema s JOIN sqlite_schema t ON t.type = 'table' AND t.name = s.tbl_name COLLATE NOCASE
         WHERE s.type = 'trigger' AND substr(s.name, 1, length(?1)) = ?1 LIMIT 1",
    )?
    .query_row([prefix], |row| row.get(0))
    .optional()
}

/// Removes the triggers whose names begin so.
pub(crate) fn drop_triggers(conn: &Connection, prefix: &str) -> rusqlite::Result<()> {
    for name in triggers(conn, prefix)?.into_keys() {
        conn.execute_batch(&format!("DROP TRIGGER \"{}\"", name.replace('"', "\"\"")))?;
    }
    Ok(())
}
