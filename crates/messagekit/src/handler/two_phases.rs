//! Handlers in two phases: a call to another service outside of any transaction, then effects that get its result.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use super::HandlerError;
use super::argument::{Argument, CallResult, Input};
use super::function::{Calling, Erased, FirstPhase, Handling, refused};
use crate::store::Store;

/// An `async fn(Envelope<E>) -> Result<R, HandlerError>`: the call of a handler in two phases.
///
/// Implemented for such functions, and for closures that return a future; not to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a call for `{E}`",
    label = "not `async fn({E}) -> Result<{R}, HandlerError>`",
    note = "a call takes the event in its envelope, and no transaction; its result goes to the effects"
)]
pub trait CallFn<E, R>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<R, HandlerError>> + Send + 'static;

    /// Calls the function.
    fn call(&self, event: E) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<E, R, F, Fut> CallFn<E, R> for F
where
    F: Fn(E) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
{
    type Future = Fut;

    fn call(&self, event: E) -> Fut {
        self(event)
    }
}

/// An `async fn(&mut Tx, Envelope<E>, &R) -> Result<(), HandlerError>`: the effects of a handler in two phases.
///
/// Implemented for such functions; not to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the effects of `{E}` with the result `{R}` of a call",
    label = "not `async fn(&mut {Tx}, {E}, &{R}) -> Result<(), HandlerError>`",
    note = "effects take the transaction first, then the event in its envelope and a reference to what the call returned"
)]
pub trait EffectsFn<'a, Tx: 'a, E, R: 'a>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function.
    fn call(&self, tx: &'a mut Tx, event: E, result: &'a R) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<'a, Tx: 'a, E, R: 'a, F, Fut> EffectsFn<'a, Tx, E, R> for F
where
    F: Fn(&'a mut Tx, E, &'a R) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, tx: &'a mut Tx, event: E, result: &'a R) -> Fut {
        self(tx, event, result)
    }
}

/// Reads the argument of the effects and the result of the call.
pub(super) fn read<A: Argument, R: Send + Sync + 'static>(
    mut input: Input<'_>,
) -> Result<(A, Arc<R>), HandlerError> {
    let result = input.called.take().and_then(|result| result.downcast::<R>().ok());
    // The consumer makes the call of a message before the transaction of its effects.
    let result = result.ok_or_else(|| HandlerError::retryable("the effects came before the call"))?;
    Ok((A::read(input)?, result))
}

/// Reads the argument of the call, and makes it.
pub(super) async fn made<A: Argument, R, Fut>(
    input: Input<'_>,
    call: impl FnOnce(A) -> Fut,
) -> Result<CallResult, HandlerError>
where
    R: Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>>,
{
    Ok(Arc::new(call(A::read(input)?).await?))
}

pub(crate) struct TwoPhases<C, H, A, R>(pub(crate) C, pub(crate) H, pub(crate) PhantomData<fn(A) -> R>);

impl<S, A, R, C, H> Erased<S> for TwoPhases<C, H, A, R>
where
    S: Store,
    A: Argument,
    R: Send + Sync + 'static,
    C: CallFn<A, R>,
    H: for<'a> EffectsFn<'a, S::Tx, A, R>,
{
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Input<'a>, _: Vec<Input<'a>>) -> Handling<'a> {
        match read::<A, R>(first) {
            Ok((argument, result)) => Box::pin(async move { self.1.call(tx, argument, &result).await }),
            Err(error) => refused(error),
        }
    }

    fn first_phase(&self) -> Option<&dyn FirstPhase> {
        Some(self)
    }
}

impl<A, R, C, H> FirstPhase for TwoPhases<C, H, A, R>
where
    A: Argument,
    R: Send + Sync + 'static,
    C: CallFn<A, R>,
    H: Send + Sync,
{
    fn call<'a>(&'a self, input: Input<'a>) -> Calling<'a> {
        Box::pin(made(input, |argument: A| self.0.call(argument)))
    }
}
