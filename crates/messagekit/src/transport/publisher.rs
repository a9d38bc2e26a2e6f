//! Publishing messages to a broker or log.

use std::fmt;
use std::sync::Arc;

use crate::store::BoxFuture;
use crate::{Error, Message};

/// The reason why a message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublishErrorKind {
    /// The broker never accepts the message: it is too large, its topic does not exist, or access is forbidden.
    Rejected,
    /// The broker does not answer or accepts nothing at the moment. Nothing was published.
    Unavailable,
    /// A queue is full. Other queues that receive the same message may have accepted it, and each repetition adds a copy there:
    /// wait longer before each attempt.
    Full,
    /// Not attempted, because an earlier message of its key failed.
    KeyBlocked,
    /// The broker's answer was lost. The message may be published or not.
    Unknown,
}

crate::__words! {
    PublishErrorKind {
        Rejected: "rejected",
        Unavailable: "unavailable",
        Full: "full",
        KeyBlocked: "key_blocked",
        Unknown: "unknown",
    }
}

/// The failure of one message of a batch.
#[derive(Clone, Debug)]
pub struct PublishError {
    /// The kind of failure, which decides what the caller can do.
    pub refusal: PublishErrorKind,
    /// The error of the broker or its client.
    pub error: Error,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.refusal {
            PublishErrorKind::Rejected => "publish rejected",
            PublishErrorKind::Unavailable => "publish unavailable",
            PublishErrorKind::Full => "publish refused by a full queue",
            PublishErrorKind::KeyBlocked => "publish not attempted",
            PublishErrorKind::Unknown => "publish with unknown outcome",
        })
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The result of publishing one message.
pub type Published = Result<(), PublishError>;

/// Publishes batches of messages.
pub trait Publisher: Send + Sync {
    /// Publishes messages and returns one result per message, in input order.
    ///
    /// `Ok` means that the broker has made the message durable. Within one topic and key, the `Ok`s are a prefix. Key, headers
    /// and payload arrive unchanged. A log whose clock is a database adds the header `createdAt` where it is missing.
    ///
    /// # Cancel safety
    /// If the future is dropped, the outcome of every message of the batch is unknown.
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>>;

    /// Returns the maximum size of a payload in bytes.
    fn max_bytes(&self) -> usize;

    /// Returns the kind of broker as spans name it, such as `kafka`. The default is `messagekit`, for logs of its own.
    fn system(&self) -> &'static str {
        "messagekit"
    }
}

impl<P: Publisher + ?Sized> Publisher for Arc<P> {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        (**self).publish(batch)
    }

    fn max_bytes(&self) -> usize {
        (**self).max_bytes()
    }

    fn system(&self) -> &'static str {
        (**self).system()
    }
}
