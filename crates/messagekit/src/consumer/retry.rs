//! Running a set-aside message again, when it is due.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::caution::process_killer;
use super::fault::{Fault, Run, cut_off, handle, store_fault};
use super::router::Task;
use super::settings::{KILLS, Settings};
use super::turn::log_failure;
use super::{Backoff, ConsumerStats};
use crate::crash;
use crate::gate::{Outcome, Verdict};
use crate::store::{End, Failure, FailureKind, Inbox, Leased, Next, TransactError};
use crate::{Error, ErrorKind, chain};

/// How a look for due letters ended.
pub(super) struct Retried {
    /// What the gates are told.
    pub(super) outcome: Outcome,
    /// A letter was due: there may be more.
    pub(super) found: bool,
    /// When the letter of this run is due again.
    pub(super) due_in: Option<Duration>,
    /// The store is down.
    pub(super) outage: Option<String>,
    /// The store answered what no waiting cures.
    pub(super) fatal: Option<Error>,
}

impl Retried {
    /// No letter was due.
    fn nothing() -> Self {
        let outcome = Outcome { verdict: Verdict::Neutral, used: 0 };
        Self { outcome, found: false, due_in: None, outage: None, fatal: None }
    }
}

/// How a run of a letter ended.
enum Ran {
    Resolved,
    /// The lease was lost, or a person was quicker: nothing was kept.
    NotOurs,
    Fault(Fault),
    /// The store answered what no waiting cures.
    Broken(Error),
}

/// What the store is told of a run that resolved nothing.
enum Answer {
    Fail(Failure),
    HandBack(Duration),
}

/// Leases one due letter and runs it through the same handler, in a transaction that also resolves it.
pub(super) async fn retry<S: Inbox>(settings: Arc<Settings<S>>) -> Retried {
    // The lease outlives the handler's deadline, so that nobody else runs the letter while this run can still commit.
    let lease = settings.longest_run();
    let leased = match settings.store.lease(&settings.name, 1, lease).await {
        Ok(leased) => leased,
        Err(error) if !error.is_transient() && store_fault(&error).is_none() => {
            return Retried { fatal: Some(error), ..Retried::nothing() };
        }
        Err(error) => return Retried { outage: Some(chain(&error)), ..Retried::nothing() },
    };
    let Some(leased) = leased.into_iter().next() else {
        return Retried::nothing();
    };
    crash::point("retry.leased");
    let leased = Arc::new(leased);
    if leased.kills >= KILLS {
        let failure = process_killer(leased.kills);
        return end(&settings, &leased, Ran::Fault(Fault::Message(failure))).await;
    }
    let ran = run(&settings, &leased).await;
    end(&settings, &leased, ran).await
}

/// One transaction: handler, then the letter resolved and its marker done.
async fn run<S: Inbox>(settings: &Arc<Settings<S>>, leased: &Arc<Leased>) -> Ran {
    let (received, task) =
        settings.router.prepare(leased.received.message.clone(), leased.received.place.clone());
    let (handler, meta) = match task {
        Task::Handle { handler, meta } => (handler, meta),
        Task::SetAside(failure) => return Ran::Fault(Fault::Message(failure)),
        Task::Ignore => {
            let text = "no handler for this event type: deploy one, then retry";
            return Ran::Fault(Fault::Message(Failure::permanent(FailureKind::UnknownType, text)));
        }
    };
    let (shared, letter) = (Arc::clone(settings), Arc::clone(leased));
    let work = settings.store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            let one = Run { received: &received, meta: &meta, attempt: letter.attempt };
            if let Err((_, fault)) = handle(&shared, &mut tx, &handler, one, &[]).await {
                return (tx, End::Rollback(Ran::Fault(fault)));
            }
            crash::point("retry.handled");
            match shared.store.resolve(&mut tx, &shared.name, &letter).await {
                Ok(true) => {
                    crash::point("retry.resolved");
                    (tx, End::Commit(Ran::Resolved))
                }
                Ok(false) => (tx, End::Rollback(Ran::NotOurs)),
                Err(error) => (tx, End::Rollback(of_store(error))),
            }
        })
    }));
    let Some(ended) = settings.unless_cut_off(work).await else { return Ran::Fault(cut_off()) };
    match ended {
        Ok(ran) => ran,
        // The handler did not run, so it is not to blame.
        Err(TransactError::Begin(error)) => match store_fault(&error) {
            Some(Fault::Blame(_)) | None => Ran::Broken(error),
            Some(fault) => Ran::Fault(fault),
        },
        // Kept or not: if it was, the letter is resolved and the token does not fit any more.
        Err(TransactError::Commit(error) | TransactError::Unknown(error)) => of_store(error),
    }
}

