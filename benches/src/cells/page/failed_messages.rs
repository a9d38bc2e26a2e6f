//! Failed messages, and a page of them read by hand.

use crate::frame::Outcome;
use sqlx::{AssertSqlSafe, PgConnection, Row};

/// Fills the table with the failures of a consumer of 20 topics.
pub(super) async fn fill(connection: &mut PgConnection, failed_messages: u32) -> Outcome<()> {
    let insert = format!(
        r#"INSERT INTO messagekit.failed_messages
  (consumer, message_id, topic, key, key_hash, state, reason, attempts, event_type, headers, payload, kind, error, fingerprint)
SELECT 'consumer-' || n % 20, 'm-' || n, 'orders.order', convert_to('k-' || n, 'UTF8'), n, 'dead', 'set_aside', 10,
  'orders.order.placed', '[["id","m"]]', convert_to(repeat('x', 600), 'UTF8'), 'permanent',
  'order ' || n || ' has no customer', 'print-' || n % 50
FROM generate_series(1, {failed_messages}) n"#
    );
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut *connection).await?;
    sqlx::raw_sql("VACUUM ANALYZE messagekit.failed_messages").execute(&mut *connection).await?;
    Ok(())
}

/// Reads the first page as a program without the admin would: every column, every row.
pub(super) async fn page(connection: &mut PgConnection, state: &str) -> Outcome<()> {
    let condition = if state.is_empty() { "" } else { "WHERE state = $1" };
    let select = format!(
        r#"SELECT id, consumer, origin, return_to, message_id, topic, position_topic, partition, "offset", key, event_type, state,
  reason, attempts, crash_count, due::text, kind, error, fingerprint, set_aside_at::text, changed_at::text,
  octet_length(payload)::bigint AS payload_bytes
FROM messagekit.failed_messages {condition} ORDER BY id DESC LIMIT 100"#
    );
    let mut query = sqlx::query(AssertSqlSafe(select));
    if !state.is_empty() {
        query = query.bind(state);
    }
    let rows = query.fetch_all(connection).await?;
    let mut bytes = 0;
    for row in &rows {
        std::hint::black_box(row.try_get::<i64, _>(0)?);
        for text in [1, 2, 4, 5, 11, 12, 16, 17, 18, 19, 20] {
            bytes += std::hint::black_box(row.try_get::<String, _>(text)?).len();
        }
        for absent in [3, 6, 10, 15] {
            std::hint::black_box(row.try_get::<Option<String>, _>(absent)?);
        }
        for count in [13, 14] {
            std::hint::black_box(row.try_get::<i32, _>(count)?);
        }
        std::hint::black_box((row.try_get::<Option<i32>, _>(7)?, row.try_get::<Option<i64>, _>(8)?));
        std::hint::black_box((row.try_get::<Option<Vec<u8>>, _>(9)?, row.try_get::<i64, _>(21)?));
    }
    if rows.len() != 100 || bytes == 0 {
        return Err("the page is not whole".into());
    }
    Ok(())
}
