//! The service's own table, beside those of messagekit.

use messagekit::Store;
use messagekit_postgres::{Error, PostgresStore};

/// No constraint prevents a second shipment of an order, on purpose: if the processed marker ever failed, it must be visible.
/// `IF NOT EXISTS` alone does not protect against another process that creates the table at the same moment: the lock does.
const TABLES: &str = "
    SELECT pg_advisory_xact_lock(hashtext('tables of the shipping service'));
    CREATE TABLE IF NOT EXISTS public.shipments (
      id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      order_id text NOT NULL,
      customer text
    )";

/// Creates missing tables. Several processes may do so at once.
pub(crate) async fn create(store: &PostgresStore) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    sqlx::raw_sql(TABLES).execute(&mut *tx).await?;
    Ok(store.commit(tx).await?)
}
