//! Work of a caller that runs on the writer thread.

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
use crate::writer::{Batch, OnCommit};

/// The result for the caller of `transact`; the outer error is a panic.
pub(crate) type Answer<R> = thread::Result<Result<R, TransactError>>;

struct BatchOf<R> {
    future: Option<BoxFuture<'static, (SqliteTx, End<R>)>>,
    /// The transaction that the work has given back, and its result.
    ended: Option<(SqliteTx, R)>,
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
        ended: None,
        answer,
        runtime: Handle::try_current().ok(),
    })
}

impl<R: Send> Batch for BatchOf<R> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let _runtime = self.runtime.as_ref().map(Handle::enter);
        let Some(future) = &mut self.future else { return Poll::Pending };
        let (tx, end) = std::task::ready!(Pin::new(future).poll(cx));
        self.future = None;
        let (commit, result) = match end {
            End::Commit(result) => (true, result),
            End::Rollback(result) => (false, result),
        };
        self.ended = Some((tx, result));
        Poll::Ready(commit)
    }

    fn gave_back(&self, id: u64) -> bool {
        self.ended.as_ref().is_some_and(|(tx, _)| tx.is(id))
    }

    fn take_on_commit(&mut self) -> OnCommit {
        self.ended.as_mut().map(|(tx, _)| tx.take_on_commit()).unwrap_or_default()
    }

    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn cancel(&mut self) {
        let _runtime = self.runtime.as_ref().map(Handle::enter);
        self.future = None;
    }

    fn answer(self: Box<Self>, outcome: Result<(), TransactError>) {
        let Self { ended, answer, .. } = *self;
        let (_tx, result) = ended.unzip();
        answer.send(Ok(outcome.map(|()| result.expect("work that ended has a result")))).ok();
    }

    fn panicked(self: Box<Self>, panic: Box<dyn Any + Send>) {
        self.answer.send(Err(panic)).ok();
    }
}
