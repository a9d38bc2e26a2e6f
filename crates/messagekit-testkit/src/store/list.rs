//! The cases of the store suite, by part.

use std::future::Future;
use std::pin::Pin;

use super::{FailedMessagesFixture, OperatorsFixture, StoreFixture};
use crate::Need;
use crate::run::skipped;

/// A case of the store suite.
pub struct StoreCase<F> {
    /// Its name, which states the behaviour.
    pub name: &'static str,
    /// The capability that it needs of the fixture.
    pub need: Need,
    // Not Send: a case runs on the thread that waits for it.
    run: for<'a> fn(&'a F) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

impl<F: StoreFixture> StoreCase<F> {
    /// Returns whether the fixture has the capability that the case needs.
    pub fn applies(&self, fixture: &F) -> bool {
        match self.need {
            Need::SwallowedErrors => fixture.can_swallow_errors(),
            Need::RefusedBegin => fixture.can_refuse_begin(),
            Need::SecondHandle => fixture.has_second(),
            _ => true,
        }
    }

    /// Runs the case, or prints why it is skipped.
    ///
    /// # Panics
    /// Panics when the adapter breaks the promise.
    pub async fn run(&self, fixture: &F) {
        if self.applies(fixture) {
            (self.run)(fixture).await;
        } else {
            skipped(self.name, self.need);
        }
    }
}

impl<F> std::fmt::Debug for StoreCase<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreCase")
            .field("name", &self.name)
            .field("need", &self.need)
            .finish_non_exhaustive()
    }
}

