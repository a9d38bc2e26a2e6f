//! What a consumer does with a message that its handler could not apply.

/// The failure policy of a consumer: [`ParkKey`](Self::ParkKey) where its source is a log and its store a database, else
/// [`DeadLetter`](Self::DeadLetter), unless it says otherwise. An outage is no failure: it pauses the lane and burns no attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The lane waits: the message is tried again in place with backoff until it succeeds, whatever its error (an unreadable
    /// one waits for a consumer that can read it), and everything behind it in the lane waits too. Keeps the order of each
    /// key. Only a message that has ended its process five times, alone, is set aside, because no process survives a run of it.
    Block,
    /// The message is set aside whole and the lane goes on: tried again when due, dead after the last attempt; dead at once
    /// when trying again is useless. Every later message of its topic and key is set aside behind it, in order, and runs after
    /// it; other keys flow. A dead one holds its key until a person retries or discards it. Where there is no room for more
    /// such letters, the lane waits as under [`Block`](Self::Block). A message without a key or a place is set aside alone.
    ParkKey,
    /// The message is set aside whole and the lane goes on: tried again when due, dead after the last attempt; dead at once
    /// when trying again is useless. The order of the message's key is given up.
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
