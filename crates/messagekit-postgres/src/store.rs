//! The database as a store.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use messagekit::{Error, ErrorKind, ParkingLimits, Store, Wake};
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgPool, Postgres};

use crate::begin::Limits;
use crate::error::{classify, from_sqlx, is_lost, lost};
use crate::links::Links;
use crate::membership::Membership;
use crate::parking_quota::{ParkingQuota, Uncounted};
use crate::stable_position::StablePosition;
use crate::{PostgresOptions, SchemaName, begin, commit, connect};

/// A transaction of PostgreSQL: your statements, the marker of the message and new events share it.
///
/// It is sqlx's own, so handlers run `sqlx::query(…).execute(&mut **tx)`. A statement that fails ends it for every later
/// one; swallow the error and [`Store::commit`] still answers [`ErrorKind::Aborted`].
pub type PgTx = sqlx::Transaction<'static, Postgres>;

/// A PostgreSQL database with the tables of messagekit in a schema of their own, and yours beside them.
///
/// Cloning gives another handle of the same pool. The tables are made by `messagekit migrate`, never by this type.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
    /// What a transaction may take, where that is less than for every other.
    limits: Option<Limits>,
}

struct Shared {
    pool: PgPool,
    /// For what only reads; the pool itself where reads have no limit of their own.
    reads: PgPool,
    /// Whether the server ends reads before the rest.
    reads_are_limited: bool,
    schema: SchemaName,
    /// How long an answer may take; unknown of a pool that somebody else has made.
    patience: Option<Duration>,
    /// What its connections were told; unknown of such a pool, too.
    limits: Option<Limits>,
    wake: Wake,
    links: Links,
    presence: Arc<Membership>,
    decided: StablePosition,
    uncounted: Uncounted,
}

impl PostgresStore {
    /// Connects with default options and checks that the tables are there, at this program's version.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a URL, a user, a password or a database name that is wrong, and for a database
    /// that is not UTF-8; [`ErrorKind::Unavailable`] when nothing answers within 10 s; [`ErrorKind::Schema`] when the tables are
    /// missing, older or newer than this program.
    ///
    /// # Cancel safety
    /// A dropped call leaves nothing open.
    pub async fn connect(url: &str) -> Result<Self, crate::Error> {
        Self::options().connect(url).await
    }

    /// Makes a store that connects when it is first used, for programs that must start while a database is down: until then
    /// nobody knows whether user, password and tables are right. See [`OutboxHealth::ping`](messagekit::OutboxHealth::ping).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a URL that cannot be read.
    pub fn lazy(url: &str) -> Result<Self, crate::Error> {
        Self::options().lazy(url)
    }

    /// Returns the default options, to be changed before connecting.
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    pub(crate) fn new(
        pool: PgPool,
        limited: Option<PgPool>,
        schema: SchemaName,
        limits: Option<Limits>,
    ) -> Self {
        let patience = limits.map(|limits| limits.statement.saturating_add(connect::LIMIT));
        let reads_are_limited = limited.is_some();
        let reads = limited.unwrap_or_else(|| pool.clone());
        let (wake, links, decided) = (Wake::default(), Links::default(), StablePosition::default());
        Self {
            shared: Arc::new(Shared {
                pool,
                reads,
                reads_are_limited,
                schema,
                patience,
                limits,
                wake,
                links,
                presence: Arc::default(),
                decided,
                uncounted: Uncounted::default(),
            }),
            limits: None,
        }
    }

    /// Returns the pool, for queries of your own.
    ///
    /// It does not ask a connection whether the server still knows it, as [`Store::begin`] does: after a restart of the
    /// server a query may have to be sent again.
    pub fn pool(&self) -> &PgPool {
        &self.shared.pool
    }

    /// Waits for the connections that are in use and closes all; other handles answer [`ErrorKind::Closed`] from then on.
    pub async fn close(self) {
        self.shared.reads.close().await;
        self.shared.pool.close().await;
        self.shared.links.clear();
        self.shared.presence.clear();
    }

    /// Says whether reads end by a limit of their own.
    pub(crate) fn reads_are_limited(&self) -> bool {
        self.shared.reads_are_limited
    }

