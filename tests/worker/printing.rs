//! Printing: the consumer of billing's events.

use messagekit::{Consumer, Envelope, Error, Event, HandlerError, Shutdown};
use messagekit_sqlite::{SqliteStore, SqliteTx};

use crate::events::BillIssued;

/// Prints bills until shutdown.
pub(crate) async fn run(store: &SqliteStore, shutdown: Shutdown) -> Result<(), Error> {
    Consumer::builder("printing", store.clone())
        .from(store.topics([BillIssued::TOPIC]))
        .on(print)
        .build()?
        .run(shutdown)
        .await
}

async fn print(tx: &mut SqliteTx, bill: Envelope<BillIssued>) -> Result<(), HandlerError> {
    let (number, pence) = (bill.data.number.cast_signed(), bill.data.pence);
    tx.call(move |c| c.execute("INSERT INTO printed VALUES (?1, ?2)", (number, pence))).await?;
    Ok(())
}
