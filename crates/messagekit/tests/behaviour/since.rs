//! A new consumer of a log in memory that begins at a time.

use jiff::Timestamp;
use messagekit::adapter::Publisher;
use messagekit::{Consumer, Message, headers};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};

async fn publish(log: &MemoryLog, name: &str, count: usize) {
    let message = |number| {
        let message = Message::new("orders", "{}").with_header(headers::EVENT_TYPE, "orders.order.placed");
        message.with_header(headers::ID, format!("{name}-{number}"))
    };
    let batch: Vec<Message> = (0..count).map(message).collect();
    assert!(log.publish(&batch).await.iter().all(Result::is_ok));
}

/// Returns a time after that of every record: the log keeps milliseconds.
async fn next_millisecond() -> Timestamp {
    let next = Timestamp::now().as_millisecond() + 1;
    while Timestamp::now().as_millisecond() < next {
        tokio::task::yield_now().await;
    }
    Timestamp::from_millisecond(next).expect("a time")
}

/// Returns the number of messages that a new run handles.
async fn handled(log: &MemoryLog, store: &MemoryStore, consumer: &str, since: Timestamp) -> u64 {
    let source = log.topics(["orders"]).since(since);
    let consumer = Consumer::builder(consumer, store.clone()).from(source);
    let consumer = consumer.fallback(async |_: &mut MemoryTx, _: Message| Ok(())).build();
    let stats = consumer.expect("it is complete").run_until_idle().await.expect("it ends");
    assert_eq!((stats.dead, stats.ignored), (0, 0), "{stats:?}");
    stats.handled
}

#[tokio::test]
async fn new_consumer_begins_at_its_time_and_later_goes_on() {
    let (log, store) = (MemoryLog::new(2), MemoryStore::new());
    publish(&log, "old", 5).await;
    let deployed = next_millisecond().await;
    publish(&log, "new", 3).await;
    assert_eq!(handled(&log, &store, "billing", deployed).await, 3);
    publish(&log, "newer", 2).await;
    assert_eq!(handled(&log, &store, "billing", next_millisecond().await).await, 2);
    assert_eq!(handled(&log, &store, "shipping", Timestamp::UNIX_EPOCH).await, 10);
}
