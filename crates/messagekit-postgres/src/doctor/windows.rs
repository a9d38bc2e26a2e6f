//! Dedup windows against the events that the outbox keeps.

use std::collections::BTreeSet;
use std::time::Duration;

use messagekit::Error;
use messagekit::operations::{DedupReach, Diagnosis, Repair};
use sqlx::PgConnection;

use super::checks::WINDOW_SHORT;
use super::target::Target;
use crate::migrations::connection::fault;

/// The window that counts is the longest one that was noted within seven days of the last note.
const WINDOWS: &str = "
SELECT w.consumer, max(w.seconds) AS seconds,
  EXISTS (SELECT FROM messagekit.outbox_events e
    WHERE e.copy = 0 AND e.created_at < clock_timestamp() - max(w.seconds) * interval '1 second'
      AND e.topic IN (SELECT o.topic FROM messagekit.consumer_offsets o WHERE o.consumer = w.consumer)) AS is_short
FROM messagekit.consumer_windows w
WHERE w.noted_at > (SELECT max(n.noted_at) FROM messagekit.consumer_windows n WHERE n.consumer = w.consumer)
  - interval '7 days'
GROUP BY w.consumer ORDER BY w.consumer";

const TOPICS: &str =
    "SELECT DISTINCT consumer, topic FROM messagekit.consumer_offsets ORDER BY consumer, topic";

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<Vec<DedupReach>, Error> {
    let select = sqlx::query_as(target.schema.sql(WINDOWS)).persistent(false);
    let windows: Vec<(String, i64, bool)> = select.fetch_all(&mut *conn).await.map_err(fault)?;
    let select = sqlx::query_as(target.schema.sql(TOPICS)).persistent(false);
    let topics: BTreeSet<(String, String)> =
        select.fetch_all(conn).await.map_err(fault)?.into_iter().collect();
    let mut reach = Vec::new();
    for (consumer, seconds, is_short) in windows {
        if is_short {
            let text = format!(
                "consumer {consumer} recognises copies for {seconds} s, and the outbox keeps older events of its topics"
            );
            let repair = format!(
                "give {consumer} a dedup window that is as long as events are kept, or publish older events again with new \
                 ids only: `messagekit replay start --ids new`"
            );
            diagnosis.found(&WINDOW_SHORT, &consumer, text, [Repair::Manual(repair)]);
        }
        let window = Duration::from_secs(seconds.unsigned_abs());
        let read = topics.iter().filter(|(reader, _)| *reader == consumer);
        reach.extend(read.map(|(_, topic)| DedupReach {
            consumer: consumer.clone(),
            topic: topic.clone(),
            window,
        }));
    }
    Ok(reach)
}
