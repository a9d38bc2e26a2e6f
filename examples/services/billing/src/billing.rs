//! Handles placed orders.

use messagekit::{Envelope, Event, HandlerError, Outbox};
use messagekit_postgres::{PgTx, PostgresStore};

use crate::events::{BillIssued, OrderPlaced};

/// The handler and its outbox.
pub(crate) struct Billing {
    outbox: Outbox<PostgresStore>,
}

impl Billing {
    pub(crate) fn new(outbox: Outbox<PostgresStore>) -> Self {
        Self { outbox }
    }

    /// Writes the bill, the customer's total and the event about the bill, in the transaction of the processed marker.
    pub(crate) async fn placed(
        &self,
        tx: &mut PgTx,
        order: Envelope<OrderPlaced>,
    ) -> Result<(), HandlerError> {
        let OrderPlaced { order_id, customer, pence } = &order.data;
        if *pence < 0 {
            // A retry cannot succeed: make it a failed message, for an operator to decide about.
            return Err(HandlerError::permanent(
                "an order of less than nothing is a correction: write a credit note",
            ));
        }
        sqlx::query("INSERT INTO bills (order_id, customer, pence) VALUES ($1, $2, $3)")
            .bind(order_id)
            .bind(customer)
            .bind(pence)
            .execute(&mut **tx)
            .await?;
        sqlx::query(
            "INSERT INTO totals AS t (customer, bills, pence) VALUES (coalesce($1, 'nobody'), 1, $2)
             ON CONFLICT (customer) DO UPDATE SET bills = t.bills + 1, pence = t.pence + excluded.pence",
        )
        .bind(customer)
        .bind(pence)
        .execute(&mut **tx)
        .await?;
        let issued = BillIssued { order_id: order_id.clone(), customer: customer.clone(), pence: *pence };
        self.outbox.add(tx, issued.follow(&order)).await?;
        Ok(())
    }
}
