//! Compares the databases and the topics with the observations of the writers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::book::Book;
use crate::broker::{self, Raw};
use crate::orders::Order;
use crate::queues::{self, Tapped};
use crate::shop::Shop;

/// The statistics of a run.
#[derive(Debug)]
pub(crate) struct Statistics {
    pub(crate) written: usize,
    pub(crate) rolled_back: usize,
    pub(crate) repeated: usize,
    pub(crate) unknown: usize,
    pub(crate) unknown_there: usize,
    pub(crate) billed: usize,
    pub(crate) pence: i64,
    /// Duplicates in both topics.
    pub(crate) duplicates: usize,
    pub(crate) failed_messages: usize,
    pub(crate) shipped: usize,
    /// Deliveries by RabbitMQ beyond the first of each bill.
    pub(crate) delivered_twice: usize,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { written, rolled_back, repeated, unknown, unknown_there, .. } = self;
        let Self { billed, pence, duplicates, failed_messages, shipped, delivered_twice, .. } = self;
        write!(
            f,
            "{written} written, {rolled_back} rolled back, {repeated} repeated, {unknown} unknown ({unknown_there} of them there), \
             {billed} billed ({pence} pence), {shipped} shipped, {duplicates} duplicates on the topics, \
             {delivered_twice} on the exchange, {failed_messages} failed messages"
        )
    }
}

/// A row of the outbox.
struct OutboxRow {
    event_id: String,
    event_type: Option<String>,
    aggregate_id: Option<String>,
    payload: Vec<u8>,
    content_type: Option<String>,
    traceparent: Option<String>,
    headers: Option<serde_json::Value>,
    created_at: i64,
}

/// A bill, and the reference to one in a parcel.
type Bill = (String, Option<String>, i64);

/// Compares everything. Call it when no work is left.
///
/// # Panics
/// Panics when a promise is broken.
pub(crate) async fn compare(shop: &Shop, book: &Book) -> Statistics {
    let answers = book.answers();
    let names = &shop.billing.names;
    let mut orders = shop.orders_database.connection().await;
    let mut billing = shop.billing.database.connection().await;

    let placed: BTreeSet<&str> = answers.placed.iter().map(|order| order.id.as_str()).collect();
    let rows: Vec<String> = all(&mut orders, "SELECT order_id FROM orders").await;
    assert_eq!(rows.iter().map(String::as_str).collect::<BTreeSet<_>>(), placed, "orders and answers differ");

    let bills: Vec<Bill> = sqlx::query_as("SELECT order_id, customer, pence FROM bills ORDER BY id")
        .fetch_all(&mut billing)
        .await
        .expect("bills can be read");
    bills_are_what_was_placed(&bills, &answers.placed);
    let refused = bills.iter().filter(|(id, ..)| answers.rolled_back.contains(id)).count();
    assert_eq!(refused, 0, "bills of orders that were rolled back");

    totals_are_the_bills(&mut billing).await;
    let dead = failed_messages(&mut billing).await;
    let unbillable = answers.placed.iter().filter(|order| !order.is_billable()).map(|order| order.id.clone());
    assert_eq!(
        dead,
        unbillable.collect::<BTreeSet<_>>(),
        "failed messages are not the orders that billing cannot book"
    );

    let duplicates = topic_is_the_outbox(&mut orders, &names.orders).await
        + topic_is_the_outbox(&mut billing, &names.bills).await;
    let delivered_twice = exchange_is_the_topic(&names.bills).await;
    let shipped = parcels_follow_bills(shop, &bills).await;
    databases_are_apart(shop).await;
    Statistics {
        written: answers.placed.len(),
        rolled_back: answers.rolled_back.len(),
        repeated: answers.repeated,
        unknown: answers.unknown.len(),
        unknown_there: answers.unknown_there,
        billed: bills.len(),
        pence: bills.iter().map(|(_, _, pence)| pence).sum(),
        duplicates,
        failed_messages: dead.len(),
        shipped,
        delivered_twice,
    }
}