/// Passes the part, and the area, name and need of each of its cases, to a callback macro. This is the only list of the cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_store_case {
    (markers [$($then:tt)*] $arguments:tt) => {
        $($then)*! { markers $arguments
            transactions::commit_keeps_the_row: Nothing,
            transactions::rollback_leaves_no_row: Nothing,
            transactions::dropped_transaction_leaves_no_row: Nothing,
            transactions::swallowed_error_fails_the_commit: SwallowedErrors,
            transactions::another_handle_sees_what_was_committed: SecondHandle,
            transact::transact_commits: Nothing,
            transact::transact_rolls_back: Nothing,
            transact::transact_reports_begin_errors: RefusedBegin,
            transact::transact_reports_refused_commits: SwallowedErrors,
            transact::dropped_transact_leaves_no_row: Nothing,
            claims::claim_is_fresh_once_per_consumer: Nothing,
            claims::same_id_is_fresh_for_another_consumer: Nothing,
            claims::concurrent_claims_yield_one_fresh: Nothing,
            claims::a_rival_is_fresh_after_a_rollback: Nothing,
            claims::rolled_back_claim_is_fresh_again: Nothing,
            claims::second_copy_in_one_batch_is_not_fresh: Nothing,
            claims::second_claim_in_one_transaction_is_not_fresh: Nothing,
            claims::copy_in_a_range_is_fresh_beside_one_outside: Nothing,
            claims::unclaimed_is_fresh_again: Nothing,
            claims::unclaim_keeps_the_other_claims: Nothing,
            claims::unclaim_touches_no_earlier_claim: Nothing,
            claims::unclaimed_range_is_done_as_it_was: Nothing,
            claims::claims_answer_in_input_order: Nothing,
            claims::claims_come_in_large_batches: Nothing,
            claims::ids_differ_by_every_byte: Nothing,
            claims::effects_and_marker_share_the_commit: Nothing,
        }
    };
    (positions [$($then:tt)*] $arguments:tt) => {
        $($then)*! { positions $arguments
            transactions::swallowed_error_fails_the_last_statement: SwallowedErrors,
            offsets::positions_only_grow: Nothing,
            offsets::positions_share_the_commit: Nothing,
            offsets::positions_are_kept_apart: Nothing,
        }
    };
    (failed_messages [$($then:tt)*] $arguments:tt) => {
        $($then)*! { failed_messages $arguments
            set_aside::set_aside_holds_the_message: Nothing,
            set_aside::set_aside_twice_is_already_settled: Nothing,
            set_aside::set_aside_of_an_applied_message_is_already_settled: Nothing,
            set_aside::set_aside_behind_its_own_claim_is_already_settled: Nothing,
            set_aside::set_aside_keeps_exact_bytes: Nothing,
            set_aside::set_aside_keeps_a_message_without_an_id: Nothing,
            set_aside::rolled_back_set_aside_leaves_nothing: Nothing,
            set_aside::set_aside_is_for_one_consumer: Nothing,
            set_aside::culprit_of_a_range_is_set_aside_once_for_its_generation: Nothing,
            failed_message_lists::operator_retry_runs_a_failed_message_once: Nothing,
            failed_message_lists::second_retry_changes_nothing: Nothing,
            failed_message_lists::retry_of_an_unknown_failed_message_is_not_found: Nothing,
            failed_message_lists::failed_replay_is_dead_at_once: Nothing,
            failed_message_lists::failed_messages_are_listed_newest_first_and_filtered: Nothing,
            failed_message_lists::pages_join_without_a_gap: Nothing,
            failed_message_lists::failed_message_tells_its_failure: Nothing,
            failed_message_lists::show_of_an_unknown_failed_message_is_not_found: Nothing,
            failed_message_lists::lists_tell_what_failed_messages_tell: Nothing,
            failed_message_lists::ids_ascend_and_keep_the_filter: Nothing,
            failed_message_lists::each_filter_narrows: Nothing,
            failed_message_lists::open_messages_are_those_still_to_be_applied: Nothing,
            failed_message_lists::totals_count_by_consumer_and_state: Nothing,
            failed_message_lists::groups_gather_what_failed_alike: Nothing,
            actions::two_operators_at_once_act_once: Nothing,
            actions::acts_answer_in_order: Nothing,
            actions::paced_retries_are_due_one_after_the_other: Nothing,
            actions::discarded_message_is_never_applied: Nothing,
            actions::discard_fences_the_handler_that_runs: Nothing,
            actions::late_copy_of_a_discarded_message_is_discarded: Nothing,
            actions::undone_and_retried_failed_message_is_applied_once: Nothing,
            actions::acts_need_the_right_state: Nothing,
            actions::retry_counts_from_zero: Nothing,
            actions::undo_after_a_forgotten_marker_holds_the_message_again: Nothing,
            actions::act_against_a_late_copy_is_refused_alone: Nothing,
            actions::every_act_leaves_one_row_of_the_audit: Nothing,
            selections::swap_inside_a_selection_changes_its_digest: Nothing,
            selections::changed_message_of_a_selection_is_skipped: Nothing,
            selections::message_outside_the_filter_is_skipped: Nothing,
            selections::every_change_makes_another_version: Nothing,
            selections::key_is_discarded_in_several_batches: Nothing,
            selections::selection_is_retried_at_its_pace: Nothing,
            parking::parked_message_holds_its_key: Nothing,
            parking::blocked_keys_differ_by_every_byte: Nothing,
            parking::message_set_aside_alone_holds_no_key: Nothing,
            parking::message_behind_is_kept_and_waits: Nothing,
            parking::unclaimed_message_behind_leaves_nothing: Nothing,
            parking::rolled_back_park_holds_nothing: Nothing,
            parking::message_that_is_settled_is_not_parked: Nothing,
            parking::parked_culprit_is_due_as_its_failure_says: Nothing,
            parking::culprit_of_a_range_is_parked_once_for_its_generation: Nothing,
            parking::failed_messages_of_a_key_run_in_their_order: Nothing,
            parking::failed_messages_of_a_key_are_ordered_by_position: Nothing,
            parking::dead_head_holds_its_key: Nothing,
            parking::rolled_back_retry_keeps_its_key_blocked: Nothing,
            parking::discarded_failed_message_leaves_its_key: Nothing,
            parking::undone_head_holds_its_key_again: Nothing,
            parking::undone_failed_message_that_never_ran_takes_its_turn: Nothing,
            parking::waiting_failed_message_is_not_retried: Nothing,
            parking::culprit_without_room_is_not_parked: Nothing,
            parking::messages_behind_are_kept_as_far_as_there_is_room: Nothing,
            parking::lists_tell_what_a_head_holds_back: Nothing,
            parking::message_parked_behind_a_draining_key_still_runs: Nothing,
            undone::dead_head_that_is_brought_back_runs_on_request: Nothing,
            undone::request_does_not_survive_a_discard_and_its_undo: Nothing,
            undone::message_behind_that_is_brought_back_keeps_its_turn: Nothing,
            undone::begun_first_run_is_repeated_after_an_undo: Nothing,
            undone::undo_of_a_request_changes_nothing: Nothing,
            undone::act_on_one_answers_the_state_that_is_stored: Nothing,
            parking_lives::keys_keep_their_order_through_random_lives: Nothing,
            lives::failed_message_keeps_the_rules_through_random_lives: Nothing,
        }
    };
    (retries [$($then:tt)*] $arguments:tt) => {
        $($then)*! { retries $arguments
            leases::failed_message_is_not_leased: Nothing,
            leases::failed_message_is_not_leased_before_it_is_due: Nothing,
            leases::due_failed_message_is_leased_once: Nothing,
            leases::oldest_due_is_leased_first: Nothing,
            leases::leases_are_for_one_consumer: Nothing,
            leases::leased_failed_message_is_whole: Nothing,
            leases::expired_lease_counts_a_crash: Nothing,
            leases::concurrent_leases_share_no_failed_message: Nothing,
            retries::resolve_marks_done: Nothing,
            retries::rolled_back_resolve_changes_nothing: Nothing,
            retries::stale_token_cannot_resolve: Nothing,
            retries::stale_token_cannot_answer: Nothing,
            retries::answered_lease_is_over: Nothing,
            retries::failed_retry_waits_until_due: Nothing,
            retries::permanent_failure_of_a_retry_is_dead: Nothing,
            retries::handed_back_failed_message_burns_no_attempt: Nothing,
            failed_runs::failed_runs_are_kept: Nothing,
            failed_runs::last_twenty_failed_runs_are_kept: Nothing,
            failed_runs::run_without_a_result_is_kept: Nothing,
            failed_runs::only_failed_runs_are_kept: Nothing,
            failed_runs::message_that_fails_anew_has_its_new_runs: Nothing,
            run_now::scheduled_run_is_retried_now: Nothing,
            run_now::second_retry_of_a_planned_run_changes_nothing: Nothing,
            run_now::retries_at_once_of_a_planned_run_cause_one_run: Nothing,
            run_now::requested_run_is_retried_now: Nothing,
            run_now::pace_postpones_no_planned_run: Nothing,
            run_now::retried_head_is_followed_in_order: Nothing,
            run_now::retried_message_overtakes_none_of_its_key: Nothing,
            runs::run_takes_what_waits_in_order: Nothing,
            runs::run_takes_no_more_than_it_may: Nothing,
            runs::run_is_resolved_in_one_commit: Nothing,
            runs::run_of_all_frees_its_key: Nothing,
            runs::run_needs_its_lease: Nothing,
            runs::operator_fences_a_run: Nothing,
            runs::death_in_a_run_is_blamed_on_no_message: Nothing,
            runs::lone_message_begins_no_run: Nothing,
            runs::nothing_is_parked_behind_a_freed_key: Nothing,
        }
    };
    (attempts [$($then:tt)*] $arguments:tt) => {
        $($then)*! { attempts $arguments
            in_flight_attempts::note_without_an_answer_counts_a_death: Nothing,
            in_flight_attempts::own_attempt_counts_no_crash: Nothing,
            in_flight_attempts::note_of_the_living_goes_with_them: Nothing,
            in_flight_attempts::cleared_attempts_are_forgotten: Nothing,
            in_flight_attempts::rolled_back_absolution_keeps_the_deaths: Nothing,
            in_flight_attempts::withdrawn_attempt_counts_no_crash: Nothing,
            in_flight_attempts::standing_down_keeps_earlier_deaths: Nothing,
            in_flight_attempts::cleanup_clears_attempts_of_finished_messages: Nothing,
            in_flight_attempts::in_flight_attempts_belong_to_one_consumer: Nothing,
        }
    };
    (primings [$($then:tt)*] $arguments:tt) => {
        $($then)*! { primings $arguments
            primings::primings_share_the_commit: Nothing,
            primings::frontier_never_goes_back: Nothing,
            primings::finished_priming_stays_finished: Nothing,
            primings::next_priming_begins_once_with_nothing: Nothing,
            primings::earlier_priming_writes_nothing: Nothing,
            primings::primings_are_kept_apart: Nothing,
        }
    };
    (operators [$($then:tt)*] $arguments:tt) => {
        $($then)*! { operators $arguments
            outbox::commit_makes_event_readable: Nothing,
            outbox::rollback_leaves_no_event: Nothing,
            outbox::outbox_order_is_kept: Nothing,
            outbox::events_and_rows_share_the_commit: Nothing,
            cleanup::markers_leave_a_day_after_their_window: Nothing,
            cleanup::trial_removes_nothing_and_tells_of_nothing: Nothing,
            cleanup::consumer_learns_since_when_its_markers_are_complete: Nothing,
            cleanup::removed_markers_are_reported_to_their_consumer_only: Nothing,
            cleanup::time_since_when_markers_are_complete_never_goes_back: Nothing,
            bookkeeping::found_message_is_one_failed_message: Nothing,
            bookkeeping::dead_letters_of_two_scopes_are_two_failed_messages: Nothing,
            bookkeeping::second_death_after_a_return_is_a_new_failed_message: Nothing,
            bookkeeping::rolled_back_keep_leaves_nothing: Nothing,
            bookkeeping::returns_are_leased_by_origin: Nothing,
            bookkeeping::oldest_redelivery_is_the_oldest_open_one_of_its_target: Nothing,
            bookkeeping::returns_are_answered_under_their_scope: Nothing,
            bookkeeping::failed_message_without_a_way_back_is_not_retried: Nothing,
            bookkeeping::failure_of_an_own_event_is_noted_once: Nothing,
            bookkeeping::failure_of_a_strangers_event_is_not_noted: Nothing,
            replays::events_are_listed_oldest_first_and_filtered: Nothing,
            replays::pages_of_events_join_without_a_gap: Nothing,
            replays::count_tells_what_would_be_published: Nothing,
            replays::count_tells_what_is_too_old: Nothing,
            replays::count_tells_what_no_marker_remembers: Nothing,
            replays::replay_publishes_what_was_chosen_when_it_was_ordered: Nothing,
            replays::replay_goes_step_by_step: Nothing,
            replays::replay_is_leased_to_one_worker: Nothing,
            replays::later_lease_fences_the_earlier: Nothing,
            replays::cancelled_replay_publishes_no_more: Nothing,
            replays::replay_under_the_same_ids_repeats_the_bytes: Nothing,
            replays::copies_are_not_listed: Nothing,
            replays::replay_under_new_ids_makes_events_of_their_own: Nothing,
            replays::failed_renaming_fails_the_replay: Nothing,
            replays::range_before_the_oldest_event_is_refused: Nothing,
            replays::replay_of_another_count_is_refused: Nothing,
            replays::replay_of_nothing_is_done_at_once: Nothing,
            replays::replays_are_listed_newest_first: Nothing,
            replays::unknown_replay_is_not_found: Nothing,
            replays::orders_and_cancels_are_in_the_audit: Nothing,
            event_history::event_is_found_with_its_links: Nothing,
            event_history::links_are_not_published: Nothing,
            event_history::record_of_an_unknown_event_is_empty: Nothing,
            event_history::causes_and_effects_are_found: Nothing,
            event_history::events_of_a_correlation_are_found: Nothing,
            event_history::record_tells_what_each_consumer_did: Nothing,
            event_history::record_tells_what_operators_did: Nothing,
            event_history::record_tells_of_replays_and_republications: Nothing,
            audit::audit_is_read_newest_first: Nothing,
            audit::each_filter_narrows_the_audit: Nothing,
            audit::pages_of_the_audit_join_without_a_gap: Nothing,
            audit::operators_with_long_names_are_refused: Nothing,
            status::status_has_each_consumer_with_a_marker: Nothing,
            status::newest_marker_is_found_behind_a_foreign_id: Nothing,
            status::status_counts_failed_messages: Nothing,
            status::status_has_the_window_of_a_consumer: Nothing,
            status::status_counts_running_replays: Nothing,
            status::consumer_is_seen_when_it_notes_its_window: Nothing,
            unhandled::unhandled_messages_are_counted_by_topic_and_type: Nothing,
            unhandled::unhandled_messages_belong_to_their_consumer: Nothing,
            unhandled::unhandled_types_of_a_consumer_are_bounded: Nothing,
            health::database_answers_pings: Nothing,
        }
    };
}

