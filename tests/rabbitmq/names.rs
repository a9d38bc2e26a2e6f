//! Names that are legal only in RabbitMQ.

use std::collections::BTreeSet;
use std::sync::Arc;

use messagekit::adapter::Publisher;
use messagekit::{ErrorKind, Message};
use messagekit_rabbitmq::Queue;
use messagekit_testkit::transport::text;
use messagekit_testkit::{block_on, unique};

use crate::broker::{depth, holds, join, message, named, publish, queue, rabbit, raw};

#[test]
fn queues_of_any_name_are_declared_written_and_read() {
    block_on(async {
        for name in
            ["a b", "größe", "日本", "#", "*", "orders.*.#", "x'; DROP TABLE records; --", "../a/b%2f"]
        {
            let queue: Arc<str> = format!("{} {name}", unique("queue")).into();
            rabbit().topology().queue(Queue::dead_letters(&*queue)).declare().await.unwrap();
            publish(&[message(&queue, Some("k"), "m")]).await;
            let mut receiver = join(&rabbit(), &queue).await;
            let delivery = receiver.message().await;
            assert_eq!((&*delivery.message.topic, text(&delivery).as_str()), (&*queue, "m"));
            receiver.settle_receipts(vec![delivery.receipt]);
            receiver.close().await.unwrap();
        }
    });
}

#[test]
fn a_routing_key_is_sent_as_it_is_and_is_no_pattern() {
    block_on(async {
        let (exchange, all, victim) = (unique("exchange"), unique("queue"), queue().await);
        let topology = rabbit().topology().exchange(&exchange).queue(Queue::dead_letters(&all));
        let topology = topology.queue(Queue::dead_letters(&*victim));
        topology
            .bind(&all, &exchange, "#")
            .bind(&*victim, &exchange, "orders.placed")
            .declare()
            .await
            .unwrap();
        let longest = "ü".repeat(127);
        let keys = ["", "a b", "größe", "#", "*", "orders.*", "orders.#", "a\nb\0c", &longest];
        let batch: Vec<Message> = keys.iter().map(|key| message(key, None, key)).collect();
        let publisher = rabbit().publisher_to(&exchange);
        assert_eq!(named(&publisher.publish(&batch).await), ["ok"; 9]);
        holds(&all, 9).await;
        let mut arrived = BTreeSet::new();
        for _ in keys {
            let raw = raw(&all).await.delivery;
            assert_eq!(raw.data, raw.routing_key.as_str().as_bytes());
            arrived.insert(raw.routing_key.to_string());
        }
        assert_eq!(arrived, keys.map(str::to_owned).into());
        assert_eq!(depth(&victim).await, 0, "a routing key was taken for a pattern");
    });
}

#[test]
fn a_routing_key_that_is_too_long_is_rejected_and_the_others_go() {
    block_on(async {
        let queue = queue().await;
        let long = "ü".repeat(128);
        let results =
            rabbit().publisher().publish(&[message(&long, None, "1"), message(&queue, None, "2")]).await;
        assert_eq!(named(&results), ["Rejected", "ok"]);
        let error = &results[0].as_ref().unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::InvalidEvent);
        assert!(error.to_string().contains("256 bytes"), "{error}");
    });
}
