//! Where a subscriber begins without a cursor.

use messagekit::adapter::{NextOffset, Positions, Source};
use messagekit::{ErrorKind, Store};
use messagekit_sqlite::SqliteStore;
use messagekit_topic_store::{OnSources, TopicDefinitions};

use crate::support::*;

const CURSORS: &str = "SELECT count(*) FROM messagekit_consumer_cursors";

fn at(key_lane: u32, next: i64) -> NextOffset {
    NextOffset { topic: topic("t"), partition: 0, key_lane, next }
}

/// Opens a file with the topic `t`, five records `m-0` …, and positions of the consumer.
async fn recorded(positions: &[NextOffset]) -> Fixture {
    let fixture = Fixture::new().await;
    define(&fixture.store).await;
    append(&fixture.store, "t", "m", 5).await;
    record(&fixture.store, positions).await;
    fixture
}

async fn record(store: &SqliteStore, positions: &[NextOffset]) {
    let mut tx = store.begin().await.unwrap();
    store.advance(&mut tx, "billing", positions).await.unwrap();
    store.commit(tx).await.unwrap();
}

/// Binds with the positions of a store, and returns the first id.
async fn first(store: &SqliteStore, remembered: &[NextOffset]) -> String {
    let mut subscriber = store.topics(["t"]).bind("billing", remembered).await.unwrap();
    assigned(&mut subscriber).await;
    let first = ids(&[delivery(&mut subscriber).await]).remove(0);
    close(subscriber).await;
    first
}

async fn drop_and_define(store: &SqliteStore) {
    store.drop_topic(&topic("t"), OnSources::Refuse).await.unwrap();
    define(store).await;
    append(store, "t", "new", 7).await;
}

#[tokio::test]
async fn a_consumer_without_a_cursor_begins_at_a_recorded_position() {
    let Fixture { store, folder: _folder } = recorded(&[at(0, 4), at(1, 2)]).await;
    assert_eq!(number(&store, CURSORS).await, 0);
    assert_eq!(first(&store, &[]).await, "m-2");
}

#[tokio::test]
async fn recorded_positions_are_held_within_the_partition() {
    let Fixture { store, folder: _folder } = recorded(&[at(0, 9)]).await;
    let mut subscriber = bind(&store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    append(&store, "t", "later", 1).await;
    assert_eq!(ids(&[delivery(&mut subscriber).await]), ["later-0"]);

    let Fixture { store, folder: _folder } = recorded(&[at(0, 1)]).await;
    execute(&store, "UPDATE messagekit_topic_partitions SET log_start = 3 WHERE next_offset = 5").await;
    assert_eq!(first(&store, &[]).await, "m-3");
}

#[tokio::test]
async fn a_cursor_stays_where_it_is() {
    let Fixture { store, folder: _folder } = recorded(&[]).await;
    let mut subscriber = bind(&store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    handle(&store, "billing", &deliveries(&mut subscriber, 2).await).await.unwrap();
    close(subscriber).await;
    record(&store, &[at(0, 4)]).await;
    assert_eq!(first(&store, &[at(0, 4)]).await, "m-2");
}

#[tokio::test]
async fn positions_in_a_dropped_topic_skip_no_record_of_the_next_one() {
    let Fixture { store, folder: _folder } = recorded(&[at(0, 4)]).await;
    drop_and_define(&store).await;
    assert_eq!(store.next_of("billing", "t").await.unwrap(), []);
    assert_eq!(first(&store, &[]).await, "new-0");
}

/// A batch that a drop overtakes would record its positions under the name, which the next topic may have.
#[tokio::test]
async fn a_batch_of_a_dropped_topic_is_fenced() {
    let Fixture { store, folder: _folder } = recorded(&[]).await;
    let mut subscriber = bind(&store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    let old = deliveries(&mut subscriber, 5).await;
    store.drop_topic(&topic("t"), OnSources::Refuse).await.unwrap();
    assert_eq!(handle(&store, "billing", &old).await.unwrap_err().kind(), ErrorKind::Fenced);
    close(subscriber).await;
    assert_eq!(store.next_of("billing", "t").await.unwrap(), []);
    define(&store).await;
    append(&store, "t", "new", 7).await;
    assert_eq!(first(&store, &[]).await, "new-0");
}

/// The effects are in another database, which keeps its positions when a topic of the file is dropped.
#[tokio::test]
async fn another_store_counts_for_a_consumer_that_is_new_to_the_file() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    define(&store).await;
    append(&store, "t", "m", 5).await;
    let of_store = [at(0, 3), at(1, 2)];
    assert_eq!(first(&store, &of_store).await, "m-2");
    drop_and_define(&store).await;
    assert_eq!(first(&store, &of_store).await, "new-0");
}
