//! Options of a store's connections.

use std::time::Duration;

#[cfg(doc)]
use messagekit::ErrorKind;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::begin::Limits;
use crate::{PostgresStore, SchemaName, connect, migrations};

/// The number of connections for reads with their own limit.
const READERS: u32 = 4;

/// Settings of a [`PostgresStore`].
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `connect` is called"]
pub struct PostgresOptions {
    schema: SchemaName,
    max_connections: u32,
    lock_timeout: Duration,
    idle_in_transaction_timeout: Duration,
    statement_timeout: Duration,
    read_timeout: Option<Duration>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: SchemaName::default(),
            max_connections: 16,
            lock_timeout: Duration::from_secs(30),
            idle_in_transaction_timeout: Duration::from_secs(120),
            statement_timeout: Duration::from_secs(120),
            read_timeout: None,
        }
    }
}

impl PostgresOptions {
    /// Sets the schema that holds the tables; `messagekit` by default.
    pub fn schema(mut self, schema: SchemaName) -> Self {
        self.schema = schema;
        self
    }

    /// Sets how many connections the pool may open; 16 by default. A consumer uses one per lane and one for its retries.
    pub fn max_connections(mut self, max: u32) -> Self {
        self.max_connections = max;
        self
    }

    /// Sets how long a statement waits for a lock before it fails with [`ErrorKind::Conflict`]; 30 s by default. A claim
    /// waits for a concurrent transaction that handles the same message.
    pub fn lock_timeout(mut self, limit: Duration) -> Self {
        self.lock_timeout = limit;
        self
    }

    /// Sets how long a transaction may be idle between two statements before the server ends it; 2 minutes by default.
    ///
    /// Keep it above the deadline of handlers. It releases the locks of a frozen or disconnected process.
    pub fn idle_in_transaction_timeout(mut self, limit: Duration) -> Self {
        self.idle_in_transaction_timeout = limit;
        self
    }

    /// Sets how long one statement may run before the server ends it; 2 minutes by default.
    ///
    /// Keep it a little above the deadline of handlers: a handler whose deadline passes during a statement is rolled back
    /// only when that statement ends. The store treats a server as lost when it has not answered 10 s after this limit.
    pub fn statement_timeout(mut self, limit: Duration) -> Self {
        self.statement_timeout = limit;
        self
    }

    /// Sets a shorter limit for operators' reads: lists, totals, groups, counts and the lag of the outbox. The default is
    /// the limit of the other statements, and 10 minutes for the count of a replay.
    ///
    /// These reads then use up to 4 separate connections. A server that waits for a lock or counts for long delays no
    /// other work. A read whose caller has dropped it ends at the limit.
    pub fn read_timeout(mut self, limit: Duration) -> Self {
        self.read_timeout = Some(limit);
        self
    }

    /// Connects to `postgres://user:password@host:port/database` and checks the tables. Missing parts of the URL come
    /// from the `PG…` variables and the password file, as in `psql`.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub async fn connect(self, url: &str) -> Result<PostgresStore, crate::Error> {
        let options = connect::parse(url)?;
        let mut connection = connect::connect(&self.with_limits(&options, self.statement_timeout)).await?;
        migrations::check(&mut connection, &self.schema).await?;
        // The pool opens its own connections on demand.
        drop(connection);
        Ok(self.lazily(&options))
    }

    /// Creates a store that connects at its first use. Parses the URL at once and checks nothing else.
    ///
    /// # Errors
    /// As [`PostgresStore::lazy`].
    pub fn lazy(self, url: &str) -> Result<PostgresStore, crate::Error> {
        Ok(self.lazily(&connect::parse(url)?))
    }

    fn lazily(self, options: &PgConnectOptions) -> PostgresStore {
        let pool = |max, limit| {
            PgPoolOptions::new()
                .max_connections(max)
                .acquire_timeout(connect::LIMIT)
                // A ping before each use would cost a round trip; `begin` and `read` replace dead connections instead.
                .test_before_acquire(false)
                .connect_lazy_with(self.with_limits(options, limit))
        };
        let reads = self.read_timeout.map(|limit| pool(READERS, limit.min(self.statement_timeout)));
        let pool = pool(self.max_connections, self.statement_timeout);
        let limits = Limits { statement: self.statement_timeout, idle: self.idle_in_transaction_timeout };
        PostgresStore::new(pool, reads, self.schema, Some(limits))
    }

    /// Uses an existing pool unchanged: of these options only the schema applies. Checks the tables.
    ///
    /// Give its connections limits like those of these options. Without a `statement_timeout`, a call waits for the
    /// server without limit.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub async fn pool(self, pool: PgPool) -> Result<PostgresStore, crate::Error> {
        let mut connection = pool.acquire().await?;
        migrations::check(&mut connection, &self.schema).await?;
        drop(connection);
        Ok(PostgresStore::new(pool, None, self.schema, None))
    }

    /// Sent as startup parameters, so that the limits cost no round trip later.
    fn with_limits(&self, options: &PgConnectOptions, statement_timeout: Duration) -> PgConnectOptions {
        let limits = [
            ("lock_timeout", self.lock_timeout),
            ("idle_in_transaction_session_timeout", self.idle_in_transaction_timeout),
            ("statement_timeout", statement_timeout),
        ];
        let options = options.clone().options(limits.map(|(name, limit)| (name, millis(limit))));
        match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("messagekit"),
        }
    }
}

/// 0 would turn a limit off; the server's integers have 31 bits.
pub(crate) fn millis(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}
