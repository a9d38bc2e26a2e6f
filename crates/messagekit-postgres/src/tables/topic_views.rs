//! The views over topics.

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::TopicView;
use serde_json::Value;
use sqlx::PgConnection;

use crate::SchemaName;
use crate::error::from_sqlx;

pub(crate) const TOPICS: &str = r#"
SELECT jsonb_build_array(v.topic_id, v.name, v.partitions, v.retention_seconds, v.retention_max_bytes, v.retention_consumed,
  v.retention_unhandled_seconds, v.routes,
  to_char(v.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text
FROM messagekit.system_topics v ORDER BY v.topic_id"#;

pub(crate) const TOPIC_OFFSETS: &str = "
SELECT jsonb_build_array(v.topic_id, v.group_id, v.partition_id, v.last_acked_offset, v.next_offset, v.lag)::text
FROM messagekit.system_topic_offsets v ORDER BY v.topic_id, v.group_id, v.partition_id";

pub(crate) const ROUTES: &str = "
SELECT jsonb_build_array(v.topic_id, v.table_id, v.op, v.payload_mode, v.filter_expr, v.partition_key_expr, v.on_failure)::text
FROM messagekit.system_routes v ORDER BY v.topic_id, v.table_id, v.op";

/// Returns the rows of a view, with the values of each in the order of its columns.
pub(crate) async fn rows(
    connection: &mut PgConnection,
    schema: &SchemaName,
    view: TopicView,
) -> Result<Vec<Vec<Value>>, Error> {
    let statement = statement(view).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "database has no such view").with("view", view.name())
    })?;
    let rows: Vec<String> =
        sqlx::query_scalar(schema.sql(statement)).fetch_all(connection).await.map_err(from_sqlx)?;
    let row = |text: &String| {
        serde_json::from_str(text).map_err(|error| {
            let text = "row of a view cannot be read";
            Error::new(ErrorKind::Corrupt, text).with("view", view.name()).caused_by(error)
        })
    };
    rows.iter().map(row).collect()
}

fn statement(view: TopicView) -> Option<&'static str> {
    match view {
        TopicView::Topics => Some(TOPICS),
        TopicView::TopicOffsets => Some(TOPIC_OFFSETS),
        TopicView::Routes => Some(ROUTES),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_view_is_read_by_its_columns_in_their_order() {
        for view in TopicView::ALL {
            let mut rest = statement(view).expect("a statement for each view");
            for column in view.columns() {
                let (_, after) = rest.split_once(&format!("v.{}", column.name)).expect(column.name);
                rest = after;
            }
        }
    }
}
