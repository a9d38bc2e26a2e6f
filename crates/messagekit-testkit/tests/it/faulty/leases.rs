//! Faults of leases, and of what answers them.

use std::time::Duration;

use messagekit::Store;
use messagekit::adapter::{Failure, FailureKind, Next, Retries, RetryLease};
use messagekit::operations::{Action, FailedMessages, Operator};

use super::methods::{at_once, faults};
use super::store::{Fault, FaultyStore};
use super::{Row, Suite};

/// The end of a lease that never ends.
const FOR_EVER: Duration = Duration::from_secs(1_000_000_000);

fn note_tokens(faulty: &FaultyStore, leased: &[RetryLease]) {
    faulty.notes().numbers.extend(leased.iter().map(|leased| (leased.failed_message, leased.token)));
}

/// Gives a lease the current token, whichever token it has.
fn set_present_token(faulty: &FaultyStore, leased: &mut RetryLease) {
    leased.token = faulty.notes().numbers.get(&leased.failed_message).copied().unwrap_or(leased.token);
}

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// A leased failed message is leased again to other workers.
    Store due_failed_message_is_leased_once:
        answer lease: |faulty, leased| {
            let first = faulty.notes().leased.get_or_insert_with(|| leased.clone()).clone();
            if leased.is_empty() {
                *leased = first;
            }
        };
    /// The newest failed message is leased first.
    Store oldest_due_is_leased_first:
        call lease: |faulty, consumer, max, lease| {
            let mut leased = faulty.inner.lease(consumer, u32::MAX, lease).await?;
            leased.reverse();
            for rest in leased.drain((max as usize).min(leased.len())..) {
                faulty.inner.hand_back(consumer, &rest, Duration::ZERO).await?;
            }
            Ok(leased)
        };
    /// A consumer leases the failed messages of all consumers.
    Store leases_are_for_one_consumer:
        arguments set_aside: |faulty, consumer, _, _| faulty.notes().names.extend([consumer.clone()]);
        call lease: |faulty, _, max, lease| {
            let (everybody, mut leased) = (faulty.notes().names.clone(), Vec::new());
            for consumer in everybody {
                leased.extend(faulty.inner.lease(&consumer, max, lease).await?);
            }
            Ok(leased)
        };
    /// A leased message comes without its key.
    Store leased_failed_message_is_whole:
        answer lease: |_, leased| leased.iter_mut().for_each(|leased| leased.received.message.key = None);
    /// A lease never ends.
    Store expired_lease_counts_a_crash: arguments lease: |_, _, _, lease| *lease = FOR_EVER;
    /// The crash of a run is not counted.
    Store expired_lease_counts_a_crash:
        answer lease: |_, leased| leased.iter_mut().for_each(|leased| leased.crash_count = 0);
        answer show: |_, shown| shown.head.crash_count = 0;
    /// Two workers that read at the same time lease the same failed message.
    Store concurrent_leases_share_no_failed_message:
        answer lease: |faulty, leased| {
            let mut notes = faulty.notes();
            match &mut notes.leased {
                None => notes.leased = Some(leased.clone()),
                // The second worker still sees what the first worker leased.
                Some(first) if leased.is_empty() => *leased = std::mem::take(first),
                Some(_) => {}
            }
        };
    /// A failed message is resolved at once, outside the transaction.
    Store rolled_back_resolve_changes_nothing:
        call resolve: |faulty, _, consumer, leased, followers| {
            at_once!(faulty.resolve(consumer, leased, followers))
        };
    /// Any token can resolve.
    Store stale_token_cannot_resolve:
        answer lease: |faulty, leased| note_tokens(faulty, leased);
        arguments resolve: |faulty, _, leased, _| set_present_token(faulty, leased);
    /// Any token can fail and hand back.
    Store stale_token_cannot_answer:
        answer lease: |faulty, leased| note_tokens(faulty, leased);
        arguments fail: |faulty, _, leased, _| set_present_token(faulty, leased);
        arguments hand_back: |faulty, _, leased, _| set_present_token(faulty, leased);
    /// A lease accepts a second answer.
    Store answered_lease_is_over:
        answer fail: |_, has_failed| *has_failed = true;
        answer hand_back: |_, is_back| *is_back = true;
    /// A failed message is due at once after a failed retry.
    Store failed_retry_waits_until_due:
        arguments fail: |_, _, _, failure| failure.next = Next::Retry(Duration::ZERO);
    /// A failed message is never dead.
    Store permanent_failure_of_a_retry_is_dead:
        arguments fail: |_, _, _, failure| failure.next = Next::Retry(Duration::ZERO);
    /// A failed message stays in the group of its first failure.
    Store permanent_failure_of_a_retry_is_dead:
        answer show: |_, shown| shown.head.fingerprint = Failure::retryable(FailureKind::Failed, "first").fingerprint();
    /// Handing back counts as an attempt.
    Store handed_back_failed_message_burns_no_attempt:
        call hand_back: |faulty, consumer, leased, delay| {
            let failed = Failure::retryable(FailureKind::Failed, "handed back");
            faulty.inner.fail(consumer, leased, &Failure { next: Next::Retry(delay), ..failed }).await
        };
    /// Handing a lease back resets the crash count.
    Store failed_message_keeps_the_rules_through_random_lives:
        arguments hand_back: |faulty, _, leased, _| faulty.notes().numbers.extend([(leased.failed_message, 0)]);
        answer show: |faulty, shown| if faulty.notes().numbers.contains_key(&shown.head.id) {
            shown.head.crash_count = 0;
        };
    /// A failed retry by an operator is retried without end.
    Store failed_replay_is_dead_at_once:
        call fail: |faulty, consumer, leased, failure| {
            let failed = faulty.inner.fail(consumer, leased, failure).await?;
            if faulty.has(Action::Retry, leased.failed_message) {
                let by = Operator::new("fault", "test");
                faulty.inner.act(Action::Retry, &[leased.failed_message], &by).await?;
            }
            Ok(failed)
        };
    /// A retry by an operator continues to count attempts.
    Store retry_counts_from_zero:
        answer lease: |_, leased| {
            leased.iter_mut().filter(|leased| leased.requested).for_each(|leased| leased.attempt += 9);
        };
    /// A running handler resolves a discarded message.
    Store discard_fences_the_handler_that_runs:
        call resolve: |faulty, tx, consumer, leased, followers| {
            match faulty.has(Action::Discard, leased.failed_message) {
                true => Ok(true),
                false => faulty.inner.resolve(tx.inner(), consumer, leased, followers).await,
            }
        };
    /// Only the head of a run is resolved.
    Store run_is_resolved_in_one_commit: arguments resolve: |_, _, _, followers| followers.clear();
    /// The followers are resolved although the head is not.
    Store run_needs_its_lease: answer resolve: |_, is_resolved| *is_resolved = true;
    /// A run begins although its lease is over.
    Store run_needs_its_lease:
        call begin_run: |faulty, consumer, leased, most, lease| {
            faulty.inner.begin_run(consumer, leased, most, lease).await.map(|_| Some(most))
        };
    /// A run is resolved although an operator discarded one of its messages.
    Store operator_fences_a_run:
        call resolve: |faulty, tx, consumer, leased, followers| {
            let (head, inner) = (leased.failed_message, &faulty.inner);
            let waits = inner.followers(tx.inner(), consumer, head, u32::MAX, u64::MAX).await?;
            let still: Vec<_> = followers.iter().filter(|one| waits.contains(one)).cloned().collect();
            inner.resolve(tx.inner(), consumer, leased, &still).await
        };
    /// A run is not recorded, and its crash counts for its head.
    Store death_in_a_run_is_blamed_on_no_message:
        call begin_run: |faulty, consumer, leased, most, lease| {
            Ok(faulty.inner.begin_run(consumer, leased, 1, lease).await?.map(|_| most))
        };
    /// Messages of a run in which a process crashed are run together again.
    Store death_in_a_run_is_blamed_on_no_message:
        answer lease: |_, leased| leased.iter_mut().for_each(|leased| leased.alone = 0);
    /// A run begins although no message waits behind its head.
    Store lone_message_begins_no_run:
        call begin_run: |faulty, consumer, leased, most, lease| {
            Ok(faulty.inner.begin_run(consumer, leased, most, lease).await?.map(|_| most))
        };
    /// A run takes the last of the waiting messages first.
    Store run_takes_what_waits_in_order:
        call followers: |faulty, tx, consumer, failed_message, messages, bytes| {
            let all = faulty.inner.followers(tx.inner(), consumer, failed_message, u32::MAX, bytes).await?;
            Ok(all.into_iter().rev().take(messages as usize).collect())
        };
    /// A message that waits behind another one is returned as a failed one.
    Store run_takes_what_waits_in_order:
        answer followers: |_, followers| followers.iter_mut().for_each(|one| one.attempt += 1);
    /// A run takes every waiting message, without a limit.
    Store run_takes_no_more_than_it_may:
        arguments followers: |_, _, _, messages, bytes| (*messages, *bytes) = (u32::MAX, u64::MAX);
};
