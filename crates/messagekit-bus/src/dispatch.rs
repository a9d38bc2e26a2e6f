//! What the hooks of a bus see.

use std::fmt;

use messagekit::{HandlerError, MessageId};

/// A moment of a dispatch, without the data of its event.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Dispatch<'a> {
    /// The type of the event.
    pub event_type: &'a str,
    /// The id of the event.
    pub event_id: &'a MessageId,
    /// The path of the listener's function, or `outbox`; `None` if none is called.
    pub listener: Option<&'static str>,
    /// What happens.
    pub stage: DispatchStage<'a>,
}

/// A moment of a dispatch. [`Display`](fmt::Display) writes one word.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum DispatchStage<'a> {
    /// A listener is called. Nothing follows if it panics or the dispatch is dropped.
    Begins,
    /// A listener returned without an error. The transaction is still open, and may be rolled back.
    Done,
    /// A listener returned an error, and those behind it are not called.
    Failed(&'a HandlerError),
    /// The event has no listener.
    NoListener,
    /// The bus is switched off, and no listener is called.
    Disabled,
}

impl fmt::Display for DispatchStage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begins => "begins",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::NoListener => "no_listener",
            Self::Disabled => "disabled",
        })
    }
}
