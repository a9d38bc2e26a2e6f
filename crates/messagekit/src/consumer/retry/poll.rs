//! Retries a failed message when it is due.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::run::{Applied, Culprit, KeyOutcome, call_head, run_key, store_failed};
use crate::consumer::failure_log::log_failure;
use crate::consumer::fault::{Fault, store_fault};
use crate::consumer::lane::poison_message;
use crate::consumer::settings::{CRASHES, Settings};
use crate::consumer::{Backoff, ConsumerStats, Delivered};
use crate::crash;
use crate::gate::{Outcome, Starts};
use crate::store::{Failure, FailureKind, Inbox, Next, Retries, RetryLease};
use crate::{Error, chain};

/// The result of a poll for due failed messages.
pub(in crate::consumer) struct RetryOutcome {
    /// The report to the gates.
    pub(in crate::consumer) for_gates: Outcome,
    /// A failed message was due: there may be more.
    pub(in crate::consumer) was_due: bool,
    /// The time until the failed message of this run is due again.
    pub(in crate::consumer) due_in: Option<Duration>,
    /// The handler reports an unavailable dependency.
    pub(in crate::consumer) is_unavailable: bool,
    /// The store does not answer.
    pub(in crate::consumer) outage: Option<String>,
    /// An error of the store that waiting does not cure.
    pub(in crate::consumer) fatal: Option<Error>,
    /// The progress of the run of a blocked key.
    pub(in crate::consumer) applied: Option<Applied>,
}

impl RetryOutcome {
    /// No failed message was due.
    fn nothing() -> Self {
        Self {
            for_gates: Outcome::default(),
            was_due: false,
            due_in: None,
            is_unavailable: false,
            outage: None,
            fatal: None,
            applied: None,
        }
    }
}

/// The result of an unsuccessful run, for the store.
enum LeaseResult {
    Fail(Failure),
    HandBack(Duration),
}

impl LeaseResult {
    fn counts(&self) -> ConsumerStats {
        let Self::Fail(failure) = self else { return ConsumerStats::default() };
        let dead = u64::from(failure.next == Next::Dead);
        ConsumerStats { rolled_back: 1, dead, ..ConsumerStats::default() }
    }
}

/// Leases one due failed message and applies it with the same handler. It takes along at most `most - 1` messages parked behind
/// it in its key. `unavailable` is the number of previous consecutive retries that reported an unavailable dependency. The handlers
/// that start are counted in `starts`.
pub(in crate::consumer) async fn retry<S: Inbox>(
    settings: Arc<Settings<S>>,
    most: u32,
    unavailable: u32,
    starts: Starts,
) -> RetryOutcome {
    // The lease outlives the handler's deadline: no other process may run the failed message while this run can still commit.
    let lease = settings.rules.longest_run();
    let leased = match settings.store.retries().lease(&settings.name, 1, lease).await {
        Ok(leased) => leased,
        Err(error) if !error.is_transient() && store_fault(&error).is_none() => {
            return RetryOutcome { fatal: Some(error), ..RetryOutcome::nothing() };
        }
        Err(error) => return RetryOutcome { outage: Some(chain(&error)), ..RetryOutcome::nothing() },
    };
    let Some(leased) = leased.into_iter().next() else {
        return RetryOutcome::nothing();
    };
    crash::point("retry.leased");
    let leased = Arc::new(leased);
    let ran = if leased.crash_count >= CRASHES {
        KeyOutcome::head_failed(Fault::Message(poison_message(leased.crash_count)))
    } else {
        apply(&settings, &leased, most, &starts).await
    };
    let mut retried = end(&settings, &leased, ran, unavailable).await;
    retried.for_gates.used = starts.count();
    retried
}

/// Applies a leased failed message and the messages behind it, and retries with fewer messages until the run ends.
async fn apply<S: Inbox>(
    settings: &Arc<Settings<S>>,
    leased: &Arc<RetryLease>,
    most: u32,
    starts: &Starts,
) -> KeyOutcome {
    // A message that has failed, that an operator requested, or that may have crashed a process runs by itself.
    let leads =
        leased.parked && !leased.requested && leased.attempt == 1 && leased.crash_count + leased.alone == 0;
    let mut most = if leads { most } else { 1 };
    let mut noted = 1;
    let called = match call_head(settings, leased, starts).await {
        Ok(called) => called,
        Err(fault) => return KeyOutcome::head_failed(fault),
    };
    let (called_at, mut rolled_back) = (Instant::now(), 0);
    loop {
        if most.max(noted) > 1 {
            match settings
                .store
                .retries()
                .begin_run(&settings.name, leased, most, settings.rules.longest_run())
                .await
            {
                Ok(Some(length)) => (most, noted) = (length, length),
                Ok(None) => return KeyOutcome::NotOurs { length: 1 },
                Err(error) => return store_failed(error, 1),
            }
        }
        let ran = run_key(settings, leased, most, called.clone(), starts).await;
        // The effects of a call are tried again rather than the call.
        let wait = ran.wait_before_another(rolled_back);
        if let Some(wait) =
            wait.filter(|wait| called.is_some() && called_at.elapsed() + *wait < settings.rules.deadline)
            && !settings.cut_off.is_requested()
        {
            rolled_back += 1;
            tokio::time::sleep(wait).await;
            continue;
        }
        let fewer = match judge(ran, settings.cut_off.is_requested()) {
            ControlFlow::Continue(fewer) => fewer,
            ControlFlow::Break(ran) => return ran,
        };
        tracing::debug!(
            consumer = &*settings.name,
            failed_message = leased.failed_message,
            messages = fewer,
            "run of a blocked key is tried again with fewer messages"
        );
        settings.stats.add(&ConsumerStats { rolled_back: 1, ..ConsumerStats::default() });
        most = fewer;
    }
}

