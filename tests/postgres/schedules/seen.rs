//! What has happened in schedules.

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
            /// Schedules in which something never happens prove nothing about it.
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
    /// Runs of several that were resolved.
    runs,
    /// Runs whose lease was over when they were to be resolved.
    fenced,
    acts,
    /// Processes that ended between two statements of theirs.
    deaths,
    /// Of those, the ones whose last statement went on.
    overtaken,
    /// Sessions that the server ended.
    sessions,
    /// Batches of owners that were replaced.
    late,
    ranges,
    /// Statements that waited for a lock of somebody else.
    waits,
    /// Steps that ended in a conflict, a deadlock or a lost session.
    tried_again,
}
