//! A publisher behind gates.

use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{BatchView, Gate, GateStates, Gates, NO_LANE, Outcome, Pass};
use crate::store::{BoxFuture, FailureKind};
use crate::transport::{PublishError, PublishErrorKind, Published, Publisher};
use crate::{Error, ErrorKind, Message};

/// Publishes what its gates admit: a batch waits while one is closed, and goes out in parts where they grant less. Callers take turns.
///
/// For events without an outbox, such as those of an [`EventPublisher`](crate::EventPublisher). A relay has [gates of its
/// own](crate::relay::RelayBuilder::gate): behind this publisher it would take a wait for an outage.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use messagekit::Message;
/// use messagekit::adapter::Publisher;
/// use messagekit::gate::{GatedPublisher, RateLimit};
/// use messagekit_memory::MemoryLog;
///
/// let log = MemoryLog::new(1);
/// let publisher = GatedPublisher::new(log.clone()).gate(RateLimit::per_second(10));
/// let began = tokio::time::Instant::now();
/// publisher.publish(&vec![Message::new("prices", "{}"); 30]).await;
/// assert_eq!((log.len("prices"), began.elapsed().as_secs()), (30, 2));
/// # });
/// ```
pub struct GatedPublisher<P> {
    publisher: P,
    gates: Mutex<Gates>,
    /// A gate wakes one caller.
    turn: tokio::sync::Mutex<()>,
}

impl<P: Publisher> GatedPublisher<P> {
    /// Creates a publisher without gates.
    pub fn new(publisher: P) -> Self {
        Self { publisher, gates: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// Adds a gate behind the others. It hears the answers of the broker: refusals for good as
    /// [`Permanent`](FailureKind::Permanent), all others as [`Unavailable`](FailureKind::Unavailable).
    #[must_use]
    pub fn gate(self, gate: impl Gate + 'static) -> Self {
        self.gates().push(gate);
        self
    }

    /// Returns a live view of the states of the gates, for statistics.
    pub fn states(&self) -> GateStates {
        self.gates().states()
    }

    fn gates(&self) -> MutexGuard<'_, Gates> {
        locked(&self.gates)
    }

    /// Waits until the gates admit some of the messages, and returns how many.
    async fn admitted(&self, messages: &[Message]) -> (Pass, usize) {
        let _turn = self.turn.lock().await;
        let _waiting = Waiting(&self.gates);
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let bytes = messages.iter().map(Message::size).sum();
        let batch = BatchView { lane: NO_LANE, messages: count, bytes };
        let (pass, granted) = poll_fn(|cx| self.gates().poll_admit(&batch, cx)).await;
        (pass, messages.len().min(granted as usize))
    }

    async fn publish_admitted(&self, part: &[Message], pass: Pass) -> Vec<Published> {
        let used = u32::try_from(part.len()).unwrap_or(u32::MAX);
        pass.started(used);
        let answers = self.publisher.publish(part).await;
        let mut outcome = Outcome { used, ..Outcome::default() };
        for answer in &answers {
            match answer {
                Ok(()) => (outcome.handled, outcome.failed) = (true, Vec::new()),
                Err(refused) if refused.refusal == PublishErrorKind::Rejected => {
                    outcome.failed.push(FailureKind::Permanent);
                }
                Err(_) => outcome.failed.push(FailureKind::Unavailable),
            }
        }
        self.gates().settle(pass, &outcome);
        answers
    }
}

impl<P: Publisher> Publisher for GatedPublisher<P> {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            let mut answers: Vec<Published> = Vec::with_capacity(batch.len());
            let mut failed: HashSet<(&Arc<str>, &Bytes)> = HashSet::new();
            while let Some(next) = batch.get(answers.len()) {
                let is_open = |message: &&Message| key_of(message).is_none_or(|key| !failed.contains(&key));
                if !is_open(&next) {
                    answers.push(Err(behind()));
                    continue;
                }
                let rest = &batch[answers.len()..];
                let (pass, granted) = self.admitted(&rest[..rest.iter().take_while(is_open).count()]).await;
                let part = &rest[..granted];
                let mut of_part = self.publish_admitted(part, pass).await;
                // One answer for each message, also of a publisher that forgets some.
                of_part.resize_with(part.len(), || Err(unanswered()));
                let refused = part.iter().zip(&of_part).filter(|(_, answer)| answer.is_err());
                failed.extend(refused.filter_map(|(message, _)| key_of(message)));
                answers.append(&mut of_part);
            }
            answers
        })
    }

    fn max_bytes(&self) -> usize {
        self.publisher.max_bytes()
    }

    fn system(&self) -> &'static str {
        self.publisher.system()
    }
}

/// What waits for the gates. When it leaves, admitted or dropped, no gate is closed for it.
struct Waiting<'a>(&'a Mutex<Gates>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        locked(self.0).forget_batch();
    }
}

fn locked(gates: &Mutex<Gates>) -> MutexGuard<'_, Gates> {
    gates.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key_of(message: &Message) -> Option<(&Arc<str>, &Bytes)> {
    message.key.as_ref().map(|key| (&message.topic, key))
}

fn behind() -> PublishError {
    let error = Error::new(ErrorKind::Other, "an earlier message of its key was refused");
    PublishError { refusal: PublishErrorKind::KeyBlocked, error }
}

fn unanswered() -> PublishError {
    let error = Error::new(ErrorKind::Other, "publisher did not answer for every message");
    PublishError { refusal: PublishErrorKind::Unknown, error }
}

impl<P> fmt::Debug for GatedPublisher<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatedPublisher").field("gates", &*locked(&self.gates)).finish_non_exhaustive()
    }
}
