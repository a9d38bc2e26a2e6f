//! Topics, table sources and consumers in every state that the views tell apart.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use messagekit::log::{Change, RowPayload};
use messagekit_topic_store::{
    Claimed, RecordClaim, RecordClaimer, RetentionRule, TableSources, TopicStore, TopicView, ViewType, Which,
    partition_of,
};
use messagekit_topics::{Topic, Topics};
use serde_json::{Value, json};

pub(crate) const TABLES: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, total INTEGER);
    CREATE TABLE \"Returns\" (id INTEGER PRIMARY KEY, reason TEXT)";

/// Makes all of it, in a database with [`TABLES`].
pub(crate) async fn set<S: TableSources>(topics: &Topics<S>) {
    topics.untyped("shop.orders").open().await.unwrap();
    set_sources(topics).await;
    let rule = RetentionRule {
        max_bytes: Some(1 << 40),
        keep_unhandled: true,
        unhandled_max_age: Some(Duration::from_millis(180_000_500)),
        ..RetentionRule::of_age(Duration::from_millis(90_000_500))
    };
    let sales = topics.untyped("shop.sales").key("customer").partitions(NonZeroU32::new(2).unwrap());
    let sales = sales.retention(rule).open().await.unwrap();
    let first = append(&sales, customer_of(0), 5).await;
    append(&sales, customer_of(1), 3).await;
    settle_out_of_order(topics.store()).await;
    // The second one stands behind a record that is not handled.
    for id in [first[0], first[2]] {
        sales.named("mail").set_handled(id).await.unwrap();
    }
    overtake(topics).await;
    drop_one(topics).await;
}

async fn set_sources<S: TableSources>(topics: &Topics<S>) {
    let orders = topics.source("orders").on(Change::Insert | Change::Update).payload(RowPayload::Diff);
    orders.filter("NEW.total > 100").partition_by("customer").add("shop.sales").await.unwrap();
    let returns = topics.source("\"Returns\"").on(Change::Delete).payload(RowPayload::Key);
    returns.filter("reason <> 'it''s late'").add("shop.sales").await.unwrap();
}

/// Returns a customer whose records are in a partition.
fn customer_of(partition: u32) -> &'static str {
    let mut customers = ["ada", "bob", "cyd", "dan", "eve", "fay"].into_iter();
    customers.find(|name| partition_of(name.as_bytes(), 2) == partition).expect("one of six")
}

async fn append<S: TopicStore>(topic: &Topic<Value, S>, customer: &str, count: usize) -> Vec<i64> {
    let records: Vec<_> =
        (0..count).map(|number| json!({ "customer": customer, "number": number })).collect();
    topic.extend(&records).await.unwrap()
}

/// Workers of `billing` settle the third and fourth record of one partition, and the first and third of the other.
async fn settle_out_of_order<S: TopicStore>(store: &S) {
    let worker =
        |partition| RecordClaimer::new(store.clone(), "billing", "shop.sales").of_partition(partition);
    claim(&worker(0), 2).await;
    let behind = claim(&worker(0), 2).await;
    worker(0).acknowledge(&behind, Which::All).await.unwrap();
    let all = claim(&worker(1), 3).await;
    worker(1).acknowledge(&all, Which::Offsets(&[0, 2])).await.unwrap();
}

async fn claim<S: TopicStore>(worker: &RecordClaimer<S>, max: u32) -> RecordClaim {
    match worker.claim(max).await.unwrap() {
        Claimed::Records(claim) => claim,
        other => panic!("records wait to be claimed: {other:?}"),
    }
}

/// Of six records retention leaves the last one. `late` has handled the first, and workers of `billing` all but the first two.
async fn overtake<S: TableSources>(topics: &Topics<S>) {
    let short = topics.untyped("shop.short").open().await.unwrap();
    let ids = append(&short, "ada", 6).await;
    short.named("late").set_handled(ids[0]).await.unwrap();
    let worker = RecordClaimer::new(topics.store().clone(), "billing", "shop.short");
    claim(&worker, 2).await;
    let behind = claim(&worker, 4).await;
    worker.acknowledge(&behind, Which::All).await.unwrap();
    short.set_retention(Some(RetentionRule::of_bytes(1))).await.unwrap();
    while short.expire().await.unwrap() > 0 {}
}

