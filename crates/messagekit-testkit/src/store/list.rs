//! The cases of the store suite, in one list.

use std::future::Future;
use std::pin::Pin;

use super::StoreFixture;
use crate::Need;
use crate::run::skipped;

/// A case of the store suite.
pub struct StoreCase<F> {
    /// Its name, which is the behaviour.
    pub name: &'static str,
    /// What it needs of the fixture.
    pub need: Need,
    // Not Send: a case runs on the thread that waits for it.
    run: for<'a> fn(&'a F) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

impl<F: StoreFixture> StoreCase<F> {
    /// Returns whether the fixture has what the case needs.
    pub fn applies(&self, fixture: &F) -> bool {
        match self.need {
            Need::SwallowedErrors => fixture.can_swallow_errors(),
            Need::RefusedBegin => fixture.can_refuse_begin(),
            Need::SecondHandle => fixture.has_second(),
            _ => true,
        }
    }

    /// Runs the case, or says why not.
    ///
    /// # Panics
    /// When the adapter breaks the promise.
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

/// Hands every case to a callback macro: area, name and need. The only list of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_store_case {
    ([$($then:tt)*] $arguments:tt) => {
        $($then)*! { $arguments
            transactions::commit_keeps_the_row: Nothing,
            transactions::rollback_leaves_no_row: Nothing,
            transactions::dropped_transaction_leaves_no_row: Nothing,
            transactions::swallowed_error_fails_the_commit: SwallowedErrors,
            transactions::swallowed_error_fails_the_last_statement: SwallowedErrors,
            transactions::another_handle_sees_what_was_committed: SecondHandle,
            transact::transact_commits: Nothing,
            transact::transact_rolls_back: Nothing,
            transact::transact_reports_begin_errors: RefusedBegin,
            transact::transact_reports_refused_commits: SwallowedErrors,
            transact::dropped_transact_leaves_no_row: Nothing,
            outbox::commit_makes_event_readable: Nothing,
            outbox::rollback_leaves_no_event: Nothing,
            outbox::outbox_order_is_kept: Nothing,
            outbox::events_and_rows_share_the_commit: Nothing,
            claims::claim_is_fresh_once_per_consumer: Nothing,
            claims::same_id_is_fresh_for_another_consumer: Nothing,
            claims::concurrent_claims_yield_one_fresh: Nothing,
            claims::a_rival_is_fresh_after_a_rollback: Nothing,
            claims::rolled_back_claim_is_fresh_again: Nothing,
            claims::second_copy_in_one_batch_is_not_fresh: Nothing,
            claims::second_claim_in_one_transaction_is_not_fresh: Nothing,
            claims::unclaimed_is_fresh_again: Nothing,
            claims::unclaim_keeps_the_other_claims: Nothing,
            claims::unclaim_touches_no_earlier_claim: Nothing,
            claims::claims_answer_in_input_order: Nothing,
            claims::claims_come_in_large_batches: Nothing,
            claims::ids_differ_by_every_byte: Nothing,
            claims::effects_and_marker_share_the_commit: Nothing,
            offsets::positions_only_grow: Nothing,
            offsets::positions_share_the_commit: Nothing,
            offsets::positions_are_kept_apart: Nothing,
            set_aside::set_aside_holds_the_message: Nothing,
            set_aside::set_aside_twice_is_already_settled: Nothing,
            set_aside::set_aside_of_an_applied_message_is_already_settled: Nothing,
            set_aside::set_aside_behind_its_own_claim_is_already_settled: Nothing,
            set_aside::set_aside_keeps_exact_bytes: Nothing,
            set_aside::set_aside_keeps_a_message_without_an_id: Nothing,
            set_aside::rolled_back_set_aside_leaves_nothing: Nothing,
            set_aside::set_aside_is_for_one_consumer: Nothing,
            leases::dead_letter_is_not_leased: Nothing,
            leases::letter_is_not_leased_before_it_is_due: Nothing,
            leases::due_letter_is_leased_once: Nothing,
            leases::oldest_due_is_leased_first: Nothing,
            leases::leases_are_for_one_consumer: Nothing,
            leases::leased_letter_is_whole: Nothing,
            leases::leased_letter_comes_back_after_its_lease_and_counts_a_kill: Nothing,
            leases::concurrent_leases_share_no_letter: Nothing,
            retries::resolve_marks_done: Nothing,
            retries::rolled_back_resolve_changes_nothing: Nothing,
            retries::stale_token_cannot_resolve: Nothing,
            retries::stale_token_cannot_answer: Nothing,
            retries::answered_lease_is_over: Nothing,
            retries::failed_letter_waits_until_due: Nothing,
            retries::failed_letter_dies_when_told: Nothing,
            retries::handed_back_letter_burns_no_attempt: Nothing,
            desk::operator_retry_runs_a_dead_letter_once: Nothing,
            desk::second_retry_changes_nothing: Nothing,
            desk::retry_of_an_unknown_letter_is_not_found: Nothing,
            desk::failed_replay_is_dead_at_once: Nothing,
            desk::letters_are_listed_newest_first_and_filtered: Nothing,
            desk::pages_join_without_a_gap: Nothing,
            desk::letter_tells_its_failure: Nothing,
            desk::show_of_an_unknown_letter_is_not_found: Nothing,
        }
    };
}

macro_rules! collect {
    (() $($area:ident::$name:ident: $need:ident,)*) => {
        /// Returns every case of the suite.
        pub fn all<F: StoreFixture>() -> Vec<StoreCase<F>> {
            vec![$(StoreCase {
                name: stringify!($name),
                need: Need::$need,
                run: |fixture| Box::pin(super::$area::$name(fixture)),
            }),*]
        }
    };
}

__each_store_case! { [collect] () }

/// Runs the case of this name over a fresh fixture; a capability that is absent prints that it was skipped, and why.
///
/// # Panics
/// When there is no such case, or when the adapter breaks its promise.
pub async fn run<F: StoreFixture>(fixture: F, name: &str) {
    let case = all::<F>().into_iter().find(|case| case.name == name);
    case.unwrap_or_else(|| panic!("there is no store case {name}")).run(&fixture).await;
}

/// Makes one `#[test]` per case of the store suite; the expression makes a fresh
/// [`StoreFixture`](crate::store::StoreFixture) each time and may await.
///
/// ```
/// messagekit_testkit::store_cases!(messagekit_testkit::fixtures::MemoryStoreFixture::new());
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! store_cases {
    ($fixture:expr) => {
        $crate::__each_store_case! { [$crate::__store_tests] ($fixture) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_tests {
    (($fixture:expr) $($area:ident::$name:ident: $need:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::block_on(async { $crate::store::run($fixture, stringify!($name)).await });
            }
        )*
    };
}
