//! The broker under test: queues of every kind, and operations of an operator.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicGetOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection};
use messagekit::Message;
use messagekit::adapter::{Published, Publisher, Source};
use messagekit_rabbitmq::{Queue, RabbitMq, RabbitMqSubscriber};
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{DEADLINE, eventually, unique};
use messagekit_tests::services;

pub(crate) fn rabbit() -> RabbitMq {
    RabbitMq::new(&services::amqp_url()).unwrap().prefetch(1_000)
}

/// Creates a queue without a delivery limit.
pub(crate) async fn queue() -> Arc<str> {
    let name = unique("queue");
    declare(Queue::dead_letters(&name)).await;
    name.into()
}

pub(crate) async fn declare(queue: Queue) {
    rabbit().topology().queue(queue).declare().await.unwrap();
}

/// Creates a queue and an exchange that routes to it by its name.
pub(crate) async fn bound() -> (String, Arc<str>) {
    let (exchange, queue) = (unique("exchange"), unique("queue"));
    let topology = rabbit().topology().exchange(&exchange).queue(Queue::dead_letters(&queue));
    topology.bind(&queue, &exchange, &queue).declare().await.unwrap();
    (exchange, queue.into())
}

/// Returns a client that does not use the adapter.
pub(crate) async fn outside() -> (Connection, Channel) {
    let connection = Connection::connect(&services::amqp_url(), Default::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

pub(crate) async fn delete_queue(name: &str) {
    let (_connection, channel) = outside().await;
    channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
}

pub(crate) async fn unbind(queue: &str, exchange: &str, routing_key: &str) {
    let (_connection, channel) = outside().await;
    channel
        .queue_unbind(queue.into(), exchange.into(), routing_key.into(), FieldTable::default())
        .await
        .unwrap();
}

/// Returns the number of ready messages in a queue.
pub(crate) async fn depth(name: &str) -> u32 {
    let (_connection, channel) = outside().await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), passive, FieldTable::default()).await.unwrap().message_count()
}

/// Waits until a queue holds as many messages as expected.
pub(crate) async fn holds(name: &str, expected: u32) {
    eventually(&format!("queue {name} holds {expected}"), DEADLINE, async || depth(name).await == expected)
        .await;
}

/// Takes one message as it is on the wire.
pub(crate) async fn raw(name: &str) -> lapin::message::BasicGetMessage {
    let (_connection, channel) = outside().await;
    let got = channel.basic_get(name.into(), BasicGetOptions { no_ack: true }).await.unwrap();
    got.expect("a message stands in the queue")
}

pub(crate) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

pub(crate) fn message(topic: &str, key: Option<&str>, text: &str) -> Message {
    messagekit_testkit::transport::message(&Arc::from(topic), key, text)
}

/// Publishes to queues and requires that every message is accepted. The deadline is that of the whole batch, whose messages of one key wait
/// for each other.
pub(crate) async fn publish(batch: &[Message]) {
    for result in rabbit().confirm_deadline(DEADLINE).publisher().publish(batch).await {
        result.unwrap();
    }
}

/// Publishes `m0`, `m1`, … with one key.
pub(crate) async fn numbered(queue: &str, count: usize) {
    let batch: Vec<Message> =
        (0..count).map(|number| message(queue, Some("k"), &format!("m{number}"))).collect();
    publish(&batch).await;
}

pub(crate) async fn join(rabbit: &RabbitMq, queue: &Arc<str>) -> Receiver<RabbitMqSubscriber> {
    let consumer = unique("consumer");
    let subscriber = rabbit.queue(queue.clone()).bind(&consumer, &[]).await.unwrap();
    Receiver::new(subscriber, &consumer)
}

/// Returns the result of each message: `ok`, or the error kind.
pub(crate) fn named(results: &[Published]) -> Vec<String> {
    let name = |result: &Published| match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{:?}", error.refusal),
    };
    results.iter().map(name).collect()
}

/// Returns the URL of a path of the management interface, and the login for it.
fn management(path: &str) -> (String, String) {
    let base = services::rabbitmq_api();
    let (scheme, rest) = base.split_once("://").unwrap();
    let (login, host) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    (format!("{scheme}://{host}/api/{path}"), format!("Basic {}", base64(&format!("{user}:{password}"))))
}

/// Sends a PUT request to the management interface.
pub(crate) async fn put(path: &str, what: serde_json::Value) {
    let (url, login) = management(path);
    let put = move || {
        let request = ureq::put(&url).header("Authorization", &login);
        request.header("Content-Type", "application/json").send(what.to_string())
    };
    let answer = tokio::task::spawn_blocking(put).await.unwrap();
    answer.unwrap_or_else(|error| panic!("PUT {path}: {error}"));
}

/// Sends a GET request to the management interface and returns the body.
async fn api(path: &str) -> serde_json::Value {
    let (url, login) = management(path);
    let get = move || {
        let answer = ureq::get(&url).header("Authorization", &login).call();
        answer.and_then(|mut answer| answer.body_mut().read_to_string())
    };
    let answer = tokio::task::spawn_blocking(get).await.unwrap();
    serde_json::from_str(&answer.unwrap_or_else(|error| panic!("GET {path}: {error}"))).unwrap()
}

/// Requests over the management interface that a connection is closed. For one that closes at this moment the answer is
/// 404 or 500; the list of connections shows the result.
async fn ask_to_close(connection: &str) {
    let path = format!("connections/{}", connection.replace(' ', "%20").replace('>', "%3E"));
    let (url, login) = management(&path);
    let delete = move || ureq::delete(&url).header("Authorization", &login).call();
    match tokio::task::spawn_blocking(delete).await.unwrap() {
        Ok(_) | Err(ureq::Error::StatusCode(404 | 500)) => {}
        Err(error) => panic!("DELETE {path}: {error}"),
    }
}

fn base64(text: &str) -> String {
    const FAILED_MESSAGES: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let failed_message = |bits: u32| char::from(FAILED_MESSAGES[(bits & 63) as usize]);
    let mut out = String::new();
    for part in text.as_bytes().chunks(3) {
        let bits =
            part.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for position in 0..4 {
            out.push(if position <= part.len() { failed_message(bits >> (18 - 6 * position)) } else { '=' });
        }
    }
    out
}

/// Closes every connection with a name, as an operator does. It waits until there is one, and until those are gone.
pub(crate) async fn close_connections(name: &str) {
    let end = tokio::time::Instant::now() + DEADLINE;
    let mut closing = BTreeSet::new();
    loop {
        let there = connections(name).await;
        if closing.is_empty() {
            closing.clone_from(&there);
        }
        for connection in closing.intersection(&there) {
            ask_to_close(connection).await;
        }
        if !closing.is_empty() && closing.is_disjoint(&there) {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "not closed: {closing:?} of {name}, {there:?} are there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns the connections with a name that the broker lists; it updates the list once per second.
pub(crate) async fn connections(name: &str) -> BTreeSet<String> {
    let all = api("connections").await;
    let named = |connection: &&serde_json::Value| connection["client_properties"]["connection_name"] == name;
    let id = |connection: &serde_json::Value| connection["name"].as_str().unwrap().to_owned();
    all.as_array().unwrap().iter().filter(named).map(id).collect()
}

/// The time without events after which a test concludes that none comes.
pub(crate) const QUIET: Duration = Duration::from_millis(500);
