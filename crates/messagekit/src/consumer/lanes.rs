//! What the loop knows of each lane.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::adaptive_batch::AdaptiveBatch;
use super::batch_run::Item;
use super::caution::Watched;
use super::first::First;
use super::settings::{WINDOW_BYTES, WINDOW_MESSAGES};
use crate::gate::Pass;
use crate::store::Store;
use crate::transport::{Done, Receipt};

/// A lane that was quiet for so long has delivered what was delivered before.
const CAUGHT_UP: Duration = Duration::from_secs(10);

/// A turn of the lane that is in flight.
pub(super) struct Working {
    /// Ends the turn between transactions.
    pub(super) stop: Arc<AtomicBool>,
    /// What the gates gave for it.
    pub(super) pass: Pass,
}

/// A lane of the current assignment.
pub(super) struct LaneState<S: Store> {
    /// What health calls it.
    pub(super) name: Arc<str>,
    queue: VecDeque<Item<S>>,
    bytes: usize,
    paused: bool,
    pub(super) working: Option<Working>,
    /// How many messages the next batch may hold: halved by lock conflicts, grown back by success.
    limit: u32,
    /// How many messages fit into the time of a transaction.
    pub(super) fits: AdaptiveBatch,
    /// The message that others are to answer for.
    pub(super) watched: Option<Watched>,
    wait: Option<Pin<Box<Sleep>>>,
    /// Outages in a row.
    pub(super) outages: u32,
    /// Since when the first message says that its dependency is down.
    pub(super) unavailable: Option<Instant>,
    /// Failed runs of the message that blocks the lane.
    pub(super) blocked: u32,
    /// How often in a row there was no room to park its first message.
    pub(super) full: u32,
    pub(super) first: First,
    /// Since when nothing waits.
    quiet: Option<Instant>,
    pub(super) revoking: Option<Done>,
    /// Nothing of this lane is worked on any more: what comes is given back.
    pub(super) given_up: bool,
}

/// What the window wants of the subscriber.
pub(super) enum Window {
    Pause,
    Resume,
    Keep,
}

impl<S: Store> LaneState<S> {
    pub(super) fn new(name: &str, limit: u32) -> Self {
        let shown = if name.is_empty() { "all partitions" } else { name };
        Self {
            name: Arc::from(shown),
            queue: VecDeque::new(),
            bytes: 0,
            paused: false,
            working: None,
            limit,
            fits: AdaptiveBatch::default(),
            watched: None,
            wait: None,
            outages: 0,
            unavailable: None,
            blocked: 0,
            full: 0,
            first: First::new(name, limit),
            quiet: None,
            revoking: None,
            given_up: false,
        }
    }

    pub(super) fn push(&mut self, item: Item<S>) -> Window {
        if self.quiet.take().is_some_and(|since| since.elapsed() >= CAUGHT_UP) {
            self.first.none_left();
        }
        self.bytes += item.entry.received.message.size();
        self.queue.push_back(item);
        self.window()
    }

    /// Puts back what a turn did not finish.
    pub(super) fn put_back(&mut self, rest: Vec<Item<S>>) {
        for item in rest.into_iter().rev() {
            self.bytes += item.entry.received.message.size();
            self.queue.push_front(item);
        }
    }

    /// Takes the next batch: at most `granted` messages.
    pub(super) fn take(&mut self, granted: u32) -> (Vec<Item<S>>, Window) {
        let n = self.ready_messages().min(granted) as usize;
        let batch: Vec<Item<S>> = self.queue.drain(..n).collect();
        self.bytes -= batch.iter().map(|item| item.entry.received.message.size()).sum::<usize>();
        (batch, self.window())
    }

    /// Takes every receipt that is still queued.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Receipt> {
        self.given_up = true;
        self.bytes = 0;
        std::mem::take(&mut self.queue).into_iter().map(|item| item.receipt)
    }

    /// Returns how many messages a batch would hold now.
    pub(super) fn ready_messages(&self) -> u32 {
        // While there is no room for the first one, handlers of others would run in vain.
        let limit = if self.full > 0 { 1 } else { self.limit };
        u32::try_from(self.queue.len().min(self.fits.most())).unwrap_or(u32::MAX).min(limit)
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.queue
            .iter()
            .take(self.ready_messages() as usize)
            .map(|item| item.entry.received.message.size())
            .sum()
    }

    /// Returns whether a batch may start: something waits, nothing is in flight, no wait is due.
    pub(super) fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
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

    /// A turn has finished so many of the first messages. When nothing more waits and nothing comes for a while, they were all.
    pub(super) fn rests(&mut self, finished: u32) {
        self.first.finished(finished);
        self.quiet = self.queue.is_empty().then(Instant::now);
    }

    /// That nothing comes has another reason.
    pub(super) fn is_not_quiet(&mut self) {
        self.quiet = None;
    }

    /// An outage ended a turn that finished messages, or none.
    pub(super) fn unavailable(&mut self, finished: bool) {
        if finished || self.unavailable.is_none() {
            self.unavailable = Some(Instant::now());
        }
    }

    /// The first message is another one now, or runs.
    pub(super) fn available(&mut self) {
        self.unavailable = None;
    }

    pub(super) fn wait_for(&mut self, wait: Duration) {
        self.wait = Some(Box::pin(tokio::time::sleep(wait)));
    }

    /// A batch was committed whole.
    pub(super) fn grow(&mut self, limit: u32) {
        self.limit = self.limit.saturating_mul(2).min(limit);
    }

    /// A batch met somebody else's lock.
    pub(super) fn shrink(&mut self) {
        self.limit = (self.limit / 2).max(1);
    }

    pub(super) fn stop(&self) {
        if let Some(working) = &self.working {
            working.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Full lanes are paused; they go on when half empty, so that the two do not alternate with each message.
    fn window(&mut self) -> Window {
        let full = self.queue.len() >= WINDOW_MESSAGES || self.bytes >= WINDOW_BYTES;
        let roomy = self.queue.len() <= WINDOW_MESSAGES / 2 && self.bytes <= WINDOW_BYTES / 2;
        match self.paused {
            false if full => {
                self.paused = true;
                Window::Pause
            }
            true if roomy => {
                self.paused = false;
                Window::Resume
            }
            _ => Window::Keep,
        }
    }
}
