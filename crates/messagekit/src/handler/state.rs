//! Handlers with a state.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use super::HandlerError;
use super::argument::{Argument, Form, Input};
use super::function::{Erased, Handling, refused};
use crate::store::Store;

/// An `async fn(&State, &mut Tx, Envelope<E>) -> Result<(), HandlerError>`.
///
/// The handler of an `Arc<A>` takes `&A` first; that of a tuple, up to four of them, takes a reference to each.
///
/// Implemented for such functions; not to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler with the state `{State}`",
    label = "not `async fn(&State, &mut {Tx}, Envelope<Event>) -> Result<(), HandlerError>`",
    note = "a state is an `Arc`, or a tuple of two to four: of an `Arc<A>` the handler takes `&A` first, of `(Arc<A>, Arc<B>)` `&A` and `&B`",
    note = "behind the state come the transaction of the consumer's store, `&mut {Tx}`, and the event in its envelope"
)]
pub trait StateHandlerFn<'a, State, Tx: 'a, A>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + 'a;

    /// Calls the function.
    fn call(&self, state: &'a State, tx: &'a mut Tx, argument: A) -> Self::Future;
}

/// Calls a macro for each form of a state, with its type and the reference to each `Arc` in it.
macro_rules! each_state {
    ($for_one:ident) => {
        $for_one!(Arc<A>, state => A state);
        $for_one!((Arc<A>, Arc<B>), state => A &state.0, B &state.1);
        $for_one!((Arc<A>, Arc<B>, Arc<C>), state => A &state.0, B &state.1, C &state.2);
        $for_one!((Arc<A>, Arc<B>, Arc<C>, Arc<D>), state => A &state.0, B &state.1, C &state.2, D &state.3);
    };
}

pub(super) use each_state;

/// Passes a state to a function: one reference for each `Arc`.
macro_rules! passes {
    ($State:ty, $state:ident => $($One:ident $one:expr),+) => {
        #[diagnostic::do_not_recommend]
        impl<'a, $($One: ?Sized + 'a,)+ Tx: 'a, Arg: Form, F, Fut> StateHandlerFn<'a, $State, Tx, Arg> for F
        where
            F: Fn($(&'a $One,)+ &'a mut Tx, Arg) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), HandlerError>> + 'a,
        {
            type Future = Fut;

            fn call(&self, $state: &'a $State, tx: &'a mut Tx, argument: Arg) -> Fut {
                self($($one,)+ tx, argument)
            }
        }
    };
}

each_state!(passes);

pub(crate) struct WithState<State, H, A>(pub(crate) State, pub(crate) H, pub(crate) PhantomData<fn(A)>);

impl<S, State, A, H> Erased<S> for WithState<State, H, A>
where
    S: Store,
    State: Send + Sync + 'static,
    A: Argument,
    H: for<'a> StateHandlerFn<'a, State, S::Tx, A, Future: Send>,
{
    fn call<'a>(&'a self, tx: &'a mut S::Tx, first: Input<'a>, _: Vec<Input<'a>>) -> Handling<'a> {
        match A::read(first) {
            Ok(argument) => Box::pin(self.1.call(&self.0, tx, argument)),
            Err(error) => refused(error),
        }
    }
}
