//! Operators see whether a consumer runs.

use std::time::Duration;

use messagekit::operations::RetryRunner;
use messagekit::{Consumer, Message, Shutdown};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};

#[tokio::test(start_paused = true)]
async fn a_consumer_is_seen_while_it_runs_and_no_longer() {
    let log = MemoryLog::new(1);
    let store = MemoryStore::with_log(&log);
    let consumer = Consumer::builder("billing", store.clone())
        .from(log.topics(["orders.order"]))
        .on_message("orders.order.placed", async |_: &mut MemoryTx, _: Message| Ok(()))
        .build()
        .unwrap();
    let seen = async || RetryRunner::of(&store, "billing").await.unwrap();
    assert_eq!(seen().await.last_seen, None);
    let shutdown = Shutdown::new();
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    for minutes in [1, 59] {
        tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
        assert!(seen().await.is_running, "{:?}", seen().await);
    }
    shutdown.request();
    running.await.unwrap().unwrap();
    tokio::time::sleep(RetryRunner::SEEN_WITHIN + Duration::from_secs(1)).await;
    assert!(!seen().await.is_running, "{:?}", seen().await);
}
