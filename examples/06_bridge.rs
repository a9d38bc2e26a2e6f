//! MESSAGEKIT_KAFKA=… MESSAGEKIT_RABBITMQ=amqp://… cargo run -q -p messagekit-examples --bin 06-bridge
//!
//! From a topic of Kafka to a queue of RabbitMQ. Every record arrives in the queue with its id and its bytes. A record that no
//! queue takes becomes a failed message with the reason. In production this is the program `messagekit-bridge` with a file of
//! rules. Each run has its own topics and leaves them; exchange and queue are the same each time. To start services for it:
//!
//! ```sh
//! cargo xtask stack up --services kafka,rabbitmq
//! export $(cargo xtask stack env)
//! export MESSAGEKIT_KAFKA="$MESSAGEKIT_TEST_KAFKA" MESSAGEKIT_RABBITMQ="$MESSAGEKIT_TEST_AMQP_URL"
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::{Consumer, Envelope, Event, HandlerError, Message, MessageId, Shutdown, chain, headers};
use messagekit_bridge::{Bridge, Rule};
use messagekit_kafka::Kafka;
use messagekit_memory::{MemoryStore, MemoryTx};
use messagekit_rabbitmq::{Queue, RabbitMq};
use serde::{Deserialize, Serialize};

const EXCHANGE: &str = "example";
const QUEUE: &str = "example.shipping";
const DEAD: &str = "example.shipping.dead";

#[derive(Event, Serialize, Deserialize)]
#[event(type = "example.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

/// An event of a type that no queue is bound to.
#[derive(Event, Serialize, Deserialize)]
#[event(type = "example.survey.answered", key = "order_id")]
struct SurveyAnswered {
    order_id: String,
    stars: u8,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("06-bridge: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (brokers, url) = services()?;
    let rabbit = RabbitMq::new(&url)?.name("example");
    let kafka = Kafka::new(brokers).set("delivery.timeout.ms", "10000")?;

    // The topology of shipping: a queue that gets orders, and a dead-letter queue.
    let topology = rabbit
        .topology()
        .exchange(EXCHANGE)
        .queue(Queue::quorum(QUEUE).dead_letter("", DEAD))
        .queue(Queue::dead_letters(DEAD))
        .bind(QUEUE, EXCHANGE, "example.order.#");
    topology.declare().await?;

    // Two records in a topic of this run, in the form that Debezium writes.
    let run = MessageId::new();
    let topic: Arc<str> = format!("example.order.{run}").into();
    let order_id = format!("lamp-{run}");
    let placed = Envelope::new(OrderPlaced { order_id: order_id.clone(), pence: 1_250 });
    let answered = Envelope::new(SurveyAnswered { order_id, stars: 5 });
    let mut records = [codec::encode(&placed, "order-service")?, codec::encode(&answered, "order-service")?];
    records.iter_mut().for_each(|record| record.topic = topic.clone());
    let publisher = Arc::new(kafka.publisher()?);
    for published in publisher.publish(&records).await {
        published?;
    }
    println!("published to Kafka: 2 records");

    // The bridge settles a record when RabbitMQ has confirmed it, or Kafka its failed message.
    let shutdown = Shutdown::on_signal()?;
    let name = format!("example-bridge-{run}");
    let dead = format!("{name}.dead");
    let bridge = Bridge::builder(&*name)
        .from(kafka.topics([topic.clone(), Bridge::retry_topic(&name)]))
        .rule(Rule::new([topic.clone()], Arc::new(rabbit.publisher_to(EXCHANGE))).routing_key("{eventType}"))
        .dead_letters(publisher, &*dead)
        .build()?;
    let stats = bridge.stats();
    let bridging = tokio::spawn(bridge.run(shutdown.clone()));
    while stats.read().forwarded + stats.read().dead_lettered < 2 && !bridging.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("forwarded: {}, failed messages: {}", stats.read().forwarded, stats.read().dead_lettered);

    // A reader of the queue gets the record of the topic.
    let sent = &records[0];
    let from_queue = first(rabbit.queue(QUEUE), "example.order.placed", sent, &shutdown).await?;
    let same = |name| from_queue.headers.get(name) == sent.headers.get(name);
    println!(
        "from the queue: same id {}, same bytes {}, from offset {} of the topic",
        same(headers::ID),
        from_queue.payload == sent.payload,
        from_queue.headers.text(headers::SOURCE_OFFSET).unwrap_or("nowhere"),
    );

    // An operator of the bridge gets the record that no queue took.
    let sent = &records[1];
    let failed_message = first(kafka.topics([dead]), "example.survey.answered", sent, &shutdown).await?;
    println!(
        "from the dead-letter topic: same bytes {}, {}",
        failed_message.payload == sent.payload,
        failed_message.headers.text(headers::DEAD_KIND).unwrap_or("without a reason"),
    );
    shutdown.request();
    bridging.await??;
    Ok(())
}

/// Reads with its own consumer until a copy of this message arrives.
async fn first<S: messagekit::adapter::Source>(
    source: S,
    event_type: &'static str,
    wanted: &Message,
    stop: &Shutdown,
) -> Result<Message, Box<dyn Error>> {
    let id = wanted.headers.text(headers::ID).map(str::to_owned);
    let found = Arc::new(Mutex::new(None));
    let note = found.clone();
    let reader = Consumer::builder(format!("example-reader-{}", MessageId::new()), MemoryStore::new())
        .from(source)
        .on_message(event_type, move |_: &mut MemoryTx, message: Message| {
            // The queue may hold messages of an earlier run.
            if message.headers.text(headers::ID) == id.as_deref() {
                note.lock().expect("nobody panics here").replace(message);
            }
            std::future::ready(Ok::<(), HandlerError>(()))
        })
        .build()?;
    let shutdown = Shutdown::new();
    let reading = tokio::spawn(reader.run(shutdown.clone()));
    let taken = || found.lock().expect("nobody panics here").take();
    let message = loop {
        if let Some(message) = taken() {
            break message;
        }
        if reading.is_finished() || stop.is_requested() {
            reading.abort();
            return Err("it was stopped before the message came".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    shutdown.request();
    reading.await??;
    Ok(message)
}

fn services() -> Result<(String, String), String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("MESSAGEKIT_KAFKA").zip(variable("MESSAGEKIT_RABBITMQ")).ok_or_else(|| {
        "MESSAGEKIT_KAFKA and MESSAGEKIT_RABBITMQ are not both set; for services to try it on: \
         cargo xtask stack up --services kafka,rabbitmq; export $(cargo xtask stack env); \
         export MESSAGEKIT_KAFKA=\"$MESSAGEKIT_TEST_KAFKA\" MESSAGEKIT_RABBITMQ=\"$MESSAGEKIT_TEST_AMQP_URL\""
            .to_owned()
    })
}
