//! The log of a run without errors.

use std::process::Command;

use messagekit::adapter::Publisher;
use messagekit::{Consumer, Envelope, HandlerError, Message, OnFailure, Router, Shutdown, headers};
use messagekit_memory::{MemoryStore, MemoryTx};
use messagekit_rabbitmq::{Queue, RabbitMq};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::OrderPlaced;

use crate::broker::{connections, rabbit};

/// Set in the process whose log is read: in the common process other tests provoke errors.
const LIFE: &str = "MESSAGEKIT_TEST_LIFE";

async fn on_placed(tx: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    tx.add("placed", 1);
    Ok(())
}

fn order(id: &str) -> Message {
    Message::new("log.order.placed", format!(r#"{{"order_id":"{id}"}}"#))
        .with_header(headers::ID, id.to_owned())
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
}

/// Starts, runs and stops a service that declares, publishes and consumes.
async fn live(rabbit: &RabbitMq, name: &str, queue: &str, part: u32) {
    let (exchange, dead) = (format!("{queue}.exchange"), format!("{queue}.dead"));
    let topology = rabbit
        .topology()
        .exchange(&exchange)
        .exchange(&dead)
        .queue(Queue::quorum(queue).dead_letter(&dead, queue).max_length(1_000))
        .queue(Queue::dead_letters(&dead))
        .bind(queue, &exchange, "log.#")
        .bind(&dead, &dead, queue);
    topology.declare().await.unwrap();
    topology.verify().await.unwrap();
    let store = MemoryStore::new();
    let consumer = Consumer::builder("log", store.clone()).from(rabbit.queue(queue));
    let consumer = consumer.router(Router::new().on(on_placed)).on_failure(OnFailure::DeadLetter);
    let shutdown = Shutdown::new();
    let running = tokio::spawn(consumer.build().unwrap().run(shutdown.clone()));
    let publisher = rabbit.publisher_to(&exchange);
    let orders: Vec<Message> = (0..50).map(|number| order(&format!("o-{part}-{number}"))).collect();
    for published in publisher.publish(&orders).await {
        published.unwrap();
    }
    eventually("the orders are applied", DEADLINE, async || store.get("placed") == 50).await;
    shutdown.request();
    running.await.unwrap().unwrap();
    drop(publisher);
    eventually("no connection is left", DEADLINE, async || {
        connections(&format!("{name} publisher")).await.is_empty()
    })
    .await;
}

#[test]
fn a_healthy_start_run_and_stop_logs_no_warning_and_no_error() {
    if std::env::var_os(LIFE).is_some() {
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false);
        log.with_writer(std::io::stderr).init();
        tracing::error!("this log is read");
        let (name, queue) = (unique("log"), unique("queue"));
        block_on(async {
            for part in 0..3 {
                // The state that a process keeps about its queues does not outlive it.
                live(&rabbit().name(name.as_str()), &name, &queue, part).await;
            }
        });
        return;
    }
    let mut life = Command::new(std::env::current_exe().unwrap());
    let test = "log::a_healthy_start_run_and_stop_logs_no_warning_and_no_error";
    let ended = life.args(["--exact", test, "--nocapture"]).env(LIFE, "1").output().unwrap();
    let log = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{log}");
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains(" ERROR ") || line.contains(" WARN ")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("this log is read"), "{log}");
}
