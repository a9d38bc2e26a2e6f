//! Work whose future is polled on the writer thread, so that its statements run inline.

use std::any::Any;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use messagekit::adapter::{BoxFuture, End, TransactError, Work};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::Instrument as _;
use tracing::instrument::WithSubscriber as _;

use crate::SqliteTx;

/// The result for the caller of `transact`; the outer error is a panic.
pub(crate) type Answer<R> = thread::Result<Result<R, TransactError>>;

/// A future without its result type.
pub(crate) trait Batch: Send {
    /// Polls the work; ready with the transaction and whether to commit it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(SqliteTx, bool)>;
    /// Returns whether the caller has dropped its future.
    fn is_abandoned(&self) -> bool;
    /// Drops the unfinished work.
    fn cancel(&mut self);
    fn answer(self: Box<Self>, outcome: Result<(), TransactError>);
    fn panicked(self: Box<Self>, panic: Box<dyn Any + Send>);
}

struct BatchOf<R> {
    future: Option<BoxFuture<'static, (SqliteTx, End<R>)>>,
    result: Option<R>,
    answer: oneshot::Sender<Answer<R>>,
    // The caller's runtime: timers and sockets of a handler belong to it.
    runtime: Option<Handle>,
}

/// Prepares work with the caller's runtime, span and subscriber.
pub(crate) fn batch<R: Send + 'static>(
    work: Work<SqliteTx, R>,
    tx: SqliteTx,
    answer: oneshot::Sender<Answer<R>>,
) -> Box<dyn Batch> {
    let future = async move { work(tx).await }.in_current_span().with_current_subscriber();
    Box::new(BatchOf {
        future: Some(Box::pin(future)),
        result: None,
        answer,
        runtime: Handle::try_current().ok(),
    })
}

impl<R: Send> Batch for BatchOf<R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(SqliteTx, bool)> {
        let _runtime = self.runtime.as_ref().map(Handle::enter);
        let Some(future) = &mut self.future else { return Poll::Pending };
        let (tx, end) = std::task::ready!(Pin::new(future).poll(cx));
        self.future = None;
        let (commit, result) = match end {
            End::Commit(result) => (true, result),
            End::Rollback(result) => (false, result),
        };
        self.result = Some(result);
        Poll::Ready((tx, commit))
    }

    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn cancel(&mut self) {
        let _runtime = self.runtime.as_ref().map(Handle::enter);
        self.future = None;
    }

    fn answer(self: Box<Self>, outcome: Result<(), TransactError>) {
        let Self { result, answer, .. } = *self;
        answer.send(Ok(outcome.map(|()| result.expect("work that ended has a result")))).ok();
    }

    fn panicked(self: Box<Self>, panic: Box<dyn Any + Send>) {
        self.answer.send(Err(panic)).ok();
    }
}