    pub(crate) fn schema(&self) -> &SchemaName {
        &self.shared.schema
    }

    /// What was committed in this process, for its relays.
    pub(crate) fn news(&self) -> &Wake {
        &self.shared.wake
    }

    pub(crate) fn quota(&self, bounds: ParkingLimits) -> ParkingQuota<'_> {
        ParkingQuota { bounds, uncounted: &self.shared.uncounted }
    }

    pub(crate) fn links(&self) -> &Links {
        &self.shared.links
    }

    pub(crate) fn presence(&self) -> &Arc<Membership> {
        &self.shared.presence
    }

    pub(crate) fn decided(&self) -> &StablePosition {
        &self.shared.decided
    }

    /// Runs `work` for as long as the server may take for it, else answers `late`. A server that is cut off without a
    /// farewell never answers, and nothing else would notice: what waits for an answer sends nothing that could fail.
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

    /// Runs statements whose loss changes nothing but the time.
    pub(crate) async fn statement<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.answered(ErrorKind::Unavailable, self.shared.patience, work).await
    }

    /// The same for statements that have a limit of their own.
    pub(crate) async fn statement_within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let patience =
            self.shared.patience.map(|patience| patience.max(limit.saturating_add(connect::LIMIT)));
        self.answered(ErrorKind::Unavailable, patience, work).await
    }

    /// Runs statements that only read, on a connection that answers. None is asked first, which would cost a round trip: what
    /// a dead one was to answer is read from another.
    pub(crate) async fn read<T, F>(&self, work: impl Fn(PoolConnection<Postgres>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let reads = &self.shared.reads;
        self.statement(async {
            let mut stale = reads.size();
            loop {
                match work(reads.acquire().await.map_err(from_sqlx)?).await {
                    Err(error) if stale > 0 && lost(&error) => stale -= 1,
                    answer => return answer,
                }
            }
        })
        .await
    }

    /// Commits what is done again when it is lost.
    pub(crate) async fn commit_unhurried(&self, tx: PgTx) -> Result<(), Error> {
        self.answered(ErrorKind::OutcomeUnknown, self.shared.patience, commit::unhurried(tx)).await
    }

    /// Takes a connection that answers, for a statement of its own.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, Error> {
        live(self.pool()).await
    }
}

/// Takes a connection that answers: the pool hands out what the server may have closed.
pub(crate) async fn live(pool: &PgPool) -> Result<PoolConnection<Postgres>, Error> {
    let mut stale = pool.size();
    loop {
        let mut connection = pool.acquire().await.map_err(from_sqlx)?;
        match connection.ping().await {
            Ok(()) => return Ok(connection),
            Err(error) if stale > 0 && is_lost(&error) => stale -= 1,
            Err(error) => return Err(from_sqlx(error)),
        }
    }
}

impl Store for PostgresStore {
    type Tx = PgTx;

    /// Begins a transaction at the isolation level READ COMMITTED, whatever the database's default is: the markers rely on
    /// it.
    async fn begin(&self) -> Result<PgTx, Error> {
        begin::begin(self.pool(), self.limits).await
    }

    /// A process that is frozen in a transaction keeps the claims of its messages from whoever has its lanes now: for as long
    /// as a handler may think, and not for the minutes of every other connection.
    fn limited(&self, limit: Duration) -> Self {
        // A connection's own limits are not to be raised; a pool of somebody else's says nothing about them.
        let limits = self.shared.limits.map_or(Limits { statement: limit, idle: limit }, |own| Limits {
            statement: limit.min(own.statement),
            idle: limit.min(own.idle),
        });
        Self { limits: Some(limits), ..self.clone() }
    }

    async fn commit(&self, tx: PgTx) -> Result<(), Error> {
        self.answered(ErrorKind::OutcomeUnknown, self.shared.patience, commit::commit(tx)).await
    }

    async fn rollback(&self, tx: PgTx) -> Result<(), Error> {
        self.statement(async { tx.rollback().await.map_err(from_sqlx) }).await
    }

    /// Knows sqlx's errors. A constraint that was violated, or any other mistake in a statement, is the handler's own.
    fn classify(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
        classify(error)
    }
}

/// Shows where the database is, never how to get in.
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
