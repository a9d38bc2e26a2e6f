//! Taking every message as it is.

use super::Erased;
use crate::store::Store;
use crate::{Message, MessageId, Position};

/// A handler of every message, whatever it says about itself, also without id or type.
pub(crate) trait TakesAll<S: Store>: Erased<S> {
    /// Names a message for its claim: two messages of one name are the same one.
    fn name(&self, message: &Message, position: Option<&Position>) -> MessageId;
}
