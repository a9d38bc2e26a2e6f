//! Metrics of ordered readers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::BoxFuture;
use messagekit::log::{Bounds, Log, LogReader, OrderedReader, Page, PartitionStart, Record, Start};
use messagekit::{
    Consumer, Envelope, Error, Event, HandlerError, Message, Outbox, Position, Shutdown, Store,
};
use messagekit_prometheus::{Metrics, text as text_of};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_testkit::{DEADLINE, eventually};
use prometheus::Registry;
use serde::{Deserialize, Serialize};

type Pages = Arc<Mutex<VecDeque<Page>>>;

/// Topics of one partition with this end, whose pages come when a test gives them.
#[derive(Clone, Default)]
struct GivenLog(BTreeMap<&'static str, (i64, Pages)>);

struct GivenReader(Pages);

impl Log for GivenLog {
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        let bounds = Bounds { partition: 0, earliest: 0, end: self.0[topic].0 };
        Box::pin(async move { Ok(vec![bounds]) })
    }

    fn offsets_at<'a>(&'a self, _: &'a str, _: Timestamp) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        unreachable!("the test begins at the earliest record")
    }

    fn committed_offsets<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        unreachable!("the test begins at the earliest record")
    }

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        _: &'a [(i32, PartitionStart)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>> {
        let reader: Box<dyn LogReader> = Box::new(GivenReader(self.0[&**topic].1.clone()));
        Box::pin(async move { Ok(reader) })
    }
}

impl LogReader for GivenReader {
    fn poll_page(&mut self, _: usize, _: &mut Context<'_>) -> Poll<Result<Page, Error>> {
        // Without a waker: the test polls again when it has given a page.
        self.0
            .lock()
            .expect("no test panics with it")
            .pop_front()
            .map_or(Poll::Pending, |page| Poll::Ready(Ok(page)))
    }

    fn pause(&mut self, _: i32) {}

    fn resume(&mut self, _: i32) {}

    fn seek(&mut self, _: i32, _: i64) {}
}

impl GivenLog {
    fn records(&self, topic: &'static str, records: &[(i64, Timestamp)]) {
        let record = |(offset, time): &(i64, Timestamp)| Record {
            message: Message::new(topic, vec![b'x'; 10]),
            position: Position { topic: topic.into(), partition: 0, offset: *offset },
            timestamp: Some(*time),
            is_tombstone: false,
        };
        self.give(topic, Page::Records(records.iter().map(record).collect()));
    }

    fn give(&self, topic: &str, page: Page) {
        self.0[topic].1.lock().expect("no test panics with it").push_back(page);
    }
}

