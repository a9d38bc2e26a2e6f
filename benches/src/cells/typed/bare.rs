//! The raw limit: the engine's statements by hand on one connection, over payloads that are encoded already.

use std::time::Instant;

use messagekit::MessageId;
use messagekit_sqlite::rusqlite::Connection;

use super::super::embedded::{Ran, Run, connect};
use super::fixture::{SOURCE, TARGET, filled, items, judge, ledger, topic, topics};
use crate::frame::Outcome;

const FIRST_CURSOR: &str =
    "INSERT INTO messagekit_consumer_cursors (consumer_id, tp_id, next) VALUES (1, 1, 0)";
const NEXT_CURSOR: &str =
    "UPDATE messagekit_consumer_cursors SET next = ?1 WHERE consumer_id = 1 AND tp_id = 1";

/// A topic of one partition in which records are appended.
struct Target<'a> {
    connection: &'a Connection,
    topic: i64,
    partition: i64,
    next: i64,
    id: i64,
    dedup: bool,
}

impl<'a> Target<'a> {
    fn of(connection: &'a Connection, name: &str, dedup: bool) -> Outcome<Self> {
        let sql = "SELECT t.id, p.id, p.next_offset FROM messagekit_topics t
            JOIN messagekit_topic_partitions p ON p.topic_id = t.id WHERE t.name = ?1";
        let (topic, partition, next) =
            connection.query_row(sql, [name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let sql = "SELECT coalesce(max(first_id + length), 1) FROM messagekit_record_ids";
        let id = connection.query_row(sql, (), |row| row.get(0))?;
        connection.execute(
            "INSERT INTO messagekit_record_ids (first_id, topic_id, pos, length) VALUES (?1, ?2, ?3, 1)",
            (id, topic, partition << 40),
        )?;
        Ok(Self { connection, topic, partition, next, id, dedup })
    }

    /// Appends records in the transaction that is open.
    fn append<'p>(&mut self, payloads: impl Iterator<Item = (&'p [u8], &'p [u8])>) -> Outcome<()> {
        for (hash, payload) in payloads {
            let pos = self.partition << 40 | self.next;
            self.connection
                .prepare_cached(
                    "INSERT INTO messagekit_topic_records (pos, event_id, content_type, created_at, payload)
                     VALUES (?1, ?2, 'application/json', 1, ?3)",
                )?
                .execute((pos, MessageId::new().as_str(), payload))?;
            if self.dedup {
                self.connection
                    .prepare_cached(
                        "INSERT INTO messagekit_dedup_hashes (topic_id, hash, record_id) VALUES (?1, ?2, ?3)",
                    )?
                    .execute((self.topic, hash, self.id + self.next))?;
            }
            self.next += 1;
        }
        self.connection
            .prepare_cached("UPDATE messagekit_topic_partitions SET next_offset = ?2 WHERE id = ?1")?
            .execute((self.partition, self.next))?;
        self.connection
            .prepare_cached("UPDATE messagekit_record_ids SET length = ?2 WHERE first_id = ?1")?
            .execute((self.id, self.next))?;
        Ok(())
    }
}

/// Returns bytes of the length of a hash that no other number has.
fn hash(number: usize) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    hash[24..].copy_from_slice(&(number as u64).to_be_bytes());
    hash
}

/// Appends with `group` records per commit.
pub(super) async fn append(run: Run<'_>, group: usize, dedup: bool) -> Outcome<Ran> {
    let made = topics(&run).await?;
    topic(&made, SOURCE, dedup).await?;
    made.close().await?;
    let payloads = items(run.events)
        .iter()
        .map(|item| Ok((hash(item.number as usize), serde_json::to_vec(item)?)))
        .collect::<Outcome<Vec<([u8; 32], Vec<u8>)>>>()?;
    let connection = connect(&run)?;
    let mut target = Target::of(&connection, SOURCE, dedup)?;
    let started = Instant::now();
    for batch in payloads.chunks(group) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        target.append(batch.iter().map(|(hash, payload)| (&hash[..], &**payload)))?;
        connection.execute_batch("COMMIT")?;
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Ran { rate: run.events as f64 / seconds, ledger: judge(&run, SOURCE)?, group: None })
}

