//! User code around every handler.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::HandlerError;
use super::argument::Input;
use super::function::Erased;
use crate::message::{DeliveryInfo, Message};
use crate::store::Store;

/// Code that runs around every handler of a consumer, inside the transaction of its effects. Use it for spans, tenants,
/// permissions, and checks of the rows that a handler has written.
///
/// It also runs for retries, and within the handler's deadline. Its result replaces the handler's result: an error rolls the
/// transaction back, and an `Ok` without a run of the handler marks the message as applied.
///
/// The trait has the form of `async_trait`: write `#[async_trait]` above the implementation.
///
/// ```
/// use async_trait::async_trait;
/// use messagekit_memory::{MemoryStore, MemoryTx};
/// use messagekit::handler::Inner;
/// use messagekit::{HandlerError, Middleware};
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
    /// Runs `inner` once, or not at all.
    ///
    /// # Errors
    /// A [`HandlerError`], which rolls the transaction back; its kind decides about a retry.
    async fn handle(&self, tx: &mut S::Tx, inner: Inner<'_, S>) -> Result<(), HandlerError>;
}

/// The inner part of a [`Middleware`]: the middlewares added after it, and the handler.
#[must_use = "the handler does not run unless this is run"]
pub struct Inner<'a, S: Store> {
    pub(crate) around: &'a [Arc<dyn Middleware<S>>],
    pub(crate) handler: &'a dyn Erased<S>,
    pub(crate) first: Input<'a>,
    /// The messages behind the first one, if the handler takes several.
    pub(crate) behind: Vec<Input<'a>>,
}

impl<S: Store> Inner<'_, S> {
    /// Returns the received message; the first one, if the handler takes several.
    pub fn message(&self) -> &Message {
        &self.first.received.message
    }

    /// Returns all messages of this handler call, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        std::iter::once(&self.first).chain(&self.behind).map(|input| &input.received.message)
    }

    /// Returns the event's type, if the message has one.
    pub fn event_type(&self) -> Option<&str> {
        Some(&*self.first.meta.event_type).filter(|event_type| !event_type.is_empty())
    }

    /// Returns the number of this run, the position and the deadline.
    pub fn delivery(&self) -> &DeliveryInfo {
        &self.first.info
    }

    /// Runs the handler.
    ///
    /// # Errors
    /// The [`HandlerError`] of the handler or of a later middleware.
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
            .field("message", &self.first.received.message)
            .field("around", &self.around.len())
            .finish_non_exhaustive()
    }
}
