//! What a cell writes to, and the check afterwards.

use messagekit_benches::Outcome;
use messagekit_postgres::{PostgresStore, migrations};
use sqlx::{AssertSqlSafe, PgPool};

pub(crate) const ORDER: &str = "INSERT INTO orders (number, account) VALUES ($1, $2)";
pub(crate) const EFFECT: &str = "INSERT INTO effects (event_id, account) VALUES ($1, $2)";

const CREATE: &str = "
    CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number bigint NOT NULL, account text NOT NULL);
    CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id text NOT NULL, account text NOT NULL)";

const CLEAR: &str = "TRUNCATE orders, effects, messagekit.outbox_events, messagekit.processed_messages, messagekit.consumer_offsets";

/// The tables of messagekit beside those of a service.
pub(crate) struct Tables {
    pub(crate) store: PostgresStore,
}

impl Tables {
    pub(crate) async fn create(url: &str) -> Outcome<Self> {
        migrations::migrate(url).await?;
        let store = PostgresStore::connect(url).await?;
        sqlx::raw_sql(CREATE).execute(store.pool()).await?;
        Ok(Self { store })
    }

    /// Says what the server promises with a commit, which decides what one costs.
    pub(crate) async fn settings(&self) -> Outcome<String> {
        let shown = "SELECT format('PostgreSQL %s, fsync=%s, synchronous_commit=%s', current_setting('server_version_num')::int / 10000, current_setting('fsync'), current_setting('synchronous_commit'))";
        Ok(sqlx::query_scalar(shown).fetch_one(self.pool()).await?)
    }

    /// Returns the pool of the store: by hand and through the store the same connections are used.
    pub(crate) fn pool(&self) -> &PgPool {
        self.store.pool()
    }

    /// Empties everything that a cell writes to.
    pub(crate) async fn clear(&self) -> Outcome<()> {
        sqlx::raw_sql(CLEAR).execute(self.pool()).await?;
        Ok(())
    }

    /// Fails when a table does not hold `wanted` rows with as many different values.
    pub(crate) async fn check(&self, table: &str, value: &str, wanted: usize) -> Outcome<()> {
        let sql = AssertSqlSafe(format!("SELECT count(*), count(DISTINCT {value}) FROM {table}"));
        let (rows, different): (i64, i64) = sqlx::query_as(sql).fetch_one(self.pool()).await?;
        let wanted = i64::try_from(wanted)?;
        if (rows, different) == (wanted, wanted) {
            return Ok(());
        }
        Err(format!("void: {table} holds {rows} rows and {different} different ones instead of {wanted}")
            .into())
    }
}
