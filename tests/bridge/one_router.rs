//! One router with four transports: the handlers of a service do not depend on the transport.

use std::sync::Arc;

use messagekit::adapter::{Publisher, Source};
use messagekit::{Consumer, Envelope, Event, HandlerError, Message, Outbox, Router, Shutdown, Store};
use messagekit_kafka::Kafka;
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use messagekit_rabbitmq::{Queue, RabbitMq};
use messagekit_sqlite::SqliteStore;
use messagekit_testkit::{block_on, eventually, unique};
use messagekit_tests::services;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::TURNS;
use crate::records;
use crate::stage::{Broker, PATIENCE};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

/// Books an order, as the service does.
async fn book(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    tx.add("pence", order.data.pence);
    tx.add("orders", 1);
    Ok(())
}

/// Returns the orders as the outbox of a service has written them.
async fn orders() -> Vec<Message> {
    let log = MemoryLog::new(1);
    let store = MemoryStore::with_log(&log);
    let outbox = Outbox::new(store.clone(), "order-service").unwrap();
    let mut tx = store.begin().await.unwrap();
    for number in 0..20 {
        let order = OrderPlaced { order_id: format!("o-{}", number % 4), pence: number };
        outbox.add(&mut tx, order).await.unwrap();
    }
    outbox.commit(tx).await.unwrap();
    log.records("orders.order").into_iter().map(|record| record.message).collect()
}

/// Publishes the orders under another name, each twice, and runs the router until all are booked.
async fn books_each_order_once(
    router: &Router<MemoryStore>,
    source: impl Source,
    publisher: &dyn Publisher,
    topic: &str,
) {
    let mut sent = orders().await;
    sent.iter_mut().for_each(|message| message.topic = Arc::from(topic));
    for _ in 0..2 {
        for published in publisher.publish(&sent).await {
            published.unwrap();
        }
    }
    let store = MemoryStore::new();
    let consumer = Consumer::builder(unique("books"), store.clone())
        .from(source)
        .router(router.clone())
        .build()
        .unwrap();
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    eventually("every copy is dealt with", PATIENCE, async || {
        let stats = stats.read();
        stats.handled + stats.duplicates == 40
    })
    .await;
    shutdown.request();
    running.await.unwrap().unwrap();
    assert_eq!((store.get("orders"), store.get("pence")), (20, (0..20).sum::<i64>()), "on {topic}");
}

#[test]
fn one_router_runs_on_kafka_rabbitmq_sqlite_and_memory() {
    let _turn = TURNS.together();
    let _together = Broker::together();
    block_on(async {
        let router = Router::<MemoryStore>::new().on(book);
        let name = format!("{}.{}", unique("router"), OrderPlaced::TOPIC);

        let log = MemoryLog::new(4);
        books_each_order_once(&router, log.topics([name.as_str()]), &log, &name).await;

        let folder = TempDir::new().unwrap();
        let file = SqliteStore::open(folder.path().join("shop.db")).await.unwrap();
        books_each_order_once(&router, file.topics([name.as_str()]), &file.publisher(), &name).await;

        records::make_topic(&name, 4).await;
        let kafka = Kafka::new(services::kafka());
        let publisher = kafka.publisher().unwrap();
        books_each_order_once(&router, kafka.topics([name.as_str()]), &publisher, &name).await;

        let rabbit = RabbitMq::new(&services::amqp_url()).unwrap();
        let dead = format!("{name}.dead");
        let topology = rabbit
            .topology()
            .exchange(&dead)
            .queue(Queue::quorum(&name).dead_letter(&dead, "dead"))
            .queue(Queue::dead_letters(&dead))
            .bind(&dead, &dead, "dead");
        topology.declare().await.unwrap();
        books_each_order_once(&router, rabbit.queue(name.as_str()), &rabbit.publisher(), &name).await;
    });
}
