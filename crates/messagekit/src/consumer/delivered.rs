//! What became of a message.

use crate::store::Failure;

/// What became of a message that was [delivered](crate::Consumer::deliver) or [observed](crate::ConsumerBuilder::observe).
#[must_use = "a message that waits has to be delivered again"]
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Its handler ran, and its effects are committed.
    Handled,
    /// It was applied, set aside or discarded before: no handler ran.
    Duplicate,
    /// No handler takes its type.
    Ignored,
    /// It was kept without a run of its handler: it waits behind an earlier failed message of its key. Only
    /// [observers](crate::ConsumerBuilder::observe) see it, because a message that a program hands over has no place in a log.
    Parked,
    /// It could not be applied, nothing of its handler was kept, and it is a failed message now.
    Failed(Failure),
    /// It could not be applied, and nothing was kept: deliver it again later. A dependency is
    /// [unavailable](crate::HandlerError::unavailable), or the policy is [`OnFailure::Block`](crate::OnFailure::Block).
    Waits(Failure),
}

impl Delivered {
    /// Returns whether the message is finished for its sender: every outcome but [`Waits`](Self::Waits).
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Waits(_))
    }

    /// Returns why it could not be applied.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Waits(failure) => Some(failure),
            Self::Handled | Self::Duplicate | Self::Ignored | Self::Parked => None,
        }
    }
}
