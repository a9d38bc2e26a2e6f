//! The rows that a cleanup removes from a file, and the rows that it keeps.

use std::time::Duration;

use messagekit::Store;
use messagekit::adapter::Markers;
use messagekit::cleanup::{CleanupTarget, Retention, clean};
use messagekit_sqlite::SqliteStore;

use crate::support::*;

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn removed(store: &SqliteStore, is_trial: bool) -> Vec<(CleanupTarget, u64)> {
    let done = clean(store, &Retention::default(), is_trial, std::future::pending::<()>()).await.unwrap();
    done.iter().map(|done| (done.what, done.removed)).collect()
}

async fn change(store: &SqliteStore, sql: String) {
    let mut tx = store.begin().await.unwrap();
    tx.call(move |c| c.execute_batch(&sql)).await.unwrap();
    store.commit(tx).await.unwrap();
}

/// Writes a marker with an age in days.
async fn mark(store: &SqliteStore, consumer: &str, id: &str, outcome: i64, days: i64) {
    change(
        store,
        format!(
            "INSERT INTO messagekit_processed_messages (consumer_id, message_id, outcome, processed_at)
             SELECT id, '{id}', {outcome}, (unixepoch() - {days} * 86400) * 1000000 FROM messagekit_consumers WHERE name = '{consumer}'"
        ),
    )
    .await;
}

async fn failed_message(store: &SqliteStore, id: &str, state: &str, days: i64) {
    change(
        store,
        format!(
            "INSERT INTO messagekit_failed_messages (consumer_id, message_id, topic, state, reason, attempts, kind, error, fingerprint,
               set_aside_at, changed_at, headers, payload)
             SELECT id, '{id}', 'orders.order', '{state}', 'set_aside', 1, 'failed', 'no', 'f', 0, (unixepoch() - {days} * 86400) * 1000000, '[]', x''
             FROM messagekit_consumers WHERE name = 'billing'"
        ),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marker_is_kept_while_its_consumer_would_accept_the_message() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.note_window("billing", Some(DAY * 30)).await.unwrap();
    store.note_window("forever", None).await.unwrap();
    store.note_window("shipping", Some(DAY * 7)).await.unwrap();
    execute(store, "INSERT INTO messagekit_consumers (name) VALUES ('unknown')").await;
    for consumer in ["billing", "shipping", "forever", "unknown"] {
        for (id, outcome, days) in
            [("old", 0, 4_000), ("month", 0, 32), ("margin", 0, 30), ("week", 0, 9), ("held", 1, 4_000)]
        {
            mark(store, consumer, id, outcome, days).await;
        }
    }
    mark(store, "billing", "undoable", 2, 4_000).await;
    failed_message(store, "undoable", "discarded", 3).await;
    mark(store, "billing", "given-up", 2, 4_000).await;
    let expected =
        [(CleanupTarget::Events, 0), (CleanupTarget::FailedMessages, 0), (CleanupTarget::Markers, 3 + 4)];
    assert_eq!(removed(store, true).await, expected);
    assert_eq!(
        number(store, "SELECT count(*) FROM messagekit_processed_messages").await,
        22,
        "a trial only counts"
    );
    assert_eq!(removed(store, false).await, expected);
    let left = "SELECT count(*) FROM messagekit_processed_messages m JOIN messagekit_consumers c ON c.id = m.consumer_id
        WHERE c.name IN ('forever', 'unknown') OR message_id IN ('held', 'undoable')
          OR c.name = 'billing' AND message_id IN ('margin', 'week')";
    assert_eq!(number(store, left).await, 5 + 5 + 3 + 2);
    assert_eq!(number(store, "SELECT count(*) FROM messagekit_processed_messages").await, 15);
    assert_eq!(removed(store, false).await[2].1, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_processes_are_replaced_the_longer_window_counts() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.note_window("billing", Some(DAY * 30)).await.unwrap();
    store.note_window("billing", Some(DAY * 7)).await.unwrap();
    mark(store, "billing", "old", 0, 20).await;
    assert_eq!(removed(store, false).await[2].1, 0);
    let long_ago =
        "UPDATE messagekit_consumer_windows SET noted_at = noted_at - 691200000000 WHERE seconds > 1000000";
    execute(store, long_ago).await;
    assert_eq!(removed(store, false).await[2].1, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_removes_settled_failed_messages_before_their_markers() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.note_window("billing", Some(DAY)).await.unwrap();
    for (id, state) in [("r", "resolved"), ("d", "discarded"), ("dead", "dead")] {
        failed_message(store, id, state, 31).await;
        failed_message(store, &format!("young-{id}"), state, 29).await;
    }
    mark(store, "billing", "d", 2, 31).await;
    let expected =
        [(CleanupTarget::Events, 0), (CleanupTarget::FailedMessages, 2), (CleanupTarget::Markers, 1)];
    assert_eq!(removed(store, false).await, expected);
    let left = "SELECT count(*) FROM messagekit_failed_messages WHERE message_id IN ('dead', 'young-r', 'young-d', 'young-dead')";
    assert_eq!(
        (number(store, left).await, number(store, "SELECT count(*) FROM messagekit_failed_messages").await),
        (4, 4)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_markers_of_several_consumers_go_in_small_steps() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    for consumer in ["a", "b", "c"] {
        store.note_window(consumer, Some(DAY)).await.unwrap();
    }
    execute(
        store,
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 9000)
         INSERT INTO messagekit_processed_messages (consumer_id, message_id, outcome, processed_at)
         SELECT (SELECT id FROM messagekit_consumers WHERE name = substr('abc', n % 3 + 1, 1)), printf('m-%d/%d', n, n), 0,
           (unixepoch() - (n / 3 % 4) * 72000) * 1000000 FROM n",
    )
    .await;
    assert_eq!(removed(store, true).await[2].1, 2_250);
    assert_eq!(removed(store, false).await[2].1, 2_250);
    assert_eq!(number(store, "SELECT count(*) FROM messagekit_processed_messages").await, 6_750);
}
