//! Handlers that take several events in one call.

use std::marker::PhantomData;

use super::argument::{Argument, Input};
use super::function::{Erased, Handling, refused};
use super::{HandlerError, HandlerFn, StateHandlerFn};
use crate::store::Store;

/// Reads all messages. An error names the message that cannot be read.
fn read<A: Argument>(first: Input<'_>, behind: Vec<Input<'_>>) -> Result<Vec<A>, HandlerError> {
    let inputs = std::iter::once(first).chain(behind).enumerate();
    inputs.map(|(index, input)| A::read(input).map_err(|error| error.at(index))).collect()
}

pub(crate) struct Several<H, A>(pub(crate) H, pub(crate) PhantomData<fn(A)>);

impl<S: Store, A: Argument, H: for<'a> HandlerFn<'a, S::Tx, Vec<A>, Future: Send>> Erased<S>
    for Several<H, A>
{
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Input<'a>, behind: Vec<Input<'a>>) -> Handling<'a> {
        match read(first, behind) {
            Ok(arguments) => Box::pin(self.0.call(tx, arguments)),
            Err(error) => refused(error),
        }
    }

    fn takes_several(&self) -> bool {
        true
    }
}

pub(crate) struct SeveralWithState<State, H, A>(
    pub(crate) State,
    pub(crate) H,
    pub(crate) PhantomData<fn(A)>,
);

impl<S, State, A, H> Erased<S> for SeveralWithState<State, H, A>
where
    S: Store,
    State: Send + Sync + 'static,
    A: Argument,
    H: for<'a> StateHandlerFn<'a, State, S::Tx, Vec<A>, Future: Send>,
{
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Input<'a>, behind: Vec<Input<'a>>) -> Handling<'a> {
        match read(first, behind) {
            Ok(arguments) => Box::pin(self.1.call(&self.0, tx, arguments)),
            Err(error) => refused(error),
        }
    }

    fn takes_several(&self) -> bool {
        true
    }
}
