//! The database as a store.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Wake, in_transaction};
use messagekit::{Error, ErrorKind, HandlerError, ParkingLimits, Store};
use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgPool, Postgres, Transaction};

use crate::error::{classify, from_sqlx};
use crate::membership::Membership;
use crate::parking_quota::{ParkingQuota, Uncounted};
use crate::relay_connections::RelayConnections;
use crate::stable_position::StablePosition;
use crate::tables::outbox_counts::SETTINGS;
use crate::topic_sessions::TopicSessions;
use crate::transaction::limits::Limits;
use crate::transaction::{begin, commit};
use crate::{PgTx, PostgresOptions, SchemaName, connect, health_connection};

/// A PostgreSQL database with the tables of messagekit in their own schema, and yours beside them.
///
/// A clone is another handle of the same pool. `messagekit migrate` creates the tables; this type never does.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
    /// The limits of a transaction, where they are below the general ones.
    limits: Option<Limits>,
}

struct Shared {
    pool: PgPool,
    /// The pool for reads; the same as the main pool where reads have no limit of their own.
    reads: PgPool,
    /// The connection of health, outside of the pool: a probe whose caller has left takes none from the service.
    health: PgPool,
    /// Whether the server ends reads earlier than other statements.
    reads_are_limited: bool,
    schema: SchemaName,
    /// How long an answer may take; unknown for a pool that the caller created.
    patience: Option<Duration>,
    /// The limits of its connections; unknown for such a pool, too.
    limits: Option<Limits>,
    wake: Wake,
    relay_connections: RelayConnections,
    presence: Arc<Membership>,
    decided: StablePosition,
    uncounted: Uncounted,
    topics: TopicSessions,
}

impl PostgresStore {
    /// Connects with default options and checks that the tables exist at this program's version.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a wrong URL, user, password or database name, and for a database that is
    /// not UTF-8; [`ErrorKind::Unavailable`] when the server does not answer within 10 s: retry; [`ErrorKind::Schema`]
    /// when the tables are missing, older or newer than this program.
    ///
    /// # Cancel safety
    /// A dropped call leaves nothing open.
    pub async fn connect(url: &str) -> Result<Self, crate::Error> {
        Self::options().connect(url).await
    }

    /// Creates a store that connects at its first use, for programs that must start while a database is down. Until then
    /// user, password and tables are unchecked. See [`OutboxHealth::ping`](messagekit::operations::OutboxHealth::ping).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a URL that cannot be parsed.
    pub fn lazy(url: &str) -> Result<Self, crate::Error> {
        Self::options().lazy(url)
    }

    /// Returns the default options; change them before connecting.
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    pub(crate) fn new(
        pool: PgPool,
        limited: Option<PgPool>,
        schema: SchemaName,
        limits: Option<Limits>,
    ) -> Self {
        let connecting = pool.options().get_acquire_timeout();
        let patience = limits.map(|limits| limits.statement.saturating_add(connecting));
        let reads_are_limited = limited.is_some();
        let reads = limited.unwrap_or_else(|| pool.clone());
        let health = health_connection::beside(&pool);
        let (wake, relay_connections, decided) =
            (Wake::default(), RelayConnections::default(), StablePosition::default());
        Self {
            shared: Arc::new(Shared {
                pool,
                reads,
                health,
                reads_are_limited,
                schema,
                patience,
                limits,
                wake,
                relay_connections,
                presence: Arc::default(),
                decided,
                uncounted: Uncounted::default(),
                topics: TopicSessions::default(),
            }),
            limits: None,
        }
    }

    /// Runs `work` in a transaction and commits it: rows of your own, and changes of tables. If `work` fails, nothing of it remains.
    /// With events it is [`Outbox::transaction`](messagekit::Outbox::transaction).
    ///
    /// In `work`, `?` takes the errors of the database, of messagekit and your own.
    ///
    /// ```no_run
    /// # async fn make(store: messagekit_postgres::PostgresStore) -> Result<(), messagekit::Error> {
    /// # use messagekit_postgres::sqlx;
    /// store.transaction(async |tx| {
    ///     sqlx::query("CREATE TABLE orders (id TEXT PRIMARY KEY, pence BIGINT)").execute(&mut **tx).await?;
    ///     let pence: i64 = "1250".parse()?;
    ///     sqlx::query("INSERT INTO orders VALUES ('o-1', $1)").bind(pence).execute(&mut **tx).await?;
    ///     Ok(())
    /// }).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of `work`, or that of [`begin`](Store::begin) or [`commit`](Store::commit). An error of your own is found by
    /// [`Error::cause`](messagekit::Error::cause), and one of the database has its kind. What a constructor
    /// of [`HandlerError`](messagekit::HandlerError) says is not kept, but for `unavailable`: [`ErrorKind::Unavailable`].
    ///
    /// # Cancel safety
    /// A drop rolls back what is not committed. A drop during the commit leaves its outcome unknown.
    pub async fn transaction<R, F>(&self, work: F) -> Result<R, messagekit::Error>
    where
        F: AsyncFnOnce(&mut PgTx) -> Result<R, HandlerError>,
    {
        in_transaction(self, work).await
    }

    /// Returns the pool, for queries of your own.
    ///
    /// It does not ping a connection before use, unlike [`Store::begin`]: after a restart of the server, retry a failed
    /// query.
    pub fn pool(&self) -> &PgPool {
        &self.shared.pool
    }

    /// Waits for the connections in use and closes all of them. Other handles fail with [`ErrorKind::Closed`] from then
    /// on.
    pub async fn close(self) {
        self.shared.topics.notices.finish().await;
        self.shared.health.close().await;
        self.shared.reads.close().await;
        self.shared.pool.close().await;
        self.shared.relay_connections.clear();
        self.shared.presence.clear();
        self.shared.topics.clear().await;
    }

