//! Counters of the events in schedules.

/// Declares a struct `Seen` with these counters, which add up over schedules, and of which none may stay zero.
#[macro_export]
macro_rules! seen {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Clone, Copy, Debug, Default)]
        pub(super) struct Seen { $($(#[$doc])* pub(super) $name: u64,)* }

        impl ::std::ops::AddAssign for Seen {
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
