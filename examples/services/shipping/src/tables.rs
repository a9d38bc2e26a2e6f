//! The service's own table, beside those of messagekit.

use messagekit::Store;
use messagekit_postgres::{Error, PostgresStore};

/// No constraint keeps a second shipment of an order out, on purpose: if the mark ever failed, it must be there to see.
/// `IF NOT EXISTS` alone is no protection against a second process that creates at the same moment: the lock is.
const TABLES: &str = "
    SELECT pg_advisory_xact_lock(hashtext('tables of the shipping service'));
    CREATE TABLE IF NOT EXISTS public.shipments (
      id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      order_id text NOT NULL,
      customer text
    )";

/// Makes what is not there yet; several processes may do so at once.
pub(crate) async fn create(store: &PostgresStore) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    sqlx::raw_sql(TABLES).execute(&mut *tx).await?;
    Ok(store.commit(tx).await?)
}
