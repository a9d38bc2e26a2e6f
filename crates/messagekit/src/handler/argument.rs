//! What a handler takes after its transaction.

use std::any::Any;
use std::sync::Arc;

use super::HandlerError;
use crate::Event;
use crate::message::{DeliveryInfo, Envelope, Message, Meta, codec};

/// The result of a call, for the effects of the same message.
pub(crate) type CallResult = Arc<dyn Any + Send + Sync>;

/// A message for a handler.
#[derive(Debug)]
pub struct Given<'a> {
    pub(crate) message: &'a Message,
    pub(crate) meta: Meta,
    pub(crate) info: DeliveryInfo,
    /// The result of its call, if its handler has two phases.
    pub(crate) called: Option<CallResult>,
}

/// Reads the argument of a handler from a message, in the second of two passes.
pub trait Argument: Sized + Send + 'static {
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

/// The forms that an argument can have, whatever is in them: a function of another form is no handler, but may be a known mistake.
pub trait Form {}

impl<D> Form for Envelope<D> {}
impl<D> Form for Vec<Envelope<D>> {}
impl Form for Message {}

/// The argument of a handler of events: the [`Envelope`] of one.
///
/// Not to be implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`on` takes no handlers of `{Self}`",
    label = "not `async fn(&mut Tx, Envelope<Event>) -> Result<(), HandlerError>`",
    note = "a handler of several events per call goes to `on_batch`, one of a `Message` to `on_message`, and one of JSON to `on_json`"
)]
pub trait EventArgument: Argument {
    /// The event in it.
    type Event: Event;
}

impl<E: Event> EventArgument for Envelope<E> {
    type Event = E;
}
