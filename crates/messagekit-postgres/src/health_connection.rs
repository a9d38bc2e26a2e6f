//! The connection of health.
//!
//! A probe asks every few seconds and leaves when it gets no answer. A statement that waits for a lock then stays on its
//! connection until the limit of the server: from the service's pool, such connections would be missing to its consumers, one
//! after another. So health has one of its own, opened at its first use, and each of its transactions has a limit below the
//! time that probes wait.

use std::time::Duration;

use sqlx::PgPool;

/// How long an answer of health may take: less than the 5 s that its callers wait.
pub(crate) const LIMIT: Duration = Duration::from_secs(4);
/// How long a statement of a ping may take, and one of a checkpoint. What they leave behind must not keep a measurement from its
/// first answer.
pub(crate) const PING_LIMIT: Duration = Duration::from_secs(2);
pub(crate) const CHECKPOINT_LIMIT: Duration = Duration::from_secs(1);

/// Returns a pool of one connection with the options of another pool, its hooks included. It opens nothing yet.
pub(crate) fn beside(pool: &PgPool) -> PgPool {
    let options = pool.options().clone().max_connections(1).min_connections(0).acquire_timeout(LIMIT);
    options.connect_lazy_with(pool.connect_options().as_ref().clone())
}
