//! Running one handler, and what its failure means to the loop.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::handler::{Class, Erased, Given};
use super::settings::Settings;
use super::{HandlerError, Inner};
use crate::message::DeliveryInfo;
use crate::store::{self, Failure, FailureKind, Inbox, ReceivedMessage};
use crate::{Error, ErrorKind, Meta, chain};

/// What a failed handler or transaction means to the loop.
#[derive(Debug)]
pub(super) enum Fault {
    /// This message: set it apart.
    Message(Failure),
    /// The handler says that a dependency is unavailable: wait, burn nothing.
    Unavailable(String),
    /// The store is away: wait, burn nothing.
    Outage(String),
    /// A lock of another transaction: go on with less, burn nothing.
    Conflict(String),
    /// The transaction held the lock for too long while this message's handler ran.
    TransactionTimeout(Failure),
    /// The transaction was already over: the culprit is unknown.
    Blame(Failure),
}

/// A message that a handler is to take, and which run of it this is.
pub(super) struct Run<'a> {
    pub(super) received: &'a ReceivedMessage,
    pub(super) meta: &'a Meta,
    pub(super) attempt: u32,
}

impl<'a> Run<'a> {
    fn given(&self, deadline: Instant) -> Given<'a> {
        Given {
            message: &self.received.message,
            meta: self.meta.clone(),
            info: DeliveryInfo {
                attempt: self.attempt,
                headers: self.received.message.headers.clone(),
                position: self.received.position.clone(),
                deadline: Some(deadline),
            },
        }
    }
}

/// Runs a handler over one message, or over several where it takes them, with its deadline. A failure says by its index which
/// of them it is about.
pub(super) async fn handle<S: Inbox>(
    settings: &Settings<S>,
    tx: &mut S::Tx,
    handler: &Arc<dyn Erased<S>>,
    first: Run<'_>,
    behind: &[Run<'_>],
) -> Result<(), (usize, Fault)> {
    let deadline = Instant::now() + settings.rules.deadline;
    let inner = Inner {
        around: &settings.around,
        handler: &**handler,
        first: first.given(deadline),
        behind: behind.iter().map(|run| run.given(deadline)).collect(),
    };
    // The future is made in here, so that a panic on the way to it is caught as well.
    let handling = async { inner.run(tx).await };
    let started = std::time::Instant::now();
    let ended = tokio::select! {
        biased;
        ended = tokio::time::timeout(settings.rules.deadline, AssertUnwindSafe(handling).catch_unwind()) => ended,
        () = settings.cut_off.requested() => {
            return Err((0, cut_off()));
        }
    };
    settings.stats.took(started.elapsed());
    let (culprit, fault) = match ended {
        Ok(Ok(Ok(()))) => return Ok(()),
        Ok(Ok(Err(error))) => (error.culprit.filter(|index| *index <= behind.len()), fault::<S>(&error)),
        Ok(Err(panic)) => {
            let text = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let text = format!("handler panicked: {}", text.unwrap_or("without a text"));
            (None, Fault::Message(Failure::retryable(FailureKind::Panicked, text)))
        }
        Err(_) => {
            let text = format!("handler did not end within its deadline of {:?}", settings.rules.deadline);
            (None, Fault::Message(Failure::retryable(FailureKind::TooSlow, text)))
        }
    };
    Err(match (culprit, fault) {
        (Some(index), fault) => (index, fault),
        // One of several, or all of them together.
        (None, Fault::Message(failure) | Fault::TransactionTimeout(failure)) if !behind.is_empty() => {
            (0, Fault::Blame(failure))
        }
        (None, fault) => (0, fault),
    })
}

/// A stop has waited long enough: burns nothing.
pub(super) fn cut_off() -> Fault {
    Fault::Conflict("handler was cut off by a stop".to_owned())
}

fn fault<S: Inbox>(error: &HandlerError) -> Fault {
    let text = error.to_string();
    let failure = match error.class {
        Class::Permanent => Failure::permanent(FailureKind::Permanent, text),
        Class::Undecodable => Failure::permanent(FailureKind::Undecodable, text),
        Class::Unavailable | Class::Retryable | Class::Unclassified => {
            Failure::retryable(FailureKind::Failed, text)
        }
    };
    match (error.class, store::classify::<S>(error.source.as_ref())) {
        // Whatever the handler calls it: the transaction was over, and an earlier message may have ended it.
        (_, Some(ErrorKind::Aborted)) => Fault::Blame(Failure { kind: FailureKind::Transaction, ..failure }),
        (_, Some(ErrorKind::TransactionTimeout)) => {
            Fault::TransactionTimeout(Failure { kind: FailureKind::Transaction, ..failure })
        }
        (Class::Unavailable, _)
        | (Class::Unclassified, Some(ErrorKind::Unavailable | ErrorKind::OutcomeUnknown)) => {
            Fault::Unavailable(failure.error)
        }
        (Class::Unclassified, Some(ErrorKind::Conflict)) => Fault::Conflict(failure.error),
        _ => Fault::Message(failure),
    }
}

/// Says what an error of the store means, outside of any handler.
pub(super) fn store_fault(error: &Error) -> Option<Fault> {
    let text = chain(error);
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => Some(Fault::Outage(text)),
        ErrorKind::Conflict => Some(Fault::Conflict(text)),
        ErrorKind::TransactionTimeout => {
            Some(Fault::TransactionTimeout(Failure::retryable(FailureKind::Transaction, text)))
        }
        ErrorKind::Aborted | ErrorKind::Other => {
            Some(Fault::Blame(Failure::retryable(FailureKind::Transaction, text)))
        }
        _ => None,
    }
}
