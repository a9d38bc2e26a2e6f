//! Begins transactions, also when pooled connections have died.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use messagekit::adapter::BoxFuture;
use messagekit::{Error, ErrorKind};
use sqlx::{AssertSqlSafe, PgPool};

use crate::PgTx;
use crate::error::{from_sqlx, is_lost};
use crate::transaction::limits::{Limits, millis};

// A claim waits for the commit of a concurrent claim and then reads it; higher isolation levels fail instead.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Begins with limits in one message to the server. The limits end with the transaction, so a transaction-mode pooler
/// passes none of them on.
fn begin_within(Limits { statement, idle }: Limits) -> String {
    let (statement, idle) = (millis(statement), millis(idle));
    format!(
        "{BEGIN}; SET LOCAL statement_timeout = {statement}; SET LOCAL idle_in_transaction_session_timeout = {idle}"
    )
}

/// Begins a transaction. Replaces connections that died while idle, without a ping before each use.
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
                begun => return begun.map(PgTx::from),
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

/// A future that a task completes when the caller drops it. A connection dropped between BEGIN and its answer would
/// return to the pool with a transaction unknown to sqlx.
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