/// Returns the result of the run of a failed message, or the number of messages for another try. If one of several messages
/// fails, the messages before it are applied without it: it becomes the head of its key and fails by itself. If the culprit is
/// unknown, or an operator has acted on one of the messages, the run is halved.
fn judge(ran: KeyOutcome, is_cut_off: bool) -> ControlFlow<KeyOutcome, u32> {
    let fewer = match &ran {
        KeyOutcome::NotOurs { length } => length / 2,
        KeyOutcome::Failed(Culprit { length: 0 | 1, .. }) => 0,
        KeyOutcome::Failed(Culprit {
            index: Some(index),
            fault: Fault::Message(_) | Fault::Unavailable(_),
            ..
        }) => *index,
        // The store failed during the run, and may have committed everything.
        KeyOutcome::Failed(Culprit { fault: Fault::Outage(_), .. }) => 0,
        KeyOutcome::Failed(Culprit { length, .. }) => length / 2,
        KeyOutcome::Resolved(..) | KeyOutcome::Broken(_) => 0,
    };
    match fewer {
        0 => ControlFlow::Break(ran),
        // A stop leaves no time for another run, and the failed message is not the culprit.
        _ if is_cut_off => ControlFlow::Break(KeyOutcome::head_failed(Fault::CutOff)),
        _ => ControlFlow::Continue(fewer),
    }
}

async fn end<S: Inbox>(
    settings: &Settings<S>,
    leased: &RetryLease,
    ran: KeyOutcome,
    unavailable: u32,
) -> RetryOutcome {
    let consumer = &*settings.name;
    let mut retried = RetryOutcome { was_due: true, ..RetryOutcome::nothing() };
    let fault = match ran {
        KeyOutcome::Resolved(applied, followers) => {
            crash::point("retry.committed");
            let behind = followers.iter().map(|follower| &follower.received);
            for received in std::iter::once(&leased.received).chain(behind) {
                settings.observers.see(consumer, received, &Delivered::Handled);
            }
            retried.for_gates.handled = true;
            retried.applied = Some(applied);
            let handled = applied.messages.into();
            settings.stats.add(&ConsumerStats { handled, batches: 1, ..ConsumerStats::default() });
            return retried;
        }
        KeyOutcome::NotOurs { .. } => return retried,
        KeyOutcome::Broken(error) => Fault::Outage(chain(&error)),
        KeyOutcome::Failed(Culprit { fault, .. }) => fault,
    };
    let result = decide(settings, leased, fault, unavailable, &mut retried);
    match write_result(settings, leased, &result).await {
        Ok(true) => {
            let counts = result.counts();
            if let LeaseResult::Fail(failure) = result {
                let kind = failure.kind;
                settings.observers.see(consumer, &leased.received, &Delivered::Failed(failure));
                settings.stats.failed(kind);
            }
            settings.stats.add(&counts);
        }
        Ok(false) => {}
        Err(error) => {
            // The lease ends by itself.
            tracing::warn!(consumer, failed_message = leased.failed_message, error = %chain(&error), "answer to a lease was not written");
            retried.outage = Some(chain(&error));
        }
    }
    retried
}