/// Claims and acknowledges `max` records at a time: a window is written twice, and read twice.
pub(super) async fn claim(run: Run<'_>, max: u32) -> Outcome<Ran> {
    filled(&run).await?.close().await?;
    let connection = connect(&run)?;
    connection.execute(FIRST_CURSOR, ())?;
    connection.execute("INSERT INTO messagekit_record_claims VALUES (1, 1, 0, '[]')", ())?;
    let mut payloads = Vec::with_capacity(run.events);
    let mut next = 0_i64;
    let started = Instant::now();
    loop {
        window(&connection, next)?;
        let page = read(&connection, next, max)?;
        if page.is_empty() {
            break;
        }
        next += i64::try_from(page.len())?;
        window(&connection, next)?;
        payloads.extend(page.into_iter().map(|(_, payload)| payload));
    }
    let seconds = started.elapsed().as_secs_f64();
    let number = |payload: &Vec<u8>| Ok(serde_json::from_slice::<super::fixture::Item>(payload)?.number);
    let seen = payloads.iter().map(number).collect::<Outcome<Vec<u64>>>()?;
    Ok(Ran { rate: run.events as f64 / seconds, ledger: ledger(run.events, &seen), group: None })
}

fn window(connection: &Connection, next: i64) -> Outcome<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let _: String = connection
        .prepare_cached("SELECT ranges FROM messagekit_record_claims WHERE consumer_id = 1 AND tp_id = 1")?
        .query_row((), |row| row.get(0))?;
    connection
        .prepare_cached("UPDATE messagekit_record_claims SET next = ?1, ranges = '[[0,0]]' WHERE consumer_id = 1 AND tp_id = 1")?
        .execute([next])?;
    connection.prepare_cached(NEXT_CURSOR)?.execute([next])?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}

type Row = (String, Vec<u8>);

fn read(connection: &Connection, from: i64, limit: u32) -> Outcome<Vec<Row>> {
    let mut select = connection.prepare_cached(
        "SELECT event_id, payload FROM messagekit_topic_records WHERE pos >= ?1 AND pos < 2 << 40 ORDER BY pos LIMIT ?2",
    )?;
    let rows = select.query_map((1_i64 << 40 | from, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads, marks and appends to a topic with a dedup rule, `batch` records per commit.
pub(super) async fn pipeline(run: Run<'_>, batch: u32) -> Outcome<Ran> {
    let made = filled(&run).await?;
    topic(&made, TARGET, true).await?;
    made.close().await?;
    let connection = connect(&run)?;
    connection.execute(FIRST_CURSOR, ())?;
    let mut target = Target::of(&connection, TARGET, true)?;
    let mut next = 0_i64;
    let started = Instant::now();
    loop {
        let page = read(&connection, next, batch)?;
        if page.is_empty() {
            break;
        }
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for (id, _) in &page {
            connection
                .prepare_cached(
                    "INSERT INTO messagekit_processed_messages (consumer_id, message_id, outcome, processed_at)
                     VALUES (1, ?1, 0, 1) ON CONFLICT DO NOTHING",
                )?
                .execute([id])?;
        }
        let hashes: Vec<[u8; 32]> = (0..page.len()).map(|index| hash(next as usize + index)).collect();
        let first = target.next;
        target.append(hashes.iter().zip(&page).map(|(hash, (_, payload))| (&hash[..], &**payload)))?;
        for ((cause, _), pos) in page.iter().zip(first..) {
            connection
                .prepare_cached("INSERT INTO messagekit_event_links (pos, causation_id) VALUES (?1, ?2)")?
                .execute((target.partition << 40 | pos, cause))?;
        }
        next += i64::try_from(page.len())?;
        connection.prepare_cached(NEXT_CURSOR)?.execute([next])?;
        connection.execute_batch("COMMIT")?;
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Ran { rate: run.events as f64 / seconds, ledger: judge(&run, TARGET)?, group: None })
}