macro_rules! collect {
    ($part:ident ($doc:literal $fixture:ident) $($area:ident::$name:ident: $need:ident,)*) => {
        #[doc = concat!("Returns the cases of ", $doc, ".")]
        pub fn $part<F: $fixture>() -> Vec<StoreCase<F>> {
            vec![$(StoreCase {
                name: stringify!($name),
                need: Need::$need,
                run: |fixture| Box::pin(super::$area::$name(fixture)),
            }),*]
        }
    };
}

__each_store_case! { markers [collect] ("transactions and processed markers" StoreFixture) }
__each_store_case! { positions [collect] ("the positions of consumers" StoreFixture) }
__each_store_case! { failed_messages [collect] ("failed messages and parked keys" FailedMessagesFixture) }
__each_store_case! { retries [collect] ("the retries of failed messages" FailedMessagesFixture) }
__each_store_case! { attempts [collect] ("attempts, for a store that also keeps failed messages" StoreFixture) }
__each_store_case! { primings [collect] ("primings" StoreFixture) }
__each_store_case! { operators [collect] ("the outbox, and of what operators read" OperatorsFixture) }

/// Returns every case of the suite.
pub fn all<F: OperatorsFixture>() -> Vec<StoreCase<F>> {
    let parts = [markers(), positions(), failed_messages(), retries(), attempts(), primings(), operators()];
    parts.into_iter().flatten().collect()
}

