//! The list of the cases of the transport suite.

use std::future::Future;
use std::pin::Pin;

use super::TransportFixture;
use crate::Need;
use crate::run::skipped;

/// A case of the transport suite.
pub struct TransportCase<F> {
    /// Its name, which states the behaviour.
    pub name: &'static str,
    /// The capability that it needs of the adapter.
    pub need: Need,
    // Not Send: a case runs on the thread that waits for it.
    run: for<'a> fn(&'a mut F) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

impl<F: TransportFixture> TransportCase<F> {
    /// Returns whether the fixture has the capability that the case needs.
    pub fn applies(&self, fixture: &F) -> bool {
        let can = fixture.capabilities();
        match self.need {
            Need::SharedWork => can.shares_work,
            Need::Standby => !can.shares_work,
            Need::Persistence => can.persistent,
            Need::Positions => can.positions,
            Need::Losing => fixture.can_lose(),
            _ => true,
        }
    }

    /// Runs the case, or prints why it is skipped.
    ///
    /// # Panics
    /// Panics when the adapter breaks the promise.
    #[expect(clippy::print_stderr, reason = "a skipped case must be seen in the output of the tests")]
    pub async fn run(&self, fixture: &mut F) {
        if let Some((_, why)) = fixture.beyond().iter().find(|(case, _)| *case == self.name) {
            eprintln!("skipped {}: {why}", self.name);
        } else if self.applies(fixture) {
            (self.run)(fixture).await;
        } else {
            skipped(self.name, self.need);
        }
    }
}

impl<F> std::fmt::Debug for TransportCase<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransportCase")
            .field("name", &self.name)
            .field("need", &self.need)
            .finish_non_exhaustive()
    }
}

/// Passes the area, name and need of every case to a callback macro. This is the only list of the cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_transport_case {
    ([$($then:tt)*] $arguments:tt) => {
        $($then)*! { $arguments
            delivering::delivers_every_message: Nothing,
            delivering::keeps_order_per_key: Nothing,
            delivering::new_consumer_starts_at_the_earliest: Nothing,
            delivering::two_consumers_each_get_all: Nothing,
            delivering::waits_for_what_is_published_later: Nothing,
            delivering::reads_every_topic_of_its_source: Nothing,
            delivering::position_identifies_one_record: Positions,
            contents::carries_headers_and_key_unchanged: Nothing,
            contents::carries_bytes_that_are_not_text: Nothing,
            contents::absent_and_empty_keys_stay_different: Nothing,
            contents::empty_and_large_payloads: Nothing,
            publishing::publish_returns_only_when_durable: Nothing,
            publishing::answers_one_result_per_message: Nothing,
            publishing::oks_of_a_key_are_a_prefix: Nothing,
            settling::settled_is_not_redelivered: Nothing,
            settling::released_is_redelivered: Nothing,
            settling::released_comes_before_later_ones: Nothing,
            settling::released_in_a_paused_lane_goes_to_the_next_member: Nothing,
            settling::redelivers_when_subscriber_dies_unsettled: Nothing,
            settling::lanes_have_the_same_names_in_each_process: Nothing,
            settling::settling_out_of_order_loses_nothing: Nothing,
            settling::stale_receipts_change_nothing: Losing,
            settling::lost_lanes_come_back_with_greater_epochs: Losing,
            settling::positions_grow_within_a_lane: Nothing,
            pausing::paused_lane_delivers_nothing_more_than_was_in_flight: Nothing,
            pausing::resume_goes_on: Nothing,
            pausing::a_lane_of_another_epoch_is_not_paused: Nothing,
            lagging::lag_counts_what_is_not_settled: Nothing,
            lagging::lag_of_a_paused_lane_grows: Nothing,
            lagging::lag_moves_with_the_lanes: SharedWork,
            sharing::members_share_the_work: SharedWork,
            sharing::a_leaving_member_hands_its_lanes_over: SharedWork,
            sharing::revoked_lane_is_not_reassigned_before_it_is_done: SharedWork,
            sharing::what_is_settled_while_revoking_counts: SharedWork,
            sharing::standby_takes_over: Standby,
            closing::closes_cleanly_with_messages_in_flight: Nothing,
            closing::what_was_settled_before_the_close_stays_settled: Nothing,
            closing::yields_nothing_after_a_close: Nothing,
            closing::survives_a_restart: Persistence,
            closing::refuses_a_topic_that_breaks_the_grammar: Nothing,
        }
    };
}

macro_rules! collect {
    (() $($area:ident::$name:ident: $need:ident,)*) => {
        /// Returns every case of the suite.
        pub fn all<F: TransportFixture>() -> Vec<TransportCase<F>> {
            vec![$(TransportCase {
                name: stringify!($name),
                need: Need::$need,
                run: |fixture| Box::pin(super::$area::$name(fixture)),
            }),*]
        }
    };
}

__each_transport_case! { [collect] () }

/// Runs the case with this name over a fresh fixture. It prints the reason when a capability is absent and skips the case.
///
/// # Panics
/// Panics when no case has this name, or when the adapter breaks its promise.
pub async fn run<F: TransportFixture>(mut fixture: F, name: &str) {
    let case = all::<F>().into_iter().find(|case| case.name == name);
    case.unwrap_or_else(|| panic!("there is no transport case {name}")).run(&mut fixture).await;
}

/// Generates one `#[test]` per case of the transport suite. The expression creates a fresh
/// [`TransportFixture`](crate::transport::TransportFixture) for each test and may await.
///
/// ```
/// messagekit_testkit::transport_cases!(messagekit_testkit::fixtures::MemoryTransport::new());
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! transport_cases {
    ($fixture:expr) => {
        $crate::__each_transport_case! { [$crate::__transport_tests] ($fixture) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __transport_tests {
    (($fixture:expr) $($area:ident::$name:ident: $need:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::block_on(async { $crate::transport::run($fixture, stringify!($name)).await });
            }
        )*
    };
}
