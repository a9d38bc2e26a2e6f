//! The views over topics.

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{TopicView, ViewType};
use rusqlite::types::Type;
use rusqlite::{Connection, Row};
use serde_json::Value;

use crate::error::from_sqlite;

const TOPICS: &str =
    "SELECT topic_id, name, partitions, retention_seconds, retention_max_bytes, retention_consumed, retention_unhandled_seconds, routes, created_at
     FROM messagekit_system_topics ORDER BY topic_id";

const TOPIC_OFFSETS: &str = "SELECT topic_id, group_id, partition_id, last_acked_offset, next_offset, lag
     FROM messagekit_system_topic_offsets ORDER BY topic_id, group_id, partition_id";

/// SQLite compares names of tables without regard to case, and would order them so.
const ROUTES: &str =
    "SELECT topic_id, table_id, op, payload_mode, filter_expr, partition_key_expr, on_failure
     FROM messagekit_system_routes ORDER BY topic_id, table_id COLLATE BINARY, op";

/// Returns the rows of a view, with the values of each in the order of its columns.
pub(crate) fn rows(conn: &Connection, view: TopicView) -> Result<Vec<Vec<Value>>, Error> {
    let statement = statement(view)
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "file has no such view").with("view", view.name()))?;
    let read = || -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut select = conn.prepare_cached(statement)?;
        let row = |row: &Row<'_>| {
            let columns = view.columns().iter().enumerate();
            columns.map(|(index, column)| value(row, index, column.kind)).collect()
        };
        select.query_map([], row)?.collect()
    };
    read().map_err(from_sqlite)
}

fn statement(view: TopicView) -> Option<&'static str> {
    match view {
        TopicView::Topics => Some(TOPICS),
        TopicView::TopicOffsets => Some(TOPIC_OFFSETS),
        TopicView::Routes => Some(ROUTES),
        _ => None,
    }
}

fn value(row: &Row<'_>, index: usize, kind: ViewType) -> rusqlite::Result<Value> {
    Ok(match kind {
        ViewType::Text | ViewType::Timestamp => row.get::<_, Option<String>>(index)?.into(),
        ViewType::Integer => row.get::<_, Option<i64>>(index)?.into(),
        ViewType::Boolean => row.get::<_, Option<bool>>(index)?.into(),
        ViewType::Json => match row.get::<_, Option<String>>(index)? {
            Some(text) => serde_json::from_str(&text).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
            })?,
            None => Value::Null,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_view_is_read_by_its_columns_in_their_order() {
        for view in TopicView::ALL {
            let statement = statement(view).expect("a statement for each view");
            let names: Vec<_> = view.columns().iter().map(|column| column.name).collect();
            assert!(statement.starts_with(&format!("SELECT {}\n", names.join(", "))), "{statement}");
        }
    }
}