/// Requires that each order is billed once, to the penny, and each customer's orders in the order of the answers.
fn bills_are_what_was_placed(bills: &[Bill], placed: &[Order]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    bills.iter().for_each(|(id, ..)| *counts.entry(id).or_default() += 1);
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "billed more than once: {doubled:?}");
    let expected: Vec<Bill> = placed
        .iter()
        .filter(|order| order.is_billable())
        .map(|order| (order.id.clone(), order.customer.clone(), order.pence))
        .collect();
    let lost: Vec<_> = expected.iter().filter(|(id, ..)| !counts.contains_key(id.as_str())).collect();
    assert!(lost.is_empty(), "never billed: {lost:?}");
    let sum = |bills: &[Bill]| bills.iter().map(|(_, _, pence)| pence).sum::<i64>();
    assert_eq!(sum(bills), sum(&expected), "the bills do not add up");
    // An order without a customer has no key, and so no order among others.
    let by_customer = |bills: &[Bill]| {
        let mut customers: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
        for (id, customer, pence) in bills {
            if let Some(customer) = customer {
                customers.entry(customer.clone()).or_default().push((id.clone(), *pence));
            }
        }
        customers
    };
    let (found, expected) = (by_customer(bills), by_customer(&expected));
    for (customer, expected) in &expected {
        assert_eq!(found.get(customer), Some(expected), "the bills of customer {customer}");
    }
    assert_eq!(found.len(), expected.len(), "bills of customers who ordered nothing");
}

/// Requires that the totals equal the bills: both are in the same transactions.
async fn totals_are_the_bills(billing: &mut PgConnection) {
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM totals t FULL JOIN
           (SELECT coalesce(customer, 'nobody') AS customer, count(*), sum(pence) FROM bills GROUP BY 1) b USING (customer)
         WHERE (t.bills, t.pence) IS DISTINCT FROM (b.count, b.sum)",
    )
    .fetch_one(billing)
    .await
    .expect("totals can be read");
    assert_eq!(wrong, 0, "totals that are not the sum of the customer's bills");
}

/// Returns the orders of the dead failed messages. The table may hold no others.
async fn failed_messages(billing: &mut PgConnection) -> BTreeSet<String> {
    let failed_messages: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT state, payload FROM messagekit.failed_messages")
            .fetch_all(billing)
            .await
            .expect("failed messages can be read");
    let dead = failed_messages.iter().map(|(state, payload)| {
        assert_eq!(state, "dead", "a failed message that is neither dead nor dealt with");
        order_of(payload)
    });
    let ids: BTreeSet<_> = dead.collect();
    assert_eq!(ids.len(), failed_messages.len(), "two failed messages of one order");
    ids
}

/// Requires that every row of the outbox is in the topic, unchanged, at least once, and nothing else is. Returns the number of
/// duplicates.
async fn topic_is_the_outbox(connection: &mut PgConnection, topic: &str) -> usize {
    let rows: Vec<OutboxRow> = sqlx::query(
        "SELECT event_id, event_type, aggregate_id, payload, content_type, traceparent, headers,
           (extract(epoch FROM created_at) * 1000000)::bigint AS created_at
         FROM messagekit.outbox_events WHERE topic = $1",
    )
    .bind(topic)
    .map(|row: PgRow| OutboxRow {
        event_id: row.get("event_id"),
        event_type: row.get("event_type"),
        aggregate_id: row.get("aggregate_id"),
        payload: row.get("payload"),
        content_type: row.get("content_type"),
        traceparent: row.get("traceparent"),
        headers: row.get("headers"),
        created_at: row.get("created_at"),
    })
    .fetch_all(connection)
    .await
    .expect("the outbox can be read");
    let rows: BTreeMap<&str, &OutboxRow> = rows.iter().map(|row| (row.event_id.as_str(), row)).collect();
    let records = broker::read(topic);
    let mut seen = BTreeSet::new();
    for record in &records {
        let row = rows.get(record.id()).unwrap_or_else(|| panic!("{topic}: {} is in no outbox", record.id()));
        is_equal(row, record);
        seen.insert(record.id());
    }
    assert_eq!(seen.len(), rows.len(), "rows of the outbox are missing in {topic}");
    records.len() - seen.len()
}

