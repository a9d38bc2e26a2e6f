//! Billing while the database or the broker is away: it waits, uses up no attempt, loses nothing and continues by itself.

use std::ops::Range;
use std::time::{Duration, Instant};

use messagekit::MessageId;
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::services::Service;
use sqlx::PgConnection;

use crate::billing::Billing;
use crate::down::Down;
use crate::gate::Gate;
use crate::names::ORDER_PARTITIONS;
use crate::records::{Record, send};
use crate::turn;

/// Returns how long a service is away: five minutes, or several times the duration of a message's first attempts.
pub(crate) fn outage() -> Duration {
    Duration::from_secs(if messagekit_tests::is_full() { 300 } else { 4 })
}

/// The time limit for progress after the service is back. The test prints the usual seconds; the rest is for slow machines.
pub(crate) const SOON: Duration = DEADLINE;
/// The number of orders before the outage, and again after it.
const ORDERS_EACH: usize = 1_000;

pub(crate) fn orders(numbers: Range<usize>) -> impl Iterator<Item = (i32, Record)> {
    numbers.map(|number| {
        let (order, customer) = (format!("o-{number:04}"), format!("c-{}", number % 40));
        // All orders of a customer in one partition, as their key would have it.
        let partition = (number % 40) as i32 % ORDER_PARTITIONS;
        (partition, Record::of_debezium(&MessageId::new(), &order, &customer, number as i64))
    })
}

/// Returns billing in the middle of the first half of the orders: it has billed some, and others wait at the gate.
async fn busy_billing() -> (Billing, Gate) {
    let billing = Billing::open().await;
    send(&billing.names, orders(0..ORDERS_EACH / 2)).await;
    billing.until_bills(1).await;
    let mut gate = Gate::close(&billing.database, "bills").await;
    send(&billing.names, orders(ORDERS_EACH / 2..ORDERS_EACH)).await;
    gate.until_somebody_waits().await;
    (billing, gate)
}

/// Requires that every order is billed once, in its customer's order, by the same processes, without a lost attempt.
async fn everything_is_billed(mut billing: Billing) {
    billing.until_read().await;
    billing.are_alive();
    let mut database = billing.database.connection().await;
    let bills: Vec<(String, String)> =
        sqlx::query_as("SELECT customer, order_id FROM bills ORDER BY customer, id")
            .fetch_all(&mut database)
            .await
            .unwrap();
    let mut expected = bills.clone();
    expected.sort_unstable();
    assert_eq!(bills, expected, "a customer's bills are out of order");
    expected.dedup();
    assert_eq!((bills.len(), expected.len()), (2 * ORDERS_EACH, 2 * ORDERS_EACH), "lost or billed twice");
    let failed_messages: i64 = sqlx::query_scalar("SELECT count(*) FROM messagekit.failed_messages")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(failed_messages, 0, "an outage is nobody's fault: no attempt is burnt, nothing is set aside");
    no_death_is_counted(&mut database).await;
}

/// Requires that no crash is counted: a message that waits for a service has not crashed its process.
pub(crate) async fn no_death_is_counted(database: &mut PgConnection) {
    let deaths = "SELECT count(*) FROM messagekit.in_flight_attempts";
    let notes: i64 = sqlx::query_scalar(deaths).fetch_one(database).await.unwrap();
    assert_eq!(notes, 0, "deaths that nobody died");
}

/// Waits for the next bill.
async fn goes_on(billing: &Billing, before: usize) {
    let back = Instant::now();
    eventually("billing goes on", SOON, async || billing.bills().await > Some(before)).await;
    println!("away for {:?}: the next bill {:?} after it was back", outage(), back.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn billing_waits_for_its_database_and_goes_on_by_itself() {
    let _turn = turn::alone();
    // The gate opens when the server is killed.
    let (mut billing, _gate) = busy_billing().await;
    let before = billing.bills().await.unwrap();
    let down = Down::kill(Service::Postgres);
    send(&billing.names, orders(ORDERS_EACH..2 * ORDERS_EACH)).await;
    // The time that it is away is the subject of the test.
    tokio::time::sleep(outage()).await;
    billing.are_alive();
    down.start();
    goes_on(&billing, before).await;
    everything_is_billed(billing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn billing_waits_for_the_broker_and_goes_on_by_itself() {
    let _turn = turn::alone();
    let (mut billing, gate) = busy_billing().await;
    let down = Down::kill(Service::Kafka);
    drop(gate);
    tokio::time::sleep(outage()).await;
    billing.are_alive();
    // It has billed its orders in flight.
    let before = billing.bills().await.unwrap();
    assert!(before < 2 * ORDERS_EACH);
    down.start();
    send(&billing.names, orders(ORDERS_EACH..2 * ORDERS_EACH)).await;
    goes_on(&billing, before).await;
    everything_is_billed(billing).await;
}
