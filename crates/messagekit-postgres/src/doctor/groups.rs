//! Consumers of topics that read no more, or whose claims are scattered.

use jiff_sqlx::Timestamp;
use messagekit::Error;
use messagekit::operations::Diagnosis;
use messagekit_topic_store::{GroupFindings, IDLE_FOUND, MOST_CONSUMERS_FOUND, SCATTERED_FOUND};
use sqlx::PgConnection;

use super::target::Target;
use crate::migrations::connection::fault;

/// Where a consumer has no cursor in a partition, its first record there is not handled.
const IDLE: &str = r#"
SELECT g.group_id, g.topic_id, min(r.stored_at)
FROM messagekit.system_topic_offsets g
  JOIN messagekit.topics t ON t.name = g.topic_id AND t.keep_unhandled AND t.unhandled_max_age IS NULL
  JOIN messagekit.topic_partitions p ON p.topic_id = t.id AND p.partition = g.partition_id
  CROSS JOIN LATERAL (
    SELECT n.stored_at FROM messagekit.topic_records n
    WHERE n.tp_id = p.id AND n."offset" >= coalesce(g.last_acked_offset + 1, 0) ORDER BY n."offset" LIMIT 1) r
WHERE r.stored_at < clock_timestamp() - $1 * interval '1 second'
GROUP BY g.group_id, g.topic_id ORDER BY 3, 1, 2 LIMIT $2"#;

/// A range has more than 20 bytes: texts that are too short are not parsed.
const SCATTERED: &str = "
SELECT c.consumer, t.name, p.partition, jsonb_array_length(c.ranges::jsonb)
FROM messagekit.consumer_cursors c JOIN messagekit.topic_partitions p ON p.id = c.tp_id
  JOIN messagekit.topics t ON t.id = p.topic_id
WHERE CASE WHEN octet_length(c.ranges) >= 20 * $1 THEN jsonb_array_length(c.ranges::jsonb) >= $1 ELSE false END
ORDER BY 4 DESC, 1, 2, 3 LIMIT $2";

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    let most = i64::from(MOST_CONSUMERS_FOUND);
    let idle = sqlx::query_as(target.schema.sql(IDLE)).persistent(false);
    let idle = idle.bind(IDLE_FOUND.as_secs().cast_signed()).bind(most);
    let idle: Vec<(String, String, Timestamp)> = idle.fetch_all(&mut *conn).await.map_err(fault)?;
    for (consumer, topic, stored) in idle {
        diagnosis.found_idle_consumer(&consumer, &topic, stored.to_jiff());
    }
    let scattered = sqlx::query_as(target.schema.sql(SCATTERED)).persistent(false);
    let scattered = scattered.bind(SCATTERED_FOUND as i64).bind(most);
    let scattered: Vec<(String, String, i32, i32)> = scattered.fetch_all(conn).await.map_err(fault)?;
    for (consumer, topic, partition, ranges) in scattered {
        diagnosis.found_scattered_claims(&consumer, &topic, partition, u64::from(ranges.unsigned_abs()));
    }
    Ok(())
}
