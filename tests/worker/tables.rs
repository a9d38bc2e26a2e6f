//! The shop's own tables, beside the engine's.

use messagekit::{Error, Store};
use messagekit_sqlite::SqliteStore;

/// Bills have no constraint that could hide a second run: a bill that is issued twice has two rows.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS orders (number INTEGER NOT NULL, event_id TEXT NOT NULL, pence INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS bills (
      id INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL, customer TEXT, pence INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS totals (customer TEXT PRIMARY KEY, pence INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS jobs (job TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS printed (number INTEGER NOT NULL, pence INTEGER NOT NULL) STRICT;";

/// Creates missing tables. Several processes may do so at once.
pub(crate) async fn create(store: &SqliteStore) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    tx.call(|c| c.execute_batch(TABLES)).await?;
    store.commit(tx).await
}
