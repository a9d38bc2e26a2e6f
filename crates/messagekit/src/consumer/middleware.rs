//! Code of the user's around every handler.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::HandlerError;
use super::handler::{Erased, Given};
use crate::message::{DeliveryInfo, Message};
use crate::store::Store;

/// Runs around every handler of a consumer, inside the transaction of its effects: for spans, tenants, permissions, checks of
/// what a handler has written.
///
/// It runs for retries as well, and within the handler's deadline. What it answers is the answer of the handler: an error
/// rolls the transaction back, and an `Ok` without having run the handler marks the message as applied.
///
/// The trait has the form of `async_trait`: write `#[async_trait]` above the implementation.
///
/// ```
/// use async_trait::async_trait;
/// use messagekit::memory::{MemoryStore, MemoryTx};
/// use messagekit::{HandlerError, Inner, Middleware};
///
/// /// Counts what each type has cost.
/// struct Counted;
///
/// #[async_trait]
/// impl Middleware<MemoryStore> for Counted {
///     async fn handle(&self, tx: &mut MemoryTx, inner: Inner<'_, MemoryStore>) -> Result<(), HandlerError> {
///         let event_type = inner.event_type().unwrap_or("unknown").to_owned();
///         inner.run(tx).await?;
///         tx.add(&event_type, 1);
///         Ok(())
///     }
/// }
/// // Consumer::builder("billing", store).wrap(Counted) …
/// ```
#[async_trait]
pub trait Middleware<S: Store>: Send + Sync + 'static {
    /// Runs `inner`, once or not at all.
    ///
    /// # Errors
    /// See [`HandlerError`]: the transaction is rolled back.
    async fn handle(&self, tx: &mut S::Tx, inner: Inner<'_, S>) -> Result<(), HandlerError>;
}

/// What a [`Middleware`] is around: the ones added after it, and the handler.
#[must_use = "the handler does not run unless this is run"]
pub struct Inner<'a, S: Store> {
    pub(super) around: &'a [Arc<dyn Middleware<S>>],
    pub(super) handler: &'a dyn Erased<S>,
    pub(super) first: Given<'a>,
    /// Where the handler takes several.
    pub(super) behind: Vec<Given<'a>>,
}

impl<S: Store> Inner<'_, S> {
    /// Returns the message as it was received; the first one, where the handler takes several.
    pub fn message(&self) -> &Message {
        self.first.message
    }

    /// Returns every message that the handler is about to take, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        std::iter::once(&self.first).chain(&self.behind).map(|given| given.message)
    }

    /// Returns the event's type, where the message tells one.
    pub fn event_type(&self) -> Option<&str> {
        Some(&*self.first.meta.event_type).filter(|event_type| !event_type.is_empty())
    }

    /// Returns which run this is, the coordinates and the deadline.
    pub fn delivery(&self) -> &DeliveryInfo {
        &self.first.info
    }

    /// Runs the handler.
    ///
    /// # Errors
    /// What the handler answers.
    pub async fn run(self, tx: &mut S::Tx) -> Result<(), HandlerError> {
        let Self { around, handler, first, behind } = self;
        match around.split_first() {
            Some((outer, around)) => outer.handle(tx, Inner { around, handler, first, behind }).await,
            None => handler.call(tx, first, behind).await,
        }
    }
}

impl<S: Store> fmt::Debug for Inner<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("message", self.first.message)
            .field("around", &self.around.len())
            .finish_non_exhaustive()
    }
}
