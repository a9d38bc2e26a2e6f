//! Beginning a transaction on a connection that may be dead.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use messagekit::{BoxFuture, Error, ErrorKind};
use sqlx::{AssertSqlSafe, PgPool};

use crate::PgTx;
use crate::error::{from_sqlx, is_lost};
use crate::options::millis;

// Markers are claimed by waiting for a rival's commit and then seeing it, which the higher levels refuse.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// How long a transaction may take for one statement, and between two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) statement: Duration,
    pub(crate) idle: Duration,
}

/// Begins with limits, in one message to the server. They end with the transaction, so that poolers which hand connections on
/// between transactions keep nothing of them.
fn begin_within(Limits { statement, idle }: Limits) -> String {
    let (statement, idle) = (millis(statement), millis(idle));
    format!(
        "{BEGIN}; SET LOCAL statement_timeout = {statement}; SET LOCAL idle_in_transaction_session_timeout = {idle}"
    )
}

/// Begins a transaction. Connections that died while they were idle are passed over, instead of being asked each time.
pub(crate) async fn begin(pool: &PgPool, limits: Option<Limits>) -> Result<PgTx, Error> {
    let limit = pool.options().get_acquire_timeout();
    let pool = pool.clone();
    let beginning = EndsAlone::new(async move {
        let mut stale = pool.size();
        loop {
            let begun = match limits {
                None => pool.begin_with(BEGIN).await,
                Some(limits) => pool.begin_with(AssertSqlSafe(begin_within(limits))).await,
            };
            match begun {
                Err(error) if stale > 0 && is_lost(&error) => stale -= 1,
                begun => return begun,
            }
        }
    });
    match tokio::time::timeout(limit, beginning).await {
        Ok(begun) => begun.map_err(from_sqlx),
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "no transaction began within {limit:?}: see that the database answers, or allow more connections"
            ),
        )),
    }
}

/// Work that goes on by itself when nobody waits for it any more: dropped between BEGIN and its answer, a connection would
/// go back to the pool with a transaction that sqlx does not know of.
struct EndsAlone<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> EndsAlone<T> {
    fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<T: Send + 'static> Future for EndsAlone<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let work = self.0.as_mut().expect("a future that has ended is not polled");
        let ended = work.as_mut().poll(cx);
        if ended.is_ready() {
            self.0 = None;
        }
        ended
    }
}

impl<T: Send + 'static> Drop for EndsAlone<T> {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { drop(work.await) });
        }
    }
}
