//! Shipping while its RabbitMQ is away: it waits, uses up no attempt, loses nothing and continues by itself.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::adapter::{Publisher, codec};
use messagekit::{Envelope, Message};
use messagekit_rabbitmq::RabbitMq;
use messagekit_shipping::{EXCHANGE, FAILED_MESSAGES, QUEUE};
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::services::Service;
use messagekit_tests::{Database, services};
use serde::{Deserialize, Serialize};

use crate::billing::{PATIENCE, number};
use crate::down::Down;
use crate::gate::Gate;
use crate::outage::{SOON, no_death_is_counted, outage};
use crate::shop::start_shipping;
use crate::{queues, turn};

/// The number of bills before the outage, and again after it.
const BILLS_EACH: usize = 500;
/// More than the prefetch of shipping, to leave some at the broker.
const MORE_THAN_IN_HAND: usize = 400;

/// The age of the queues when their broker is killed. RabbitMQ 3.10 writes the names of new quorum queues to disk a few seconds
/// late: after a kill, a younger one is refused permanently ("could not be restarted", `enoent`).
const WRITTEN_DOWN: Duration = Duration::from_secs(15);

/// The event of billing.
#[derive(messagekit::Event, Serialize, Deserialize)]
#[event(type = "billing.bill.issued", key = "customer")]
struct BillIssued {
    order_id: String,
    customer: String,
}

/// Publishes bills as the bridge does: with their type, to the exchange. It repeats messages that a broker refuses just after its
/// start.
async fn issue(numbers: Range<usize>) {
    let mut bills: Vec<Message> = numbers
        .map(|number| {
            let (order_id, customer) = (format!("o-{number:04}"), format!("c-{}", number % 40));
            let bill = codec::encode(&Envelope::new(BillIssued { order_id, customer }), "billing").unwrap();
            Message { topic: Arc::from("billing.bill.issued"), ..bill }
        })
        .collect();
    let publisher = RabbitMq::new(&services::amqp_url()).unwrap().publisher_to(EXCHANGE);
    eventually("the broker takes the bills", DEADLINE, async || {
        let published = publisher.publish(&bills).await;
        let refused = bills.drain(..).zip(published).filter_map(|(bill, published)| {
            let error = published.err()?.error;
            assert!(error.is_transient(), "{error}");
            Some(bill)
        });
        bills = refused.collect();
        bills.is_empty()
    })
    .await;
}

async fn shipped(database: &Database) -> usize {
    number(database, "SELECT count(*) FROM shipments").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shipping_waits_for_its_queue_and_goes_on_by_itself() {
    let _turn = turn::alone();
    queues::wipe().await;
    let database = Database::fresh().await;
    let mut shipping = start_shipping(&database);
    // It binds its queue before it reads from it: earlier messages would be lost.
    eventually("shipping reads", PATIENCE, async || queues::readers(QUEUE).await == Some(1)).await;
    tokio::time::sleep(WRITTEN_DOWN).await;
    issue(0..BILLS_EACH - MORE_THAN_IN_HAND).await;
    eventually("it ships", DEADLINE, async || shipped(&database).await > 0).await;
    let mut gate = Gate::close(&database, "shipments").await;
    issue(BILLS_EACH - MORE_THAN_IN_HAND..BILLS_EACH).await;
    gate.until_somebody_waits().await;

    let down = Down::kill(Service::RabbitMq);
    // It ships its messages in flight, and cannot acknowledge them.
    let before = shipped(&database).await;
    drop(gate);
    eventually("it ships what it has in hand", DEADLINE, async || shipped(&database).await > before).await;
    // The time that it is away is the subject of the test.
    tokio::time::sleep(outage()).await;
    shipping.is_alive_still();
    let before = shipped(&database).await;
    assert!(before < 2 * BILLS_EACH);
    down.start();
    issue(BILLS_EACH..2 * BILLS_EACH).await;
    let back = Instant::now();
    eventually("shipping goes on", SOON, async || shipped(&database).await > before).await;
    println!("away for {:?}: the next shipment {:?} after it was back", outage(), back.elapsed());
    eventually("every bill is shipped", PATIENCE, async || shipped(&database).await >= 2 * BILLS_EACH).await;
    // The broker does not count messages in flight: a process that stops requeues unfinished ones.
    loop {
        eventually("the queue is empty", PATIENCE, async || queues::waiting(QUEUE).await == Some(0)).await;
        shipping.is_alive_still();
        shipping.stop().await;
        if queues::waiting(QUEUE).await == Some(0) {
            break;
        }
        shipping = start_shipping(&database);
    }
    assert_eq!(queues::waiting(FAILED_MESSAGES).await, Some(0), "the broker has given something up");

    let orders = number(&database, "SELECT count(DISTINCT order_id) FROM shipments").await;
    let failed_messages = number(&database, "SELECT count(*) FROM messagekit.failed_messages").await;
    assert_eq!((shipped(&database).await, orders), (2 * BILLS_EACH, Some(2 * BILLS_EACH)), "lost or twice");
    assert_eq!(
        failed_messages,
        Some(0),
        "an outage is nobody's fault: no attempt is burnt, nothing is set aside"
    );
    no_death_is_counted(&mut database.connection().await).await;
}
