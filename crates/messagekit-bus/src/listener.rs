//! Listeners without the types of their events.

use std::any::{Any, type_name};
use std::marker::PhantomData;

use messagekit::adapter::{BoxFuture, OutboxRows};
use messagekit::handler::{HandlerFn, StateHandlerFn};
use messagekit::{Envelope, Event, HandlerError, Outbox, Store};

type Handling<'a> = BoxFuture<'a, Result<(), HandlerError>>;

/// A listener of one type of event.
pub(super) trait Listener<S: Store>: Send + Sync {
    /// Returns its name for hooks.
    fn name(&self) -> &'static str;

    /// Calls it with an `Envelope` of its event.
    fn call<'a>(&'a self, tx: &'a mut S::Tx, event: &'a (dyn Any + Send + Sync)) -> Handling<'a>;
}

/// A clone of an event: each listener may change its own.
fn own<E: Event + Clone>(event: &(dyn Any + Send + Sync)) -> Envelope<E> {
    event.downcast_ref::<Envelope<E>>().expect("a bus keeps listeners by the type of their event").clone()
}

pub(super) struct Function<H, E>(pub(super) H, pub(super) PhantomData<fn(E)>);

impl<S: Store, E, H> Listener<S> for Function<H, E>
where
    E: Event + Clone,
    H: for<'a> HandlerFn<'a, S::Tx, Envelope<E>, Future: Send>,
{
    fn name(&self) -> &'static str {
        type_name::<H>()
    }

    fn call<'a>(&'a self, tx: &'a mut S::Tx, event: &'a (dyn Any + Send + Sync)) -> Handling<'a> {
        Box::pin(self.0.call(tx, own(event)))
    }
}

pub(super) struct WithState<State, H, E>(pub(super) State, pub(super) H, pub(super) PhantomData<fn(E)>);

impl<S: Store, State, E, H> Listener<S> for WithState<State, H, E>
where
    State: Send + Sync + 'static,
    E: Event + Clone,
    H: for<'a> StateHandlerFn<'a, State, S::Tx, Envelope<E>, Future: Send>,
{
    fn name(&self) -> &'static str {
        type_name::<H>()
    }

    fn call<'a>(&'a self, tx: &'a mut S::Tx, event: &'a (dyn Any + Send + Sync)) -> Handling<'a> {
        Box::pin(self.1.call(&self.0, tx, own(event)))
    }
}

pub(super) struct ToOutbox<S, E>(pub(super) Outbox<S>, pub(super) PhantomData<fn(E)>);

impl<S: OutboxRows, E: Event + Clone> Listener<S> for ToOutbox<S, E> {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn call<'a>(&'a self, tx: &'a mut S::Tx, event: &'a (dyn Any + Send + Sync)) -> Handling<'a> {
        Box::pin(async move {
            self.0.add(tx, own::<E>(event)).await?;
            Ok(())
        })
    }
}
