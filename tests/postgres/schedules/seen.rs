//! Counters of the events in schedules.

messagekit_tests::seen! {
    statements,
    handled,
    culprits,
    /// Of those, the ones whose range is processed again.
    again,
    behind,
    full,
    resolved,
    /// Runs of several messages that were resolved.
    runs,
    /// Runs whose lease had expired when they were to be resolved.
    fenced,
    acts,
    /// Processes that crashed between two of their statements.
    deaths,
    /// Of those, the ones whose last statement continued.
    overtaken,
    /// Sessions that the server ended.
    sessions,
    /// Batches of replaced owners.
    late,
    ranges,
    /// Statements that waited for a lock of another session.
    waits,
    /// Steps that ended in a conflict, a deadlock or a lost session.
    tried_again,
}
