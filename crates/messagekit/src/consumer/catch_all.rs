//! A handler that takes every message unread.

use super::Erased;
use crate::store::Store;
use crate::{Message, MessageId, Position};

/// A handler of every message, including messages without an id or type.
pub(crate) trait TakesAll<S: Store>: Erased<S> {
    /// Returns the id for the claim of a message. Messages with equal ids are duplicates.
    fn name(&self, message: &Message, position: Option<&Position>) -> MessageId;
}