/// Decides on a failed message whose run has failed.
fn decide<S: Inbox>(
    settings: &Settings<S>,
    leased: &RetryLease,
    fault: Fault,
    unavailable: u32,
    retried: &mut RetryOutcome,
) -> LeaseResult {
    let consumer = &*settings.name;
    match fault {
        Fault::Message(failure) | Fault::TransactionTimeout(failure) | Fault::Blame(failure) => {
            retried.for_gates.failed.push(failure.kind);
            let mut failure = settings.rules.decide(failure, leased.attempt);
            if leased.requested {
                failure.next = Next::Dead;
            }
            if let Next::Retry(delay) = failure.next {
                retried.due_in = Some(delay);
            }
            log_failure(consumer, &leased.received, &failure);
            LeaseResult::Fail(failure)
        }
        Fault::Conflict(_) | Fault::CutOff => {
            if let Fault::Conflict(error) = fault {
                tracing::debug!(
                    consumer,
                    failed_message = leased.failed_message,
                    error,
                    "retry met a conflict"
                );
            }
            let delay = Backoff::after_conflict();
            retried.due_in = Some(delay);
            LeaseResult::HandBack(delay)
        }
        Fault::Unavailable(error) => {
            retried.for_gates.failed.push(FailureKind::Unavailable);
            retried.is_unavailable = true;
            // Behind other due messages, and rarely while none of them is applied.
            let delay = settings.rules.backoff.delay(unavailable + 1);
            retried.due_in = Some(delay);
            tracing::warn!(consumer, failed_message = leased.failed_message, error, wait = ?delay, "retry paused: a dependency is unavailable");
            LeaseResult::HandBack(delay)
        }
        Fault::Outage(error) => {
            retried.outage = Some(error);
            LeaseResult::HandBack(Duration::ZERO)
        }
    }
}

/// Records the result of a lease, and retries during an outage: without a result, the run would count as a crash of this
/// process. If another process has leased the failed message meanwhile, the result has no effect.
async fn write_result<S: Inbox>(
    settings: &Settings<S>,
    leased: &RetryLease,
    result: &LeaseResult,
) -> Result<bool, Error> {
    let (store, consumer) = (&settings.store, &*settings.name);
    let mut outages = 0;
    loop {
        let written = match result {
            LeaseResult::Fail(failure) => store.retries().fail(consumer, leased, failure).await,
            LeaseResult::HandBack(delay) => store.retries().hand_back(consumer, leased, *delay).await,
        };
        match written {
            Err(error) if error.is_transient() && !settings.cut_off.is_requested() => {
                tracing::debug!(consumer, failed_message = leased.failed_message, error = %chain(&error), "answer to a lease waits");
                outages += 1;
                let wait = tokio::time::sleep(Backoff::OUTAGE.delay(outages));
                settings.unless_cut_off(wait).await;
            }
            written => return written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FailureKind;

    fn failed(index: Option<u32>, length: u32, fault: Fault) -> KeyOutcome {
        KeyOutcome::Failed(Culprit { index, length, fault })
    }

    fn no_stock() -> Fault {
        Fault::Message(Failure::permanent(FailureKind::Permanent, "no stock"))
    }

    fn down() -> Fault {
        Fault::Unavailable("payments are down".to_owned())
    }

    fn away() -> Fault {
        Fault::Outage("the database is away".to_owned())
    }

    fn ended() -> Fault {
        Fault::Blame(Failure::retryable(FailureKind::Transaction, "the transaction is over"))
    }

    #[test]
    fn what_stands_before_a_culprit_is_tried_without_it() {
        for fault in [no_stock, down] {
            assert_eq!(judge(failed(Some(7), 40, fault()), false).continue_value(), Some(7));
            assert!(judge(failed(Some(0), 40, fault()), false).is_break(), "the head has failed by itself");
            assert!(judge(failed(Some(0), 1, fault()), false).is_break());
        }
    }

    #[test]
    fn a_run_whose_culprit_is_unknown_is_halved_until_one_is_left() {
        for ran in [
            failed(Some(7), 40, ended()),
            failed(Some(0), 40, ended()),
            failed(None, 40, ended()),
            failed(Some(39), 40, Fault::Conflict("deadlock".to_owned())),
            KeyOutcome::NotOurs { length: 40 },
        ] {
            assert_eq!(judge(ran, false).continue_value(), Some(20));
        }
        for ran in [failed(None, 1, ended()), KeyOutcome::NotOurs { length: 1 }] {
            assert!(judge(ran, false).is_break());
        }
    }

    #[test]
    fn a_run_that_may_have_been_kept_is_not_tried_again() {
        assert!(judge(failed(None, 40, away()), false).is_break());
    }

    #[test]
    fn a_stop_in_a_run_blames_no_message() {
        for ran in
            [failed(Some(7), 40, no_stock()), failed(None, 40, ended()), KeyOutcome::NotOurs { length: 40 }]
        {
            let judged = judge(ran, true).break_value();
            assert!(
                matches!(judged, Some(KeyOutcome::Failed(Culprit { fault: Fault::CutOff, .. }))),
                "the failed message is handed back"
            );
        }
        let judged = judge(failed(Some(0), 40, no_stock()), true).break_value();
        assert!(
            matches!(judged, Some(KeyOutcome::Failed(Culprit { fault: Fault::Message(_), .. }))),
            "it has failed"
        );
    }
}
