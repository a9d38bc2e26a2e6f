//! The order service: a row and an event in one transaction, or neither.
//!
//! It prints `begin NUMBER EVENT-ID PENCE KIND COPIES` before it ends a transaction, and then `committed NUMBER` or
//! `rolled-back NUMBER`. An order whose last line is `begin` was in flight: it is stored completely or not at all. The
//! transaction of an order without a line was never ended. Some events are written twice, as a careless publisher would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use messagekit::{Envelope, Error, ErrorKind, Event, Outbox, Shutdown, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use tokio::task::JoinSet;

use crate::arguments::Plan;
use crate::events::{OrderPlaced, OrderShaky, OrderSpoiled};
use crate::say::say;

const TASKS: u64 = 8;
const CUSTOMERS: u64 = 16;
/// The largest number of orders that wait for billing: the backlog at the end of a test must not depend on the speed of the disk.
const AHEAD: i64 = 2_000;
/// The number of orders that a task places between two checks of the backlog.
const BETWEEN_LOOKS: u64 = 20;

struct Service {
    store: SqliteStore,
    outbox: Outbox<SqliteStore>,
    plan: Plan,
    next: AtomicU64,
    given_up: AtomicU64,
}

/// Places the planned orders, or fewer after a shutdown.
pub(crate) async fn run(store: &SqliteStore, plan: Plan, shutdown: &Shutdown) -> Result<(), Error> {
    let outbox = Outbox::new(store.clone(), "order-service").expect("a plain name");
    let (next, given_up) = (AtomicU64::new(plan.from), AtomicU64::new(0));
    let service = Arc::new(Service { store: store.clone(), outbox, plan, next, given_up });
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (service, shutdown) = (service.clone(), shutdown.clone());
        tasks.spawn(async move { service.work(&shutdown).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("placing an order does not panic")?;
    }
    Ok(())
}

impl Service {
    async fn work(&self, shutdown: &Shutdown) -> Result<(), Error> {
        for placed in 0.. {
            if placed % BETWEEN_LOOKS == 0 {
                self.until_billing_follows(shutdown).await?;
            }
            if shutdown.is_requested() {
                break;
            }
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.plan.from + self.plan.count {
                break;
            }
            let customer =
                (!number.is_multiple_of(9)).then(|| format!("c-{}", self.choice(number, 1) % CUSTOMERS));
            let pence = pence(number);
            if number.is_multiple_of(17) {
                self.place(number, pence, OrderSpoiled { number, customer, pence }).await?;
            } else if number.is_multiple_of(23) {
                self.place(number, pence, OrderShaky { number, customer, pence }).await?;
            } else {
                self.place(number, pence, OrderPlaced { number, customer, pence }).await?;
            }
        }
        Ok(())
    }

    /// Waits while billing is far behind.
    async fn until_billing_follows(&self, shutdown: &Shutdown) -> Result<(), Error> {
        let behind = "SELECT coalesce(sum(p.next_offset - coalesce(c.next, 0)), 0)
            FROM messagekit_topic_partitions p JOIN messagekit_topics t ON t.id = p.topic_id AND t.name = 'orders.order'
            LEFT JOIN messagekit_consumer_cursors c ON c.tp_id = p.id
              AND c.consumer_id = (SELECT id FROM messagekit_consumers WHERE name = 'billing')";
        while !shutdown.is_requested()
            && self.store.read(|c| c.query_row(behind, (), |row| row.get::<_, i64>(0))).await? > AHEAD
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn place<E: Event + Clone>(&self, number: u64, pence: i64, order: E) -> Result<(), Error> {
        let order = Envelope::new(order);
        let kind = E::TYPE.rsplit('.').next().unwrap_or_default();
        let copies = if number.is_multiple_of(29) { 2 } else { 1 };
        let begin = format!("begin {number} {} {pence} {kind} {copies}", order.event_id);
        let mut tx = self.store.begin().await?;
        let id = order.event_id.to_string();
        tx.call(move |c| {
            c.execute("INSERT INTO orders VALUES (?1, ?2, ?3)", (number.cast_signed(), id, pence))
        })
        .await?;
        if self.choice(number, 2).is_multiple_of(10) {
            return self.give_up(tx, number, &begin, order).await;
        }
        for _ in 0..copies {
            self.outbox.add(&mut tx, order.clone()).await?;
        }
        say(&begin);
        match self.outbox.commit(tx).await {
            Ok(()) => say(&format!("committed {number}")),
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {}
            Err(error) => say(&format!("rolled-back {number} {}", error.kind())),
        }
        Ok(())
    }

    /// Rolls a transaction back in one of the usual ways, in turn.
    async fn give_up<E: Event + Clone>(
        &self,
        mut tx: SqliteTx,
        number: u64,
        begin: &str,
        order: Envelope<E>,
    ) -> Result<(), Error> {
        match self.given_up.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => {
                self.outbox.add(&mut tx, order).await?;
                say(begin);
                self.store.rollback(tx).await?;
            }
            1 => {
                self.outbox.add(&mut tx, order).await?;
                say(begin);
                drop(tx);
            }
            // An error between the row and the event: `?` drops the transaction.
            _ => {
                say(begin);
                drop(tx);
            }
        }
        say(&format!("rolled-back {number}"));
        Ok(())
    }

    /// Returns a number that depends only on the seed, the order and the question.
    fn choice(&self, number: u64, question: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014): neighbours of a counter become independent.
        let mut z = self.plan.seed ^ (number << 8 | question).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Returns a different amount for each order: two swapped bills cannot cancel out in a sum.
fn pence(number: u64) -> i64 {
    100 + (number * 7_919 % 99_991).cast_signed()
}
