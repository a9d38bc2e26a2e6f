//! Users without write permission (403).

use std::collections::BTreeSet;

use messagekit::adapter::Publisher;
use messagekit::{ErrorKind, Message, chain};
use messagekit_rabbitmq::{Queue, RabbitMq};
use messagekit_testkit::transport::text;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::services;
use serde_json::json;

use crate::broker::{bound, holds, join, message, named, put, rabbit};

const PASSWORD: &str = "hunter2";

/// A user of one test.
struct User {
    name: String,
    vhost: String,
}

impl User {
    async fn who_may_write(exchanges: &str) -> Self {
        let url = services::amqp_url();
        let vhost = url.split_once('@').unwrap().1.split_once('/').unwrap().1.to_owned();
        let user = Self { name: unique("user"), vhost };
        put(&format!("users/{}", user.name), json!({ "password": PASSWORD, "tags": "" })).await;
        user.may_write(exchanges).await;
        user
    }

    async fn may_write(&self, exchanges: &str) {
        let rights = json!({ "configure": "^$", "write": exchanges, "read": "^$" });
        put(&format!("permissions/{}/{}", self.vhost, self.name), rights).await;
    }

    async fn may_write_routing_keys(&self, exchange: &str, pattern: &str) {
        let rights = json!({ "exchange": exchange, "write": pattern, "read": "^$" });
        put(&format!("topic-permissions/{}/{}", self.vhost, self.name), rights).await;
    }

    fn rabbit(&self) -> RabbitMq {
        let url = services::amqp_url();
        let host = url.split_once('@').unwrap().1;
        RabbitMq::new(&format!("amqp://{}:{PASSWORD}@{host}", self.name)).unwrap()
    }
}

#[test]
fn an_exchange_without_write_permission_rejects_until_granted() {
    block_on(async {
        let (exchange, queue) = bound().await;
        let user = User::who_may_write("^$").await;
        let publisher = user.rabbit().publisher_to(&exchange);
        let batch = [
            message(&queue, Some("a"), "1"),
            message(&queue, Some("a"), "2"),
            message(&queue, None, "3"),
            message(&queue, Some("b"), "4"),
        ];
        let results = publisher.publish(&batch).await;
        assert_eq!(named(&results), ["Rejected", "KeyBlocked", "Rejected", "Rejected"]);
        let error = &results[0].as_ref().unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        let said = chain(error);
        assert!(said.contains(&exchange) && said.contains("ACCESS_REFUSED"), "{said}");
        assert!(!said.contains(PASSWORD), "{said}");

        user.may_write(".*").await;
        let goes = async || publisher.publish(&batch).await.iter().all(Result::is_ok);
        eventually("it may write", DEADLINE, goes).await;
        holds(&queue, 4).await;
    });
}

/// The broker closes the channel without naming the message.
#[test]
fn only_messages_with_a_forbidden_routing_key_are_rejected() {
    block_on(async {
        let (exchange, queue) = (unique("exchange"), unique("queue"));
        let topology = rabbit().topology().exchange(&exchange).queue(Queue::dead_letters(&queue));
        topology.bind(&queue, &exchange, "#").declare().await.unwrap();
        let user = User::who_may_write(".*").await;
        user.may_write_routing_keys(&exchange, "^free\\.").await;
        let publisher = user.rabbit().publisher_to(&exchange);
        let is_free = |number: usize| number % 20 != 7;
        let batch: Vec<Message> = (0..100)
            .map(|number| {
                let topic = if is_free(number) { "free.orders" } else { "secret.salaries" };
                message(topic, None, &format!("m{number}"))
            })
            .collect();
        for (number, result) in publisher.publish(&batch).await.iter().enumerate() {
            assert_eq!(result.is_ok(), is_free(number), "message {number}: {result:?}");
            if let Err(error) = result {
                let text = messagekit::chain(&error.error);
                assert!(!text.contains("secret"), "a routing key may be made of a payload: {text}");
                assert_eq!(
                    error.refusal,
                    messagekit::adapter::PublishErrorKind::Rejected,
                    "message {number}: {error:?}"
                );
            }
        }
        let expected: BTreeSet<String> =
            (0..100).filter(|number| is_free(*number)).map(|number| format!("m{number}")).collect();
        let mut receiver = join(&rabbit(), &queue.into()).await;
        let mut arrived = BTreeSet::new();
        while arrived.len() < expected.len() {
            let delivery = receiver.message().await;
            arrived.insert(text(&delivery));
            receiver.settle_receipts(vec![delivery.receipt]);
        }
        assert_eq!(arrived, expected);
    });
}
