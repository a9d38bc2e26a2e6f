//! One transaction over a failed message and the messages parked behind it in its key.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::consumer::Backoff;
use crate::consumer::fault::{Fault, call, handle, store_error_name, store_fault};
use crate::consumer::settings::{Settings, WINDOW_BYTES};
use crate::gate::Starts;
use crate::handler::{CallResult, Erased, Input, Task};
use crate::store::{
    End, Failure, FailureKind, Follower, Inbox, ReceivedMessage, Retries, RetryLease, Store, TransactError,
    TransactionSpans,
};
use crate::{Error, ErrorKind, Meta, chain, crash};

/// The result of a transaction over a key.
pub(super) enum KeyOutcome {
    /// The leased message, and these followers, were applied and resolved.
    Resolved(Applied, Vec<Follower>),
    /// The lease was lost, or an operator acted on one of the messages first: nothing was kept.
    NotOurs { length: u32 },
    /// Nothing was kept.
    Failed(Culprit),
    /// An error of the store that waiting does not cure.
    Broken(Error),
}

/// The progress of a run.
#[derive(Clone, Copy)]
pub(in crate::consumer) struct Applied {
    /// The number of applied messages.
    pub(in crate::consumer) messages: u32,
    /// The number of messages in the run: more than were applied if the time limit was reached.
    pub(in crate::consumer) length: u32,
    /// The time inside their handlers.
    pub(in crate::consumer) took: Duration,
}

/// The reason why a run failed.
pub(super) struct Culprit {
    /// The index of the message, counted from the leased one, if it is known.
    pub(super) index: Option<u32>,
    /// The number of messages in the run.
    pub(super) length: u32,
    pub(super) fault: Fault,
}

impl KeyOutcome {
    /// Creates the failure of the leased message by itself.
    pub(super) fn head_failed(fault: Fault) -> Self {
        Self::Failed(Culprit { index: Some(0), length: 1, fault })
    }

    /// Returns how long to wait before the same effects of one message may succeed, after `failures` of them: the database prefers
    /// another transaction, or is away.
    pub(super) fn wait_before_another(&self, failures: u32) -> Option<Duration> {
        match self {
            Self::Failed(Culprit { length: 1, fault: Fault::Conflict(_), .. }) => {
                Some(Backoff::after_conflict())
            }
            Self::Failed(Culprit { length: 1, fault: Fault::Outage(_), .. }) => {
                Some(Backoff::OUTAGE.delay(failures + 1))
            }
            _ => None,
        }
    }
}

/// A message of the key, with its handler.
struct KeyMessage<S: Store> {
    received: ReceivedMessage,
    meta: Meta,
    handler: Arc<dyn Erased<S>>,
    attempt: u32,
    called: Option<CallResult>,
}

/// A transaction in progress.
struct KeyTransaction<'a, S: Inbox> {
    settings: &'a Settings<S>,
    leased: &'a RetryLease,
    /// The applied followers.
    followers: Vec<Follower>,
    /// The number of bytes that the run may still take.
    bytes: u64,
    /// The number of messages in the run, applied or not.
    length: &'a AtomicU32,
    starts: &'a Starts,
    spans: &'a TransactionSpans,
    started: Instant,
}

/// Makes the call of the leased message, if its handler has two phases.
pub(super) async fn call_head<S: Inbox>(
    settings: &Settings<S>,
    leased: &RetryLease,
    starts: &Starts,
) -> Result<Option<CallResult>, Fault> {
    if settings.rules.calls.is_none() {
        return Ok(None);
    }
    // The run says why it has no handler.
    let Ok(head) = prepare(settings, leased.received.clone(), leased.attempt) else { return Ok(None) };
    let Some(phase) = head.handler.first_phase() else { return Ok(None) };
    let called = call(settings, starts, phase, head.input()).await?;
    crash::point("retry.called");
    Ok(Some(called))
}

