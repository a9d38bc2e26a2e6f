//! Placing an order: writes its row and its event, or neither.

use messagekit::{MessageId, Outbox, Store};
use messagekit_postgres::{Error, PgTx, PostgresStore};
use prometheus::IntCounterVec;

use crate::event::OrderPlaced;
use crate::order::Order;

/// The orders in the database.
pub(crate) struct Orders {
    outbox: Outbox<PostgresStore>,
    limit_pence: Option<i64>,
    outcomes: IntCounterVec,
}

/// The outcome of placing an order.
pub(crate) enum Placed {
    /// Row and event are committed.
    Now(MessageId),
    /// The order existed before.
    Before,
    /// It is above the limit.
    OverLimit,
}

impl Placed {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Now(_) => "placed",
            Self::Before => "placed_before",
            Self::OverLimit => "over_limit",
        }
    }
}

impl Orders {
    pub(crate) fn new(
        outbox: Outbox<PostgresStore>,
        limit_pence: Option<i64>,
        outcomes: IntCounterVec,
    ) -> Self {
        Self { outbox, limit_pence, outcomes }
    }

    /// Places an order. Every outcome but [`Placed::Now`] writes nothing.
    ///
    /// # Errors
    /// `OutcomeUnknown`: the order may be placed. Repeat it: the answer is [`Placed::Before`] if it was.
    pub(crate) async fn place(&self, order: Order) -> Result<Placed, Error> {
        let mut tx = self.outbox.store().begin().await?;
        let placed = self.write(&mut tx, order).await?;
        match placed {
            Placed::Now(_) => self.outbox.commit(tx).await?,
            Placed::Before | Placed::OverLimit => self.outbox.store().rollback(tx).await?,
        }
        self.outcomes.with_label_values(&[placed.as_str()]).inc();
        Ok(placed)
    }

    async fn write(&self, tx: &mut PgTx, order: Order) -> Result<Placed, Error> {
        let Order { order_id, customer, country, pence } = order;
        // Waits for another process that is placing the same order. When that process was first, the transaction stays usable.
        let inserted = sqlx::query(
            "INSERT INTO orders (order_id, customer, country, pence) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(&order_id)
        .bind(&customer)
        .bind(&country)
        .bind(pence)
        .execute(&mut **tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(Placed::Before);
        }
        let id = self.outbox.add(tx, OrderPlaced { order_id, customer, country, pence }).await?;
        // Check last on purpose, like a service that learns late of a refusal: the earlier writes are rolled back.
        if self.limit_pence.is_some_and(|limit| pence > limit) {
            return Ok(Placed::OverLimit);
        }
        Ok(Placed::Now(id))
    }

    /// Returns an order.
    pub(crate) async fn find(&self, order_id: String) -> Result<Option<Order>, Error> {
        let mut tx = self.outbox.store().begin().await?;
        let row = sqlx::query_as("SELECT customer, country, pence FROM orders WHERE order_id = $1")
            .bind(&order_id)
            .fetch_optional(&mut *tx)
            .await?;
        self.outbox.store().rollback(tx).await?;
        Ok(row.map(|(customer, country, pence)| Order { order_id, customer, country, pence }))
    }
}
