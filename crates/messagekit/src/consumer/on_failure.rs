//! What a consumer does with a message that its handler could not apply.

/// The failure policy of a consumer. An outage is no failure: it pauses the consumer and burns nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The lane waits: the message is tried again in place with backoff until it succeeds, whatever its error (an unreadable
    /// one waits for a consumer that can read it), and everything behind it in the lane waits too. Keeps the order of each
    /// key. Only a message that has ended its process five times is set aside, because nobody can try it and live.
    Block,
    /// The message is set aside whole and the lane goes on: tried again when due, dead after the last attempt; dead at once
    /// when trying again is useless. The order of the message's key is given up.
    #[default]
    DeadLetter,
}

/// What a consumer does with a type that no handler is registered for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// Passes over it and counts it.
    #[default]
    Ignore,
    /// Keeps it as a dead letter.
    DeadLetter,
}
