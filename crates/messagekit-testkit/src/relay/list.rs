//! The list of the cases of the relay suite.

use std::future::Future;
use std::pin::Pin;

use super::RelayFixture;

/// A case of the relay suite.
pub struct RelayCase<F> {
    /// Its name, which states the behaviour.
    pub name: &'static str,
    // Not Send: a case runs on the thread that waits for it.
    run: for<'a> fn(&'a F) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

impl<F> std::fmt::Debug for RelayCase<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayCase").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Passes the area and name of every case to a callback macro. This is the only list of the cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_relay_case {
    ([$($then:tt)*] $arguments:tt) => {
        $($then)*! { $arguments
            leases::one_relay_has_every_shard_and_two_share_them,
            leases::shards_of_a_crashed_relay_are_taken_when_its_lease_ends,
            leases::expired_lease_reads_nothing_even_without_another_relay,
            leases::shard_of_another_epoch_is_lost_and_the_others_are_read,
            leases::many_that_come_at_once_share_each_shard_out_once,
            reading::committed_events_are_found_until_they_are_published,
            reading::message_goes_out_as_it_was_written,
            reading::nothing_appears_below_the_stable_position,
            reading::what_is_confirmed_or_paused_is_left_out,
            reading::paused_backlog_hides_nothing,
            reading::page_is_never_larger_than_memory_allows_and_never_empty,
            reading::delayed_event_is_found_when_it_is_due,
            reading::many_delayed_events_become_due_in_their_order,
            reading::entry_of_another_event_deletes_and_sets_aside_nothing,
            rejected::refused_event_takes_what_is_behind_it_in_its_key,
            rejected::later_event_of_a_refused_key_is_held_and_set_aside_behind_it,
            rejected::relay_without_the_shard_rejects_nothing,
            rejected::retry_restores_a_whole_key_in_order_and_rereads_its_shard,
            rejected::discarded_event_is_gone_and_lets_go_what_waits_for_it_alone,
            rejected::operator_and_relay_moving_one_key_at_once_lose_nothing,
            waking::commit_of_the_outbox_wakes_a_relay,
            storm::committed_events_are_published_and_no_others,
        }
    };
}

macro_rules! collect {
    (() $($area:ident::$name:ident,)*) => {
        /// Returns every case of the suite.
        pub fn all<F: RelayFixture>() -> Vec<RelayCase<F>> {
            vec![$(RelayCase {
                name: stringify!($name),
                run: |fixture| Box::pin(super::$area::$name(fixture)),
            }),*]
        }
    };
}

__each_relay_case! { [collect] () }

/// Runs the case with this name over a fresh fixture.
///
/// # Panics
/// Panics when no case has this name, or when the adapter breaks its promise.
pub async fn run<F: RelayFixture>(fixture: F, name: &str) {
    let case = all::<F>().into_iter().find(|case| case.name == name);
    (case.unwrap_or_else(|| panic!("there is no relay case {name}")).run)(&fixture).await;
}

/// Generates one `#[test]` per case of the relay suite. The expression creates a fresh
/// [`RelayFixture`](crate::relay::RelayFixture) for each test and may await.
#[macro_export]
macro_rules! relay_cases {
    ($fixture:expr) => {
        $crate::__each_relay_case! { [$crate::__relay_tests] ($fixture) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __relay_tests {
    (($fixture:expr) $($area:ident::$name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::block_on(async { $crate::relay::run($fixture, stringify!($name)).await });
            }
        )*
    };
}