fn is_equal(row: &OutboxRow, record: &Raw) {
    let id = &row.event_id;
    assert_eq!(record.key.as_deref(), row.aggregate_id.as_deref().map(str::as_bytes), "key of {id}");
    assert_eq!(record.payload, row.payload, "payload of {id}");
    assert_eq!(record.header("eventType"), row.event_type.as_deref(), "type of {id}");
    assert_eq!(record.header("contentType"), row.content_type.as_deref(), "content type of {id}");
    assert_eq!(record.header("traceparent"), row.traceparent.as_deref(), "trace of {id}");
    let created: jiff::Timestamp = record.header("createdAt").expect("a time").parse().expect("a time");
    assert_eq!(created.as_microsecond(), row.created_at, "time of {id}");
    let free =
        record.header("headers").map(|text| serde_json::from_str::<serde_json::Value>(text).expect("JSON"));
    assert_eq!(free, row.headers, "headers of {id}");
}

/// Requires that exactly the records of the bills' topic were published to the exchange: each copy with the same
/// bytes, and first copies of a key in the order of the topic. Returns the number of duplicates.
async fn exchange_is_the_topic(bills: &str) -> usize {
    let records = broker::read(bills);
    let mut sent: BTreeMap<&str, &Raw> = BTreeMap::new();
    let mut order: BTreeMap<Option<&[u8]>, Vec<&str>> = BTreeMap::new();
    for record in &records {
        if sent.insert(record.id(), record).is_none() && record.key.is_some() {
            order.entry(record.key.as_deref()).or_default().push(record.id());
        }
    }
    let tapped = queues::tapped().await;
    let mut seen = BTreeSet::new();
    let mut firsts: BTreeMap<Option<&[u8]>, Vec<&str>> = BTreeMap::new();
    for Tapped { id, key, payload } in &tapped {
        let record = sent.get(id.as_str()).unwrap_or_else(|| panic!("{id} is in no topic"));
        assert_eq!((key, payload), (&record.key, &record.payload), "key and payload of {id}");
        if seen.insert(id.as_str()) && key.is_some() {
            firsts.entry(key.as_deref()).or_default().push(id);
        }
    }
    assert_eq!(seen.len(), sent.len(), "bills that were not forwarded");
    assert_eq!(firsts, order, "a key's bills were forwarded out of order");
    tapped.len() - seen.len()
}

/// Requires that no service has written to another one's database: each outbox holds its own events, and markers are its own.
async fn databases_are_apart(shop: &Shop) {
    let names = &shop.billing.names;
    for (database, topics, consumers) in [
        (&shop.orders_database, vec![&*names.orders], vec![]),
        (&shop.billing.database, vec![&*names.bills], vec![&*names.billing]),
        (&shop.shipping_database, vec![], vec!["shipping"]),
    ] {
        let mut connection = database.connection().await;
        let wrote = all(&mut connection, "SELECT DISTINCT topic FROM messagekit.outbox_events").await;
        let marked =
            all(&mut connection, "SELECT DISTINCT consumer FROM messagekit.processed_messages").await;
        assert_eq!(
            (wrote, marked),
            (
                topics.iter().map(ToString::to_string).collect(),
                consumers.iter().map(ToString::to_string).collect()
            )
        );
    }
}

/// Requires that each bill's event became one parcel. Returns their number.
async fn parcels_follow_bills(shop: &Shop, bills: &[Bill]) -> usize {
    let mut shipping = shop.shipping_database.connection().await;
    let mut parcels: Vec<String> = all(&mut shipping, "SELECT order_id FROM shipments").await;
    let mut billed: Vec<_> = bills.iter().map(|(id, ..)| id.clone()).collect();
    parcels.sort_unstable();
    billed.sort_unstable();
    assert_eq!(parcels, billed, "parcels and bills differ");
    parcels.len()
}

/// Returns the order of an event.
pub(crate) fn order_of(payload: &[u8]) -> String {
    let event: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
    event["order_id"].as_str().expect("an event about an order").to_owned()
}

async fn all(connection: &mut PgConnection, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}
