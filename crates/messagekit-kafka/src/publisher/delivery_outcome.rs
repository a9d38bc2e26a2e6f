//! The outcomes of the messages of one attempt.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::Notify;

use crate::error::is_refusal;

/// The outcome of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DeliveryOutcome {
    /// Every in-sync replica has the message.
    Taken,
    /// The broker or the client rejects the message, or the request that contained it.
    Refused(Code),
    /// It never left this process, or was rejected for a reason that does not affect other processes.
    NotSent(KafkaError),
    /// It may be in the topic.
    Unknown(KafkaError),
}

impl DeliveryOutcome {
    /// Returns the outcome of a message held back because an earlier one of its key failed.
    pub(super) fn behind() -> Self {
        Self::NotSent(KafkaError::MessageProduction(Code::PurgeQueue))
    }

    /// Returns the outcome that a delivery report means.
    pub(super) fn of(error: &KafkaError) -> Self {
        match error.rdkafka_error_code() {
            // `InvalidTimestamp` concerns this machine's clock and not the message: the broker accepts it from
            // another machine.
            Some(Code::PurgeQueue | Code::InvalidTimestamp) => Self::NotSent(error.clone()),
            // The broker has not written it; a client that repeats requests reports this only in the end.
            Some(Code::NotEnoughReplicas | Code::NotLeaderForPartition | Code::LeaderNotAvailable) => {
                Self::NotSent(error.clone())
            }
            Some(code) if is_refusal(code) => Self::Refused(code),
            _ => Self::Unknown(error.clone()),
        }
    }
}

/// The messages of one attempt that the client holds.
#[derive(Debug, Default)]
pub(super) struct DeliveryOutcomes {
    state: Mutex<State>,
    all_known: Notify,
}

#[derive(Debug, Default)]
struct State {
    known: Vec<(usize, DeliveryOutcome)>,
    /// Handed to the client, with no report yet.
    open: usize,
}

/// Returns with the delivery report of a message; the client passes it as a pointer.
pub(super) type Opaque = Box<Entry>;

/// A message that the client holds: its index in the batch.
pub(super) struct Entry {
    index: usize,
    outcomes: Arc<DeliveryOutcomes>,
}

impl Entry {
    pub(super) fn settle(self, fate: DeliveryOutcome) {
        let mut state = self.outcomes.lock();
        state.known.push((self.index, fate));
        state.open -= 1;
        if state.open == 0 {
            self.outcomes.all_known.notify_one();
        }
    }
}

impl DeliveryOutcomes {
    pub(super) fn opaque(self: &Arc<Self>, index: usize) -> Opaque {
        self.lock().open += 1;
        Box::new(Entry { index, outcomes: Arc::clone(self) })
    }

    /// Waits until every message has a report.
    pub(super) async fn all_known(&self) {
        while self.lock().open > 0 {
            self.all_known.notified().await;
        }
    }

    pub(super) fn take(&self) -> Vec<(usize, DeliveryOutcome)> {
        std::mem::take(&mut self.lock().known)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
