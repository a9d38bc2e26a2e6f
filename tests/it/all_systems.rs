//! All systems at once: a table without messagekit, a topic of its changes, a pipeline, a consumer with a failed message, the time order of both
//! topics since the start of the day, and Parquet. `crate::shipped` has the database and the consumer.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, BinaryArray, Int64Array, StringArray};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use messagekit::log::{Change, Log, OrderedReader, Record, Start};
use messagekit_arrow::{BatchWriter, Columns, Format, RecordBatch, batch};
use messagekit_testkit::block_on;
use messagekit_topics::{Error, Topic};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::shipped::{Db, Home};

const ORDERS: &str = "shop.orders";
const BILLS: &str = "shop.bills";

/// Returns a time zone in which it is noon now: yesterday and today are far apart.
fn noon() -> TimeZone {
    let hour = Timestamp::now().to_zoned(TimeZone::UTC).hour();
    TimeZone::fixed(Offset::constant(12 - hour))
}

async fn all(topic: &Topic<Value, Db>) -> Vec<Value> {
    topic.iter_all().map_ok(|record| record.data).try_collect().await.unwrap()
}

/// The number of an order, and its price, of what a record holds.
fn pair(record: &Value, id: &str) -> (i64, i64) {
    (record[id].as_i64().unwrap(), record["pence"].as_i64().unwrap())
}

/// Reads all of the past of both topics since this day began.
async fn since_the_day_began(log: Arc<dyn Log>) -> Vec<Record> {
    let reader = OrderedReader::builder().source(log.clone(), ORDERS, Start::StartOfDay(noon()));
    let mut reader = reader.source(log, BILLS, Start::StartOfDay(noon())).open().await.unwrap();
    let mut records = Vec::new();
    while !reader.is_live() {
        records.extend(reader.poll(Duration::from_secs(1)).await.unwrap());
    }
    records
}

fn to_parquet(records: &[Record], path: &Path) -> RecordBatch {
    let (columns, rows) = (Columns::default(), batch(records, Columns::default()).unwrap());
    let mut writer = BatchWriter::create(Format::Parquet, &columns.schema(), path).unwrap();
    let _ = writer.write(&rows).unwrap();
    let _ = writer.finish().unwrap();
    rows
}

fn from_parquet(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let mut batches = reader.build().unwrap();
    let rows = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none(), "few rows are one batch");
    rows
}

fn column<T: Clone + 'static>(rows: &RecordBatch, name: &str) -> T {
    rows.column_by_name(name).unwrap().as_any().downcast_ref::<T>().unwrap().clone()
}

#[test]
fn change_of_a_table_comes_through_all_systems_to_parquet() {
    block_on(async {
        let home = Home::new().await;
        home.run("CREATE TABLE orders (id bigint PRIMARY KEY, customer text, pence bigint)").await;
        let topics = home.topics();
        let orders = topics.untyped(ORDERS).open().await.unwrap();
        let bills = topics.untyped(BILLS).open().await.unwrap();
        topics.source("orders").on(Change::Insert).add(ORDERS).await.unwrap();
        let bill = async |order: Value| {
            let (id, pence) = pair(&order["row"], "id");
            // A consumer chooses its handler by the type.
            Ok::<_, Error>(json!({ "eventType": "shop.bill.issued", "order": id, "pence": pence * 2 }))
        };
        let pipeline = orders.pipe(bill).to(&bills);
        assert!(pipeline.plot().contains(ORDERS) && pipeline.plot().contains(BILLS), "{}", pipeline.plot());

        // Yesterday.
        home.run("INSERT INTO orders VALUES (0, 'eve', 5)").await;
        assert_eq!(pipeline.run().await.unwrap().appended, 1);
        home.a_day_passes().await;

        // Today.
        for id in 1..=6 {
            home.run(&format!("INSERT INTO orders VALUES ({id}, 'ada', {})", id * 10)).await;
        }
        home.run("UPDATE orders SET pence = 1 WHERE id = 2").await;
        let mut events: Vec<_> = all(&orders).await.iter().map(|event| pair(&event["row"], "id")).collect();
        events.sort_unstable();
        let ordered = [(0, 5), (1, 10), (2, 20), (3, 30), (4, 40), (5, 50), (6, 60)];
        assert_eq!(events, ordered, "the trigger made an event of each insert, and of no update");
        let run = pipeline.run().await.unwrap();
        assert_eq!(
            (run.offered, run.handled, run.appended),
            (6, 6, 6),
            "that of yesterday is handled already"
        );
        let mut billed: Vec<_> = all(&bills).await.iter().map(|bill| pair(bill, "order")).collect();
        billed.sort_unstable();
        let due = ordered.map(|(id, pence)| (id, pence * 2));
        assert_eq!(billed, due, "the pipeline made one bill of each event");

        home.ship_with_a_failed_message(BILLS, 3).await;
        let mut shipped = home.shipped().await;
        assert_eq!(shipped.last(), Some(&due[3]), "the one that failed came last");
        shipped.sort_unstable();
        assert_eq!(shipped, due, "each bill has its effect once");

        let records = since_the_day_began(home.log()).await;
        let topics_of = |records: &[Record]| -> Vec<String> {
            records.iter().map(|record| record.message.topic.to_string()).collect()
        };
        assert_eq!(topics_of(&records), [[ORDERS; 6], [BILLS; 6]].concat(), "yesterday is left out");
        assert!(records.is_sorted_by_key(|record| record.timestamp), "sorted by time");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("today.parquet");
        let (written, read) = (to_parquet(&records, &path), from_parquet(&path));
        assert_eq!(read, written);
        let (topic, offset) = (column::<StringArray>(&read, "topic"), column::<Int64Array>(&read, "offset"));
        let value = column::<BinaryArray>(&read, "value");
        for (row, record) in records.iter().enumerate() {
            assert_eq!(
                (topic.value(row), offset.value(row)),
                (&*record.message.topic, record.position.offset)
            );
        }
        let payload = |row| serde_json::from_slice::<Value>(value.value(row)).unwrap();
        let mut exported: Vec<_> = (6..value.len()).map(|row| pair(&payload(row), "order")).collect();
        exported.sort_unstable();
        assert_eq!(exported, due[1..], "the bills of today are in the file");
    });
}
