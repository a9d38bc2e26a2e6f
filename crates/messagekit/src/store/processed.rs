//! Processed markers, which make effects happen once.

use std::sync::Arc;

use bytes::Bytes;

use crate::MessageId;

/// The data of a message that a claim needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The message.
    pub id: MessageId,
    /// Its topic.
    pub topic: Arc<str>,
    /// Its key, if the message must not pass earlier messages of its topic and key. The claim then also checks whether the key
    /// is blocked.
    pub key: Option<Bytes>,
    /// 0, or a greater number while a range is reprocessed.
    pub generation: i32,
}

/// The result of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// The message is new: run the handler in this transaction.
    Fresh,
    /// The message was applied before.
    Done,
    /// The message is an open failed message.
    Held,
    /// The message was a failed message that an operator discarded. It is never applied.
    Discarded,
    /// The message is new, and an earlier message blocks its key. It is claimed as held: the caller stores it with
    /// [`park_behind`](super::FailedMessageRows::park_behind) in this transaction, or rolls the transaction back.
    KeyBlocked,
}
