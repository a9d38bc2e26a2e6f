//! Work whose future is polled on the writer thread, so that its statements run inline.

use std::any::Any;
use std::task::{Context, Poll};

use messagekit::adapter::TransactError;

/// Functions that run after a commit.
pub(crate) type OnCommit = Vec<Box<dyn FnOnce() + Send>>;

/// A future without its result type.
pub(crate) trait Batch: Send {
    /// Polls the work; ready with whether to commit its transaction.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool>;
    /// Returns whether the work has given back the transaction with this id.
    fn gave_back(&self, id: u64) -> bool;
    /// Takes what runs after the commit.
    fn take_on_commit(&mut self) -> OnCommit;
    /// Returns whether the caller has dropped its future.
    fn is_abandoned(&self) -> bool;
    /// Drops the unfinished work.
    fn cancel(&mut self);
    fn answer(self: Box<Self>, outcome: Result<(), TransactError>);
    fn panicked(self: Box<Self>, panic: Box<dyn Any + Send>);
}