/// Applies the leased message and at most `most - 1` messages behind it, in a transaction that also resolves them. It also
/// takes messages that were parked meanwhile, so the backlog of a key ends if handling is faster than parking.
pub(super) async fn run_key<S: Inbox>(
    settings: &Arc<Settings<S>>,
    leased: &Arc<RetryLease>,
    most: u32,
    called: Option<CallResult>,
    starts: &Starts,
) -> KeyOutcome {
    let head = match prepare(settings, leased.received.clone(), leased.attempt) {
        Ok(head) => KeyMessage { called, ..head },
        Err(failure) => return KeyOutcome::head_failed(Fault::Message(failure)),
    };
    let (shared, leased) = (Arc::clone(settings), Arc::clone(leased));
    let length = Arc::new(AtomicU32::new(1));
    let (taken, starts) = (Arc::clone(&length), starts.clone());
    let spans = TransactionSpans::new();
    let held = spans.clone();
    let work = settings.store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            let mut applying = KeyTransaction {
                settings: &shared,
                leased: &leased,
                followers: Vec::new(),
                bytes: WINDOW_BYTES as u64,
                length: &taken,
                starts: &starts,
                spans: &held,
                started: Instant::now(),
            };
            let end = applying.apply(&mut tx, head, most).await;
            if let End::Commit(_) = end {
                held.commit_begins();
            }
            (tx, end)
        })
    }));
    let Some(ended) = settings.unless_cut_off(work).await else {
        return KeyOutcome::head_failed(Fault::CutOff);
    };
    end_spans(&spans, &ended);
    match ended {
        Ok(ran) => ran,
        // The handler did not run, so it is not the culprit.
        Err(TransactError::Begin(error)) => match store_fault(&error) {
            Some(Fault::Blame(_)) | None => KeyOutcome::Broken(error),
            Some(fault) => KeyOutcome::head_failed(fault),
        },
        // The commit may have happened. If it did, the failed message is resolved and the token is no longer valid.
        Err(TransactError::Commit(error) | TransactError::Unknown(error)) => {
            store_failed(error, length.load(Ordering::Relaxed))
        }
    }
}

/// Ends the spans of the transaction with its outcome.
fn end_spans(spans: &TransactionSpans, ended: &Result<KeyOutcome, TransactError>) {
    match ended {
        Ok(KeyOutcome::Resolved(..)) => spans.committed(),
        Ok(KeyOutcome::NotOurs { .. }) => spans.rolled_back(&"lease_lost"),
        Ok(KeyOutcome::Failed(culprit)) => spans.rolled_back(&culprit.fault.as_str()),
        Ok(KeyOutcome::Broken(error)) | Err(TransactError::Begin(error) | TransactError::Commit(error)) => {
            spans.rolled_back(&store_error_name(error));
        }
        Err(TransactError::Unknown(_)) => spans.unknown(),
    }
}

/// Prepares a message for its handler, or returns the reason why it has none.
fn prepare<S: Inbox>(
    settings: &Settings<S>,
    received: ReceivedMessage,
    attempt: u32,
) -> Result<KeyMessage<S>, Failure> {
    let (received, task) = settings.router.prepare(received.message, received.position);
    match task {
        Task::Handle { handler, meta } => Ok(KeyMessage { received, meta, handler, attempt, called: None }),
        // A router never blocks.
        Task::SetAside(failure) | Task::Block(failure) => Err(failure),
        Task::Ignore(_) => {
            let text = "no handler for this event type: deploy one, then retry";
            Err(Failure::permanent(FailureKind::UnknownType, text))
        }
    }
}

/// Classifies an error of the store in a run of `length` messages.
pub(super) fn store_failed(error: Error, length: u32) -> KeyOutcome {
    let index = (length == 1).then_some(0);
    let fault = match error.kind() {
        // Waiting does not cure it, and other failed messages are not affected.
        ErrorKind::Corrupt => Some(Fault::Blame(Failure::permanent(FailureKind::Corrupt, chain(&error)))),
        _ => store_fault(&error),
    };
    fault.map_or(KeyOutcome::Broken(error), |fault| KeyOutcome::Failed(Culprit { index, length, fault }))
}

