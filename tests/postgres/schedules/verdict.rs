//! The invariants of the database when nothing changes any more.

use std::collections::{HashMap, HashSet};

use messagekit_tests::schedules;
use sqlx::Row;

use super::world::World;

/// Rows that must not exist: each query with the meaning of its rows.
const NEVER: &[(&str, &str)] = &[
    (
        "a marker is held without an open failed message",
        "SELECT m.message_id FROM messagekit.processed_messages m WHERE m.consumer = $1 AND m.outcome = 'held' AND NOT EXISTS (
           SELECT 1 FROM messagekit.failed_messages d WHERE d.consumer = $1
           AND d.message_id = m.message_id AND d.state NOT IN ('resolved', 'discarded'))",
    ),
    (
        "a failed message is open without a held marker",
        "SELECT d.message_id FROM messagekit.failed_messages d WHERE d.consumer = $1 AND d.state NOT IN ('resolved', 'discarded')
           AND NOT EXISTS (SELECT 1 FROM messagekit.processed_messages m WHERE m.consumer = $1
           AND m.message_id = d.message_id AND m.outcome = 'held')",
    ),
    (
        "a failed message is discarded and its marker is not",
        "SELECT d.message_id FROM messagekit.failed_messages d WHERE d.consumer = $1 AND d.state = 'discarded' AND NOT EXISTS (
           SELECT 1 FROM messagekit.processed_messages m WHERE m.consumer = $1
           AND m.message_id = d.message_id AND m.outcome = 'discarded')",
    ),
    (
        "a marker is discarded and its failed message is not",
        "SELECT m.message_id FROM messagekit.processed_messages m WHERE m.consumer = $1 AND m.outcome = 'discarded' AND NOT EXISTS (
           SELECT 1 FROM messagekit.failed_messages d WHERE d.consumer = $1
           AND d.message_id = m.message_id AND d.state = 'discarded')",
    ),
    (
        "a message is done without one effect of its generation",
        "SELECT m.message_id FROM messagekit.processed_messages m WHERE m.consumer = $1 AND m.outcome = 'done' AND (
           SELECT count(*) FROM effects e WHERE e.consumer = $1
           AND e.message = m.message_id AND e.generation = m.generation) <> 1",
    ),
    (
        "a message that is not done has an effect",
        "SELECT m.message_id FROM messagekit.processed_messages m WHERE m.consumer = $1 AND m.outcome <> 'done' AND EXISTS (
           SELECT 1 FROM effects e WHERE e.consumer = $1 AND e.message = m.message_id AND e.generation >= m.generation)",
    ),
    (
        "an effect has no marker",
        "SELECT e.message FROM effects e WHERE e.consumer = $1 AND NOT EXISTS (
           SELECT 1 FROM messagekit.processed_messages m WHERE m.consumer = $1 AND m.message_id = e.message)",
    ),
    ("two effects", "SELECT message FROM effects WHERE consumer = $1 GROUP BY message, generation HAVING count(*) > 1"),
    (
        "an open failed message does not hold its key",
        "SELECT message_id FROM messagekit.failed_messages
         WHERE consumer = $1 AND key IS NOT NULL AND NOT parked AND state NOT IN ('resolved', 'discarded')",
    ),
    (
        "a head waits",
        "SELECT d.message_id FROM messagekit.failed_messages d WHERE d.consumer = $1 AND d.state = 'blocked' AND NOT EXISTS (
           SELECT 1 FROM messagekit.failed_messages o WHERE o.consumer = $1 AND o.topic = d.topic AND o.key_hash = d.key_hash
             AND o.parked AND o.state NOT IN ('resolved', 'discarded')
             AND (o.partition, o.\"offset\") < (d.partition, d.\"offset\"))",
    ),
    (
        "a blocked key and its open failed messages differ",
        "SELECT coalesce(k.key_hash, l.key_hash)::text || ': ' || coalesce(k.count, 0) || ' and ' || coalesce(l.failed_messages, 0)
         FROM (SELECT key_hash, count FROM messagekit.blocked_keys WHERE consumer = $1) k
         FULL JOIN (SELECT key_hash, count(*) AS failed_messages FROM messagekit.failed_messages
           WHERE consumer = $1 AND parked AND state NOT IN ('resolved', 'discarded') GROUP BY key_hash) l
           ON l.key_hash = k.key_hash
         WHERE k.count IS DISTINCT FROM l.failed_messages",
    ),
];

