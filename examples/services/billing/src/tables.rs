//! The service's own tables, beside those of messagekit.

use messagekit::Store;
use messagekit_postgres::{Error, PostgresStore};

/// No constraint prevents a second bill of an order, on purpose: the processed marker must prevent it, and if that ever
/// failed, the second bill must be visible. `IF NOT EXISTS` alone does not protect against another process that creates the
/// tables at the same moment: the lock does.
const TABLES: &str = "
    SELECT pg_advisory_xact_lock(hashtext('tables of the billing service'));
    CREATE TABLE IF NOT EXISTS public.bills (
      id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      order_id  text NOT NULL,
      customer  text,
      pence     bigint NOT NULL,
      billed_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE IF NOT EXISTS public.totals (
      customer text PRIMARY KEY,
      bills    bigint NOT NULL,
      pence    bigint NOT NULL
    )";

/// Creates missing tables. Several processes may do so at once.
pub(crate) async fn create(store: &PostgresStore) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    sqlx::raw_sql(TABLES).execute(&mut *tx).await?;
    Ok(store.commit(tx).await?)
}
