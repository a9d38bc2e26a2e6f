//! Options of a store's connections.

use std::time::Duration;

#[cfg(doc)]
use messagekit::ErrorKind;
use sqlx::postgres::PgConnectOptions;

use crate::SchemaName;
use crate::transaction::limits::millis;

/// Settings of a [`PostgresStore`](crate::PostgresStore).
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `connect` is called"]
pub struct PostgresOptions {
    pub(crate) schema: SchemaName,
    pub(crate) max_connections: u32,
    pub(crate) lock_timeout: Duration,
    pub(crate) idle_in_transaction_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) read_timeout: Option<Duration>,
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

    /// Sets how many connections the pool may open; 16 by default. A consumer uses one per lane and one for its retries. Health
    /// uses one beside the pool.
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

    /// Sets a shorter limit for operators' reads: lists, totals, groups and counts. The default is the limit of the other
    /// statements, and 10 minutes for the count of a replay. Health has limits and a connection of its own.
    ///
    /// These reads then use up to 4 separate connections. A server that waits for a lock or counts for long delays no
    /// other work. A read whose caller has dropped it ends at the limit.
    pub fn read_timeout(mut self, limit: Duration) -> Self {
        self.read_timeout = Some(limit);
        self
    }

    /// Sent as startup parameters, so that the limits cost no round trip later.
    pub(crate) fn with_limits(
        &self,
        options: &PgConnectOptions,
        statement_timeout: Duration,
    ) -> PgConnectOptions {
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