/// Returns the broken invariant, if any.
pub(super) async fn broken(world: &World) -> Option<String> {
    for (meaning, query) in NEVER {
        if let Some(message) = first(world, query).await {
            return Some(format!("{meaning}: {message}"));
        }
    }
    if let Some(lost) = unmarked(world).await {
        return Some(lost);
    }
    match out_of_order(world).await {
        Some(order) => Some(order),
        None => out_of_range(world).await,
    }
}

/// Returns the remaining work, if any, when everything could be applied.
pub(super) async fn unfinished(world: &World) -> Option<String> {
    let open = "SELECT message_id || ' ' || state FROM messagekit.failed_messages
        WHERE consumer = $1 AND state NOT IN ('resolved', 'discarded')";
    if let Some(failed_message) = first(world, open).await {
        return Some(format!("a failed message is stuck: {failed_message}"));
    }
    for (partition, records) in world.log.iter().enumerate() {
        if world.committed(partition).await != records.len() {
            return Some(format!("partition {partition} is not read to its end"));
        }
    }
    passed_over(world).await
}

/// Requires that every message of a range was processed again, or belongs to a failed message.
async fn passed_over(world: &World) -> Option<String> {
    let stand = "SELECT m.message_id, m.generation FROM messagekit.processed_messages m WHERE m.consumer = $1
        AND NOT EXISTS (SELECT 1 FROM messagekit.failed_messages d WHERE d.consumer = $1 AND d.message_id = m.message_id)";
    let stand = sqlx::query(stand).bind(&world.consumer).fetch_all(&world.direct).await.unwrap();
    let stand: HashMap<String, i32> = stand.iter().map(|row| (row.get(0), row.get(1))).collect();
    let ranges = world.state().ranges.clone();
    ranges.iter().find_map(|range| {
        let of_range = &world.log[range.partition][range.from..range.until];
        let is_behind = |id: &str| stand.get(id).is_some_and(|generation| *generation < range.generation);
        let behind = of_range.iter().find(|record| is_behind(record.id().as_str()))?;
        Some(format!("{} was not processed again under generation {}", behind.id(), range.generation))
    })
}

async fn first(world: &World, query: &'static str) -> Option<String> {
    sqlx::query_scalar(query).bind(&world.consumer).fetch_optional(&world.direct).await.unwrap()
}

/// Requires that every settled message has a marker.
async fn unmarked(world: &World) -> Option<String> {
    let marked = "SELECT message_id FROM messagekit.processed_messages WHERE consumer = $1";
    let marked = sqlx::query_scalar(marked).bind(&world.consumer).fetch_all(&world.direct).await.unwrap();
    let marked: HashSet<String> = marked.into_iter().collect();
    for (partition, records) in world.log.iter().enumerate() {
        let passed = &records[..world.committed(partition).await];
        if let Some(lost) = passed.iter().find(|record| !marked.contains(record.id().as_str())) {
            return Some(format!("lost: {}", lost.id()));
        }
    }
    None
}

/// Requires that the first effects of a key are in the order of its records, except for undone ones.
async fn out_of_order(world: &World) -> Option<String> {
    let effects = "SELECT message, min(at) FROM effects WHERE consumer = $1 GROUP BY message";
    let effects = sqlx::query(effects).bind(&world.consumer).fetch_all(&world.direct).await.unwrap();
    let effects: HashMap<String, i64> = effects.iter().map(|row| (row.get(0), row.get(1))).collect();
    schedules::out_of_order(&world.log, &effects, &world.state().undone)
}

/// Requires that an effect of a generation is in one of its ranges.
async fn out_of_range(world: &World) -> Option<String> {
    let effects = "SELECT message, generation FROM effects WHERE consumer = $1 AND generation > 0";
    let effects = sqlx::query(effects).bind(&world.consumer).fetch_all(&world.direct).await.unwrap();
    let effects = effects.iter().map(|row| (row.get(0), row.get(1)));
    schedules::out_of_range(&world.log, effects, &world.state().ranges)
}
