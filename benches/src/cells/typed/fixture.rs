//! The records of the cell, and the check after a run.

use messagekit_sqlite::{SqliteStore, Synchronous};
use messagekit_topics::{Topic, Topics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::embedded::{Run, Units, connect, database};
use crate::frame::{Ledger, Outcome};

/// What is measured, and what a group is counted in.
pub(super) const UNITS: Units = Units { rate: "records/s", group: "records per commit" };
pub(super) const SOURCE: &str = "bench.items";
pub(super) const TARGET: &str = "bench.copies";

/// About 200 bytes of JSON.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Item {
    pub(super) number: u64,
    pub(super) url: String,
    pub(super) text: String,
}

/// Generates `n` records, numbered from 0.
pub(super) fn items(n: usize) -> Vec<Item> {
    let mut dice = fastrand::Rng::with_seed(20_261_125);
    let mut text = || (0..110).map(|_| dice.alphanumeric()).collect();
    let item = |number| Item { number, url: format!("https://example.org/feeds/{number}"), text: text() };
    (0..n as u64).map(item).collect()
}

/// Generates a record by its number alone.
pub(super) fn item(number: u64) -> Item {
    let mut dice = fastrand::Rng::with_seed(number);
    let text = (0..110).map(|_| dice.alphanumeric()).collect();
    Item { number, url: format!("https://example.org/feeds/{number}"), text }
}

pub(super) async fn topics(run: &Run<'_>) -> Outcome<Topics<SqliteStore>> {
    let options = SqliteStore::options().synchronous(run.synchronous);
    Ok(Topics::of(options.open(database(run.folder)).await?))
}

pub(super) async fn topic(
    topics: &Topics<SqliteStore>,
    name: &str,
    dedup: bool,
) -> Outcome<Topic<Item, SqliteStore>> {
    let topic = topics.topic::<Item>(name);
    Ok(if dedup { topic.dedup(["url"]).open().await? } else { topic.open().await? })
}

/// Makes a file whose source topic has all records.
pub(super) async fn filled(run: &Run<'_>) -> Outcome<Topics<SqliteStore>> {
    // What fills it is not measured, and need not be flushed.
    let quick = Run { synchronous: Synchronous::Normal, ..*run };
    let filled = topics(&quick).await?;
    let source = topic(&filled, SOURCE, false).await?;
    for batch in items(run.events).chunks(1_000) {
        source.extend(batch).await?;
    }
    filled.close().await?;
    topics(run).await
}

/// Returns the ledger of the records of a topic, by their numbers in the order of their partition.
pub(super) fn judge(run: &Run<'_>, topic: &str) -> Outcome<Ledger> {
    let sql = "SELECT json_extract(r.payload, '$.number') FROM messagekit_topics t
        JOIN messagekit_topic_partitions p ON p.topic_id = t.id
        JOIN messagekit_topic_records r ON r.pos >= p.id << 40 AND r.pos < (p.id + 1) << 40
        WHERE t.name = ?1 ORDER BY r.pos";
    let connection = connect(run)?;
    let mut select = connection.prepare(sql)?;
    let numbers = select
        .query_map([topic], |row| row.get(0).map(i64::unsigned_abs))?
        .collect::<Result<Vec<u64>, _>>()?;
    Ok(ledger(run.events, &numbers))
}

/// Returns the ledger of numbers from 0 that were seen in this order.
pub(in crate::cells) fn ledger(records: usize, seen: &[u64]) -> Ledger {
    let mut different = seen.to_vec();
    different.sort_unstable();
    different.dedup();
    let out_of_order = seen.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
    let (lost, doubled) = (records.saturating_sub(different.len()), seen.len() - different.len());
    Ledger { lost: lost as u64, doubled: doubled as u64, out_of_order }
}
