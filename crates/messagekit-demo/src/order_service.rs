//! The order service: an order's row and its event in one transaction.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::{Envelope, Error, ErrorKind, Event, Message, MessageId, Outbox, Shutdown, Store};
use messagekit_sqlite::{SqlitePublisher, SqliteStore};
use tokio::task::JoinSet;

use crate::events::{ShopEvent, dated, foreign};
use crate::ledger::{Entry, Ledger};
use crate::plan::{End, Plan, Planned};

/// The service's name in its events.
pub(crate) const SERVICE: &str = "order-service";

/// The database's name in the folder of a run.
pub(crate) const DATABASE: &str = "shop.db";

/// The number of writing tasks; the same task writes all invoices of one customer.
const WRITERS: usize = 4;
/// How often an order is tried while the file is busy.
const TRIES: u32 = 8;

/// Creates the service's own table. Its `seq` is the order of the commits, because SQLite has one writer.
pub(crate) async fn create_table(store: &SqliteStore) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    tx.call(|c| {
        c.execute_batch(
            "CREATE TABLE orders (
               seq        INTEGER PRIMARY KEY AUTOINCREMENT,
               event_id   TEXT NOT NULL UNIQUE,
               event_type TEXT NOT NULL,
               invoice    TEXT NOT NULL,
               customer   TEXT,
               pence      INTEGER NOT NULL
             ) STRICT",
        )
    })
    .await?;
    store.commit(tx).await
}

/// Writes all planned orders, or stops between two orders on request.
pub(crate) async fn run(
    store: &SqliteStore,
    plan: Plan,
    ledger: &Arc<Ledger>,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let mut queues: [Vec<Planned>; WRITERS] = Default::default();
    for (index, planned) in plan.orders.into_iter().enumerate() {
        let queue = planned.invoice.event.key().map_or(index % WRITERS, writer_of);
        queues[queue].push(planned);
    }
    let mut writers = JoinSet::new();
    for queue in queues {
        let writer = Writer {
            store: store.clone(),
            outbox: Outbox::new(store.clone(), SERVICE)?,
            publisher: store.publisher(),
            ledger: Arc::clone(ledger),
            again: VecDeque::new(),
        };
        writers.spawn(writer.run(queue, shutdown.clone()));
    }
    while let Some(ended) = writers.join_next().await {
        ended.map_err(|error| Error::new(ErrorKind::Other, "order service").caused_by(error))??;
    }
    Ok(())
}

fn writer_of(customer: &str) -> usize {
    customer.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % WRITERS
}

struct Writer {
    store: SqliteStore,
    outbox: Outbox<SqliteStore>,
    publisher: SqlitePublisher,
    ledger: Arc<Ledger>,
    /// Duplicates, with the number of the order after which they are sent.
    again: VecDeque<(usize, Message)>,
}

impl Writer {
    async fn run(mut self, queue: Vec<Planned>, shutdown: Shutdown) -> Result<(), Error> {
        for (index, planned) in queue.into_iter().enumerate() {
            if shutdown.is_requested() {
                return Ok(());
            }
            let at = planned.invoice.at;
            match planned.invoice.event.clone() {
                ShopEvent::Placed(event) => self.write(index, &planned, dated(event, at)).await?,
                ShopEvent::Cancelled(event) => self.write(index, &planned, dated(event, at)).await?,
                ShopEvent::Adjusted(event) => self.write(index, &planned, dated(event, at)).await?,
                ShopEvent::Foreign { event_type, key, data } => {
                    self.write(index, &planned, foreign(&event_type, key.as_deref(), data)).await?;
                }
            }
            self.send_again(index).await?;
        }
        self.send_again(usize::MAX).await
    }

    async fn write<E: Event + Clone>(
        &mut self,
        index: usize,
        planned: &Planned,
        event: Envelope<E>,
    ) -> Result<(), Error> {
        let id = event.event_id.clone();
        let mut tries = 1;
        while let Err(error) = self.attempt(planned, &event).await {
            if !error.is_transient() || tries == TRIES {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(5 << tries)).await;
            tries += 1;
            // The commit may have succeeded although its answer was lost.
            if planned.end == End::Commit && self.is_written(&id).await? {
                break;
            }
        }
        match planned.end {
            End::Commit => self.ledger.note(&Entry::Committed(id))?,
            End::RollBack | End::Drop => self.ledger.note(&Entry::RolledBack(id))?,
        }
        if let Some(after) = planned.again_after {
            // The same event in the same envelope: its id, key and bytes equal those of the first record.
            self.again.push_back((index + after, codec::encode(&event, SERVICE)?));
        }
        Ok(())
    }

    /// The essential part: one transaction with the order and its event.
    async fn attempt<E: Event + Clone>(&self, planned: &Planned, event: &Envelope<E>) -> Result<(), Error> {
        let order = &planned.invoice.event;
        let (invoice, pence) = order.row();
        let row = (
            event.event_id.to_string(),
            order.event_type().to_owned(),
            invoice.to_owned(),
            order.key().map(str::to_owned),
            pence,
        );
        let mut tx = self.store.begin().await?;
        tx.call(|c| {
            c.prepare_cached(
                "INSERT INTO orders (event_id, event_type, invoice, customer, pence) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(row)
        })
        .await?;
        self.outbox.add(&mut tx, event.clone()).await?;
        match planned.end {
            End::Commit => self.outbox.commit(tx).await,
            End::RollBack => self.store.rollback(tx).await,
            End::Drop => {
                drop(tx);
                Ok(())
            }
        }
    }

    async fn is_written(&self, id: &MessageId) -> Result<bool, Error> {
        let id = id.to_string();
        let find = "SELECT EXISTS (SELECT 1 FROM orders WHERE event_id = ?1)";
        Ok(self.store.read(move |c| c.query_row(find, [id], |row| row.get(0))).await?)
    }

    /// Sends the duplicates that are due after order number `index`, like a producer that missed its confirmation.
    async fn send_again(&mut self, index: usize) -> Result<(), Error> {
        while let Some(due) = self.again.iter().position(|(after, _)| *after <= index) {
            let Some((_, message)) = self.again.remove(due) else { break };
            let id = message.headers.text(messagekit::headers::ID).map(str::parse::<MessageId>);
            for published in self.publisher.publish(&[message]).await {
                published.map_err(|refused| refused.error)?;
            }
            if let Some(id) = id {
                self.ledger.note(&Entry::Duplicated(id?))?;
            }
        }
        Ok(())
    }
}