/// Runs the case with this name over a fresh fixture. It prints the reason when a capability is absent and skips the case.
///
/// # Panics
/// Panics when no case has this name, or when the adapter breaks its promise.
pub async fn run<F: OperatorsFixture>(fixture: F, name: &str) {
    run_of(all(), fixture, name).await;
}

/// Runs one of these cases.
#[doc(hidden)]
pub async fn run_of<F: StoreFixture>(cases: Vec<StoreCase<F>>, fixture: F, name: &str) {
    let case = cases.into_iter().find(|case| case.name == name);
    case.unwrap_or_else(|| panic!("there is no store case {name}")).run(&fixture).await;
}

/// Generates one `#[test]` per case of the store suite, or of the parts that are named: `markers`, `positions`, `failed_messages`,
/// `retries`, `attempts`, `primings`, `operators`. The expression creates a fresh fixture for each test and may await:
/// a [`StoreFixture`](crate::store::StoreFixture), or what the part needs beyond that.
///
/// ```
/// messagekit_testkit::store_cases!(messagekit_testkit::fixtures::MemoryStoreFixture::new());
/// # fn main() {}
/// ```
///
/// ```
/// messagekit_testkit::store_cases!([markers, positions] messagekit_testkit::fixtures::MemoryStoreFixture::new());
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! store_cases {
    ([$($part:ident),*] $fixture:expr) => {
        $($crate::__each_store_case! { $part [$crate::__store_tests] ($fixture) })*
    };
    ($fixture:expr) => {
        $crate::store_cases!([markers, positions, failed_messages, retries, attempts, primings, operators] $fixture);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_tests {
    ($part:ident ($fixture:expr) $($area:ident::$name:ident: $need:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::block_on(async {
                    $crate::store::list::run_of($crate::store::list::$part(), $fixture, stringify!($name)).await;
                });
            }
        )*
    };
}
