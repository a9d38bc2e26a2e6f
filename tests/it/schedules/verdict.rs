//! The invariants of the file when no role works.

use std::collections::HashMap;

use messagekit_tests::schedules;

use super::world::World;

/// Rows that must not exist: each query with the meaning of its rows.
const NEVER: &[(&str, &str)] = &[
    (
        "a marker is held without an open failed message",
        "SELECT m.message_id FROM messagekit_processed_messages m WHERE m.outcome = 1 AND NOT EXISTS (
           SELECT 1 FROM messagekit_failed_messages d
           WHERE d.message_id = m.message_id AND d.state NOT IN ('resolved', 'discarded'))",
    ),
    (
        "a failed message is open without a held marker",
        "SELECT d.message_id FROM messagekit_failed_messages d WHERE d.state NOT IN ('resolved', 'discarded') AND NOT EXISTS (
           SELECT 1 FROM messagekit_processed_messages m WHERE m.message_id = d.message_id AND m.outcome = 1)",
    ),
    (
        "a failed message is discarded and its marker is not",
        "SELECT d.message_id FROM messagekit_failed_messages d WHERE d.state = 'discarded' AND NOT EXISTS (
           SELECT 1 FROM messagekit_processed_messages m WHERE m.message_id = d.message_id AND m.outcome = 2)",
    ),
    (
        "a marker is discarded and its failed message is not",
        "SELECT m.message_id FROM messagekit_processed_messages m WHERE m.outcome = 2 AND NOT EXISTS (
           SELECT 1 FROM messagekit_failed_messages d WHERE d.message_id = m.message_id AND d.state = 'discarded')",
    ),
    (
        "a message is done without one effect of its generation",
        "SELECT m.message_id FROM messagekit_processed_messages m WHERE m.outcome = 0 AND (
           SELECT count(*) FROM effects e WHERE e.message = m.message_id AND e.generation = m.generation) <> 1",
    ),
    (
        "a message that is not done has an effect",
        "SELECT m.message_id FROM messagekit_processed_messages m WHERE m.outcome <> 0 AND EXISTS (
           SELECT 1 FROM effects e WHERE e.message = m.message_id AND e.generation >= m.generation)",
    ),
    (
        "an effect has no marker",
        "SELECT e.message FROM effects e WHERE NOT EXISTS (
           SELECT 1 FROM messagekit_processed_messages m WHERE m.message_id = e.message)",
    ),
    ("two effects", "SELECT message FROM effects GROUP BY message, generation HAVING count(*) > 1"),
    (
        "an open failed message does not hold its key",
        "SELECT message_id FROM messagekit_failed_messages
         WHERE key IS NOT NULL AND parked = 0 AND state NOT IN ('resolved', 'discarded')",
    ),
    (
        "a head waits",
        "SELECT d.message_id FROM messagekit_failed_messages d WHERE d.state = 'blocked' AND NOT EXISTS (
           SELECT 1 FROM messagekit_failed_messages o WHERE o.topic = d.topic AND o.key = d.key AND o.parked = 1
             AND o.state NOT IN ('resolved', 'discarded') AND (o.partition, o.offset) < (d.partition, d.offset))",
    ),
];

/// Returns a broken invariant, if any.
pub(super) fn broken(world: &World) -> Option<String> {
    for (meaning, query) in NEVER {
        if let Some(message) = first(world, query) {
            return Some(format!("{meaning}: {message}"));
        }
    }
    unmarked(world).or_else(|| out_of_order(world)).or_else(|| out_of_range(world))
}

/// Returns unfinished work, after every handler could succeed.
pub(super) fn unfinished(world: &World) -> Option<String> {
    let open = "SELECT message_id || ' ' || state FROM messagekit_failed_messages WHERE state NOT IN ('resolved', 'discarded')";
    if let Some(failed_message) = first(world, open) {
        return Some(format!("a failed message is stuck: {failed_message}"));
    }
    let short =
        (0..world.log.len()).find(|partition| world.committed(*partition) != world.log[*partition].len());
    short
        .map(|partition| format!("partition {partition} is not read to its end"))
        .or_else(|| passed_over(world))
}

/// Every message of a range was processed again, or belongs to a failed message.
fn passed_over(world: &World) -> Option<String> {
    let behind =
        "SELECT count(*) FROM messagekit_processed_messages m WHERE m.message_id = ?1 AND m.generation < ?2
        AND NOT EXISTS (SELECT 1 FROM messagekit_failed_messages d WHERE d.message_id = m.message_id)";
    let is_behind = |id: &str, generation: i32| {
        world.raw.query_row(behind, (id, generation), |row| row.get::<_, i64>(0)).unwrap() > 0
    };
    world.ranges.iter().find_map(|range| {
        let of_range = &world.log[range.partition][range.from..range.until];
        let behind = of_range.iter().find(|record| is_behind(record.id().as_str(), range.generation))?;
        Some(format!("{} was not processed again under generation {}", behind.id(), range.generation))
    })
}

fn first(world: &World, query: &str) -> Option<String> {
    let mut select = world.raw.prepare(query).unwrap();
    let mut rows = select.query([]).unwrap();
    rows.next().unwrap().map(|row| row.get(0).unwrap())
}

/// Every passed message has a marker.
fn unmarked(world: &World) -> Option<String> {
    let marked = "SELECT count(*) FROM messagekit_processed_messages WHERE message_id = ?1";
    (0..world.log.len()).find_map(|partition| {
        let passed = &world.log[partition][..world.committed(partition)];
        let is_lost = |id: &str| world.raw.query_row(marked, [id], |row| row.get::<_, i64>(0)).unwrap() == 0;
        let lost = passed.iter().find(|record| is_lost(record.id().as_str()));
        lost.map(|record| format!("lost: {}", record.id()))
    })
}

/// The first effects of a key come in the order of its records, except for messages that an operator reopened.
fn out_of_order(world: &World) -> Option<String> {
    let mut select = world.raw.prepare("SELECT message, min(rowid) FROM effects GROUP BY message").unwrap();
    let effects: HashMap<String, i64> =
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    schedules::out_of_order(&world.log, &effects, &world.undone)
}

/// An effect of a generation belongs to a range of it.
fn out_of_range(world: &World) -> Option<String> {
    let mut select =
        world.raw.prepare("SELECT message, generation FROM effects WHERE generation > 0").unwrap();
    let effects = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i32>(1)?))).unwrap();
    schedules::out_of_range(&world.log, effects.map(Result::unwrap), &world.ranges)
}
