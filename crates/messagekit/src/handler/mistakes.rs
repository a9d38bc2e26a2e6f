//! Functions that are almost handlers, as types, so that the compiler names the mistake.
//!
//! A function is a [`HandlerFn`] of the argument that it takes, or of the mistake that it makes. No value of a mistake exists,
//! and the trait that it would need to be an [`EventArgument`] is implemented for nothing: its text is what the user reads.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use super::HandlerError;
use super::argument::{Argument, EventArgument, Input};
use super::function::HandlerFn;
use super::state::{StateHandlerFn, each_state};
use crate::Event;
use crate::message::Envelope;

/// Implemented for nothing, so that what it promises is never asked for.
pub trait Never {
    fn never<T>() -> T;
}

/// Declares a mistake, and the trait that explains it.
macro_rules! mistake {
    ($(#[$text:meta])+ $Explained:ident, $Mistake:ident<$($T:ident),+> of $Said:ident) => {
        $(#[$text])+
        pub trait $Explained: Never {}

        #[derive(Debug)]
        pub struct $Mistake<$($T),+>(Infallible, PhantomData<fn() -> ($($T,)+)>);

        impl<$($T: 'static),+> Argument for $Mistake<$($T),+>
        where
            $Said: $Explained,
        {
            fn read(_: Input<'_>) -> Result<Self, HandlerError> {
                $Said::never()
            }
        }
    };
}

mistake! {
    #[diagnostic::on_unimplemented(
        message = "the handler takes `{Self}` without its envelope",
        label = "the handler has to take `Envelope<{Self}>`",
        note = "the envelope has the metadata of the event: its id, its time and its trace; the event is its field `data`"
    )]
    InEnvelope, NoEnvelope<E> of E
}

impl<E: Event + InEnvelope> EventArgument for NoEnvelope<E> {
    type Event = E;
}

mistake! {
    #[diagnostic::on_unimplemented(
        message = "the handler takes its arguments in the wrong order",
        label = "the handler has to take the transaction first, then `Envelope<{Self}>`"
    )]
    BehindTransaction, Swapped<E> of E
}

impl<E: Event + BehindTransaction> EventArgument for Swapped<E> {
    type Event = E;
}

mistake! {
    #[diagnostic::on_unimplemented(
        message = "the handler takes no transaction",
        label = "the handler has to take the transaction first, then `Envelope<{Self}>`",
        note = "its effects are written in this transaction, together with the mark that the event was applied"
    )]
    InTransaction, NoTransaction<E> of E
}

impl<E: Event + InTransaction> EventArgument for NoTransaction<E> {
    type Event = E;
}

mistake! {
    #[diagnostic::on_unimplemented(
        message = "the handler takes a state, `&{Self}`, and `on` has none to give",
        label = "use `on_with(state, handler)`, with an `Arc<{Self}>` as the state"
    )]
    GivenByOn, NeedsState<State, E> of State
}

impl<State: GivenByOn + 'static, E: Event> EventArgument for NeedsState<State, E> {
    type Event = E;
}

mistake! {
    #[diagnostic::on_unimplemented(
        message = "the handler of `{Self}` takes no state, and `on_with` gives it one",
        label = "use `on(handler)`, or take the state as the first argument"
    )]
    TakesState, NeedsNoState<E> of E
}

impl<E: Event + TakesState> EventArgument for NeedsNoState<E> {
    type Event = E;
}

/// Declares which function makes a mistake. No such function is ever called: its argument does not exist.
macro_rules! makes {
    ([$($parameters:tt)+] ($($taken:ty),+), $Mistake:ty, $HandlerFn:path, ($($given:ty),+)) => {
        #[diagnostic::do_not_recommend]
        impl<'a, $($parameters)+, F, Fut> $HandlerFn for F
        where
            F: Fn($($taken),+) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), HandlerError>> + 'a,
        {
            type Future = Fut;

            fn call(&self, $(_: $given,)+ mistake: $Mistake) -> Fut {
                match mistake.0 {}
            }
        }
    };
    ([$($parameters:tt)+] ($($taken:ty),+) is $Mistake:ty) => {
        makes!([Tx: 'a, $($parameters)+] ($($taken),+), $Mistake, HandlerFn<'a, Tx, $Mistake>, (&'a mut Tx));
    };
    ([$($parameters:tt)+] ($($taken:ty),+) with $State:ty, is $Mistake:ty) => {
        makes!(
            [Tx: 'a, $($parameters)+]
            ($($taken),+), $Mistake, StateHandlerFn<'a, $State, Tx, $Mistake>, (&'a $State, &'a mut Tx)
        );
    };
}

makes!([E: Event] (&'a mut Tx, E) is NoEnvelope<E>);
makes!([E: 'a] (Envelope<E>, &'a mut Tx) is Swapped<E>);
makes!([E: 'a] (Envelope<E>) is NoTransaction<E>);
makes!([State: 'a, E: 'a] (&'a State, &'a mut Tx, Envelope<E>) is NeedsState<State, E>);
makes!([State: 'a, E: Event] (&'a State, &'a mut Tx, E) with Arc<State>, is NoEnvelope<E>);

macro_rules! needs_no_state {
    ($State:ty, $state:ident => $($One:ident $one:expr),+) => {
        makes!([$($One: 'a,)+ E: 'a] (&'a mut Tx, Envelope<E>) with $State, is NeedsNoState<E>);
    };
}

each_state!(needs_no_state);
