//! Sessions of PostgreSQL that wait for a lock of another one.

use messagekit_testkit::{DEADLINE, eventually};
use sqlx::{PgExecutor, PgPool};

/// Waits until any session of this database waits for a lock of another one.
///
/// # Panics
/// Panics after [`DEADLINE`], and when the server does not answer.
pub async fn until_one_waits(pool: &PgPool) {
    eventually("a statement waits for a lock", DEADLINE, async || {
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
            AND cardinality(pg_blocking_pids(pid)) > 0)";
        sqlx::query_scalar(waits).fetch_one(pool).await.expect("answers")
    })
    .await;
}

/// Waits until the session of a server process waits for a lock of another one.
///
/// # Panics
/// Panics like [`until_one_waits`].
pub async fn until_it_waits(pool: &PgPool, backend: i32) {
    eventually("it waits for the rival", DEADLINE, async || waits_for_lock(pool, backend).await).await;
}

/// Returns how many statements of this database that are like a pattern of SQL wait for a lock.
///
/// # Panics
/// Panics when the server does not answer.
pub async fn waiting_statements(server: impl PgExecutor<'_>, pattern: &str) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1";
    sqlx::query_scalar(count).bind(pattern).fetch_one(server).await.expect("answers")
}

/// Returns whether the session of a server process waits for a lock of another one.
///
/// # Panics
/// Panics when the server does not answer.
pub async fn waits_for_lock(server: impl PgExecutor<'_>, backend: i32) -> bool {
    let waits = "SELECT cardinality(pg_blocking_pids($1)) > 0";
    sqlx::query_scalar(waits).bind(backend).fetch_one(server).await.expect("answers")
}
