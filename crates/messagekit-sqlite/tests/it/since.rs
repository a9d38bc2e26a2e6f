//! A new consumer that begins at a time.

use jiff::{SignedDuration, Timestamp};
use messagekit::adapter::{NextOffset, Source};
use messagekit_sqlite::{SqliteStore, SqliteSubscriber};

use crate::support::*;

async fn bind_since(store: &SqliteStore, time: Timestamp) -> SqliteSubscriber {
    let mut subscriber = store.topics(["t"]).since(time).bind("billing", &[]).await.unwrap();
    assigned(&mut subscriber).await;
    subscriber
}

/// Returns a time after that of every record in the file.
async fn after_all() -> Timestamp {
    let time = Timestamp::now() + SignedDuration::from_micros(1);
    eventually("a later time", async || Timestamp::now() > time).await;
    time
}

#[tokio::test]
async fn new_consumer_begins_at_its_time_and_later_goes_on() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    define(&store).await;
    append(&store, "t", "old", 3).await;
    let deployed = after_all().await;
    append(&store, "t", "new", 3).await;
    let mut subscriber = bind_since(&store, deployed).await;
    let new = deliveries(&mut subscriber, 2).await;
    assert_eq!(ids(&new), ["new-0", "new-1"]);
    handle(&store, "billing", &new).await.unwrap();
    close(subscriber).await;
    // The next process names a later time, and an earlier one.
    for time in [after_all().await, Timestamp::UNIX_EPOCH] {
        let mut subscriber = bind_since(&store, time).await;
        assert_eq!(ids(&deliveries(&mut subscriber, 1).await), ["new-2"]);
        close(subscriber).await;
    }
}

#[tokio::test]
async fn a_time_to_come_begins_at_the_end() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    define(&store).await;
    append(&store, "t", "old", 3).await;
    let mut subscriber = bind_since(&store, Timestamp::now() + SignedDuration::from_hours(1)).await;
    append(&store, "t", "new", 1).await;
    assert_eq!(ids(&deliveries(&mut subscriber, 1).await), ["new-0"]);
    close(subscriber).await;
}

#[tokio::test]
async fn a_topic_that_comes_later_is_read_from_its_beginning() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let deployed = after_all().await;
    let mut subscriber = bind_since(&store, deployed).await;
    define(&store).await;
    append(&store, "t", "new", 2).await;
    assert_eq!(ids(&deliveries(&mut subscriber, 2).await), ["new-0", "new-1"]);
    close(subscriber).await;
}

#[tokio::test]
async fn a_position_of_the_store_counts_before_the_time() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    define(&store).await;
    append(&store, "t", "old", 3).await;
    let known = [NextOffset { topic: topic("t"), partition: 0, key_lane: 0, next: 1 }];
    let source = store.topics(["t"]).since(after_all().await);
    let mut subscriber = source.bind("billing", &known).await.unwrap();
    assigned(&mut subscriber).await;
    assert_eq!(ids(&deliveries(&mut subscriber, 1).await), ["old-1"]);
    close(subscriber).await;
}