fn of_store(error: Error) -> Ran {
    if error.kind() == ErrorKind::Corrupt {
        // Waiting cures nothing, and other letters are sound.
        return Ran::Fault(Fault::Message(Failure::permanent(FailureKind::Corrupt, chain(&error))));
    }
    store_fault(&error).map_or(Ran::Broken(error), Ran::Fault)
}

/// A letter that says for too long that its dependency is down, while others are applied, has failed like any other.
fn doubt<S: Inbox>(settings: &Settings<S>, letter: i64, ran: Ran) -> Ran {
    let mut doubted = settings.doubted.lock().unwrap_or_else(PoisonError::into_inner);
    match ran {
        Ran::Fault(Fault::Unavailable(error))
            if doubted.has_failed(letter, settings.stats.read().handled) =>
        {
            Ran::Fault(Fault::Message(Failure::retryable(FailureKind::Failed, error)))
        }
        unavailable @ Ran::Fault(Fault::Unavailable(_)) => unavailable,
        ran => {
            doubted.forget(letter);
            ran
        }
    }
}

async fn end<S: Inbox>(settings: &Settings<S>, leased: &Leased, ran: Ran) -> Retried {
    let consumer = &*settings.name;
    let mut stats = ConsumerStats::default();
    let outcome = Outcome { verdict: Verdict::Neutral, used: 1 };
    let mut retried = Retried { outcome, found: true, ..Retried::nothing() };
    let answer = match doubt(settings, leased.letter, ran) {
        Ran::Resolved => {
            crash::point("retry.committed");
            retried.outcome.verdict = Verdict::Success;
            settings.stats.add(&ConsumerStats { handled: 1, batches: 1, ..stats });
            return retried;
        }
        Ran::NotOurs => return retried,
        Ran::Fault(Fault::Message(failure) | Fault::LockBound(failure) | Fault::Blame(failure)) => {
            let mut failure = settings.decide(failure, leased.attempt);
            if leased.replaying {
                failure.next = Next::Dead;
            }
            stats.rolled_back = 1;
            match failure.next {
                Next::Dead => stats.dead = 1,
                Next::Retry(delay) => retried.due_in = Some(delay),
            }
            log_failure(consumer, &leased.received, &failure);
            Answer::Fail(failure)
        }
        Ran::Fault(Fault::Conflict(error)) => {
            tracing::debug!(consumer, letter = leased.letter, error, "retry met a conflict");
            let delay = Backoff::after_conflict();
            retried.due_in = Some(delay);
            Answer::HandBack(delay)
        }
        Ran::Fault(Fault::Unavailable(error)) => {
            retried.outcome.verdict = Verdict::Failure;
            retried.outage = Some(error);
            Answer::HandBack(Duration::ZERO)
        }
        Ran::Broken(error) => {
            retried.outage = Some(chain(&error));
            Answer::HandBack(Duration::ZERO)
        }
    };
    match answer_lease(settings, leased, &answer).await {
        Ok(true) => settings.stats.add(&stats),
        Ok(false) => {}
        Err(error) => {
            // The lease ends by itself.
            tracing::warn!(consumer, letter = leased.letter, error = %chain(&error), "answer to a lease was not written");
            retried.outage = Some(chain(&error));
        }
    }
    retried
}

/// Answers a lease, again for as long as the store is down: without an answer, the run would count as the death of this process.
/// Where somebody else has leased the letter meanwhile, the answer counts for nothing.
async fn answer_lease<S: Inbox>(
    settings: &Settings<S>,
    leased: &Leased,
    answer: &Answer,
) -> Result<bool, Error> {
    let (store, consumer) = (&settings.store, &*settings.name);
    let mut outages = 0;
    loop {
        let written = match answer {
            Answer::Fail(failure) => store.fail(consumer, leased, failure).await,
            Answer::HandBack(delay) => store.hand_back(consumer, leased, *delay).await,
        };
        match written {
            Err(error) if error.is_transient() && !settings.cut_off.is_requested() => {
                tracing::debug!(consumer, letter = leased.letter, error = %chain(&error), "answer to a lease waits");
                outages += 1;
                let wait = tokio::time::sleep(Backoff::OUTAGE.delay(outages));
                settings.unless_cut_off(wait).await;
            }
            written => return written,
        }
    }
}
