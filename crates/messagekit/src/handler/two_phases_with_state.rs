//! Handlers in two phases, with a state.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use super::HandlerError;
use super::argument::{Argument, Input};
use super::function::{Calling, Erased, FirstPhase, Handling, refused};
use super::state::each_state;
use super::two_phases::{made, read};
use crate::store::Store;

/// An `async fn(&State, Envelope<E>) -> Result<R, HandlerError>`: the call of a handler in two phases, with a state.
///
/// The state reaches it as in [`StateHandlerFn`](super::StateHandlerFn). Implemented for such functions; not to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a call for `{E}` with the state `{State}`",
    label = "not `async fn(&State, {E}) -> Result<{R}, HandlerError>`",
    note = "a state is an `Arc`, or a tuple of two to four: of an `Arc<A>` the function takes `&A` first, of `(Arc<A>, Arc<B>)` `&A` and `&B`",
    note = "a call takes its state, then the event in its envelope, and no transaction; its result goes to the effects"
)]
pub trait StateCallFn<'a, State, E, R>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<R, HandlerError>> + Send + 'a;

    /// Calls the function.
    fn call(&self, state: &'a State, event: E) -> Self::Future;
}

/// An `async fn(&State, &mut Tx, Envelope<E>, &R) -> Result<(), HandlerError>`: the effects of a handler in two phases, with a
/// state.
///
/// The state reaches it as in [`StateHandlerFn`](super::StateHandlerFn). Implemented for such functions; not to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the effects of `{E}` with the state `{State}` and the result `{R}` of a call",
    label = "not `async fn(&State, &mut {Tx}, {E}, &{R}) -> Result<(), HandlerError>`",
    note = "a state is an `Arc`, or a tuple of two to four: of an `Arc<A>` the function takes `&A` first, of `(Arc<A>, Arc<B>)` `&A` and `&B`",
    note = "effects take the state first, then the transaction, the event in its envelope and a reference to what the call returned"
)]
pub trait StateEffectsFn<'a, State, Tx: 'a, E, R: 'a>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function.
    fn call(&self, state: &'a State, tx: &'a mut Tx, event: E, result: &'a R) -> Self::Future;
}

/// Passes a state to both functions: one reference for each `Arc`.
macro_rules! passes {
    ($State:ty, $state:ident => $($One:ident $one:expr),+) => {
        #[diagnostic::do_not_recommend]
        impl<'a, $($One: ?Sized + 'a,)+ E, R, F, Fut> StateCallFn<'a, $State, E, R> for F
        where
            F: Fn($(&'a $One,)+ E) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R, HandlerError>> + Send + 'a,
        {
            type Future = Fut;

            fn call(&self, $state: &'a $State, event: E) -> Fut {
                self($($one,)+ event)
            }
        }

        #[diagnostic::do_not_recommend]
        impl<'a, $($One: ?Sized + 'a,)+ Tx: 'a, E, R: 'a, F, Fut> StateEffectsFn<'a, $State, Tx, E, R> for F
        where
            F: Fn($(&'a $One,)+ &'a mut Tx, E, &'a R) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), HandlerError>> + Send + 'a,
        {
            type Future = Fut;

            fn call(&self, $state: &'a $State, tx: &'a mut Tx, event: E, result: &'a R) -> Fut {
                self($($one,)+ tx, event, result)
            }
        }
    };
}

each_state!(passes);

pub(crate) struct TwoPhasesWithState<State, C, H, A, R>(
    pub(crate) State,
    pub(crate) C,
    pub(crate) H,
    pub(crate) PhantomData<fn(A) -> R>,
);

impl<S, State, A, R, C, H> Erased<S> for TwoPhasesWithState<State, C, H, A, R>
where
    S: Store,
    State: Send + Sync + 'static,
    A: Argument,
    R: Send + Sync + 'static,
    C: for<'a> StateCallFn<'a, State, A, R>,
    H: for<'a> StateEffectsFn<'a, State, S::Tx, A, R>,
{
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Input<'a>, _: Vec<Input<'a>>) -> Handling<'a> {
        match read::<A, R>(first) {
            Ok((argument, result)) => {
                Box::pin(async move { self.2.call(&self.0, tx, argument, &result).await })
            }
            Err(error) => refused(error),
        }
    }

    fn first_phase(&self) -> Option<&dyn FirstPhase> {
        Some(self)
    }
}

impl<State, A, R, C, H> FirstPhase for TwoPhasesWithState<State, C, H, A, R>
where
    State: Send + Sync + 'static,
    A: Argument,
    R: Send + Sync + 'static,
    C: for<'a> StateCallFn<'a, State, A, R>,
    H: Send + Sync,
{
    fn call<'a>(&'a self, input: Input<'a>) -> Calling<'a> {
        Box::pin(made(input, |argument: A| self.1.call(&self.0, argument)))
    }
}
