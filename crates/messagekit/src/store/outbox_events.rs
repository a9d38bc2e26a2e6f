//! Reading the events of an outbox back.

use std::future::Future;

use super::Store;
use crate::{Error, Message};

/// Reads the events that an outbox keeps. A test asks what was written, whatever publishes it.
#[diagnostic::on_unimplemented(message = "`{Self}` has no outbox that can be read")]
pub trait OutboxEvents: Store {
    /// Returns all committed events that are kept, in the order in which they were written, each with its topic and the headers that a
    /// consumer reads; delayed events come last. It reads the whole outbox: use it where there are few events.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn outbox_events(&self) -> impl Future<Output = Result<Vec<Message>, Error>> + Send;
}
