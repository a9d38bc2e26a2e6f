//! Counters of the events in schedules.

use std::ops::AddAssign;

macro_rules! seen {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Clone, Copy, Debug, Default)]
        pub(super) struct Seen { $($(#[$doc])* pub(super) $name: u64,)* }

        impl AddAssign for Seen {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }

        impl Seen {
            /// Schedules without an event prove nothing about it.
            pub(super) fn assert_everything_happened(&self) {
                $(assert!(self.$name > 0, "no {}: {self:?}", stringify!($name));)*
            }
        }
    };
}

seen! {
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
