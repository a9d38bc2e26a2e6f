//! The raw limit: the engine's statements by hand on one connection.

use std::time::Instant;

use messagekit::{Message, headers};
use messagekit_sqlite::rusqlite::Connection;

use super::consume::{EFFECT, fill};
use super::fixture::{connect, judge, judge_effects, open};
use super::run::{Ran, Run};
use crate::events::{TOPIC, messages};
use crate::frame::Outcome;

const PARTITIONS: i64 = 8;

/// Appends with `group` events per commit.
pub(super) async fn append(run: Run<'_>, group: usize) -> Outcome<Ran> {
    open(&run).await?.close().await?;
    let all = messages(run.events)?;
    let connection = connect(&run)?;
    connection.execute("INSERT INTO messagekit_topics (id, name, partitions) VALUES (1, ?1, 8)", [TOPIC])?;
    for partition in 0..PARTITIONS {
        connection.execute(
            "INSERT INTO messagekit_topic_partitions (id, topic_id, partition) VALUES (?1, 1, ?2)",
            (partition + 1, partition),
        )?;
    }
    let started = Instant::now();
    for (number, batch) in (0_i64..).zip(all.chunks(group)) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for (tp, message) in (0..).map(|index: i64| (number + index) % PARTITIONS + 1).zip(batch) {
            insert(&connection, message, tp)?;
        }
        connection.execute_batch("COMMIT")?;
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(connection);
    let ledger = judge(&run, "messagekit_topic_records", "event_id")?;
    Ok(Ran { rate: run.events as f64 / seconds, ledger, group: None })
}

fn insert(connection: &Connection, message: &Message, tp: i64) -> Outcome<()> {
    let end: i64 = connection
        .prepare_cached("UPDATE messagekit_topic_partitions SET next_offset = next_offset + 1 WHERE id = ?1 RETURNING next_offset")?
        .query_row([tp], |row| row.get(0))?;
    connection
        .prepare_cached(
            "INSERT INTO messagekit_topic_records
               (pos, event_id, event_type, key, content_type, traceparent, created_at, headers, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            tp << 40 | (end - 1),
            message.headers.text(headers::ID),
            message.headers.text(headers::EVENT_TYPE),
            message.key.as_deref(),
            message.headers.text(headers::CONTENT_TYPE),
            None::<&str>,
            1_i64,
            None::<&str>,
            &*message.payload,
        ))?;
    Ok(())
}

/// Reads, claims, applies and moves the cursor, `batch` events per commit.
pub(super) async fn consume(run: Run<'_>, batch: u32) -> Outcome<Ran> {
    fill(&run).await?.close().await?;
    let connection = connect(&run)?;
    connection.execute("INSERT INTO messagekit_consumers (id, name) VALUES (1, 'bare')", ())?;
    let partitions: Vec<i64> = connection
        .prepare("SELECT id FROM messagekit_topic_partitions ORDER BY id")?
        .query_map((), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for tp in &partitions {
        connection.execute(
            "INSERT INTO messagekit_consumer_cursors (consumer_id, tp_id, next) VALUES (1, ?1, 0)",
            [tp],
        )?;
    }
    let started = Instant::now();
    for tp in partitions {
        let mut next = 0_i64;
        loop {
            let page = read(&connection, tp << 40 | next, (tp + 1) << 40, batch)?;
            let Some(read) = i64::try_from(page.len()).ok().filter(|read| *read > 0) else { break };
            connection.execute_batch("BEGIN IMMEDIATE")?;
            for (id, ..) in &page {
                connection
                    .prepare_cached(
                        "INSERT INTO messagekit_processed_messages (consumer_id, message_id, outcome, processed_at)
                         VALUES (1, ?1, 0, 1) ON CONFLICT DO NOTHING",
                    )?
                    .execute([id])?;
            }
            for (id, account, _) in &page {
                connection.prepare_cached(EFFECT)?.execute((id, std::str::from_utf8(account)?))?;
            }
            connection
                .prepare_cached("UPDATE messagekit_consumer_cursors SET next = ?2 WHERE consumer_id = 1 AND tp_id = ?1 AND next = ?3")?
                .execute((tp, next + read, next))?;
            connection
                .prepare_cached(
                    "INSERT INTO messagekit_consumer_offsets (consumer_id, topic_id, partition, next) VALUES (1, 1, ?1, ?2)
                     ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
                )?
                .execute((tp, next + read))?;
            connection.execute_batch("COMMIT")?;
            next += read;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(connection);
    let ledger = judge_effects(&run)?;
    Ok(Ran { rate: run.events as f64 / seconds, ledger, group: None })
}

type Row = (String, Vec<u8>, Vec<u8>);

fn read(connection: &Connection, from: i64, to: i64, limit: u32) -> Outcome<Vec<Row>> {
    let mut select = connection.prepare_cached(
        "SELECT event_id, key, payload FROM messagekit_topic_records WHERE pos >= ?1 AND pos < ?2 ORDER BY pos LIMIT ?3",
    )?;
    let rows = select.query_map((from, to, limit), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
