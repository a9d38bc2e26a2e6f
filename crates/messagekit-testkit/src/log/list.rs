//! The list of the cases of the log suite.

use std::future::Future;
use std::pin::Pin;

use super::LogFixture;

/// A case of the log suite.
pub struct LogCase<F> {
    /// Its name, which states the behaviour.
    pub name: &'static str,
    // Not Send: a case runs on the thread that waits for it.
    run: for<'a> fn(&'a F) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

impl<F> std::fmt::Debug for LogCase<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogCase").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Passes the area and name of every case to a callback macro. This is the only list of the cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_log_case {
    ([$($then:tt)*] $arguments:tt) => {
        $($then)*! { $arguments
            reading::append_is_seen_whole_after_its_commit,
            reading::rolled_back_append_takes_no_offset,
            reading::reader_skips_no_record_of_concurrent_writers,
            reading::next_offset_outlives_the_records,
            reading::overtaken_reader_learns_what_was_deleted,
            reading::times_find_the_first_record_since_then,
            reading::positions_of_a_consumer_are_found,
            ordered::topics_come_in_the_order_of_their_time,
            ordered::a_live_reader_sees_what_is_new,
            claims::claimed_record_is_claimed_once,
            claims::claims_begin_at_the_earliest_record,
            claims::new_records_are_claimed_when_they_come,
            claims::consumers_claim_apart,
            claims::claimed_records_are_whole,
            claims::claim_holds_no_more_than_it_asked_for,
            claims::concurrent_claims_share_no_record,
            claims::ordered_records_follow_each_other,
            claims::no_more_records_are_claimed_than_may_be_in_flight,
            claims::claims_go_on_in_another_process,
            claims::acknowledgement_shares_the_commit,
            claims::deleted_records_are_reported,
            claims::reset_ends_every_claim,
            claims::status_has_the_positions_of_claims,
            keyed_claims::keys_keep_their_order_and_others_go_on,
            keyed_claims::each_unsettled_record_holds_its_key,
            keyed_claims::record_given_back_takes_its_key_along,
            keyed_claims::effects_of_a_key_follow_each_other,
            failed_claims::requested_retry_is_claimed,
            failed_claims::requested_retry_stays_in_its_topic,
            failed_claims::requested_retry_is_settled_as_a_record,
            failed_claims::requested_retry_is_lost_with_its_lease,
            served_claims::consumer_begins_where_its_first_claim_says,
            served_claims::claims_for_others_outlive_their_process,
            served_claims::claim_has_no_more_bytes_than_it_asked_for,
            served_claims::deletions_move_the_consumer_as_it_asks,
            leases::claims_end_with_their_lease,
            leases::late_claim_settles_nothing,
            leases::claims_of_an_ended_process_come_back_at_once,
            leases::claims_of_a_living_process_stay,
            storm::workers_finish_each_record_once,
        }
    };
}

macro_rules! collect {
    (() $($area:ident::$name:ident,)*) => {
        /// Returns every case of the suite.
        pub fn all<F: LogFixture>() -> Vec<LogCase<F>> {
            vec![$(LogCase {
                name: stringify!($name),
                run: |fixture| Box::pin(super::$area::$name(fixture)),
            }),*]
        }
    };
}

__each_log_case! { [collect] () }

/// Runs the case with this name over a fresh fixture.
///
/// # Panics
/// Panics when no case has this name, or when the adapter breaks its promise.
pub async fn run<F: LogFixture>(fixture: F, name: &str) {
    let case = all::<F>().into_iter().find(|case| case.name == name);
    (case.unwrap_or_else(|| panic!("there is no log case {name}")).run)(&fixture).await;
}

/// Generates one `#[test]` per case of the log suite. The expression creates a fresh
/// [`LogFixture`](crate::log::LogFixture) for each test and may await.
#[macro_export]
macro_rules! log_cases {
    ($fixture:expr) => {
        $crate::__each_log_case! { [$crate::__log_tests] ($fixture) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log_tests {
    (($fixture:expr) $($area:ident::$name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::block_on(async { $crate::log::run($fixture, stringify!($name)).await });
            }
        )*
    };
}
