//! What both databases are measured by.

pub(super) const FIGURE: &str = "rows/s";

pub(super) const TOPIC: &str = "bench.orders";

/// How the events of the rows come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Not at all.
    Plain,
    /// The writer inserts them, too.
    ByHand,
    /// By a source, for a broker: as the writer does by hand.
    Source,
    /// By a source that sets rows aside whose event fails.
    SetAside,
    /// By a source, for a topic that the database keeps.
    Kept,
}
