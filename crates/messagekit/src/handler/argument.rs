//! What a handler takes after its transaction.

use std::any::Any;
use std::sync::Arc;

use tokio::time::Instant;

use super::HandlerError;
use crate::Event;
use crate::message::{DeliveryInfo, Envelope, Message, Meta, codec};
use crate::store::ReceivedMessage;

/// The result of a call, for the effects of the same message.
pub(crate) type CallResult = Arc<dyn Any + Send + Sync>;

/// A message for a handler.
#[derive(Debug)]
pub struct Input<'a> {
    pub(crate) received: &'a ReceivedMessage,
    pub(crate) meta: &'a Meta,
    /// Without a deadline until the handler starts.
    pub(crate) info: DeliveryInfo,
    /// The result of its call, if its handler has two phases.
    pub(crate) called: Option<CallResult>,
}

impl<'a> Input<'a> {
    /// `attempt` is the number of the handler's run.
    pub(crate) fn new(received: &'a ReceivedMessage, meta: &'a Meta, attempt: u32) -> Self {
        let (headers, position) = (received.message.headers.clone(), received.position.clone());
        Self {
            received,
            meta,
            info: DeliveryInfo { attempt, headers, position, deadline: None },
            called: None,
        }
    }

    /// Sets when its handler, which starts now, has to be done.
    pub(crate) fn starts(&mut self, deadline: Instant) {
        self.info.deadline = Some(deadline);
    }
}

/// Reads the argument of a handler from a message, in the second of two passes.
pub trait Argument: Sized + Send + 'static {
    fn read(input: Input<'_>) -> Result<Self, HandlerError>;
}

impl<D: codec::Data> Argument for Envelope<D> {
    fn read(Input { received, meta, info, .. }: Input<'_>) -> Result<Self, HandlerError> {
        let mut envelope =
            codec::decode(meta.clone(), &received.message).map_err(HandlerError::undecodable)?;
        envelope.delivery = Some(info);
        Ok(envelope)
    }
}

impl Argument for Message {
    fn read(input: Input<'_>) -> Result<Self, HandlerError> {
        Ok(input.received.message.clone())
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
