//! The connections of a relay.

use std::sync::{Mutex, MutexGuard, PoisonError};

use messagekit::Error;
use sqlx::{Executor, PgConnection, PgPool};

use crate::error::from_sqlx;

/// A relay reads, deletes and renews its lease at the same time, and seldom more.
const MOST_IDLE: usize = 4;

/// Each statement is planned for its values: a plan that was kept from the time when nothing was pending would walk the whole
/// outbox when much is. A join that is no loop would delete in another order than that of the places. Two statements of one transaction must see what was committed between them.
pub(crate) const SETTINGS: &str = "SET plan_cache_mode = force_custom_plan; SET jit = off;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Connections beside the pool, made as the pool makes them, that serve the relays of this process. None is asked whether it
/// still lives before it is used: a relay tries again by itself, and the question would cost it a round trip each time.
#[derive(Default)]
pub(crate) struct Links {
    idle: Mutex<Vec<Link>>,
}

/// One of them.
pub(crate) struct Link {
    pub(crate) connection: PgConnection,
    /// Which life of which server is at its other end, once that was asked; it is one and the same for as long as the session
    /// lasts.
    pub(crate) server: Option<String>,
}

impl Links {
    /// Runs `work` on a connection, which is kept only when it succeeds: what is dropped halfway is closed.
    pub(crate) async fn with<T>(
        &self,
        pool: &PgPool,
        work: impl AsyncFnOnce(&mut Link) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut link = match self.take(pool) {
            Some(link) => link,
            None => Link { connection: open(pool).await?, server: None },
        };
        let outcome = work(&mut link).await;
        let mut idle = self.idle();
        match outcome {
            Ok(_) if idle.len() < MOST_IDLE && !pool.is_closed() => idle.push(link),
            Ok(_) => {}
            // The others may be as dead as this one.
            Err(_) => idle.clear(),
        }
        outcome
    }

    /// Closes what is idle.
    pub(crate) fn clear(&self) {
        self.idle().clear();
    }

    fn take(&self, pool: &PgPool) -> Option<Link> {
        let mut idle = self.idle();
        if pool.is_closed() {
            idle.clear();
        }
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open(pool: &PgPool) -> Result<PgConnection, Error> {
    let mut connection = crate::store::live(pool).await?.detach();
    connection.execute(sqlx::raw_sql(SETTINGS)).await.map_err(from_sqlx)?;
    Ok(connection)
}
