//! Reading an event outside of a handler.

use super::identity::identify;
use super::{Envelope, codec};
use crate::store::Failure;
use crate::{Error, ErrorKind, Event, Message};

impl<E: Event> Envelope<E> {
    /// Reads an event from a message as a consumer does, for code outside of a handler: a test that looks at an outbox, or a
    /// handler of raw messages.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] with the reason why a consumer would set the message aside: it has no id, it is of another
    /// type or of a version that the event does not read, or its data does not fit. A retry does not help.
    pub fn decode(message: &Message) -> Result<Self, Error> {
        let refused =
            |failure: Failure| Error::new(ErrorKind::Undecodable, failure.error).with("event_type", E::TYPE);
        let meta = identify(message).map_err(|unusable| refused(unusable.0))?;
        if meta.event_type != E::TYPE {
            let text = format!("message is of another type: {}", meta.event_type);
            return Err(Error::new(ErrorKind::Undecodable, text).with("event_type", E::TYPE));
        }
        codec::decode(meta, message)
    }
}
