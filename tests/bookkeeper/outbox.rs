//! The failures that the outbox records for its own events.

use messagekit::adapter::OutboxRows;
use messagekit::{Message, Store, headers};
use messagekit_testkit::{block_on, eventually};

use crate::rabbit::order;
use crate::stage::{PATIENCE, Stage};

#[test]
fn a_failure_of_our_event_is_noted_and_of_another_one_not() {
    block_on(async {
        let stage = Stage::new().await;
        let mut tx = stage.store.begin().await.unwrap();
        let ours = Message::new("orders.order", r#"{"eventType":"orders.order.placed"}"#)
            .with_header(headers::EVENT_TYPE, "orders.order.placed")
            .with_header(headers::ID, "ours-1");
        stage.store.write(&mut tx, &[ours]).await.unwrap();
        stage.store.commit(tx).await.unwrap();

        let billing = stage.of("billing");
        stage.rabbit.queue_into(&billing, &stage.dead(), &[]).await;
        for id in ["ours-1", "theirs-1"] {
            stage.rabbit.publish("", &billing, order(id), b"{}").await;
            stage.rabbit.reject(&billing).await;
        }
        let bookkeeper = stage.keep_queue();
        stage.until_failed_messages(2).await;
        let noted: Vec<(String, String, String)> =
            sqlx::query_as("SELECT event_id, consumer, reason FROM messagekit.outbox_failures")
                .fetch_all(stage.store.pool())
                .await
                .unwrap();
        let reason = format!("rejected by a consumer of queue {billing}");
        assert_eq!(noted, [("ours-1".to_owned(), format!("queue:{billing}"), reason)]);
        // The counter follows a moment after the commit.
        eventually("it says how many were not ours", PATIENCE, async || {
            let counts = bookkeeper.stats.read();
            (counts.kept, counts.ours) == (2, 1)
        })
        .await;
        bookkeeper.stop().await;
    });
}
