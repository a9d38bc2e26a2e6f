//! Opens a store with its options.

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::address::Address;
use crate::transaction::limits::Limits;
use crate::{PostgresOptions, PostgresStore, connect, migrations, read_only};

/// The number of connections for reads with their own limit.
const READERS: u32 = 4;

impl PostgresOptions {
    /// Connects to `postgres://user:password@host:port/database` and checks the tables. Missing parts of the URL come
    /// from the `PG…` variables and the password file, as in `psql`. The parameter `connect_timeout` is the time limit, in seconds, for
    /// opening a connection and for a transaction's wait for one; 10 by default.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub async fn connect(self, url: &str) -> Result<PostgresStore, crate::Error> {
        let address = Address::read(url)?;
        let options = self.with_limits(&address.options, self.statement_timeout);
        let mut connection = connect::connect_within(&options, address.limit).await?;
        migrations::check(&mut connection, &self.schema).await?;
        // The pool opens its own connections on demand.
        drop(connection);
        Ok(self.lazily(&address))
    }

    /// Creates a store that connects at its first use. Parses the URL at once and checks nothing else.
    ///
    /// # Errors
    /// As [`PostgresStore::lazy`].
    pub fn lazy(self, url: &str) -> Result<PostgresStore, crate::Error> {
        Ok(self.lazily(&Address::read(url)?))
    }

    fn lazily(self, address: &Address) -> PostgresStore {
        let pool = |max, limit| {
            let pool = PgPoolOptions::new()
                .max_connections(max)
                .acquire_timeout(address.limit)
                // A ping before each use would cost a round trip; `begin` and `read` replace dead connections instead.
                .test_before_acquire(false);
            read_only::closing(pool).connect_lazy_with(self.with_limits(&address.options, limit))
        };
        let reads = self.read_timeout.map(|limit| pool(READERS, limit.min(self.statement_timeout)));
        let pool = pool(self.max_connections, self.statement_timeout);
        let limits = Limits { statement: self.statement_timeout, idle: self.idle_in_transaction_timeout };
        PostgresStore::new(pool, reads, self.schema, Some(limits))
    }

    /// Uses an existing pool unchanged: of these options only the schema applies. Checks the tables.
    ///
    /// Give its connections limits like those of these options. Without a `statement_timeout`, a call waits for the
    /// server without limit. After a failover it keeps sessions that only read until their `max_lifetime` ends.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub async fn pool(self, pool: PgPool) -> Result<PostgresStore, crate::Error> {
        let mut connection = pool.acquire().await?;
        migrations::check(&mut connection, &self.schema).await?;
        drop(connection);
        Ok(PostgresStore::new(pool, None, self.schema, None))
    }
}
