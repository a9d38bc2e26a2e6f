//! Redelivery of failed messages to a queue.

use messagekit::operations::{Action, ActionResult, FailedMessageState};
use messagekit::{Consumer, HandlerError, Message, Shutdown};
use messagekit_postgres::PgTx;
use messagekit_testkit::{block_on, eventually};

use crate::rabbit::{header, order};
use crate::stage::{PATIENCE, Stage};

#[test]
fn redelivery_reaches_only_its_own_queue_and_has_one_effect() {
    block_on(async {
        let stage = Stage::new().await;
        let (billing, shipping) = (stage.of("billing"), stage.of("shipping"));
        stage.rabbit.queue_into(&billing, &stage.dead(), &[]).await;
        stage.rabbit.queue(&shipping, &[]).await;
        stage.rabbit.exchange(&stage.of("events"), "orders.#", &[&billing, &shipping]).await;
        stage.rabbit.publish(&stage.of("events"), "orders.order", order("m-1"), b"{}").await;
        stage.rabbit.reject(&billing).await;
        let bookkeeper = stage.keep_queue();
        let failed_message = stage.until_failed_messages(1).await.remove(0).head.id;

        // Two operators and a double click: one of the three actions is done.
        let acts = tokio::join!(
            stage.act(Action::Retry, failed_message),
            stage.act(Action::Retry, failed_message),
            stage.act(Action::Retry, failed_message)
        );
        let done =
            <[ActionResult; 3]>::from(acts).into_iter().filter(|acted| *acted == ActionResult::Done).count();
        assert_eq!(done, 1, "{acts:?}");
        stage.until_state(failed_message, FailedMessageState::Resolved).await;
        assert_eq!((stage.rabbit.count(&billing).await, stage.rabbit.count(&shipping).await), (1, 1));

        // A late copy beside the redelivered one, and a consumer that is repaired by now.
        stage.rabbit.publish("", &billing, order("m-1"), b"{}").await;
        sqlx::raw_sql("CREATE TABLE bills (id text NOT NULL)").execute(stage.store.pool()).await.unwrap();
        let shutdown = Shutdown::new();
        let consumer = Consumer::builder(stage.of("consumer"), stage.store.clone())
            .from(Stage::rabbitmq().queue(billing.clone()))
            .on_message("orders.order.placed", bill)
            .build()
            .unwrap();
        let stats = consumer.stats();
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        eventually("both are consumed", PATIENCE, async || {
            stats.read().handled + stats.read().duplicates == 2
        })
        .await;
        shutdown.request();
        running.await.unwrap().unwrap();
        let bills: Vec<String> =
            sqlx::query_scalar("SELECT id FROM bills").fetch_all(stage.store.pool()).await.unwrap();
        assert_eq!(bills, ["m-1"]);
        bookkeeper.stop().await;
    });
}

async fn bill(tx: &mut PgTx, order: Message) -> Result<(), HandlerError> {
    let id = order.headers.text("id").unwrap_or_default().to_owned();
    sqlx::query("INSERT INTO bills VALUES ($1)").bind(id).execute(&mut **tx).await?;
    Ok(())
}

#[test]
fn a_redelivery_keeps_the_id_headers_and_bytes() {
    block_on(async {
        let stage = Stage::new().await;
        let billing = stage.of("billing");
        stage.rabbit.queue_into(&billing, &stage.dead(), &[]).await;
        stage.rabbit.publish("", &billing, order("m-1"), b"\xff\x00 any bytes").await;
        stage.rabbit.reject(&billing).await;
        let bookkeeper = stage.keep_queue();
        let failed_message = stage.until_failed_messages(1).await.remove(0).head.id;
        stage.send_back(failed_message).await;
        let back = stage.rabbit.next(&billing).await;
        assert_eq!(back.data, b"\xff\x00 any bytes");
        assert_eq!(back.properties.message_id().as_ref().map(|id| id.as_str()), Some("m-1"));
        assert_eq!(header(&back, "x-k-tenant").as_deref(), Some("north"));
        assert_eq!(header(&back, "x-messagekit-returns").as_deref(), Some("1"));
        assert_eq!((header(&back, "x-death"), header(&back, "x-k-x-death")), (None, None));
        bookkeeper.stop().await;
    });
}

#[test]
fn each_death_is_a_new_failed_message_until_retries_stop() {
    block_on(async {
        let stage = Stage::new().await;
        let billing = stage.of("billing");
        stage.rabbit.queue_into(&billing, &stage.dead(), &[]).await;
        stage.rabbit.publish("", &billing, order("m-1"), b"{}").await;
        stage.rabbit.reject(&billing).await;
        let bookkeeper = stage.keep_queue();
        for round in 1..=3 {
            let failed_message = stage.until_failed_messages(round).await.pop().unwrap().head.id;
            stage.send_back(failed_message).await;
            stage.rabbit.reject(&billing).await;
        }
        let failed_messages = stage.until_failed_messages(4).await;
        let ids: Vec<_> =
            failed_messages.iter().map(|failed_message| failed_message.message_id.as_str()).collect();
        assert_eq!(ids, ["m-1", "m-1+1", "m-1+2", "m-1+3"]);
        assert!(
            failed_messages[3].error.ends_with("sent back 3 times before"),
            "{}",
            failed_messages[3].error
        );
        assert_eq!(failed_messages[3].state, FailedMessageState::Dead);
        assert_eq!(stage.act(Action::Discard, failed_messages[3].id).await, ActionResult::Done);
        assert_eq!(stage.rabbit.count(&billing).await, 0);
        bookkeeper.stop().await;
    });
}

#[test]
fn a_redelivery_to_a_deleted_queue_is_dead_with_the_reason() {
    block_on(async {
        let stage = Stage::new().await;
        let billing = stage.of("billing");
        stage.rabbit.queue_into(&billing, &stage.dead(), &[]).await;
        stage.rabbit.publish("", &billing, order("m-1"), b"{}").await;
        stage.rabbit.reject(&billing).await;
        let bookkeeper = stage.keep_queue();
        let failed_message = stage.until_failed_messages(1).await.remove(0).head.id;
        stage.rabbit.delete(&billing).await;
        assert_eq!(stage.act(Action::Retry, failed_message).await, ActionResult::Done);
        eventually("the broker returns it", PATIENCE, async || bookkeeper.stats.read().refused == 1).await;
        stage.until_state(failed_message, FailedMessageState::Dead).await;
        let dead = stage.failed_messages().await.remove(0);
        assert_eq!(&*dead.kind, "unroutable");
        assert!(dead.error.starts_with(&format!("queue {billing} did not take it back")), "{}", dead.error);
        stage.rabbit.queue(&billing, &[]).await;
        stage.send_back(failed_message).await;
        assert_eq!(stage.rabbit.count(&billing).await, 1);
        bookkeeper.stop().await;
    });
}
