//! Declaring and verifying.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use messagekit::ErrorKind;
use messagekit_rabbitmq::Queue;
use messagekit_testkit::{block_on, unique};

use crate::broker::{depth, holds, message, outside, rabbit};
use messagekit::adapter::Publisher;

#[test]
fn a_topology_is_declared_once_and_again_without_harm() {
    block_on(async {
        let (exchange, dead_exchange, queue) = (unique("exchange"), unique("dead"), unique("queue"));
        let dead = format!("{queue}.dead");
        let topology = rabbit()
            .topology()
            .exchange(&exchange)
            .exchange(&dead_exchange)
            .queue(
                Queue::quorum(&queue)
                    .dead_letter(&dead_exchange, &queue)
                    .max_length(1_000)
                    .single_active_consumer(),
            )
            .queue(Queue::dead_letters(&dead))
            .bind(&queue, &exchange, "orders.#")
            .bind(&dead, &dead_exchange, &queue);
        let absent = topology.verify().await.unwrap_err();
        assert_eq!(absent.kind(), ErrorKind::InvalidConfiguration);
        for name in [&exchange, &dead_exchange, &queue, &dead] {
            assert!(absent.to_string().contains(&format!("{name} is not there")), "{absent}");
        }
        for _ in 0..2 {
            topology.declare().await.unwrap();
            topology.verify().await.unwrap();
        }
        let publisher = rabbit().publisher_to(&exchange);
        publisher.publish(&[message("orders.order.placed", None, "m")]).await.remove(0).unwrap();
        holds(&queue, 1).await;
    });
}

#[test]
fn every_difference_is_printed_and_nothing_is_made() {
    block_on(async {
        let (queue, other) = (unique("queue"), unique("other"));
        rabbit()
            .topology()
            .queue(Queue::quorum(&queue).delivery_limit(7).max_length(5))
            .declare()
            .await
            .unwrap();
        let exchange = unique("exchange");
        rabbit().topology().fanout(&exchange).declare().await.unwrap();
        let topology = rabbit()
            .topology()
            .exchange(&exchange)
            .queue(Queue::quorum(&other))
            .queue(Queue::quorum(&queue).dead_letter("", &other));
        let error = topology.declare().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        let said = error.to_string();
        for part in [
            format!("exchange {exchange}: type is fanout and should be topic"),
            "x-delivery-limit is 7 and should be 1000".to_owned(),
            "x-max-length is 5 and should be absent".to_owned(),
            "x-dead-letter-strategy is absent and should be at-least-once".to_owned(),
        ] {
            assert!(said.contains(&part), "{part} is missing in: {said}");
        }
        let (_connection, channel) = outside().await;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let made = channel.queue_declare(other.as_str().into(), passive, FieldTable::default()).await;
        assert!(made.is_err(), "the other queue was made");
        assert_eq!(depth(&queue).await, 0);
    });
}

#[test]
fn a_dead_letter_exchange_that_is_nowhere_is_a_difference() {
    block_on(async {
        let queue = unique("queue");
        let error =
            rabbit().topology().queue(Queue::quorum(&queue).dead_letter("nowhere", "k")).declare().await;
        assert!(error.unwrap_err().to_string().contains("dead-letter exchange nowhere is not there"));
    });
}
