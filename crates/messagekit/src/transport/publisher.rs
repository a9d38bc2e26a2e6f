//! Sending messages to a broker or log.

use std::fmt;

use crate::store::BoxFuture;
use crate::{Error, Message};

/// Why a message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublishErrorKind {
    /// The broker will never take it: too large, no such topic, forbidden.
    Rejected,
    /// The broker did not answer or takes nothing at the moment: nothing was published.
    Unavailable,
    /// A queue has no room. Others that get the same message may have taken it, and take a copy with each repetition: wait
    /// longer before each.
    Full,
    /// Not attempted, because an earlier message of its key failed.
    KeyBlocked,
    /// The answer was lost: it may be published or not.
    Unknown,
}

/// The failure of one message of a batch.
#[derive(Clone, Debug)]
pub struct PublishError {
    /// What the caller can do.
    pub refusal: PublishErrorKind,
    /// What was said.
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

/// The result of one message.
pub type Published = Result<(), PublishError>;

/// Publishes batches.
pub trait Publisher: Send + Sync {
    /// Publishes messages and answers one result per message, in input order.
    ///
    /// `Ok` means that the broker made it durable. Inside one (topic, key) the `Ok`s are a prefix. Key, headers and payload
    /// arrive unchanged; a log whose clock is a database adds the header `createdAt` where there is none.
    ///
    /// # Cancel safety
    /// Dropping the future leaves every message of the batch unknown.
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>>;

    /// Returns the largest payload it takes, in bytes.
    fn max_bytes(&self) -> usize;
}
