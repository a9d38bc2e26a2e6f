//! Runs one handler, or its call, and classifies its failure for the loop.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::settings::Settings;
use super::spans::ProcessSpans;
use crate::gate::Starts;
use crate::handler::{CallResult, Erased, FirstPhase, HandlerError, HandlerErrorKind, Inner, Input};
use crate::store::{self, CUT_OFF, Failure, FailureKind, Inbox, TransactionSpans, address};
use crate::{Error, ErrorKind, chain};

/// The classification of a failed handler or transaction.
#[derive(Debug)]
pub(super) enum Fault {
    /// The message fails: set it aside.
    Message(Failure),
    /// The handler reports an unavailable dependency: wait; this costs no attempt.
    Unavailable(String),
    /// The store does not answer: wait; this costs no attempt.
    Outage(String),
    /// A lock of another transaction: continue with a smaller batch; this costs no attempt.
    Conflict(String),
    /// A stop has cancelled the handler; this costs no attempt.
    CutOff,
    /// The transaction held the lock for too long while this message's handler ran.
    TransactionTimeout(Failure),
    /// The transaction had already ended: the culprit is unknown.
    Blame(Failure),
}

impl Fault {
    /// Returns what failed, as spans name it.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Message(failure) | Self::TransactionTimeout(failure) | Self::Blame(failure) => {
                failure.kind.as_str()
            }
            Self::Unavailable(_) => FailureKind::Unavailable.as_str(),
            Self::Outage(_) => "outage",
            Self::Conflict(_) => "conflict",
            Self::CutOff => CUT_OFF,
        }
    }
}

/// Runs a handler with its deadline, over one message or over several, and counts them in `starts`. A failure contains the index
/// of its message.
pub(super) async fn handle<S: Inbox>(
    settings: &Settings<S>,
    (starts, transaction): (&Starts, &TransactionSpans),
    tx: &mut S::Tx,
    handler: &Arc<dyn Erased<S>>,
    mut first: Input<'_>,
    mut behind: Vec<Input<'_>>,
) -> Result<(), (usize, Fault)> {
    let deadline = Instant::now() + settings.rules.deadline;
    std::iter::once(&mut first).chain(&mut behind).for_each(|input| input.starts(deadline));
    let spans = ProcessSpans::begin(settings, (address(tx), transaction), &first, &behind);
    let size = |input: &Input<'_>| input.received.message.payload.len();
    let (first_size, sizes_behind) = (size(&first), behind.iter().map(size).collect::<Vec<_>>());
    let (count, is_called) = (1 + behind.len(), first.called.is_some());
    let inner = Inner { around: &settings.around, handler: &**handler, first, behind };
    // Create the future inside the async block, so a panic while creating it is also caught, and one of the user's function.
    let handling = async { inner.run(tx).await.map_err(|error| classify_error(settings, error)) };
    let handling = spans.around(starts.inside(handling));
    // A call has counted its message.
    if !is_called {
        starts.add(u32::try_from(count).unwrap_or(u32::MAX));
    }
    let started = std::time::Instant::now();
    let ended = within_deadline(settings, "handler", handling).await;
    if let Err((_, Fault::CutOff)) = ended {
        return Err((0, Fault::CutOff));
    }
    settings.stats.took(started.elapsed());
    let (culprit, fault) = match ended {
        Ok(()) => {
            std::iter::once(first_size).chain(sizes_behind).for_each(|size| settings.stats.sized(size));
            return Ok(());
        }
        Err((culprit, fault)) => (culprit.filter(|index| *index < count), fault),
    };
    spans.failed(culprit, fault.as_str());
    Err(match (culprit, fault) {
        (Some(index), fault) => (index, fault),
        // The culprit is one of several messages, or all of them together.
        (None, Fault::Message(failure) | Fault::TransactionTimeout(failure)) if count > 1 => {
            (0, Fault::Blame(failure))
        }
        (None, fault) => (0, fault),
    })
}

/// Makes the call of a message with its deadline, and counts the message in `starts`.
pub(super) async fn call<S: Inbox>(
    settings: &Settings<S>,
    starts: &Starts,
    phase: &dyn FirstPhase,
    mut input: Input<'_>,
) -> Result<CallResult, Fault> {
    input.starts(Instant::now() + settings.rules.deadline);
    let spans = ProcessSpans::of_call(settings, &input);
    // As above: a panic while the future is created is caught too.
    let calling = async { phase.call(input).await.map_err(|error| classify_error(settings, error)) };
    let calling = spans.around(starts.inside(calling));
    starts.add(1);
    let started = std::time::Instant::now();
    let ended = within_deadline(settings, "call", calling).await;
    if !matches!(ended, Err((_, Fault::CutOff))) {
        settings.stats.took(started.elapsed());
    }
    ended.map_err(|(_, fault)| {
        if !matches!(fault, Fault::CutOff) {
            spans.failed(None, fault.as_str());
        }
        // There is no transaction that another message could have ended.
        match fault {
            Fault::Blame(failure) | Fault::TransactionTimeout(failure) => Fault::Message(failure),
            fault => fault,
        }
    })
}

