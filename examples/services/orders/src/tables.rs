//! The service's own table, beside those of messagekit.

use messagekit::Store;
use messagekit_postgres::{Error, PostgresStore};

/// `IF NOT EXISTS` alone does not protect against another process that creates the table at the same moment: the lock does.
const TABLES: &str = "
    SELECT pg_advisory_xact_lock(hashtext('tables of the order service'));
    CREATE TABLE IF NOT EXISTS public.orders (
      order_id  text PRIMARY KEY,
      customer  text,
      country   text NOT NULL,
      pence     bigint NOT NULL,
      placed_at timestamptz NOT NULL DEFAULT now()
    )";

/// Creates missing tables. Several processes may do so at once.
pub(crate) async fn create(store: &PostgresStore) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    sqlx::raw_sql(TABLES).execute(&mut *tx).await?;
    Ok(store.commit(tx).await?)
}
