//! A handler and what it takes.

use std::sync::Arc;

use super::function::Erased;
use crate::message::ReadVersions;
use crate::store::Store;

/// A handler of an event type.
pub(super) struct Route<S: Store> {
    pub(super) handler: Arc<dyn Erased<S>>,
    /// The topic of the events that the handler takes; a handler of messages takes those of any topic.
    pub(super) topic: Option<&'static str>,
    pub(super) reads: Reads,
}

/// The part of a message that must be readable before the handler runs.
#[derive(Clone, Copy)]
pub(super) enum Reads {
    /// The envelope, with data of these versions.
    Event(ReadVersions),
    /// The envelope, in any version.
    Json,
    /// The identity only.
    Message,
}

impl<S: Store> Clone for Route<S> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), topic: self.topic, reads: self.reads }
    }
}
