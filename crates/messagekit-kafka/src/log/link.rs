//! What a reader and its thread send each other.

use std::sync::{Arc, mpsc};
use std::thread::Thread;

use messagekit::Error;
use messagekit::log::Page;
use tokio::sync::mpsc as pages;

use super::flow::Flow;

/// A request of the reader. Partitions are counted in the order in which it was opened.
pub(super) enum Command {
    Pause(usize),
    Resume(usize),
    /// Go to an offset. What is sent then belongs to this round.
    Seek {
        partition: usize,
        offset: i64,
        round: u64,
    },
}

/// Sends commands and wakes the thread, which ends when this is dropped.
pub(super) struct Commands {
    /// `None` only while this is dropped.
    sender: Option<mpsc::Sender<Command>>,
    thread: Thread,
}

impl Commands {
    pub(super) fn new(sender: mpsc::Sender<Command>, thread: Thread) -> Self {
        Self { sender: Some(sender), thread }
    }

    /// Sends a command; ignores a thread that has ended.
    pub(super) fn send(&self, command: Command) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(command);
        }
        self.wake();
    }

    pub(super) fn wake(&self) {
        self.thread.unpark();
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        // The thread looks at the channel when it is woken.
        self.sender = None;
        self.thread.unpark();
    }
}

/// What the thread sends.
pub(super) enum Sent {
    Page { partition: usize, round: u64, page: Page, bytes: usize },
    Error(Error),
}

/// Sends pages. The channel is unbounded, so that sending never blocks; the thread itself looks for room in the [`Flow`].
pub(super) struct Pages {
    sender: pages::UnboundedSender<Sent>,
    pub(super) flow: Arc<Flow>,
}

impl Pages {
    pub(super) fn new(sender: pages::UnboundedSender<Sent>, flow: Arc<Flow>) -> Self {
        Self { sender, flow }
    }

    /// Sends a page; ignores a dropped reader.
    pub(super) fn send(&self, partition: usize, round: u64, page: Page, bytes: usize) {
        self.flow.sent(partition, bytes);
        let _ = self.sender.send(Sent::Page { partition, round, page, bytes });
    }

    /// Sends an error, unless the reader has not received the last one.
    pub(super) fn report(&self, error: Error) {
        if self.flow.may_report() {
            let _ = self.sender.send(Sent::Error(error));
        }
    }
}
