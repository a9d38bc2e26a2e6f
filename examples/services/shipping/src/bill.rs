//! The event that the service reads, and its handler.

use messagekit::{Envelope, Event, HandlerError};
use messagekit_postgres::PgTx;
use serde::{Deserialize, Serialize};

/// A bill was issued.
///
/// This is a copy of the billing service's type. Services are built and deployed separately, and share only the wire format.
/// Shipping does not need the amount, so the copy omits it.
#[derive(Event, Serialize, Deserialize)]
#[event(type = "billing.bill.issued", key = "customer")]
pub(crate) struct BillIssued {
    order_id: String,
    customer: Option<String>,
}

/// Writes the shipment, in the transaction of the processed marker.
pub(crate) async fn ship(tx: &mut PgTx, bill: Envelope<BillIssued>) -> Result<(), HandlerError> {
    let BillIssued { order_id, customer } = &bill.data;
    sqlx::query("INSERT INTO shipments (order_id, customer) VALUES ($1, $2)")
        .bind(order_id)
        .bind(customer)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
