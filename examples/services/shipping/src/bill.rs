//! What the service reads, and what happens to it.

use messagekit::{Envelope, Event, HandlerError};
use messagekit_postgres::PgTx;
use serde::{Deserialize, Serialize};

/// A bill was issued.
///
/// A copy and not the billing service's own type: services are built and deployed apart, and share what is on the wire,
/// nothing else. The amount does not matter to whoever ships, so it is not here.
#[derive(Event, Serialize, Deserialize)]
#[event(type = "billing.bill.issued", key = "customer")]
pub(crate) struct BillIssued {
    order_id: String,
    customer: Option<String>,
}

/// Writes the shipment, in the transaction of the mark.
pub(crate) async fn ship(tx: &mut PgTx, bill: Envelope<BillIssued>) -> Result<(), HandlerError> {
    let BillIssued { order_id, customer } = &bill.data;
    sqlx::query("INSERT INTO shipments (order_id, customer) VALUES ($1, $2)")
        .bind(order_id)
        .bind(customer)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