    /// Returns whether reads have a limit of their own.
    pub(crate) fn reads_are_limited(&self) -> bool {
        self.shared.reads_are_limited
    }

    pub(crate) fn schema(&self) -> &SchemaName {
        &self.shared.schema
    }

    /// Signals commits of this process to its relays.
    pub(crate) fn news(&self) -> &Wake {
        &self.shared.wake
    }

    pub(crate) fn quota(&self, bounds: ParkingLimits) -> ParkingQuota<'_> {
        ParkingQuota { bounds, uncounted: &self.shared.uncounted }
    }

    pub(crate) fn relay_connections(&self) -> &RelayConnections {
        &self.shared.relay_connections
    }

    /// Returns what this handle and its clones hold in memory for topics.
    pub(crate) fn topics(&self) -> &TopicSessions {
        &self.shared.topics
    }

    pub(crate) fn presence(&self) -> &Arc<Membership> {
        &self.shared.presence
    }

    pub(crate) fn decided(&self) -> &StablePosition {
        &self.shared.decided
    }

    /// Runs `work` within the server's time limit, and otherwise fails with `late`. A server that is cut off never
    /// answers. A waiting client sends nothing, so the network reports no error.
    async fn answered<T>(
        &self,
        late: ErrorKind,
        patience: Option<Duration>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(patience) = patience else { return work.await };
        tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
            let text = format!("database did not answer within {patience:?}: see that it can be reached");
            Err(Error::new(late, text))
        })
    }

    /// Runs statements whose loss costs only time.
    pub(crate) async fn statement<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.answered(ErrorKind::Unavailable, self.shared.patience, work).await
    }

    /// As `statement`, for statements with a limit of their own.
    pub(crate) async fn statement_within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let connecting = self.pool().options().get_acquire_timeout();
        let patience = self.shared.patience.map(|patience| patience.max(limit.saturating_add(connecting)));
        self.answered(ErrorKind::Unavailable, patience, work).await
    }

    /// Runs read-only statements on a live connection. Retries on another connection when one is dead; a ping would cost
    /// a round trip.
    pub(crate) async fn read<T, F>(&self, work: impl Fn(PoolConnection<Postgres>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.statement(connect::on_live(&self.shared.reads, work)).await
    }

    /// Commits work that is repeated when it is lost.
    pub(crate) async fn commit_unhurried(&self, tx: PgTx) -> Result<(), Error> {
        self.answered(ErrorKind::OutcomeUnknown, self.shared.patience, commit::unhurried(tx)).await
    }

    /// Runs a statement that commits by itself, and returns whether it has changed something.
    pub(crate) async fn committing(
        &self,
        work: impl Future<Output = Result<bool, Error>>,
    ) -> Result<bool, Error> {
        let has_changed = self.answered(ErrorKind::OutcomeUnknown, self.shared.patience, work).await?;
        if has_changed {
            self.topics().committed(self.pool(), self.schema()).await;
        }
        Ok(has_changed)
    }

    /// Begins a transaction of health, whose statements end at a limit.
    pub(crate) async fn begin_health(&self, limit: Duration) -> Result<PgTx, Error> {
        let limits = Limits { statement: limit, idle: limit };
        begin::begin(&self.shared.health, Some(limits)).await
    }

    /// As `begin_health`, for counts that read a bounded number of rows.
    pub(crate) async fn begin_counts(&self, limit: Duration) -> Result<PgTx, Error> {
        let mut tx = self.begin_health(limit).await?;
        (&mut *tx).execute(sqlx::raw_sql(SETTINGS)).await.map_err(from_sqlx)?;
        Ok(tx)
    }

    /// Takes a live connection, for a single statement.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, Error> {
        connect::live(self.pool()).await
    }
}

impl Store for PostgresStore {
    type Tx = PgTx;

    /// Begins a transaction at the isolation level READ COMMITTED, whatever the database's default is: the markers
    /// require it.
    async fn begin(&self) -> Result<PgTx, Error> {
        begin::begin(self.pool(), self.limits).await
    }

    /// A process that freezes in a transaction keeps the claims of its messages from the new owner of its lanes. This
    /// limits that time to the deadline of a handler, instead of the minutes of other connections.
    fn limited(&self, limit: Duration) -> Self {
        // Never raise a connection's own limits; those of a caller's pool are unknown.
        let limits = self.shared.limits.map_or(Limits { statement: limit, idle: limit }, |own| Limits {
            statement: limit.min(own.statement),
            idle: limit.min(own.idle),
        });
        Self { limits: Some(limits), ..self.clone() }
    }

    async fn commit(&self, tx: PgTx) -> Result<(), Error> {
        self.answered(ErrorKind::OutcomeUnknown, self.shared.patience, commit::commit(tx)).await?;
        self.topics().committed(self.pool(), self.schema()).await;
        Ok(())
    }

    async fn rollback(&self, tx: PgTx) -> Result<(), Error> {
        self.statement(async { Transaction::from(tx).rollback().await.map_err(from_sqlx) }).await
    }

    /// Classifies sqlx's errors. A violated constraint, or any other mistake in a statement, is the handler's own.
    fn classify(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
        classify(error)
    }
}

/// Shows the database's address without credentials.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.pool().connect_options();
        f.debug_struct("PostgresStore")
            .field("host", &options.get_host())
            .field("port", &options.get_port())
            .field("database", &options.get_database())
            .field("schema", &self.schema().as_str())
            .finish_non_exhaustive()
    }
}
