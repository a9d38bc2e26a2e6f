//! Blocked keys, each with the number of its open failed messages.
//!
//! A transaction that changes the open failed messages of a key holds the key's row until it ends. It reads the failed
//! messages in a later statement: the same statement would not see the last holder's writes. No transaction holds a row
//! while a handler runs. Transactions that take several rows take them in order.

use messagekit::Error;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// Counts failed messages in.
pub(crate) const HOLD: &str = r#"
INSERT INTO messagekit.blocked_keys AS h (consumer, topic, key_hash, count)
SELECT $1, b.topic, b.key_hash, count(*)
FROM unnest($2::text[], $3::bigint[]) AS b (topic, key_hash)
GROUP BY b.topic, b.key_hash ORDER BY b.topic COLLATE "C", b.key_hash
ON CONFLICT (consumer, topic, key_hash) DO UPDATE SET count = h.count + excluded.count
RETURNING topic, key_hash, count"#;

/// The number of failed messages that block keys of a consumer. It reads all of the consumer's keys, and so runs only now
/// and then.
pub(crate) const IN_ALL: &str =
    "SELECT coalesce(sum(count), 0)::bigint FROM messagekit.blocked_keys WHERE consumer = $1";

/// Counts failed messages out; returns no row when fewer block the key.
pub(crate) const LET_GO: &str = "
UPDATE messagekit.blocked_keys SET count = count - $4::int
WHERE consumer = $1 AND topic = $2 AND key_hash = $3 AND count >= $4::int";

/// Locks the keys of failed messages that an operator acts on. A key without a row gets one, which [`FREE`] removes
/// again.
pub(crate) const LOCK: &str = r#"
INSERT INTO messagekit.blocked_keys AS h (consumer, topic, key_hash, count)
SELECT DISTINCT d.consumer COLLATE "C", d.topic COLLATE "C", d.key_hash, 0
FROM messagekit.failed_messages d WHERE d.id = ANY($1::bigint[]) AND d.parked ORDER BY 1, 2, 3
ON CONFLICT (consumer, topic, key_hash) DO UPDATE SET count = h.count
RETURNING consumer, topic, key_hash"#;

/// Counts failed messages in or out of locked keys.
pub(crate) const COUNT: &str = "
UPDATE messagekit.blocked_keys h SET count = h.count + b.failed_messages
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::int[]) AS b (consumer, topic, key_hash, failed_messages)
WHERE h.consumer = b.consumer AND h.topic = b.topic AND h.key_hash = b.key_hash";

/// Schedules the first open failed message of each key if it is blocked. The array makes the plan look failed messages up
/// by id, whatever it estimates for the keys.
pub(crate) const PROMOTE: &str = r#"
UPDATE messagekit.failed_messages d SET state = 'retry_scheduled', reason = 'key_freed', due = now(),
  changed_at = clock_timestamp()
WHERE d.state = 'blocked' AND d.id = ANY(ARRAY(
  SELECT (
    SELECT o.id FROM messagekit.failed_messages o
    WHERE o.consumer = b.consumer AND o.topic = b.topic AND o.key_hash = b.key_hash AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')
    ORDER BY o.partition, o."offset" LIMIT 1)
  FROM unnest($1::text[], $2::text[], $3::bigint[]) AS b (consumer, topic, key_hash)))"#;

/// Removes keys without failed messages.
pub(crate) const FREE: &str = "
DELETE FROM messagekit.blocked_keys h
USING unnest($1::text[], $2::text[], $3::bigint[]) AS b (consumer, topic, key_hash)
WHERE h.consumer = b.consumer AND h.topic = b.topic AND h.key_hash = b.key_hash AND h.count = 0";

/// A key as a consumer reads it; two keys with one hash share a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockedKey {
    pub(crate) consumer: String,
    pub(crate) topic: String,
    pub(crate) hash: i64,
}

/// The number of open failed messages of a key after some were counted in.
pub(crate) struct Held<'a> {
    pub(crate) topic: &'a str,
    pub(crate) hash: i64,
    pub(crate) failed_messages: i64,
}

