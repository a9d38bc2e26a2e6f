//! The forms of a handler.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;

use super::HandlerError;
use crate::Event;
use crate::message::{DeliveryInfo, Envelope, Message, Meta, codec};
use crate::store::{BoxFuture, Store};

/// An `async fn(&mut Tx, Envelope<E>) -> Result<(), HandlerError>`.
///
/// Implemented for such functions; not to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of `{E}`",
    label = "not `async fn(&mut {Tx}, {E}) -> Result<(), HandlerError>`",
    note = "a handler takes the transaction first, then the event in its envelope, and returns `Result<(), HandlerError>`",
    note = "a closure that captures variables is no handler: pass them as a state, `on_with(state, handler)`, with `&State` as the first argument"
)]
pub trait HandlerFn<'a, Tx: 'a, E>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function.
    fn call(&self, tx: &'a mut Tx, event: E) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<'a, Tx: 'a, E, F, Fut> HandlerFn<'a, Tx, E> for F
where
    F: Fn(&'a mut Tx, E) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, tx: &'a mut Tx, event: E) -> Fut {
        self(tx, event)
    }
}

/// An `async fn(&State, &mut Tx, Envelope<E>) -> Result<(), HandlerError>`.
///
/// Implemented for such functions; not to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of `{E}` with the state `{State}`",
    label = "not `async fn(&{State}, &mut {Tx}, {E}) -> Result<(), HandlerError>`",
    note = "a handler takes its state first, then the transaction and the event in its envelope, and returns `Result<(), HandlerError>`"
)]
pub trait StateHandlerFn<'a, State: 'a, Tx: 'a, E>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function.
    fn call(&self, state: &'a State, tx: &'a mut Tx, event: E) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<'a, State: 'a, Tx: 'a, E, F, Fut> StateHandlerFn<'a, State, Tx, E> for F
where
    F: Fn(&'a State, &'a mut Tx, E) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, state: &'a State, tx: &'a mut Tx, event: E) -> Fut {
        self(state, tx, event)
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

/// The result of a call, for the effects of the same message.
pub(crate) type CallResult = Arc<dyn Any + Send + Sync>;

pub(crate) type Calling<'a> = BoxFuture<'a, Result<CallResult, HandlerError>>;

/// Returns a future with the error of an unreadable argument.
pub(crate) fn refused<'a>(error: HandlerError) -> Handling<'a> {
    Box::pin(std::future::ready(Err(error)))
}

/// A message for a handler.
pub(crate) struct Given<'a> {
    pub(crate) message: &'a Message,
    pub(crate) meta: Meta,
    pub(crate) info: DeliveryInfo,
    /// The result of its call, if its handler has two phases.
    pub(crate) called: Option<CallResult>,
}

/// A type-erased handler.
pub(crate) trait Erased<S: Store>: Send + Sync {
    /// Handles a message, and the messages behind it if the handler [takes several](Self::takes_several).
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Given<'a>, behind: Vec<Given<'a>>) -> Handling<'a>;

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
    fn call<'a>(&'a self, given: Given<'a>) -> Calling<'a>;
}

/// Reads the argument of a handler from a message, in the second of two passes.
pub(crate) trait Argument: Sized + Send + 'static {
    fn read(given: Given<'_>) -> Result<Self, HandlerError>;
}

impl<D: codec::Data> Argument for Envelope<D> {
    fn read(Given { message, meta, info, .. }: Given<'_>) -> Result<Self, HandlerError> {
        let mut envelope = codec::decode(meta, message).map_err(HandlerError::undecodable)?;
        envelope.delivery = Some(info);
        Ok(envelope)
    }
}

impl Argument for Message {
    fn read(given: Given<'_>) -> Result<Self, HandlerError> {
        Ok(given.message.clone())
    }
}

pub(crate) struct Function<H, A>(pub(crate) H, pub(crate) PhantomData<fn(A)>);

impl<S: Store, A: Argument, H: for<'a> HandlerFn<'a, S::Tx, A>> Erased<S> for Function<H, A> {
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Given<'a>, _: Vec<Given<'a>>) -> Handling<'a> {
        match A::read(first) {
            Ok(argument) => Box::pin(self.0.call(tx, argument)),
            Err(error) => refused(error),
        }
    }
}

pub(crate) struct WithState<State, H, A>(pub(crate) Arc<State>, pub(crate) H, pub(crate) PhantomData<fn(A)>);

impl<S, State, A, H> Erased<S> for WithState<State, H, A>
where
    S: Store,
    State: Send + Sync + 'static,
    A: Argument,
    H: for<'a> StateHandlerFn<'a, State, S::Tx, A>,
{
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Given<'a>, _: Vec<Given<'a>>) -> Handling<'a> {
        match A::read(first) {
            Ok(argument) => Box::pin(self.1.call(&self.0, tx, argument)),
            Err(error) => refused(error),
        }
    }
}

pub(crate) struct Object<C>(pub(crate) C);

impl<S: Store, C: IdempotentConsumer<S>> Erased<S> for Object<C> {
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Given<'a>, _: Vec<Given<'a>>) -> Handling<'a> {
        match Envelope::<C::Event>::read(first) {
            Ok(event) => self.0.handle(tx, event),
            Err(error) => refused(error),
        }
    }
}
