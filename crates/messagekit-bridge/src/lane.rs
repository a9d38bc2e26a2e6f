//! State of each lane. Pure: no clock and no broker.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use messagekit::adapter::{Done, Receipt, Watermark};

use super::job::Job;
use super::settings::{AHEAD, WINDOW_MESSAGES};

/// A lane of the current assignment.
///
/// A message is ready if no earlier message of its key is held. Any number of ready messages may be started.
#[derive(Default)]
pub(super) struct LaneState {
    held: HashMap<u64, Held>,
    /// For each held key, the messages that wait for its first message.
    behind: HashMap<Bytes, VecDeque<u64>>,
    ready: VecDeque<u64>,
    in_work: usize,
    bytes: usize,
    met: Met,
    confirmed: Watermark,
    last: u64,
    paused: bool,
    /// Whether it is in the list of lanes with ready messages.
    pub(super) listed: bool,
    /// Whether no more messages are started.
    pub(super) leaving: bool,
    pub(super) done: Option<Done>,
}

struct Held {
    receipt: Receipt,
    key: Option<Bytes>,
    bytes: usize,
    /// Absent while the message is started.
    job: Option<Job>,
    /// Whether the duplicate filter does not know it.
    is_new: bool,
    /// The last obstacle, and how often it occurred in a row.
    met: Option<(Obstacle, u32)>,
}

/// The reason why a message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The broker did not respond or accepted nothing.
    Outage,
    /// A queue was full.
    Full,
    /// Its dead letter was not confirmed.
    DeadLetter,
}

/// Number of messages by their last obstacle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) outage: usize,
    pub(super) full: usize,
}

impl Met {
    fn of(&mut self, met: Option<(Obstacle, u32)>) -> Option<&mut usize> {
        match met?.0 {
            Obstacle::Outage => Some(&mut self.outage),
            Obstacle::Full => Some(&mut self.full),
            Obstacle::DeadLetter => None,
        }
    }

    fn change(&mut self, from: Option<(Obstacle, u32)>, to: Option<(Obstacle, u32)>) {
        self.of(from).into_iter().for_each(|count| *count -= 1);
        self.of(to).into_iter().for_each(|count| *count += 1);
    }
}

/// The window's request to the subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    Pause,
    Resume,
    Keep,
}

impl LaneState {
    /// Adds a message.
    pub(super) fn push(&mut self, receipt: Receipt, key: Option<Bytes>, bytes: usize, job: Job) {
        let position = receipt.position();
        self.confirmed.delivered(position);
        self.last = position;
        self.bytes += bytes;
        let waits = key.as_ref().is_some_and(|key| match self.behind.get_mut(key) {
            Some(behind) => {
                behind.push_back(position);
                true
            }
            None => {
                self.behind.insert(key.clone(), VecDeque::new());
                false
            }
        });
        if !waits {
            self.ready.push_back(position);
        }
        self.held.insert(position, Held { receipt, key, bytes, job: Some(job), is_new: false, met: None });
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty() && !self.leaving
    }

    /// Returns the next message to start, its size in bytes and whether it is new, without removing it.
    pub(super) fn peek(&self) -> Option<(&Job, usize, bool)> {
        let held = self.held.get(self.ready.front()?)?;
        held.job.as_ref().map(|job| (job, held.bytes, held.is_new))
    }

    /// Starts the next message.
    pub(super) fn start(&mut self) -> Option<(u64, Job)> {
        let position = self.ready.pop_front()?;
        let held = self.held.get_mut(&position)?;
        let job = held.job.take()?;
        self.in_work += 1;
        Some((position, job))
    }

    /// Returns a started message to the front.
    pub(super) fn put_back(&mut self, position: u64, job: Job) {
        if self.idle(position, job, None).is_some() {
            self.ready.push_front(position);
        }
    }

    /// Holds a message with an obstacle until [`again`](Self::again). Returns how often it met this obstacle in a row.
    pub(super) fn keep(&mut self, position: u64, job: Job, met: Obstacle) -> Option<u32> {
        let times = match self.held.get(&position)?.met {
            Some((before, times)) if before == met => times.saturating_add(1),
            _ => 1,
        };
        self.idle(position, job, Some((met, times)))?;
        Some(times)
    }

    fn idle(&mut self, position: u64, job: Job, met: Option<(Obstacle, u32)>) -> Option<()> {
        let held = self.held.get_mut(&position)?;
        self.in_work -= 1;
        held.job = Some(job);
        self.met.change(held.met, met);
        held.met = met;
        Some(())
    }

    /// Returns how many messages wait, by obstacle.
    pub(super) fn met(&self) -> Met {
        self.met
    }

    /// Records that the duplicate filter does not know a message.
    pub(super) fn is_new(&mut self, position: u64) {
        self.held.get_mut(&position).into_iter().for_each(|held| held.is_new = true);
    }

    /// Makes a held message ready.
    pub(super) fn again(&mut self, position: u64) {
        if self.held.contains_key(&position) {
            self.ready.push_front(position);
        }
    }

    /// Ends a started message; the next one of its key becomes ready.
    pub(super) fn finish(&mut self, position: u64) -> Option<Receipt> {
        let held = self.held.remove(&position)?;
        self.in_work -= 1;
        self.bytes -= held.bytes;
        self.met.change(held.met, None);
        self.confirmed.settled(position);
        if let Some(key) = &held.key
            && let Some(behind) = self.behind.get_mut(key)
        {
            match behind.pop_front() {
                Some(next) => self.ready.push_back(next),
                None => drop(self.behind.remove(key)),
            }
        }
        Some(held.receipt)
    }

    /// Stops starting messages and returns the receipts of those not started.
    pub(super) fn leave(&mut self) -> Vec<Receipt> {
        self.leaving = true;
        self.ready.clear();
        self.behind.clear();
        let idle: Vec<u64> =
            self.held.iter().filter(|(_, held)| held.job.is_some()).map(|(position, _)| *position).collect();
        idle.into_iter().filter_map(|position| self.forget(position)).collect()
    }

    /// Releases a started message of a leaving lane.
    pub(super) fn release(&mut self, position: u64) -> Option<Receipt> {
        let receipt = self.forget(position)?;
        self.in_work -= 1;
        Some(receipt)
    }

    /// Releases all messages, including started ones.
    pub(super) fn give_up(&mut self) -> Vec<Receipt> {
        self.in_work = 0;
        self.held.drain().map(|(_, held)| held.receipt).collect()
    }

    fn forget(&mut self, position: u64) -> Option<Receipt> {
        let held = self.held.remove(&position)?;
        self.bytes -= held.bytes;
        self.met.change(held.met, None);
        Some(held.receipt)
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.in_work == 0
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Pauses a full lane and resumes it when half empty, which prevents a switch with each message.
    pub(super) fn window(&mut self, max_bytes: usize) -> Window {
        let ahead = self.confirmed.first_unsettled().map_or(0, |first| self.last - first);
        let within = |part: usize| {
            self.held.len() <= WINDOW_MESSAGES / part
                && self.bytes <= max_bytes / part
                && ahead <= AHEAD / part as u64
        };
        match self.paused {
            false if !within(1) => {
                self.paused = true;
                Window::Pause
            }
            true if within(2) => {
                self.paused = false;
                Window::Resume
            }
            _ => Window::Keep,
        }
    }
}