/// Counts failed messages of a consumer in, each by its topic and key; locks the keys. Returns one row for each key.
pub(crate) async fn hold<'a>(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    keys: &[(&'a str, i64)],
) -> Result<Vec<Held<'a>>, Error> {
    let (topics, hashes): (Vec<&str>, Vec<i64>) = keys.iter().copied().unzip();
    let hold = sqlx::query(schema.sql(HOLD)).bind(consumer).bind(topics).bind(hashes);
    let rows = hold.fetch_all(connection).await.map_err(from_sqlx)?;
    let read = |row: &sqlx::postgres::PgRow| {
        let (topic, hash): (&str, i64) = (row.try_get(0)?, row.try_get(1)?);
        let asked = keys.iter().find(|key| **key == (topic, hash));
        let (topic, _) = *asked.ok_or(sqlx::Error::RowNotFound)?;
        Ok(Held { topic, hash, failed_messages: row.try_get::<i32, _>(2)?.into() })
    };
    rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(from_sqlx)
}

/// Returns how many failed messages block keys of a consumer, including those of this transaction.
pub(crate) async fn in_all(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
) -> Result<i64, Error> {
    let row = sqlx::query(schema.sql(IN_ALL)).bind(consumer).fetch_one(connection).await;
    row.and_then(|row| row.try_get(0)).map_err(from_sqlx)
}

/// Counts failed messages out and locks the key; returns false when fewer block it.
pub(crate) async fn let_go(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &str,
    hash: i64,
    failed_messages: i64,
) -> Result<bool, Error> {
    let update = sqlx::query(schema.sql(LET_GO)).bind(consumer).bind(topic).bind(hash);
    let update = update.bind(i32::try_from(failed_messages).unwrap_or(i32::MAX));
    Ok(update.execute(connection).await.map_err(from_sqlx)?.rows_affected() == 1)
}

/// Locks the keys of parked failed messages.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    schema: &SchemaName,
    failed_messages: &[i64],
) -> Result<Vec<BlockedKey>, Error> {
    // A cached plan from the time without failed messages would scan all of them.
    let lock = sqlx::query(schema.sql(LOCK)).persistent(false).bind(failed_messages);
    let rows = lock.fetch_all(connection).await.map_err(from_sqlx)?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(BlockedKey { consumer: row.try_get(0)?, topic: row.try_get(1)?, hash: row.try_get(2)? })
    };
    rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(from_sqlx)
}

/// Counts failed messages in or out of locked keys.
pub(crate) async fn count(
    connection: &mut PgConnection,
    schema: &SchemaName,
    failed_messages: &[(&BlockedKey, i32)],
) -> Result<(), Error> {
    if failed_messages.is_empty() {
        return Ok(());
    }
    let keys: Vec<&BlockedKey> = failed_messages.iter().map(|(key, _)| *key).collect();
    let counts: Vec<i32> = failed_messages.iter().map(|(_, count)| *count).collect();
    let (consumers, topics, hashes) = columns(&keys);
    let update = sqlx::query(schema.sql(COUNT)).bind(consumers).bind(topics).bind(hashes).bind(counts);
    update.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Schedules the first failed message of each key, and removes keys without failed messages. The keys must be locked by
/// earlier statements.
pub(crate) async fn settle(
    connection: &mut PgConnection,
    schema: &SchemaName,
    keys: &[BlockedKey],
) -> Result<(), Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let keys: Vec<&BlockedKey> = keys.iter().collect();
    for text in [PROMOTE, FREE] {
        let (consumers, topics, hashes) = columns(&keys);
        let statement = sqlx::query(schema.sql(text)).bind(consumers).bind(topics).bind(hashes);
        statement.execute(&mut *connection).await.map_err(from_sqlx)?;
    }
    Ok(())
}

fn columns<'a>(keys: &[&'a BlockedKey]) -> (Vec<&'a str>, Vec<&'a str>, Vec<i64>) {
    let consumers = keys.iter().map(|key| &*key.consumer).collect();
    let topics = keys.iter().map(|key| &*key.topic).collect();
    (consumers, topics, keys.iter().map(|key| key.hash).collect())
}
