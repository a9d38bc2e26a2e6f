//! The policies for messages that a consumer cannot apply.

/// The failure policy of a consumer. Default: [`ParkKey`](Self::ParkKey) if the source is a log and the store is a database,
/// [`Block`](Self::Block) if the store keeps no failed messages, otherwise [`DeadLetter`](Self::DeadLetter). An outage is no
/// failure: it pauses the lane and costs no attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The lane waits: the message is retried in place with backoff until it succeeds, whatever its error. An unreadable
    /// message waits for a consumer that can read it. All later messages of the lane also wait, which keeps the order of each
    /// key. Only a message that has crashed its process five times, alone, is set aside, because no process survives a run of
    /// it; a store without attempts counts no crashes.
    Block,
    /// The message is set aside whole and the lane continues. The message is retried when due, and is dead after the last
    /// attempt, or at once if a retry is useless. Every later message of its topic and key is parked behind it, in order, and
    /// runs after it; other keys continue. A dead message blocks its key until an operator retries or discards it. If the
    /// parking limits are reached, the lane waits as under [`Block`](Self::Block). A message without a key or a position is set
    /// aside alone.
    ParkKey,
    /// The message is set aside whole and the lane continues. The message is retried when due, and is dead after the last
    /// attempt, or at once if a retry is useless. The order of the message's key is not kept.
    DeadLetter,
}
