//! A sketch of a relay with the same structure: read a page behind the last one, hand it to the client, read the next page
//! meanwhile, delete confirmed events. It has no lease, finds no late commit and survives no error.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::try_join_all;
use messagekit_postgres::PostgresStore;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use sqlx::PgPool;

use crate::frame::Outcome;

/// The page size of messagekit's relay in a backlog of events of 1 KiB.
const PAGE: i64 = 1_000;
const PAGES: usize = 4;
const POLL: Duration = Duration::from_millis(50);

const READ: &str = "
SELECT p.shard, p.seq, e.topic, e.aggregate_id, e.payload, e.event_id, e.event_type
FROM (SELECT shard, topic, seq, event_id, copy FROM messagekit.outbox_pending
      WHERE (shard, topic, seq) > ($1, $2, $3) ORDER BY shard, topic, seq LIMIT $4) p
  JOIN messagekit.outbox_events e USING (event_id, copy) ORDER BY p.shard, p.topic, p.seq";

const DELETE: &str = "
DELETE FROM messagekit.outbox_pending p USING unnest($1::smallint[], $2::text[], $3::bigint[]) AS d (shard, topic, seq)
WHERE p.shard = d.shard AND p.topic = d.topic AND p.seq = d.seq";

type Row = (i16, i64, String, Option<String>, Vec<u8>, String, Option<String>);

struct Sent {
    shards: Vec<i16>,
    topics: Vec<String>,
    seqs: Vec<i64>,
    answers: Vec<DeliveryFuture>,
}

/// Publishes until it is dropped.
pub(crate) async fn relay(store: PostgresStore, brokers: String) -> Outcome<()> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("enable.idempotence", "true")
        .set("compression.type", "zstd")
        .set("compression.level", "1")
        .set("linger.ms", "2")
        .set("queue.buffering.max.messages", "100000")
        .create()?;
    let mut in_flight = VecDeque::new();
    let mut above = (i16::MIN, String::new(), 0);
    loop {
        let read = sqlx::query_as(READ).bind(above.0).bind(&above.1).bind(above.2).bind(PAGE);
        let rows: Vec<Row> = read.fetch_all(store.pool()).await?;
        let is_last = rows.len() < PAGE as usize;
        above = match rows.last() {
            Some((shard, seq, topic, ..)) if !is_last => (*shard, topic.clone(), *seq),
            _ => (i16::MIN, String::new(), 0),
        };
        let is_empty = rows.is_empty();
        in_flight.push_back(send(&producer, rows)?);
        // Start from the beginning only when nothing is in flight. Otherwise events would be published twice.
        while in_flight.len() >= PAGES || (is_last && !in_flight.is_empty()) {
            let Some(sent) = in_flight.pop_front() else { break };
            settle(store.pool(), sent).await?;
        }
        if is_empty {
            tokio::time::sleep(POLL).await;
        }
    }
}

fn send(producer: &FutureProducer, rows: Vec<Row>) -> Outcome<Sent> {
    let mut sent = Sent { shards: Vec::new(), topics: Vec::new(), seqs: Vec::new(), answers: Vec::new() };
    for (shard, seq, topic, key, payload, id, event_type) in rows {
        let headers = OwnedHeaders::new()
            .insert(Header { key: "id", value: Some(&id) })
            .insert(Header { key: "eventType", value: event_type.as_ref() });
        let mut record = FutureRecord::to(&topic).payload(&payload).headers(headers);
        if let Some(key) = &key {
            record = record.key(key);
        }
        sent.answers.push(producer.send_result(record).map_err(|(error, _)| error)?);
        sent.shards.push(shard);
        sent.topics.push(topic);
        sent.seqs.push(seq);
    }
    Ok(sent)
}

async fn settle(pool: &PgPool, sent: Sent) -> Outcome<()> {
    for answer in try_join_all(sent.answers).await? {
        answer.map_err(|(error, _)| error)?;
    }
    sqlx::query(DELETE).bind(sent.shards).bind(sent.topics).bind(sent.seqs).execute(pool).await?;
    Ok(())
}
