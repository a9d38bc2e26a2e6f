//! What happens to types without a handler.

/// The policy for a type without a registered handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// Ignores the message and counts it.
    #[default]
    Ignore,
    /// Stores the message as a dead letter.
    DeadLetter,
}
