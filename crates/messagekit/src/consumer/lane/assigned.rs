//! The loop's view of each lane: its waiting messages, and the state for its next batch.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::message::QueuedMessage;
use super::state::LaneState;
use crate::MessageId;
use crate::consumer::settings::{WINDOW_BYTES, WINDOW_MESSAGES};
use crate::store::Store;
use crate::transport::{Done, Receipt};

/// After this quiet time, a lane has delivered all earlier messages again.
const CAUGHT_UP: Duration = Duration::from_secs(10);

/// What must wait in a lane before its batch starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::consumer) enum MinimumBatch {
    OneMessage,
    /// The source has more: a batch that is not whole would leave it to another transaction.
    WholeBatch,
}

/// A lane of the current assignment.
pub(in crate::consumer) struct AssignedLane<S: Store> {
    /// The name of the lane in health.
    pub(in crate::consumer) name: Arc<str>,
    /// The id of its batch attempts, equal in every process.
    pub(in crate::consumer) attempts: MessageId,
    /// Moves into each batch run and comes back whole.
    pub(in crate::consumer) state: LaneState,
    queue: VecDeque<QueuedMessage<S>>,
    bytes: usize,
    paused: bool,
    /// Ends the running batch between transactions.
    pub(in crate::consumer) working: Option<Arc<AtomicBool>>,
    wait: Option<Pin<Box<Sleep>>>,
    /// Since this time no message waits.
    quiet: Option<Instant>,
    pub(in crate::consumer) revoking: Option<Done>,
    /// The lane is given up: its messages are released.
    pub(in crate::consumer) given_up: bool,
}

/// What a lane asks of its subscriber, by the number and size of its waiting messages.
pub(in crate::consumer) enum FlowControl {
    Pause,
    Resume,
    Keep,
}

impl<S: Store> AssignedLane<S> {
    pub(in crate::consumer) fn new(name: &str, limit: u32) -> Self {
        Self {
            name: Arc::from(if name.is_empty() { "all partitions" } else { name }),
            attempts: MessageId::of_first(name),
            state: LaneState::new(name, limit),
            queue: VecDeque::new(),
            bytes: 0,
            paused: false,
            working: None,
            wait: None,
            quiet: None,
            revoking: None,
            given_up: false,
        }
    }

    pub(in crate::consumer) fn push(&mut self, queued: QueuedMessage<S>) -> FlowControl {
        if self.quiet.take().is_some_and(|since| since.elapsed() >= CAUGHT_UP) {
            self.state.guard.all_finished();
        }
        self.bytes += queued.prepared.received.message.size();
        self.queue.push_back(queued);
        self.flow_control()
    }

    /// Puts back the messages that a batch run did not finish.
    pub(in crate::consumer) fn put_back(&mut self, unfinished: Vec<QueuedMessage<S>>) {
        for queued in unfinished.into_iter().rev() {
            self.bytes += queued.prepared.received.message.size();
            self.queue.push_front(queued);
        }
    }

    /// Takes the next batch: at most `granted` messages.
    pub(in crate::consumer) fn take(&mut self, granted: u32) -> (Vec<QueuedMessage<S>>, FlowControl) {
        let n = self.ready_messages().min(granted) as usize;
        let batch: Vec<QueuedMessage<S>> = self.queue.drain(..n).collect();
        self.bytes -= batch.iter().map(|queued| queued.prepared.received.message.size()).sum::<usize>();
        (batch, self.flow_control())
    }

    /// Takes all receipts that are still queued.
    pub(in crate::consumer) fn give_up(&mut self) -> impl Iterator<Item = Receipt> {
        self.given_up = true;
        self.bytes = 0;
        std::mem::take(&mut self.queue).into_iter().map(|queued| queued.receipt)
    }

    /// Returns whether no delivered message waits in the lane.
    pub(in crate::consumer) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the number of messages that a batch would have now.
    pub(in crate::consumer) fn ready_messages(&self) -> u32 {
        u32::try_from(self.queue.len()).unwrap_or(u32::MAX).min(self.state.limit())
    }

    /// Returns whether a batch would have as many messages now as it may have.
    pub(in crate::consumer) fn has_whole_batch(&self) -> bool {
        self.ready_messages() == self.state.limit()
    }

    pub(in crate::consumer) fn ready_bytes(&self) -> usize {
        self.queue
            .iter()
            .take(self.ready_messages() as usize)
            .map(|queued| queued.prepared.received.message.size())
            .sum()
    }

    /// Returns whether a batch may start: messages wait, no batch is in flight, and no wait is pending.
    pub(in crate::consumer) fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        if self.given_up || self.working.is_some() || self.queue.is_empty() {
            return false;
        }
        if let Some(wait) = &mut self.wait {
            if wait.as_mut().poll(cx) == Poll::Pending {
                return false;
            }
            self.wait = None;
        }
        true
    }

    /// Begins the quiet time after a batch run, if no message waits. When none arrives for a while, the lane has delivered everything.
    pub(in crate::consumer) fn start_quiet_time(&mut self) {
        self.quiet = self.queue.is_empty().then(Instant::now);
    }

    /// Clears the quiet time: the lane is empty for another reason.
    pub(in crate::consumer) fn reset_quiet_time(&mut self) {
        self.quiet = None;
    }

    pub(in crate::consumer) fn wait_for(&mut self, wait: Duration) {
        self.wait = Some(Box::pin(tokio::time::sleep(wait)));
    }

    pub(in crate::consumer) fn stop(&self) {
        if let Some(stop) = &self.working {
            stop.store(true, Ordering::Relaxed);
        }
    }

    /// Pauses full lanes and resumes them when they are half empty, so a lane does not alternate with each message.
    fn flow_control(&mut self) -> FlowControl {
        let full = self.queue.len() >= WINDOW_MESSAGES || self.bytes >= WINDOW_BYTES;
        let roomy = self.queue.len() <= WINDOW_MESSAGES / 2 && self.bytes <= WINDOW_BYTES / 2;
        match self.paused {
            false if full => {
                self.paused = true;
                FlowControl::Pause
            }
            true if roomy => {
                self.paused = false;
                FlowControl::Resume
            }
            _ => FlowControl::Keep,
        }
    }
}
