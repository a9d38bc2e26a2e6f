//! Connections for relays.

use std::sync::{Mutex, MutexGuard, PoisonError};

use messagekit::Error;
use sqlx::{Executor, PgConnection, PgPool};

use crate::connect;
use crate::error::from_sqlx;

/// A relay reads, deletes and renews its lease at the same time, and seldom does more.
const MOST_IDLE: usize = 4;

/// Each statement is planned for its values: a plan cached while nothing was pending would scan the whole outbox when
/// much is. Only a nested-loop join deletes in the order of the positions. Two statements of one transaction must see
/// commits between them.
pub(crate) const SETTINGS: &str = "SET plan_cache_mode = force_custom_plan; SET jit = off;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Connections outside the pool, opened with the pool's options, for the relays of this process. None is pinged before
/// use: a relay retries by itself, and a ping would cost a round trip each time.
#[derive(Default)]
pub(crate) struct RelayConnections {
    idle: Mutex<Vec<RelayConnection>>,
}

/// One connection of a relay.
pub(crate) struct RelayConnection {
    pub(crate) connection: PgConnection,
    /// Identifies one run of one server, once queried; constant for the life of a session.
    pub(crate) server: Option<String>,
}

impl RelayConnections {
    /// Runs `work` on a connection and keeps the connection only on success. Dropping the call closes it.
    pub(crate) async fn with<T>(
        &self,
        pool: &PgPool,
        work: impl AsyncFnOnce(&mut RelayConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut kept = match self.take(pool) {
            Some(link) => link,
            None => RelayConnection { connection: open(pool).await?, server: None },
        };
        let outcome = work(&mut kept).await;
        let mut idle = self.idle();
        match outcome {
            Ok(_) if idle.len() < MOST_IDLE && !pool.is_closed() => idle.push(kept),
            Ok(_) => {}
            // The other idle connections may be dead too.
            Err(_) => idle.clear(),
        }
        outcome
    }

    /// Closes idle connections.
    pub(crate) fn clear(&self) {
        self.idle().clear();
    }

    fn take(&self, pool: &PgPool) -> Option<RelayConnection> {
        let mut idle = self.idle();
        if pool.is_closed() {
            idle.clear();
        }
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<RelayConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open(pool: &PgPool) -> Result<PgConnection, Error> {
    let mut connection = connect::live(pool).await?.detach();
    connection.execute(sqlx::raw_sql(SETTINGS)).await.map_err(from_sqlx)?;
    Ok(connection)
}
