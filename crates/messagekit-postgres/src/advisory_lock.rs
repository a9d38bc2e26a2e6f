//! Locks of a session by name, which the server releases when the session ends.

use sqlx::PgConnection;

/// A name counts by its hash, inside the space of what it names.
const TAKE: &str = "SELECT pg_try_advisory_lock($1, hashtext($2))";

/// Takes a lock, again when the session holds it already, and returns whether it has it.
pub(crate) async fn take(session: &mut PgConnection, space: i32, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(TAKE).persistent(false).bind(space).bind(name).fetch_one(session).await
}

/// Releases every lock of a session.
pub(crate) async fn release_all(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_unlock_all()").persistent(false).execute(session).await.map(drop)
}
