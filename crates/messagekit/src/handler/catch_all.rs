//! A handler that takes every message unread.

use super::argument::Input;
use super::function::{Erased, Handling};
use crate::store::{BoxFuture, Store};
use crate::{DeliveryInfo, HandlerError, Message, MessageId, Position};

/// A handler of every message, including messages without an id or type. [`Router::catch_all`](crate::Router::catch_all) uses
/// it.
pub trait CatchAll<S: Store>: Send + Sync + 'static {
    /// Returns the id for the claim of a message. Messages with equal ids are duplicates.
    fn id(&self, message: &Message, position: Option<&Position>) -> MessageId;

    /// Applies one message in the transaction that also marks it as processed.
    ///
    /// # Errors
    /// A [`HandlerError`], which rolls the transaction back; its kind decides about a retry.
    fn take<'a>(
        &'a self,
        tx: &'a mut S::Tx,
        message: &'a Message,
        delivery: DeliveryInfo,
    ) -> BoxFuture<'a, Result<(), HandlerError>>;
}

/// A [`CatchAll`] as a handler.
pub(crate) struct Unread<C>(pub(crate) C);

/// An erased [`Unread`].
pub(crate) trait TakesAll<S: Store>: Erased<S> {
    fn id(&self, message: &Message, position: Option<&Position>) -> MessageId;
}

impl<S: Store, C: CatchAll<S>> Erased<S> for Unread<C> {
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Input<'a>, _: Vec<Input<'a>>) -> Handling<'a> {
        self.0.take(tx, &first.received.message, first.info)
    }
}

impl<S: Store, C: CatchAll<S>> TakesAll<S> for Unread<C> {
    fn id(&self, message: &Message, position: Option<&Position>) -> MessageId {
        self.0.id(message, position)
    }
}