impl<S: Inbox> KeyTransaction<'_, S> {
    async fn apply(&mut self, tx: &mut S::Tx, head: KeyMessage<S>, most: u32) -> End<KeyOutcome> {
        let mut messages = vec![head];
        let mut taken = Vec::new();
        loop {
            if let Err(failed) = self.read_followers(tx, most, &mut messages, &mut taken).await {
                return End::Rollback(failed);
            }
            if messages.is_empty() {
                break;
            }
            match self.handle(tx, &messages, &mut taken).await {
                Ok(ControlFlow::Continue(())) => messages.clear(),
                Ok(ControlFlow::Break(())) => break,
                Err(failed) => return End::Rollback(failed),
            }
        }
        let took = self.started.elapsed();
        let (store, consumer) = (&self.settings.store, &*self.settings.name);
        match store.retries().resolve(tx, consumer, self.leased, &self.followers).await {
            Ok(true) => {
                crash::point("retry.resolved");
                let messages = u32::try_from(self.followers.len()).unwrap_or(u32::MAX).saturating_add(1);
                let applied = Applied { messages, length: self.length(), took };
                End::Commit(KeyOutcome::Resolved(applied, std::mem::take(&mut self.followers)))
            }
            Ok(false) => End::Rollback(KeyOutcome::NotOurs { length: self.length() }),
            Err(error) => End::Rollback(store_failed(error, self.length())),
        }
    }

    fn length(&self) -> u32 {
        self.length.load(Ordering::Relaxed)
    }

    /// Reads the messages that are now parked behind the applied ones. A message that cannot be handled ends the run: it fails
    /// by itself as the head of its key.
    async fn read_followers(
        &mut self,
        tx: &mut S::Tx,
        most: u32,
        messages: &mut Vec<KeyMessage<S>>,
        taken: &mut Vec<Follower>,
    ) -> Result<(), KeyOutcome> {
        let left = most.saturating_sub(self.length());
        if left == 0 || self.time_is_up() {
            return Ok(());
        }
        let (store, consumer) = (&self.settings.store, &*self.settings.name);
        let last =
            self.followers.last().map_or(self.leased.failed_message, |follower| follower.failed_message);
        let followers = store.retries().followers(tx, consumer, last, left, self.bytes).await;
        for follower in followers.map_err(|error| store_failed(error, self.length()))? {
            let Ok(message) = prepare(self.settings, follower.received.clone(), follower.attempt) else {
                break;
            };
            // There is no call inside of a transaction: it comes when the message is the head of its key.
            if message.handler.first_phase().is_some() {
                break;
            }
            self.bytes = self.bytes.saturating_sub(follower.received.message.payload.len() as u64);
            messages.push(message);
            taken.push(follower);
            self.length.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Runs the handlers in order; breaks when the time limit is reached.
    async fn handle(
        &mut self,
        tx: &mut S::Tx,
        messages: &[KeyMessage<S>],
        taken: &mut Vec<Follower>,
    ) -> Result<ControlFlow<()>, KeyOutcome> {
        let first = self.length() - u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let mut next = 0;
        while let Some(message) = messages.get(next) {
            if next > 0 && self.time_is_up() {
                break;
            }
            let same = |other: &&KeyMessage<S>| Arc::ptr_eq(&other.handler, &message.handler);
            let behind: Vec<Input<'_>> = match message.handler.takes_several() {
                true => messages[next + 1..].iter().take_while(same).map(KeyMessage::input).collect(),
                false => Vec::new(),
            };
            let count = 1 + behind.len();
            let starts_and_spans = (self.starts, self.spans);
            if let Err((at, fault)) =
                handle(self.settings, starts_and_spans, tx, &message.handler, message.input(), behind).await
            {
                let index = first + u32::try_from(next + at).unwrap_or(u32::MAX);
                return Err(KeyOutcome::Failed(Culprit { index: Some(index), length: self.length(), fault }));
            }
            crash::point("retry.handled");
            next += count;
        }
        // The leased message is not one of its followers.
        self.followers.extend(taken.drain(..).take(next - usize::from(first == 0)));
        Ok(if next < messages.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn time_is_up(&self) -> bool {
        self.started.elapsed() >= self.settings.rules.time_of_a_transaction()
    }
}

impl<S: Store> KeyMessage<S> {
    fn input(&self) -> Input<'_> {
        let called = self.called.clone();
        Input { called, ..Input::new(&self.received, &self.meta, self.attempt) }
    }
}
