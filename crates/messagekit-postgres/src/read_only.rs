//! Sessions that only read after a failover.
//!
//! A server that is fenced gives its sessions `default_transaction_read_only`, and a session keeps what it began with: it refuses writes
//! also when the server writes again. So the first refused write ends every session that is as old, when a pool hands it out next. The
//! pools of a process share the time of that refusal: a session too many costs a connect, and no round trip is needed before each use.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use sqlx::postgres::PgPoolOptions;

/// When a write was refused last.
static REFUSED: Mutex<Option<Instant>> = Mutex::new(None);

/// The code of a write in a session that only reads, also on a standby.
pub(crate) const READ_ONLY: &str = "25006";
pub(crate) const TEXT: &str = "database only reads: connect to its primary";

/// Notes that a session has refused a write.
pub(crate) fn note() {
    *REFUSED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// Returns whether no write was refused since a session of this age began. After a refused write, a session that only listens, or holds a
/// lock, may still be on the old server.
pub(crate) fn is_current(age: Duration) -> bool {
    let refused = *REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    refused.is_none_or(|refused| age < refused.elapsed())
}

/// Lets a pool close sessions that were opened before a write was refused.
pub(crate) fn closing(options: PgPoolOptions) -> PgPoolOptions {
    options.before_acquire(|_, session| Box::pin(std::future::ready(Ok(is_current(session.age)))))
}

/// Refuses a session that only reads, which a look at the tables alone would call healthy.
pub(crate) fn check(is_read_only: bool) -> Result<(), Error> {
    if !is_read_only {
        return Ok(());
    }
    note();
    Err(Error::new(ErrorKind::Unavailable, TEXT))
}