/// Expects lines of the metrics of ordered readers, without the beginning of their names, and no other.
fn shows(registry: &Registry, expected: &[&str]) {
    let text = text_of(registry);
    let lines = text.lines().filter_map(|line| line.strip_prefix("messagekit_ordered_reader_"));
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_reader_shows_what_it_waits_for_until_it_is_live() {
    let log = GivenLog([("bills", (3, Pages::default())), ("orders", (4, Pages::default()))].into());
    let at = |second| Timestamp::from_second(second).unwrap();
    let builder = OrderedReader::builder().max_held(4);
    let builder = builder.source(Arc::new(log.clone()), "orders", Start::Earliest);
    let builder = builder.source(Arc::new(log.clone()), "bills", Start::Earliest);
    let registry = Registry::new();
    Metrics::new(&registry).unwrap().ordered_reader("report", builder.stats());
    let none = [
        r#"ahead_total{reader="report"} 0"#,
        r#"deleted_total{reader="report"} 0"#,
        r#"late_total{reader="report"} 0"#,
        r#"released_total{reader="report"} 0"#,
    ];
    shows(&registry, &none);

    let mut reader = builder.clone().open().await.unwrap();
    let far = Timestamp::now() + Duration::from_secs(7_200);
    log.records("orders", &[(0, at(100)), (1, at(50)), (2, far)]);
    assert_eq!(reader.poll(Duration::ZERO).await.unwrap(), []);
    let waits_for_bills = [
        r#"ahead_total{reader="report"} 1"#,
        r#"deleted_total{reader="report"} 0"#,
        r#"held{reader="report"} 3"#,
        r#"held_bytes{reader="report"} 30"#,
        r#"lag{reader="report",topic="bills"} 3"#,
        r#"lag{reader="report",topic="orders"} 4"#,
        r#"late_total{reader="report"} 1"#,
        r#"live{reader="report"} 0"#,
        r#"paused_partitions{reader="report"} 1"#,
        r#"released_total{reader="report"} 0"#,
    ];
    shows(&registry, &waits_for_bills);

    log.give("bills", Page::Gone { partition: 0, asked: 0, earliest: 2 });
    log.records("bills", &[(2, at(120))]);
    while reader.poll(Duration::ZERO).await.unwrap().is_empty() {}
    log.records("orders", &[(3, far)]);
    while !reader.is_live() {
        reader.poll(Duration::ZERO).await.unwrap();
    }
    let live = [
        r#"ahead_total{reader="report"} 2"#,
        r#"deleted_total{reader="report"} 2"#,
        r#"held{reader="report"} 0"#,
        r#"held_bytes{reader="report"} 0"#,
        r#"lag{reader="report",topic="bills"} 0"#,
        r#"lag{reader="report",topic="orders"} 0"#,
        r#"late_total{reader="report"} 1"#,
        r#"live{reader="report"} 1"#,
        r#"paused_partitions{reader="report"} 0"#,
        r#"released_total{reader="report"} 5"#,
    ];
    shows(&registry, &live);

    drop(reader);
    let gone = [
        r#"ahead_total{reader="report"} 2"#,
        r#"deleted_total{reader="report"} 2"#,
        r#"late_total{reader="report"} 1"#,
        r#"released_total{reader="report"} 5"#,
    ];
    shows(&registry, &gone);

    let mut again = builder.open().await.unwrap();
    log.records("bills", &[(0, at(10)), (1, at(20)), (2, at(30))]);
    while again.poll(Duration::ZERO).await.unwrap().is_empty() {
        log.records("orders", &[(3, at(40))]);
    }
    let text = text_of(&registry);
    assert!(text.contains(r#"messagekit_ordered_reader_released_total{reader="report"} 9"#), "{text}");
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "number")]
struct OrderPlaced {
    number: String,
}

async fn project(_: &mut SqliteTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    Ok(())
}

#[tokio::test]
async fn two_readers_of_one_builder_are_shown_together() {
    let log = GivenLog([("orders", (4, Pages::default()))].into());
    let builder = OrderedReader::builder().source(Arc::new(log.clone()), "orders", Start::Earliest);
    let stats = builder.stats();
    let lag = || stats.read().state.map(|state| (state.lag["orders"], state.is_live));
    let mut one = builder.clone().open().await.unwrap();
    let other = builder.open().await.unwrap();
    assert_eq!(lag(), Some((8, false)));
    log.records("orders", &[(0, Timestamp::UNIX_EPOCH), (3, Timestamp::UNIX_EPOCH)]);
    log.give("orders", Page::End { partition: 0, at: 4 });
    assert_eq!(one.poll(Duration::ZERO).await.unwrap().len(), 2);
    assert_eq!(lag(), Some((4, false)), "the other one has all before it");
    drop(other);
    assert_eq!(lag(), Some((0, true)));
    drop(one);
    assert_eq!((lag(), stats.read().released), (None, 2));
}

#[tokio::test]
async fn a_priming_is_shown_by_the_view_of_its_builder() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("shop.db")).await.unwrap();
    let outbox = Outbox::new(store.clone(), "order-service").unwrap();
    let mut tx = store.begin().await.unwrap();
    for number in ["o-1", "o-2", "o-3"] {
        outbox.add(&mut tx, OrderPlaced { number: number.to_owned() }).await.unwrap();
    }
    outbox.commit(tx).await.unwrap();

    let reader = OrderedReader::builder().source(Arc::new(store.clone()), "orders.order", Start::Earliest);
    let registry = Registry::new();
    Metrics::new(&registry).unwrap().ordered_reader("open-orders", reader.stats());
    let consumer = Consumer::builder("open-orders", store.clone()).from(store).on(project).build().unwrap();
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.prime(reader).run(shutdown.clone()));
    eventually("the past is handled", DEADLINE, async || stats.read().handled == 3).await;
    let released = r#"messagekit_ordered_reader_released_total{reader="open-orders"} 3"#;
    let is_over = || {
        let text = text_of(&registry);
        text.contains(released) && !text.contains("messagekit_ordered_reader_live")
    };
    eventually("the reader of the past is gone", DEADLINE, async || is_over()).await;
    shutdown.request();
    running.await.unwrap().unwrap();
}
