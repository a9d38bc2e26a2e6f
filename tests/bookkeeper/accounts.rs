//! The death headers of RabbitMQ for each reason and each type of queue, and forged ones.

use lapin::types::{AMQPValue, FieldArray, FieldTable};
use messagekit::ErrorKind;
use messagekit::operations::{Action, ActionResult, FailedMessageState, Origin};
use messagekit_testkit::block_on;

use crate::rabbit::{order, text};
use crate::stage::Stage;

#[test]
fn every_death_reason_is_read_from_classic_and_quorum_queues() {
    block_on(async {
        let stage = Stage::new().await;
        let (rabbit, dead) = (&stage.rabbit, stage.dead());
        let mut expected = Vec::new();
        for kind in ["classic", "quorum"] {
            let queue = |reason: &str| stage.of(&format!("{kind}.{reason}"));
            let of_kind = ("x-queue-type", text(kind));

            rabbit.queue_into(&queue("rejected"), &dead, std::slice::from_ref(&of_kind)).await;
            rabbit.publish("", &queue("rejected"), order("m-1"), b"{\"n\": 1}").await;
            rabbit.reject(&queue("rejected")).await;

            let ttl = ("x-message-ttl", AMQPValue::LongInt(20));
            rabbit.queue_into(&queue("expired"), &dead, &[of_kind.clone(), ttl]).await;
            rabbit.publish("", &queue("expired"), order("m-1"), b"{\"n\": 2}").await;

            let length = ("x-max-length", AMQPValue::LongInt(1));
            rabbit.queue_into(&queue("queue_full"), &dead, &[of_kind.clone(), length]).await;
            for _ in 0..2 {
                rabbit.publish("", &queue("queue_full"), order("m-1"), b"{\"n\": 3}").await;
            }
            expected.extend(["rejected", "expired", "queue_full"].map(|reason| (queue(reason), reason)));
        }
        let limited = stage.of("quorum.delivery_limit");
        let limit = ("x-delivery-limit", AMQPValue::LongInt(2));
        rabbit.queue_into(&limited, &dead, &[("x-queue-type", text("quorum")), limit]).await;
        rabbit.publish("", &limited, order("m-1"), b"{\"n\": 4}").await;
        expected.push((limited.clone(), "delivery_limit"));
        rabbit.give_back_until_dead(&limited, &dead, expected.len() as u32).await;

        let bookkeeper = stage.keep_queue();
        let failed_messages = stage.until_failed_messages(expected.len()).await;
        let mut found: Vec<_> = failed_messages
            .iter()
            .map(|failed_message| (failed_message.return_to.clone().unwrap(), &*failed_message.kind))
            .collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        for failed_message in &failed_messages {
            assert_eq!(
                (failed_message.origin, failed_message.state),
                (Origin::Queue, FailedMessageState::Dead)
            );
            assert_eq!(
                failed_message.consumer,
                format!("queue:{}", failed_message.return_to.as_deref().unwrap())
            );
            assert_eq!((failed_message.message_id.as_str(), &*failed_message.topic), ("m-1", &*dead));
            assert_eq!(failed_message.received.message.headers.text("tenant"), Some("north"));
            assert!(failed_message.received.message.payload.starts_with(b"{\"n\": "));
        }
        bookkeeper.stop().await;
        assert_eq!(stage.rabbit.count(&dead).await, 0, "everything is acknowledged");
    });
}

#[test]
fn the_last_of_several_deaths_is_the_one_that_counts() {
    block_on(async {
        let stage = Stage::new().await;
        let (rabbit, dead) = (&stage.rabbit, stage.dead());
        let (work, wait) = (stage.of("work"), stage.of("wait"));
        // The message is rejected in one queue and waits in a second one until it expires there.
        rabbit.queue_into(&work, &wait, &[]).await;
        rabbit.queue_into(&wait, &dead, &[("x-message-ttl", AMQPValue::LongInt(20))]).await;
        rabbit.publish("", &work, order("m-1"), b"{}").await;
        rabbit.reject(&work).await;
        let bookkeeper = stage.keep_queue();
        let failed_message = stage.until_failed_messages(1).await.remove(0);
        assert_eq!((&*failed_message.kind, failed_message.return_to.as_deref()), ("expired", Some(&*wait)));
        let account = failed_message.received.message.headers.text("x-death").unwrap();
        assert!(account.contains("rejected") && account.contains("expired"), "both deaths: {account}");
        bookkeeper.stop().await;
    });
}

#[test]
fn strangers_and_forgers_end_nothing_and_send_nothing_anywhere() {
    block_on(async {
        let stage = Stage::new().await;
        let (rabbit, dead) = (&stage.rabbit, stage.dead());
        let forged = |value: AMQPValue| {
            let mut headers = FieldTable::default();
            headers.insert("x-death".into(), value);
            order("m-1").with_headers(headers)
        };
        let entry = |queue: AMQPValue| {
            let mut death = FieldTable::default();
            death.insert("queue".into(), queue);
            death.insert("reason".into(), text("rejected"));
            death.insert("count".into(), AMQPValue::LongLongInt(-7));
            AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::FieldTable(death)]))
        };
        let strange = [
            lapin::BasicProperties::default(),
            order("m-1"),
            forged(text("rejected")),
            forged(AMQPValue::LongLongInt(-1)),
            forged(AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::Void; 5_000]))),
            forged(entry(AMQPValue::Boolean(true))),
            forged(entry(text("amq.rabbitmq.reply-to.x"))),
            forged(entry(text(&"q".repeat(100_000)))),
        ];
        for (number, properties) in strange.iter().enumerate() {
            // Different ids, so no message counts as a copy of another.
            let properties = match properties.message_id() {
                Some(_) => properties.clone().with_message_id(format!("m-{number}").into()),
                None => properties.clone(),
            };
            rabbit.publish("", &dead, properties, b"\xff\x00 no json").await;
        }
        let bookkeeper = stage.keep_queue();
        for failed_message in stage.until_failed_messages(strange.len()).await {
            assert_eq!(
                (&*failed_message.kind, &failed_message.return_to),
                ("unexplained", &None),
                "{}",
                failed_message.error
            );
            assert_eq!(failed_message.consumer, format!("queue:{dead}"));
            assert_eq!(&failed_message.received.message.payload[..], b"\xff\x00 no json");
            let refused = stage.act(Action::Retry, failed_message.id).await;
            assert_eq!(refused, ActionResult::WrongState(FailedMessageState::Dead));
            assert_eq!(
                refused.done(Action::Retry, failed_message.id).unwrap_err().kind(),
                ErrorKind::WrongState
            );
        }
        bookkeeper.stop().await;
    });
}
