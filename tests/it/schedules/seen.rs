//! Counters of the events in schedules.

messagekit_tests::seen! {
    handled,
    culprits,
    again,
    behind,
    full,
    resolved,
    /// Resolved runs of several messages.
    runs,
    fenced,
    acts,
    deaths,
    late,
    ranges,
}
