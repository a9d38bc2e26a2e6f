//! Running a set-aside message again, when it is due.

use std::sync::Arc;
use std::time::Duration;

use super::ConsumerStats;
use super::attempt::{Fault, handle, store_fault};
use super::router::Task;
use super::settings::{KILLS, Settings};
use crate::crash;
use crate::gate::{Outcome, Verdict};
use crate::store::{End, Failure, FailureKind, Inbox, Leased, Next, TransactError};
use crate::{Error, chain};

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

/// Leases one due letter and runs it through the same handler, in a transaction that also resolves it.
pub(super) async fn retry<S: Inbox>(settings: Arc<Settings<S>>) -> Retried {
    let nothing = Retried {
        outcome: Outcome { verdict: Verdict::Neutral, used: 0 },
        found: false,
        due_in: None,
        outage: None,
    };
    // The lease outlives the handler's deadline, so that nobody else runs the letter while this run can still commit.
    let lease = settings.deadline * 2 + Duration::from_secs(30);
    let leased = match settings.store.lease(&settings.name, 1, lease).await {
        Ok(leased) => leased,
        Err(error) => return Retried { outage: Some(chain(&error)), ..nothing },
    };
    let Some(leased) = leased.into_iter().next() else {
        return nothing;
    };
    crash::point("retry.leased");
    let leased = Arc::new(leased);
    if leased.kills >= KILLS {
        let text = format!("ended its process {} times", leased.kills);
        let failure = Failure::permanent(FailureKind::ProcessKiller, text);
        return answer(&settings, &leased, Ran::Fault(Fault::Message(failure))).await;
    }
    let ran = run(&settings, &leased).await;
    answer(&settings, &leased, ran).await
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
            let handled = handle(&shared, &mut tx, &received, &handler, &meta, letter.attempt).await;
            if let Err(fault) = handled {
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
    match work.await {
        Ok(ran) => ran,
        // Kept or not: if it was, the letter is resolved and the token does not fit any more.
        Err(TransactError::Begin(error) | TransactError::Commit(error) | TransactError::Unknown(error)) => {
            of_store(error)
        }
    }
}

fn of_store(error: Error) -> Ran {
    store_fault(&error).map_or(Ran::Broken(error), Ran::Fault)
}

async fn answer<S: Inbox>(settings: &Settings<S>, leased: &Leased, ran: Ran) -> Retried {
    let consumer = &*settings.name;
    let (store, mut stats) = (&settings.store, ConsumerStats::default());
    let mut retried = Retried {
        outcome: Outcome { verdict: Verdict::Neutral, used: 1 },
        found: true,
        due_in: None,
        outage: None,
    };
    let written = match ran {
        Ran::Resolved => {
            crash::point("retry.committed");
            stats.handled = 1;
            stats.batches = 1;
            retried.outcome.verdict = Verdict::Success;
            Ok(true)
        }
        Ran::NotOurs => Ok(false),
        Ran::Fault(Fault::Message(failure) | Fault::Blame(failure)) => {
            let failure = settings.decide(failure, leased.attempt);
            stats.rolled_back = 1;
            match failure.next {
                Next::Dead => stats.dead = 1,
                Next::Retry(delay) => retried.due_in = Some(delay),
            }
            tracing::warn!(
                consumer, message_id = %leased.received.id, letter = leased.letter, attempt = leased.attempt,
                kind = %failure.kind, error = failure.error, "retry failed"
            );
            store.fail(consumer, leased, &failure).await
        }
        Ran::Fault(Fault::Conflict(error)) => {
            tracing::debug!(consumer, letter = leased.letter, error, "retry met a conflict");
            store.hand_back(consumer, leased, Duration::ZERO).await
        }
        Ran::Fault(Fault::Unavailable(error)) => {
            retried.outcome.verdict = Verdict::Failure;
            retried.outage = Some(error);
            store.hand_back(consumer, leased, Duration::ZERO).await
        }
        Ran::Broken(error) => {
            retried.outage = Some(chain(&error));
            store.hand_back(consumer, leased, Duration::ZERO).await
        }
    };
    if let Err(error) = written {
        // The lease ends by itself.
        tracing::warn!(consumer, letter = leased.letter, error = %chain(&error), "answer to a lease was not written");
        retried.outage = Some(chain(&error));
    }
    settings.stats.add(&stats);
    retried
}
