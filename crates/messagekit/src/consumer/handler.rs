//! The interface for handlers and their errors.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use crate::message::{DeliveryInfo, Envelope, Message, Meta, codec};
use crate::store::{BoxFuture, Store};
use crate::{Event, chain};

/// The reason why a handler did not apply a message.
///
/// Any error converts by `?`. An error that the store classifies as an outage or a lock conflict pauses the consumer; any other
/// error is retried. Return [`permanent`](Self::permanent) if a retry is useless.
///
/// A text converts through a constructor: `Err(HandlerError::retryable("no such account"))`.
///
/// ```
/// use messagekit::HandlerError;
///
/// fn parse(amount: &str) -> Result<i64, HandlerError> {
///     amount.parse().map_err(HandlerError::permanent)
/// }
/// assert!(parse("a lot").is_err());
/// ```
pub struct HandlerError {
    pub(super) class: Class,
    pub(super) source: Box<dyn StdError + Send + Sync>,
    /// The index of the event that failed, among several.
    pub(super) culprit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The store classifies it.
    Unclassified,
    Retryable,
    Permanent,
    Unavailable,
    /// The payload does not match the type that the handler takes.
    Undecodable,
}

impl HandlerError {
    /// Creates an error that may pass: the message is retried after a wait, and dead after the last attempt.
    pub fn retryable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { class: Class::Retryable, source: error.into(), culprit: None }
    }

    /// Creates an error that no retry cures: the message is dead at once.
    pub fn permanent(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { class: Class::Permanent, source: error.into(), culprit: None }
    }

    /// Creates an error for an unavailable dependency: the lane pauses and the message loses no attempt. After
    /// [`unavailable_limit`](crate::ConsumerBuilder::unavailable_limit) the message is parked and its lane continues.
    pub fn unavailable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { class: Class::Unavailable, source: error.into(), culprit: None }
    }

    /// Sets the index, counted from 0, of the event that a handler of several events could not apply: that event is set aside
    /// at once. Without it, the batch is halved until the failing event is alone.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        self.culprit = Some(index);
        self
    }

    fn undecodable(error: crate::Error) -> Self {
        Self { class: Class::Undecodable, source: Box::new(error), culprit: None }
    }
}

/// `HandlerError` does not implement [`std::error::Error`], so every error converts by `?`.
impl<E: StdError + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { class: Class::Unclassified, source: Box::new(error), culprit: None }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self.source.as_ref()))
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandlerError({:?}: {self})", self.class)
    }
}

/// An `async fn(&mut Tx, Envelope<E>) -> Result<(), HandlerError>`.
///
/// Implemented for such functions; not to be implemented by hand.
pub trait HandlerFn<'a, Tx: 'a, E>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function.
    fn call(&self, tx: &'a mut Tx, event: E) -> Self::Future;
}

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
pub trait StateHandlerFn<'a, State: 'a, Tx: 'a, E>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function.
    fn call(&self, state: &'a State, tx: &'a mut Tx, event: E) -> Self::Future;
}

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

/// Returns a future with the error of an unreadable argument.
pub(super) fn refused<'a>(error: HandlerError) -> Handling<'a> {
    Box::pin(std::future::ready(Err(error)))
}

/// A message for a handler.
pub(crate) struct Given<'a> {
    pub(crate) message: &'a Message,
    pub(crate) meta: Meta,
    pub(crate) info: DeliveryInfo,
}

/// A type-erased handler.
pub(crate) trait Erased<S: Store>: Send + Sync {
    /// Handles a message, and the messages behind it if the handler [takes several](Self::takes_several).
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Given<'a>, behind: Vec<Given<'a>>) -> Handling<'a>;

    /// Returns whether one call may handle more than one message.
    fn takes_several(&self) -> bool {
        false
    }
}

/// Reads the argument of a handler from a message, in the second of two passes.
pub(super) trait Argument: Sized + Send + 'static {
    fn read(given: Given<'_>) -> Result<Self, HandlerError>;
}

impl<E: DeserializeOwned + Send + 'static> Argument for Envelope<E> {
    fn read(Given { message, meta, info }: Given<'_>) -> Result<Self, HandlerError> {
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

pub(super) struct Function<H, A>(pub(super) H, pub(super) PhantomData<fn(A)>);

impl<S: Store, A: Argument, H: for<'a> HandlerFn<'a, S::Tx, A>> Erased<S> for Function<H, A> {
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Given<'a>, _: Vec<Given<'a>>) -> Handling<'a> {
        match A::read(first) {
            Ok(argument) => Box::pin(self.0.call(tx, argument)),
            Err(error) => refused(error),
        }
    }
}

pub(super) struct WithState<State, H, A>(pub(super) Arc<State>, pub(super) H, pub(super) PhantomData<fn(A)>);

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

pub(super) struct Object<C>(pub(super) C);

impl<S: Store, C: IdempotentConsumer<S>> Erased<S> for Object<C> {
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Given<'a>, _: Vec<Given<'a>>) -> Handling<'a> {
        match Envelope::<C::Event>::read(first) {
            Ok(event) => self.0.handle(tx, event),
            Err(error) => refused(error),
        }
    }
}
