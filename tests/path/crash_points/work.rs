//! The orders that billing receives.

use messagekit::MessageId;
use messagekit_testkit::{DEADLINE, eventually};
use sqlx::PgConnection;

use crate::names::ORDER_PARTITIONS;
use crate::records::Record;

/// The number of orders, and of their customers.
const SENT: usize = 240;
const CUSTOMERS: usize = 24;

/// The outcome of an order in billing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// The database refuses its bill at first.
    Refused,
    /// Its amount is negative: it can never be billed.
    Dead,
}

/// An order: its id, its customer and its pence.
pub(super) type Order = (String, String, i64);

/// Returns the orders of these kinds in the order in which they were placed.
pub(super) fn orders(kinds: &[Kind]) -> Vec<Order> {
    (1..=SENT).filter(|number| kinds.contains(&kind(*number))).map(order).collect()
}

/// Returns the orders as records, each customer's in one partition. Some come twice, as from a publisher that has lost an answer.
pub(super) fn records() -> impl Iterator<Item = (i32, Record)> {
    (1..=SENT).flat_map(|number| {
        let (order, customer, pence) = order(number);
        let record = Record::of_debezium(&MessageId::new(), &order, &customer, pence);
        let partition = (number % CUSTOMERS) as i32 % ORDER_PARTITIONS;
        std::iter::repeat_n((partition, record), if number.is_multiple_of(29) { 2 } else { 1 })
    })
}

fn kind(number: usize) -> Kind {
    match number {
        _ if number.is_multiple_of(17) => Kind::Dead,
        _ if number.is_multiple_of(23) => Kind::Refused,
        _ => Kind::Plain,
    }
}

fn order(number: usize) -> Order {
    let (prefix, sign) = match kind(number) {
        Kind::Plain => ("plain", 1),
        Kind::Refused => ("refused", 1),
        Kind::Dead => ("dead", -1),
    };
    (format!("{prefix}-{number:03}"), format!("c-{:02}", number % CUSTOMERS), sign * (100 + number as i64))
}

/// A trigger in billing's database that refuses some bills, as a wrong rule would.
pub(super) struct Rule {
    stands: bool,
}

impl Rule {
    /// Creates it as soon as the table of bills exists.
    pub(super) async fn make(look: &mut PgConnection) -> Self {
        eventually("billing has made its tables", DEADLINE, async || {
            let made = sqlx::query_scalar("SELECT to_regclass('bills') IS NOT NULL").fetch_one(&mut *look);
            made.await.expect("the database answers")
        })
        .await;
        let sql = "ALTER TABLE bills ADD CONSTRAINT not_yet CHECK (order_id NOT LIKE 'refused-%')";
        sqlx::query(sql).execute(look).await.expect("the table takes a rule");
        Self { stands: true }
    }

    /// Drops it once every order that it refuses waits for another run: enough of them for each point of a retry.
    pub(super) async fn drop_when_all_wait(&mut self, look: &mut PgConnection) {
        let sql = "SELECT count(*) FROM messagekit.failed_messages WHERE state = 'retry_scheduled'";
        let waiting: i64 = sqlx::query_scalar(sql).fetch_one(&mut *look).await.expect("the database answers");
        if waiting as usize == orders(&[Kind::Refused]).len() {
            self.drop(look).await;
        }
    }

    /// Drops it.
    pub(super) async fn drop(&mut self, look: &mut PgConnection) {
        if std::mem::take(&mut self.stands) {
            let sql = "ALTER TABLE bills DROP CONSTRAINT not_yet";
            sqlx::query(sql).execute(look).await.expect("the rule can be dropped");
        }
    }
}
