//! Queues of a virtual host of their own.

use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection};
use messagekit_testkit::{block_on, unique};
use messagekit_tests::services;

use crate::stage::{Stage, nothing, shell};

/// A virtual host of one test. A drop deletes it.
struct Host {
    name: String,
    url: String,
    api: String,
}

impl Host {
    fn new() -> Self {
        let api = services::rabbitmq_api();
        let place = api.split_once('@').expect("a login").1;
        let (name, url) = (unique("doctor"), services::amqp_url());
        let host = Self {
            url: format!("{}/{name}", url.rsplit_once('/').expect("a virtual host").0),
            api: format!("http://{place}"),
            name,
        };
        host.call("PUT", &format!("vhosts/{}", host.name), "{}");
        let user = url.split_once("://").and_then(|(_, rest)| rest.split_once(':')).expect("a user").0;
        let rights = r#"{"configure":".*","write":".*","read":".*"}"#;
        host.call("PUT", &format!("permissions/{}/{user}", host.name), rights);
        host
    }

    fn call(&self, method: &str, path: &str, body: &str) {
        let line = format!(
            "curl --fail --silent --show-error --user \"$RABBITMQ_LOGIN\" --request {method} \
             --header content-type:application/json --data '{body}' {}/api/{path}",
            self.api
        );
        let done = shell(&line);
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn stage(&self) -> Stage {
        Stage::with(&["--rabbitmq", &self.url, "--management", &self.api])
    }

    /// Declares a queue that gets the orders.
    async fn declare(&self, queue: &str, arguments: &[(&str, AMQPValue)]) {
        self.declare_unbound(queue, arguments).await;
        let channel = self.connection().await.create_channel().await.unwrap();
        let bind = channel.queue_bind(
            queue.into(),
            "amq.topic".into(),
            "orders.#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bind.await.unwrap();
    }

    async fn declare_unbound(&self, queue: &str, arguments: &[(&str, AMQPValue)]) {
        let channel = self.connection().await.create_channel().await.unwrap();
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert((*name).into(), value.clone());
        }
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), table).await.unwrap();
    }

    async fn connection(&self) -> Connection {
        Connection::connect(&self.url, Default::default()).await.unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.call("DELETE", &format!("vhosts/{}", self.name), "{}");
        }
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// The arguments of a queue that loses nothing, to a dead-letter queue of this name.
fn good(dead: &str) -> Vec<(&'static str, AMQPValue)> {
    vec![
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", AMQPValue::LongLongInt(1_000)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(dead)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ]
}

fn without(name: &str) -> Vec<(&'static str, AMQPValue)> {
    good("bills.dead").into_iter().filter(|(known, _)| *known != name).collect()
}

async fn dead_letters(host: &Host, name: &str) {
    let arguments =
        [("x-queue-type", text("quorum")), ("x-delivery-limit", AMQPValue::LongLongInt(1_000_000_000))];
    host.declare_unbound(name, &arguments).await;
}

#[test]
fn queues_that_lose_messages_are_replaced_with_their_bindings() {
    block_on(async {
        let cases = [
            ("queue-not-quorum", Vec::new()),
            ("queue-delivery-limit-low", without("x-delivery-limit")),
            (
                "queue-without-dead-letters",
                without("x-dead-letter-exchange")
                    .into_iter()
                    .filter(|(name, _)| {
                        *name != "x-dead-letter-routing-key" && *name != "x-dead-letter-strategy"
                    })
                    .collect(),
            ),
            ("queue-loses-dead-letters", without("x-dead-letter-strategy")),
        ];
        for (name, arguments) in cases {
            let host = Host::new();
            dead_letters(&host, "bills.dead").await;
            host.declare("bills", &arguments).await;
            let stage = host.stage();
            // Further findings of one queue refer to the repair of its first one.
            let first = stage.finds(name).await;
            let text = first["repair"][0]["text"].as_str().unwrap();
            let first =
                text.strip_prefix("the repair of ").and_then(|text| text.split(' ').next()).unwrap_or(name);
            stage.heals(first, nothing).await;
            assert_eq!(stage.look().names(), [""; 0], "after {name}");
            publish(&host).await;
            let found = stage.finds("queue-without-consumer").await;
            assert_eq!(found["subject"], "bills", "it is bound as before");
        }
    });
}

#[test]
fn a_queue_with_messages_is_not_deleted_by_its_repair() {
    block_on(async {
        for (name, arguments) in
            [("queue-not-quorum", Vec::new()), ("queue-delivery-limit-low", without("x-delivery-limit"))]
        {
            let host = Host::new();
            dead_letters(&host, "bills.dead").await;
            host.declare("bills", &arguments).await;
            publish(&host).await;
            let stage = host.stage();
            let found = stage.finds(name).await;
            let mut steps =
                found["repair"].as_array().unwrap().iter().filter_map(|step| step["text"].as_str());
            let delete = steps.rfind(|step| step.contains("--request DELETE")).unwrap();
            assert!(!shell(delete).status.success(), "{delete}");
            assert!(stage.look().has(name), "the queue is as it was");
            stage.finds("queue-without-consumer").await;
        }
    });
}

/// Publishes a message by the exchange to which the queues are bound.
async fn publish(host: &Host) {
    let connection = host.connection().await;
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let key = "orders.order".into();
    let sent = channel.basic_publish(
        "amq.topic".into(),
        key,
        BasicPublishOptions::default(),
        b"{}",
        BasicProperties::default(),
    );
    sent.await.unwrap().await.unwrap();
}

#[test]
fn dead_letters_without_a_target_get_one() {
    block_on(async {
        let mut to_exchange = without("x-dead-letter-exchange");
        to_exchange.push(("x-dead-letter-exchange", text("dead")));
        for (name, arguments) in
            [("dead-letters-unroutable", good("bills.dead")), ("dead-letter-exchange-missing", to_exchange)]
        {
            let host = Host::new();
            host.declare("bills", &arguments).await;
            let stage = host.stage();
            stage.heals(name, nothing).await;
            assert_eq!(stage.look().names(), [""; 0], "after {name}");
        }
    });
}

#[test]
fn a_dead_letter_exchange_without_a_binding_gets_a_queue() {
    block_on(async {
        let host = Host::new();
        host.call("PUT", &format!("exchanges/{}/dead", host.name), r#"{"type":"fanout","durable":true}"#);
        let mut arguments = without("x-dead-letter-exchange");
        arguments.push(("x-dead-letter-exchange", text("dead")));
        host.declare("bills", &arguments).await;
        host.stage().heals("dead-letters-unroutable", nothing).await;
    });
}

#[test]
fn a_queue_without_a_consumer_is_found_until_one_reads() {
    block_on(async {
        let host = Host::new();
        host.declare("bills", &good("bills.dead")).await;
        dead_letters(&host, "bills.dead").await;
        publish(&host).await;
        let mut reader = None;
        let read = async |step: &str| {
            assert!(step.contains("bills"), "{step}");
            let connection = host.connection().await;
            let channel = connection.create_channel().await.unwrap();
            let mut consumers = Vec::new();
            for queue in ["bills", "bills.dead"] {
                let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
                consumers.push(channel.basic_consume(queue.into(), "".into(), options, table).await.unwrap());
            }
            reader = Some((connection, consumers));
        };
        host.stage().heals("queue-without-consumer", read).await;
        drop(reader);
    });
}

#[test]
fn a_user_without_the_right_to_look_is_named() {
    block_on(async {
        let url = services::amqp_url();
        let (_, place) = url.rsplit_once('@').unwrap();
        let api = services::rabbitmq_api();
        let api = format!("http://{}", api.split_once('@').unwrap().1);
        let wrong = format!("amqp://stranger:s3cret@{place}");
        let report = Stage::with(&["--rabbitmq", &wrong, "--management", &api]).look();
        assert_eq!((report.code, report.names()), (0, vec![]));
        let reason = report.unchecked("queue-not-quorum").expect("it is named");
        assert!(reason.contains("401") && !report.json.to_string().contains("s3cret"), "{reason}");
    });
}
