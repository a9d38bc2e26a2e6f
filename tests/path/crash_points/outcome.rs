//! The outcome of the orders in billing's database and in its group.

use std::collections::BTreeMap;
use std::fmt;

use messagekit_testkit::{DEADLINE, eventually};
use sqlx::PgConnection;

use super::work::{Kind, Order, orders};
use crate::broker;
use crate::names::{Names, ORDER_PARTITIONS};
use crate::verdict::order_of;

/// The outcome of a case.
#[derive(Debug)]
pub(super) struct Outcome {
    billed: usize,
    pence: i64,
    dead: usize,
    resolved: usize,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { billed, pence, dead, resolved } = self;
        write!(
            f,
            "{billed} billed ({pence} pence), {dead} failed messages, {resolved} failed messages resolved"
        )
    }
}

impl Outcome {
    /// Asserts that every order is billed once or is one failed message, and that nothing else exists.
    pub(super) async fn compare(look: &mut PgConnection) -> Self {
        is_consistent(look).await;
        let bills = bills(look).await;
        let mut found = bills.clone();
        let mut expected = orders(&[Kind::Plain, Kind::Refused]);
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "lost, or billed more than once, or not to the penny");
        let plain = orders(&[Kind::Plain]);
        assert_eq!(by_customer(&bills), by_customer(&plain), "a customer's bills are out of order");
        totals_are_the_bills(look, &bills).await;

        let failed_messages = failed_messages(look).await;
        let in_state = |state: &str| {
            let mut orders: Vec<_> = failed_messages
                .iter()
                .filter(|(is, _)| is == state)
                .map(|(_, order)| order.as_str())
                .collect();
            orders.sort_unstable();
            orders
        };
        let (dead, resolved, never) = (in_state("dead"), in_state("resolved"), orders(&[Kind::Dead]));
        assert_eq!(
            dead,
            never.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(),
            "the failed messages are not those that nobody can bill"
        );
        assert_eq!(
            resolved.len() + dead.len(),
            failed_messages.len(),
            "failed messages that are neither dead nor resolved"
        );
        assert!(resolved.iter().all(|order| order.starts_with("refused-")), "{resolved:?}");
        let pence = bills.iter().map(|(.., pence)| pence).sum();
        Self { billed: bills.len(), pence, dead: dead.len(), resolved: resolved.len() }
    }
}

/// Asserts the invariant between any two transactions: bill, event and processed marker exist together, and so do
/// failed message and marker. Returns the number of bills.
pub(super) async fn is_consistent(look: &mut PgConnection) -> i64 {
    let (bills, events, done, open, held): (i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM bills), (SELECT count(*) FROM messagekit.outbox_events),
           (SELECT count(*) FROM messagekit.processed_messages WHERE outcome = 'done'),
           (SELECT count(*) FROM messagekit.failed_messages WHERE state <> 'resolved'),
           (SELECT count(*) FROM messagekit.processed_messages WHERE outcome = 'held')",
    )
    .fetch_one(look)
    .await
    .expect("everything can be counted");
    assert_eq!(
        (bills, bills, open),
        (events, done, held),
        "bills, their events and marks, failed messages and theirs"
    );
    bills
}

async fn bills(look: &mut PgConnection) -> Vec<Order> {
    let bills = sqlx::query_as("SELECT order_id, customer, pence FROM bills ORDER BY id");
    bills.fetch_all(look).await.expect("bills can be read")
}

/// Returns only the plain orders: a failed message may come later, and all others keep their order.
fn by_customer(bills: &[Order]) -> BTreeMap<&str, Vec<&str>> {
    let mut customers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (order, customer, _) in bills.iter().filter(|(order, ..)| order.starts_with("plain-")) {
        customers.entry(customer).or_default().push(order);
    }
    customers
}

async fn totals_are_the_bills(look: &mut PgConnection, bills: &[Order]) {
    let totals: Vec<(String, i64, i64)> =
        sqlx::query_as("SELECT customer, bills, pence FROM totals ORDER BY customer")
            .fetch_all(look)
            .await
            .expect("totals can be read");
    let mut sums: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for (_, customer, pence) in bills {
        let sum = sums.entry(customer).or_default();
        *sum = (sum.0 + 1, sum.1 + pence);
    }
    let sums: Vec<_> =
        sums.into_iter().map(|(customer, (bills, pence))| (customer.to_owned(), bills, pence)).collect();
    assert_eq!(totals, sums, "totals that are not the sum of the customer's bills");
}

/// Returns state and order of each failed message.
async fn failed_messages(look: &mut PgConnection) -> Vec<(String, String)> {
    let failed_messages = sqlx::query_as("SELECT state, payload FROM messagekit.failed_messages");
    let failed_messages: Vec<(String, Vec<u8>)> =
        failed_messages.fetch_all(look).await.expect("failed messages can be read");
    failed_messages.into_iter().map(|(state, payload)| (state, order_of(&payload))).collect()
}

/// Returns how many records are settled in the database and not in the group: the next owner gets them again.
pub(super) async fn delivered_again(look: &mut PgConnection, names: &Names) -> i64 {
    let mut places = None;
    eventually("the group says where it stands", DEADLINE, async || {
        places = broker::committed(&names.billing, (&names.orders, ORDER_PARTITIONS));
        places.is_some()
    })
    .await;
    let places = places.expect("it has just said so");
    let next: Vec<(i32, i64)> = sqlx::query_as(
        "SELECT partition, next FROM messagekit.consumer_offsets WHERE consumer = $1 AND topic = $2",
    )
    .bind(&names.billing)
    .bind(&names.orders)
    .fetch_all(look)
    .await
    .expect("places can be read");
    next.into_iter().map(|(partition, next)| (next - places[partition as usize].unwrap_or(0)).max(0)).sum()
}

/// Returns whether the group has settled every record of the topic.
pub(super) fn is_settled(names: &Names) -> bool {
    let places = broker::committed(&names.billing, (&names.orders, ORDER_PARTITIONS));
    let places: Option<Vec<i64>> = places.and_then(|places| places.into_iter().collect());
    places.is_some() && places == broker::ends(&names.orders)
}
