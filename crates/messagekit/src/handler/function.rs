//! The forms of a handler.

use std::future::Future;
use std::marker::PhantomData;

use async_trait::async_trait;

use super::HandlerError;
use super::argument::{Argument, CallResult, Form, Input};
use crate::Event;
use crate::message::Envelope;
use crate::store::{BoxFuture, Store};

/// An `async fn(&mut Tx, Envelope<E>) -> Result<(), HandlerError>`; other handlers take a `Vec<Envelope<E>>` or a
/// [`Message`](crate::Message).
///
/// Implemented for such functions; not to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler for this consumer",
    label = "not `async fn(&mut {Tx}, Envelope<Event>) -> Result<(), HandlerError>`",
    note = "a handler takes a transaction of the consumer's store first, `&mut {Tx}`, then the event in its envelope, and returns `Result<(), HandlerError>`",
    note = "a closure that captures variables is no handler: pass them as a state, `on_with(state, handler)`, with `&State` as the first argument"
)]
pub trait HandlerFn<'a, Tx: 'a, A>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + 'a;

    /// Calls the function.
    fn call(&self, tx: &'a mut Tx, argument: A) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<'a, Tx: 'a, A: Form, F, Fut> HandlerFn<'a, Tx, A> for F
where
    F: Fn(&'a mut Tx, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), HandlerError>> + 'a,
{
    type Future = Fut;

    fn call(&self, tx: &'a mut Tx, argument: A) -> Fut {
        self(tx, argument)
    }
}

/// A handler as an object, for code that keeps its dependencies in a struct.
///
/// The trait has the form of `async_trait`: write `#[async_trait]` above the implementation.
#[async_trait]
pub trait IdempotentConsumer<S: Store>: Send + Sync + 'static {
    /// The event it handles.
    type Event: Event;

    /// Applies one event inside the transaction that also marks it as processed.
    ///
    /// # Errors
    /// A [`HandlerError`], which rolls the transaction back; its kind decides about a retry.
    async fn handle(&self, tx: &mut S::Tx, event: Envelope<Self::Event>) -> Result<(), HandlerError>;
}

pub(crate) type Handling<'a> = BoxFuture<'a, Result<(), HandlerError>>;

pub(crate) type Calling<'a> = BoxFuture<'a, Result<CallResult, HandlerError>>;

/// Returns a future with the error of an unreadable argument.
pub(crate) fn refused<'a>(error: HandlerError) -> Handling<'a> {
    Box::pin(std::future::ready(Err(error)))
}

/// A type-erased handler.
pub(crate) trait Erased<S: Store>: Send + Sync {
    /// Handles a message, and the messages behind it if the handler [takes several](Self::takes_several).
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Input<'a>, behind: Vec<Input<'a>>) -> Handling<'a>;

    /// Returns whether one call may handle more than one message.
    fn takes_several(&self) -> bool {
        false
    }

    /// Returns what comes before the transaction, if the handler has two phases.
    fn first_phase(&self) -> Option<&dyn FirstPhase> {
        None
    }
}

/// The call of a handler in two phases.
pub(crate) trait FirstPhase: Send + Sync {
    /// Makes the call for a message.
    fn call<'a>(&'a self, input: Input<'a>) -> Calling<'a>;
}

pub(crate) struct Function<H, A>(pub(crate) H, pub(crate) PhantomData<fn(A)>);

impl<S: Store, A: Argument, H: for<'a> HandlerFn<'a, S::Tx, A, Future: Send>> Erased<S> for Function<H, A> {
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Input<'a>, _: Vec<Input<'a>>) -> Handling<'a> {
        match A::read(first) {
            Ok(argument) => Box::pin(self.0.call(tx, argument)),
            Err(error) => refused(error),
        }
    }
}

pub(crate) struct Object<C>(pub(crate) C);

impl<S: Store, C: IdempotentConsumer<S>> Erased<S> for Object<C> {
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Input<'a>, _: Vec<Input<'a>>) -> Handling<'a> {
        match Envelope::<C::Event>::read(first) {
            Ok(event) => self.0.handle(tx, event),
            Err(error) => refused(error),
        }
    }
}