/// Runs a function of the user to its end, its deadline, its panic or a stop. A failure has the index that the function names.
async fn within_deadline<S: Inbox, T>(
    settings: &Settings<S>,
    what: &str,
    work: impl Future<Output = Result<T, HandlerError>>,
) -> Result<T, (Option<usize>, Fault)> {
    let _in_flight = settings.stats.begins();
    let deadline = settings.rules.deadline;
    let ended = tokio::select! {
        biased;
        ended = tokio::time::timeout(deadline, AssertUnwindSafe(work).catch_unwind()) => ended,
        () = settings.cut_off.requested() => return Err((None, Fault::CutOff)),
    };
    match ended {
        Ok(Ok(Ok(result))) => Ok(result),
        Ok(Ok(Err(error))) => Err((error.culprit, fault_of::<S>(&error))),
        Ok(Err(panic)) => Err((None, panicked(what, &*panic))),
        Err(_) => {
            let text = format!("{what} did not end within its deadline of {deadline:?}");
            Err((None, Fault::Message(Failure::retryable(FailureKind::TooSlow, text))))
        }
    }
}

fn panicked(what: &str, panic: &(dyn Any + Send)) -> Fault {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = format!("{what} panicked: {}", text.unwrap_or("without a text"));
    Fault::Message(Failure::retryable(FailureKind::Panicked, text))
}

/// Asks the user's function for the class of an error that has none. A refused value says nothing of the state of the store.
fn classify_error<S: Inbox>(settings: &Settings<S>, error: HandlerError) -> HandlerError {
    let of_store = || store::classify::<S>(error.source.as_ref());
    match &settings.classify {
        Some(classify)
            if error.kind == HandlerErrorKind::Unclassified
                && matches!(of_store(), None | Some(ErrorKind::InvalidData)) =>
        {
            HandlerError { culprit: error.culprit, ..classify(error.source) }
        }
        _ => error,
    }
}

fn fault_of<S: Inbox>(error: &HandlerError) -> Fault {
    let text = error.to_string();
    let failure = match error.kind {
        HandlerErrorKind::Permanent => Failure::permanent(FailureKind::Permanent, text),
        HandlerErrorKind::Undecodable => Failure::permanent(FailureKind::Undecodable, text),
        HandlerErrorKind::Unavailable | HandlerErrorKind::Retryable | HandlerErrorKind::Unclassified => {
            Failure { asked: error.wait, ..Failure::retryable(FailureKind::Failed, text) }
        }
    };
    match (error.kind, store::classify::<S>(error.source.as_ref())) {
        // The class of the handler's error does not matter here: an earlier message may have ended the transaction.
        (_, Some(ErrorKind::Aborted)) => Fault::Blame(Failure { kind: FailureKind::Transaction, ..failure }),
        (_, Some(ErrorKind::TransactionTimeout)) => {
            Fault::TransactionTimeout(Failure { kind: FailureKind::Transaction, ..failure })
        }
        (HandlerErrorKind::Unavailable, _)
        | (HandlerErrorKind::Unclassified, Some(ErrorKind::Unavailable | ErrorKind::OutcomeUnknown)) => {
            Fault::Unavailable(failure.error)
        }
        (HandlerErrorKind::Unclassified, Some(ErrorKind::Conflict)) => Fault::Conflict(failure.error),
        (HandlerErrorKind::Unclassified, Some(ErrorKind::InvalidData)) => {
            Fault::Message(Failure::permanent(FailureKind::Permanent, failure.error))
        }
        _ => Fault::Message(failure),
    }
}

/// Classifies an error of the store outside of any handler.
pub(super) fn store_fault(error: &Error) -> Option<Fault> {
    let text = chain(error);
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => Some(Fault::Outage(text)),
        ErrorKind::Conflict => Some(Fault::Conflict(text)),
        ErrorKind::TransactionTimeout => {
            Some(Fault::TransactionTimeout(Failure::retryable(FailureKind::Transaction, text)))
        }
        ErrorKind::Aborted | ErrorKind::InvalidData | ErrorKind::Other => {
            Some(Fault::Blame(Failure::retryable(FailureKind::Transaction, text)))
        }
        _ => None,
    }
}

/// Returns what failed in the store, as spans name it.
pub(super) fn store_error_name(error: &Error) -> String {
    store_fault(error).map_or_else(|| error.kind().to_string(), |fault| fault.as_str().to_owned())
}