/// Drops a topic with records, a consumer and a source.
async fn drop_one<S: TableSources>(topics: &Topics<S>) {
    let gone = topics.untyped("shop.gone").open().await.unwrap();
    topics.source("orders").add("shop.gone").await.unwrap();
    let ids = append(&gone, "ada", 2).await;
    gone.set_handled(ids[0]).await.unwrap();
    topics.drop_with_sources("shop.gone").await.unwrap();
}

/// Returns the rows of a view as they must be. `tables` are the names of the two tables as the database says them, in order.
pub(crate) fn expected(view: TopicView, tables: [&str; 2]) -> Vec<Vec<Value>> {
    let [returns, orders] = tables;
    let rows = match view {
        TopicView::Topics => {
            let route = |table: &str, op: &str| json!({ "table_id": table, "op": op });
            let routes = [route(returns, "delete"), route(orders, "insert"), route(orders, "update")];
            json!([
                ["shop.orders", "shop.orders", 1, null, null, false, null, []],
                ["shop.sales", "shop.sales", 2, 90_001, 1_u64 << 40, true, 180_001, routes],
                ["shop.short", "shop.short", 1, null, 1, false, null, []],
            ])
        }
        TopicView::TopicOffsets => json!([
            ["shop.sales", "billing", 0, null, 5, 3],
            ["shop.sales", "billing", 1, 0, 3, 1],
            ["shop.sales", "mail", 0, 0, 5, 4],
            ["shop.sales", "mail", 1, null, 3, 3],
            ["shop.short", "billing", 0, null, 6, 0],
            ["shop.short", "late", 0, 0, 6, 1],
        ]),
        TopicView::Routes => {
            let (late, large) = ("reason <> 'it''s late'", "NEW.total > 100");
            json!([
                ["shop.sales", returns, "delete", "key", late, null, "fail"],
                ["shop.sales", orders, "insert", "diff", large, "customer", "fail"],
                ["shop.sales", orders, "update", "diff", large, "customer", "fail"],
            ])
        }
        other => panic!("nothing is expected of {}", other.name()),
    };
    serde_json::from_value(rows).unwrap()
}

/// Takes the times out of rows, which are of this test.
pub(crate) fn without_times(view: TopicView, rows: &[Vec<Value>]) -> Vec<Vec<Value>> {
    let is_recent = |value: &Value| {
        let text = value.as_str().expect("a text");
        let time: Timestamp = text.parse().expect("a time");
        assert_eq!(text.len(), "2026-01-31T12:00:00.000000Z".len(), "{text}");
        assert!(Timestamp::now().duration_since(time).abs() < SignedDuration::from_mins(10), "{text}");
    };
    let row = |row: &Vec<Value>| {
        assert_eq!(row.len(), view.columns().len());
        let columns = view.columns().iter().zip(row);
        let (times, others): (Vec<_>, Vec<_>) =
            columns.partition(|(column, _)| column.kind == ViewType::Timestamp);
        times.into_iter().for_each(|(_, value)| is_recent(value));
        others.into_iter().map(|(_, value)| value.clone()).collect()
    };
    rows.iter().map(row).collect()
}

/// Returns what another program has read, a JSON object for each row, as [`TopicDefinitions::view_rows`] says it.
pub(crate) fn read_elsewhere(view: TopicView, lines: &str) -> Vec<Vec<Value>> {
    let value = |kind, value: &Value| match (kind, value) {
        (ViewType::Boolean, Value::Number(number)) => json!(number.as_i64() == Some(1)),
        (ViewType::Json, Value::String(text)) => serde_json::from_str(text).unwrap(),
        (ViewType::Timestamp, Value::String(text)) => {
            json!(text.parse::<Timestamp>().unwrap().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
        }
        _ => value.clone(),
    };
    let row = |line: &str| {
        let row: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        assert_eq!(row.len(), view.columns().len(), "{line}");
        view.columns().iter().map(|column| value(column.kind, &row[column.name])).collect()
    };
    lines.lines().map(row).collect()
}
